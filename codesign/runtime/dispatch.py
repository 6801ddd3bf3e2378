"""The cascade at work: the accelerator runs batch n + 1 while workers finish the hard frames of batch n.

    with Dispatcher(accelerator, make_host, expect, units, thresholds=[0.3]) as cascade:
        for answers in cascade.run(images):
            for answer in answers:
                print(answer.frame, answer.exit, answer.class_, answer.confidence)

One thread drives the accelerator and one each worker; what happens next is decided in `dispatch_ledger`, under one lock.
Everything that waits, waits on one condition, at most until the next deadline, so whoever is idle notices a late job.
Answers come in the order of their frames, whatever fails. Leaving the `with` block, by Ctrl-C too, ends every thread.
"""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from codesign.runtime.dispatch_check import Expect, check_decisions, check_transfer
from codesign.runtime.dispatch_clock import Clock, SystemClock
from codesign.runtime.dispatch_ledger import ACCELERATE, ANSWER, Ledger, Rules
from codesign.runtime.dispatch_types import (
    MAX_BATCH,
    Accelerator,
    Answers,
    DispatchError,
    Event,
    Host,
    Route,
    TransferError,
    Unit,
)

if TYPE_CHECKING:
    from types import TracebackType

    from codesign.runtime.dispatch_ledger import Job
    from codesign.runtime.dispatch_types import Array

T = TypeVar("T")

CLOSE_S = 10.0  # for threads to end what they are at, before they are left behind


class Report(Protocol):
    """Tells the ledger how a job ended."""

    def __call__(self, now_s: float) -> None: ...


