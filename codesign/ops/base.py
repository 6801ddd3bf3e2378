"""The contract of an op: one streaming process, its exact integers, foldings, timing and cost.

An op here is what the hardware runs as one process: it reads beats of `x_lanes` codes from each stream input and
writes beats of `y_lanes` codes. Tensors travel in raster order (rows, columns, channel groups), lanes little end first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.errors import FoldingError
from codesign.ir.types import Codes, TensorType
from codesign.ops.adder_graph import Sums

BEAT_PIXELS = (2, 4)  # how many whole pixels a beat may hold beside a part of one


@dataclass(frozen=True, slots=True, order=True)
class Folding:
    """How a process shares its hardware over time.

    `lanes` codes arrive per input beat, more than a pixel has when it holds several pixels; `pe` outputs and `simd`
    inputs of each output are worked on per cycle.
    Ops without a choice of their own have pe = lanes and simd = 1. `dsp_pe` of the outputs of a pixel are multiplied in
    DSPs although their weights never change, and so could be shifts and adds; only where `Op.movable` allows it.
    """

    lanes: int
    pe: int
    simd: int = 1
    dsp_pe: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which step of a process moves which beat, when nothing ever makes it wait.

    One step is one cycle. `reads[i][k]` is the step that reads the k-th beat of stream input i, `writes[k]` the step that
    produces the k-th output beat; all are non-decreasing int64 arrays over all frames of the batch. A beat that later
    steps need too is read by the first of them, and in RTL, which keeps no copy, leaves its FIFO in the last: `frees`.
    """

    steps: int
    reads: tuple[npt.NDArray[np.int64], ...]
    writes: npt.NDArray[np.int64]
    frees: tuple[npt.NDArray[np.int64], ...] | None = None  # None: in the step that reads it


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs, counted from its structure: no coefficient, so no source but the op itself.

    `multiplies` lists (count, x_bits, w_bits) done per cycle, of which `in_dsps` are to be made in DSPs; `roms` and `rams`
    are memories.
    """

    multiplies: tuple[tuple[int, int, int], ...] = ()
    in_dsps: int = 0
    adds: tuple[tuple[int, int], ...] = ()  # (count, bits) per cycle
    roms: tuple[tuple[int, int], ...] = ()  # (words, bits of a word)
    rams: tuple[tuple[int, int], ...] = ()
    register_bits: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Rom:
    """A ROM of an RTL unit: `codes` (words, codes of a word), code 0 in the lowest of `bits` bits each.

    The unit's port `<port>_address` sets the address and `<port>_data` has the word two cycles later; a ROM of one word
    is constant. A `fixed` one is a single word for which the unit has no address port.
    """

    port: str
    codes: npt.NDArray[np.int64]
    bits: int
    fixed: bool = False

    @property
    def words(self) -> int:
        return len(self.codes)

    @property
    def width(self) -> int:
        return self.codes.shape[1] * self.bits


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """How RTL runs a process: a module of fpga/rtl with these parameters, its ROMs, and the exact depth of its pipeline.

    A step that starts in cycle T delivers the beat it writes in cycle T + `latency`. `inputs` name the ports of the
    stream inputs, `registers` those of the register inputs; `batch` says that the module has `frames` and `idle`
    (docs/rtl.md). A unit with a RAM of its own gives its (words, bits of a word) as `memory` and has the parameter
    BLOCK, which the emitter sets where that is to be block RAM.
    """

    module: str
    parameters: Mapping[str, int]
    latency: int
    roms: tuple[Rom, ...] = ()
    sums: Sums | None = None
    inputs: tuple[str, ...] = ("x",)
    registers: tuple[str, ...] = ()
    batch: bool = False
    memory: tuple[int, int] | None = None
    widths: int = 1  # above 1: of how many a frame can have one, which the port `width` says before the frame


@dataclass(frozen=True, slots=True)
class Example:
    """An op with the types of its inputs, small enough to simulate at every legal folding."""

    op: Op
    inputs: tuple[TensorType, ...]


class Variant(NamedTuple):
    """An op with the types of its inputs at one width of a slimmable network; codes have the types of the widest.

    One that steps up computes only what is new: outputs from channel `row` on, or what inputs from `column` on (of a pixel)
    add to the outputs that the hardware has kept.
    """

    op: Op
    types: tuple[TensorType, ...]
    row: int = 0
    column: int = 0


class Op(ABC):
    """One kind of streaming process; subclasses are final, frozen dataclasses whose fields are its parameters."""

    __slots__ = ()

    name: ClassVar[str]
    registers: ClassVar[int] = 0  # how many of the last inputs are registers rather than streams
    view: ClassVar[bool] = False  # no process of its own: its output is its input's beats under a new type
    port: ClassVar[bool] = False  # writes an AXI4-Stream port of the design instead of a channel
    fabric: ClassVar[bool] = False  # its multipliers can be told to use LUTs instead of DSPs
    mixes: ClassVar[bool] = False  # an output depends on every input channel, not on its own alone
    gathers: ClassVar[bool] = False  # a code comes in once and goes out several times

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

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        """The RTL unit of the process; an op that is a view has none and raises NotImplementedError."""
        raise NotImplementedError(self.name)

    def slim_foldings(self, common: tuple[Folding, ...], variants: tuple[Variant, ...]) -> tuple[Folding, ...]:
        """Of the foldings that are legal at every width, those that one piece of hardware can have. Self is the widest."""
        del variants
        return common

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """The RTL unit that runs every variant; by default the one that serves them all as it is. Self is the widest, of
        inputs `x`.

        Raises FoldingError where there is none.
        """
        unit = self.rtl(folding, *x)
        others = [variant.op.rtl(folding, *variant.types) for variant in variants]
        if any(other.parameters != unit.parameters or other.roms for other in others):
            raise FoldingError(f"{self.name} cannot change its width yet", hint="leave [slim] out, or this layer")
        return unit

    def step_up(self, narrow: Variant, fresh: bool, *x: TensorType) -> tuple[Variant, bool]:
        """This op when all that `narrow` computed of a frame is kept, and whether only new channels come out.

        `fresh` says that only new channels come in, of types `x`. Ops that work on each channel alone do as always.
        """
        del narrow
        return Variant(self, x), fresh

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        """Variables of the HLS template that serves every width; by default only `beats` differ, and are a number for each.

        `largest` is what the process has to count to. Raises FoldingError where widths differ in more.
        """
        return self.slim_table("beats", folding, variants, *x)

    def slim_table(self, name: str, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> dict[str, Any]:
        """The variables of the widest, with one of them as a number for every width and all others the same at each."""
        rows = [variant.op.hls(folding, *variant.types) for variant in variants]
        if differing(rows) != {name}:
            raise FoldingError(f"{self.name} cannot change its width yet", hint="leave [slim] out, or this layer")
        values = [row[name] for row in rows]
        return {**self.hls(folding, *x), name: values, "largest": max(values)}

    @classmethod
    @abstractmethod
    def examples(cls) -> tuple[Example, ...]:
        """Small instances, corners included, that the contract tests take through every legal folding."""

    def movable(self, folding: Folding, *x: TensorType) -> int:
        """The outputs of a pixel whose products with constants may be made in DSPs instead of LUTs: `Folding.dsp_pe`."""
        return 0

    def cycles(self, folding: Folding, *x: TensorType) -> int:
        """Steps a frame adds to a long batch: the bound on this process's own interval."""
        return self.schedule(folding, 3, *x).steps - self.schedule(folding, 2, *x).steps

    def check(self, folding: Folding, where: str, *x: TensorType) -> None:
        """Raises FoldingError, with the legal values, when `folding` is not legal for these inputs."""
        legal, plain = self.foldings(*x), replace(folding, dsp_pe=0)
        if plain in legal:
            if 0 <= folding.dsp_pe <= self.movable(plain, *x):
                return
            raise FoldingError(
                f"{folding.dsp_pe} outputs of constant weights in DSPs",
                where=where,
                hint=f"there are {self.movable(plain, *x)} at this folding",
            )
        pes = sorted({f.pe for f in legal if f.lanes == folding.lanes})
        simds = sorted({f.simd for f in legal if f.lanes == folding.lanes})
        hint = f"use PE in {pes}, SIMD in {simds}" if pes else f"use lanes in {sorted({f.lanes for f in legal})}"
        raise FoldingError(
            f"PE={folding.pe}, SIMD={folding.simd}, lanes={folding.lanes} is not a legal folding of {self.name}",
            where=where,
            hint=hint,
        )


