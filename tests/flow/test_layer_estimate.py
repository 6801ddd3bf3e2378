"""A single layer in a stated style: figures, bands, sources, and errors."""

import argparse
import json

import pytest

from codesign.cost.layers.style import STYLES
from codesign.errors import ConfigError
from codesign.flow.layer_estimate import LAYER_COLUMNS, RESOURCES, add_layer_options, layer_estimate, layer_rows


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_layer_options(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("style", sorted(STYLES))
@pytest.mark.parametrize("layer", ["conv2d:28x28x1->6,k5,p2", "dense:256->10", "max_pool:28x28x6,k2", "relu:8x8x4"])
def test_every_style_has_figures_bands_and_sources(style: str, layer: str) -> None:
    answer = layer_estimate(parsed("--layer", layer, "--style", style))

    assert json.loads(json.dumps(answer)) == answer
    for figure in (answer["cycles"], *answer["as_csynth_prints"].values(), *answer["after_synthesis"].values()):
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert set(answer["as_csynth_prints"]) == set(RESOURCES)
    assert {"cycles", "resources", "ratios"} <= set(answer["source"])
    assert all(len(row) == len(LAYER_COLUMNS) for row in layer_rows(answer))


def test_our_own_convolution_is_exact_in_cycles() -> None:
    answer = layer_estimate(parsed("--layer", "conv2d:28x28x8->16,k3,p1", "--pe", "4", "--simd", "9"))
    assert answer["cycles"]["value"] == 28 * 28 * (16 // 4) * (72 // 9)
    assert answer["as_csynth_prints"]["dsp"]["value"] == 4 * 9 + 4  # and the requantizer's


def test_hls4ml_resource_as_published() -> None:
    """H W (RF + 11) cycles with 32-bit products, exact for seven layers of hls4ml (docs/calibration.md)."""
    words = ("--style", "hls4ml-resource", "--type", "ap_fixed<32,16>", "--clock", "200", "--reuse", "36")
    answer = layer_estimate(parsed("--layer", "conv2d:10x10x4->4,k3", *words))
    assert answer["cycles"]["value"] == 10 * 10 * (36 + 11) + 1
    assert answer["as_csynth_prints"]["dsp"]["value"] == 14
    assert answer["as_csynth_prints"]["bram18"]["value"] == 4


def test_synthesis_takes_less_lut_than_csynth_prints() -> None:
    answer = layer_estimate(parsed("--layer", "dense:256->10", "--style", "hls4ml-resource", "--reuse", "16"))
    assert answer["after_synthesis"]["lut"]["value"] < answer["as_csynth_prints"]["lut"]["value"]
    assert answer["after_synthesis"]["dsp"] == answer["as_csynth_prints"]["dsp"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--layer", "conv2d:28x28x8->16,k3", "--pe", "5"), "PE=5, SIMD=1 does not divide"),
        (("--layer", "softmax:10"), "is no op of our own"),
        (("--layer", "dense:4->2", "--bits", "8,x"), "is no pair of widths"),
        (("--layer", "dense:4->2", "--type", "int"), "is no type"),
        (("--layer", "dense:4->2", "--reuse", "0"), "is less than 1"),
        (("--layer", "dense:4->2", "--clock", "-3"), "cannot run"),
        (("--layer", "dense:4->2", "--device", "pynq-z7"), "no device or board"),
    ],
)
def test_errors(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        layer_estimate(parsed(*words))
    assert said in str(error.value)


def test_an_option_that_the_parser_has_is_left_alone() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="kv260")
    parser.add_argument("--clock", dest="clock_mhz", type=float)
    add_layer_options(parser)
    answer = layer_estimate(parser.parse_args(["--layer", "relu:64", "--clock", "250"]))
    assert (answer["device"], answer["clock_mhz"]) == ("xck26", 250.0)
