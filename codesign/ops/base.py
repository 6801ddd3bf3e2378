"""The contract of an op: one streaming process, its exact integers, foldings, timing and cost.

An op here is what the hardware runs as one process: it reads beats of `x_lanes` codes from each stream input and
writes beats of `y_lanes` codes. Tensors travel in raster order (rows, columns, channel groups), lanes little end first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.errors import FoldingError
from codesign.ir.types import Codes, TensorType


@dataclass(frozen=True, slots=True, order=True)
class Folding:
    """How a process shares its hardware over time.

    `lanes` codes arrive per input beat; `pe` outputs and `simd` inputs of each output are worked on per cycle.
    Ops without a choice of their own have pe = lanes and simd = 1.
    """

    lanes: int
    pe: int
    simd: int = 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which step of a process moves which beat, when nothing ever makes it wait.

    One step is one cycle. `reads[i][k]` is the step that reads the k-th beat of stream input i, `writes[k]` the step that
    produces the k-th output beat; all are non-decreasing int64 arrays over all frames of the batch.
    """

    steps: int
    reads: tuple[npt.NDArray[np.int64], ...]
    writes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs, counted from its structure: no coefficient, so no source but the op itself.

    `multiplies` lists (count, x_bits, w_bits) done per cycle; `rom_bits` and `ram_bits` as (words, width) memories.
    """

    multiplies: tuple[tuple[int, int, int], ...] = ()
    adds: tuple[tuple[int, int], ...] = ()  # (count, bits) per cycle
    roms: tuple[tuple[int, int], ...] = ()  # (words, bits of a word)
    rams: tuple[tuple[int, int], ...] = ()
    register_bits: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """An op with the types of its inputs, small enough to simulate at every legal folding."""

    op: Op
    inputs: tuple[TensorType, ...]


class Op(ABC):
    """One kind of streaming process; subclasses are final, frozen dataclasses whose fields are its parameters."""

    __slots__ = ()

    name: ClassVar[str]
    registers: ClassVar[int] = 0  # how many of the last inputs are registers rather than streams
    view: ClassVar[bool] = False  # no process of its own: its output is its input's beats under a new type
    port: ClassVar[bool] = False  # writes an AXI4-Stream port of the design instead of a channel

    @abstractmethod
    def infer(self, *x: TensorType) -> TensorType:
        """The output's type. Raises GraphError when the inputs do not fit."""

    @abstractmethod
    def golden(self, *x: Codes) -> Codes:
        """The exact output codes of a batch, (N, H, W, C) int64 from (N, H, W, C) int64; registers are (1, 1, 1, 1)."""

    @abstractmethod
    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        """Every legal folding, cheapest first."""

    @abstractmethod
    def y_lanes(self, folding: Folding) -> int:
        """Codes in an output beat."""

    @abstractmethod
    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        """The steps of a batch of `frames` frames."""

    @abstractmethod
    def work(self, folding: Folding, *x: TensorType) -> Work:
        """The arithmetic and memory that the folding instantiates."""

    @abstractmethod
    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        """Variables of the op's HLS template, beside the ones every template gets."""

    @classmethod
    @abstractmethod
    def examples(cls) -> tuple[Example, ...]:
        """Small instances, corners included, that the contract tests take through every legal folding."""

    def cycles(self, folding: Folding, *x: TensorType) -> int:
        """Steps a frame adds to a long batch: the bound on this process's own interval."""
        return self.schedule(folding, 3, *x).steps - self.schedule(folding, 2, *x).steps

    def check(self, folding: Folding, where: str, *x: TensorType) -> None:
        """Raises FoldingError, with the legal values, when `folding` is not legal for these inputs."""
        legal = self.foldings(*x)
        if folding in legal:
            return
        pes = sorted({f.pe for f in legal if f.lanes == folding.lanes})
        simds = sorted({f.simd for f in legal if f.lanes == folding.lanes})
        hint = f"use PE in {pes}, SIMD in {simds}" if pes else f"use lanes in {sorted({f.lanes for f in legal})}"
        raise FoldingError(
            f"PE={folding.pe}, SIMD={folding.simd}, lanes={folding.lanes} is not a legal folding of {self.name}",
            where=where,
            hint=hint,
        )


def divisors(n: int) -> tuple[int, ...]:
    """The divisors of n, ascending."""
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def lane_foldings(channels: int) -> tuple[Folding, ...]:
    """Foldings of a process that handles the lanes of one beat each cycle."""
    return tuple(Folding(lanes, lanes) for lanes in divisors(channels))


def beat_schedule(beats: int, streams: int = 1) -> Schedule:
    """One beat in from every stream and one beat out per step."""
    steps = np.arange(beats, dtype=np.int64)
    return Schedule(beats, (steps,) * streams, steps)
