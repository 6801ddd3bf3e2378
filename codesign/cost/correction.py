"""What a vendor's tool made of designs of one's own, against their estimates: ratios that bring the next estimate nearer.

`codesign bitstream` records both for every design it builds; `codesign calibrate --runs` makes a correction of them, and
`codesign estimate --correction` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from codesign.cost.figures import Figure
from codesign.errors import ConfigError
from codesign.files import read_json, write_json

FORMAT = "codesign-correction-1"
ENOUGH = 3  # designs from which on their own spread is the band


@dataclass(frozen=True, slots=True)
class Correction:
    """Reported over estimated of one backend's designs, {kind: every design's ratio}, and which designs these are."""

    backend: str
    ratios: Mapping[str, tuple[float, ...]]
    designs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not all(row and min(row) > 0 for row in self.ratios.values()):
            raise ValueError("a ratio must be a positive number, and every kind has one at least")

    def figure(self, kind: str, figure: Figure) -> Figure:
        """The estimate times the median ratio. Its band is that of the ratios, of fewer than three designs the one it had."""
        ratios = self.ratios.get(kind)
        if ratios is None:
            return figure
        middle = median(ratios)
        band = (min(ratios), max(ratios)) if len(ratios) >= ENOUGH else (middle, middle)
        low, high = (figure.value, figure.value) if len(ratios) >= ENOUGH else (figure.low, figure.high)
        source = f"{figure.source}; corrected by {len(ratios)} designs of your own"
        return Figure(figure.value * middle, low * band[0], high * band[1], figure.unit, source)

    def to_json(self) -> dict[str, Any]:
        ratios = {kind: list(row) for kind, row in self.ratios.items()}
        return {"format": FORMAT, "backend": self.backend, "ratios": ratios, "designs": list(self.designs)}


def correction_of(backend: str, found: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]]) -> Correction:
    """From (name, {kind: {"reported", "estimated"}}) of every design; kinds that are 0 on either side are left out."""
    ratios: dict[str, list[float]] = {}
    for _, kinds in found:
        for kind, row in kinds.items():
            if row["reported"] and row["estimated"]:
                ratios.setdefault(kind, []).append(row["reported"] / row["estimated"])
    return Correction(backend, {kind: tuple(row) for kind, row in ratios.items()}, tuple(name for name, _ in found))


def save_corrections(corrections: Sequence[Correction], path: Path) -> None:
    """Writes a file that `load_correction` reads."""
    write_json(path, {"format": FORMAT, "corrections": [c.to_json() for c in corrections]})


def load_correction(path: Path, backend: str) -> Correction:
    """The backend's correction in a file. Raises CodesignError for a file that is none, ConfigError where it has none for it."""
    hint = "make one with `codesign calibrate --runs RUN --out FILE`"
    table = read_json(path, hint=hint)
    try:
        rows = {row["backend"]: row for row in table["corrections"]}
        if backend not in rows:
            what = f"it corrects {', '.join(rows) or 'nothing'}, not {backend}"
            raise ConfigError(what, where=str(path), hint=f"build a design with --backend {backend} first")
        ratios = {str(kind): tuple(map(float, row)) for kind, row in rows[backend]["ratios"].items()}
        return Correction(backend, ratios, tuple(map(str, rows[backend]["designs"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"this is no correction: {error}", where=str(path), hint=hint) from error
