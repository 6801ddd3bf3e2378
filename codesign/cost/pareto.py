"""The exact Pareto front of a design space over interval and every resource, by sums that are pruned as they grow.

For designs that take a frame in at most T cycles, resources are what is left to minimize, and they add up: choice after
choice is added to every partial design that could still be best, and of those with the same beats still open only the
ones that no other undercuts in every resource are kept. A partial design that is undercut can be swapped for the other in any
design, so nothing is lost: the front is exact, FIFOs priced as `space` does. Energy grows with the interval and with every
resource, so a design that is best in energy for its interval is on this front too.
"""

# Legend: N partial designs; O options; K resources (DSP, LUT, FF, BRAM18).
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.cost.space import Choice, Ints, Space

Bools = npt.NDArray[np.bool_]
Small = npt.NDArray[np.int32]
Design = tuple[tuple[int, ...], tuple[int, ...]]  # resources with the shell, and options

BLOCK = 256  # candidates that are compared with each other at once
FIRST = 48  # and how many of the smallest with all
EARLIER = np.tril(np.ones((BLOCK, BLOCK), bool), -1)


@dataclass(frozen=True, slots=True)
class Point:
    """A design on the front: its interval, what its processes, converters, FIFOs and shell take, and its options."""

    interval_cycles: int
    taken: tuple[int, int, int, int]
    picks: tuple[int, ...]


