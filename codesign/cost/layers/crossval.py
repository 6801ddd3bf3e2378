"""How far the predictions are off: every repository judged by coefficients that were fitted to the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codesign.cost.layers.fit import fit
from codesign.cost.layers.model import Coefficients, Prediction, bare_cycles, predict
from codesign.cost.layers.report import Report

_FEW = 12  # layers of a kind, and
_REPOSITORIES = 3  # repositories, that a band of its own takes


@dataclass(frozen=True, slots=True)
class Judged:
    """A report beside what was predicted of it.

    `alone` is from the description without loops, `listed` with the memories that the report lists by words and bits,
    `bare_cycles` without the iteration latencies of outer loops; None where no loops are known.
    """

    report: Report
    predicted: Prediction
    alone: Prediction
    listed: Prediction
    bare_cycles: int | None


def layers_of(reports: Iterable[Report]) -> list[Report]:
    """The reports of single layers: a whole network is none."""
    return [r for r in reports if r.description.layer.kind != "network"]


def repository(report: Report) -> str:
    return report.repository


def owner(report: Report) -> str:
    """The account that a repository belongs to: one person's repositories resemble each other."""
    return report.repository.rpartition("/")[0]


def cross_validate(reports: Sequence[Report], group: Callable[[Report], str] = repository) -> list[Judged]:
    """Every report, judged by a fit that has seen no report of its group."""
    judged: list[Judged] = []
    for held_out in sorted({group(r) for r in reports}):
        seen = fitted([r for r in reports if group(r) != held_out])
        judged += [judge(r, seen) for r in reports if group(r) == held_out]
    return judged


def fitted(reports: Sequence[Report]) -> Coefficients:
    """Coefficients fitted to these reports, without bands."""
    return Coefficients(lut=fit(reports, "lut"), ff=fit(reports, "ff"))


def judge(report: Report, coefficients: Coefficients) -> Judged:
    d = report.description
    return Judged(
        report,
        predict(d, coefficients),
        predict(replace(d, loops=()), coefficients),
        predict(d, coefficients, with_memories=True),
        bare_cycles(d.loops) if d.loops else None,
    )


def bands(judged: Sequence[Judged]) -> dict[str, dict[str, tuple[float, float]]]:
    """Reported against predicted at 10 and 90 % of layers, by figure and kind ("any" for all), widened to hold equality.

    Predictions are from descriptions alone, as for a layer that nobody has synthesized. Cycles, LUT and FF are ratios,
    DSP and BRAM18, which are often 0, differences.
    """
    sized = [j for j in judged if j.report.sized and j.report.cycles is not None]
    result: dict[str, dict[str, tuple[float, float]]] = {}
    for resource in ("cycles", "dsp", "bram18", "lut", "ff"):
        rows = {"any": _band(sized, resource)}
        for kind in sorted({j.report.description.layer.kind for j in sized}):
            of_kind = [j for j in sized if j.report.description.layer.kind == kind]
            if len(of_kind) >= _FEW and len({j.report.repository for j in of_kind}) >= _REPOSITORIES:
                rows[kind] = _band(of_kind, resource)
        result[resource] = rows
    return result


def _band(judged: Sequence[Judged], resource: str) -> tuple[float, float]:
    counted = resource in ("dsp", "bram18")
    pairs = [
        (j.report.cycles or 0 if resource == "cycles" else j.report.used[resource], getattr(j.alone, resource))
        for j in judged
    ]
    apart = [seen - said if counted else max(1, seen) / max(1, said) for seen, said in pairs]
    low, high = np.quantile(apart, (0.1, 0.9))
    same = 0.0 if counted else 1.0
    return round(min(same, float(low)), 3), round(max(same, float(high)), 3)
