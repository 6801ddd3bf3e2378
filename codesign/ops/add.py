"""add: two tensors brought to one scale by small integer factors and added, exact; the join of a residual block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.errors import GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Work, beat_lanes, beat_schedule, lane_foldings


@dataclass(frozen=True, slots=True)
class Add(Op):
    """y = a * factors[0] + b * factors[1]; the factors are positive, powers of two when scales are."""

    name: ClassVar[str] = "add"

    factors: tuple[int, int] = (1, 1)

    def infer(self, *x: TensorType) -> TensorType:
        a, b = x
        if a.shape != b.shape:
            raise GraphError(f"cannot add {a} and {b}", hint="both inputs of an add have the same shape")
        scale = None
        if a.scale is not None and b.scale is not None:
            scale, other = a.scale / self.factors[0], b.scale / self.factors[1]
            if not math.isclose(scale, other, rel_tol=1e-9):
                raise GraphError(
                    f"factors {self.factors} do not align scales {a.scale} and {b.scale}",
                    hint="choose factors with scale_a / factor_a == scale_b / factor_b",
                )
        low = a.dtype.min * self.factors[0] + b.dtype.min * self.factors[1]
        high = a.dtype.max * self.factors[0] + b.dtype.max * self.factors[1]
        return TensorType(a.shape, IntType.holding(low, high), scale)

    def golden(self, *x: Codes) -> Codes:
        return x[0] * self.factors[0] + x[1] * self.factors[1]

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(beat_lanes(x[0]))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        return beat_schedule(frames * x[0].size // folding.lanes, streams=2)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work(adds=((folding.lanes, self.infer(*x).dtype.bits),))

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {
            "beats": x[0].size // folding.lanes,
            "factors": self.factors,
            "factor_type": IntType.holding(0, max(self.factors)),
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        a, b = x
        return Unit(
            "cs_add",
            {
                "A_BITS": a.dtype.bits,
                "A_SIGNED": int(a.dtype.signed),
                "B_BITS": b.dtype.bits,
                "B_SIGNED": int(b.dtype.signed),
                "Y_BITS": self.infer(a, b).dtype.bits,
                "FACTOR_A": self.factors[0],
                "FACTOR_B": self.factors[1],
                "LANES": folding.lanes,
            },
            latency=2,
            inputs=("a", "b"),
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        u8, s8, s4 = IntType(8, signed=False), IntType(8), IntType(4)
        u16, s16 = IntType(16, signed=False), IntType(16)
        return (
            Example(cls((1, 4)), (TensorType((2, 4, 4), u8, 0.25), TensorType((2, 4, 4), s8, 1.0))),
            Example(cls(), (TensorType((1, 2, 3), s4, 1.0), TensorType((1, 2, 3), s4, 1.0))),
            Example(cls((1 << 20, 1)), (TensorType((1, 3, 2), u16, 2.0**20), TensorType((1, 3, 2), s16, 1.0))),
        )
