"""width_converter: the same codes in narrower or wider beats, between processes folded differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Variant, Work, beat_lanes


@dataclass(frozen=True, slots=True)
class WidthConverter(Op):
    """Beats of `lanes` codes become beats of `pe` codes; one count divides the other."""

    name: ClassVar[str] = "width_converter"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def golden(self, *x: Codes) -> Codes:
        return x[0]

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        widths = beat_lanes(x[0])
        return tuple(Folding(a, b) for a in widths for b in widths if a != b and (a % b == 0 or b % a == 0))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        narrow = min(folding.lanes, folding.pe)
        steps = frames * x[0].size // narrow
        every = np.arange(steps, dtype=np.int64)
        if folding.lanes > folding.pe:
            parts = folding.lanes // folding.pe
            return Schedule(steps, (every[::parts],), every, (every[parts - 1 :: parts],))
        ratio = folding.pe // folding.lanes
        return Schedule(steps, (every,), every[ratio - 1 :: ratio])

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work(register_bits=max(folding.lanes, folding.pe) * x[0].dtype.bits)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        narrow, wide = sorted((folding.lanes, folding.pe))
        return {"steps": x[0].size // narrow, "ratio": wide // narrow, "x_lanes": folding.lanes, "y_lanes": folding.pe}

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        bits, (narrow, wide) = x[0].dtype.bits, sorted((folding.lanes, folding.pe))
        module, side = ("cs_split_beats", "Y") if folding.lanes == wide else ("cs_join_beats", "X")
        return Unit(module, {f"{side}_WIDTH": narrow * bits, "RATIO": wide // narrow}, latency=0)

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        rows = [variant.op.hls(folding, *variant.types) for variant in variants]
        steps = [row["steps"] for row in rows]
        return {**self.hls(folding, *x), "steps": steps, "largest": max(steps)}

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (TensorType((2, 4, 6), IntType(8, signed=False), 1.0),)),
            Example(cls(), (TensorType((1, 3, 4), IntType(5), 1.0),)),
        )
