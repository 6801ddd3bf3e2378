"""A second opinion on FIFO depths: the dataflow run beat by beat in any order, with FIFOs of their real depths.

Nothing here is shared with the way depths are computed but the ops' schedules. Processes advance one at a time, picked
at random; an advance is one movement of a stalling HLS pipeline: step a reads its beats and step a - D writes its
own, both or neither. Each advance also gets the earliest cycle it can have, so a run that completes says how fast
the design with these very FIFOs is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from codesign.plan.dataflow import Channel, Dataflow, Process
from codesign.plan.timing import Depths, depth_of, schedule


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended. `full` and `empty` are the channels that stuck processes wait for, both empty on success;
    `culprits` are the full ones whose reader waits for another channel: too shallow, if all else is right.

    `ends` are the cycles at which each frame's last beat leaves the first output.
    """

    finished: bool
    full: tuple[str, ...]
    empty: tuple[str, ...]
    culprits: tuple[str, ...]
    ends: tuple[int, ...]

    @property
    def interval_cycles(self) -> int:
        """Between the two middle frames' results."""
        middle = (len(self.ends) + 1) // 2
        return self.ends[middle] - self.ends[middle - 1]


@dataclass(slots=True)
class _Fifo:
    """Cycles at which beats came and went; `room` is its depth, or without end at an output of the design."""

    room: int
    written: list[int] = field(default_factory=list[int])
    read: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class _Actor:
    """A process as a pipeline: advance a starts step a and writes what step a - D computed."""

    name: str
    reads: list[list[int]]
    writes: list[int]
    sources: list[_Fifo]
    sinks: list[_Fifo]
    source_names: tuple[str, ...]
    sink_names: tuple[str, ...]
    advances: int
    delay: int
    next: int = 0
    now: int = -1
    blocked: tuple[str, str] = ("", "")  # the empty and the full channel it waits for

    def advance(self) -> bool:
        """Takes one advance if it can."""
        if self.next == self.advances:
            return False
        earliest = self.now + 1
        for steps, fifo, name in zip(self.reads, self.sources, self.source_names, strict=True):
            count = len(fifo.read)
            while count < len(steps) and steps[count] == self.next:
                if count >= len(fifo.written):
                    self.blocked = (name, "")
                    return False
                earliest = max(earliest, fifo.written[count] + 1)
                count += 1
        writes = self._writes_now()
        for fifo, name in zip(self.sinks, self.sink_names, strict=True):
            for beat in range(len(fifo.written), len(fifo.written) + writes):
                if beat >= fifo.room:
                    if beat - fifo.room >= len(fifo.read):
                        self.blocked = ("", name)
                        return False
                    earliest = max(earliest, fifo.read[beat - fifo.room] + 1)
        self._move(earliest, writes)
        return True

    def _writes_now(self) -> int:
        done = len(self.sinks[0].written) if self.sinks else 0
        count = 0
        while self.sinks and done + count < len(self.writes) and self.writes[done + count] + self.delay == self.next:
            count += 1
        return count

    def _move(self, cycle: int, writes: int) -> None:
        for steps, fifo in zip(self.reads, self.sources, strict=True):
            while len(fifo.read) < len(steps) and steps[len(fifo.read)] == self.next:
                fifo.read.append(cycle)
        for fifo in self.sinks:
            fifo.written.extend([cycle] * writes)
        self.now, self.next, self.blocked = cycle, self.next + 1, ("", "")


def run(
    dataflow: Dataflow,
    frames: int,
    *,
    seed: int = 0,
    pipeline: Depths = None,
    depths: Mapping[str, int] | None = None,
    pace: int = 0,
) -> Run:
    """Runs a batch to its end or to a deadlock. `depths` replace those of the dataflow; `seed` chooses the order.

    With `pace` the image's beats come evenly over that many cycles a frame, otherwise one a cycle.
    """
    sized = dataflow.with_depths(depths or {})
    fifos = {c.name: _Fifo(c.depth if c.consumer else 1 << 60) for c in sized.channels}
    actors = [_source(sized.channel(name), fifos[name], frames, pace) for name in sized.inputs]
    actors += [_actor(p, fifos, frames, pipeline) for p in sized.processes]
    rng = np.random.default_rng(seed)
    alive: list[int] = list(range(len(actors)))
    while alive:
        moved = False
        for index in rng.permutation(alive):
            budget = int(rng.integers(1, 200))
            while budget and actors[index].advance():
                budget, moved = budget - 1, True
        alive = [i for i in alive if actors[i].next < actors[i].advances]
        if not moved:
            return _deadlock([actors[i] for i in alive])
    return Run(True, (), (), (), _ends(sized, fifos, actors, frames))


def _deadlock(stuck: Sequence[_Actor]) -> Run:
    full = {a.blocked[1] for a in stuck} - {""}
    empty = {a.blocked[0] for a in stuck} - {""}
    waiting = {name for a in stuck if a.blocked[0] for name in a.source_names} - empty
    return Run(False, tuple(sorted(full)), tuple(sorted(empty)), tuple(sorted(full & waiting)), ())


def _source(port: Channel, fifo: _Fifo, frames: int, pace: int) -> _Actor:
    """The world in front of the image port; its first beat is there to read in cycle 0."""
    beats = frames * port.beats
    writes = [k * pace // port.beats if pace else k for k in range(beats)]
    return _Actor(f"-> {port.name}", [], writes, [], [fifo], (), (port.name,), writes[-1] + 1, 0, now=-2)


def _actor(process: Process, fifos: Mapping[str, _Fifo], frames: int, pipeline: Depths) -> _Actor:
    plan, delay = schedule(process, frames), depth_of(process, pipeline)
    return _Actor(
        process.name,
        [steps.tolist() for steps in plan.reads],
        plan.writes.tolist(),
        [fifos[name] for name in process.streams],
        [fifos[name] for name in process.outputs],
        process.streams,
        process.outputs,
        plan.steps + delay,
        delay,
    )


def _ends(dataflow: Dataflow, fifos: Mapping[str, _Fifo], actors: list[_Actor], frames: int) -> tuple[int, ...]:
    """The end of every frame at the first output, or at the last process where no channel leaves."""
    marks = fifos[dataflow.outputs[0]].written if dataflow.outputs else actors[-1].sources[0].read
    beats = len(marks) // frames
    return tuple(marks[(f + 1) * beats - 1] for f in range(frames))


def least_depth(dataflow: Dataflow, channel: str, frames: int, *, pipeline: Depths = None) -> int:
    """The least depth of one channel, the others as they are, at which a batch gets through."""
    low, high = 1, dataflow.channel(channel).depth
    while low < high:
        middle = (low + high) // 2
        if run(dataflow, frames, pipeline=pipeline, depths={channel: middle}).finished:
            high = middle
        else:
            low = middle + 1
    return low
