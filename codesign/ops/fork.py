"""fork: one stream copied to two or more readers, since a channel has exactly one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Work, beat_lanes, beat_schedule, lane_foldings


@dataclass(frozen=True, slots=True)
class Fork(Op):
    """Every output is the input; a beat moves on when every reader has room for it."""

    name: ClassVar[str] = "fork"

    ways: int = 2

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def golden(self, *x: Codes) -> Codes:
        return x[0]

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(beat_lanes(x[0]))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        return beat_schedule(frames * x[0].size // folding.lanes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work()

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {"beats": x[0].size // folding.lanes, "ways": self.ways}

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        return Unit("cs_fork", {"X_WIDTH": folding.lanes * x[0].dtype.bits}, latency=0)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        u8 = IntType(8, signed=False)
        return (Example(cls(2), (TensorType((2, 4, 4), u8, 1.0),)), Example(cls(3), (TensorType((1, 2, 3), u8, 1.0),)))
