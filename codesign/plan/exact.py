"""Cycles and FIFO depths of the RTL backend, to the cycle.

A step starts when the step before it has started, its beats are there and its output has room; `docs/rtl.md` has the
rules. Every start is then the largest of a few earlier times plus constants, so a few sweeps over the processes, each
visiting whole batches as arrays, settle all of them. Simulation of the emitted SystemVerilog counts the same cycles.

Depths. Places are counted from the claim to the pop. The frames' steady state, one every `bound` cycles, needs so many in
each channel, and with that many no batch can deadlock and the busiest process never waits: the argument is the one of
`plan/fifos.py`, with pipelines whose depth is known and that never hold a beat back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op, Schedule
from codesign.plan.dataflow import MIN_DEPTH, Dataflow, Process
from codesign.plan.timing import ProcessTiming, Starts, SteadyStarts, Steps, Timing, op_schedule, steady_occupancy

_SWEEPS = 10_000  # far more than any design takes; a deadlock is the only way not to settle


@lru_cache(maxsize=65536)
def latency(op: Op, folding: Folding, types: tuple[TensorType, ...]) -> int:
    """The exact depth of a process's RTL pipeline."""
    return op.rtl(folding, *types).latency


def for_rtl(dataflow: Dataflow) -> Dataflow:
    """The dataflow as RTL runs it: no process drains, and every channel has the depth that RTL needs."""
    free = replace(dataflow, processes=tuple(replace(p, drain=0) for p in dataflow.processes))
    return free.with_depths(_depths(free))


def rtl_timing(dataflow: Dataflow, frames: int = 4) -> Timing:
    """The timing of a batch at full rate: ports that never wait, FIFOs of the dataflow's depths.

    Cycle 0 is the one in which the first word of the image is accepted; `latency_cycles` is the one in which the result
    of frame 0 leaves. Raises AssertionError for depths at which the batch deadlocks.
    """
    return _Batch(dataflow, frames).run()


def beat_cycles(dataflow: Dataflow, frames: int) -> Steps:
    """The cycle in which every beat of a batch leaves the first output, at full rate; cycles count as in `rtl_timing`."""
    batch = _Batch(dataflow, frames)
    batch.run()
    return next(r.starts for r in batch.runners if r.streams == dataflow.outputs[:1] and not r.outputs)


def _depths(dataflow: Dataflow) -> dict[str, int]:
    """The most places that are taken at once in each channel when frames come every `bound` cycles."""
    pace = dataflow.bound
    visible: dict[str, Steps] = {}
    claims: dict[str, Steps] = {}
    most: dict[str, int] = {}
    for name in dataflow.inputs:
        beats = dataflow.channel(name).beats
        claims[name] = np.arange(beats, dtype=np.int64) * pace // beats
        visible[name] = claims[name] + 1
    for process in dataflow.processes:
        frame = op_schedule(process.op, process.folding, process.types, 1)
        starts = SteadyStarts(frame, [visible[name] for name in process.streams], process.cycles, pace)
        for name, frees in zip(process.streams, _frees(frame), strict=True):
            most[name] = steady_occupancy(claims[name], starts.at(frees), pace)
        written = starts.at(frame.writes)
        depth = latency(process.op, process.folding, process.types)
        claims |= dict.fromkeys(process.outputs, written)
        visible |= dict.fromkeys(process.outputs, written + depth + 1)
    for name in dataflow.outputs:  # read the moment they can be
        most[name] = steady_occupancy(claims[name], visible[name], pace)
    return {name: max(MIN_DEPTH, count) for name, count in most.items()}


def _frees(plan: Schedule) -> tuple[Steps, ...]:
    return plan.reads if plan.frees is None else plan.frees


@dataclass(slots=True)
class _Runner:
    """One process, or a port (no inputs, or no outputs), with its steps and when they started in the last sweep."""

    name: str
    plan: Schedule
    latency: int
    streams: tuple[str, ...]
    outputs: tuple[str, ...]
    starts: Steps


