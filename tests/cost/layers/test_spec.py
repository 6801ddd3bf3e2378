"""The grammar of a single layer: what it reads, and what it says of a spec that it cannot read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.cost.layers.spec import KINDS, WINDOWED, fraction_bits, parse_layer, type_bits
from codesign.errors import ConfigError


def test_a_convolution() -> None:
    layer = parse_layer("conv2d:28x28x1->6,k5,p2")

    assert (layer.height, layer.width, layer.channels, layer.outputs) == (28, 28, 1, 6)
    assert (layer.kernel, layer.stride, layer.pads) == ((5, 5), (1, 1), (2, 2, 2, 2))
    assert layer.out_shape == (28, 28, 6)
    assert (layer.weights, layer.macs) == (150, 28 * 28 * 150)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("max_pool:28x28x6,k2", (14, 14, 6)),
        ("conv2d:9x7x3->4,k3x1,s2x1", (4, 7, 4)),
        ("depthwise_conv2d:14x14x32,k3,p1", (14, 14, 32)),
        ("dense:4x4x16->10", (1, 1, 10)),
        ("relu:1024", (1, 1, 1024)),
        ("zero_pad:8x8x4", (10, 10, 4)),
        ("upsample:4x5x2,k2x3", (8, 15, 2)),
    ],
)
def test_output_shapes(text: str, shape: tuple[int, int, int]) -> None:
    assert parse_layer(text).out_shape == shape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv2d", "has no `:`"),
        ("cnv2d:28x28x1->6,k5", "did you mean 'conv2d'"),
        ("conv2d:28x28x1,k5", "needs its outputs"),
        ("conv2d:28x28x1->6", "needs its kernel"),
        ("conv2d:28xx1->6,k5", "is no shape"),
        ("conv2d:28x28x1->six,k5", "is no shape"),
        ("conv2d:28x28x1->6,k5,k3", "given twice"),
        ("conv2d:28x28x1->6,k5,q3", "'q3' is no option"),
        ("conv2d:2x2x1->6,k5", "is larger than 2x2"),
        ("conv2d:28x28x0->6,k5", "at least 1"),
        ("relu:8x8x4,k2", "relu has no option 'k'"),
        ("max_pool:8x8x4->8,k2", "as many outputs as channels"),
    ],
)
def test_errors_say_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_layer(text)
    assert words in str(error.value)
    assert f"--layer {text}" in str(error.value)


@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.integers(1, 64), min_size=1, max_size=3),
    st.integers(1, 64),
    st.integers(1, 3),
)
def test_whatever_is_written_right_is_read(kind: str, sizes: list[int], outputs: int, kernel: int) -> None:
    options = f",k{kernel},p{kernel}" if kind in WINDOWED else ""
    arrow = f"->{outputs}" if kind in ("conv2d", "dense") else ""
    layer = parse_layer(f"{kind}:{'x'.join(map(str, sizes))}{arrow}{options}")

    assert layer.kind == kind
    assert min(layer.out_shape) >= 1
    assert layer.macs % max(1, layer.weights) == 0 or layer.kind == "depthwise_conv2d"


def test_types() -> None:
    assert [type_bits(t) for t in ("ap_fixed<16,6>", "ap_int<8>", "float")] == [16, 8, 32]
    assert [fraction_bits(t) for t in ("ap_fixed<16,6>", "ap_int<8>")] == [10, 7]
    with pytest.raises(ConfigError, match="is no type"):
        type_bits("int8")
