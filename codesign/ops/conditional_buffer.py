"""conditional_buffer: the feature map at the branch point, kept until the decision, then sent to the host or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.errors import GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import (
    Example,
    Folding,
    Op,
    Schedule,
    Unit,
    Variant,
    Work,
    beat_lanes,
    lane_foldings,
    per_width,
)
from codesign.ops.exit_decision import DECISION_TYPE


@dataclass(frozen=True, slots=True)
class ConditionalBuffer(Op):
    """The feature map of every frame that goes on, behind a header beat with its frame number; a trailer ends the batch.

    The golden value is the map of every frame; the port carries those whose decision says "not exited". The map waits in
    the channel in front, whose depth the planner computes so that the head can always reach its decision.
    """

    name: ClassVar[str] = "conditional_buffer"
    port: ClassVar[bool] = True

    def infer(self, *x: TensorType) -> TensorType:
        feature, decision = x
        if decision.shape != (1, 1, 1) or decision.dtype != DECISION_TYPE:
            raise GraphError(f"{decision} is not a decision", hint="feed it from an exit_decision")
        return feature

    def golden(self, *x: Codes) -> Codes:
        return x[0]

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(beat_lanes(x[0]))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        beats = x[0].size // folding.lanes
        header = np.arange(frames, dtype=np.int64) * (beats + 1)
        map_steps = (header[:, None] + 1 + np.arange(beats)).reshape(-1)
        steps = frames * (beats + 1) + 1
        return Schedule(steps, (map_steps, header), np.arange(steps, dtype=np.int64))

    def work(self, folding: Folding, *x: TensorType) -> Work:
        return Work()

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        return {"beats": x[0].size // folding.lanes}

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        """The bus word is the design's: the emitter adds PORT_BITS and CONTAINER."""
        feature = x[0]
        facts = {**_facts(folding, feature), "BEATS": feature.size // folding.lanes}
        return Unit("cs_conditional_buffer", facts, latency=0, inputs=("feature", "decision"), batch=True)

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """The map of a narrower width has fewer beats; a step up sends the new channels alone."""
        beats = [variant.types[0].size // folding.lanes for variant in variants]
        sizes = {"MAX_BEATS": x[0].size // folding.lanes, "WIDTHS": len(beats), "BEATS": per_width(beats)}
        return Unit(
            "cs_slim_conditional_buffer",
            {**_facts(folding, x[0]), **sizes},
            latency=0,
            inputs=("feature", "decision"),
            batch=True,
            widths=len(beats),
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        decision = TensorType((1, 1, 1), DECISION_TYPE)
        return (Example(cls(), (TensorType((2, 4, 4), IntType(8, signed=False), 1.0), decision)),)


def _facts(folding: Folding, feature: TensorType) -> dict[str, int]:
    """The parameters of every RTL unit."""
    return {"X_BITS": feature.dtype.bits, "X_SIGNED": int(feature.dtype.signed), "LANES": folding.lanes}
