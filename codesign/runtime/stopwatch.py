"""Wall-clock speed of software that takes batches of frames: images a second, and how long calls take."""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Runner = Callable[[Array], object]

WARM_UP = 3  # calls before the clock runs


@dataclass(frozen=True, slots=True)
class Rate:
    """Images a second in the best of several windows, the worst of them, percentiles of a call, CPU seconds an image."""

    images_per_s: float
    worst_images_per_s: float
    p50_us: float
    p99_us: float
    cpu_us_per_image: float

    def to_json(self) -> dict[str, float]:
        return {
            "images_per_s": round(self.images_per_s, 1),
            "worst_images_per_s": round(self.worst_images_per_s, 1),
            "p50_us": round(self.p50_us, 2),
            "p99_us": round(self.p99_us, 2),
            "cpu_us_per_image": round(self.cpu_us_per_image, 3),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One stretch of measuring: frames, seconds in all, seconds of every call, CPU seconds of the process."""

    frames: int
    seconds: float
    calls_s: Sequence[float]
    cpu_s: float


def window(run: Runner, images_NHWC: Array, batch: int, seconds: float) -> Window:
    """Calls `run` on one batch after another, going round the frames, until time is up."""
    batches = _round(images_NHWC, batch)
    for _ in range(WARM_UP):
        run(next(batches))
    calls_s: list[float] = []
    frames, cpu, begin = 0, time.process_time(), time.perf_counter()
    now = begin
    while now - begin < seconds:
        part = next(batches)
        start = time.perf_counter()
        run(part)
        now = time.perf_counter()
        calls_s.append(now - start)
        frames += len(part)
    return Window(frames, now - begin, calls_s, time.process_time() - cpu)


def rate(windows: Sequence[Window]) -> Rate:
    """The best window's figures: what the machine can do when others leave it alone."""
    best = max(windows, key=_speed)
    p50, p99 = np.percentile(np.asarray(best.calls_s) * 1e6, [50, 99]).tolist()
    return Rate(_speed(best), min(map(_speed, windows)), p50, p99, 1e6 * best.cpu_s / best.frames)


def _speed(measured: Window) -> float:
    return measured.frames / measured.seconds


def _round(images_NHWC: Array, batch: int) -> Iterator[Array]:
    """Whole batches, from the start again when fewer frames are left."""
    whole = max(1, len(images_NHWC) // batch)
    while True:
        for number in range(whole):
            yield images_NHWC[number * batch : (number + 1) * batch]
