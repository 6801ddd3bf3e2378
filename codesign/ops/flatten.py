"""flatten: a frame read as one long channel vector in raster order; in hardware a new name for the same beats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Work, beat_schedule, divisors, lane_foldings


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """y[0, 0, (r, c, i)] = x[r, c, i]: rows, columns, then channels (torch flattens channels first; export permutes weights)."""

    name: ClassVar[str] = "flatten"
    view: ClassVar[bool] = True

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType((1, 1, x[0].size), x[0].dtype, x[0].scale)

    def golden(self, *x: Codes) -> Codes:
        return x[0].reshape(len(x[0]), 1, 1, -1)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(divisors(x[0].channels))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        return beat_schedule(frames * x[0].size // folding.lanes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work()

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (TensorType((2, 3, 4), IntType(8, signed=False), 1.0),)),)
