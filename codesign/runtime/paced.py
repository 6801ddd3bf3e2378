"""An accelerator that is not there: what it would answer, when it would, and all that a host has to do for it.

Answers were computed beforehand by exact software. A run packs the images into bus words, lets as much time pass as the
design takes in cycles, and reads the words of both output ports as they would lie in memory. So a whole pipeline can be
timed, with everything but the device and its driver real. The wait gives the processor to other threads, as a DMA
transfer does.
"""

# Legend: N frames; M frames that go on; H, W, C rows, columns, channels; B beats; K 32-bit words of a beat.
from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from codesign.ir.types import Codes
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import feature_word, image_word
from codesign.runtime.accelerators import Simulated, numbered, read_features
from codesign.runtime.dispatch_types import Transfer, TransferError, Unit
from codesign.runtime.stopwatch import Array
from codesign.verify.packets import Words, feature_packet, pack_image

SPIN_S = 50e-6  # the last stretch of a wait is spent looking at the clock: sleeping is not that exact


@dataclass(frozen=True, slots=True)
class Pace:
    """The time that batches take: a result every `interval_cycles` from `latency_cycles` on."""

    clock_hz: float
    interval_cycles: float
    latency_cycles: float

    def seconds(self, frames: int) -> float:
        return (self.latency_cycles + (frames - 1) * self.interval_cycles) / self.clock_hz


class PacedAccelerator(Simulated):
    """Takes the recorded frames in their order, going round; raises TransferError for any others."""

    def __init__(
        self, images_NHWC: Array, logits_NC: Codes, features_NHWC: Codes, unit: Unit, dataflow: Dataflow, pace: Pace
    ) -> None:
        super().__init__()
        self._images_NHWC, self._shape, self._pace, self._unit = images_NHWC, features_NHWC.shape[1:], pace, unit
        self._class_N, self._code_N = unit.evaluate(logits_NC)
        self._image_word, self._dataflow = image_word(dataflow), dataflow
        word = feature_word(dataflow)
        packet = feature_packet(features_NHWC, np.zeros(len(images_NHWC), bool), word).words_BK
        self._trailer_BK = packet[-1:]
        self._maps_NBK = packet[:-1].reshape(len(images_NHWC), word.beats + 1, packet.shape[1])
        self._memory = np.empty_like(images_NHWC)  # the driver's, which it has from the start
        self._next = 0

    def rewind(self) -> None:
        """The next run begins with the first recorded frame again."""
        self._next = 0

    def _run(self, images_NHWC: Array, threshold: int, timeout_s: float) -> Transfer:
        self._send(images_NHWC)
        results_N, features_BK = self._device(images_NHWC, threshold)
        frames_M, maps_MHWC = read_features(features_BK, self._dataflow, self._shape)
        return Transfer(results_N, frames_M, maps_MHWC, len(results_N))

    def _send(self, images_NHWC: Array) -> None:
        """The frames as bus words in the driver's memory: as they are where their codes fill the words."""
        word = self._image_word
        kind = np.dtype(f"{'i' if word.dtype.signed else 'u'}{word.container // 8}")
        if word.lanes * word.container == word.bits and images_NHWC.dtype == kind:
            np.copyto(self._memory[: len(images_NHWC)], images_NHWC)
        else:
            pack_image(images_NHWC.astype(np.int64), word)

    def _device(self, images_NHWC: Array, threshold: int) -> tuple[Codes, Words]:
        """What lies in memory after a batch, at the time at which it would."""
        until_s = time.perf_counter() + self._pace.seconds(len(images_NHWC))
        rows = slice(self._next, self._next + len(images_NHWC))
        if not np.array_equal(images_NHWC, self._images_NHWC[rows]):
            raise TransferError("raised", "these are not the recorded frames that come next")
        self._next = rows.stop % len(self._images_NHWC)
        exited_N = self._unit.decide(self._code_N[rows], threshold)
        words_N = self._code_N[rows] | self._class_N[rows] << 32 | exited_N.astype(np.int64) << 47
        sent_M = np.flatnonzero(~exited_N)
        maps_MBK = self._maps_NBK[rows][sent_M]
        maps_MBK[:, 0, 0] = sent_M
        features_BK = np.concatenate([maps_MBK.reshape(-1, maps_MBK.shape[2]), self._trailer_BK])
        self._wait(until_s)
        return numbered(words_N), features_BK

    def _wait(self, until_s: float) -> None:
        if self._stopped.wait(max(0.0, until_s - time.perf_counter() - SPIN_S)):
            raise TransferError("raised", "stopped")
        while time.perf_counter() < until_s:
            pass
