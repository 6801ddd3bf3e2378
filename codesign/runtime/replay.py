"""The whole pipeline at work against a paced accelerator, timed from the first frame's submission to the last one's answer."""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.runtime.dispatch import Dispatcher
from codesign.runtime.dispatch_types import Answers, Decisions
from codesign.runtime.paced import PacedAccelerator
from codesign.runtime.stopwatch import Array, Rate, Window, rate

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A stretch of the pipeline: its window, frames whose answer was not the expected one, frames redone in software, and
    when each frame's answer was known and was delivered in order, in seconds from its submission."""

    window: Window
    wrong: int
    redone: int
    known_s_N: Reals
    delivered_s_N: Reals


def replay(
    cascade: Dispatcher,
    device: PacedAccelerator,
    images_NHWC: Array,
    expected: Decisions,
    *,
    batch: int,
    seconds: float,
) -> Replay:
    """Streams the frames round and round for about so long; every answer is held against what is expected."""
    device.rewind()
    wrong, got = 0, list[Answers]()
    cpu, begin = time.process_time(), time.perf_counter()
    first = None
    for answers in cascade.stream(_batches(images_NHWC, batch, lambda: time.perf_counter() - begin < seconds)):
        first = answers.first if first is None else first
        at = (answers.first - first) % len(images_NHWC)
        rows = slice(at, at + len(answers))
        agrees_N = (answers.class_N == expected.class_N[rows]) & (answers.exit_N == expected.exit_N[rows])
        wrong += len(answers) - int(np.count_nonzero(agrees_N))
        got.append(answers)
    took_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    waited_s = [answers.waited_s for answers in got]
    return Replay(
        Window(sum(map(len, got)), took_s, waited_s, cpu_s),
        wrong,
        sum(int(answers.redone_N.sum()) for answers in got),
        np.concatenate([answers.latency_s_N for answers in got]),
        np.repeat(waited_s, list(map(len, got))),
    )


def percentiles(seconds_N: Reals) -> dict[str, float]:
    """Microseconds."""
    return {name: round(float(np.percentile(seconds_N, q)) * 1e6, 2) for name, q in (("p50", 50), ("p99", 99))}


def best(replays: list[Replay]) -> tuple[Rate, Replay]:
    """The rate of the fastest stretch, and that stretch."""
    fastest = max(replays, key=lambda r: r.window.frames / r.window.seconds)
    return rate([r.window for r in replays]), fastest


def _batches(images_NHWC: Array, batch: int, goes_on: Callable[[], bool]) -> Iterator[Array]:
    """Batches of the frames from the first on, whole rounds of them cut to size, until time is up."""
    while True:
        for start in range(0, len(images_NHWC), batch):
            if not goes_on():
                return
            yield images_NHWC[start : start + batch]
