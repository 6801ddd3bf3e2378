"""The synth step: the emitted SystemVerilog through Yosys, beside the estimate; on demand placed and routed for an ECP5."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from codesign.cost.rtl import rtl_breakdown, rtl_resources
from codesign.devices import load_device
from codesign.flow.experiment import Experiment
from codesign.flow.rtl import load_rtl_design, load_sources, need_rtl
from codesign.plan.budget import Resources
from codesign.verify.place import place
from codesign.verify.synth import Family, synthesize
from codesign.verify.synth_timing import WIRE_PS

FAMILIES: dict[str, Family] = {"7series": "xc7", "ultrascale+": "xcup"}  # by the name in a device's file


def synth(experiment: Experiment, *, family: Family | None = None, place_too: bool = False) -> dict[str, Any]:
    """What the design takes and its longest path, for the family of the plan's device unless another is named.

    The sources are read as they lie in rtl/src, edited by hand or not. Raises ToolError when a tool is missing or fails.
    """
    need_rtl(experiment)
    folder, design = experiment.folder, load_rtl_design(experiment)
    device = load_device(design.plan.device)
    chosen: Family = family or FAMILIES[device.family]
    sources, cache = load_sources(folder.rtl / "src", design.top).files, folder.rtl / "build"
    with experiment.locked():
        experiment.say(f"synth: {design.top} for {chosen}, which takes minutes the first time")
        result = synthesize(sources, design.top, family=chosen, cache=cache)
        estimate = rtl_resources(design.dataflow)
        report: dict[str, Any] = {
            **result.to_json(),
            "method": f"flattened, longest path with {WIRE_PS} ps in every net, 7-series delays",
            "device": device.name,
            "share_percent": _shares(
                result.to_json(), {"lut": device.lut, "ff": device.ff, "dsp": device.dsp, "bram18": device.bram18}
            ),
            "estimate": {**asdict(estimate), "off_percent": _errors(result.to_json(), estimate)},
            "units": {name: asdict(row) for name, row in rtl_breakdown(design.dataflow).items()},
            "source": f"synthesized, {result.tool}; estimate and units computed from structure",
        }
        if place_too:
            experiment.say("synth: place and route for an ECP5, which takes minutes")
            report["place"] = place(sources, design.top, cache=cache).to_json()
        folder.update_metrics(f"synth_{chosen}", report)
    return report


def _shares(counts: dict[str, Any], have: dict[str, int]) -> dict[str, float]:
    """Per cent of the device."""
    return {name: round(100 * counts[name] / number, 1) for name, number in have.items()}


def _errors(counts: dict[str, Any], estimate: Resources) -> dict[str, float | None]:
    """How far the estimate is off, in per cent of what was synthesized; None where that is nothing."""
    rows = asdict(estimate).items()
    return {name: round(100 * (value / counts[name] - 1), 1) if counts[name] else None for name, value in rows}
