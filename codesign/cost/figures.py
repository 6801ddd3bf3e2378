"""Figure: a number that knows its unit, its band and where it comes from; sums and products keep all three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is the best guess; the truth is expected within `low`..`high`, which are equal where it is exact."""

    value: float
    low: float
    high: float
    unit: str
    source: str = ""

    def __post_init__(self) -> None:
        slack = 1e-9 * (abs(self.value) + 1e-30)
        if not self.low - slack <= self.value <= self.high + slack:
            raise ValueError(f"{self.value} {self.unit} is outside its band {self.low}..{self.high}")

    @staticmethod
    def exact(value: float, unit: str, source: str) -> Figure:
        return Figure(value, value, value, unit, source)

    @staticmethod
    def of(row: Sequence[float], unit: str, source: str) -> Figure:
        """A figure of a data file: value, least, most."""
        value, low, high = row
        return Figure(value, low, high, unit, source)

    @staticmethod
    def around(value: float, low_ratio: float, high_ratio: float, unit: str, source: str) -> Figure:
        """A band of ratios: `low_ratio` <= 1 <= `high_ratio` times the value."""
        return Figure(value, value * low_ratio, value * high_ratio, unit, source)

    def __add__(self, other: Figure) -> Figure:
        """The sum, its band the widest that both allow."""
        if other.unit != self.unit:
            raise ValueError(f"{self.unit} and {other.unit} do not add")
        return Figure(self.value + other.value, self.low + other.low, self.high + other.high, self.unit, self.source)

    def times(self, other: Figure | float, unit: str, source: str = "") -> Figure:
        """The product of two figures that are not negative."""
        by = other if isinstance(other, Figure) else Figure.exact(other, "", "")
        return Figure(self.value * by.value, self.low * by.low, self.high * by.high, unit, source or self.source)

    def over(self, other: Figure | float, unit: str, source: str = "") -> Figure:
        """The quotient of two positive figures; the largest divisor gives the lower end."""
        by = other if isinstance(other, Figure) else Figure.exact(other, "", "")
        return Figure(self.value / by.value, self.low / by.high, self.high / by.low, unit, source or self.source)

    def said(self, source: str) -> Figure:
        """The same figure from another source."""
        return replace(self, source=source)

    def holds(self, value: float) -> bool:
        """Whether a value lies within the band."""
        return self.low <= value <= self.high

    def to_json(self) -> dict[str, Any]:
        return {
            "value": _rounded(self.value),
            "low": _rounded(self.low),
            "high": _rounded(self.high),
            "unit": self.unit,
            "source": self.source,
        }

    def text(self, digits: int = 3) -> str:
        """`0.35 (0.17 to 0.7)`, or `784` where it is exact."""
        if self.low == self.high:
            return number(self.value, digits)
        return f"{number(self.value, digits)} ({number(self.low, digits)} to {number(self.high, digits)})"


def most(figures: list[Figure]) -> Figure:
    """The largest of several, of their values and of both ends of their bands; it has the source of the one that rules."""
    top = max(figures, key=lambda figure: figure.value)
    return Figure(top.value, max(f.low for f in figures), max(f.high for f in figures), top.unit, top.source)


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, whole numbers in full: 12345 -> `12,345`, 0.04567 -> `0.0457`."""
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _rounded(value: float) -> float:
    """Six significant digits: no figure here is worth more."""
    return float(f"{value:.6g}") if value != int(value) else int(value)
