"""What an HLS design takes and how fast it is, with bands: cycles by its schedules, resources by the rules of `plan/budget.py`.

The rules aim at the netlist behind synthesis; `as_csynth` says what csynth prints for the same design. A model that is
calibrated on csynth reports comes in through `CsynthModel`: it prices a process as csynth does, and the ratios here bring that
to the netlist instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import ceil

from codesign.cost.figures import Figure
from codesign.devices import Device
from codesign.plan.budget import SHELL, Resources, channel_price, price
from codesign.plan.dataflow import Dataflow, Process
from codesign.plan.fifos import deepest
from codesign.plan.timing import depth_of, simulate

KINDS = ("dsp", "lut", "ff", "bram18")
Rows = Mapping[str, Resources]

# Prices one process as csynth prints it: (value, low, high) by kind; None where it does not know the process.
CsynthModel = Callable[[Process, Device], Mapping[str, tuple[float, float, float]] | None]

# Synthesis over csynth: middle, least, most (docs/estimates.md).
AFTER_SYNTHESIS: Mapping[str, tuple[float, float, float]] = {
    "dsp": (1.0, 1.0, 1.0),
    "lut": (0.46, 0.30, 0.62),
    "ff": (0.80, 0.64, 0.86),
    "bram18": (0.73, 0.73, 1.0),
}
RATIO_SOURCE = (
    "rules of plan/budget.py over the ratio of synthesis to csynth: 18 hls4ml designs of one repository "
    "(pominiq/DNNonSilicon, Vivado 2020.1)"
)
# Of the estimate behind synthesis: the spread of those ratios about their middle (LUT 0.65 to 1.35), widened because the
# error of the rules over whole designs has not been measured.
SYNTHESIS_BAND: Mapping[str, tuple[float, float]] = {
    "dsp": (0.9, 1.1),
    "lut": (0.6, 1.5),
    "ff": (0.6, 1.4),
    "bram18": (0.8, 1.4),
}
BAND_SOURCE = "rules of plan/budget.py, which aim at the netlist; the band is assumed (docs/cost.md)"


def hls_rows(dataflow: Dataflow, device: Device) -> dict[str, Resources]:
    """Every process, all FIFOs and the DMA shell behind synthesis; they add up to `budget.total`."""
    pads = device.pads_bram
    rows = {p.name: price(p.op, p.folding, p.types, pads, p.fabric) for p in dataflow.processes}
    rows["FIFOs"] = sum((channel_price(c, pads) for c in dataflow.channels), Resources())
    return rows | ({"shell": SHELL} if device.processor else {})


def as_csynth(dataflow: Dataflow, device: Device, rows: Rows, model: CsynthModel | None = None) -> dict[str, Figure]:
    """What csynth prints for the design, by kind; the shell, which csynth never sees, is left out."""
    known = {p.name: found for p in dataflow.processes if model and (found := model(p, device))}
    figures: dict[str, Figure] = {}
    for kind in KINDS:
        figure = Figure.exact(0, kind, RATIO_SOURCE)
        for name, row in rows.items():
            if name != "shell":
                figure += _csynth(kind, row, known.get(name))
        figures[kind] = figure.said(
            RATIO_SOURCE + (f"; {len(known)} processes by the calibrated model" if known else "")
        )
    return figures


def _csynth(kind: str, row: Resources, known: Mapping[str, tuple[float, float, float]] | None) -> Figure:
    if known is not None and kind in known:
        return Figure(*known[kind], kind)
    count = getattr(row, kind)
    middle, least, most = AFTER_SYNTHESIS[kind]
    return Figure(count / middle, count / most, count / least, kind)


def behind_synthesis(rows: Rows) -> dict[str, Figure]:
    """What synthesis makes of the design, the shell included, by kind."""
    whole = sum(rows.values(), Resources())
    return {kind: Figure.around(getattr(whole, kind), *SYNTHESIS_BAND[kind], kind, BAND_SOURCE) for kind in KINDS}


def hls_interval(dataflow: Dataflow) -> Figure:
    """Cycles between frames: the busiest process; at most with pipelines twice as deep as estimated, and a cycle of DATAFLOW."""
    deep = deepest(dataflow)
    worst = max(p.cycles + (deep[p.name] - depth_of(p) if p.drain else 0) for p in dataflow.processes)
    least = replace(dataflow, processes=tuple(replace(p, drain=0) for p in dataflow.processes)).bound
    source = "the op's own schedules; depth of pipelines estimated (docs/estimates.md)"
    return Figure(dataflow.bound, least, max(worst, dataflow.bound) + 1, "cycles", source)


@lru_cache(maxsize=64)  # devices often share a plan
def hls_latency(dataflow: Dataflow, planned: int) -> Figure:
    """Cycles of a batch of one frame, with pipelines half and at most twice as deep as estimated."""
    half = {p.name: ceil(depth_of(p) / 2) for p in dataflow.processes}
    low, high = (
        simulate(dataflow, 1, pipeline=depths, stalling=True).latency_cycles for depths in (half, deepest(dataflow))
    )
    source = "simulated schedules, pipelines as deep as estimated, half of it and at most (plan/timing.py)"
    return Figure(planned, min(low, planned), max(high, planned), "cycles", source)
