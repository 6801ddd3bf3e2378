"""What every frame is waiting for: one state machine, without threads and without a clock of its own.

    submitted -> accelerator -> stops there -------------------> answered -> delivered, in order
           |          |-------> goes on ------> host: finish -----^
           '----------'-------> failed, late --> host: answer ----'

A *job* is a piece of a batch that one thread works on. It is running from `take_...` until its report or its deadline,
whichever is first; a report after the deadline is dropped, so a frame is answered once however late its first job ends.
The caller holds a lock around every method and says what time it is.
"""

# Legend: N frames of a batch; M frames of a job.
from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codesign.runtime.dispatch_breaker import Breaker
from codesign.runtime.dispatch_types import Answers, Decisions, Event, Route

if TYPE_CHECKING:
    from codesign.runtime.dispatch_check import Checked
    from codesign.runtime.dispatch_types import Array, Ints

ACCELERATE, FINISH, ANSWER = "accelerate", "finish", "answer"
TRIES = 6  # of a host's job: chance faults do not come so often in a row
FROM_IMAGE = 2  # failures after which a job is done from the images on
UNANSWERED = -1
EVENTS = 10_000  # kept, the newest


@dataclass(frozen=True)
class Rules:
    """How the dispatcher works: `window` batches at most between `submit` and delivery, host jobs of at most `host_frames`.

    A batch that takes the accelerator longer than `accelerator_s`, or a job that takes a host longer than `host_s`, is given
    to somebody else. After `failures` in a row the accelerator rests for `rest_s`, longer each time that it fails again.
    """

    workers: int = 1
    window: int = 4
    host_frames: int = 256
    accelerator_s: float = 10.0
    host_s: float = 600.0
    failures: int = 3
    rest_s: float = 5.0


class Batch:
    """Frames that came together, and what is known of them so far."""

    def __init__(self, first: int, images_NHWC: Array, route: Route, now_s: float) -> None:
        frames = len(images_NHWC)
        self.first, self.images_NHWC, self.route, self.submitted_s = first, images_NHWC, route, now_s
        self.missing = frames
        self.exit_N = np.full(frames, UNANSWERED)
        self.class_N, self.code_N = np.zeros(frames, np.int64), np.zeros(frames, np.int64)
        self.latency_s_N, self.redone_N = np.zeros(frames), np.zeros(frames, bool)

    def settle(self, rows_M: Ints, decisions: Decisions, now_s: float, redone: bool) -> None:
        assert (self.exit_N[rows_M] == UNANSWERED).all(), "a frame is answered twice"
        self.exit_N[rows_M], self.class_N[rows_M] = decisions.exit_N, decisions.class_N
        self.code_N[rows_M], self.latency_s_N[rows_M] = decisions.code_N, now_s - self.submitted_s
        self.redone_N[rows_M] = redone
        self.missing -= len(rows_M)


class Job:
    """Rows of a batch for one thread; `data` are images, or the maps of frames that go on. Equal to no other job."""

    def __init__(self, kind: str, batch: Batch, rows_M: Ints, data_MHWC: Array, tries: int = 0) -> None:
        self.kind, self.batch, self.rows_M, self.data_MHWC, self.tries = kind, batch, rows_M, data_MHWC, tries
        self.deadline_s = float("inf")

    @property
    def frames(self) -> tuple[int, int]:
        """The first and last frame, counted since the start."""
        return self.batch.first + int(self.rows_M[0]), self.batch.first + int(self.rows_M[-1])

    def __lt__(self, other: Job) -> bool:
        """Older frames first, so that delivery in order never waits for newer ones."""
        return self.frames < other.frames


