"""`codesign calibrate`: fit the model of single HLS layers to published reports, and judge it by repositories held out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from codesign.errors import ConfigError
from codesign.files import read_json, write_atomic

if TYPE_CHECKING:
    from codesign.cost.layers.crossval import Judged
    from codesign.cost.layers.report import Report

VARIABLE = "CODESIGN_TABLES"
TABLE = "csynth_calibrate.json"
BOUNDS: Mapping[str, float] = {
    "cycles_within_5_percent": 0.90,
    "dsp_within_1": 0.80,
    "bram18_within_1": 0.80,
    "lut_median_error": 0.30,
    "ff_median_error": 0.30,
}
COLUMNS = ("layers", "repositories", *BOUNDS)


def check(table: str = "") -> dict[str, Any]:
    """The cross-validated errors, by bound, by kind of layer and by repository.

    Every report is judged by coefficients that were fitted without any report of its repository.
    """
    from codesign.cost.layers.crossval import cross_validate, layers_of, owner

    path, reports = _reports(table)
    layers = layers_of(reports)
    method = "every repository judged by coefficients fitted to the other repositories"
    answer = {"table": str(path), "method": method, **_summary(reports, cross_validate(layers))}
    apart = _figures(cross_validate(layers, owner))
    return {**answer, "owners_held_out": {name: apart[name] for name in ("lut_median_error", "ff_median_error")}}


def judge_table(table: str) -> dict[str, Any]:
    """The errors of the shipped coefficients on other reports of the same JSON form."""
    from codesign.cost.layers.crossval import judge, layers_of
    from codesign.cost.layers.model import shipped

    path, reports = _reports(table)
    judged = [judge(report, shipped()) for report in layers_of(reports)]
    method = f"judged by the shipped coefficients: {shipped().source}"
    return {"table": str(path), "method": method, **_summary(reports, judged), "layers_judged": _each(judged)}


def fit_table(table: str = "", out: str = "") -> dict[str, Any]:
    """Fits the coefficients to all reports and writes them with their bands and runs; returns what was written."""
    from codesign.cost.layers.crossval import bands, cross_validate, fitted, layers_of

    path, reports = _reports(table)
    layers = layers_of(reports)
    coefficients = fitted(layers)
    target = Path(out) if out else _shipped_file()
    text = _toml(path.name, layers, coefficients.lut, coefficients.ff, bands(cross_validate(layers)))
    write_atomic(target, text)
    return {
        "file": str(target),
        "layers": len(layers),
        "lut": dict(coefficients.lut),
        "ff": dict(coefficients.ff),
    }


def holds(answer: Mapping[str, Any]) -> bool:
    """Whether every bound is met."""
    return all(row["ok"] for row in answer["bounds"].values())


def _shipped_file() -> Path:
    from codesign.cost.layers.model import FILE

    return Path(__file__).parents[1] / "cost" / FILE


def _reports(table: str) -> tuple[Path, list[Report]]:
    from codesign.cost.layers.report import read_report

    path = Path(table) if table else _default_table()
    value = read_json(path, hint="name a table of synthesis reports, or set CODESIGN_TABLES to the folder that has it")
    if not isinstance(value, list) or not value:
        raise ConfigError("this is no list of reports", where=str(path), hint=f"see {TABLE}: one object a report")
    reports: list[Report] = []
    for index, entry in enumerate(cast(list[Mapping[str, Any]], value)):
        try:
            reports.append(read_report(entry))
        except KeyError as error:
            what = f"report {index} has no {error.args[0]!r}"
            raise ConfigError(what, where=str(path), hint="a report has an id, a source and its resources") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"report {index}: {error}", where=str(path), hint=f"see {TABLE} for its form") from error
    return path, reports


def _default_table() -> Path:
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        raise ConfigError(
            f"{VARIABLE} is not set, so there are no published reports to calibrate on",
            where="calibrate",
            hint=f"set {VARIABLE} to the folder that has {TABLE}, or name a table with --table",
        )
    return Path(folder) / TABLE


def _summary(reports: Sequence[Report], judged: Sequence[Judged]) -> dict[str, Any]:
    figures = _figures(judged)
    return {
        "reports": len(reports),
        "networks_left_out": len(reports) - len(judged),
        "bounds": {
            name: {"value": figures[name], "bound": bound, "ok": _meets(name, figures[name], bound)}
            for name, bound in BOUNDS.items()
        },
        "layers_with_known_loops": sum(j.bare_cycles is not None for j in judged),
        **figures,
        "beside": _beside(judged),
        "kinds": _by(judged, lambda j: j.report.description.layer.kind, "kind"),
        "held_out": _by(judged, lambda j: j.report.repository, "repository"),
    }


def _figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """The figures of the bounds over these layers; None where there is nothing to judge."""
    known = [j for j in judged if j.bare_cycles is not None and j.report.cycles is not None]
    return {
        "layers": len(judged),
        "repositories": len({j.report.repository for j in judged}),
        "cycles_within_5_percent": _share(_off(j.predicted.cycles, j.report.cycles) <= 0.05 for j in known),
        "dsp_within_1": _share(abs(j.predicted.dsp - j.report.used["dsp"]) <= 1 for j in judged),
        "bram18_within_1": _share(abs(j.predicted.bram18 - j.report.used["bram18"]) <= 1 for j in judged),
        "lut_median_error": _middle(_off(j.predicted.lut, j.report.used["lut"]) for j in judged),
        "ff_median_error": _middle(_off(j.predicted.ff, j.report.used["ff"]) for j in judged),
    }


def _beside(judged: Sequence[Judged]) -> dict[str, Any]:
    """What the bounds do not say: exact counts, less to go on, and more."""
    sized = [j for j in judged if j.report.sized and j.report.cycles is not None]
    known = [j for j in judged if j.bare_cycles is not None and j.report.cycles is not None]
    return {
        "cycles_exact": _share(j.predicted.cycles == j.report.cycles for j in known),
        "cycles_from_inner_loops_within_5_percent": _share(
            _off(j.bare_cycles or 0, j.report.cycles) <= 0.05 for j in known
        ),
        "dsp_exact": _share(j.predicted.dsp == j.report.used["dsp"] for j in judged),
        "bram18_exact": _share(j.predicted.bram18 == j.report.used["bram18"] for j in judged),
        "bram18_within_1_of_listed_memories": _share(
            abs(j.listed.bram18 - j.report.used["bram18"]) <= 1 for j in judged
        ),
        "lut_median_error_of_implementations": _middle(_implementations(judged, "lut")),
        "ff_median_error_of_implementations": _middle(_implementations(judged, "ff")),
        "lut_within_30_percent": _share(_off(j.predicted.lut, j.report.used["lut"]) <= 0.3 for j in judged),
        "ff_within_30_percent": _share(_off(j.predicted.ff, j.report.used["ff"]) <= 0.3 for j in judged),
        "description_alone": {
            "layers": len(sized),
            "cycles_within_5_percent": _share(_off(j.alone.cycles, j.report.cycles) <= 0.05 for j in sized),
            "cycles_median_error": _middle(_off(j.alone.cycles, j.report.cycles) for j in sized),
            "dsp_within_1": _share(abs(j.alone.dsp - j.report.used["dsp"]) <= 1 for j in sized),
            "bram18_within_1": _share(abs(j.alone.bram18 - j.report.used["bram18"]) <= 1 for j in sized),
            "lut_median_error": _middle(_off(j.alone.lut, j.report.used["lut"]) for j in sized),
            "ff_median_error": _middle(_off(j.alone.ff, j.report.used["ff"]) for j in sized),
        },
    }


def _implementations(judged: Sequence[Judged], resource: str) -> list[float]:
    """One error for every layer type of a repository, however often the repository has it."""
    errors: dict[tuple[str, str], list[float]] = {}
    for j in judged:
        off = _off(getattr(j.predicted, resource), j.report.used[resource])
        errors.setdefault((j.report.repository, j.report.description.family), []).append(off)
    return [median(values) for values in errors.values()]


def _by(judged: Sequence[Judged], key: Callable[[Judged], str], name: str) -> list[dict[str, Any]]:
    return [{name: value, **_figures([j for j in judged if key(j) == value])} for value in sorted({*map(key, judged)})]


def _each(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    names = ("dsp", "bram18", "lut", "ff")
    return [
        {
            "id": j.report.name,
            "kind": j.report.description.layer.kind,
            "cycles": [j.predicted.cycles, j.report.cycles],
            **{name: [getattr(j.predicted, name), j.report.used[name]] for name in names},
        }
        for j in judged
    ]


def _off(predicted: int, reported: int | None) -> float:
    return abs(predicted - (reported or 0)) / max(1, reported or 0)


def _share(hits: Iterable[bool]) -> float | None:
    values = list(hits)
    return round(sum(values) / len(values), 4) if values else None


def _middle(errors: Iterable[float]) -> float | None:
    values = list(errors)
    return round(median(values), 4) if values else None


def _meets(name: str, value: float | None, bound: float) -> bool:
    if value is None:
        return False
    return value <= bound if name.endswith("_error") else value >= bound


def _toml(
    table: str,
    layers: Sequence[Report],
    lut: Mapping[str, float],
    ff: Mapping[str, float],
    bands: Mapping[str, Mapping[str, tuple[float, float]]],
) -> str:
    repositories = sorted({r.repository for r in layers})
    lines = [
        "# What LUT and FF of an HLS layer are made of, as csynth counts them. Written by `codesign calibrate --fit`.",
        "# A part that no report has keeps the figure of the operator tables: codesign/cost/layers/parts.py.",
        f'source = "fitted to {len(layers)} layers of {len(repositories)} repositories in {table}"',
        "",
        "[lut]",
        *(f"{name} = {value:.4g}" for name, value in lut.items()),
        "",
        "[ff]",
        *(f"{name} = {value:.4g}" for name, value in ff.items()),
    ]
    lines += [
        "",
        "# Reported against predicted at 10 and 90 % of the layers, each predicted from its description alone by",
        "# coefficients that have not seen its repository: a ratio, of dsp and bram18 a difference.",
    ]
    for resource, rows in bands.items():
        lines += [
            f"[bands.{resource}]",
            *(f"{kind} = [{low}, {high}]" for kind, (low, high) in rows.items()),
            "",
        ]
    lines += ["[repositories]", "# layers of each that were fitted to"]
    lines += [f'"{name}" = {sum(r.repository == name for r in layers)}' for name in repositories]
    return "\n".join(lines) + "\n"
