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
    """Reported over predicted at 10 and 90 % of layers, by resource and kind ("any" for all), widened to hold 1."""
    result: dict[str, dict[str, tuple[float, float]]] = {}
    for resource in ("lut", "ff"):
        rows = {"any": _band(judged, resource)}
        for kind in sorted({j.report.description.layer.kind for j in judged}):
            of_kind = [j for j in judged if j.report.description.layer.kind == kind]
            if len(of_kind) >= _FEW and len({j.report.repository for j in of_kind}) >= _REPOSITORIES:
                rows[kind] = _band(of_kind, resource)
        result[resource] = rows
    return result


def _band(judged: Sequence[Judged], resource: str) -> tuple[float, float]:
    ratios = [max(1, j.report.used[resource]) / getattr(j.predicted, resource) for j in judged]
    low, high = np.quantile(ratios, (0.1, 0.9))
    return round(min(1.0, float(low)), 3), round(max(1.0, float(high)), 3)