class Ledger:
    """Batches in order, jobs that wait, jobs that run, and what went wrong."""

    def __init__(self, rules: Rules, accelerated: bool) -> None:
        self.rules, self.accelerated = rules, accelerated
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.news: list[Event] = []  # events that nobody was told of yet
        self.broken = ""  # why nothing can go on, once it cannot
        self.frames = 0  # submitted so far
        self._breaker = Breaker(rules.failures, rules.rest_s)
        self._batches: deque[Batch] = deque()
        self._accelerate: deque[Job] = deque()
        self._host: list[Job] = []
        self._running: set[Job] = set()
        self._late: set[Job] = set()  # past their deadlines, their threads still at work

    # The caller's side.

    @property
    def room(self) -> bool:
        return len(self._batches) < self.rules.window

    @property
    def ready(self) -> bool:
        """Whether the next batch can be delivered."""
        return bool(self._batches) and not self._batches[0].missing

    @property
    def waiting(self) -> bool:
        """Whether batches are still to be delivered."""
        return bool(self._batches)

    def submit(self, images_NHWC: Array, route: Route, now_s: float) -> int:
        """Takes a batch in; the number of its first frame. There must be room."""
        batch = Batch(self.frames, images_NHWC, route, now_s)
        self._batches.append(batch)
        self.frames += len(images_NHWC)
        if self._accelerator_free and self._breaker.admits(now_s):
            self._accelerate.append(Job(ACCELERATE, batch, np.arange(len(images_NHWC)), images_NHWC))
        else:
            self._share(ANSWER, batch, np.arange(len(images_NHWC)), images_NHWC)
        return batch.first

    def pop(self, now_s: float) -> Answers | None:
        """The next batch's answers, once all of them are known."""
        if not self.ready:
            return None
        batch = self._batches.popleft()
        columns = (batch.exit_N, batch.class_N, batch.code_N, batch.latency_s_N, batch.redone_N)
        return Answers(batch.first, *columns, waited_s=now_s - batch.submitted_s, units=batch.route.units)

    # The threads' side.

    def take_accelerator(self, now_s: float) -> Job | None:
        return self._run(self._accelerate.popleft(), now_s + self.rules.accelerator_s) if self._accelerate else None

    def take_host(self, now_s: float) -> Job | None:
        return self._run(heapq.heappop(self._host), now_s + self.rules.host_s) if self._host else None

    def transferred(self, job: Job, checked: Checked, now_s: float) -> None:
        """The accelerator did its job: frames that stop are answered, the others go to a host."""
        if not self._ended(job, now_s):
            return
        if self._breaker.worked():
            self._note(now_s, "accelerator again", job, "a batch on trial came back whole")
        stops_M = np.flatnonzero(checked.exited_N)
        stopped = Decisions(np.zeros(len(stops_M), np.int64), checked.class_N[stops_M], checked.code_N[stops_M])
        job.batch.settle(stops_M, stopped, now_s, False)
        self._share(FINISH, job.batch, np.flatnonzero(~checked.exited_N), checked.features_MHWC)

    def accelerator_failed(self, job: Job, kind: str, what: str, now_s: float) -> None:
        """The batch goes to the hosts; so do those that wait, if the accelerator is to rest."""
        if self._ended(job, now_s):
            self._note(now_s, kind, job, what)
            self._fell(job, now_s)

    def finished(self, job: Job, decisions: Decisions, now_s: float) -> None:
        """A host did its job."""
        if self._ended(job, now_s):
            job.batch.settle(job.rows_M, decisions, now_s, job.kind == ANSWER)

    def host_failed(self, job: Job, what: str, now_s: float) -> None:
        """The job goes to a new host, after two failures from the images on."""
        if self._ended(job, now_s):
            self._note(now_s, "host raised", job, what)
            self._again(job, what)

    def expire(self, now_s: float) -> list[Job]:
        """Takes jobs past their deadlines from their threads; those jobs, so that somebody can stop the threads."""
        late = sorted(job for job in self._running if job.deadline_s <= now_s)
        for job in late:
            self._running.remove(job)
            self._late.add(job)
            accelerates = job.kind == ACCELERATE
            self._note(now_s, "late" if accelerates else "host late", job, "no answer by its deadline")
            if accelerates:
                self._fell(job, now_s)
            else:
                self._again(job, "no host answers in time")
        if sum(job.kind != ACCELERATE for job in self._late) >= self.rules.workers:
            self.broken = self.broken or "every host is past its deadline"
        return late

    @property
    def deadline_s(self) -> float:
        """When `expire` has something to do at the earliest."""
        return min((job.deadline_s for job in self._running), default=float("inf"))

    def note(self, now_s: float, kind: str, what: str) -> None:
        """An event that concerns no frame."""
        self._add(Event(now_s, kind, 0, -1, what))

    @property
    def _accelerator_free(self) -> bool:
        """Whether there is one that is not stuck in a job that was taken from it."""
        return self.accelerated and not any(job.kind == ACCELERATE for job in self._late)

    def _run(self, job: Job, deadline_s: float) -> Job:
        job.deadline_s = deadline_s
        self._running.add(job)
        return job

    def _ended(self, job: Job, now_s: float) -> bool:
        """Whether the report is still wanted; it is not when the job was taken away."""
        if job in self._running:
            self._running.remove(job)
            return True
        self._late.remove(job)
        self._note(now_s, "returned", job, "ended behind its deadline; its result is dropped")
        return False

    def _fell(self, job: Job, now_s: float) -> None:
        """After a failure of the accelerator: the job's frames to the hosts, and the rest too if it rests or is stuck."""
        rest_s = self._breaker.failed(now_s)
        if not self._accelerator_free:
            self._note(now_s, "all software", job, "until the accelerator's late run ends")
        elif rest_s:
            self._note(now_s, "all software", job, f"the accelerator rests for {rest_s:g} s")
        moved = [job]
        if not (self._breaker.trusted and self._accelerator_free):
            moved += self._accelerate
            self._accelerate.clear()
        for each in moved:
            self._share(ANSWER, each.batch, each.rows_M, each.data_MHWC)

    def _again(self, job: Job, what: str) -> None:
        tries = job.tries + 1
        if tries == TRIES:
            self.broken = f"frames {job.frames[0]}..{job.frames[1]} cannot be answered: {what}"
        kind = ANSWER if tries >= FROM_IMAGE else job.kind
        data_MHWC = job.batch.images_NHWC[job.rows_M] if kind != job.kind else job.data_MHWC
        heapq.heappush(self._host, Job(kind, job.batch, job.rows_M, data_MHWC, tries))

    def _share(self, kind: str, batch: Batch, rows_M: Ints, data_MHWC: Array) -> None:
        """Jobs for the hosts, small enough that every worker gets one where there are frames for all."""
        size = min(self.rules.host_frames, max(1, -(-len(rows_M) // self.rules.workers)))
        for start in range(0, len(rows_M), size):
            part = slice(start, start + size)
            heapq.heappush(self._host, Job(kind, batch, rows_M[part], data_MHWC[part]))

    def _note(self, now_s: float, kind: str, job: Job, what: str) -> None:
        self._add(Event(now_s, kind, *job.frames, what))

    def _add(self, event: Event) -> None:
        self.events.append(event)
        self.news.append(event)
