"""Power rails: what the test put there; by default none, as on a Pynq-Z2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pynq import fabric


@dataclass
class Sensor:
    name: str
    value: float


@dataclass
class Rail:
    name: str
    voltage: Sensor | None = None
    current: Sensor | None = None
    power: Sensor | None = None


def get_rails(config_file: str | None = None) -> dict[str, Any]:
    return dict(fabric.the_fabric.rails)
