"""channel_dot: each channel's kernel window times that channel's own weights; depthwise convolution after sliding_window."""

# Legend: N frames; H, W rows and columns; C channels; K kernel positions.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        """The tiles of a narrower width are the first of the widest's."""
        rows = [variant.op.hls(folding, *variant.types) for variant in variants]
        widest, groups = self.hls(folding, *x), [row["groups"] for row in rows]
        if differing(rows) - {"groups", "weights"}:
            raise FoldingError("a beat has other pixels at another width", hint="use lanes that divide all channels")
        if any(not np.array_equal(widest["weights"][: len(row["weights"])], row["weights"]) for row in rows):
            raise GraphError("the weights of a narrower width are not the first slice of the widest's")
        return {**widest, "groups": groups, "largest": max(len(widest["weights"]), widest["turns"])}

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
