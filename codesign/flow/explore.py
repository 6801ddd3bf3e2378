"""The explore step: the Pareto front of all foldings of a network on a device, and any of its points as a plan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.cost.oracle import Backend, estimate
from codesign.cost.pareto import Point, Work, front
from codesign.cost.points import config_table, planned
from codesign.cost.prices import Pricer
from codesign.cost.space import KINDS, Space, space
from codesign.devices import load_device
from codesign.errors import ConfigError
from codesign.flow.estimate import Network, find_network
from codesign.plan.plan import Plan, save_plan

MOST_DESIGNS = 100_000_000  # that are priced one by one without being told how many
METHOD = "exact: sums of the resources of all foldings, pruned where another undercuts them in every resource"
LEFT_OUT = (
    "resources of the front are with FIFOs of up to 32 beats; those of printed points are of whole plans, their FIFO depths "
    "computed"
)


@dataclass(frozen=True, slots=True)
class ExploreOptions:
    """`every` also prices all designs one by one, or the first `limit`; `pixels` has beats of 2 and 4 pixels among them."""

    device: str = ""
    backend: Backend = "hls"
    clock_mhz: float | None = None
    min_interval: int = 0
    max_interval: int = 1 << 62
    pixels: bool = False
    points: int = 16
    every: bool = False
    limit: int | None = None
    point: int | None = None
    write_plan: str | None = None


def explore(target: str | None, options: ExploreOptions, run: str | None = None) -> tuple[dict[str, Any], bool]:
    """The front of a target's designs, what it took to find it, and whether pricing all of them one by one agrees."""
    network = find_network(target, run)
    device = load_device(options.device or network.device or "xc7z020")
    clock = options.clock_mhz or network.clock_mhz
    begin = time.perf_counter()
    whole = space(network.cut.head, device, options.backend, several=options.pixels)
    work = Work()
    points = front(whole, least=options.min_interval, most=options.max_interval, work=work)
    seconds = time.perf_counter() - begin
    if not points:
        raise ConfigError(
            f"no design fits {device.name} within these bounds", where="explore", hint="allow more cycles"
        )
    shown = chosen(points, whole, options.points)
    rows = [_row(index, point, whole, options.backend, clock) for index, point in enumerate(shown)]
    answer: dict[str, Any] = {
        "network": network.cut.head.name,
        "source": network.source,
        "device": device.name,
        "backend": options.backend,
        "clock_mhz": clock,
        "designs": whole.designs,
        "front_points": len(points),
        "shown": rows,
        "front": [[p.interval_cycles, *p.taken] for p in points],
        "front_columns": ["interval_cycles", *KINDS],
        "method": METHOD,
        "left_out": LEFT_OUT,
        "priced": work.priced,
        "searches": work.bounds,
        "seconds": round(seconds, 3),
        "priced_per_s": round(work.priced / seconds),
    }
    agrees = True
    if options.every:
        answer["every"], agrees = _every(whole, points, options)
    if options.point is not None:
        answer["chosen"] = _hand_over(network, whole, shown, options, clock, target, run)
    return answer, agrees


def chosen(points: Sequence[Point], whole: Space, most: int) -> list[Point]:
    """Of every interval the point whose scarcest resource takes the least, as long as slower ones take less; evenly thinned."""
    least, line = float("inf"), list[Point]()
    for point in sorted(points, key=lambda p: (p.interval_cycles, scarcest(p, whole), p.taken)):
        if scarcest(point, whole) < least - 1e-12:
            least = scarcest(point, whole)
            if line and line[-1].interval_cycles == point.interval_cycles:
                continue
            line.append(point)
    if len(line) <= max(2, most):
        return line
    steps = [round(k * (len(line) - 1) / (most - 1)) for k in range(most)]
    return [line[step] for step in steps]


