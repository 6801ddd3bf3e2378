"""matrix_vector: one integer matrix times every pixel's channel vector, exact; convolution after sliding_window, and dense.

Order of work: for each input beat, each chunk of SIMD lanes, each group of PE outputs. Input is consumed at an even
pace and needs no buffer; each output's accumulator waits in a register.
"""

# Legend: N frames; H, W rows and columns; I inputs (lanes of a vector), O outputs.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from codesign.errors import GraphError
from codesign.ir.slices import first_slice
from codesign.ir.types import Codes, Constant, IntType, TensorType
from codesign.ops.adder_graph import MOST_BITS, Sums, adder_graph
from codesign.ops.base import (
    BEAT_PIXELS,
    Example,
    Folding,
    Op,
    Rom,
    Schedule,
    Unit,
    Variant,
    Work,
    beat_pixels,
    divisors,
    per_width,
)

PAIRED_FROM = 32  # products a cycle from which on RTL puts two into a multiplier


@dataclass(frozen=True, slots=True)
class _Tiling:
    """How a folding cuts the work: `pixels` in a beat, `pe` outputs of each a step; a pixel takes `beats` (1 where a beat
    holds it all) of `chunks` SIMD slices, and each slice `folds` steps."""

    pixels: int
    pe: int
    beats: int
    chunks: int
    folds: int


