"""A policy at work: every frame once, in order, at the stage where it stops, whatever fails in whichever turn."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from cascades import (
    CLASSES,
    EXPECT,
    FAULTS,
    THRESHOLDS,
    UNITS,
    FakeAccelerator,
    FakeClock,
    Seeded,
    frames,
    says,
    truth,
)

from codesign.runtime.dispatch import Dispatcher
from codesign.runtime.dispatch_ledger import Rules
from codesign.runtime.dispatch_policy import GOES_ON, Pass, PolicyDispatcher, Turn
from codesign.runtime.dispatch_types import Decisions, Route, Transfer

LAST = 2  # of three turns; turn k at width k says what exit k of `cascades` says, the last one's host decides


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    left = [t.name for t in threading.enumerate() if t not in before and t.name.startswith("codesign")]
    assert left == []


class WidthAccelerator(FakeAccelerator):
    """Decides by the width that it is set to."""

    width: float | None = None

    def answer(self, images_NHWC: np.ndarray, threshold: int) -> Transfer:
        classes_N, codes_N = says(images_NHWC.reshape(-1), int(self.width))
        exited_N = codes_N < threshold
        words_N = codes_N | classes_N << 32 | exited_N.astype(np.int64) << 47 | np.arange(len(codes_N)) << 48
        sent_M = np.flatnonzero(~exited_N)
        return Transfer(words_N.astype(np.uint64), sent_M, images_NHWC[sent_M], len(codes_N), int(exited_N.sum()))


class TurnHost:
    """Software for one turn: its one stage when the accelerator failed, and what comes behind it."""

    def __init__(self, turn: int, fault) -> None:
        self.turn, self.fault = turn, fault

    def finish(self, features_MHWC: np.ndarray, thresholds) -> Decisions:
        numbers_M = features_MHWC.reshape(-1)
        none_M = np.zeros(len(numbers_M), np.int64)
        classes_M, codes_M = says(numbers_M, LAST) if self.turn == LAST else (none_M, none_M)
        return self._result(Decisions(np.ones(len(numbers_M), np.int64), classes_M, codes_M))

    def answer(self, images_NHWC: np.ndarray, thresholds) -> Decisions:
        behind = self.finish(images_NHWC, thresholds)
        classes_N, codes_N = says(images_NHWC.reshape(-1), self.turn)
        stops_N = codes_N < thresholds[0]
        return Decisions(
            np.where(stops_N, 0, behind.exit_N),
            np.where(stops_N, classes_N, behind.class_N),
            np.where(stops_N, codes_N, behind.code_N),
        )

    def _result(self, decisions: Decisions) -> Decisions:
        fault = self.fault()
        if fault == "raise":
            raise ArithmeticError("the tail cannot")
        if fault == "die":
            raise SystemExit(1)
        return decisions


def policy(accelerator, clock=None, fault=lambda: "", **rules) -> PolicyDispatcher:
    turns = []
    for turn in range(LAST + 1):
        ends = turn == LAST
        units = [UNITS[turn], UNITS[turn] if ends else Pass()]
        codes = [0] if ends else [int(THRESHOLDS[turn])]
        route = Route(lambda turn=turn: TurnHost(turn, fault), EXPECT, units, codes, float(turn))
        turns.append(Turn(route, [GOES_ON, LAST] if ends else [turn, GOES_ON]))
    first = turns[0].route
    own = [first.codes[0]]
    dispatcher = Dispatcher(
        accelerator, first.make_host, EXPECT, first.units, own, Rules(**rules), clock=clock or FakeClock()
    )
    return PolicyDispatcher(dispatcher, turns, UNITS)


def held(answers_list, images) -> np.ndarray:
    """All answers as one, once they are those of these frames, each once and in order."""
    firsts = [answers.first for answers in answers_list]
    assert firsts == [0, *itertools.accumulate(len(a) for a in answers_list)][:-1]
    want = truth(images)
    for name in ("exit_N", "class_N", "code_N"):
        got = np.concatenate([getattr(answers, name) for answers in answers_list])
        np.testing.assert_array_equal(got, getattr(want, name), err_msg=name)
    return np.concatenate([answers.redone_N for answers in answers_list])


def test_answers_come_in_order_with_stage_class_and_confidence():
    clock, images = FakeClock(), frames(1000)
    cascade = policy(accelerator := WidthAccelerator(clock), clock, workers=2)
    with cascade.dispatcher:
        parts = list(cascade.run(images, batch=64))
    assert not held(parts, images).any()
    answers = [answer for part in parts for answer in part]
    assert [answer.frame for answer in answers] == list(range(1000))
    assert {answer.exit for answer in answers} == {0, 1, 2}
    assert all(0 <= a.class_ < CLASSES and 0 <= a.confidence < 1 and a.latency_s >= 0 for a in answers)
    assert accelerator.runs <= 3 * 16, "a batch comes to each width once at most"


@pytest.mark.parametrize("seed", range(2))
def test_50_000_frames_through_random_faults_in_every_turn(seed):
    clock, images = FakeClock(), frames(50_000)
    accelerator = WidthAccelerator(clock, Seeded(seed, 0.1, FAULTS))
    sizes = np.random.default_rng(seed).integers(1, 220, 500)
    cuts = np.minimum(np.cumsum(sizes), len(images))

    def batches():
        for start, stop in itertools.pairwise([0, *np.unique([*cuts, len(images)]).tolist()]):
            clock.advance(0.5)  # so that rests end
            yield images[start:stop]

    host_fault = Seeded(seed + 100, 0.02, ("raise", "die"))
    cascade = policy(accelerator, clock, host_fault, workers=3, window=5, host_frames=32)
    with cascade.dispatcher:
        redone_N = held(list(cascade.stream(batches())), images)
        kinds = {event.kind for event in cascade.dispatcher.events}
    assert set(accelerator.seen) == set(FAULTS)
    assert {"raised", "late", "short", "duplicated", "corrupt", "host raised", "all software"} <= kinds
    assert 0 < redone_N.sum() < len(images)


@pytest.mark.parametrize("turn", range(LAST + 1))
def test_a_turn_that_fails_is_redone_in_software(turn):
    clock, images = FakeClock(), frames(300)
    runs = itertools.count()
    accelerator = WidthAccelerator(clock, lambda: "raise" if next(runs) == turn else "")
    cascade = policy(accelerator, clock, window=1)
    with cascade.dispatcher:
        redone_N = held(list(cascade.run(images, batch=300)), images)
        assert [event.kind for event in cascade.dispatcher.events] == ["raised"]
    np.testing.assert_array_equal(redone_N, truth(images).exit_N >= turn)


def test_without_an_accelerator_all_is_software():
    images, cascade = frames(500), policy(None, workers=2)
    with cascade.dispatcher:
        assert held(list(cascade.run(images, batch=70)), images).all()


def test_no_more_batches_are_taken_than_the_window_holds():
    taken, answered = [], []

    def batches():
        for first in range(0, 1000, 50):
            taken.append(first)
            yield frames(50, first)

    clock = FakeClock()
    cascade = policy(WidthAccelerator(clock), clock, window=3)
    with cascade.dispatcher:
        for part in cascade.stream(batches()):
            answered.append(part)
            assert len(taken) - len(answered) <= 3
    held(answered, frames(1000))
