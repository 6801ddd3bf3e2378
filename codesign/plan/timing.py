"""Exact timing of a dataflow whose FIFOs are never full: when every beat moves, how long every process waits.

Two rules say when a beat that step s computes can be read by the next process, D being the pipeline's depth:

* free-running (RTL, or an HLS pipeline with flush): D + 1 cycles after step s started, whatever happens later;
* stalling (an HLS pipeline as it is by default): the pipeline moves only when a step can start, so the beat leaves when
  step s + D starts, or, behind the last step of the batch, when the pipeline drains.

The first is used for speed; the second for FIFO depths, since it makes every path hold more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op, Schedule
from codesign.plan.dataflow import Channel, Dataflow, Process

Steps = npt.NDArray[np.int64]
Depths = int | Mapping[str, int] | None  # of pipelines: of all, by process, or estimated for each


@dataclass(frozen=True, slots=True)
class ProcessTiming:
    """Cycles of a whole batch: at work, and waiting for input between its first and its last step."""

    busy: int
    wait: int
    interval: int  # between the same beat of successive frames, in the middle of the batch


@dataclass(frozen=True, slots=True)
class Timing:
    """What a batch of `frames` frames does. `interval_cycles` is of the slowest process in the middle of the batch,
    `latency_cycles` from the first beat of the first frame in to the last beat of its result out."""

    frames: int
    interval_cycles: int
    latency_cycles: int
    bound: int
    processes: Mapping[str, ProcessTiming]
    occupancy: Mapping[str, int]  # most beats waiting in each channel


@lru_cache(maxsize=65536)
def pipeline_depth(op: Op, folding: Folding, types: tuple[TensorType, ...]) -> int:
    """Cycles between the start of a step and its write, from the work of one step; estimated, on the safe side.

    3 to read and write, 6 for multipliers, 2 for every level of an adder tree, 3 for a memory. Iteration latencies of
    8 to 15 in reports of such kernels (docs/estimates.md) lie below what this gives for the same ones.
    """
    work = op.work(folding, *types)
    terms = max((-(-count // folding.pe) for count, _ in work.adds), default=0)
    return 3 + 6 * bool(work.multiplies) + 2 * terms.bit_length() + 3 * bool(work.roms or work.rams)


def schedule(process: Process, frames: int) -> Schedule:
    """The steps of a batch, with the idle ones behind each frame of a process that drains."""
    plan = op_schedule(process.op, process.folding, process.types, frames)
    if not process.drain:
        return plan
    work = process.cycles - process.drain
    reads = tuple(steps + steps // work * process.drain for steps in plan.reads)
    return Schedule(frames * process.cycles, reads, plan.writes + plan.writes // work * process.drain)


@lru_cache(maxsize=128)
def op_schedule(op: Op, folding: Folding, types: tuple[TensorType, ...], frames: int) -> Schedule:
    return op.schedule(folding, frames, *types)


def draining(dataflow: Dataflow, interval: int = 0) -> Dataflow:
    """The dataflow in which every process that has the time empties its pipeline behind each frame.

    Stalling pipelines otherwise keep the last results of a frame until later frames push them out: a process of one
    step a frame keeps as many frames as its pipeline is deep. Draining costs depth + 2 cycles a frame (one loop
    per frame, docs/estimates.md), which are free as long as they fit into `interval` cycles
    (0: the dataflow's bound). Processes whose work reaches into the next frame run on.
    """
    interval = interval or dataflow.bound
    return replace(dataflow, processes=tuple(_drained(p, interval) for p in dataflow.processes))


def _drained(process: Process, interval: int) -> Process:
    idle = depth_of(process) + 2
    work = process.cycles - process.drain
    alone = op_schedule(process.op, process.folding, process.types, 1).steps
    return replace(process, drain=idle if alone == work and work + idle <= interval else 0)


def depth_of(process: Process, pipeline: Depths = None) -> int:
    """The pipeline depth of a process: what `pipeline` says of it or of all, its own estimate otherwise."""
    if isinstance(pipeline, Mapping):
        return pipeline[process.name]
    return pipeline_depth(process.op, process.folding, process.types) if pipeline is None else pipeline


def simulate(
    dataflow: Dataflow, frames: int = 4, *, pipeline: Depths = None, stalling: bool = False, pace: int = 0
) -> Timing:
    """The timing of a batch with FIFOs that are never full.

    `pipeline` is the pipeline depth of every process (None: estimated for each). The input port gives a beat a cycle,
    or with `pace` a frame's beats evenly over `pace` cycles.
    """
    return _Simulation(dataflow, frames, pipeline, stalling, pace).run()


class _Simulation:
    """Visits the processes in order; everything about the beats of a channel is one array."""

    def __init__(self, dataflow: Dataflow, frames: int, pipeline: Depths, stalling: bool, pace: int) -> None:
        self.dataflow, self.frames, self.pipeline, self.stalling, self.pace = dataflow, frames, pipeline, stalling, pace
        self.visible: dict[str, Steps] = {}  # channel -> cycle from which each beat can be read
        self.occupancy: dict[str, int] = {}
        self.timings: dict[str, ProcessTiming] = {}

    def run(self) -> Timing:
        for name in self.dataflow.inputs:
            self.visible[name] = self._arrivals(self.dataflow.channel(name))
        for process in self.dataflow.processes:
            self._visit(process)
        for name in self.dataflow.outputs:
            self.occupancy[name] = _occupancy(self.visible[name], self.visible[name])
        bound, interval = self.dataflow.bound, max((t.interval for t in self.timings.values()), default=0)
        return Timing(self.frames, interval, self._latency(), bound, self.timings, self.occupancy)

    def _arrivals(self, port: Channel) -> Steps:
        beats = np.arange(self.frames * port.beats, dtype=np.int64)
        return beats * self.pace // port.beats if self.pace else beats

    def _visit(self, process: Process) -> None:
        plan = schedule(process, self.frames)
        depth = depth_of(process, self.pipeline)
        starts = Starts(plan, [self.visible[name] for name in process.streams])
        for name, reads in zip(process.streams, plan.reads, strict=True):
            self.occupancy[name] = _occupancy(self.visible[name], starts.at(reads))
        left = starts.at(plan.writes + depth) + 1 if self.stalling else starts.at(plan.writes) + depth + 1
        for name in process.outputs:
            self.visible[name] = left
        first, last = starts.at(np.array([0, plan.steps - 1]))
        marks = left if process.outputs else starts.at(plan.reads[0])
        busy = int(last - first) + 1
        self.timings[process.name] = ProcessTiming(plan.steps, busy - plan.steps, _interval(marks, self.frames))

    def _latency(self) -> int:
        """The first frame's last beat at the first output, or at the last process where no channel leaves."""
        names = self.dataflow.outputs or tuple(self.visible)[-1:]
        marks = self.visible[names[0]]
        return int(marks[len(marks) // self.frames - 1])


def steady(
    dataflow: Dataflow, pace: int, *, pipeline: Depths = None, stalling: bool = False, uneven: bool = False
) -> dict[str, int]:
    """The most beats waiting in each channel when frames have come every `pace` cycles, evenly, for ever.

    Everything then repeats each `pace` cycles, so one frame tells all: a step waits for reads of its own frame or
    for those of the frame before, which are `pace` cycles and one frame's steps earlier; older ones never wait longer
    while no process needs more than `pace` cycles a frame.

    With `uneven`, pipelines on the paths that meet at a process may each have any lesser depth, down to 0.
    """
    assert pace >= dataflow.bound, f"{pace} cycles a frame are too few"
    run = _Steady(dataflow, pace, pipeline, stalling, uneven)
    for process in dataflow.processes:
        run.visit(process)
    return run.occupancy | dict.fromkeys(dataflow.outputs, 1)


class _Steady:
    """Visits the processes in order. `early` is when beats come if pipelines on the way from the last fork that all
    paths share, or the last process where paths meet, hold nothing back."""

    def __init__(self, dataflow: Dataflow, pace: int, pipeline: Depths, stalling: bool, uneven: bool) -> None:
        self.pace, self.pipeline, self.stalling, self.uneven = pace, pipeline, stalling, uneven
        self.visible: dict[str, Steps] = {}
        self.occupancy: dict[str, int] = {}
        for name in dataflow.inputs:
            beats = dataflow.channel(name).beats
            self.visible[name] = np.arange(beats, dtype=np.int64) * pace // beats
        self.early = dict(self.visible)
        self.open = set(self.visible)  # channels written and not yet read

    def visit(self, process: Process) -> None:
        frame, depth = schedule(process, 1), depth_of(process, self.pipeline)
        starts = self._starts(process, frame, self.visible)
        for name, reads in zip(process.streams, frame.reads, strict=True):
            self.occupancy[name] = self._occupancy(process, name, starts.at(reads))
        left = starts.at(frame.writes + depth) + 1 if self.stalling else starts.at(frame.writes) + depth + 1
        self.visible |= dict.fromkeys(process.outputs, left)
        if self.uneven:
            shared = len(process.streams) > 1 or self.open == set(process.streams)
            first = starts if shared else self._starts(process, frame, self.early)
            self.early |= dict.fromkeys(process.outputs, first.at(frame.writes) + 1)
        self.open = self.open - set(process.streams) | set(process.outputs)

    def _starts(self, process: Process, frame: Schedule, available: Mapping[str, Steps]) -> SteadyStarts:
        return SteadyStarts(frame, [available[name] for name in process.streams], process.cycles, self.pace)

    def _occupancy(self, process: Process, name: str, read: Steps) -> int:
        most = steady_occupancy(self.visible[name], read, self.pace)
        if self.uneven and len(process.streams) > 1:
            most = max(most, steady_occupancy(self.early[name], read, self.pace))
        return most


class SteadyStarts:
    """When the steps of frame 0 and of later ones start: `Starts` with every earlier frame in view."""

    def __init__(self, frame: Schedule, available: Sequence[Steps], cycles: int, pace: int) -> None:
        self.starts, self.cycles, self.pace = Starts(frame, available), cycles, pace
        self.before = max((int(w[-1]) for w in self.starts.waits), default=0) - (pace - cycles)

    def at(self, steps: Steps) -> Steps:
        later = steps // self.cycles
        step = steps - later * self.cycles
        return np.maximum(self.starts.at(step), step + self.before) + later * self.pace


def steady_occupancy(written: Steps, read: Steps, pace: int) -> int:
    """As `_occupancy`, for beats that come and go alike in every frame."""
    since: Steps = written - read[0]
    frames: Steps = since // pace
    offset: Steps = since - frames * pace
    gone: Steps = np.searchsorted(read - read[0], offset, side="left").astype(np.int64) + frames * len(read)
    return int((np.arange(1, len(written) + 1) - gone).max(initial=0))


class Starts:
    """When each step starts: s plus the longest wait up to it, `max over reads at r <= s of (available - r)`."""

    def __init__(self, plan: Schedule, available: Sequence[Steps]) -> None:
        self.reads = plan.reads
        self.waits = [np.maximum.accumulate(a - r) for a, r in zip(available, plan.reads, strict=True)]

    def at(self, steps: Steps) -> Steps:
        wait = np.zeros(len(steps), dtype=np.int64)
        for reads, waits in zip(self.reads, self.waits, strict=True):
            if steps is reads:
                np.maximum(wait, waits, out=wait)
                continue
            last = np.searchsorted(reads, steps, side="right") - 1
            np.maximum(wait, np.where(last >= 0, waits[last], 0), out=wait)
        return steps + wait


def _occupancy(written: Steps, read: Steps) -> int:
    """Most beats in a channel, counted when one arrives: those written so far less those read in an earlier cycle."""
    gone = np.searchsorted(read, written, side="left")
    return int((np.arange(1, len(written) + 1) - gone).max(initial=0))


def _interval(marks: Steps, frames: int) -> int:
    """Cycles from the middle frame's last beat to the next one's; for one frame, to its own."""
    beats = len(marks) // frames
    if frames == 1:
        return int(marks[-1])
    middle = (frames + 1) // 2
    return int(marks[middle * beats - 1] - marks[(middle - 1) * beats - 1])
