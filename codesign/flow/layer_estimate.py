"""`codesign estimate --layer`: a single layer in a stated style, as csynth prints it and as it is after synthesis."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from codesign.errors import ConfigError, nearest

RESOURCES = ("dsp", "bram18", "lut", "ff")
# Synthesis over csynth: middle and range of 18 hls4ml designs of one repository (docs/calibration.md).
AFTER_SYNTHESIS = {
    "dsp": (1.0, 1.0, 1.0),
    "bram18": (0.73, 0.73, 1.0),
    "lut": (0.46, 0.30, 0.62),
    "ff": (0.80, 0.64, 0.86),
}
_RATIO_SOURCE = "synthesis over csynth of 18 hls4ml designs of one repository (pominiq/DNNonSilicon, Vivado 2020.1)"


def add_layer_options(parser: argparse.ArgumentParser) -> None:
    """Adds --layer and the options that state its style; one that the parser has already is left as it is."""
    from codesign.cost.layers.spec import GRAMMAR, KINDS
    from codesign.cost.layers.style import STYLES

    def add(*names: str, **options: Any) -> None:
        with suppress(argparse.ArgumentError):
            parser.add_argument(*names, **options)

    add("--layer", metavar="SPEC", default="", help=f"one layer: {GRAMMAR}; kinds: {', '.join(KINDS)}")
    add("--style", choices=tuple(STYLES), default="ours", help="; ".join(f"{k}: {v}" for k, v in STYLES.items()))
    add("--reuse", type=int, default=1, metavar="N", help="of hls4ml: products that share a multiplier")
    add("--pe", type=int, default=1, metavar="N", help="outputs at once; of style loops, iterations at once")
    add("--simd", type=int, default=1, metavar="N", help="inputs of every output at once")
    add("--bits", default="", metavar="X[,W]", help="bits of values and of weights; default: 8,8")
    add("--type", default="", metavar="TYPE", help="of values and weights, such as ap_fixed<16,6>, instead of --bits")
    add("--clock", type=float, metavar="MHZ", help="clock; default: 100")
    add("--device", default="pynq-z2", metavar="NAME", help="part or board; default: pynq-z2")


def layer_estimate(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the layer takes: cycles and resources, each with a band, and where the figures come from.

    Raises ConfigError for a spec, a style or a folding that cannot be.
    """
    from codesign.cost.layers.spec import parse_layer

    layer, style, device = parse_layer(arguments.layer), _style(arguments), _device(arguments)
    priced = _ours(layer, style) if style.name == "ours" else _other(layer, style, _fraction(arguments))
    answer: dict[str, Any] = {
        "layer": arguments.layer,
        "style": style.name,
        "device": device.name,
        "clock_mhz": round(1000 / style.clock_ns, 3),
        **priced,
    }
    answer["fits"] = all(
        answer["as_csynth_prints"][name]["value"] <= getattr(device, name) for name in ("dsp", "bram18", "lut", "ff")
    )
    return answer


def layer_rows(answer: Mapping[str, Any]) -> list[list[object]]:
    """Rows of a table for people: what, as csynth prints it, its band, after synthesis, its band."""
    cycles = answer["cycles"]
    rows: list[list[object]] = [["cycles", cycles["value"], _band(cycles), cycles["value"], _band(cycles)]]
    for name in RESOURCES:
        printed, after = answer["as_csynth_prints"][name], answer["after_synthesis"][name]
        rows.append([name.upper(), printed["value"], _band(printed), after["value"], _band(after)])
    return rows


LAYER_COLUMNS = ("", "as csynth prints", "band", "after synthesis", "band")


def _style(arguments: argparse.Namespace) -> Any:
    from codesign.cost.layers.spec import type_bits
    from codesign.cost.layers.style import STYLES, Style

    name = arguments.style or "ours"
    if name not in STYLES:
        raise ConfigError(f"{name!r} is no style", where="--style", hint=nearest(name, list(STYLES)))
    for option in ("reuse", "pe", "simd"):
        if getattr(arguments, option) < 1:
            raise ConfigError(
                f"{getattr(arguments, option)} is less than 1", where=f"--{option}", hint="give 1 or more"
            )
    clock = _clock_mhz(arguments)
    if not clock > 0:
        raise ConfigError(f"a clock of {clock} MHz cannot run", where="--clock", hint="give a positive frequency")
    x_bits, w_bits = (type_bits(arguments.type),) * 2 if arguments.type else _bits(arguments.bits or "8,8")
    return Style(
        name=name,
        reuse=arguments.reuse,
        pe=arguments.pe,
        simd=arguments.simd,
        x_bits=x_bits,
        w_bits=w_bits,
        clock_ns=1000 / clock,
        part=_device(arguments).part,
    )


