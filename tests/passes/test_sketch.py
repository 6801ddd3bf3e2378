"""Sketches are the graphs that export makes, weights aside; their text is checked and their weights are the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.errors import ConfigError, ModelError
from codesign.ir.graph import Graph
from codesign.passes.sketch import parse_sketch
from codesign.passes.sketch_graph import Precision, noise, sketch_graph
from codesign.passes.sketch_zoo import ZOO, zoo_sketch
from codesign.passes.split import split

TINY = """
image 8x8x1            # rows, columns, channels
conv = conv2d:8x8x1->4,k3,p1,relu
pool = max_pool,k2
exit1.flat = flatten
exit1.linear = dense:->3
more = conv2d:->4,k3,p1 @ pool
sum = add,relu @ more, pool
mean = avg_pool,k2x4
last = dense:8->3
exit exit1 = exit1.linear
exit final = last
"""
WEIGHED = {"matrix_vector", "channel_dot", "add"}  # their results are as wide as their very constants make them

SLOW = pytest.mark.slow  # a second of torch each
CASES = [
    ("lenet5", {}, "power-of-two"),
    ("resnet_cifar", {"width": 0.25, "blocks": 2}, "power-of-two"),
    pytest.param("lenet5", {"stem_channels": 3, "branch_channels": 5, "branch_stride": 2}, "per-channel", marks=SLOW),
    pytest.param("vgg_cifar", {"width": 0.25}, "per-channel", marks=SLOW),
    ("mobile_cifar", {"width": 0.25}, "per-channel"),
    pytest.param("mobile_cifar", {"width": 0.5, "exits": 2}, "power-of-two", marks=SLOW),
]


@pytest.mark.parametrize(("name", "options", "scales"), CASES)
def test_a_sketch_is_what_export_makes_of_the_network(name: str, options: dict[str, float], scales: str) -> None:
    pytest.importorskip("torch")
    import nets

    from codesign.config import ModelConfig, QuantizeConfig
    from codesign.nn.export import export
    from codesign.nn.integer_net import QuantizedNet
    from codesign.nn.models import build_model
    from codesign.nn.quantize import calibrate_net

    shape = nets.ZOO[name][0]
    model = nets.randomized(build_model(ModelConfig(name, options), shape, 10, seed=1), 1)
    net = QuantizedNet(model, shape, QuantizeConfig(scales=scales))  # type: ignore[arg-type]
    calibrate_net(net, nets.frames(shape, 2))
    want = export(net, name)
    got = sketch_graph(zoo_sketch(name, shape, 10, options), name, Precision(scales=scales))

    assert [(n.name, n.op.name, n.inputs) for n in got.nodes] == [(n.name, n.op.name, n.inputs) for n in want.nodes]
    assert (got.name, got.inputs, got.outputs, got.exits) == (want.name, want.inputs, want.outputs, want.exits)
    for mine, theirs in zip(got.nodes, want.nodes, strict=True):
        x, y = got.types[mine.name], want.types[theirs.name]
        assert x.shape == y.shape, mine.name
        if mine.op.name in WEIGHED:
            assert x.dtype.signed == y.dtype.signed and abs(x.dtype.bits - y.dtype.bits) <= 2, (mine.name, x, y)
        else:
            assert x.dtype == y.dtype, (mine.name, x, y)


def test_bits_of_layers_come_from_the_precision() -> None:
    precision = Precision(4, 5, "power-of-two", logit_bits=12, layers={"conv": (2, 0), "more": (0, 3)})
    graph = sketch_graph(parse_sketch(TINY), "tiny", precision)
    types = {name: str(x.dtype) for name, x in graph.types.items()}

    assert types["pool"] == "u5" and types["more.requantize"] == "s3" and types["sum.requantize"] == "u5"
    assert types["last.requantize"] == "s12"
    assert graph.node("conv").op.weights.dtype.bits == 2  # type: ignore[attr-defined]
    assert graph.node("last").op.weights.dtype.bits == 4  # type: ignore[attr-defined]


def test_weights_depend_on_the_seed_and_the_layers_name_alone() -> None:
    def weights(text: str, seed: int = 0) -> bytes:
        graph = sketch_graph(parse_sketch(text), "tiny", seed=seed)
        return graph.node("conv").op.weights.data  # type: ignore[attr-defined]

    fewer = TINY.replace("last = dense:8->3", "last = dense:->3")
    assert weights(TINY) == weights(fewer) != weights(TINY, seed=1)


def test_noise_is_nearly_normal() -> None:
    values = noise(100_000, 7)
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert 0.66 < (np.abs(values) < 1).mean() < 0.70
    assert len(np.unique(noise(1000, 1) - noise(1000, 2))) > 990


def test_a_sketch_can_be_split_at_its_exit() -> None:
    graph = sketch_graph(parse_sketch(TINY), "tiny")
    cut = split(graph)
    assert isinstance(cut.head, Graph) and cut.feature == "pool"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_pool,k2", "maxpool,k2", "did you mean 'max_pool'"),
        ("@ pool", "@ pol", "did you mean 'pool'"),
        ("k3,p1,relu", "k3,q1,relu", "'q1' is no option"),
        ("conv2d:8x8x1->4", "conv2d", "no outputs"),
        ("image 8x8x1", "image 8x8", "no image"),
        ("8x8x1->4", "8x8x3->4", "8x8x3 is said, 8x8x1 comes"),
        ("k2x4", "k9", "kernel of 9 is larger"),
        ("@ more, pool", "@ more", "add reads 1"),
        ("more = conv2d", "conv = conv2d", "used twice"),
        ("exit1.flat = flatten", "exit1.flat flatten", "is no layer"),
    ],
)
def test_mistakes_are_named_with_their_place(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sketch_graph(parse_sketch(TINY.replace(old, new, 1), "tiny.net"), "tiny")
    assert words in f"{caught.value.what} {caught.value.hint}" and "tiny" in caught.value.where


def test_unknown_networks_and_options_are_named() -> None:
    with pytest.raises(ModelError, match="has no sketch"):
        zoo_sketch("my.module:Net", (8, 8, 1), 10, {})
    with pytest.raises(ModelError, match="unknown option"):
        zoo_sketch("lenet5", (28, 28, 1), 10, {"widht": 1})
    assert set(ZOO) == {"lenet5", "vgg_cifar", "resnet_cifar", "mobile_cifar"}
