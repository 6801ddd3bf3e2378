"""Quantized widths: one set of integer weights, multipliers and biases per width, exact graphs, nested bit for bit."""

from __future__ import annotations

import itertools
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.config import ModelConfig, QuantizeConfig, SlimConfig
from codesign.errors import ConfigError
from codesign.nn.data import Frames, Splits
from codesign.nn.export import export
from codesign.nn.integer_net import QuantizedNet
from codesign.nn.models import build_model
from codesign.nn.predict import logits
from codesign.nn.quantize import load_quantized, save_quantized
from codesign.nn.slim import Slimmable
from codesign.nn.slim_quantize import calibrate_widths, quantize_widths
from codesign.nn.slim_units import SharedUnit
from codesign.ops.requantize import Requantize
from codesign.verify import golden
from tests import nets

torch.set_num_threads(1)

WIDTHS = (0.25, 0.5, 1.0)
CONFIG = QuantizeConfig(epochs=0)


def slimmed(name: str = "lenet5", recipe: str = "sandwich") -> tuple[Slimmable, tuple[int, int, int]]:
    """A slimmable network of the zoo, its weights and batch norms random."""
    shape, _ = nets.ZOO[name]
    options = {"stem_channels": 8} if name == "lenet5" else {"width": 0.25}
    step = 2 if name == "lenet5" else 1
    config = SlimConfig(widths=WIDTHS, recipe=recipe, step=step)  # type: ignore[arg-type]
    model = Slimmable(build_model(ModelConfig(name, options), shape, 10, seed=1), shape, config)
    return nets.randomized(model, 1), shape  # type: ignore[return-value]


@lru_cache
def quantized(name: str = "lenet5", recipe: str = "sandwich") -> tuple[Slimmable, dict[float, QuantizedNet]]:
    model, shape = slimmed(name, recipe)
    widths = {w: QuantizedNet(model.at(w), shape, CONFIG, SharedUnit).eval() for w in WIDTHS}
    calibrate_widths(list(widths.values()), nets.frames(shape, 8))
    return model, widths


@pytest.mark.parametrize("name", sorted(nets.ZOO))
def test_the_graph_of_every_width_is_exact_and_near_the_float_network(name: str):
    model, widths = quantized(name)
    for width, net in widths.items():
        images = nets.frames(net.input_shape, 4, seed=3)
        graph = export(net, f"{name}_{round(100 * width)}")
        codes = golden.run(graph, {"image": images}, keep=[point.logits for point in graph.exits])
        for point, exact, real in zip(graph.exits, net.logits(images), logits(model.at(width), images), strict=True):
            assert np.array_equal(codes[point.logits].reshape(len(images), -1), exact)
            scale = net.logit_scales[net.exit_names.index(point.name)]
            assert np.corrcoef((exact * scale).ravel(), real.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", sorted(nets.ZOO))
def test_widths_share_weights_shifts_and_scales(name: str):
    """Width k is the first slice of width k + 1, code for code; only multipliers and biases differ."""
    model, widths = quantized(name)
    *_, wide = widths.values()
    cuts = {cut.path: cut for cut in model.cuts}
    for width, net in widths.items():
        assert net.grids == wide.grids
        for unit in net.rounding():
            whole = wide.unit(unit.step.name)
            assert (int(unit.shift), unit.clamp, unit.factors) == (int(whole.shift), whole.clamp, whole.factors)
            if unit.weight is not None:
                index = cuts[unit.step.layer.module].index(width, model.config.step)  # type: ignore[attr-defined]
                assert unit.weight_codes().numpy().tobytes() == whole.weight_codes()[index].numpy().tobytes()
    narrow = next(iter(widths.values()))
    assert any(
        not torch.equal(unit.multiplier, wide.unit(unit.step.name).multiplier[: len(unit.multiplier)])
        for unit in narrow.rounding()
    )


def test_causal_activations_are_the_first_channels_of_wider_ones_bit_for_bit():
    model, widths = quantized("lenet5", "causal")
    images = nets.frames((28, 28, 1), 4, seed=3)
    values = []
    for net in widths.values():
        graph = export(net, "lenet")
        kept = [node.name for node in graph.nodes if isinstance(node.op, Requantize)]
        values.append(golden.run(graph, {"image": images}, keep=kept))
    exits = {"exit1.head.linear.requantize", "final.head.requantize"}
    for narrow, wide in itertools.pairwise(values):
        assert narrow.keys() == wide.keys()
        for name in narrow.keys() - exits:
            count = narrow[name].shape[-1]
            assert 0 < count < wide[name].shape[-1]
            assert np.array_equal(narrow[name], wide[name][..., :count]), name
        assert not np.array_equal(narrow["final.head.requantize"], wide["final.head.requantize"])
    assert model.causal


def test_the_widest_network_is_saved_and_loaded(tmp_path: Path):
    model, widths = quantized()
    path = tmp_path / "quantized.safetensors"
    save_quantized(widths[1.0], path)
    loaded = load_quantized(model.widest, (28, 28, 1), path)
    images = nets.frames((28, 28, 1), 4)
    for a, b in zip(loaded.logits(images), widths[1.0].logits(images), strict=True):
        assert np.array_equal(a, b)


def test_what_one_set_of_weights_cannot_have_is_refused():
    model, shape = slimmed()
    frames = Frames(nets.frames(shape, 4), np.zeros(4, np.int64))
    splits = Splits(frames, frames, frames, frames, classes=10, name="noise")
    with pytest.raises(ConfigError, match="not fine-tuned"):
        quantize_widths(model, splits, QuantizeConfig(), 1)
    with pytest.raises(ConfigError, match="multiplier for every width"):
        quantize_widths(model, splits, QuantizeConfig(epochs=0, scales="power-of-two"), 1)
    assert list(quantize_widths(model, splits, CONFIG, 1)) == list(WIDTHS)
