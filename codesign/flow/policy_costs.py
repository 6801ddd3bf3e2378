"""What the (width, exit) stages of a slimmable run cost: the one place that `tune` and the benchmarks ask."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

from codesign.flow.design_costs import design_costs
from codesign.flow.experiment import Experiment
from codesign.flow.slim_cascade import stages_of
from codesign.ir.graph import Graph
from codesign.runtime.stage_costs import Pair, StageCosts


def costs_of(experiment: Experiment, graphs: Mapping[float, Graph]) -> StageCosts:
    """The table of a run's stages, in cycles and energy of a design with the whole network in hardware."""
    return design_costs(experiment, graphs)


def product_costs(graphs: Mapping[float, Graph], *, causal: bool) -> StageCosts:
    """Products of weights and activations a frame: work, which is neither time nor energy.

    A later exit of the same width goes on from the earlier one's map; with `causal` a wider network computes its new
    channels alone.
    """
    pairs: list[Pair] = [(width, point.name) for width, graph in graphs.items() for point in graph.exits]
    full = {pair: float(stages_of(graphs, [pair], causal=causal)[0].products) for pair in pairs}
    step_up = {
        (before, pair): float(stages_of(graphs, [before, pair], causal=causal)[1].products)
        for before, pair in permutations(pairs, 2)
        if before[0] <= pair[0]
    }
    return StageCosts(
        full,
        {},
        "products of weights and activations, counted",
        {step: cost for step, cost in step_up.items() if cost < full[step[1]]},
        unit="products",
    )
