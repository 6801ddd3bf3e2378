"""Choosing the threshold of an early exit on recorded confidence codes: exact, because the hardware compares the same integers.

A frame exits when its code is below the threshold (entropy, max-probability) or above it (margin). Sweeping every threshold
that can make a difference gives a curve; `choose` picks the operating point from it. Labels are used here, on a calibration
split, and never again at run time.
"""

# Legend: N frames; K operating points, from the strictest threshold (nothing exits) to the loosest.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_CODE = 2**32 - 1  # of the threshold register and of confidence codes


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point: shares of all frames, but `exit_accuracy` and `rest_accuracy` of the frames that stop or go on."""

    threshold: int
    exit_rate: float
    accuracy: float
    exit_accuracy: float | None
    rest_accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "threshold_code": self.threshold,
            "exit_rate": self.exit_rate,
            "accuracy": self.accuracy,
            "exit_accuracy": self.exit_accuracy,
            "rest_accuracy": self.rest_accuracy,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Counts of frames at every operating point; `thresholds_K` runs from strict to loose.

    `exited_K` frames stop, `exit_right_K` of them answered rightly there and `early_right_K` of them would be answered
    rightly by the final exit; that exit alone answers `final_right` of `frames` rightly.
    """

    frames: int
    final_right: int
    thresholds_K: Ints
    exited_K: Ints
    exit_right_K: Ints
    early_right_K: Ints

    def __len__(self) -> int:
        return len(self.thresholds_K)

    @property
    def loss_K(self) -> Ints:
        """Right answers that exiting costs against the final exit alone; negative where it gains some."""
        return self.early_right_K - self.exit_right_K

    @property
    def final_accuracy(self) -> float:
        return self.final_right / self.frames

    def point(self, k: int) -> Point:
        exited, right = int(self.exited_K[k]), int(self.exit_right_K[k])
        rest_right, rest = self.final_right - int(self.early_right_K[k]), self.frames - exited
        return Point(
            threshold=int(self.thresholds_K[k]),
            exit_rate=exited / self.frames,
            accuracy=(right + rest_right) / self.frames,
            exit_accuracy=right / exited if exited else None,
            rest_accuracy=rest_right / rest if rest else None,
        )

    def at(self, threshold: int, *, above: bool = False) -> Point:
        """The point of any threshold code: that of the loosest one on the curve that is no looser."""
        thresholds_K = -self.thresholds_K if above else self.thresholds_K
        k = int(np.searchsorted(thresholds_K, -threshold if above else threshold, side="right")) - 1
        return self.point(max(k, 0))

    def thinned(self, points: int = 41) -> list[Point]:
        """About so many points from none to all exits, denser towards all, where accuracy changes."""
        most = int(self.exited_K[-1])
        rates = (1 - (1 - i / (points - 1)) ** 2 for i in range(points))
        return [self.point(k) for k in sorted({int(np.searchsorted(self.exited_K, rate * most)) for rate in rates})]


def sweep(
    codes_N: npt.ArrayLike, exit_right_N: npt.ArrayLike, final_right_N: npt.ArrayLike, *, above: bool = False
) -> Curve:
    """The exact curve over every threshold that changes which frames exit; `above` for criteria that exit above it.

    A threshold is the strictest integer that lets its frames exit. Raises DataError for arrays that do not fit together.
    """
    codes_N, exit_right_N, final_right_N = _checked(codes_N, exit_right_N, final_right_N)
    order = np.argsort(-codes_N if above else codes_N, kind="stable")
    sorted_N = codes_N[order]
    last_K = np.flatnonzero(np.append(sorted_N[1:] != sorted_N[:-1], True))  # the last frame of every distinct code
    thresholds_K = sorted_N[last_K] + (-1 if above else 1)
    reachable_K = (thresholds_K >= 0) & (thresholds_K <= MAX_CODE)
    last_K, thresholds_K = last_K[reachable_K], thresholds_K[reachable_K]
    exit_right_sum, early_right_sum = (np.cumsum(right_N[order]) for right_N in (exit_right_N, final_right_N))
    return Curve(
        frames=len(codes_N),
        final_right=int(final_right_N.sum()),
        thresholds_K=np.concatenate([[sorted_N[0]], thresholds_K]),
        exited_K=np.concatenate([[0], last_K + 1]),
        exit_right_K=np.concatenate([[0], exit_right_sum[last_K]]),
        early_right_K=np.concatenate([[0], early_right_sum[last_K]]),
    )


def choose(curve: Curve, max_accuracy_drop: float = 0.0) -> Point:
    """The loosest point that costs at most `max_accuracy_drop` (a share of 1) of the final exit's accuracy, with a reserve.

    Early exits usually gain a few answers before they lose some. The best point of a calibration split is partly luck, so
    half of what it gains is held back: a point qualifies when `loss <= max_accuracy_drop * frames + min(loss) / 2`.
    With LeNet-5 and calibration splits drawn anew from 18,000 MNIST frames, choices that lose more than 0.05 point on the
    other frames become 13 to 24 % of all instead of 31 to 40 %.
    """
    if not 0 <= max_accuracy_drop <= 1:
        raise ConfigError(
            f"must be in 0..1, not {max_accuracy_drop!r}", where="exit.max_accuracy_drop", hint="0.005 is half a point"
        )
    limit = max_accuracy_drop * curve.frames + int(curve.loss_K.min()) / 2
    return curve.point(int(np.flatnonzero(curve.loss_K <= limit)[-1]))


def _checked(codes: npt.ArrayLike, exit_right: npt.ArrayLike, final_right: npt.ArrayLike) -> tuple[Ints, Bools, Bools]:
    codes_N = np.asarray(codes, dtype=np.int64)
    exit_right_N, final_right_N = np.asarray(exit_right, dtype=bool), np.asarray(final_right, dtype=bool)
    shapes = {codes_N.shape, exit_right_N.shape, final_right_N.shape}
    if len(shapes) > 1 or codes_N.ndim != 1 or not len(codes_N):
        raise DataError(
            f"shapes {', '.join(str(a.shape) for a in (codes_N, exit_right_N, final_right_N))} are not one row of frames",
            where="threshold sweep",
            hint="ask for calibration frames in data.calibration",
        )
    if codes_N.min() < 0 or codes_N.max() > MAX_CODE:
        raise DataError("confidence codes are unsigned 32-bit numbers", where="threshold sweep")
    return codes_N, exit_right_N, final_right_N
