"""global_sum: the sum of every channel over the whole frame; global average pooling with a requantize behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Variant, Work, divisors, grouped, lane_foldings


@dataclass(frozen=True, slots=True)
class GlobalSum(Op):
    """y[0, 0, c] = sum over rows and columns of x[r, c, c], exact."""

    name: ClassVar[str] = "global_sum"

    def infer(self, *x: TensorType) -> TensorType:
        (image,) = x
        dtype = IntType.holding(image.pixels * image.dtype.min, image.pixels * image.dtype.max)
        return TensorType((1, 1, image.channels), dtype, image.scale)

    def golden(self, *x: Codes) -> Codes:
        return x[0].sum(axis=(1, 2), keepdims=True)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(divisors(x[0].channels))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        (image,) = x
        groups = image.channels // folding.lanes
        beats = image.pixels * groups
        ends = (np.arange(frames, dtype=np.int64) + 1) * beats
        writes = (ends[:, None] - groups + np.arange(groups)).reshape(-1)
        return Schedule(frames * beats, (np.arange(frames * beats, dtype=np.int64),), writes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        bits = self.infer(*x).dtype.bits
        return Work(adds=((folding.lanes, bits),), register_bits=x[0].channels * bits)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {"pixels": x[0].pixels, "groups": x[0].channels // folding.lanes}

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        (image,) = x
        return Unit(
            "cs_global_sum",
            {
                "X_BITS": image.dtype.bits,
                "X_SIGNED": int(image.dtype.signed),
                "Y_BITS": self.infer(image).dtype.bits,
                "LANES": folding.lanes,
                "GROUPS": image.channels // folding.lanes,
                "PIXELS": image.pixels,
            },
            latency=1,
        )

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """Sums lie in a memory, since a ring of the widest's groups would come round too late."""
        return grouped(self.rtl(folding, *x), self.slim_table("groups", folding, variants, *x)["groups"])

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        facts = self.slim_table("groups", folding, variants, *x)
        return {**facts, "largest": max(facts["largest"], facts["pixels"])}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (TensorType((3, 4, 6), IntType(8, signed=False), 1.0),)),
            Example(cls(), (TensorType((1, 1, 2), IntType(5), 1.0),)),
            Example(cls(), (TensorType((2, 3, 2), IntType(4), 1.0),)),
        )
