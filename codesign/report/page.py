"""The report as one frozen value, made from a run's records, and the page that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from codesign.cost.oracle import Estimate
from codesign.emit.templates import environment
from codesign.plan.budget import Resources
from codesign.report.checks import Check, checks
from codesign.report.classes import Answers, answers
from codesign.report.compare import Bar, Comparison, bars, comparisons, rtl_changed, rtl_confirmed
from codesign.report.costs import Costs, costs_of
from codesign.report.figures import KINDS, Figure, banded, number, percent
from codesign.report.live import Series, live_json, series, table
from codesign.report.network import Layer, Stop, layers, stops
from codesign.report.records import Records
from codesign.report.software import Contest, contest
from codesign.report.sweep import DELTA, Sweep, labels, sweep
from codesign.report.widths import Widths, widths
from codesign.runtime.risk import Guarantee

TUNE = "codesign tune RUN --max-accuracy-drop 0.001"


@dataclass(frozen=True, slots=True)
class Need:
    """Something the page would show, why it does not, and the command that changes that."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page. Parts are empty or None where their records are missing; `needs` says what is.

    `live` is what the sliders look up, `steps` the same for readers without a script.
    """

    name: str
    lead: str
    dates: tuple[str, str]
    facts: tuple[tuple[str, str], ...]
    headline: tuple[Figure, ...]
    stops: tuple[Stop, ...]
    series: tuple[Series, ...]
    live: Mapping[str, Any] | None
    steps: tuple[tuple[str, bool, tuple[str, ...]], ...]
    layers: tuple[Layer, ...]
    totals: tuple[Resources, Resources]
    comparisons: tuple[Comparison, ...]
    confirmed: bool  # RTL simulation counted the cycles that were computed
    bars: tuple[Bar, ...]
    costs: Mapping[str, Estimate] | None
    checks: tuple[Check, ...]
    answers: Answers | None
    exits: tuple[str, ...]
    contest: Contest | None
    widths: Widths | None
    guarantee: Guarantee | None
    delta: float
    needs: tuple[Need, ...]
    sources: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain dict for `json`."""
        return asdict(self)


def page_of(records: Records) -> Page:
    """The report of a run, as far as its records go."""
    network, design = records.network, records.design
    costs = costs_of(records, network, design) if network and design else None
    guarantee: Mapping[str, Any] = (records.tune or {}).get("guarantee", {})
    swept = sweep(network, guarantee.get("delta", DELTA)) if network else None
    found = series(swept, costs, network.stages.names) if swept and costs and network else ()
    said = answers(network) if network else None
    rows = layers(design, costs) if design and costs else ()
    return Page(
        name=records.name,
        lead=_lead(records),
        dates=records.dates,
        facts=tuple(_facts(records, costs)),
        headline=tuple(_headline(said, swept, found, costs)),
        stops=stops(design, network, costs, [n / said.frames for n in said.stops_E])
        if design and network and costs and said
        else (),
        series=found,
        live=live_json(swept, found) if swept and found else None,
        steps=table(swept, found) if swept and found else (),
        layers=rows,
        totals=(sum((r.hls for r in rows), Resources()), sum((r.rtl for r in rows), Resources())),
        comparisons=comparisons(records, design, costs) if design and costs else (),
        confirmed=bool(costs) and rtl_confirmed(records, costs),
        bars=bars(records, design, costs, records.device) if design and costs else (),
        costs=None if costs is None else {"hls": costs.hls, "rtl": costs.rtl},
        checks=checks(records, rtl_changed=bool(costs and rtl_changed(records, costs))),
        answers=said,
        exits=network.stages.names if network else (),
        contest=contest(records),
        widths=widths(records),
        guarantee=_guarantee(guarantee) if guarantee else None,
        delta=swept.delta if swept else DELTA,
        needs=tuple(_needs(records, costs)),
        sources=tuple(_sources(records)),
        notes=records.notes,
    )


def render(page: Page) -> str:
    """The page as HTML: one file that needs nothing else. Names and texts are escaped, in HTML and in the script's data."""
    html = environment().overlay(autoescape=True)
    template = html.get_template("report/report.html.j2")
    return template.render(page=page, kinds=KINDS, number=number, percent=percent, banded=banded)


def _lead(records: Records) -> str:
    config, network = records.config, records.network
    where = f"{records.device.name} at {config['plan']['clock_mhz']:g} MHz"
    what = f"{config['model']['name']} on {config['data']['dataset']}"
    if network is None:
        return f"{what}, for an {where}. It is not quantized yet."
    names = network.stages.names
    return (
        f"{what}. An {where} runs the layers up to {names[0]} and decides there; a host finishes the frames that go on"
        f"{' at ' + ', '.join(names[1:]) if len(names) > 2 else ''}."
    )


