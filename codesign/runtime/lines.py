"""What a cascade of several exits does at many thresholds: every threshold of one exit, those of the others held fixed.

Frames are recorded once, as the *ease* with which each exit lets them stop: one stops at the first exit whose threshold is
above its ease there. For entropy and max-probability the ease is the confidence code; for a margin, which stops above its
threshold, both are counted down from the largest code.
"""

# Legend: N frames; E exits, J of them but the last; K operating points.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from codesign.errors import DataError
from codesign.runtime.thresholds import MAX_CODE

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Calibration frames: ease (J, N) of stopping, and whether each exit (E, N), the last one's too, is right."""

    ease_JN: Ints
    right_EN: Bools

    def __post_init__(self) -> None:
        exits, frames = self.ease_JN.shape
        if not exits or not frames or self.right_EN.shape != (exits + 1, frames):
            raise DataError(
                f"{exits} exits of {frames} frames",
                where="thresholds",
                hint="ask for calibration frames in data.calibration",
            )

    @property
    def frames(self) -> int:
        return self.ease_JN.shape[1]

    @property
    def early(self) -> int:
        """How many exits a frame can stop at before the last."""
        return len(self.ease_JN)

    @property
    def final_right(self) -> int:
        return int(self.right_EN[-1].sum())

    @property
    def spoils_JN(self) -> Bools:
        """Frames that are wrong at an exit and right at the last."""
        return ~self.right_EN[:-1] & self.right_EN[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Operating points: thresholds (K, J) on the ease, frames that stop at each exit (K, E), right answers (K,), and
    frames that each exit would spoil on its own (K, J)."""

    thresholds_KJ: Ints
    stops_KE: Ints
    right_K: Ints
    spoiled_KJ: Ints

    def __len__(self) -> int:
        return len(self.right_K)

    def spoiled(self, row: int) -> list[int | None]:
        """What each exit spoils at one point; None where it lets no frame stop."""
        pairs = zip(self.spoiled_KJ[row].tolist(), self.thresholds_KJ[row].tolist(), strict=True)
        return [count if threshold else None for count, threshold in pairs]

    def take(self, rows_K: npt.NDArray[np.generic]) -> Points:
        return Points(*(getattr(self, field.name)[rows_K] for field in fields(self)))


def together(parts: Sequence[Points]) -> Points:
    return Points(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Points)))


def ease(codes_N: Ints, *, above: bool) -> Ints:
    """Codes that stop below a threshold, from codes that stop above one if `above`; its own inverse, thresholds too."""
    return MAX_CODE - codes_N if above else codes_N


def line(recorded: Recorded, thresholds: Sequence[int], axis: int) -> Points:
    """Every operating point along one exit's threshold, strict to loose; the one given for that exit plays no part."""
    ease_JN, frames = recorded.ease_JN, recorded.frames
    stops_at_N, arrives_N = _elsewhere(recorded, thresholds, axis)
    right_there_N = recorded.right_EN[stops_at_N, np.arange(frames)]
    order = np.argsort(ease_JN[axis], kind="stable")
    sorted_N = ease_JN[axis][order]
    last_K = np.flatnonzero(np.append(sorted_N[1:] != sorted_N[:-1], True))  # the last frame of every distinct ease
    last_K = last_K[sorted_N[last_K] < MAX_CODE]  # above the largest code no threshold reaches

    def counted(what_N: npt.NDArray[np.generic]) -> Ints:
        """How many of `what_N` have an ease below each threshold."""
        return np.concatenate([[0], np.cumsum(what_N[order].astype(np.int64))[last_K]])

    stops_KE = np.empty((len(last_K) + 1, recorded.early + 1), np.int64)
    for exit_ in range(recorded.early + 1):
        there_N = stops_at_N == exit_
        stops_KE[:, exit_] = there_N.sum() - counted(there_N & arrives_N)
    stops_KE[:, axis] = counted(arrives_N)
    gained_N = arrives_N * (recorded.right_EN[axis].astype(np.int64) - right_there_N)
    spoiled_KJ = np.repeat([_spoiled(recorded, thresholds)], len(stops_KE), axis=0)
    spoiled_KJ[:, axis] = counted(recorded.spoils_JN[axis])
    thresholds_KJ = np.repeat(np.asarray([thresholds], np.int64), len(stops_KE), axis=0)
    thresholds_KJ[:, axis] = np.concatenate([[0], sorted_N[last_K] + 1])
    return Points(thresholds_KJ, stops_KE, int(right_there_N.sum()) + counted(gained_N), spoiled_KJ)


def point(recorded: Recorded, thresholds: Sequence[int]) -> Points:
    """One operating point."""
    stops_at_N = np.full(recorded.frames, recorded.early)
    for exit_ in reversed(range(recorded.early)):
        stops_at_N[recorded.ease_JN[exit_] < thresholds[exit_]] = exit_
    right = recorded.right_EN[stops_at_N, np.arange(recorded.frames)].sum()
    stops_E = np.bincount(stops_at_N, minlength=recorded.early + 1)
    return Points(
        np.asarray([thresholds], np.int64), stops_E[None], np.array([right]), np.array([_spoiled(recorded, thresholds)])
    )


def _elsewhere(recorded: Recorded, thresholds: Sequence[int], axis: int) -> tuple[Ints, Bools]:
    """Where each frame stops when exit `axis` lets none stop, and whether it comes past that exit."""
    stops_at_N = np.full(recorded.frames, recorded.early)
    for exit_ in reversed(range(recorded.early)):
        if exit_ != axis:
            stops_at_N[recorded.ease_JN[exit_] < thresholds[exit_]] = exit_
    return stops_at_N, stops_at_N > axis


def _spoiled(recorded: Recorded, thresholds: Sequence[int]) -> Ints:
    stopping_JN = recorded.ease_JN < np.asarray(thresholds)[:, None]
    return (recorded.spoils_JN & stopping_JN).sum(axis=1)