def scarcest(point: Point, whole: Space) -> float:
    """The largest share of the device that a resource takes."""
    return max(taken / getattr(whole.device, kind) for taken, kind in zip(point.taken, KINDS, strict=True))


def _row(index: int, point: Point, whole: Space, backend: Backend, clock_mhz: float) -> dict[str, Any]:
    """A point as the oracle prices its whole plan."""
    plan = planned(whole, point.picks, clock_mhz=clock_mhz)
    found = estimate(whole.graph, plan, whole.device, backend, quick=True)
    return {
        "point": index,
        "interval_cycles": point.interval_cycles,
        "frames_per_second": found.frames_per_second.value,
        "latency_us": found.latency_us.to_json(),
        "base": dict(zip(KINDS, point.taken, strict=True)),
        "resources": {kind: figure.to_json() for kind, figure in found.synthesis.items()},
        "shares": {kind: round(share, 4) for kind, share in found.shares.items()},
        "fits": found.fits,
        "energy_uj": found.energy.to_json(),
        "power_w": found.power.board.to_json(),
    }


def _every(whole: Space, points: Sequence[Point], options: ExploreOptions) -> tuple[dict[str, Any], bool]:
    """All designs priced one by one, and whether their front is the same."""
    if options.limit is None and whole.designs > MOST_DESIGNS:
        raise ConfigError(
            f"{whole.designs:.3g} designs take {whole.designs / 5e5 / 3600:.3g} hours one by one",
            where="--all",
            hint="the front is exact without; or price the first N with --limit N",
        )
    begin = time.perf_counter()
    count, found = Pricer(whole).front(options.limit)
    seconds = time.perf_counter() - begin
    inside = [row for row in found if options.min_interval <= row[0] <= options.max_interval]
    mine = {(p.interval_cycles, *p.taken) for p in points}
    whole_space = options.limit is None or count == whole.designs
    same = {tuple(row) for row in inside} == mine if whole_space else None
    facts = {"designs": count, "seconds": round(seconds, 3), "designs_per_s": round(count / seconds), "agrees": same}
    return facts, same is not False


def _hand_over(
    network: Network,
    whole: Space,
    shown: Sequence[Point],
    options: ExploreOptions,
    clock_mhz: float,
    target: str | None,
    run: str | None,
) -> dict[str, Any]:
    """A printed point as foldings for a config, and as a plan where that is asked for."""
    assert options.point is not None
    if not 0 <= options.point < len(shown):
        raise ConfigError(
            f"there is no point {options.point}", where="--point", hint=f"choose one of 0 to {len(shown) - 1}"
        )
    plan = planned(whole, shown[options.point].picks, clock_mhz=clock_mhz)
    table = config_table(plan, whole)
    lines = [f'"{name}" = [{pe}, {simd}]' for name, (pe, simd) in table.items()]
    answer: dict[str, Any] = {
        "point": options.point,
        "config": "\n".join(
            ["[plan]", f'device = "{whole.device.name}"', f"clock_mhz = {clock_mhz:g}", "", "[plan.foldings]", *lines]
        ),
    }
    if options.write_plan is not None:
        answer["plan"] = str(_write(network, plan, options.write_plan, target, run))
    return answer


def _write(network: Network, plan: Plan, where: str, target: str | None, run: str | None) -> Path:
    """The plan in a file, or in the run folder as the one that later steps use."""
    if where:
        save_plan(plan, Path(where))
        return Path(where)
    if network.folder is None or target is None:
        raise ConfigError(
            "there is no run folder with a graph to put the plan into",
            where="--write-plan",
            hint="run `codesign quantize` first, name a file, or put the foldings into the config",
        )
    from codesign.flow.experiment import open_experiment
    from codesign.flow.plan import plan_key
    from codesign.flow.records import record

    experiment = open_experiment(target, run)
    with experiment.locked():
        save_plan(plan, experiment.folder.plan)
        record(experiment.folder, "plan", plan_key(experiment))
    return experiment.folder.plan