def _guarantee(found: Mapping[str, Any]) -> Guarantee:
    named = {name: found[name] for name in ("epsilon", "delta", "n", "method")}
    return Guarantee(**named, spoiled=tuple(found["spoiled"]))


def _facts(records: Records, costs: Costs | None) -> Iterable[tuple[str, str]]:
    network, design, device = records.network, records.design, records.device
    yield "Device", f"{device.part}"
    yield "Clock", f"{records.config['plan']['clock_mhz']:g} MHz"
    if network:
        units = network.stages.units
        values = [labels(unit, [code])[0] for unit, code in zip(units, network.threshold_codes, strict=False)]
        yield "Exit rule", f"{units[0].criterion}, {'above' if network.above else 'below'} the threshold"
        yield "Threshold", f"{', '.join(values)} {units[0].unit}"
        yield "Chosen by", network.chosen
    if design and design.plan.goal:
        yield "Asked for", f"a frame every {number(design.plan.goal)} cycles"
    if costs:
        yield "Fits the device", f"HLS {costs.hls.fits}, RTL {costs.rtl.fits} (estimated)"


def _headline(
    said: Answers | None, swept: Sweep | None, found: tuple[Series, ...], costs: Costs | None
) -> Iterable[Figure]:
    if said is None or swept is None:
        return
    by = f"exact integer network on {number(said.frames)} recorded test frames"
    last = f"the last exit alone: {percent(said.right_at_last / said.frames)} %"
    early = sum(said.stops_E[:-1]) / said.frames
    yield Figure("Accuracy", percent(said.right / said.frames), "%", "counted", by, last)
    yield Figure(
        "Stop early",
        percent(early),
        "%",
        "counted",
        by,
        f"{number(said.frames - sum(said.stops_E[:-1]))} frames go on to the end",
    )
    if costs is None:
        return
    rows = {each.key: each for each in found}
    fps, us = costs.rtl.frames_per_second.value, costs.rtl.latency_us.value
    if "throughput" not in rows:
        schedule = "cycles from the schedule, at the clock"
        yield Figure(
            "Accelerator's rate",
            number(fps),
            "frames/s",
            "estimated",
            schedule,
            f"a frame every {number(costs.rtl.interval_cycles.value)} cycles",
        )
        yield Figure(
            "Accelerator's latency",
            number(us, 2),
            "µs",
            "estimated",
            schedule,
            f"latency, {number(costs.rtl.latency_cycles.value)} cycles",
        )
        return
    point = swept.at
    throughput, latency = rows["throughput"], rows["latency_us"]
    pace = (
        "the accelerator sets the pace"
        if throughput.values[point] > fps * (1 - 1e-6)
        else f"the host sets the pace; the accelerator takes {number(fps)}"
    )
    yield Figure("Throughput", throughput.text(point), throughput.unit, "estimated", throughput.source, pace)
    yield Figure(
        "Mean latency",
        latency.text(point),
        latency.unit,
        "estimated",
        latency.source,
        f"{number(us, 2)} µs for frames that stop first",
    )
    if energy := rows.get("energy_uj"):
        low, high = (number(band[point], energy.digits) for band in (energy.low, energy.high))
        yield Figure(
            "Energy a frame", energy.text(point), energy.unit, "estimated", energy.source, f"{low} to {high}", low, high
        )


def _needs(records: Records, costs: Costs | None) -> Iterable[Need]:
    if records.network is None:
        yield Need("The network and what it answers: accuracy, thresholds, the drawing", "codesign quantize RUN")
    if records.design is None:
        yield Need("The hardware: cycles, resources, speed", "codesign plan RUN")
    elif costs and costs.host is None and records.network:
        yield Need("Throughput, latency and energy of the whole cascade: nobody has measured the host", TUNE)
    if records.network and not records.tune and not records.section("evaluate").get("policy"):
        yield Need("Thresholds for a goal, with their guarantee", TUNE)
    if not records.section("bench"):
        yield Need("The same frames all in software, timed", "codesign bench RUN")
    if records.design and not any(records.section(f"synth_{family}") for family in ("xc7", "xcup")):
        yield Need("Resources and longest path as synthesized", "codesign synth RUN")


def _sources(records: Records) -> Iterable[tuple[str, str]]:
    """What every record says of how its figures came about."""
    device = records.device
    yield f"device {device.name}", device.source
    for name, section in (records.metrics or {}).items():
        yield from _source(name, section.get("source"))
    if records.tune:
        yield from _source("tune", records.tune.get("source"))


def _source(name: str, said: Any) -> Iterable[tuple[str, str]]:
    if isinstance(said, Mapping):
        for what, how in cast(Mapping[str, Any], said).items():
            yield f"{name}: {what}", str(how)
    elif said:
        yield name, str(said)
