"""Prices of whole designs by the thousand: options as an array of indices in, intervals and resources as arrays out.

The tables of a `Space` are turned into rows that are gathered and added, so a block of designs takes a few numpy calls for each
process. `every` goes through all designs of a small space; searches price those that they choose.
"""

# Legend: N designs; C choices; O options; K resources (DSP, LUT, FF, BRAM18).
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.cost.pareto import minimal
from codesign.cost.space import Choice, Ints, Space

NEVER = 1 << 30  # cycles of beats that cannot be joined
BLOCK = 1 << 15  # designs that are priced at once, so that they stay in the cache


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """Intervals and resources of designs, the shell included; an interval of NEVER is no design."""

    interval_N: Ints
    taken_NK: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Joint:
    """What options of two choices cost together: a row (cycles, resources) for every pair of lanes."""

    source: int
    reader: int
    have_O: Ints
    want_O: Ints
    wants: int
    rows: npt.NDArray[np.int32]


class Pricer:
    """Prices designs of one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.rows = [_rows(space, choice) for choice in space.choices]
        self.joints = [joint for index in range(len(space.choices)) for joint in _joints(space, index)]

    def price(self, picks_NC: Ints) -> Prices:
        """The price of every design, given as an option for each choice."""
        whole = np.zeros((len(picks_NC), 5), np.int32)
        for index, rows in enumerate(self.rows):
            _add(whole, rows[picks_NC[:, index]])
        for joint in self.joints:
            pair = joint.have_O[picks_NC[:, joint.source]] * joint.wants + joint.want_O[picks_NC[:, joint.reader]]
            _add(whole, joint.rows[pair])
        return Prices(whole[:, 0].astype(np.int64), whole[:, 1:] + self.space.fixed_K)

    def every(self, limit: int | None = None) -> Iterator[tuple[Ints, Prices]]:
        """All designs, block by block: their options and prices."""
        sizes = [len(choice.options) for choice in self.space.choices]
        count = self.space.designs if limit is None else min(limit, self.space.designs)
        for start in range(0, count, BLOCK):
            picks = _digits(np.arange(start, min(start + BLOCK, count), dtype=np.int64), sizes)
            yield picks, self.price(picks)

    def front(self, limit: int | None = None) -> tuple[int, list[tuple[int, ...]]]:
        """How many designs were priced, and those of the first `limit` within the device's room that none undercuts:
        (interval, DSP, LUT, FF, BRAM18)."""
        room = np.concatenate([[NEVER - 1], self.space.room_K + self.space.fixed_K])
        best, count = np.zeros((0, 5), np.int64), 0
        for _, prices in self.every(limit):
            count += len(prices.interval_N)
            rows = np.column_stack([prices.interval_N, prices.taken_NK])
            rows = np.vstack([best, rows[(rows <= room).all(axis=1)]])
            best = rows[minimal(rows)]
        return count, sorted(map(tuple, best.tolist()))


def _add(whole: npt.NDArray[np.int32], part: npt.NDArray[np.int32]) -> None:
    """Resources add up, of cycles the most count."""
    np.maximum(whole[:, 0], part[:, 0], out=whole[:, 0])
    whole[:, 1:] += part[:, 1:]


def _digits(numbers: Ints, sizes: list[int]) -> Ints:
    """(N, C): each number in the mixed radix of the sizes."""
    digits = np.empty((len(numbers), len(sizes)), np.int64)
    for index in range(len(sizes) - 1, -1, -1):
        numbers, digits[:, index] = np.divmod(numbers, sizes[index])
    return digits


def _rows(space: Space, choice: Choice) -> npt.NDArray[np.int32]:
    """(O, 5): cycles and resources of every option, with the fork and outputs behind it."""
    rows = np.column_stack([choice.cycles_O, choice.taken_OK])
    for row, option in zip(rows, choice.options, strict=True):
        joint = space.leaving(choice, option.lanes)
        row[0] = max(row[0], joint.cycles) if joint else NEVER
        row[1:] += joint.taken if joint else 0
    return rows.astype(np.int32)


def _joints(space: Space, index: int) -> Iterator[_Joint]:
    choice = space.choices[index]
    for stream, source in enumerate(choice.sources):
        haves, have_O = np.unique([o.lanes for o in space.choices[source].options], return_inverse=True)
        wants, want_O = np.unique([o.wants[stream] for o in choice.options], return_inverse=True)
        rows = np.zeros((len(haves) * len(wants), 5), np.int32)
        for h, have in enumerate(haves.tolist()):
            for w, want in enumerate(wants.tolist()):
                joint = space.joint(choice, stream, have, want)
                rows[h * len(wants) + w] = (joint.cycles, *joint.taken) if joint else (NEVER, 0, 0, 0, 0)
        yield _Joint(source, index, have_O.astype(np.int64), want_O.astype(np.int64), len(wants), rows)