def _clock_mhz(arguments: argparse.Namespace) -> float:
    """100 MHz unless the caller's parser or ours was given another clock."""
    given = (getattr(arguments, name, None) for name in ("clock", "clock_mhz"))
    return next((float(clock) for clock in given if clock is not None), 100.0)


def _bits(text: str) -> tuple[int, int]:
    words = text.split(",")
    if len(words) > 2 or not all(word.strip().isdigit() and 1 <= int(word) <= 64 for word in words):
        raise ConfigError(f"{text!r} is no pair of widths", where="--bits", hint="write 8 or 8,4: values, weights")
    return int(words[0]), int(words[-1])


def _fraction(arguments: argparse.Namespace) -> int:
    """Bits of a weight behind its point; weights given by --bits alone are all behind it but the sign."""
    from codesign.cost.layers.spec import fraction_bits

    return fraction_bits(arguments.type) if arguments.type else _bits(arguments.bits or "8,8")[1] - 1


def _device(arguments: argparse.Namespace) -> Any:
    from codesign.devices import load_device

    return load_device(arguments.device or "pynq-z2")


def _ours(layer: Any, style: Any) -> dict[str, Any]:
    """Our own price aims at the netlist; what csynth prints is larger by the ratios."""
    from codesign.cost.layers.ours import own_design

    design = own_design(layer, style)
    after: dict[str, Any] = {}
    printed: dict[str, Any] = {}
    for name in RESOURCES:
        value, (middle, low, high) = getattr(design.resources, name), AFTER_SYNTHESIS[name]
        after[name] = _figure(value, value * low / middle, value * high / middle)
        printed[name] = _figure(value / middle, value / high, value / low)
    return {
        "cycles": _figure(design.interval_cycles, design.interval_cycles, design.interval_cycles),
        "latency_cycles": design.latency_cycles,
        "as_csynth_prints": printed,
        "after_synthesis": after,
        "processes": [
            {"name": p.name, "op": p.op.name, "pe": p.folding.pe, "simd": p.folding.simd, "cycles": p.cycles}
            for p in design.dataflow.processes
        ],
        "source": {
            "cycles": "counted from the schedules of our own units",
            "resources": "estimated by codesign.plan.budget, which aims at the netlist",
            "ratios": _RATIO_SOURCE,
        },
    }


def _other(layer: Any, style: Any, fraction_bits: int) -> dict[str, Any]:
    """What csynth prints, by the model that reports were fitted to, or by FINN's formulas; then the ratios."""
    from codesign.cost.layers.report import Description

    lanes = (style.pe, style.pe) if style.name == "loops" else (layer.channels, layer.outputs)
    description = Description(layer, style, (), lanes, fraction_bits)
    if style.name == "finn":
        figures, source = _finn(description)
    else:
        figures, source = _fitted(description)
    printed = {name: figures[name] for name in RESOURCES}
    after = {name: _after(name, figure) for name, figure in printed.items()}
    return {
        "cycles": figures["cycles"],
        "as_csynth_prints": printed,
        "after_synthesis": after,
        "source": {**source, "ratios": _RATIO_SOURCE},
    }


def _fitted(description: Any) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    from codesign.cost.layers.model import predict, shipped

    coefficients, kind = shipped(), description.layer.kind
    prediction = predict(description, coefficients)
    figures: dict[str, dict[str, int]] = {}
    for name in ("cycles", *RESOURCES):
        value = getattr(prediction, name)
        figures[name] = _figure(value, *coefficients.band(name, kind, value))
    hls4ml = description.style.name == "hls4ml-resource"
    unseen = "" if hls4ml else f"; none of them is in the style {description.style.name}"
    return figures, {
        "cycles": "composed of the loops that this style makes of such a layer",
        "resources": f"LUT and FF {coefficients.source}{unseen}; DSP and BRAM18 counted by rules",
        "bands": "10 to 90 % of the layers of repositories that were held out",
    }


def _finn(description: Any) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    from codesign.cost.layers.finn import finn_layer

    figures = {
        name: _figure(value, value, value)
        if name in ("cycles", "dsp", "bram18")
        else _figure(value, value / 2, 2 * value)
        for name, value in finn_layer(description).items()
    }
    return figures, {
        "cycles": "FINN's formulas for the sliding window unit and the MVAU",
        "resources": "FINN-R's formulas; no report has checked them here",
        "bands": "assumed, a factor of 2 for LUT and FF",
    }


def _after(name: str, printed: Mapping[str, int]) -> dict[str, int]:
    middle, low, high = AFTER_SYNTHESIS[name]
    return _figure(printed["value"] * middle, printed["low"] * low, printed["high"] * high)


def _figure(value: float, low: float, high: float) -> dict[str, int]:
    return {"value": round(value), "low": round(low), "high": round(high)}


def _band(figure: Mapping[str, Any]) -> str:
    return f"{figure['low']:,} to {figure['high']:,}"