@dataclass(frozen=True, slots=True)
class MatrixVector(Op):
    """y[o] = sum_i weights[o, i] * x[i], accumulated without rounding or saturation.

    The output type is the narrowest that holds every partial sum of these very weights over every possible input.
    """

    name: ClassVar[str] = "matrix_vector"
    fabric: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    weights: Constant

    def infer(self, *x: TensorType) -> TensorType:
        (vector,) = x
        if len(self.weights.shape) != 2 or self.weights.shape[1] != vector.channels:
            raise GraphError(
                f"weights {self.weights} do not fit {vector.channels} inputs", hint="weights are (outputs, inputs)"
            )
        low, high = _bounds(self.weights, vector.dtype)
        return TensorType((*vector.shape[:2], self.weights.shape[0]), IntType.holding(low, high))

    def golden(self, *x: Codes) -> Codes:
        (vector_NHWI,) = x
        frames, rows, columns, inputs = vector_NHWI.shape
        flat = vector_NHWI.reshape(-1, inputs)
        largest = max(int(flat.max(initial=0)), -int(flat.min(initial=0)))
        peak = largest * int(np.abs(self.weights.array).sum(axis=1).max())
        narrow = np.int32 if peak < 2**31 else np.int64  # no partial sum can pass the peak, so both are exact
        # einsum's inner loop over contiguous rows runs twice as fast as an integer matmul, which has no BLAS.
        sums = np.einsum("mi,oi->mo", flat.astype(narrow), self.weights.array.astype(narrow))
        return sums.astype(np.int64).reshape(frames, rows, columns, -1)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        inputs, outputs = x[0].channels, self.weights.shape[0]
        legal = [
            Folding(lanes, pe, simd)
            for lanes in divisors(inputs)
            for simd in divisors(lanes)
            for pe in divisors(outputs)
        ]
        several = [pixels for pixels in BEAT_PIXELS if x[0].shape[1] % pixels == 0]
        legal += [Folding(p * inputs, p * outputs, simd) for p in several for simd in divisors(inputs)]
        return tuple(sorted(legal, key=lambda f: (f.pe * f.simd, f.pe, f.lanes)))

    def movable(self, folding: Folding, *x: TensorType) -> int:
        t = self._tiling(folding)
        return t.pe if t.beats * t.chunks * t.folds == 1 else 0

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def cycles(self, folding: Folding, *x: TensorType) -> int:
        return x[0].size // folding.simd * self.weights.shape[0] // folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        (vector,) = x
        t = self._tiling(folding)
        beat_steps = t.chunks * t.folds
        turns = frames * vector.pixels // t.pixels  # of one vector, or of all that lie in a beat
        reads = np.arange(turns * t.beats, dtype=np.int64) * beat_steps
        ends = (np.arange(turns, dtype=np.int64) + 1) * t.beats * beat_steps
        writes = (ends[:, None] - t.folds + np.arange(t.folds)).reshape(-1)
        return Schedule(turns * t.beats * beat_steps, (reads,), writes, (reads + beat_steps - 1,))

    def work(self, folding: Folding, *x: TensorType) -> Work:
        (vector,) = x
        bits, t = self.infer(vector).dtype.bits, self._tiling(folding)
        count = folding.pe * folding.simd
        words = self.weights.array.size // (t.pe * folding.simd)
        return Work(
            multiplies=((count, vector.dtype.bits, self.weights.dtype.bits),),
            in_dsps=t.pixels * folding.dsp_pe * folding.simd,
            adds=((count, bits),),
            roms=((words, t.pe * folding.simd * self.weights.dtype.bits),) if words > 1 else (),
            register_bits=t.folds * folding.pe * bits + folding.lanes * vector.dtype.bits,
        )

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (vector,) = x
        t = self._tiling(folding)
        return {
            "turns": vector.pixels // t.pixels,
            "pixels": t.pixels,
            "pe": t.pe,
            "dsp_pe": folding.dsp_pe,
            "beats": t.beats,
            "chunks": t.chunks,
            "folds": t.folds,
            "w_type": self.weights.dtype,
            "weights": self._tiles(folding),
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        (vector,) = x
        t = self._tiling(folding)
        if self.movable(folding, vector) and max(vector.dtype.bits, self.weights.dtype.bits) <= MOST_BITS:
            return self._constant_rtl(folding, vector)
        facts, rom = self._multiplies(folding, vector)
        return Unit(
            "cs_matrix_vector",
            {**facts, "PIXELS": t.pixels, "CHUNKS": t.chunks, "FOLDS": t.folds, "BEATS": t.beats},
            latency=self._latency(folding, rom),
            roms=(rom,),
        )

    def _constant_rtl(self, folding: Folding, vector: TensorType) -> Unit:
        """The unit of weights that never change: shifts and adds instead of products."""
        graph = adder_graph(self.weights, vector.dtype, folding.dsp_pe)
        sums = Sums(graph, self._tiling(folding).pixels, self.infer(vector).dtype.bits)
        facts = {"X_WIDTH": sums.x_width, "Y_WIDTH": sums.y_width, "D": sums.latency}
        return Unit("cs_constant_matrix", facts, latency=sums.latency, sums=sums)

    def slim_foldings(self, common: tuple[Folding, ...], variants: tuple[Variant, ...]) -> tuple[Folding, ...]:
        """A beat holds channels of one pixel of a flattened map, so that the pixels of a narrower one are whole beats."""
        inputs = [variant.types[0].channels for variant in variants]
        if len(set(inputs)) == 1:
            return common
        pixels = self._mapped(variants)
        return tuple(f for f in common if all(n // pixels % f.lanes == 0 for n in inputs))

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """One ROM, of the widest's tiles; the loops of a narrower one leave out folds and, of every pixel, beats. A step up
        begins behind the folds, or the beats, that it has; then its sums go on from those that are kept."""
        (vector,) = x
        t = self._tiling(folding)
        if t.pixels > 1:  # every width has the same sizes
            return self.rtl(folding, vector)
        facts, rom = self._multiplies(folding, vector)
        loops = self._loops(folding, variants)
        names = ("folds", "beats", "chunk_skips", "pixel_skips", "firsts", "keeps")
        return Unit(
            "cs_slim_matrix_vector",
            {
                **facts,
                "CHUNKS": t.chunks,
                "PIXELS": loops["map_pixels"],
                "VECTORS": vector.pixels,
                "MAX_FOLDS": t.folds,
                "MAX_BEATS": loops["most_beats"],
                "WIDTHS": len(variants),
                **{name.upper(): per_width(loops[name]) for name in names},
            },
            latency=self._latency(folding, rom),
            roms=(rom,),
            widths=len(variants),
        )

    def step_up(self, narrow: Variant, fresh: bool, *x: TensorType) -> tuple[Variant, bool]:
        """New outputs of all inputs; of new inputs alone, what they add to the sums of outputs that were there before."""
        assert isinstance(narrow.op, MatrixVector)
        (old_rows, old_columns), rows = narrow.op.weights.shape, self.weights.shape[0]
        if not fresh:
            added = self.weights.array[old_rows:] if rows > old_rows else self.weights.array
            return Variant(
                MatrixVector(Constant.of(added, self.weights.dtype)), x, row=old_rows % rows
            ), rows > old_rows
        if rows > old_rows:
            raise GraphError("new outputs need every input", hint="keep the inputs in front")
        pixels = self._mapped((narrow, Variant(self, x)))
        old = old_columns // pixels
        added = self.weights.array.reshape(rows, pixels, -1)[:, :, old:].reshape(rows, -1)
        return Variant(MatrixVector(Constant.of(added, self.weights.dtype)), x, column=old), False

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        facts = self.hls(folding, *x)
        largest = max(len(facts["weights"]), facts["turns"], facts["chunks"])
        return {**facts, **self._loops(folding, variants), "most_folds": facts["folds"], "largest": largest}

    def _loops(self, folding: Folding, variants: tuple[Variant, ...]) -> dict[str, Any]:
        """The loops of every variant, and how it walks through the tiles of the widest: pixel, beat, chunk, fold.

        Skips are the tiles from a chunk's last fold, and from a pixel's last tile, to the next.
        """
        t, pixels = self._tiling(folding), self._mapped(variants)
        sizes = [variant.op._tiling(folding) for variant in variants if isinstance(variant.op, MatrixVector)]
        folds, beats = [size.folds for size in sizes], [size.beats // pixels for size in sizes]
        most, pixel = t.beats // pixels, t.chunks * t.folds
        skips = [t.folds - f + 1 for f in folds]
        return {
            "map_pixels": pixels,
            "most_beats": most,
            "folds": folds,
            "beats": beats,
            "chunk_skips": skips,
            "pixel_skips": [skip + (most - b) * pixel for skip, b in zip(skips, beats, strict=True)],
            "firsts": [v.row // t.pe + v.column // folding.lanes * pixel for v in variants],
            "keeps": [int(v.column > 0) for v in variants],
        }

    def _multiplies(self, folding: Folding, vector: TensorType) -> tuple[dict[str, int], Rom]:
        """What every RTL unit has: types, parallel products, and the ROM of tiles."""
        t, tiles = self._tiling(folding), self._tiles(folding)
        w_bits = self.weights.dtype.bits + (not self.weights.dtype.signed)
        # A 25 x 18 multiplier takes two products; for the few of a folded unit it is not worth the adders and the delay.
        paired = t.pe > 1 and folding.pe * folding.simd >= PAIRED_FROM and 2 * w_bits + vector.dtype.bits + 1 <= 25
        if paired:
            tiles = np.pad(tiles, ((0, 0), (0, t.pe % 2), (0, 0)))
            tiles = (tiles[:, 1::2] << w_bits) + tiles[:, ::2]
        facts = {
            "X_BITS": vector.dtype.bits,
            "X_SIGNED": int(vector.dtype.signed),
            "W_BITS": w_bits,
            "Y_BITS": self.infer(vector).dtype.bits,
            "PE": t.pe,
            "SIMD": folding.simd,
            "PAIRED": int(paired),
        }
        return facts, Rom("weights", tiles.reshape(len(tiles), -1), 2 * w_bits + 1 if paired else w_bits)

    def _latency(self, folding: Folding, rom: Rom) -> int:
        """Cycles from a step to its write: chunk, ROM, products, borrow of pairs, adder tree, accumulator."""
        t, paired = self._tiling(folding), rom.bits > self.weights.dtype.bits + 1
        return 2 + (rom.words > 1) + paired + (folding.simd - 1).bit_length() + (t.beats * t.chunks > 1)

    def _mapped(self, variants: tuple[Variant, ...]) -> int:
        """Pixels of the flattened map that the columns are of, 1 for a convolution: every width is their first slice."""
        weights = [v.op.weights for v in variants if isinstance(v.op, MatrixVector) and not v.row and not v.column]
        columns = [constant.shape[1] for constant in weights]
        if len(set(columns)) == 1:
            return 1
        for pixels in divisors(int(np.gcd.reduce(columns))):
            slices = (first_slice(self.weights, constant.shape, pixels) for constant in weights)
            if all(np.array_equal(part, constant.array) for part, constant in zip(slices, weights, strict=True)):
                return pixels
        raise GraphError("the weights of a narrower width are not the first slice of the widest's")

    def _tiles(self, folding: Folding) -> Codes:
        """(O, I) weights as (tiles, PE, SIMD) in the order of work: beat, chunk, fold."""
        t = self._tiling(folding)
        tiles = self.weights.array.reshape(t.folds, t.pe, t.beats, t.chunks, folding.simd).transpose(2, 3, 0, 1, 4)
        return tiles.reshape(-1, t.pe, folding.simd)

    def _tiling(self, folding: Folding) -> _Tiling:
        outputs, inputs = self.weights.shape
        pixels = beat_pixels(folding.lanes, inputs)
        pe, lanes = folding.pe // pixels, folding.lanes // pixels
        return _Tiling(pixels, pe, inputs // lanes, lanes // folding.simd, outputs // pe)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        rng = np.random.default_rng(1)
        u8, s4, s16 = IntType(8, signed=False), IntType(4), IntType(16)

        def case(shape: tuple[int, int, int], dtype: IntType, outputs: int, bits: int) -> Example:
            kind = IntType(bits)
            w_OI = rng.integers(kind.min, kind.max + 1, (outputs, shape[2]))
            w_OI[0, 0] = kind.min
            return Example(cls(Constant.of(w_OI, kind)), (TensorType(shape, dtype, 1.0),))

        zero = Example(cls(Constant.of(np.zeros((2, 3)), IntType(2))), (TensorType((2, 1, 3), u8, 1.0),))
        return (
            case((2, 4, 6), u8, 4, 8),
            case((1, 1, 12), s4, 3, 2),
            case((1, 2, 4), s16, 2, 16),
            case((1, 2, 4), IntType(20), 2, 16),
            zero,
        )


@lru_cache(maxsize=4096)
def _bounds(weights: Constant, x: IntType) -> tuple[int, int]:
    """The bounds of every partial sum over all inputs of type x, zero included."""
    w_OI = weights.array
    low = np.minimum(w_OI * x.min, w_OI * x.max).sum(axis=1).min()
    high = np.maximum(w_OI * x.min, w_OI * x.max).sum(axis=1).max()
    return min(int(low), 0), max(int(high), 0)
