"""A figure of the report: a number with its unit, how it was obtained, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from codesign.cost import figures as costs

Kind = Literal["counted", "estimated", "simulated", "synthesized", "measured"]

# What each kind means; the page explains them in this order, from the weakest claim to the strongest.
KINDS: dict[Kind, str] = {
    "estimated": "from a model of the hardware or of the host; nothing was run",
    "counted": "frame by frame, in exact integers; nothing is estimated, and nothing was timed",
    "simulated": "from a simulation of the emitted C++ or SystemVerilog",
    "synthesized": "from a netlist or a routed design that a tool made",
    "measured": "from a clock or a meter",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """`text` is what a person reads; `low` and `high` are a band in the same words, empty where there is none."""

    label: str
    text: str
    unit: str
    kind: Kind
    source: str
    note: str = ""
    low: str = ""
    high: str = ""


def number(value: float, digits: int = 0) -> str:
    """With thousands separated, halves away from zero as a browser rounds them: `12,345.7`."""
    step = Decimal(1).scaleb(-digits)
    return f"{Decimal(value).quantize(step, ROUND_HALF_UP):,f}"


def percent(share: float, digits: int = 2) -> str:
    """A share of 1 in per cent, without the sign."""
    return number(100 * share, digits)


def digits_for(most: float) -> int:
    """Decimals that leave about four digits of the largest value."""
    return max(0, 4 - len(str(int(abs(most))))) if abs(most) >= 1 else 4


def banded(figure: costs.Figure, digits: int = 0) -> str:
    """A figure of the cost oracle, with its band where it has one."""
    value, low, high = (number(each, digits) for each in (figure.value, figure.low, figure.high))
    return value if low == high else f"{value} ({low} to {high})"


def ratio(found: float, expected: float) -> float | None:
    """How far a figure lies above what was expected, as a share; None where nothing was."""
    return found / expected - 1 if expected else None
