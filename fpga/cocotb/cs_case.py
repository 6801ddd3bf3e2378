"""What the runner asks of the benches: case.json with its batches, words.npz with every word in and out."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Batch:
    """A batch of frames: registers, stalls, and its words on each port as integers, in order; `widths` of a design that has
    several."""

    key: str
    frames: int
    exits: int
    threshold: int
    stalls: tuple[float, float, float]
    seed: int
    limit_cycles: int
    abort: tuple[int, int] | None
    widths: tuple[int, ...]
    image: list[int]
    result: list[int]
    feature: list[int]


class Case:
    """A case folder. `kind` says whose control logic the design has, `codesign` or `hls`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        self.kind: str = about["kind"]
        self.clock_ns: int = about["clock_ns"]
        self.registers: dict[str, int] = about["registers"]
        self.frame_cycles: int = about["frame_cycles"]
        self.feature_beats: list[int] = about["feature_beats"]  # of a map, for each width
        self._rows: dict[str, list[dict[str, Any]]] = about["benches"]

    @cached_property
    def _words(self) -> Any:
        return np.load(self.folder / "words.npz")

    def has(self, bench: str) -> bool:
        return bench in self._rows

    def batches(self, bench: str) -> list[Batch]:
        """The batches of a bench, in order."""
        return [self._batch(row) for row in self._rows[bench]]

    def _batch(self, row: dict[str, Any]) -> Batch:
        words = {port: integers(self._words[f"{row['key']}_{port}"]) for port in ("image", "result", "feature")}
        fields = {name: row[name] for name in ("key", "frames", "exits", "threshold", "seed", "limit_cycles")}
        abort = tuple(row["abort"]) if row["abort"] else None
        return Batch(**fields, stalls=tuple(row["stalls"]), abort=abort, widths=tuple(row["widths"]), **words)

    def at_widths(self, batch: Batch) -> list[dict[str, list[int]]]:
        """The words of a batch on both output ports, were all its frames of one width: for each width."""
        indices = range(len(self.feature_beats))
        return [
            {port: integers(self._words[f"{batch.key}_{index}_{port}"]) for port in ("result", "feature")}
            for index in indices
        ]

    def report(self, bench: str, facts: dict[str, Any]) -> None:
        """Leaves what a bench found for the runner."""
        (self.folder / f"{bench}.result.json").write_text(json.dumps(facts), encoding="utf-8")


def open_case() -> Case:
    """The case that the runner named."""
    return Case(Path(os.environ["CODESIGN_CASE"]))


def integers(words_BK: np.ndarray) -> list[int]:
    """Bus words of (beats, 32-bit words), the lowest first, as integers."""
    if words_BK.shape[1] == 1:
        return words_BK[:, 0].tolist()
    if words_BK.shape[1] == 2:
        return np.ascontiguousarray(words_BK).view("<u8")[:, 0].tolist()
    return [int.from_bytes(row.tobytes(), "little") for row in words_BK]


def mismatches(want: Sequence[int], got: Sequence[int]) -> int:
    """Beats that differ, those that are missing or too many among them."""
    return sum(a != b for a, b in zip(want, got, strict=False)) + abs(len(want) - len(got))


def first_mismatch(want: Sequence[int], got: Sequence[int]) -> str:
    """In words, for a person."""
    for at, (a, b) in enumerate(zip(want, got, strict=False)):
        if a != b:
            return f"beat {at} of {len(want)} is {b:#x}, must be {a:#x}"
    return f"TLAST came with beat {len(got) - 1}, must come with beat {len(want) - 1}"


def pauses(rng: random.Random, chance: float, frame_cycles: int) -> Iterator[bool]:
    """Whether a port leaves a cycle out: single cycles most of the time, at times a long pause, at times none at all.

    With a chance of 1 it is closed for the time of several frames, then open for a part of one.
    """
    while chance >= 1:
        yield from repeat(True, rng.randrange(3 * frame_cycles, 5 * frame_cycles))
        yield from repeat(False, rng.randrange(1, frame_cycles))
    while True:
        kind = rng.random()
        if kind < 0.06:
            yield from repeat(True, rng.randrange(1, max(2, int(160 * chance))))
        elif kind < 0.12:
            yield from repeat(False, rng.randrange(1, 160))
        else:
            yield from [rng.random() < chance for _ in range(64)]
