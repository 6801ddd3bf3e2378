"""Accelerators on a PC: the golden model, C simulation and RTL simulation of a design, all behind one protocol.

A run here cannot be broken off from outside: each has a limit of its own (the golden model the batch, C simulation its
seconds, RTL simulation the cycles in which nothing moves). `stop` keeps the next run from starting until `reset`.
"""

# Legend: N frames; M frames that go on; H, W, C rows, columns, channels; B beats; K 32-bit words of a beat.
from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codesign.ir.types import Codes
from codesign.plan.dataflow import Dataflow
from codesign.plan.design import TRAILER_FRAME
from codesign.plan.ports import RESULT_WIDTH_LOW, feature_word
from codesign.plan.widths import first_sent
from codesign.runtime.dispatch_types import Transfer, TransferError
from codesign.runtime.stages import Stage
from codesign.verify import golden
from codesign.verify.builds import Build
from codesign.verify.csim import Widths, simulate
from codesign.verify.packets import Words, unpack_maps
from codesign.verify.rtlsim import run_batch
from codesign.verify.verilated import Simulation


@dataclass(frozen=True, slots=True)
class Flows:
    """The dataflow at every width, narrow to wide, of a design that has several, and of its steps up."""

    widths: Mapping[float, Dataflow]
    steps: tuple[Dataflow, ...] = ()

    def index(self, width: float | None, base: float | None = None) -> int:
        """What the register `width` takes; the widest's for None, and with a `base` that of the step up from it."""
        if base is not None:
            return len(self.widths) + list(self.widths).index(base)
        return len(self.widths) - 1 if width is None else list(self.widths).index(width)

    def at(self, index: int) -> Dataflow:
        """The dataflow of what the register holds."""
        return (*self.widths.values(), *self.steps)[index]


class Simulated(ABC):
    """What the three have in common: stopping."""

    width: float | None = None  # what the next run is set to, of those that have several
    base: float | None = None  # the width from which the last frame steps up to it; see `step_up`. Not in C simulation

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer:
        if self._stopped.is_set():
            raise TransferError("raised", "stopped")
        return self._run(images_NHWC, threshold, timeout_s)

    def stop(self) -> None:
        self._stopped.set()

    def reset(self) -> None:
        self._stopped.clear()

    @abstractmethod
    def _run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer: ...


class GoldenAccelerator(Simulated):
    """The golden model of the head; of a slimmable network, of its heads by width."""

    def __init__(self, head: Stage | Mapping[float, Stage]) -> None:
        super().__init__()
        self._heads: Mapping[float | None, Stage] = {None: head} if isinstance(head, Stage) else {**head}
        self._kept: tuple[Codes, float | None] | None = None  # the last frame and its width

    def _run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer:
        head = self._heads[self.width]
        values = golden.run(
            head.graph, {head.source: images_NHWC, "threshold": threshold}, keep=("decision", head.feature)
        )
        kept, self._kept = self._kept, (images_NHWC[-1:], self.width)
        maps_NHWC = values[head.feature]
        if self.base is not None:
            if kept is None or kept[1] != self.base or not np.array_equal(kept[0], images_NHWC):
                raise TransferError("raised", f"a step up from {self.base:g} of a frame that was not the last there")
            narrow = self._heads[self.base]
            maps_NHWC = maps_NHWC[..., first_sent(narrow.graph.types[narrow.feature].channels, maps_NHWC.shape[-1]) :]
        return transfer_of(values["decision"].reshape(-1), maps_NHWC)

    def reset(self) -> None:
        self._kept = None
        super().reset()


