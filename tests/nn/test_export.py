"""Export: the graph's golden codes equal the network's, code for code; names, structure and errors."""

import numpy as np
import pytest
import torch
from nets import ODD, ZOO, Chain, Net, frames, head, odd, zoo
from torch import nn

from codesign.config import LayerBits, QuantizeConfig
from codesign.errors import ModelError
from codesign.ir.graph import Graph
from codesign.ir.types import IntType
from codesign.nn.export import export
from codesign.nn.quantize import QuantizedNet, calibrate_net
from codesign.verify.golden import run

torch.set_num_threads(1)

BITS = ((2, 2), (3, 5), (8, 8), (16, 16))


def calibrated(net: Net, config: QuantizeConfig) -> QuantizedNet:
    model, shape = net
    quantized = QuantizedNet(model, shape, config)
    calibrate_net(quantized, frames(shape))
    return quantized


def assert_same_codes(net: QuantizedNet) -> Graph:
    graph, images = export(net, "net"), frames(net.input_shape, seed=1)
    golden = run(graph, {"image": images.astype(np.int64)})
    for point, codes in zip(graph.exits, net.logits(images), strict=True):
        np.testing.assert_array_equal(golden[point.logits].reshape(codes.shape), codes, err_msg=point.name)
    return graph


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scales", ["power-of-two", "per-channel"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_networks_graph_computes_its_codes(name, scales, bits):
    config = QuantizeConfig(weight_bits=bits[0], activation_bits=bits[1], scales=scales)

    assert_same_codes(calibrated(odd(name), config))


@pytest.mark.parametrize("scales", ["power-of-two", "per-channel"])
@pytest.mark.parametrize("name", ZOO)
def test_a_zoo_networks_graph_computes_its_codes(name, scales):
    assert_same_codes(calibrated(zoo(name), QuantizeConfig(scales=scales)))


def test_lenet_is_lowered_to_streaming_processes():
    graph = export(calibrated(zoo("lenet5"), QuantizeConfig()), "lenet5")

    assert [f"{node.name}: {node.op.name}" for node in graph.nodes[:13]] == [
        "stem.conv.window: sliding_window",
        "stem.conv: matrix_vector",
        "stem.conv.requantize: requantize",
        "stem.pool.window: sliding_window",
        "stem.pool: max_pool",
        "exit1.head.conv.conv.window: sliding_window",
        "exit1.head.conv.conv: matrix_vector",
        "exit1.head.conv.conv.requantize: requantize",
        "exit1.head.conv.pool.window: sliding_window",
        "exit1.head.conv.pool: max_pool",
        "exit1.head.flatten: flatten",
        "exit1.head.linear: matrix_vector",
        "exit1.head.linear.requantize: requantize",
    ]
    assert [(point.name, point.logits) for point in graph.exits] == [
        ("exit1", "exit1.head.linear.requantize"),
        ("final", "final.head.requantize"),
    ]
    assert graph.outputs == tuple(point.logits for point in graph.exits)
    assert str(graph.types["image"]) == "u8[28x28x1] * 2^-8"
    assert str(graph.types["final.head.requantize"]) == "s16[1x1x10] * 2^-6"


def test_power_of_two_scales_need_no_multiplier_and_per_channel_ones_use_all_their_bits():
    simple = export(calibrated(zoo("lenet5"), QuantizeConfig(scales="power-of-two")), "net")
    scaled = export(calibrated(zoo("lenet5"), QuantizeConfig(scales="per-channel", multiplier_bits=10)), "net")

    for node in simple.nodes:
        if node.op.name == "requantize":
            assert set(node.op.multiplier.array) == {1}
    for node in scaled.nodes:
        if node.op.name == "requantize":
            assert 512 <= node.op.multiplier.array.max() <= 1023


def test_depthwise_layers_become_channel_dots_and_pointwise_ones_need_no_window():
    graph = export(calibrated(zoo("mobile_cifar"), QuantizeConfig()), "net")
    kinds = {node.name: node.op.name for node in graph.nodes}

    assert kinds["stage2.0.depthwise.conv"] == "channel_dot"
    assert kinds["stage2.0.pointwise.conv"] == "matrix_vector"
    assert "stage2.0.pointwise.conv.window" not in kinds


def test_relu6_clamps_at_six():
    model, shape = zoo("mobile_cifar")
    model.stage1.norm.weight.data *= 20
    op = (
        assert_same_codes(calibrated((model, shape), QuantizeConfig(activation_bits=12)))
        .node("stage1.conv.requantize")
        .op
    )

    assert op.high == round(6 / op.scale) < op.out.max


def test_one_layers_bits_can_differ_from_the_rest():
    config = QuantizeConfig(layers={"stem.conv": LayerBits(3, 5), "rest.linear1": LayerBits(weight_bits=2)})
    graph = assert_same_codes(calibrated(zoo("lenet5"), config))

    assert graph.node("stem.conv").op.weights.dtype == IntType(3)
    assert graph.types["stem.conv.requantize"].dtype == IntType(5, signed=False)
    assert graph.node("rest.linear1").op.weights.dtype == IntType(2)
    assert graph.node("rest.linear2").op.weights.dtype == IntType(8)


def test_a_name_that_a_module_already_has_gets_an_underscore():
    inner = nn.Conv2d(2, 2, 3)
    model = Chain(nn.Sequential(inner, nn.ReLU(), head(2 * 2 * 2)))
    model.exit1.head[0] = nn.Sequential()
    model.exit1.head[0].add_module("window", nn.Conv2d(1, 2, 3))
    model.exit1.head[0].window = Window()
    graph = assert_same_codes(calibrated((model.eval(), (6, 6, 1)), QuantizeConfig()))

    names = [node.name for node in graph.nodes]
    assert "exit1.head.0.window.inner.window" in names
    assert "exit1.head.0.window.inner.window_" in names


class Window(nn.Module):
    """A convolution named `inner`, and behind it one whose name is what export calls inner's window."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(1, 2, 3)
        self.inner.window = nn.Conv2d(2, 2, 3)

    def forward(self, x):
        return self.inner.window(torch.relu(self.inner(x)))


def test_an_even_max_pool_with_padding_needs_values_from_zero():
    model = Chain(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, 2, padding=1), head(2 * 3 * 3))).eval()

    with pytest.raises(ModelError, match=r"padding \(1, 1\) of a 2x2 max pool of signed values") as caught:
        export(calibrated((model, (6, 6, 1)), QuantizeConfig()), "net")
    assert "ReLU in front of the pool" in caught.value.hint


def test_weights_that_became_nan_are_named():
    net = calibrated(zoo("lenet5"), QuantizeConfig())
    net.unit("rest.linear1").weight.data[0, 0] = float("nan")

    with pytest.raises(ModelError, match="hold NaN or infinity") as caught:
        export(net, "net")
    assert caught.value.where == "LeNet5.rest.linear1"
