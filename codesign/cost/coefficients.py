"""The fitted part of the estimate: what control logic takes, by module, from a data file with its sources."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Coefficient:
    """LUTs of a module: those that are counted, `per_bit` for every bit of control, and `fixed` ones."""

    per_bit: float
    fixed: float
    units: int  # how many syntheses it was fitted to


@cache
def coefficients() -> Mapping[str, Coefficient]:
    """By module, fitted to 7-series netlists; the file names tool, version and runs."""
    text = (resources.files("codesign.cost") / "rtl_xc7.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["module"]
    return {name: Coefficient(row["per_bit"], row["fixed"], row["units"]) for name, row in rows.items()}