@dataclass(slots=True)
class Work:
    """What a search has done: partial designs priced, and searches at a bound of cycles."""

    priced: int = 0
    bounds: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Options of a choice that read and write the same beats, undercut ones left out."""

    wants: tuple[int, ...]
    lanes: int
    picks_O: Ints
    taken_OK: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Partial:
    """Partial designs with the same open beats; each goes on from point `last` of the `before`, with option `pick`."""

    taken_NK: Ints
    pick_N: Ints
    last_N: Ints
    before: tuple[_Partial, ...]
    origin_N: Ints  # which of `before`


def front(space: Space, *, least: int = 0, most: int = 1 << 62, work: Work | None = None) -> list[Point]:
    """Every design within the room of the device that no other undercuts, by interval; bounds are of the interval.

    Intervals are halved until the fronts at both ends are the same, since designs of bounds in between lie between them.
    """
    work = work or Work()
    bounds = sorted(
        {int(c) for choice in space.choices for c in choice.cycles_O if least <= c <= most} | _joints(space)
    )
    bounds = [bound for bound in bounds if least <= bound <= most]
    found: dict[int, list[Design]] = {}

    def at(index: int) -> list[Design]:
        if index not in found:
            found[index] = within(space, bounds[index], work)
        return found[index]

    def between(low: int, high: int) -> None:
        same = [taken for taken, _ in at(low)] == [taken for taken, _ in at(high)]
        if high - low > 1 and not same:
            between(low, (low + high) // 2)
            between((low + high) // 2, high)

    if bounds:
        between(0, len(bounds) - 1)
    points: list[Point] = []
    seen: set[tuple[int, ...]] = set()
    for index in sorted(found):
        for taken, picks in found[index]:
            if taken not in seen:
                seen.add(taken)
                points.append(Point(bounds[index], (taken[0], taken[1], taken[2], taken[3]), picks))
    return points


def within(space: Space, bound: int, work: Work) -> list[Design]:
    """The designs of at most `bound` cycles that no other undercuts: (resources with the shell, options), sorted."""
    work.bounds += 1
    groups = [_groups(choice, bound) for choice in space.choices]
    if not all(groups):
        return []
    least = np.array([np.min([g.taken_OK.min(axis=0) for g in row], axis=0) for row in groups])
    spare = np.vstack([np.cumsum(least[::-1], axis=0)[::-1][1:], np.zeros((1, 4), np.int64)])
    zero = np.zeros(1, np.int64)
    start = _Partial(np.zeros((1, 4), np.int64), zero, zero, (), zero)
    states: dict[tuple[tuple[int, int], ...], _Partial] = {(): start}
    last_reader = _last_readers(space)
    for index, choice in enumerate(space.choices):
        parts: dict[tuple[tuple[int, int], ...], list[tuple[_Partial, _Group, Ints]]] = {}
        for key, partial in states.items():
            open_ = dict(key)
            for group in groups[index]:
                extra = _extra(space, choice, open_, group, bound)
                if extra is None:
                    continue
                still = {value: lanes for value, lanes in open_.items() if last_reader[value] > index}
                if choice.readers and choice.value is not None:
                    still[index] = group.lanes
                parts.setdefault(tuple(sorted(still.items())), []).append((partial, group, extra))
        states = {}
        for key, rows in parts.items():
            merged = _merge(rows, space.room_K - spare[index], work)
            if merged is not None:
                states[key] = merged
    (whole,) = states.values() or (None,)
    if whole is None:
        return []
    order = np.lexsort(whole.taken_NK.T[::-1])
    return [(tuple((whole.taken_NK[n] + space.fixed_K).tolist()), _picks(whole, int(n))) for n in order]


def minimal(points_NK: Ints) -> Ints:
    """The rows that no other undercuts, in some order; of equal ones the first.

    A row that undercuts another has a smaller sum, so rows are visited by their sum: first the few smallest against all,
    which leaves little, then block by block against what is kept.
    """
    order = np.lexsort((*points_NK.T[::-1], points_NK.sum(axis=1)))
    rows = points_NK[order].astype(np.int32)
    if len(rows) > BLOCK:
        alive = ~_undercut(rows, rows[:FIRST])
        alive[:FIRST] = True
        rows, order = rows[alive], order[alive]
    kept = rows[:0]
    picked: list[Ints] = []
    for start in range(0, len(rows), BLOCK):
        block, ids = rows[start : start + BLOCK], order[start : start + BLOCK]
        alive = ~_undercut(block, kept)
        block, ids = block[alive], ids[alive]
        alive = ~(_under(block, block) & EARLIER[: len(block), : len(block)]).any(axis=1)
        kept = np.concatenate([kept, block[alive]])
        picked.append(ids[alive])
    return np.concatenate(picked) if picked else order


def _undercut(block: Small, kept: Small) -> Bools:
    """Which rows of a block some kept row is at most as large as, in every column."""
    found = np.zeros(len(block), bool)
    for start in range(0, len(kept), 4 * BLOCK):
        found |= _under(block, kept[start : start + 4 * BLOCK]).any(axis=1)
    return found


def _under(rows: Small, others: Small) -> Bools:
    """For every row, which of the others are at most as large in every column."""
    under = others[:, 0] <= rows[:, :1]
    for k in range(1, rows.shape[1]):
        under &= others[:, k] <= rows[:, k : k + 1]
    return under


def _groups(choice: Choice, bound: int) -> list[_Group]:
    """The options within the bound by their beats, those that another undercuts left out."""
    by_beats: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for pick in np.flatnonzero(choice.cycles_O <= bound).tolist():
        option = choice.options[pick]
        by_beats.setdefault((option.wants, option.lanes), []).append(pick)
    rows: list[_Group] = []
    for (wants, lanes), picks in by_beats.items():
        picks_O = np.array(picks, np.int64)
        picks_O = picks_O[np.sort(minimal(choice.taken_OK[picks_O]))]
        rows.append(_Group(wants, lanes, picks_O, choice.taken_OK[picks_O]))
    return rows


def _extra(space: Space, choice: Choice, open_: dict[int, int], group: _Group, bound: int) -> Ints | None:
    """What joins a group to the open beats and gives its own out; None where that takes more cycles, or is not possible."""
    joints = [
        space.joint(choice, stream, open_[source], want)
        for stream, (source, want) in enumerate(zip(choice.sources, group.wants, strict=True))
    ]
    joints.append(space.leaving(choice, group.lanes))
    whole = np.zeros(4, np.int64)
    for joint in joints:
        if joint is None or joint.cycles > bound:
            return None
        whole += joint.taken
    return whole


def _merge(rows: list[tuple[_Partial, _Group, Ints]], room_K: Ints, work: Work) -> _Partial | None:
    """All partial designs that these rows make, those that do not fit or are undercut left out."""
    taken, pick, last, origin = list[Ints](), list[Ints](), list[Ints](), list[Ints]()
    before: dict[int, int] = {}
    partials: list[_Partial] = []
    for partial, group, extra in rows:
        if id(partial) not in before:
            before[id(partial)] = len(partials)
            partials.append(partial)
        sums = (partial.taken_NK[:, None, :] + (group.taken_OK + extra)[None, :, :]).reshape(-1, 4)
        work.priced += len(sums)
        fits = np.flatnonzero((sums <= room_K).all(axis=1))
        taken.append(sums[fits])
        pick.append(group.picks_O[fits % len(group.picks_O)])
        last.append(fits // len(group.picks_O))
        origin.append(np.full(len(fits), before[id(partial)]))
    whole = np.concatenate(taken)
    if not len(whole):
        return None
    best = minimal(whole)
    pick_N, last_N, origin_N = (np.concatenate(column)[best] for column in (pick, last, origin))
    return _Partial(whole[best], pick_N, last_N, tuple(partials), origin_N)


def _picks(partial: _Partial, point: int) -> tuple[int, ...]:
    """The options of a design, followed back to the start."""
    picks: list[int] = []
    while partial.before:
        picks.append(int(partial.pick_N[point]))
        partial, point = partial.before[int(partial.origin_N[point])], int(partial.last_N[point])
    return tuple(picks[::-1])


def _last_readers(space: Space) -> list[int]:
    last = [-1] * len(space.choices)
    for index, choice in enumerate(space.choices):
        for source in choice.sources:
            last[source] = index
    return last


def _joints(space: Space) -> set[int]:
    """Cycles of converters and forks: an interval may be theirs."""
    found: set[int] = set()
    for choice in space.choices:
        for lanes in {option.lanes for option in choice.options}:
            if joint := space.leaving(choice, lanes):
                found.add(joint.cycles)
        for stream, source in enumerate(choice.sources):
            for have in {option.lanes for option in space.choices[source].options}:
                for want in {option.wants[stream] for option in choice.options}:
                    if joint := space.joint(choice, stream, have, want):
                        found.add(joint.cycles)
    return found - {0}