def per_width(values: Iterable[int]) -> int:
    """A parameter of an RTL unit that is a table: one number a width, 32 bits each, the narrowest in the lowest bits."""
    table = 0
    for index, value in enumerate(values):
        if not 0 <= value < 1 << 31:
            raise FoldingError(f"{value} does not fit a table of 32-bit sizes")
        table |= value << 32 * index
    return table


def grouped(unit: Unit, groups: Sequence[int]) -> Unit:
    """The unit at several widths, of which each has so many channel groups a pixel."""
    sizes = {"MAX_GROUPS": max(groups), "WIDTHS": len(groups), "GROUPS": per_width(groups)}
    module = unit.module.replace("cs_", "cs_slim_", 1)
    return replace(unit, module=module, parameters={**unit.parameters, **sizes}, widths=len(groups))


def differing(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The variables of a template that are not the same at every width."""
    return {name for name in rows[-1] if not all(np.array_equal(row[name], rows[-1][name]) for row in rows)}


def divisors(n: int) -> tuple[int, ...]:
    """The divisors of n, ascending."""
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def beat_lanes(x: TensorType) -> tuple[int, ...]:
    """Codes that a beat of x can hold, ascending: a part of a pixel, a pixel, or 2 or 4 neighbouring pixels of a row."""
    several = tuple(pixels * x.channels for pixels in BEAT_PIXELS if x.shape[1] % pixels == 0)
    return divisors(x.channels) + several


def beat_pixels(lanes: int, channels: int) -> int:
    """Pixels in a beat of `lanes` codes, 1 where it holds a part of one."""
    return max(1, lanes // channels)


def lane_foldings(lanes: Iterable[int]) -> tuple[Folding, ...]:
    """Foldings of a process that handles the lanes of one beat each cycle."""
    return tuple(Folding(n, n) for n in lanes)


def beat_schedule(beats: int, streams: int = 1) -> Schedule:
    """One beat in from every stream and one beat out per step."""
    steps = np.arange(beats, dtype=np.int64)
    return Schedule(beats, (steps,) * streams, steps)
