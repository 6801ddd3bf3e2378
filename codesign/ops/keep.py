"""keep: what a narrower width computed of a frame waits here until the frame steps up; then only new channels come in.

Part of slimmable hardware alone, made by `passes.slim`; no graph file has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.errors import GraphError
from codesign.ir.types import Codes, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Variant, Work, divisors, lane_foldings, per_width


@dataclass(frozen=True, slots=True)
class Keep(Op):
    """y[c] = x[c], kept; or with `kept` channels of the last frame, these, and behind them x."""

    name: ClassVar[str] = "keep"

    kept: int = 0

    def infer(self, *x: TensorType) -> TensorType:
        rows, columns, channels = x[0].shape
        return TensorType((rows, columns, self.kept + channels), x[0].dtype, x[0].scale)

    def golden(self, *x: Codes) -> Codes:
        if self.kept:
            raise GraphError("what a frame left here is not known", hint="run the wider width's own graph")
        return x[0]

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return tuple(f for f in lane_foldings(divisors(x[0].channels)) if self.kept % f.lanes == 0)

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def cycles(self, folding: Folding, *x: TensorType) -> int:
        return self.infer(*x).size // folding.lanes

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        """A beat out per step; one comes in where it is new."""
        groups, kept = self.infer(*x).channels // folding.lanes, self.kept // folding.lanes
        steps = np.arange(frames * x[0].pixels * groups, dtype=np.int64)
        return Schedule(len(steps), (steps[steps % groups >= kept],), steps)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        bits = folding.lanes * x[0].dtype.bits
        return Work(rams=((self.infer(*x).size // folding.lanes, bits),), register_bits=bits)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        groups = self.infer(*x).channels // folding.lanes
        return {"turns": x[0].pixels, "groups": groups, "kept": self.kept // folding.lanes}

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        rows = [v.op.hls(folding, *v.types) for v in variants]
        facts = {"words": x[0].size // folding.lanes, "most_groups": x[0].channels // folding.lanes}
        tables = {name: [row[name] for row in rows] for name in ("groups", "kept")}
        return {"turns": x[0].pixels, **facts, **tables, "largest": max(facts["words"], x[0].pixels)}

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        (image,) = x
        groups = [v.op.infer(*v.types).channels // folding.lanes for v in variants]
        kept = [v.op.kept // folding.lanes for v in variants if isinstance(v.op, Keep)]
        words = image.size // folding.lanes
        return Unit(
            "cs_slim_keep",
            {
                "X_WIDTH": folding.lanes * image.dtype.bits,
                "PIXELS": image.pixels,
                "MAX_GROUPS": image.channels // folding.lanes,
                "WIDTHS": len(variants),
                "GROUPS": per_width(groups),
                "KEPT": per_width(kept),
            },
            latency=1,
            memory=(words, folding.lanes * image.dtype.bits),
            widths=len(variants),
        )

    def step_up(self, narrow: Variant, fresh: bool, *x: TensorType) -> tuple[Variant, bool]:
        """All channels leave."""
        return Variant(Keep(narrow.types[0].channels) if fresh else self, x), False

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """None: it needs the frame before."""
        return ()
