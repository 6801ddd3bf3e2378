"""Law: torch's integers behind a branch point are the golden model's, and its floats those of the trained network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import ODD, ZOO, Net, frames, odd, zoo

from codesign.config import QuantizeConfig
from codesign.errors import GraphError, ModelError
from codesign.ir.graph import Graph
from codesign.nn.export import export
from codesign.nn.integer_net import QuantizedNet
from codesign.nn.predict import logits
from codesign.nn.quantize import calibrate_net
from codesign.nn.tail import FloatTail, TorchTail
from codesign.passes.split import split
from codesign.verify import golden

torch.set_num_threads(1)


def quantized(net: Net) -> tuple[QuantizedNet, Graph]:
    model, shape = net
    found = QuantizedNet(model, shape, QuantizeConfig())
    calibrate_net(found, frames(shape))
    return found, export(found, "net")


def cuts(graph: Graph) -> list[tuple[str, Graph]]:
    """Every branch point that one value crosses, with the layers behind it."""
    found: list[tuple[str, Graph]] = []
    for point in graph.exits[:-1]:
        try:
            cut = split(graph, point.name)
        except GraphError:
            continue
        found.append((cut.feature, cut.tail))
    return found


@pytest.mark.parametrize("name", [*ZOO, *ODD])
def test_integers_are_the_golden_models(name: str) -> None:
    net, graph = quantized(zoo(name) if name in ZOO else odd(name))
    images = frames(net.input_shape, seed=2).astype(np.int64)
    for feature, tail in cuts(graph):
        codes = golden.run(graph, {"image": images}, keep=[feature])[feature]
        want = golden.run(tail, {"feature": codes})[tail.exits[-1].logits].reshape(len(images), -1)
        assert np.array_equal(TorchTail(net, feature).run(codes), want), feature
    whole = golden.run(graph, {"image": images})[graph.exits[-1].logits].reshape(len(images), -1)
    assert np.array_equal(TorchTail(net, "image").run(images), whole)


@pytest.mark.parametrize("name", [*ZOO, *ODD])
def test_floats_are_the_trained_networks(name: str) -> None:
    model, shape = zoo(name) if name in ZOO else odd(name)
    net, _ = quantized((model, shape))
    images = frames(shape, seed=3)
    got = FloatTail(net, "image", model).run(images.astype(np.int64))
    np.testing.assert_allclose(got, logits(model, images)[-1], rtol=1e-4, atol=1e-4)


def test_float_and_integers_agree_on_real_features() -> None:
    model, shape = zoo("lenet5")
    net, graph = quantized((model, shape))
    ((feature, tail),) = cuts(graph)
    codes = golden.run(graph, {"image": frames(shape, 30, seed=4).astype(np.int64)}, keep=[feature])[feature]
    scale = graph.types[tail.exits[-1].logits].scale
    assert scale is not None
    apart = np.abs(TorchTail(net, feature).run(codes) * scale - FloatTail(net, feature, model).run(codes))
    assert 0 < apart.mean() < 0.5


def test_a_value_that_is_no_step_is_refused() -> None:
    net, _ = quantized(zoo("lenet5"))
    with pytest.raises(ModelError, match=r"no step computes 'stem\.conv'"):
        TorchTail(net, "stem.conv")