class CsimAccelerator(Simulated):
    """The emitted C++, compiled; the program itself checks frame numbers, TLAST and counters."""

    def __init__(
        self, build: Build, dataflow: Dataflow, shape: tuple[int, int, int], flows: Flows | None = None
    ) -> None:
        super().__init__()
        self._build, self._dataflow, self._shape, self._flows = build, dataflow, shape, flows

    def _run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer:
        widths, shape = None, self._shape
        if self._flows is not None:
            now_N = np.full(len(images_NHWC), self._flows.index(self.width), np.int64)
            *narrow, _ = self._flows.widths.values()
            widths, shape = Widths(now_N, tuple(narrow), steps=self._flows.steps), (*shape[:2], -1)
        images = images_NHWC.astype(np.int64)
        out = simulate(self._build, self._dataflow, images, threshold, timeout_s=timeout_s, widths=widths)
        frames_M = np.array(list(out.features), np.int64)
        maps = [codes.reshape(shape) for codes in out.features.values()]
        empty = np.zeros((0, *self._shape), np.int64)
        return Transfer(
            without_widths(numbered(out.decisions), self._flows), frames_M, np.array(maps) if maps else empty
        )


class RtlAccelerator(Simulated):
    """The emitted SystemVerilog in Verilator, driven as a host drives the design, a batch at a time."""

    def __init__(
        self, simulation: Simulation, dataflow: Dataflow, shape: tuple[int, int, int], flows: Flows | None = None
    ) -> None:
        super().__init__()
        self._simulation, self._dataflow, self._shape, self._flows = simulation, dataflow, shape, flows

    def _run(self, images_NHWC: Codes, threshold: int, timeout_s: float) -> Transfer:
        kinds_N, flow, shape = None, self._dataflow, self._shape
        if self._flows is not None:
            index = self._flows.index(self.width, self.base)
            kinds_N = np.full(len(images_NHWC), index, np.int64)
            flow, shape = self._flows.at(index), (*shape[:2], -1)
        batch = run_batch(self._simulation, self._dataflow, images_NHWC.astype(np.int64), threshold, None, kinds_N)
        words_N = np.ascontiguousarray(batch.results.words_BK).view("<u8").reshape(-1)
        frames_M, maps_MHWC = read_features(batch.features.words_BK, flow, shape)
        words_N = without_widths(words_N.astype(np.int64), self._flows)
        return Transfer(words_N, frames_M, maps_MHWC, batch.frames_done, batch.exits)

    def reset(self) -> None:
        self._simulation.reset()
        super().reset()


def transfer_of(decisions_N: Codes, features_NHWC: Codes) -> Transfer:
    """The transfer of a batch whose decision words and maps of all frames are known."""
    exited_N = (decisions_N >> 47 & 1).astype(bool)
    sent_M = np.flatnonzero(~exited_N)
    return Transfer(numbered(decisions_N), sent_M, features_NHWC[sent_M], len(decisions_N), int(exited_N.sum()))


def without_widths(words_N: Codes, flows: Flows | None) -> Codes:
    """Result words with the class alone where a design with several widths also says the width."""
    return words_N if flows is None else words_N & ~np.int64(7 << RESULT_WIDTH_LOW)


def numbered(decisions_N: Codes) -> Codes:
    """Result words: decisions with their frame numbers."""
    return decisions_N | np.arange(len(decisions_N)) << 48


def read_features(words_BK: Words, dataflow: Dataflow, shape: tuple[int, int, int]) -> tuple[Codes, Codes]:
    """Frame numbers and maps from the words of the feature port; raises TransferError for a packet that breaks off."""
    word = feature_word(dataflow)
    maps = max(0, len(words_BK) - 1) // (word.beats + 1)
    if len(words_BK) != maps * (word.beats + 1) + 1 or words_BK[-1, 0] != TRAILER_FRAME:
        raise TransferError("short", f"{len(words_BK)} words of maps without a trailer behind the last")
    frames = words_BK[:-1].reshape(maps, word.beats + 1, words_BK.shape[1])
    codes = unpack_maps(np.ascontiguousarray(frames[:, 1:]), word)
    channels = word.beats * word.lanes // (shape[0] * shape[1])
    maps_MHWC = codes.reshape(-1, *shape[:2], channels)
    return frames[:, 0, 0].astype(np.int64), maps_MHWC
