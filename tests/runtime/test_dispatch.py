"""The dispatcher with its threads: every answer once, in order and right, whatever fails; and no thread stays behind."""

from __future__ import annotations

import ast
import itertools
import signal
import threading
import time
from pathlib import Path

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
    FakeHost,
    Seeded,
    frames,
    truth,
)

import codesign.runtime.dispatch as dispatch_module
from codesign.runtime.dispatch import Dispatcher
from codesign.runtime.dispatch_ledger import Rules
from codesign.runtime.dispatch_types import DispatchError

RUNTIME = Path(dispatch_module.__file__).parent
BOARD_FILES = sorted([*RUNTIME.glob("dispatch*.py"), RUNTIME / "policy.py"])


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    left = [t.name for t in threading.enumerate() if t not in before and t.name.startswith("codesign")]
    assert left == []


def dispatcher(accelerator, host=FakeHost, clock=None, thresholds=THRESHOLDS, **rules):
    events = []
    cascade = Dispatcher(
        accelerator, host, EXPECT, UNITS, thresholds, Rules(**rules), clock=clock or FakeClock(), on_event=events.append
    )
    cascade.heard = events
    return cascade


def held(answers_list, images, thresholds=THRESHOLDS):
    """All answers as one, once they are those of these frames, each once and in order."""
    firsts = [answers.first for answers in answers_list]
    assert firsts == [0, *itertools.accumulate(len(a) for a in answers_list)][:-1]
    want = truth(images, thresholds)
    for name in ("exit_N", "class_N", "code_N"):
        got = np.concatenate([getattr(answers, name) for answers in answers_list])
        np.testing.assert_array_equal(got, getattr(want, name), err_msg=name)
    return np.concatenate([answers.redone_N for answers in answers_list])


def test_answers_come_in_order_with_exit_class_confidence_and_latency():
    clock = FakeClock()
    images = frames(1000)
    with dispatcher(FakeAccelerator(clock), clock=clock, workers=2) as cascade:
        all_answers = list(cascade.run(images, batch=64))
        redone_N = held(all_answers, images)

    answers = [answer for part in all_answers for answer in part]
    assert [answer.frame for answer in answers] == list(range(1000))
    assert {answer.exit for answer in answers} == {0, 1, 2}
    assert all(0 <= a.class_ < CLASSES and 0 <= a.confidence < 1 and a.latency_s >= 0 for a in answers)
    assert not redone_N.any()
    assert cascade.events == []


@pytest.mark.parametrize("seed", range(2))
def test_100_000_frames_through_random_faults(seed):
    """Batches of all sizes, every kind of fault in the accelerator and in the workers, rests and trials in between."""
    clock, images = FakeClock(), frames(100_000)
    accelerator = FakeAccelerator(clock, Seeded(seed, 0.1, FAULTS))
    host_fault = Seeded(seed + 100, 0.02, ("raise", "die", "short"))
    sizes = np.random.default_rng(seed).integers(1, 220, 1000)
    cuts = np.minimum(np.cumsum(sizes), len(images))

    def batches():
        for start, stop in itertools.pairwise([0, *np.unique(cuts).tolist()]):
            clock.advance(0.5)  # so that rests end
            yield images[start:stop]

    with dispatcher(accelerator, lambda: FakeHost(host_fault), clock, workers=3, window=5, host_frames=32) as cascade:
        redone_N = held(list(cascade.stream(batches())), images)
        events = cascade.events

    kinds = {event.kind for event in events}
    assert set(accelerator.seen) == set(FAULTS)
    assert {"raised", "late", "returned", "short", "duplicated", "out of order", "corrupt", "host raised"} <= kinds
    assert {"all software", "accelerator again"} <= kinds
    assert cascade.heard == events
    assert 0 < redone_N.sum() < len(images)
    assert accelerator.resets >= len(accelerator.seen) * 0.9


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("raise", "raised"),
        ("exit", "raised"),
        ("hang", "late"),
        ("short", "short"),
        ("nothing", "short"),
        ("lost map", "short"),
        ("duplicate", "duplicated"),
        ("swap", "out of order"),
        ("torn word", "corrupt"),
        ("torn map", "corrupt"),
        ("counter", "corrupt"),
    ],
)
def test_a_fault_is_redone_in_software_and_reported(fault, kind):
    clock, images = FakeClock(), frames(300)
    faults = iter(["", fault, *[""] * 99])
    accelerator = FakeAccelerator(clock, lambda: next(faults))
    with dispatcher(accelerator, clock=clock, window=1) as cascade:
        redone_N = held(list(cascade.run(images, batch=100)), images)

    assert redone_N.reshape(3, 100).all(axis=1).tolist()[:2] == [False, True]
    first = cascade.events[0]
    assert (first.kind, first.first, first.last) == (kind, 100, 199)
    assert first.what
    if fault != "hang":  # there, batch 3 may come before the run has ended
        assert not redone_N[200:].any()
        assert accelerator.resets == 2, "before the first run, and before the one behind the fault"


