"""channel_dot: each channel's kernel window times that channel's own weights; depthwise convolution after sliding_window."""

# Legend: N frames; H, W rows and columns; C channels; K kernel positions.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from codesign.errors import FoldingError, GraphError
from codesign.ir.types import Codes, Constant, IntType, TensorType
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
    differing,
    divisors,
    per_width,
)


@dataclass(frozen=True, slots=True)
class ChannelDot(Op):
    """y[c] = sum_k weights[c, k] * x[c * K + k], exact; SIMD folds the kernel, PE the channels of one beat."""

    name: ClassVar[str] = "channel_dot"
    fabric: ClassVar[bool] = True

    weights: Constant  # (C, K)

    def infer(self, *x: TensorType) -> TensorType:
        (windows,) = x
        channels, positions = self.weights.shape
        if windows.channels != channels * positions:
            raise GraphError(
                f"weights {self.weights} do not fit {windows.channels} inputs",
                hint="weights are (channels, kernel positions)",
            )
        w, dtype = self.weights.array, windows.dtype
        low = np.minimum(w * dtype.min, w * dtype.max).sum(axis=1).min()
        high = np.maximum(w * dtype.min, w * dtype.max).sum(axis=1).max()
        return TensorType((*windows.shape[:2], channels), IntType.holding(min(int(low), 0), max(int(high), 0)))

    def golden(self, *x: Codes) -> Codes:
        (windows,) = x
        windows_NHWCK = windows.reshape(*windows.shape[:3], *self.weights.shape)
        return np.einsum("nhwck,ck->nhwc", windows_NHWCK, self.weights.array)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        channels, positions = self.weights.shape
        legal = [
            Folding(group * positions, pe, simd)
            for group in divisors(channels)
            for pe in divisors(group)
            for simd in divisors(positions)
        ]
        several = [pixels * channels for pixels in BEAT_PIXELS if x[0].shape[1] % pixels == 0]
        legal += [Folding(dots * positions, dots, simd) for dots in several for simd in divisors(positions)]
        return tuple(sorted(legal, key=lambda f: (f.pe * f.simd, f.pe, f.lanes)))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        (windows,) = x
        positions = self.weights.shape[1]
        chunks = positions // folding.simd
        folds = folding.lanes // positions // folding.pe
        beats = frames * windows.size // folding.lanes
        reads = np.arange(beats, dtype=np.int64) * folds * chunks
        writes = (np.arange(beats * folds, dtype=np.int64) + 1) * chunks - 1
        return Schedule(beats * folds * chunks, (reads,), writes, (reads + folds * chunks - 1,))

    def work(self, folding: Folding, *x: TensorType) -> Work:
        (windows,) = x
        bits, count = self.infer(windows).dtype.bits, folding.pe * folding.simd
        word = count // beat_pixels(folding.lanes, windows.channels)  # neighbouring pixels share their weights
        words = self.weights.array.size // word
        return Work(
            multiplies=((count, windows.dtype.bits, self.weights.dtype.bits),),
            adds=((count, bits),),
            roms=((words, word * self.weights.dtype.bits),) if words > 1 else (),
            register_bits=folding.pe * bits + folding.lanes * windows.dtype.bits,
        )

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (windows,) = x
        positions, pixels = self.weights.shape[1], beat_pixels(folding.lanes, windows.channels)
        return {
            "turns": windows.pixels // pixels,
            "groups": max(1, windows.channels // folding.lanes),
            "pixels": pixels,
            "pe": folding.pe // pixels,
            "positions": positions,
            "chunks": positions // folding.simd,
            "folds": folding.lanes // positions // folding.pe,
            "w_type": self.weights.dtype,
            "weights": self._tiles(folding, windows),
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        (windows,) = x
        pixels, positions = beat_pixels(folding.lanes, windows.channels), self.weights.shape[1]
        tiles = self._tiles(folding, windows)
        w_bits = self.weights.dtype.bits + (not self.weights.dtype.signed)
        chunks = positions // folding.simd
        return Unit(
            "cs_channel_dot",
            {
                "X_BITS": windows.dtype.bits,
                "X_SIGNED": int(windows.dtype.signed),
                "W_BITS": w_bits,
                "Y_BITS": self.infer(windows).dtype.bits,
                "PIXELS": pixels,
                "PE": folding.pe // pixels,
                "SIMD": folding.simd,
                "CHUNKS": chunks,
                "FOLDS": folding.lanes // positions // folding.pe,
                "TILES": len(tiles),
            },
            latency=2 + (len(tiles) > 1) + (folding.simd - 1).bit_length() + (chunks > 1),
            roms=(Rom("weights", tiles.reshape(len(tiles), -1), w_bits),),
        )

    def _tiles(self, folding: Folding, windows: TensorType) -> Codes:
        """The weights of a pixel's channels in the order of work, (tiles, PE, SIMD); the pixels of a beat share them."""
        channels, positions = self.weights.shape
        pe, chunks = folding.pe // beat_pixels(folding.lanes, windows.channels), positions // folding.simd
        tiles = self.weights.array.reshape(channels // pe, pe, chunks, folding.simd).transpose(0, 2, 1, 3)
        return tiles.reshape(-1, pe, folding.simd)

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """One ROM, of the widest's tiles, of which a narrower width has the first, and a step up those behind."""
        (windows,) = x
        loops, unit = self._loops(folding, variants, windows), self.rtl(folding, windows)
        tables = {name.upper(): per_width(loops[name]) for name in ("groups", "firsts")}
        facts = {name: value for name, value in unit.parameters.items() if name != "PIXELS"}
        return replace(
            unit,
            module="cs_slim_channel_dot",
            parameters={**facts, "TURNS": windows.pixels, "WIDTHS": len(variants), **tables},
            widths=len(variants),
        )

    def step_up(self, narrow: Variant, fresh: bool, *x: TensorType) -> tuple[Variant, bool]:
        """The weights of the new channels."""
        if not fresh:
            return Variant(self, x), False
        assert isinstance(narrow.op, ChannelDot)
        old = len(narrow.op.weights.array)
        new = Constant.of(self.weights.array[old:], self.weights.dtype)
        return Variant(ChannelDot(new), x, row=old), True

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        facts = self.hls(folding, *x)
        largest = max(len(facts["weights"]), facts["turns"])
        return {**facts, **self._loops(folding, variants, *x), "largest": largest}

    def _loops(self, folding: Folding, variants: tuple[Variant, ...], windows: TensorType) -> dict[str, list[int]]:
        """The groups of every variant, and the first of its tiles among the widest's.

        Raises FoldingError where a beat has other pixels at another width.
        """
        rows = [variant.op.hls(folding, *variant.types) for variant in variants]
        if differing(rows) - {"groups", "weights"}:
            raise FoldingError("a beat has other pixels at another width", hint="use lanes that divide all channels")
        tiles, chunks = self._tiles(folding, windows), self.weights.shape[1] // folding.simd
        firsts = [variant.row // folding.pe * chunks for variant in variants]
        for first, row in zip(firsts, rows, strict=True):
            if not np.array_equal(tiles[first : first + len(row["weights"])], row["weights"]):
                raise GraphError("the weights of a narrower width are not the first slice of the widest's")
        return {"groups": [row["groups"] for row in rows], "firsts": firsts}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        rng = np.random.default_rng(2)
        u8, s5 = IntType(8, signed=False), IntType(5)
        return (
            Example(cls(Constant.of(rng.integers(-128, 128, (4, 9)), IntType(8))), (TensorType((2, 4, 36), u8, 1.0),)),
            Example(cls(Constant.of(rng.integers(-4, 4, (3, 4)), IntType(3))), (TensorType((1, 2, 12), s5, 1.0),)),
            Example(
                cls(Constant.of(rng.integers(-(2**15), 2**15, (2, 4)), IntType(16))),
                (TensorType((1, 2, 8), IntType(20), 1.0),),
            ),
            Example(cls(Constant.of(rng.integers(-2, 2, (2, 1)), IntType(2))), (TensorType((2, 2, 2), s5, 1.0),)),
        )
