"""max_pool: the largest code of each channel's kernel window; max pooling after sliding_window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.errors import GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Work, beat_lanes, beat_schedule


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """y[c] = max_k x[c * positions + k]; a padded sliding_window in front fills with the type's minimum."""

    name: ClassVar[str] = "max_pool"

    positions: int

    def infer(self, *x: TensorType) -> TensorType:
        (windows,) = x
        if windows.channels % self.positions:
            raise GraphError(f"{windows.channels} inputs are no whole number of {self.positions}-position windows")
        return TensorType((*windows.shape[:2], windows.channels // self.positions), windows.dtype, windows.scale)

    def golden(self, *x: Codes) -> Codes:
        (windows,) = x
        return windows.reshape(*windows.shape[:3], -1, self.positions).max(axis=-1)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return tuple(Folding(n * self.positions, n) for n in beat_lanes(self.infer(*x)))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        return beat_schedule(frames * x[0].size // folding.lanes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work(adds=((folding.pe * (self.positions - 1), x[0].dtype.bits),))

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {"beats": x[0].size // folding.lanes, "positions": self.positions}

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        return Unit(
            "cs_max_pool",
            {
                "X_BITS": x[0].dtype.bits,
                "X_SIGNED": int(x[0].dtype.signed),
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
            Example(cls(1), (TensorType((2, 1, 3), IntType(16), 1.0),)),
        )
