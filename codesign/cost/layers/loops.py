"""Loops as csynth lists them, and the cycles they compose to.

What goes in is a loop's trip count and how one iteration goes: its interval and depth where it is pipelined, its
iteration latency or its inner loops where it is not. The latency that csynth prints of a loop is never read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

ENTRY = 2  # cycles that an iteration spends beside its inner loops: 330 of 369 loops (docs/estimates.md)


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of `trips` iterations: pipelined where `interval` is not 0, and then `depth` cycles deep.

    `iteration` is the iteration latency of a loop that is not pipelined, shortest and longest; None where only the
    inner loops are known.
    """

    trips: int
    interval: int = 0
    depth: int = 0
    iteration: tuple[int, int] | None = None
    inner: tuple[Loop, ...] = ()

    def latency(self, end: int = 1) -> int:
        """Cycles of all iterations: II (N - 1) + IL - 1 pipelined, N IL otherwise; `end` 0 the shortest, 1 the longest."""
        if self.interval:
            return self.interval * (self.trips - 1) + max(1, self.depth) - 1
        return self.trips * self.iteration_latency(end)

    def iteration_latency(self, end: int = 1) -> int:
        if self.iteration is not None:
            return self.iteration[end]
        return sum(loop.latency(end) + ENTRY for loop in self.inner) or 1

    @property
    def states(self) -> int:
        """States of the controller that are this loop's own: cycles of an iteration outside its inner loops."""
        if self.interval:
            return self.interval
        return max(1, self.iteration_latency() - sum(loop.latency() for loop in self.inner))

    def leaves(self, times: int = 1) -> Iterator[tuple[Loop, int]]:
        """The innermost loops, each with how often it is entered."""
        if not self.inner:
            yield self, times
        for loop in self.inner:
            yield from loop.leaves(times * self.trips)

    def nest(self) -> Iterator[Loop]:
        """This loop and all inside it."""
        yield self
        for loop in self.inner:
            yield from loop.nest()

    def bare(self) -> Loop:
        """The same nest without the iteration latencies of loops that have inner ones."""
        inner = tuple(loop.bare() for loop in self.inner)
        return Loop(self.trips, self.interval, self.depth, None if inner else self.iteration, inner)


def cycles(loops: Sequence[Loop], end: int = 1) -> int:
    """Latency of a function: its loops one after another, with 2 cycles for a pipelined loop and 1 for another."""
    return sum(loop.latency(end) + (2 if loop.interval else 1) for loop in loops)


def read_loops(rows: Sequence[Mapping[str, Any]]) -> tuple[Loop, ...]:
    """The loops of a report, in the words of csynth.xml; () where a trip count is not known."""
    try:
        return tuple(_read(row) for row in rows)
    except (KeyError, TypeError, ValueError):
        return ()


def _read(row: Mapping[str, Any]) -> Loop:
    inner = tuple(_read(sub) for sub in row.get("sub") or ())
    trips = _longest(row["TripCount"])
    if row.get("PipelineII") is not None:
        depth = row.get("PipelineDepth", row.get("IterationLatency", 1))
        return Loop(trips, max(1, _longest(row["PipelineII"])), _longest(depth), None, inner)
    given = row.get("IterationLatency")
    if given is None and not inner:
        raise ValueError("neither an iteration latency nor inner loops")
    return Loop(trips, 0, 0, None if given is None else _ends(given), inner)


def _ends(value: Any) -> tuple[int, int]:
    values = [int(v) for v in cast(list[Any], value)] if isinstance(value, list) else [int(value)]
    return min(values), max(values)


def _longest(value: Any) -> int:
    return _ends(value)[1]
