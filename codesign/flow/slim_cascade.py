"""Stepping up: a frame that a narrow network is not sure of goes to a wider one; stages are (width, exit) pairs.

Thresholds are chosen on the calibration split, as `tune` does for exits: the least products a frame within
`exit.max_accuracy_drop` of the last stage alone. Then they are tried on the test split.
"""

# Legend: N frames; E stages, J of them but the last.
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.config import ExitConfig
from codesign.flow.cascade import MIN_THRESHOLD
from codesign.flow.quantize import Answers
from codesign.ir.graph import Graph
from codesign.ir.text import constants_of
from codesign.ops.exit_decision import ExitDecision
from codesign.runtime.goals import Goals, Speed, reach
from codesign.runtime.lines import Recorded, ease, point
from codesign.runtime.tuning import tune

DELTA = 0.05
NOTHING = 1e-9  # cycles of an accelerator that takes no time beside the products


@dataclass(frozen=True, slots=True)
class WidthStage:
    """A width's exit and the products that it takes beyond the stages before it."""

    width: float
    exit: str
    products: int


def step_up(
    graphs: Mapping[float, Graph],
    answers: Mapping[str, Mapping[float, Answers]],
    chain: Sequence[tuple[float, str]],
    config: ExitConfig,
    *,
    causal: bool,
) -> dict[str, Any]:
    """What a chain of stages does with the test split; `answers` by split ("calibration", "test"), then by width."""
    stages = stages_of(graphs, chain, causal=causal)
    costs = tuple(float(stage.products) for stage in stages)
    calibration, test = (recorded_of(graphs, answers[split], stages, config) for split in ("calibration", "test"))
    speed = Speed(1.0, NOTHING, NOTHING, costs[1:], costs[1:])
    chosen = tune(calibration, Goals(max_accuracy_drop=config.max_accuracy_drop), speed, DELTA).chosen
    found = point(test, chosen.thresholds_KJ[0].tolist())
    rates = (found.stops_KE[0] / test.frames).tolist()
    last = stages_of(graphs, chain[-1:], causal=causal)[0].products
    return {
        "stages": [
            {"width": stage.width, "exit": stage.exit, "products": stage.products, "rate": rate}
            for stage, rate in zip(stages, rates, strict=True)
        ],
        "accuracy": int(found.right_K[0]) / test.frames,
        "last_alone": test.final_right / test.frames,
        "products": costs[0] + float(reach(found.stops_KE)[0] @ np.asarray(costs[1:])),
        "products_last_alone": last,
    }


def stages_of(
    graphs: Mapping[float, Graph], chain: Sequence[tuple[float, str]], *, causal: bool
) -> tuple[WidthStage, ...]:
    """The chain with its costs: a layer that was computed at this width is not computed again; when `causal`, of one
    that was computed at a narrower width only the new channels are."""
    done: dict[str, float] = {}  # layer: the last width that computed it
    stages: list[WidthStage] = []
    for width, exit_name in chain:
        graph, products = graphs[width], 0
        for name in sorted(graph.ancestors(graph.exit(exit_name).logits)):
            before = done.get(name)
            if before is None or (before != width and not causal):
                products += products_of(graph, name)
            elif before != width:
                products += _new_products(graphs[before], graph, name)
            done[name] = width
        stages.append(WidthStage(width, exit_name, products))
    return tuple(stages)


def products_of(graph: Graph, name: str) -> int:
    """The multiplications by weights in one node, for a frame."""
    weights = constants_of(graph).get(f"{name}.weights")
    return 0 if weights is None else math.prod(weights.shape) * graph.types[name].pixels


def recorded_of(
    graphs: Mapping[float, Graph], answers: Mapping[float, Answers], stages: Sequence[WidthStage], config: ExitConfig
) -> Recorded:
    """What every stage says of a split's frames, by the exit unit's integers."""
    ease_JN: list[Any] = []
    right_EN: list[Any] = []
    for stage in stages:
        graph, said = graphs[stage.width], answers[stage.width]
        logits = graph.types[graph.exit(stage.exit).logits]
        unit = ExitDecision.for_logits(logits, config.criterion, MIN_THRESHOLD)
        classes_N, codes_N = unit.evaluate(said.codes_NC[stage.exit])
        ease_JN.append(ease(codes_N, above=config.criterion == "margin"))
        right_EN.append(classes_N == said.labels_N)
    return Recorded(np.array(ease_JN[:-1]), np.array(right_EN))


def _new_products(narrow: Graph, wide: Graph, name: str) -> int:
    """Products of the new outputs; where there are none, as for logits, of the new inputs."""
    before, after = products_of(narrow, name), products_of(wide, name)
    old, outputs = narrow.types[name].channels, wide.types[name].channels
    return after - before if old == outputs else after * (outputs - old) // outputs
