"""The trade-off curve as text: CSV for a spreadsheet, SVG for a reader, both without a plotting library."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

COLUMNS = ("exit_rate", "accuracy", "accuracy_drop", "epsilon", "throughput", "latency_us")
WIDTH, HEIGHT = 720, 420
LEFT, TOP, RIGHT, BOTTOM = 76, 44, 24, 56  # margins
TICKS = 6
LINE, FLOOR, MARK, GRID, INK = "#1f6fb4", "#cfe3f4", "#c0392b", "#dddddd", "#333333"


def curve_csv(rows: Sequence[Row]) -> str:
    """One line an operating point; thresholds and rates of several exits, and the band of the energy, in columns of their own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    exits = range(1, len(rows[0]["thresholds"]) + 1)
    lists = [f"{name}_{exit_}" for exit_ in exits for name in ("threshold", "threshold_code", "exit_rate")]
    writer.writerow([*COLUMNS, "energy_uj", "energy_low_uj", "energy_high_uj", *lists])
    for row in rows:
        per_exit = zip(row["thresholds"], row["threshold_codes"], row["exit_rates"], strict=True)
        writer.writerow([*(row[name] for name in COLUMNS), *(row["energy_uj"] or ("", "", "")), *sum(per_exit, ())])
    return text.getvalue()


def curve_svg(rows: Sequence[Row], chosen: Row) -> str:
    """Accuracy over exit rate, the floor that is promised, the final exit alone, and the chosen point."""
    final = chosen["final_accuracy"]
    first = next(
        (row["exit_rate"] for row in rows if row["epsilon"] > rows[0]["epsilon"]), 1.0
    )  # something changes there
    least_rate = max(0.0, math.floor(10 * min(2 * min(first, chosen["exit_rate"]) - 1, 0.95)) / 10)
    rows = [row for row in rows if row["exit_rate"] >= least_rate] or rows
    floor = [max(0.0, final - row["epsilon"]) for row in rows]
    low = min([row["accuracy"] for row in rows] + [chosen["accuracy"] - 2 * chosen["accuracy_drop"]])
    low = min(low, final - min(2 * chosen["guarantee"]["epsilon"], 0.1))
    view = _View(least_rate, low, max([row["accuracy"] for row in rows] + [final]))
    curve = [view.at(row["exit_rate"], row["accuracy"]) for row in rows]
    under = [view.at(row["exit_rate"], y) for row, y in zip(rows, floor, strict=True)]
    over = [view.at(row["exit_rate"], final) for row in rows]
    x, y = view.at(chosen["exit_rate"], chosen["accuracy"])
    guarantee = chosen["guarantee"]
    parts = [
        *view.frame(),
        f'<polygon points="{_points(over + under[::-1])}" fill="{FLOOR}"/>',
        f'<polyline points="{_points(over[:1] + over[-1:])}" stroke="{INK}" stroke-dasharray="5 4" fill="none"/>',
        f'<polyline points="{_points(curve)}" stroke="{LINE}" stroke-width="2" fill="none"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{MARK}"/>',
        _text(
            LEFT,
            18,
            f"Accuracy over exit rate; the dot is chosen: {100 * chosen['exit_rate']:.2f} % stop early",
            size=14,
        ),
        _text(
            LEFT,
            34,
            f"dashed: the final exit alone; shaded: what unseen frames may lose, with {100 * (1 - guarantee['delta']):g} % "
            f"confidence from {guarantee['n']} frames",
        ),
        _text(LEFT + view.width / 2, HEIGHT - 14, "frames that stop before the last exit, %", anchor="middle"),
    ]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
        f"{body}\n</svg>\n"
    )


class _View:
    """Where a rate and an accuracy lie on the page."""

    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def __init__(self, least_rate: float, low: float, high: float) -> None:
        self.least_rate = least_rate
        span = max(high - low, 1e-3)
        self.step = _round_step(span / TICKS)
        self.low = math.floor((high - span) / self.step) * self.step
        self.high = min(1.0, math.ceil(high / self.step + 0.25) * self.step)

    def at(self, rate: float, accuracy: float) -> tuple[float, float]:
        up = (min(max(accuracy, self.low), self.high) - self.low) / (self.high - self.low)
        along = max(0.0, rate - self.least_rate) / (1 - self.least_rate)
        return LEFT + self.width * along, TOP + self.height * (1 - up)

    def frame(self) -> list[str]:
        """Axes and grid, with their figures in per cent."""
        parts = [
            f'<rect x="{LEFT}" y="{TOP}" width="{self.width}" height="{self.height}" fill="none" stroke="{GRID}"/>'
        ]
        for tick in range(6):
            rate = self.least_rate + tick / 5 * (1 - self.least_rate)
            x, y = self.at(rate, self.low)
            parts.append(_text(x, y + 18, f"{100 * rate:.0f}", anchor="middle"))
        digits = max(0, math.ceil(-math.log10(100 * self.step) - 1e-9))
        for tick in range(round((self.high - self.low) / self.step) + 1):
            x, y = self.at(self.least_rate, self.low + tick * self.step)
            parts.append(f'<line x1="{x}" x2="{x + self.width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
            parts.append(_text(x - 6, y + 4, f"{100 * (self.low + tick * self.step):.{digits}f} %", anchor="end"))
        return parts


def _round_step(step: float) -> float:
    """1, 2 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{INK}">{text}</text>'
