"""channel_dot: each channel's kernel window times that channel's own weights; depthwise convolution after sliding_window."""

# Legend: N frames; H, W rows and columns; C channels; K kernel positions.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.errors import GraphError
from codesign.ir.types import Codes, Constant, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Work, divisors


@dataclass(frozen=True, slots=True)
class ChannelDot(Op):
    """y[c] = sum_k weights[c, k] * x[c * K + k], exact; SIMD folds the kernel, PE the channels of one beat."""

    name: ClassVar[str] = "channel_dot"

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
        legal = (
            Folding(group * positions, pe, simd)
            for group in divisors(channels)
            for pe in divisors(group)
            for simd in divisors(positions)
        )
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
        return Schedule(beats * folds * chunks, (reads,), writes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        (windows,) = x
        bits, count = self.infer(windows).dtype.bits, folding.pe * folding.simd
        words = self.weights.array.size // count
        return Work(
            multiplies=((count, windows.dtype.bits, self.weights.dtype.bits),),
            adds=((count, bits),),
            roms=((words, count * self.weights.dtype.bits),) if words > 1 else (),
            register_bits=folding.pe * bits + folding.lanes * windows.dtype.bits,
        )

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (windows,) = x
        channels, positions = self.weights.shape
        chunks = positions // folding.simd
        tiles = self.weights.array.reshape(channels // folding.pe, folding.pe, chunks, folding.simd).transpose(
            0, 2, 1, 3
        )
        return {
            "pixels": windows.pixels,
            "groups": windows.channels // folding.lanes,
            "positions": positions,
            "chunks": chunks,
            "folds": folding.lanes // positions // folding.pe,
            "w_type": self.weights.dtype,
            "weights": tiles.reshape(-1, folding.pe, folding.simd),
        }

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        rng = np.random.default_rng(2)
        u8, s5 = IntType(8, signed=False), IntType(5)
        return (
            Example(cls(Constant.of(rng.integers(-128, 128, (4, 9)), IntType(8))), (TensorType((3, 2, 36), u8, 1.0),)),
            Example(cls(Constant.of(rng.integers(-4, 4, (3, 4)), IntType(3))), (TensorType((1, 2, 12), s5, 1.0),)),
            Example(
                cls(Constant.of(rng.integers(-(2**15), 2**15, (2, 4)), IntType(16))),
                (TensorType((1, 2, 8), IntType(20), 1.0),),
            ),
            Example(cls(Constant.of(rng.integers(-2, 2, (2, 1)), IntType(2))), (TensorType((2, 2, 2), s5, 1.0),)),
        )
