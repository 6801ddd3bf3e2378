"""Widths of a slimmable run: what every width and exit gets right and costs, and what the tuned policy makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codesign.report.figures import number, percent
from codesign.report.records import Records

WIDTH, HEIGHT = 560, 300  # of the plot, in its own units
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40
STEPS = (1, 2, 5)  # of the axes' figures, times powers of ten

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A width's exit. `accuracy` is counted on the test split, a share of 1; `cost` is of a frame, `share` of the last one's."""

    width: str
    exit: str
    accuracy: float
    cost: float
    energy_uj: float | None
    share: float
    at: Place


@dataclass(frozen=True, slots=True)
class Policy:
    """The tuned policy on the test split: stages as (width, exit, share of frames that stop there)."""

    stages: tuple[tuple[str, str, float], ...]
    accuracy: float
    last_alone: float
    cost: float
    saved: float
    energy_uj: float | None
    energy_saved: float | None
    promise: str
    at: Place


@dataclass(frozen=True, slots=True)
class Widths:
    """The table and the plot: accuracy over the cost on a logarithmic axis, a line for every exit."""

    rows: tuple[Row, ...]
    unit: str
    source: str
    policy: Policy | None
    lines: tuple[tuple[str, str], ...]  # an exit and its line's points, as SVG has them
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]

    @property
    def has_energy(self) -> bool:
        return any(row.energy_uj is not None for row in self.rows)

    @property
    def most(self) -> float:
        """What the dearest width and exit costs."""
        return max(row.cost for row in self.rows)


def widths(records: Records) -> Widths | None:
    """What `evaluate` found of a slimmable run; None of others, and without costs."""
    found = records.section("evaluate")
    if "widths" not in found or "costs" not in found:
        return None
    entries = [
        (f"{entry['width']:g}", name, float(entry["quantized"][name]), cost)
        for entry in found["widths"]
        for name, cost in entry["costs"].items()
    ]
    judged: Mapping[str, Any] | None = found.get("policy")
    unit = str(found["costs"]["unit"])
    if judged is not None and judged["cost_unit"] != unit:
        judged = None
    points = [(cost["cycles"], accuracy) for _, _, accuracy, cost in entries]
    if judged is not None:
        points.append((judged["cycles"], judged["accuracy"]))
    axes = _Axes(points)
    most = max(cost["cycles"] for _, _, _, cost in entries)
    rows = tuple(
        Row(
            width,
            name,
            accuracy,
            cycles := cost["cycles"],
            _uj(cost["energy_j"]),
            cycles / most,
            axes.at(cycles, accuracy),
        )
        for width, name, accuracy, cost in entries
    )
    exits = dict.fromkeys(row.exit for row in rows)
    return Widths(
        rows,
        unit,
        str(found["costs"]["source"]),
        None if judged is None else _policy(judged, axes),
        tuple(
            (name, " ".join(f"{x:.1f},{y:.1f}" for x, y in (r.at for r in rows if r.exit == name))) for name in exits
        ),
        axes.x_ticks,
        axes.y_ticks,
    )


def _policy(judged: Mapping[str, Any], axes: _Axes) -> Policy:
    promised, reference = judged["guarantee"], judged["reference"]
    energy, whole = judged["energy_j"], reference["energy_j"]
    return Policy(
        tuple((f"{stage['width']:g}", str(stage["exit"]), float(stage["rate"])) for stage in judged["stages"]),
        judged["accuracy"],
        reference["accuracy"],
        judged["cycles"],
        1 - judged["cycles"] / reference["cycles"],
        _uj(energy),
        None if energy is None or not whole else 1 - energy / whole,
        f"with {number(100 * (1 - promised['delta']))} % confidence at most {percent(promised['epsilon'])} % of unseen frames "
        f"are spoiled ({promised['method']}, {number(promised['n'])} calibration frames)",
        axes.at(judged["cycles"], judged["accuracy"]),
    )


class _Axes:
    """Where a cost and an accuracy lie in the plot."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        costs, shares = [cost for cost, _ in points], [share for _, share in points]
        self._least, self._most = math.log(min(costs)) - 0.08, math.log(max(costs)) + 0.08
        spread = max(max(shares) - min(shares), 1e-3)
        self._low, self._high = min(shares) - spread / 12, max(shares) + spread / 12

    def at(self, cost: float, share: float) -> Place:
        along = (math.log(cost) - self._least) / (self._most - self._least)
        up = (share - self._low) / (self._high - self._low)
        return round(LEFT + along * (WIDTH - LEFT - RIGHT), 1), round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1)

    @property
    def x_ticks(self) -> tuple[tuple[float, str], ...]:
        powers = range(math.floor(self._least / math.log(10)), math.ceil(self._most / math.log(10)) + 1)
        values = (float(step * 10**power) for power in powers for step in STEPS)
        kept = [value for value in values if self._least <= math.log(value) <= self._most]
        return tuple((self.at(value, self._low)[0], _short(value)) for value in kept)

    @property
    def y_ticks(self) -> tuple[tuple[float, str], ...]:
        rough = 100 * (self._high - self._low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * each for each in (*STEPS, 10) if power * each >= rough)
        first, last = math.ceil(100 * self._low / step), math.floor(100 * self._high / step)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return tuple(
            (self.at(math.exp(self._least), each * step / 100)[1], number(each * step, digits))
            for each in range(first, last + 1)
        )


def _uj(joules: float | None) -> float | None:
    return None if joules is None else 1e6 * joules


def _short(value: float) -> str:
    """`20k`, `1M`."""
    for size, sign in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"
