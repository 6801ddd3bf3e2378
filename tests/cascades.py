"""A cascade small enough for 100,000 frames in seconds, whose every part can fail as it likes.

A frame is one number. What each exit says of it is computed from that number, so the accelerator, a host and a test agree
without a network; three exits, the first in the accelerator.
"""

# Legend: N frames; M frames that go on.
from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import numpy as np

from codesign.runtime.dispatch_check import Expect
from codesign.runtime.dispatch_types import Decisions, Transfer

CLASSES, EXITS = 7, 3
THRESHOLDS = (60.0, 50.0)
FAULTS = (
    "raise",
    "hang",
    "short",
    "duplicate",
    "swap",
    "lost map",
    "torn word",
    "torn map",
    "counter",
    "nothing",
    "exit",
)
MIX = (2654435761, 2246822519, 3266489917)


class Unit:
    """Codes are 0..99; a frame stops below the threshold."""

    def evaluate(self, logits_NC):
        raise NotImplementedError

    def decide(self, codes_N, threshold_code):
        return codes_N < threshold_code

    def threshold_code(self, value: float) -> int:
        return int(value)

    def confidence(self, code: int) -> float:
        return code / 100


UNITS = [Unit() for _ in range(EXITS)]
EXPECT = Expect(shape=(1, 1, 1), least=0, most=2**40, classes=CLASSES, unit=UNITS[0])


def says(numbers_N: np.ndarray, exit_: int) -> tuple[np.ndarray, np.ndarray]:
    """Class and confidence code of an exit."""
    mixed_N = (numbers_N.astype(np.int64) + 1) * MIX[exit_] % (1 << 31)
    return mixed_N % CLASSES, mixed_N // 11 % 100


def truth(numbers_N: np.ndarray, thresholds: Sequence[float] = THRESHOLDS, start: int = 0) -> Decisions:
    """What must come out, from exit `start` on."""
    numbers_N = numbers_N.reshape(-1)
    columns = np.full((3, len(numbers_N)), -1)
    for exit_ in range(start, EXITS):
        classes_N, codes_N = says(numbers_N, exit_)
        stops_N = columns[0] == -1
        if exit_ < EXITS - 1:
            stops_N &= codes_N < thresholds[exit_]
        columns[:, stops_N] = np.array([np.full_like(codes_N, exit_), classes_N, codes_N])[:, stops_N]
    return Decisions(*columns)


def frames(count: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + count).reshape(-1, 1, 1, 1)


class FakeClock:
    """Time that moves only when told to; a wait with a deadline ends when time has come there."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._conditions: set[threading.Condition] = set()

    def now(self) -> float:
        return self.seconds

    def wait(self, condition: threading.Condition, timeout_s: float) -> None:
        self._conditions.add(condition)
        condition.wait()

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        for condition in list(self._conditions):
            with condition:
                condition.notify_all()


class FakeAccelerator:
    """Exit 0 as it should be, but for the fault that `fault()` names for a run ("" for none)."""

    def __init__(self, clock: FakeClock, fault: Callable[[], str] = lambda: "") -> None:
        self.clock, self.fault = clock, fault
        self.runs, self.resets = 0, 0
        self.seen: list[str] = []
        self._stopped = threading.Event()

    def run(self, images_NHWC: np.ndarray, threshold: int, timeout_s: float) -> Transfer:
        if self._stopped.is_set():
            raise RuntimeError("stopped, and not reset")
        self.runs += 1
        fault = self.fault()
        if fault:
            self.seen.append(fault)
        if fault == "hang":
            self.clock.advance(timeout_s + 1)
            assert self._stopped.wait(20), "nobody stopped the accelerator"
            raise RuntimeError("stopped")
        if fault == "raise":
            raise OSError("DMA channel not started")
        if fault == "exit":
            raise SystemExit(3)
        return broken(self.answer(images_NHWC, threshold), fault)

    def answer(self, images_NHWC: np.ndarray, threshold: int) -> Transfer:
        numbers_N = images_NHWC.reshape(-1)
        classes_N, codes_N = says(numbers_N, 0)
        exited_N = codes_N < threshold
        words_N = codes_N | classes_N << 32 | exited_N.astype(np.int64) << 47 | np.arange(len(numbers_N)) << 48
        sent_M = np.flatnonzero(~exited_N)
        return Transfer(words_N.astype(np.uint64), sent_M, images_NHWC[sent_M], len(numbers_N), int(exited_N.sum()))

    def stop(self) -> None:
        self._stopped.set()

    def reset(self) -> None:
        self.resets += 1
        self._stopped.clear()


def broken(transfer: Transfer, fault: str) -> Transfer:
    """The transfer with one fault that its reader must see; as it is when the batch is too small for it."""
    words_N, sent_M, maps_M = transfer.words_N.copy(), transfer.feature_frames_M.copy(), transfer.features_MHWC.copy()
    done, exits = transfer.frames_done, transfer.exits
    if fault == "nothing":
        words_N, sent_M, maps_M = words_N[:0], sent_M[:0], maps_M[:0]
    elif fault == "short":
        words_N = words_N[:-1]
    elif fault == "duplicate":
        words_N = np.concatenate([words_N[:1], words_N])
    elif fault == "swap" and len(words_N) > 1:
        words_N[:2] = words_N[1::-1]
    elif fault == "torn word":
        words_N[-1] ^= np.uint64(1 << 47)
    elif fault == "lost map" and len(sent_M):
        sent_M, maps_M = sent_M[:-1], maps_M[:-1]
    elif fault == "torn map" and len(sent_M):
        maps_M[0] = -1
    elif fault == "counter":
        exits += 1
    return Transfer(words_N, sent_M, maps_M, done, exits)


class FakeHost:
    """Exits 1 and 2, and all three; fails as `fault()` says."""

    def __init__(self, fault: Callable[[], str] = lambda: "") -> None:
        self.fault = fault

    def finish(self, features_MHWC: np.ndarray, thresholds: Sequence[int]) -> Decisions:
        return self._result(truth(features_MHWC, thresholds, start=1))

    def answer(self, images_NHWC: np.ndarray, thresholds: Sequence[int]) -> Decisions:
        return self._result(truth(images_NHWC, thresholds))

    def _result(self, decisions: Decisions) -> Decisions:
        fault = self.fault()
        if fault == "raise":
            raise ArithmeticError("the tail cannot")
        if fault == "die":
            raise SystemExit(1)
        if fault == "short":
            return Decisions(decisions.exit_N[:-1], decisions.class_N[:-1], decisions.code_N[:-1])
        return decisions


class Seeded:
    """Now and then a fault, the same ones in every run: call it for the next one's name."""

    def __init__(self, seed: int, share: float, names: Sequence[str]) -> None:
        self._random, self._share, self._names = random.Random(seed), share, names
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            return self._random.choice(self._names) if self._random.random() < self._share else ""
