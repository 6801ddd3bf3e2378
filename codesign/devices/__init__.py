"""Parts and boards, one TOML file per part with the source of its figures."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from codesign.errors import ConfigError, nearest


@dataclass(frozen=True, slots=True)
class Board:
    """A board that carries the part, as Vivado and PYNQ know it."""

    name: str
    board_part: str
    speed_part: str = ""  # the full part number on this board, where it is not the device's own
    pynq: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A part with what it holds; `bram18` counts half blocks of 18 kbit, `uram` blocks of 288 kbit."""

    name: str
    part: str
    family: str  # "7series" or "ultrascale+"
    lut: int
    ff: int
    dsp: int
    bram18: int
    uram: int
    processor: str  # the IP of the processing system; "" where the part has none
    stream_bits: int  # of a high-performance port into memory; 0 without a processing system
    boards: tuple[Board, ...]
    source: str

    @property
    def pads_bram(self) -> bool:
        """Whether tools round the depth of a block RAM up to a power of two (7-series)."""
        return self.family == "7series"


def load_device(name: str) -> Device:
    """The device by part or board name, in any case; raises ConfigError with the nearest known name."""
    key = name.lower()
    for device in devices():
        names = {device.name, device.part, *(b.name for b in device.boards), *(b.speed_part for b in device.boards)}
        if key and key in {known.lower() for known in names}:
            return device
    known = sorted(n for d in devices() for n in (d.name, *(b.name for b in d.boards)))
    raise ConfigError(f"no device or board is named {name!r}", where="plan.device", hint=nearest(key, known))


def load_board(name: str) -> tuple[Device, Board | None]:
    """The device, and the board when the name is a board's."""
    device = load_device(name)
    return device, next((b for b in device.boards if b.name == name.lower()), None)


@lru_cache(maxsize=1)
def devices() -> tuple[Device, ...]:
    """Every known device, by name."""
    files = (f for f in resources.files(__name__).iterdir() if f.name.endswith(".toml"))
    return tuple(
        _device(f.name.removesuffix(".toml"), tomllib.loads(f.read_text("utf-8")))
        for f in sorted(files, key=lambda f: f.name)
    )


def _device(name: str, table: dict[str, Any]) -> Device:
    boards = tuple(Board(**board) for board in table.pop("boards"))
    return Device(name=name, boards=boards, **table)
