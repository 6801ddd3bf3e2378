"""Estimates beside what tools found: cycles against RTL simulation, resources against synthesis, both against the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from codesign.cost.figures import Figure
from codesign.cost.oracle import Estimate
from codesign.cost.rtl import rtl_breakdown, rtl_resources
from codesign.devices import Device
from codesign.plan.balance import FRACTION
from codesign.report.costs import Costs
from codesign.report.figures import Kind, banded, number, ratio
from codesign.report.records import Design, Records

RESOURCES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity of one backend: estimated, and found by simulation or synthesis; `off` is the estimate's error as a
    share of what was found. `command` finds it where `found` is empty, or anew where it is of an `earlier` design.
    """

    backend: str
    what: str
    unit: str
    estimate: str
    estimate_source: str
    found: str
    kind: Kind
    source: str
    off: float | None
    command: str = ""
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a resource, by whom; shares of what the device has, with a band where it is an estimate's."""

    who: str
    kind: Kind
    count: str
    share: float
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One resource of the device, and how much of it a plan may fill."""

    name: str
    have: int
    budget: float
    levels: tuple[Level, ...]


def comparisons(records: Records, design: Design, costs: Costs) -> tuple[Comparison, ...]:
    """Cycles, resources and clock of both backends."""
    return (*_cycles(records, costs), *_synthesized(records, design), *_built(records))


def _cycles(records: Records, costs: Costs) -> Iterable[Comparison]:
    """A simulation of an earlier design is held against the cycles that were computed for that."""
    section, earlier, command = records.section("rtlsim"), rtl_changed(records, costs), "codesign rtlsim RUN"
    for what, figure in (("interval", costs.rtl.interval_cycles), ("latency", costs.rtl.latency_cycles)):
        if earlier:
            figure = Figure.exact(section[f"estimated_{what}_cycles"], "cycles", figure.source)
        found = section.get(f"{what}_cycles")
        yield _row("RTL", what, "cycles", figure, found, "simulated", str(section.get("tool", "")), command, earlier)
    for what, figure in (("interval", costs.hls.interval_cycles), ("latency", costs.hls.latency_cycles)):
        yield _row("HLS", what, "cycles", figure, None, "simulated", "", "")


def _synthesized(records: Records, design: Design) -> Iterable[Comparison]:
    """The design without its DMA, and its clock. What was synthesized is held against the estimate of its own time."""
    section, family = synthesis(records)
    earlier, command = synthesis_changed(section, design), "codesign synth RUN"
    estimate = section.get("estimate") or asdict(rtl_resources(design.rtl))
    tool = f"{section.get('tool', '')}, {family}"
    for key, name in RESOURCES.items():
        figure = Figure.exact(estimate[key], key, "structure of the units (codesign.cost), without DMA")
        yield _row("RTL", name, "", figure, section.get(key), "synthesized", tool, command, earlier)
    period, path = 1000 / design.plan.clock_mhz, section.get("critical_path_ns")
    text = "" if path is None else number(path, 2)
    source = f"{tool}; {section.get('method', '')}" if section else ""
    limit = "period of the clock, the limit"
    yield Comparison(
        "RTL", "longest path", "ns", number(period, 2), limit, text, "synthesized", source, None, command, earlier
    )


def _built(records: Records) -> Iterable[Comparison]:
    """What Vivado reported for a board, beside its estimate."""
    for section in sorted(name for name in (records.metrics or {}) if name.startswith("bitstream_")):
        built, board = records.section(section), section.removeprefix("bitstream_")
        for part in ("accelerator", "design"):
            table = built.get("estimate", {}).get(part, {})
            for key, row in table.get("resources", {}).items():
                figure = Figure.exact(row["estimated"], key, str(table.get("source", "")))
                name, tool = f"{RESOURCES.get(key, key)} ({part})", str(built.get("source", ""))
                yield _row(board, name, "", figure, row["reported"], "synthesized", tool, "")


def _row(
    backend: str,
    what: str,
    unit: str,
    figure: Figure,
    found: float | None,
    kind: Kind,
    tool: str,
    command: str,
    earlier: bool = False,
) -> Comparison:
    estimate = (banded(figure), figure.source)
    if found is None:
        return Comparison(backend, what, unit, *estimate, "", kind, "", None, command)
    text = number(found, 0 if float(found).is_integer() else 1)
    return Comparison(backend, what, unit, *estimate, text, kind, tool, ratio(figure.value, found), command, earlier)


def rtl_changed(records: Records, costs: Costs) -> bool:
    """Whether the RTL has other cycles now than when it was simulated."""
    found = records.section("rtlsim")
    was = (found.get("estimated_interval_cycles"), found.get("estimated_latency_cycles"))
    return bool(found) and was != (costs.rtl.interval_cycles.value, costs.rtl.latency_cycles.value)


def rtl_confirmed(records: Records, costs: Costs) -> bool:
    """Whether RTL simulation counted, of this design, what was computed."""
    found = records.section("rtlsim")
    now = (costs.rtl.interval_cycles.value, costs.rtl.latency_cycles.value)
    return now == (found.get("interval_cycles"), found.get("latency_cycles"))


def synthesis_changed(found: Mapping[str, Any], design: Design) -> bool:
    """Whether the units that were synthesized, or what is thought of them, are not those of the design now."""
    return bool(found) and found.get("units") != {n: asdict(r) for n, r in rtl_breakdown(design.rtl).items()}


def synthesis(records: Records) -> tuple[Mapping[str, Any], str]:
    """Section and family of the synthesis for the device's family, of another one where there is no other; empty without."""
    families = {"7series": ("xc7", "xcup"), "ultrascale+": ("xcup", "xc7")}[records.device.family]
    for family in families:
        if found := records.section(f"synth_{family}"):
            return found, family
    return {}, ""


def bars(records: Records, design: Design, costs: Costs, device: Device) -> tuple[Bar, ...]:
    """How full each backend's design makes the device."""
    found, family = synthesis(records)
    when = ", earlier design" if synthesis_changed(found, design) else ""
    answer: list[Bar] = []
    for key, name in RESOURCES.items():
        have = int(getattr(device, key))
        rows = [_level("HLS", costs.hls, key, have), _level("RTL", costs.rtl, key, have)]
        if found:
            rows.append(
                Level(f"RTL without DMA, {family}{when}", "synthesized", number(found[key]), found[key] / max(have, 1))
            )
        answer.append(Bar(name, have, 1.0 if key == "dsp" else FRACTION, tuple(rows)))
    return tuple(answer)


def _level(backend: str, each: Estimate, key: str, have: int) -> Level:
    figure = each.synthesis[key]
    ends = [end / max(have, 1) for end in (figure.value, figure.low, figure.high)]
    return Level(f"{backend} with DMA", "estimated", number(figure.value), *ends)
