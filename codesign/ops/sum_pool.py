"""sum_pool: the sum of each channel's kernel window; average pooling after sliding_window, with a requantize behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.errors import GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Work, beat_lanes, beat_schedule


@dataclass(frozen=True, slots=True)
class SumPool(Op):
    """y[c] = sum_k x[c * positions + k], exact; a requantize behind it divides."""

    name: ClassVar[str] = "sum_pool"

    positions: int

    def infer(self, *x: TensorType) -> TensorType:
        (windows,) = x
        if windows.channels % self.positions:
            raise GraphError(f"{windows.channels} inputs are no whole number of {self.positions}-position windows")
        dtype = IntType.holding(self.positions * windows.dtype.min, self.positions * windows.dtype.max)
        return TensorType((*windows.shape[:2], windows.channels // self.positions), dtype, windows.scale)

    def golden(self, *x: Codes) -> Codes:
        (windows,) = x
        return windows.reshape(*windows.shape[:3], -1, self.positions).sum(axis=-1)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return tuple(Folding(n * self.positions, n) for n in beat_lanes(self.infer(*x)))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        return beat_schedule(frames * x[0].size // folding.lanes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work(adds=((folding.pe * (self.positions - 1), self.infer(*x).dtype.bits),))

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {"beats": x[0].size // folding.lanes, "positions": self.positions}

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        return Unit(
            "cs_sum_pool",
            {
                "X_BITS": x[0].dtype.bits,
                "X_SIGNED": int(x[0].dtype.signed),
                "Y_BITS": self.infer(*x).dtype.bits,
                "POSITIONS": self.positions,
                "WINDOWS": folding.pe,
            },
            latency=(self.positions - 1).bit_length(),
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(4), (TensorType((2, 4, 24), IntType(8, signed=False), 1.0),)),
            Example(cls(9), (TensorType((2, 2, 18), IntType(5), 1.0),)),
        )
