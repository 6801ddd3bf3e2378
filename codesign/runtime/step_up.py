"""Stepping up: a single frame that a causal accelerator has just had one width narrower needs its new channels alone.

What a causal design has computed of a frame stays in it until the next frame (docs/slim.md), so a step is right only behind
that very frame. Here the last frame is remembered and compared by its codes: who sends frames need not know of steps.
"""

# Legend: M frames that go on; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from codesign.ir.types import Codes
from codesign.runtime.dispatch_types import Accelerator, Transfer


class Steps(Accelerator, Protocol):
    """An accelerator that, where `base` is set, steps its last frame up from that width to `width`, and then sends the maps of
    new channels alone."""

    base: float | None


class _Last(NamedTuple):
    """The frame that the accelerator had last, alone in its batch, and the map it sent at that width."""

    image_1HWC: Codes
    width: float
    map_1HWC: Codes


class StepUp:
    """An `Accelerator` of several widths that steps up where it can: a batch of one frame, the same as the batch before, one
    width wider. All else runs as it is; transfers are those of the wider width in any case."""

    def __init__(self, device: Steps, widths: Sequence[float]) -> None:
        self._device, self._narrower = device, {wide: narrow for narrow, wide in pairwise(widths)}
        self._last: _Last | None = None
        self.width: float | None = None
        self.steps = 0  # frames that were stepped up so far

    def run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer:
        last, self._last = self._last, None
        steps = last is not None and self._continues(last, images_NHWC)
        self._device.width, self._device.base = self.width, last.width if last and steps else None
        transfer = self._device.run(images_NHWC, threshold, timeout_s)
        if last and steps:
            self.steps += 1
            new_MHWC = transfer.features_MHWC
            whole_MHWC = np.concatenate([last.map_1HWC[: len(new_MHWC)], new_MHWC], axis=3)
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
        narrower = None if self.width is None else self._narrower.get(self.width)
        return narrower == last.width and np.array_equal(images_NHWC, last.image_1HWC)