def test_an_accelerator_that_fails_and_fails_rests_and_is_tried_again():
    clock = FakeClock()
    faulty = True
    accelerator = FakeAccelerator(clock, lambda: "raise" if faulty else "")
    with dispatcher(accelerator, clock=clock, window=1, failures=3, rest_s=10) as cascade:
        list(cascade.run(frames(100), batch=10))
        assert accelerator.runs == 3
        assert [e.kind for e in cascade.events] == ["raised"] * 3 + ["all software"]
        assert "rests for 10 s" in cascade.events[-1].what
        clock.advance(10)
        list(cascade.run(frames(20), batch=10))
        assert accelerator.runs == 4, "one batch on trial"
        assert "rests for 20 s" in cascade.events[-1].what
        faulty = False
        clock.advance(19)
        list(cascade.run(frames(20), batch=10))
        assert accelerator.runs == 4
        clock.advance(1)
        list(cascade.run(frames(20), batch=10))
        assert accelerator.runs == 6
        assert cascade.events[-1].kind == "accelerator again"


def test_an_accelerator_that_never_ends_leaves_all_to_software_until_it_does():
    clock, release = FakeClock(), threading.Event()

    class Stuck(FakeAccelerator):
        def run(self, images_NHWC, threshold, timeout_s):
            if not release.is_set():
                self.clock.advance(timeout_s)
                release.wait(20)
            return super().run(images_NHWC, threshold, timeout_s)

        def stop(self):
            pass

    accelerator, images = Stuck(clock), frames(100)
    with dispatcher(accelerator, clock=clock) as cascade:
        redone_N = held(list(cascade.run(images, batch=10)), images)
        assert redone_N.all()
        assert [e.kind for e in cascade.events] == ["late", "all software"]
        release.set()
        while not any(e.kind == "returned" for e in cascade.events):
            time.sleep(0.001)
        assert not next(iter(cascade.run(frames(10), batch=10))).redone_N.any()


def test_a_late_run_that_ends_well_is_followed_by_a_good_one():
    """It was stopped in the meantime, and must be reset before it can run again."""
    clock = FakeClock()

    class Late(FakeAccelerator):
        def run(self, images_NHWC, threshold, timeout_s):
            transfer = super().run(images_NHWC, threshold, timeout_s)
            if self.runs == 1:
                self.clock.advance(timeout_s + 1)
                assert self._stopped.wait(20)
            return transfer

    ended = threading.Event()
    accelerator = Late(clock)
    with dispatcher(accelerator, clock=clock, window=1) as cascade:
        assert next(iter(cascade.run(frames(10), batch=10))).redone_N.all()
        accelerator.reset = lambda: (FakeAccelerator.reset(accelerator), ended.set())
        cascade.submit(frames(10, 10))
        cascade.next_answers()
        while not any(event.kind == "returned" for event in cascade.events):
            time.sleep(0.001)
        cascade.submit(frames(10, 20))
        assert not cascade.next_answers().redone_N.any()
        assert ended.is_set()
    assert "raised" not in [event.kind for event in cascade.events]


def test_without_an_accelerator_all_is_software():
    images = frames(500)
    with dispatcher(None, workers=2) as cascade:
        assert held(list(cascade.run(images, batch=70)), images).all()
    assert cascade.events == []


def test_thresholds_change_between_batches():
    clock = FakeClock()
    with dispatcher(FakeAccelerator(clock), clock=clock) as cascade:
        for thresholds in ((0.0, 100.0), (100.0, 0.0), (30.0, 70.0)):
            cascade.thresholds = thresholds
            cascade.submit(frames(200))
            answers = cascade.next_answers()
            np.testing.assert_array_equal(answers.exit_N, truth(frames(200), thresholds).exit_N)
    with pytest.raises(DispatchError, match="1 thresholds for 3 exits"):
        cascade.thresholds = (1.0,)


