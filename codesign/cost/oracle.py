"""estimate: every cost of a design before anything is built: cycles, resources, watts, energy, and what holds it back.

Needs numpy and nothing else. Each figure has a band and says where it comes from; docs/cost.md has the whole story.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from codesign.cost.bottleneck import Bottleneck, bottleneck
from codesign.cost.figures import Figure
from codesign.cost.hls import KINDS, CsynthModel, as_csynth, behind_synthesis, hls_interval, hls_latency, hls_rows
from codesign.cost.power import Power, coefficients, power
from codesign.devices import Device, load_device
from codesign.ir.graph import Graph
from codesign.plan.budget import SHELL, Resources, price
from codesign.plan.dataflow import Dataflow, Process
from codesign.plan.plan import Plan, realize

if TYPE_CHECKING:
    from codesign.cost.correction import Correction

Backend = Literal["hls", "rtl"]
BACKENDS: tuple[Backend, ...] = ("hls", "rtl")

# The netlist over the estimate, at worst, of whole designs that nothing was fitted to (docs/estimates.md).
RTL_BAND: Mapping[str, tuple[float, float]] = {
    "dsp": (0.97, 1.03),
    "lut": (0.88, 1.27),
    "ff": (0.90, 1.06),
    "bram18": (1.0, 1.0),
}
RTL_SOURCE = "structure of the units and Yosys's netlists for 7-series (docs/estimates.md)"
RTL_ELSEWHERE = 1.15  # the estimate speaks of 7-series: on another family the band is this much wider, assumed


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """One process, or a row for what belongs to none (FIFOs, shell, ports) with 0 cycles; `dynamic_mw` is typical."""

    name: str
    op: str
    lanes: int
    pe: int
    simd: int
    cycles: int
    resources: Resources
    dynamic_mw: float

    def to_json(self) -> dict[str, Any]:
        shape = {"name": self.name, "op": self.op, "lanes": self.lanes, "pe": self.pe, "simd": self.simd}
        taken = {kind: getattr(self.resources, kind) for kind in KINDS}
        return {**shape, "cycles": self.cycles, **taken, "dynamic_mw": round(self.dynamic_mw, 3)}


@dataclass(frozen=True, slots=True)
class Energy:
    """Microjoules a frame. `board`: the whole board for one interval of a long run; `dynamic`: the logic of the PL alone, a
    difference to the same board idle; `alone`: the whole board for a frame on its own, from its first word to its result."""

    board: Figure
    dynamic: Figure
    alone: Figure

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).to_json() for name in ("board", "dynamic", "alone")}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A design on a device. Resources by kind: `synthesis` for the netlist with the shell, `csynth` for what an HLS tool prints
    (empty for RTL); `shares` are those of the device, at the figure's value."""

    network: str
    device: str
    backend: Backend
    clock_mhz: float
    interval_cycles: Figure
    latency_cycles: Figure
    synthesis: Mapping[str, Figure]
    csynth: Mapping[str, Figure]
    shares: Mapping[str, float]
    power: Power
    energy: Energy
    processes: tuple[ProcessCost, ...]
    bottleneck: Bottleneck

    @property
    def latency_us(self) -> Figure:
        return self.latency_cycles.over(self.clock_mhz, "us")

    @property
    def frames_per_second(self) -> Figure:
        f = self.interval_cycles
        hz = self.clock_mhz * 1e6
        return Figure(hz / f.value, hz / f.high, hz / f.low, "frames/s", f.source)

    @property
    def fits(self) -> str:
        """`yes`, `no`, or `perhaps` where only a part of the band fits the device."""
        if all(share <= 1 for share in self._shares("high")):
            return "yes"
        return "perhaps" if all(share <= 1 for share in self._shares("low")) else "no"

    def _shares(self, end: str) -> list[float]:
        return [
            self.shares[kind] * getattr(figure, end) / figure.value if figure.value else 0.0
            for kind, figure in self.synthesis.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Every figure as JSON can hold it."""
        return {
            "format": "codesign-estimate-1",
            "network": self.network,
            "device": self.device,
            "backend": self.backend,
            "clock_mhz": self.clock_mhz,
            "interval_cycles": self.interval_cycles.to_json(),
            "latency_cycles": self.latency_cycles.to_json(),
            "latency_us": self.latency_us.to_json(),
            "frames_per_second": self.frames_per_second.to_json(),
            "resources": {
                kind: {"synthesis": figure.to_json(), "share": round(self.shares[kind], 4)}
                | ({"csynth": self.csynth[kind].to_json()} if self.csynth else {})
                for kind, figure in self.synthesis.items()
            },
            "fits": self.fits,
            "power_w": self.power.to_json(),
            "energy_uj": self.energy.to_json(),
            "processes": [row.to_json() for row in self.processes],
            "bottleneck": self.bottleneck.to_json(),
        }


def estimate(
    graph: Graph,
    plan: Plan,
    device: Device | str | None = None,
    backend: Backend = "hls",
    *,
    clock_mhz: float | None = None,
    csynth_model: CsynthModel | None = None,
    correction: Correction | None = None,
    quick: bool = False,
) -> Estimate:
    """The cost of `graph` (a head: the path to its exit) under `plan`, on the plan's device and clock unless others are given.

    Cycles of RTL are exact; those of HLS have the band of pipelines that the tool may make deeper. `quick` gives the latency
    of RTL a band too: where FIFOs hold processes back, the exact one can take half a minute to settle. A `correction` of this
    backend moves resources, and watts with them. Raises FoldingError for a plan of another graph.
    """
    part = device if isinstance(device, Device) else load_device(device or plan.device)
    clock = clock_mhz or plan.clock_mhz
    dataflow = realize(graph, plan)
    if backend == "rtl":
        return _rtl(graph.name, dataflow, part, clock, correction, quick=quick)
    rows = hls_rows(dataflow, part)
    pads = part.pads_bram
    hold = bottleneck(dataflow, part, _sum(rows), lambda p: price(p.op, p.folding, p.types, pads, p.fabric))
    interval, latency = hls_interval(dataflow), hls_latency(dataflow, plan.latency_cycles)
    taken, printed = behind_synthesis(rows), as_csynth(dataflow, part, rows, csynth_model)
    taken = _corrected(taken, correction)
    return _estimate(graph.name, dataflow, part, "hls", clock, (interval, latency), rows, taken, printed, hold)


def _rtl(
    name: str, dataflow: Dataflow, device: Device, clock_mhz: float, correction: Correction | None, *, quick: bool
) -> Estimate:
    # What only this backend needs is imported here: an estimate has 0.3 s in all.
    from codesign.cost.latency import EXACT, rtl_latency
    from codesign.cost.rtl import rtl_breakdown, unit_price
    from codesign.plan.exact import for_rtl

    dataflow = for_rtl(dataflow)
    rows = dict(rtl_breakdown(dataflow))
    fifos = [name for name in rows if name.endswith(" (FIFO)")]
    rows["FIFOs"] = sum((rows.pop(name) for name in fifos), Resources())
    if device.processor:
        rows["shell"] = SHELL
    cycles = Figure.exact(dataflow.bound, "cycles", EXACT), rtl_latency(dataflow, quick=quick)
    whole, wider = _sum(rows), 1.0 if device.family == "7series" else RTL_ELSEWHERE
    taken = {
        kind: Figure.around(getattr(whole, kind), low / wider, high * wider, kind, RTL_SOURCE)
        for kind, (low, high) in RTL_BAND.items()
    }
    taken = _corrected(taken, correction)
    hold = bottleneck(dataflow, device, whole, lambda p: unit_price(p.op, p.folding, p.types))
    return _estimate(name, dataflow, device, "rtl", clock_mhz, cycles, rows, taken, {}, hold)


def _estimate(
    name: str,
    dataflow: Dataflow,
    device: Device,
    backend: Backend,
    clock_mhz: float,
    cycles: tuple[Figure, Figure],
    rows: Mapping[str, Resources],
    taken: Mapping[str, Figure],
    printed: Mapping[str, Figure],
    hold: Bottleneck,
) -> Estimate:
    interval, latency = cycles
    whole = Resources(**{kind: round(figure.value) for kind, figure in taken.items()})
    watts = power(whole, device, clock_mhz, spread=_spread(taken))
    by_name, draw = {p.name: p for p in dataflow.processes}, coefficients(device.family)
    processes = tuple(_process(n, by_name.get(n), r, 1e3 * draw.watts(r, clock_mhz)) for n, r in rows.items())
    shares = {kind: getattr(whole, kind) / getattr(device, kind) for kind in taken}
    energy = energy_of(watts, interval.over(clock_mhz, "us"), latency.over(clock_mhz, "us"))
    return Estimate(
        name, device.name, backend, clock_mhz, interval, latency, taken, printed, shares, watts, energy, processes, hold
    )


def energy_of(watts: Power, interval_us: Figure, latency_us: Figure) -> Energy:
    """Power times time; watts times microseconds are microjoules."""
    whose = f"board ({watts.board_name}) power times"
    return Energy(
        watts.board.times(interval_us, "uJ", f"{whose} the interval; {watts.board.source}"),
        watts.dynamic.times(interval_us, "uJ", f"dynamic power of the PL times the interval; {watts.dynamic.source}"),
        watts.board.times(latency_us, "uJ", f"{whose} the latency; {watts.board.source}"),
    )


def _process(name: str, process: Process | None, taken: Resources, milliwatts: float) -> ProcessCost:
    if process is None:
        return ProcessCost(name, "", 0, 0, 0, 0, taken, milliwatts)
    f = process.folding
    return ProcessCost(process.node or name, process.op.name, f.lanes, f.pe, f.simd, process.cycles, taken, milliwatts)


def _corrected(taken: Mapping[str, Figure], correction: Correction | None) -> Mapping[str, Figure]:
    return {kind: correction.figure(kind, figure) for kind, figure in taken.items()} if correction else taken


def _spread(taken: Mapping[str, Figure]) -> float:
    """By what factor LUTs, which most of the power goes with, may be off."""
    lut = taken["lut"]
    return max(lut.high / lut.value, lut.value / lut.low) if lut.value else 1.0


def _sum(rows: Mapping[str, Resources]) -> Resources:
    return sum(rows.values(), Resources())