class _Batch:
    """Sweeps over the processes until no time moves any more."""

    def __init__(self, dataflow: Dataflow, frames: int) -> None:
        self.dataflow, self.frames = dataflow, frames
        self.depths = {c.name: c.depth for c in dataflow.channels}
        self.visible: dict[str, Steps] = {}  # when each beat can be popped
        self.claims: dict[str, Steps] = {}
        self.pops: dict[str, Steps] = {}
        self.runners = [*map(self._source, dataflow.inputs), *map(self._unit, dataflow.processes)]
        self.runners += list(map(self._sink, dataflow.outputs))

    def run(self) -> Timing:
        for sweep in range(_SWEEPS):
            order = self.runners if sweep % 2 == 0 else self.runners[::-1]
            if not sum([self._visit(runner) for runner in order]):
                return self._timing()
        raise AssertionError("the depths do not let the batch through")

    def _source(self, name: str) -> _Runner:
        every = np.arange(self.frames * self.dataflow.channel(name).beats, dtype=np.int64)
        return _Runner(f"{name} port", Schedule(len(every), (), every), 0, (), (name,), every[:0])

    def _sink(self, name: str) -> _Runner:
        every = np.arange(self.frames * self.dataflow.channel(name).beats, dtype=np.int64)
        return _Runner(f"{name} port", Schedule(len(every), (every,), every), 0, (name,), (), every[:0])

    def _unit(self, process: Process) -> _Runner:
        plan = op_schedule(process.op, process.folding, process.types, self.frames)
        depth = latency(process.op, process.folding, process.types)
        return _Runner(process.name, plan, depth, process.streams, process.outputs, plan.writes[:0])

    def _visit(self, runner: _Runner) -> bool:
        """Starts every step as early as what is known allows; says whether any start moved."""
        plan = runner.plan
        needs = [(reads, self.visible[name]) for name, reads in zip(runner.streams, plan.reads, strict=True)]
        needs += [(plan.writes, self._room(name, len(plan.writes))) for name in runner.outputs]
        earliest = Starts(replace(plan, reads=tuple(n[0] for n in needs)), [n[1] for n in needs])
        starts = earliest.at(np.arange(plan.steps, dtype=np.int64))
        if np.array_equal(starts, runner.starts):
            return False
        runner.starts = starts
        for name in runner.outputs:
            self.claims[name] = starts[plan.writes]
            self.visible[name] = starts[plan.writes] + runner.latency + 1
        for name, frees in zip(runner.streams, _frees(plan), strict=True):
            self.pops[name] = starts[frees]
        return True

    def _room(self, name: str, beats: int) -> Steps:
        """When there is a place for each beat: from the start for the first `depth`, then a cycle behind a pop."""
        room = np.zeros(beats, dtype=np.int64)
        depth = self.depths[name]
        if name in self.pops and beats > depth:
            room[depth:] = self.pops[name][: beats - depth] + 1
        return room

    def _timing(self) -> Timing:
        results = self._results()
        return Timing(
            self.frames,
            self._middle(results) if self.frames > 1 else self.dataflow.bound,
            int(results[0]) + 1,  # behind the port's own register
            self.dataflow.bound,
            {r.name: self._process(r) for r in self.runners if r.streams},
            {name: _most(self.claims[name], self.pops[name]) for name in self.pops},
        )

    def _results(self) -> Steps:
        """When the last beat of each frame leaves the first output."""
        last = next(r for r in self.runners if r.streams == self.dataflow.outputs[:1] and not r.outputs)
        return last.starts.reshape(self.frames, -1)[:, -1]

    def _middle(self, marks: Steps) -> int:
        """From a frame in the middle of the batch to the next: the first fill the pipeline, behind the last nothing comes."""
        middle = (self.frames - 1) // 2
        return int(marks[middle + 1] - marks[middle])

    def _process(self, runner: _Runner) -> ProcessTiming:
        steps, starts = runner.plan.steps, runner.starts
        return ProcessTiming(steps, int(starts[-1] - starts[0]) + 1 - steps, self._interval(runner))

    def _interval(self, runner: _Runner) -> int:
        marks = runner.starts[runner.plan.writes if runner.outputs else runner.plan.reads[0]]
        beats = len(marks) // self.frames
        return self._middle(marks[beats - 1 :: beats]) if self.frames > 1 else int(marks[-1] - marks[0]) + 1


def _most(claims: Steps, pops: Steps) -> int:
    """Most places taken at once, counted at each claim: those claimed so far less those popped in an earlier cycle."""
    gone = np.searchsorted(pops, claims, side="left")
    return int((np.arange(1, len(claims) + 1) - gone).max(initial=0))
