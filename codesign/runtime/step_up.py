"""Stepping up: a single frame that a causal accelerator has just had one width narrower needs its new channels alone.

What a causal design has computed of a frame stays in it until the next frame (docs/slim.md), so a step is right only behind
that very frame. Here the last frame is remembered and compared by its codes: who sends frames need not know of steps.
"""

# Legend: M frames that go on; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from codesign.ir.types import Codes
from codesign.plan.widths import first_sent
from codesign.runtime.dispatch_types import Accelerator, Transfer


class Steps(Accelerator, Protocol):
    """An accelerator that, where `base` is set, steps its last frame up from that width to `width`, and then sends the maps of
    new channels alone (`first_sent`)."""

    base: float | None


class _Last(NamedTuple):
    """The frame that the accelerator had last, alone in its batch, and the map it sent at that width."""

    image_1HWC: Codes
    width: float
    map_1HWC: Codes


class StepUp:
    """An `Accelerator` of several widths that steps up where it can: a batch of one frame, the same as the batch before, one
    width wider. All else runs as it is; transfers are those of the wider width in any case."""

    def __init__(self, device: Steps, channels: Mapping[float, int]) -> None:
        """`channels` of the map at every width, narrow to wide."""
        self._device = device
        self._firsts = {(old, new): first_sent(channels[old], channels[new]) for old, new in pairwise(channels)}
        self._last: _Last | None = None
        self.width: float | None = None
        self.steps = 0  # frames that were stepped up so far

    def run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer:
        last, self._last = self._last, None
        base = last.width if last and self._continues(last, images_NHWC) else None
        self._device.width, self._device.base = self.width, base
        transfer = self._device.run(images_NHWC, threshold, timeout_s)
        if last and base is not None and self.width is not None:
            self.steps += 1
            new_MHWC, first = transfer.features_MHWC, self._firsts[base, self.width]
            whole_MHWC = np.concatenate([last.map_1HWC[: len(new_MHWC), ..., :first], new_MHWC], axis=3)
            transfer = replace(transfer, features_MHWC=whole_MHWC)
        if len(images_NHWC) == len(transfer.features_MHWC) == 1 and self.width is not None:
            self._last = _Last(np.array(images_NHWC), self.width, transfer.features_MHWC)
        return transfer

    def stop(self) -> None:
        self._device.stop()

    def reset(self) -> None:
        self._last = None
        self._device.reset()

    def _continues(self, last: _Last, images_NHWC: Codes) -> bool:
        return (last.width, self.width) in self._firsts and np.array_equal(images_NHWC, last.image_1HWC)
