"""pad: a border of zeros around a frame, for padding that a sliding window cannot mask by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Variant, Work, divisors, grouped, lane_foldings


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """y is x inside a border of zeros; `pads` are (top, left, bottom, right)."""

    name: ClassVar[str] = "pad"

    pads: tuple[int, int, int, int]

    def infer(self, *x: TensorType) -> TensorType:
        (image,) = x
        top, left, bottom, right = self.pads
        rows, columns, channels = image.shape
        return TensorType((rows + top + bottom, columns + left + right, channels), image.dtype, image.scale)

    def golden(self, *x: Codes) -> Codes:
        top, left, bottom, right = self.pads
        return np.pad(x[0], ((0, 0), (top, bottom), (left, right), (0, 0)))

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(divisors(x[0].channels))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        (image,) = x
        groups = image.channels // folding.lanes
        inside = np.zeros(self.infer(image).shape[:2], dtype=bool)
        top, left = self.pads[:2]
        inside[top : top + image.shape[0], left : left + image.shape[1]] = True
        frees = np.flatnonzero(np.tile(np.repeat(inside.reshape(-1), groups), frames)).astype(np.int64)
        steps = frames * inside.size * groups
        # The border over a frame waits for the frame's first beat, so no border comes of a frame that never comes.
        reads = frees.copy()
        reads[:: image.size // folding.lanes] = np.arange(0, steps, inside.size * groups)
        return Schedule(steps, (reads,), np.arange(steps, dtype=np.int64), (frees,))

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work(register_bits=folding.lanes * x[0].dtype.bits)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (image,) = x
        return {
            "rows": image.shape[0],
            "columns": image.shape[1],
            "groups": image.channels // folding.lanes,
            "pads": self.pads,
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        (image,) = x
        sizes = {
            "X_WIDTH": folding.lanes * image.dtype.bits,
            "ROWS": image.shape[0],
            "COLUMNS": image.shape[1],
            "GROUPS": image.channels // folding.lanes,
        }
        return Unit("cs_pad", sizes | dict(zip(("TOP", "LEFT", "BOTTOM", "RIGHT"), self.pads, strict=True)), latency=0)

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        return grouped(self.rtl(folding, *x), self.slim_table("groups", folding, variants, *x)["groups"])

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        out = self.infer(*x)
        facts = self.slim_table("groups", folding, variants, *x)
        return {**facts, "largest": max(facts["largest"], *out.shape[:2])}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls((1, 2, 0, 3)), (TensorType((3, 2, 4), IntType(8, signed=False), 1.0),)),
            Example(cls((0, 0, 1, 0)), (TensorType((1, 3, 1), IntType(5), 1.0),)),
        )