def test_thresholds_hold_for_the_batches_submitted_with_them():
    clock, gate = FakeClock(), threading.Event()

    class Waits(FakeHost):
        def finish(self, features_MHWC, thresholds):
            assert gate.wait(20)
            return super().finish(features_MHWC, thresholds)

    with dispatcher(FakeAccelerator(clock), Waits, clock) as cascade:
        cascade.submit(frames(50))
        cascade.thresholds = (0.0, 0.0)
        cascade.submit(frames(50))
        gate.set()
        np.testing.assert_array_equal(cascade.next_answers().exit_N, truth(frames(50)).exit_N)
        assert (cascade.next_answers().exit_N == 2).all()


def test_a_slow_tail_holds_the_caller_back():
    """The window is all that is ever under way; a caller that cannot wait is told so."""
    clock, gate = FakeClock(), threading.Event()

    class Slow(FakeHost):
        def finish(self, features_MHWC, thresholds):
            assert gate.wait(20)
            return super().finish(features_MHWC, thresholds)

    accelerator = FakeAccelerator(clock)
    with dispatcher(accelerator, Slow, clock, window=3) as cascade:
        for first in range(0, 90, 30):
            cascade.submit(frames(30, first))
        with pytest.raises(DispatchError, match="no room for another batch within 0 s"):
            cascade.submit(frames(30, 90), timeout_s=0)
        with pytest.raises(DispatchError, match="no answers within 0 s"):
            cascade.next_answers(timeout_s=0)
        gate.set()
        got = [cascade.next_answers()]
        cascade.submit(frames(30, 90))
        got += [cascade.next_answers() for _ in range(3)]
    held(got, frames(120))


def test_the_accelerator_runs_on_while_the_tail_works():
    """Batch 2 is through the accelerator before the tail has finished batch 1."""
    clock, second = FakeClock(), threading.Event()

    class Signals(FakeAccelerator):
        def run(self, images_NHWC, threshold, timeout_s):
            if self.runs == 1:
                second.set()
            return super().run(images_NHWC, threshold, timeout_s)

    class WaitsForTheSecond(FakeHost):
        def finish(self, features_MHWC, thresholds):
            assert second.wait(20), "the accelerator waits for the tail"
            return super().finish(features_MHWC, thresholds)

    with dispatcher(Signals(clock), WaitsForTheSecond, clock) as cascade:
        held(list(cascade.run(frames(60), batch=30)), frames(60))


def test_a_worker_that_dies_is_followed_by_a_new_one():
    clock, made = FakeClock(), []

    def make_host():
        made.append(1)
        return FakeHost(lambda: "die" if len(made) == 1 else "")

    with dispatcher(FakeAccelerator(clock), make_host, clock) as cascade:
        redone_N = held(list(cascade.run(frames(100), batch=100)), frames(100))
    assert len(made) == 2
    assert [e.kind for e in cascade.events] == ["host raised"]
    assert not redone_N.any()


def test_a_map_that_no_tail_can_finish_is_answered_from_its_image():
    clock = FakeClock()

    class NoTail(FakeHost):
        def finish(self, features_MHWC, thresholds):
            raise MemoryError("no room")

    with dispatcher(FakeAccelerator(clock), NoTail, clock) as cascade:
        redone_N = held(list(cascade.run(frames(100), batch=100)), frames(100))
    np.testing.assert_array_equal(redone_N, truth(frames(100)).exit_N > 0)


def test_frames_that_nobody_can_answer_are_named():
    with dispatcher(None, lambda: FakeHost(lambda: "raise")) as cascade, pytest.raises(DispatchError) as caught:
        list(cascade.run(frames(20), batch=10))
    assert "frames 0..9 cannot be answered: ArithmeticError: the tail cannot" in str(caught.value)


def test_a_host_that_does_not_end_is_relieved_by_another():
    clock, release = FakeClock(), threading.Event()
    calls = itertools.count()

    class Hangs(FakeHost):
        def answer(self, images_NHWC, thresholds):
            if next(calls) == 0:
                clock.advance(1000)
                assert release.wait(20)
            return super().answer(images_NHWC, thresholds)

    with dispatcher(None, Hangs, clock, workers=2, host_s=100) as cascade:
        held(list(cascade.run(frames(40), batch=40)), frames(40))
        release.set()
    assert cascade.events[0].kind == "host late"


