"""A promise about frames nobody has seen: how often the cascade is wrong where the final exit alone would be right.

A frame is *spoiled* at an exit when it stops there, is wrong there, and would be right at the final exit. On n calibration
frames the spoiled ones are counted; the promise holds for every threshold that those frames may be used to choose, by the
argument in docs/thresholds.md: a looser threshold spoils no fewer frames, so only the loosest with each count matters.
"""

# Legend: J exits but the last.
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from codesign.errors import ConfigError

HALVINGS = 200  # of an interval of probabilities: until neighbouring floats are reached


@dataclass(frozen=True, slots=True)
class Guarantee:
    """With probability 1 - `delta` over the calibration frames, the risk is at most `epsilon`; `spoiled` counts them by exit."""

    epsilon: float
    delta: float
    n: int
    spoiled: tuple[int, ...]
    method: str

    def to_json(self) -> dict[str, Any]:
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "n": self.n,
            "spoiled": list(self.spoiled),
            "event": "a frame stops early, is wrong there, and the final exit is right",
            "method": self.method,
        }


def promise(spoiled_J: Sequence[int | None], n: int, delta: float, ways: int = 0) -> Guarantee:
    """The promise for thresholds chosen in whatever way, knowing the calibration frames: uniform over all thresholds.

    None is for an exit that lets no frame stop, and so spoils none for sure. `ways` is how many bounds must hold at once,
    by default one for each exit; more where the exits themselves were chosen.
    """
    check_delta(delta)
    share = delta / (ways or len(spoiled_J) or 1)
    epsilon = sum(0.0 if k is None else uniform_bound(k, n, share) for k in spoiled_J)
    counts = tuple(k or 0 for k in spoiled_J)
    return Guarantee(min(1.0, epsilon), delta, n, counts, "exact binomial tails, uniform over all thresholds")


def promise_of(epsilon: float, spoiled_J: Sequence[int], n: int, delta: float) -> Guarantee:
    """The promise of a risk that was named beforehand, for thresholds that spoil at most `budget` frames at each exit."""
    return Guarantee(epsilon, delta, n, tuple(spoiled_J), "exact binomial test of thresholds from strict to loose")


def budget(epsilon: float, n: int, delta: float, exits: int = 1, ways: int = 0) -> int:
    """The most frames that each of so many exits may spoil for the risk to be below `epsilon`; -1 where n is too small.

    `ways` as in `promise`.
    """
    check_delta(delta)
    if not 0 < epsilon <= 1:
        raise ConfigError(
            f"a risk of {epsilon!r} cannot be promised", where="--max-risk", hint="0.001 is a tenth of a point"
        )
    low, high = -1, n  # the bound grows with the count: bisect for the last that fits
    while low < high:
        middle = (low + high + 1) // 2
        if upper_bound(middle, n, delta / (ways or exits)) <= epsilon / exits:
            low = middle
        else:
            high = middle - 1
    return low


def frames_needed(epsilon: float, delta: float, exits: int = 1, ways: int = 0) -> int:
    """The fewest calibration frames on which `epsilon` can be promised, none of them spoiled."""
    return math.ceil(math.log(delta / (ways or exits)) / math.log1p(-epsilon / exits)) if epsilon < exits else 1


def uniform_bound(k: int, n: int, delta: float) -> float:
    """The risk that thresholds with k spoiled frames stay under, for all k at once: count k gets delta / ((k + 1)(k + 2))."""
    return upper_bound(k, n, delta / ((k + 1) * (k + 2)))


@lru_cache(maxsize=65536)
def upper_bound(k: int, n: int, delta: float) -> float:
    """The largest probability at which at most k of n frames still come up with probability `delta` (Clopper and Pearson).

    Rounded up: P(Binomial(n, result) <= k) <= delta.
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"{k} of {n} frames")
    if k == n:
        return 1.0
    low, high = k / n, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _at_most(k, n, middle) > delta:
            low = middle
        else:
            high = middle
    return min(1.0, high * (1 + 1e-9))  # more than the tail's own rounding


def check_delta(delta: float) -> None:
    """Raises ConfigError unless it is a probability to be wrong with."""
    if not 0 < delta < 1:
        raise ConfigError(
            f"{delta!r} is no chance to be wrong", where="--delta", hint="use 0.05, or another between 0 and 1"
        )


def _at_most(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k), summed from the largest term down in logarithms."""
    i = np.arange(1, k + 1, dtype=np.float64)
    steps = np.log(n - i + 1) - np.log(i) + (math.log(p) - math.log1p(-p))
    logs = n * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    most = float(logs.max())
    return math.exp(most + math.log(float(np.exp(logs - most).sum())))