class Dispatcher:
    """Frames in, answers out. Use as a context manager; `accelerator` None runs all of it in software.

    `make_host` is called by every worker, and again after one failed. `units` are the decisions of every exit, the last
    one's too; `thresholds` one value for each but the last, in the unit's own measure. `on_event` hears of every event, in
    the thread that calls `submit` or waits for answers.
    """

    def __init__(
        self,
        accelerator: Accelerator | None,
        make_host: Callable[[], Host],
        expect: Expect,
        units: Sequence[Unit],
        thresholds: Sequence[float],
        rules: Rules | None = None,
        *,
        clock: Clock | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._accelerator, self._make_host, self._expect, self._units = accelerator, make_host, expect, units
        self.rules, self.clock, self._on_event = rules or Rules(), clock or SystemClock(), on_event
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._ledger = Ledger(self.rules, accelerator is not None)
        self._threads: list[threading.Thread] = []
        self._closing = False
        self.thresholds = thresholds

    @property
    def thresholds(self) -> Sequence[float]:
        """One for each exit but the last. New ones hold from the next batch on; nothing is built anew."""
        return self._thresholds

    @thresholds.setter
    def thresholds(self, values: Sequence[float]) -> None:
        if len(values) != len(self._units) - 1:
            raise DispatchError(
                f"{len(values)} thresholds for {len(self._units)} exits",
                where="thresholds",
                hint="one for each but the last",
            )
        codes = tuple(unit.threshold_code(value) for unit, value in zip(self._units, values))  # noqa: B905  as old as boards
        self._thresholds, self._route = tuple(values), Route(self._make_host, self._expect, self._units, codes)

    @property
    def events(self) -> list[Event]:
        """What went wrong so far, oldest first; the newest 10,000."""
        with self._lock:
            return list(self._ledger.events)

    @property
    def room(self) -> bool:
        """Whether `submit` takes a batch without waiting."""
        return self._ledger.room

    def submit(self, images_NHWC: Array, timeout_s: float = float("inf"), route: Route | None = None) -> int:
        """Hands a batch in, waiting while the window is full; returns the number of its first frame.

        `route` is for batches that do not go the dispatcher's own way.
        """
        route = route or self._route
        if not 1 <= len(images_NHWC) <= MAX_BATCH:
            raise DispatchError(f"a batch of {len(images_NHWC)} frames", hint=f"submit 1 to {MAX_BATCH} at a time")

        def attempt(now_s: float) -> int | None:
            return self._ledger.submit(images_NHWC, route, now_s) if self._ledger.room else None

        return self._told(attempt, timeout_s, "room for another batch")

    def next_answers(self, timeout_s: float = float("inf")) -> Answers:
        """The next batch's answers, in the order of submission."""
        if not self._ledger.waiting:
            raise DispatchError("no batch is under way", hint="submit one first")
        return self._told(self._ledger.pop, timeout_s, "answers")

    def stream(self, batches: Iterable[Array]) -> Iterator[Answers]:
        """Answers for batches of frames as they come, with as many batches under way as the window holds."""
        for images_NHWC in batches:
            while self._ledger.ready or not self._ledger.room:
                yield self.next_answers()
            self.submit(images_NHWC)
        while self._ledger.waiting:
            yield self.next_answers()

    def run(self, images_NHWC: Array, batch: int = 1024) -> Iterator[Answers]:
        """Answers for an array of frames, a batch at a time."""
        return self.stream(images_NHWC[start : start + batch] for start in range(0, len(images_NHWC), batch))

    def __enter__(self) -> Dispatcher:
        lanes = [self._work] * self.rules.workers + ([self._accelerate] if self._accelerator is not None else [])
        for lane in lanes:
            thread = threading.Thread(target=lane, name=f"codesign {lane.__name__[1:]}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def cancel(self) -> None:
        """Makes everybody who waits give up, from any thread; `close` then ends the threads."""
        with self._lock:
            self._closing = True
            self._condition.notify_all()
        self._stop_accelerator()

    def close(self) -> None:
        """Ends every thread; batches that were not delivered are dropped. A thread that does not end is an event."""
        self.cancel()
        for thread in self._threads:
            thread.join(CLOSE_S)
            if thread.is_alive():
                self._note("left behind", f"thread {thread.name!r} does not end")
        self._threads.clear()
        self._tell()

    # The threads. They catch all there is, SystemExit too: what ends a job must not end its thread.

    def _accelerate(self) -> None:
        accelerator, usable = self._accelerator, False  # an earlier dispatcher may have stopped it
        assert accelerator is not None

        def act(job: Job) -> Report:
            nonlocal usable
            try:
                if not usable:
                    accelerator.reset()
                route = job.batch.route
                usable, threshold = False, route.codes[0]
                if route.width is not None:
                    accelerator.width = route.width
                transfer = accelerator.run(job.data_MHWC, threshold, self.rules.accelerator_s)
                checked = check_transfer(transfer, len(job.rows_M), threshold, route.expect)
                usable = self.clock.now() < job.deadline_s  # later, somebody has stopped it
                return partial(self._ledger.transferred, job, checked)
            except TransferError as error:
                return partial(self._ledger.accelerator_failed, job, error.kind, error.what)
            except BaseException as error:
                return partial(self._ledger.accelerator_failed, job, "raised", _words(error))

        self._lane(self._ledger.take_accelerator, act)

    def _work(self) -> None:
        hosts: dict[Callable[[], Host], Host] = {}

        def act(job: Job) -> Report:
            route = job.batch.route
            try:
                mine = hosts.pop(route.make_host, None) or route.make_host()
                run = mine.answer if job.kind == ANSWER else mine.finish
                decisions = run(job.data_MHWC, route.codes)
                check_decisions(decisions, len(job.rows_M), len(route.units), route.expect.classes)
                hosts[route.make_host] = mine  # it is not used again after a failure
                return partial(self._ledger.finished, job, decisions)
            except BaseException as error:
                return partial(self._ledger.host_failed, job, _words(error))

        self._lane(self._ledger.take_host, act)

    def _lane(self, take: Callable[[float], Job | None], act: Callable[[Job], Report]) -> None:
        """One thread's jobs, until the dispatcher closes. A job's report is handed in as the next job is taken."""
        report: Report | None = None
        with contextlib.suppress(DispatchError):
            while True:
                report = act(self._wait_for(take, float("inf"), "work", report))

    # Waiting.

    def _wait_for(
        self, attempt: Callable[[float], T | None], timeout_s: float, what: str, report: Report | None = None
    ) -> T:
        """What `attempt` gives once it gives something. Raises DispatchError when closed, broken or out of time."""
        until_s = self.clock.now() + timeout_s
        while True:
            with self._lock:
                if report is not None:
                    report(self.clock.now())
                    report = None
                    self._condition.notify_all()
                late = self._expire()
                self._demand_open()
                now_s = self.clock.now()
                found = attempt(now_s)
                if found is not None:
                    self._condition.notify_all()
                elif now_s >= until_s:
                    raise DispatchError(f"no {what} within {timeout_s:g} s", hint="wait longer, or cancel")
                elif not late:
                    self.clock.wait(self._condition, min(until_s, self._ledger.deadline_s) - now_s)
            if late:
                self._stop_accelerator()
            if found is not None:
                return found

    def _expire(self) -> bool:
        """Takes late jobs from their threads; whether one was the accelerator's."""
        late = self._ledger.expire(self.clock.now())
        if late:
            self._condition.notify_all()
        return any(job.kind == ACCELERATE for job in late)

    def _demand_open(self) -> None:
        if self._closing:
            raise DispatchError("the dispatcher is closed", hint="use it inside its `with` block")
        if self._ledger.broken:
            raise DispatchError(self._ledger.broken, where="host")

    def _stop_accelerator(self) -> None:
        """Asks a run that is under way to end; outside the lock, because it may take its time."""
        try:
            if self._accelerator is not None:
                self._accelerator.stop()
        except Exception as error:
            self._note("raised", f"stop: {_words(error)}")

    # Events.

    def _note(self, kind: str, what: str) -> None:
        with self._lock:
            self._ledger.note(self.clock.now(), kind, what)

    def _told(self, attempt: Callable[[float], T | None], timeout_s: float, what: str) -> T:
        try:
            return self._wait_for(attempt, timeout_s, what)
        finally:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            news, self._ledger.news = self._ledger.news, []
        tell = self._on_event
        if tell is not None:
            for event in news:
                tell(event)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