def test_when_every_host_hangs_the_caller_hears_it():
    clock, release = FakeClock(), threading.Event()

    class Hangs(FakeHost):
        def answer(self, images_NHWC, thresholds):
            clock.advance(1000)
            release.wait(20)
            return super().answer(images_NHWC, thresholds)

    with dispatcher(None, Hangs, clock, workers=1, host_s=100) as cascade:
        cascade.submit(frames(4))
        with pytest.raises(DispatchError, match="every host is past its deadline"):
            cascade.next_answers()
        release.set()


@pytest.mark.parametrize("hangs", ["accelerator", "host"])
def test_ctrl_c_ends_the_wait_and_every_thread(hangs):
    """A real clock and a real signal, because the interrupt must get through a real wait."""
    clock, entered = FakeClock(), threading.Event()
    stopped = threading.Event()

    class Hanging(FakeAccelerator):
        def run(self, images_NHWC, threshold, timeout_s):
            if hangs == "accelerator":
                entered.set()
                assert stopped.wait(20)
                raise RuntimeError("stopped")
            return super().run(images_NHWC, threshold, timeout_s)

        def stop(self):
            stopped.set()

    class HangingHost(FakeHost):
        def finish(self, features_MHWC, thresholds):
            entered.set()
            assert stopped.wait(20)
            return super().finish(features_MHWC, thresholds)

    def interrupt():
        assert entered.wait(20)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    cascade = dispatcher(Hanging(clock), HangingHost, dispatch_module.SystemClock())

    def run() -> None:
        with cascade:
            thread.start()
            list(cascade.run(frames(100), batch=10))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs start without
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert not cascade._threads


def test_cancel_from_another_thread_frees_everybody():
    clock, gate = FakeClock(), threading.Event()

    class Slow(FakeHost):
        def finish(self, features_MHWC, thresholds):
            assert gate.wait(20)
            return super().finish(features_MHWC, thresholds)

    with dispatcher(FakeAccelerator(clock), Slow, clock) as cascade:
        cascade.submit(frames(50))
        threading.Timer(0.01, lambda: (cascade.cancel(), gate.set())).start()
        with pytest.raises(DispatchError, match="closed"):
            cascade.next_answers()


def test_real_deadlines():
    """The system's clock: a hang of 50 ms is late, and its frames are redone."""
    accelerator = FakeAccelerator(FakeClock(), iter(["hang", *[""] * 9]).__next__)
    cascade = dispatcher(accelerator, clock=dispatch_module.SystemClock(), accelerator_s=0.05)
    began = time.monotonic()
    with cascade:
        redone_N = held(list(cascade.run(frames(100), batch=50)), frames(100))
    assert redone_N[:50].all()
    assert cascade.events[0].kind == "late"
    assert 0.05 <= time.monotonic() - began < 5


def test_a_thread_that_does_not_end_is_reported(monkeypatch):
    monkeypatch.setattr(dispatch_module, "CLOSE_S", 0.01)
    clock, release, entered = FakeClock(), threading.Event(), threading.Event()

    class Deaf(FakeAccelerator):
        def run(self, images_NHWC, threshold, timeout_s):
            entered.set()
            release.wait(20)
            raise RuntimeError("at last")

        def stop(self):
            raise OSError("no bus")

    with dispatcher(Deaf(clock), clock=clock) as cascade:
        cascade.submit(frames(5))
        assert entered.wait(20)
        left = cascade._threads[-1]
    assert [e.kind for e in cascade.events] == ["raised", "left behind"]
    release.set()
    left.join(20)


@pytest.mark.parametrize("count", [0, 65_536])
def test_a_batch_of_an_impossible_size_is_refused(count):
    with dispatcher(None) as cascade, pytest.raises(DispatchError, match=f"a batch of {count} frames"):
        cascade.submit(np.zeros((count, 1, 1, 1), np.uint8))


def test_answers_without_frames_are_refused():
    with dispatcher(None) as cascade, pytest.raises(DispatchError, match="no batch is under way"):
        cascade.next_answers()


@pytest.mark.parametrize("path", BOARD_FILES, ids=lambda path: path.name)
def test_files_for_boards_are_plain_enough(path):
    """Python 3.8, the standard library and numpy; of ours each other and the errors."""
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    ours = {"codesign.errors", *(f"codesign.runtime.{p.stem}" for p in BOARD_FILES)}
    for node in ast.walk(tree):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            assert not module.startswith("codesign") or module in ours, module
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dataclass":
            assert not any(keyword.arg in ("slots", "kw_only") for keyword in node.keywords)
