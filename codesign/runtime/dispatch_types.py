"""What the dispatcher, accelerators and hosts hand to each other. Standard library and numpy only, Python 3.8: it goes to boards.

A frame stops at the first of its exits that is sure enough. Exit 0 is decided by the accelerator, the others by a *host*: a
worker's own software for the rest of the network, and for all of it when the accelerator fails.
"""

# Legend: N frames; M frames of a batch that go on; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from codesign.errors import CodesignError

if TYPE_CHECKING:
    import numpy.typing as npt

    from codesign.runtime.dispatch_check import Expect

    Ints = npt.NDArray[np.int64]
    Array = npt.NDArray[Any]

MAX_BATCH = 65_535  # a batch's frame numbers have 16 bits


class DispatchError(CodesignError):
    """The dispatcher cannot go on: closed, out of time, or frames that no host can answer."""


class TransferError(CodesignError):
    """What came back from the accelerator cannot be a batch's answer; `kind` is one word or two for the event."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what, where="accelerator")
        self.kind = kind


@dataclass(frozen=True, eq=False)
class Transfer:
    """What an accelerator brought back for one batch, as it came; the dispatcher checks all of it.

    `words_N` are 64-bit result words (docs/streams.md, rule 10), `feature_frames_M` the frame numbers in the headers of
    the maps `features_MHWC`. The counters are those of the registers, or None where they cannot be read.
    """

    words_N: Array
    feature_frames_M: Array
    features_MHWC: Array
    frames_done: int | None = None
    exits: int | None = None


class Accelerator(Protocol):
    """Anything that takes a batch through the path to exit 0. One thread calls `run`; another may call `stop`.

    `width` is set in the thread of `run` before a batch that asks for one; accelerators of a single width ignore it.
    """

    width: float | None

    def run(self, images_NHWC: Array, threshold: int, timeout_s: float) -> Transfer:
        """The batch's transfer. Raises what it likes when it cannot; should give up by itself after `timeout_s`."""
        ...

    def stop(self) -> None:
        """Makes a `run` that is under way end soon, by raising. Does nothing otherwise."""
        ...

    def reset(self) -> None:
        """Called in the thread of `run` before the first one and after one that failed: undoes `stop`, forgets the rest."""
        ...


class Unit(Protocol):
    """The decision of one exit on integer logits; `codesign.ops.ExitDecision` is one."""

    def evaluate(self, logits_NC: Ints) -> tuple[Ints, Ints]: ...
    def decide(self, codes_N: Ints, threshold_code: int) -> npt.NDArray[np.bool_]: ...
    def threshold_code(self, value: float) -> int: ...
    def confidence(self, code: int) -> float: ...


@dataclass(frozen=True, eq=False)
class Decisions:
    """Where frames stopped and what was said there: exit (0 is the accelerator's), class, confidence code."""

    exit_N: Ints
    class_N: Ints
    code_N: Ints


class Host(Protocol):
    """One worker's software. A worker makes its own, so nothing in it is shared between threads."""

    def finish(self, features_MHWC: Array, thresholds: Sequence[int]) -> Decisions:
        """The decisions of frames that went on behind exit 0. Thresholds are codes, exit 0's first."""
        ...

    def answer(self, images_NHWC: Array, thresholds: Sequence[int]) -> Decisions:
        """The decisions of frames that the accelerator did not answer: the same as with it, to the last bit."""
        ...


@dataclass(frozen=True, eq=False)
class Route:
    """One way through the accelerator and the hosts: what makes the hosts, what transfers look like, the unit of every exit
    and threshold codes for all but the last. `width` is what the accelerator is set to; None leaves it as it is."""

    make_host: Callable[[], Host]
    expect: Expect
    units: Sequence[Unit]
    codes: Sequence[int]
    width: float | None = None


class Answer(NamedTuple):
    """One frame: its number since the start, the exit it stopped at, class, confidence in the exit's unit, latency.

    The latency runs from `submit` to the moment when the answer was known; `redone` frames were answered by software alone.
    """

    frame: int
    exit: int
    class_: int
    confidence: float
    latency_s: float
    redone: bool


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one batch, in the order of its frames; `first` is the number of the first since the start.

    As arrays for speed; iterating gives an `Answer` a frame. `waited_s` is the time from `submit` to delivery in order.
    """

    first: int
    exit_N: Ints
    class_N: Ints
    code_N: Ints
    latency_s_N: npt.NDArray[np.float64]
    redone_N: npt.NDArray[np.bool_]
    waited_s: float
    units: Sequence[Unit]

    def __len__(self) -> int:
        return len(self.exit_N)

    def __iter__(self) -> Iterator[Answer]:
        columns = (self.exit_N, self.class_N, self.code_N, self.latency_s_N, self.redone_N)
        rows = zip(*(column.tolist() for column in columns))  # noqa: B905  zip(strict) is newer than boards
        for frame, (exit_, class_, code, latency_s, redone) in enumerate(rows, self.first):
            yield Answer(frame, exit_, class_, self.units[exit_].confidence(code), latency_s, redone)


class Event(NamedTuple):
    """Something that went wrong, or right again: when (the clock's seconds), a short `kind`, the frames first..last, words.

    Kinds: what a transfer was (`short`, `duplicated`, `out of order`, `corrupt`), `raised`, `late`, `host raised`, `host late`,
    `returned` (something late ended after all), `all software`, `accelerator again`, `left behind`.
    """

    when_s: float
    kind: str
    first: int
    last: int
    what: str

    def __str__(self) -> str:
        frames = f"frames {self.first}..{self.last}: " if self.last >= self.first else ""
        return f"{self.kind}: {frames}{self.what}"
