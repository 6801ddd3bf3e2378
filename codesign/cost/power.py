"""Watts of a design: dynamic from what it takes and its clock, static and processor by part, and at the board's input.

Coefficients, bands and sources are in `power.toml`. A board's power is nearly the same whatever it runs, so energy is
mostly power times time, and the dynamic part alone is what two designs on one board differ by.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from codesign.cost.figures import Figure
from codesign.devices import Device
from codesign.plan.budget import Resources

VIVADO = "Vivado's defaults for the part (power.toml)"


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Microwatts of a used unit for every MHz; `low` and `high` are the band's ratios."""

    lut: float
    ff: float
    bram36: float
    dsp: float
    low: float
    high: float
    source: str

    def watts(self, resources: Resources, clock_mhz: float) -> float:
        per_mhz = self.lut * resources.lut + self.ff * resources.ff + self.dsp * resources.dsp
        return (per_mhz + self.bram36 * resources.bram18 / 2) * clock_mhz * 1e-6


@dataclass(frozen=True, slots=True)
class Power:
    """Watts. `chip` is dynamic, static and processor; `board` is at the input of the board that is named."""

    dynamic: Figure
    static: Figure
    processor: Figure
    chip: Figure
    board: Figure
    board_name: str

    def to_json(self) -> dict[str, Any]:
        rows = {name: getattr(self, name) for name in ("dynamic", "static", "processor", "chip", "board")}
        return {**{name: figure.to_json() for name, figure in rows.items()}, "board_name": self.board_name}


@dataclass(frozen=True, slots=True)
class BoardWatts:
    """A board at work, as somebody has measured it."""

    name: str
    watts: Figure


def power(resources: Resources, device: Device, clock_mhz: float, *, spread: float = 1.0) -> Power:
    """Power of a design of these resources; `spread` is the factor by which they themselves may be off."""
    dynamic = dynamic_power(resources, device.family, clock_mhz, spread=spread)
    static = static_power(device)
    processor = processor_power(device)
    board = _board(device)
    idle = Figure.of(board["idle"], "W", board["source"])
    return Power(dynamic, static, processor, dynamic + static + processor, idle + dynamic, str(board["name"]))


def dynamic_power(resources: Resources, family: str, clock_mhz: float, *, spread: float = 1.0) -> Figure:
    """What the logic draws at work beyond an idle part.

    The errors of the coefficients and of the resources are taken as independent: their logarithms add as squares.
    """
    c = coefficients(family)
    low, high = (math.exp(math.hypot(math.log(ratio), math.log(spread))) for ratio in (c.low, c.high))
    return Figure.around(c.watts(resources, clock_mhz), 1 / low, high, "W", c.source)


def static_power(device: Device) -> Figure:
    table = _table()
    row = table["static"].get(device.name)
    source = f"static at 25 degrees C of {device.name}, {VIVADO}"
    if row is None:
        row, source = table["family"][device.family]["static"], "assumed for a part that power.toml does not list"
    return Figure.of(row, "W", source)


def processor_power(device: Device) -> Figure:
    """The hard processor system, 0 for a part without one."""
    if not device.processor:
        return Figure.exact(0.0, "W", "the part has no processor")
    return Figure.of(_table()["family"][device.family]["processor"], "W", f"processor system, {VIVADO}")


@cache
def coefficients(family: str) -> Coefficients:
    row, band = _table()["family"][family], _table()["band"]
    return Coefficients(
        row["lut"], row["ff"], row["bram36"], row["dsp"], band["low"], band["high"], str(band["source"])
    )


def idle_watts(device: Device) -> float:
    """What is left at the board's input when the PL's logic does nothing, the typical figure."""
    return float(_board(device)["idle"][0])


def measured_boards() -> Mapping[str, BoardWatts]:
    """The boards that somebody measured at work, by the name of their part."""
    boards: Mapping[str, Mapping[str, Any]] = _table()["board"]
    return {
        part: BoardWatts(row["name"], Figure.of(row["measured"], "W", row["source"]))
        for part, row in boards.items()
        if "measured" in row
    }


def _board(device: Device) -> Mapping[str, Any]:
    """The part's board; of a part without one, the chip with a half to twice as much again for all around it."""
    row = _table()["board"].get(device.name)
    if row is not None:
        return row
    chip = static_power(device) + processor_power(device)
    idle = [chip.value * 2, chip.low * 1.5, chip.high * 3]
    return {"name": device.name, "idle": idle, "source": "no board is known: 1.5 to 3 times the idle chip, assumed"}


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((Path(__file__).parent / "power.toml").read_text(encoding="utf-8"))
