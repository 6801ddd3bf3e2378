"""The state machine alone: whatever happens in whatever order, every frame is answered once, rightly, and delivered in order."""

from __future__ import annotations

import numpy as np
import pytest
from cascades import EXPECT, THRESHOLDS, UNITS, FakeAccelerator, FakeClock, FakeHost, frames, truth
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from codesign.runtime.dispatch_breaker import Breaker
from codesign.runtime.dispatch_check import check_transfer
from codesign.runtime.dispatch_ledger import ACCELERATE, ANSWER, Ledger, Rules
from codesign.runtime.dispatch_types import Route

ROUTE = Route(FakeHost, EXPECT, UNITS, THRESHOLDS)
RULES = Rules(workers=3, window=4, host_frames=5, accelerator_s=10, host_s=20, failures=2, rest_s=30)


class Frames(RuleBasedStateMachine):
    """Plays the caller, the accelerator and three hosts, each of which may be early, late, wrong or never done."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(RULES, accelerated=True)
        self.now, self.delivered = 0.0, 0
        self.accelerating, self.hosting = [], []

    @precondition(lambda self: self.ledger.room)
    @rule(count=st.integers(1, 12))
    def submit(self, count):
        first = self.ledger.frames
        assert self.ledger.submit(frames(count, first), ROUTE, self.now) == first

    @precondition(lambda self: not self.accelerating)
    @rule()
    def take_accelerator(self):
        job = self.ledger.take_accelerator(self.now)
        if job is not None:
            assert job.kind == ACCELERATE
            self.accelerating.append(job)

    @precondition(lambda self: len(self.hosting) < RULES.workers)
    @rule()
    def take_host(self):
        job = self.ledger.take_host(self.now)
        if job is not None:
            assert len(job.rows_M) == len(job.data_MHWC) <= RULES.host_frames
            self.hosting.append(job)

    @precondition(lambda self: self.accelerating)
    @rule(works=st.booleans())
    def end_accelerator(self, works):
        job = self.accelerating.pop()
        if works:
            transfer = FakeAccelerator(FakeClock()).answer(job.data_MHWC, THRESHOLDS[0])
            checked = check_transfer(transfer, len(job.rows_M), THRESHOLDS[0], EXPECT)
            self.ledger.transferred(job, checked, self.now)
        else:
            self.ledger.accelerator_failed(job, "raised", "by the test", self.now)

    @precondition(lambda self: self.hosting)
    @rule(which=st.integers(0, 2), works=st.integers(0, 9))
    def end_host(self, which, works):
        job = self.hosting.pop(which % len(self.hosting))
        if works or job.tries:  # two failures in a row on one job would be the end
            host = FakeHost()
            act = host.answer if job.kind == ANSWER else host.finish
            self.ledger.finished(job, act(job.data_MHWC, THRESHOLDS), self.now)
        else:
            self.ledger.host_failed(job, "by the test", self.now)

    @rule(seconds=st.sampled_from([1, 5, 11, 40]))
    def time_passes(self, seconds):
        """Hosts are never all late: the ledger would give up, as another test shows."""
        hosts_until = min((job.deadline_s for job in self.hosting), default=np.inf)
        self.now = min(self.now + seconds, max(self.now, hosts_until - 0.5))
        late = self.ledger.expire(self.now)
        assert all(job in self.accelerating for job in late)

    @rule()
    def deliver(self):
        answers = self.ledger.pop(self.now)
        if answers is not None:
            assert answers.first == self.delivered
            want = truth(frames(len(answers), answers.first))
            for name in ("exit_N", "class_N", "code_N"):
                np.testing.assert_array_equal(getattr(answers, name), getattr(want, name))
            assert (answers.latency_s_N >= 0).all()
            assert (answers.latency_s_N <= answers.waited_s).all()
            self.delivered += len(answers)

    @invariant()
    def nothing_is_lost(self):
        """Frames that are not answered are in exactly one job that waits or runs."""
        ledger = self.ledger
        jobs = [*ledger._accelerate, *ledger._host, *ledger._running]
        for batch in ledger._batches:
            open_N = np.zeros(len(batch.exit_N), int)
            for job in jobs:
                if job.batch is batch:
                    open_N[job.rows_M] += 1
            np.testing.assert_array_equal(open_N, batch.exit_N == -1)
            assert batch.missing == open_N.sum()
        assert not ledger.broken
        assert len(ledger._batches) <= RULES.window

    def teardown(self):
        """Everybody works on: all that was submitted comes out."""
        while self.delivered < self.ledger.frames:
            self.take_host()
            self.take_accelerator() if not self.accelerating else self.end_accelerator(works=True)
            if self.hosting:
                self.end_host(which=0, works=1)
            self.deliver()


Frames.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestFrames = Frames.TestCase


def test_older_frames_go_first():
    ledger = Ledger(Rules(host_frames=4), accelerated=False)
    for first in (0, 10):
        ledger.submit(frames(10, first), ROUTE, 0.0)
    redo = ledger.take_host(0.0)
    ledger.host_failed(redo, "once", 0.0)
    assert [ledger.take_host(0.0).frames for _ in range(4)] == [(0, 3), (4, 7), (8, 9), (10, 13)]


def test_every_worker_gets_a_part_of_a_batch():
    ledger = Ledger(Rules(workers=4, host_frames=100), accelerated=False)
    ledger.submit(frames(10), ROUTE, 0.0)
    assert [len(ledger.take_host(0.0).rows_M) for _ in range(4)] == [3, 3, 3, 1]


def test_waiting_batches_leave_an_accelerator_that_rests():
    ledger = Ledger(Rules(failures=1, window=9), accelerated=True)
    for first in (0, 10, 20):
        ledger.submit(frames(10, first), ROUTE, 0.0)
    ledger.accelerator_failed(ledger.take_accelerator(0.0), "raised", "no DMA", 1.0)
    assert ledger.take_accelerator(1.0) is None
    assert [ledger.take_host(1.0).frames[0] for _ in range(3)] == [0, 10, 20]
    assert [event.kind for event in ledger.events] == ["raised", "all software"]


def test_events_read_as_sentences():
    ledger = Ledger(Rules(failures=1), accelerated=True)
    ledger.submit(frames(10), ROUTE, 0.0)
    ledger.accelerator_failed(ledger.take_accelerator(0.0), "short", "9 result words, 10 must come", 1.0)
    ledger.note(2.0, "raised", "stop: OSError")
    assert [str(event) for event in ledger.events] == [
        "short: frames 0..9: 9 result words, 10 must come",
        "all software: frames 0..9: the accelerator rests for 5 s",
        "raised: stop: OSError",
    ]


class TestBreaker:
    def test_failures_must_come_in_a_row(self):
        breaker = Breaker(2, 10)
        for _ in range(5):
            assert breaker.failed(0) == 0
            assert not breaker.worked()
        assert breaker.trusted

    def test_rests_grow_to_a_limit_and_start_again(self):
        breaker, now = Breaker(1, 10), 0.0
        rests = []
        for _ in range(6):
            rests.append(breaker.failed(now))
            assert not breaker.admits(now + rests[-1] - 1)
            now += rests[-1]
            assert breaker.admits(now)
            assert not breaker.admits(now), "one batch on trial"
        assert rests == [10, 20, 40, 80, 160, 160]
        assert breaker.worked()
        assert breaker.admits(now)
        assert breaker.failed(now) == 10

    def test_late_failures_do_not_lengthen_a_rest(self):
        breaker = Breaker(1, 10)
        assert breaker.failed(0) == 10
        assert breaker.failed(9) == 0
        assert not breaker.worked()
        assert breaker.admits(10)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_the_window_bounds_what_is_under_way(window):
    ledger = Ledger(Rules(window=window), accelerated=False)
    while ledger.room:
        ledger.submit(frames(1, ledger.frames), ROUTE, 0.0)
    assert ledger.frames == window
    assert not ledger.ready
    assert ledger.pop(0.0) is None
