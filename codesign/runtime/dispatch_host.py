"""A host made of stages: one for each exit, in order, each handing its feature map to the next. For boards too.

    step 0 (the head, when the accelerator failed) -> step 1 -> ... -> tail

A step computes an exit's logits and the map from which the next one goes on; the tail computes the last exit's logits. The
decisions are the hardware's own integers, so it makes no difference to an answer who gave it.
"""

# Legend: N frames; M frames that are still under way; C classes or channels; H, W rows, columns.
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from codesign.runtime.dispatch_types import Decisions, Unit

if TYPE_CHECKING:
    from codesign.runtime.dispatch_types import Array, Ints


class Step(Protocol):
    """The layers up to an exit that is not the last, on maps (N, H, W, C) of codes."""

    def run(self, features_NHWC: Array) -> tuple[Ints, Array]:
        """The exit's logits (N, classes), and the maps that the next stage takes."""
        ...


class Tail(Protocol):
    """The layers from the last branch on."""

    def run(self, features_NHWC: Array) -> Ints:
        """The last exit's logits (N, classes)."""
        ...


class StageHost:
    """A `Host` of one step for every exit but the last, a tail for that one, and the unit of each exit."""

    def __init__(self, steps: Sequence[Step], tail: Tail, units: Sequence[Unit]) -> None:
        assert len(units) == len(steps) + 1
        self._steps, self._tail, self._units = steps, tail, units

    def finish(self, features_MHWC: Array, thresholds: Sequence[int]) -> Decisions:
        return self._decide(features_MHWC, thresholds, 1)

    def answer(self, images_NHWC: Array, thresholds: Sequence[int]) -> Decisions:
        return self._decide(images_NHWC, thresholds, 0)

    def _decide(self, features_MHWC: Array, thresholds: Sequence[int], first: int) -> Decisions:
        """Decisions from exit `first` on; each stage sees only the frames that none before it stopped."""
        exit_N, class_N, code_N = (np.zeros(len(features_MHWC), np.int64) for _ in range(3))
        rows_M, last = np.arange(len(features_MHWC)), len(self._steps)
        for exit_ in range(first, last + 1):
            logits_MC, features_MHWC = self.stage(exit_, features_MHWC)
            classes_M, codes_M = self._units[exit_].evaluate(logits_MC)
            exit_N[rows_M], class_N[rows_M], code_N[rows_M] = exit_, classes_M, codes_M
            if exit_ == last:
                break
            goes_on_M = ~self._units[exit_].decide(codes_M, thresholds[exit_])
            rows_M, features_MHWC = rows_M[goes_on_M], features_MHWC[goes_on_M]
            if not len(rows_M):
                break
        return Decisions(exit_N, class_N, code_N)

    def stage(self, exit_: int, features_MHWC: Array) -> tuple[Ints, Array]:
        """The logits of one exit, and the maps for the next."""
        if exit_ < len(self._steps):
            return self._steps[exit_].run(features_MHWC)
        return self._tail.run(features_MHWC), features_MHWC
