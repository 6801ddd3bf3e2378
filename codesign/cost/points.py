"""A point of a design space as a plan: FIFO depths, latency and all, as `codesign plan` would have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codesign.cost.space import Space
from codesign.plan.build import build
from codesign.plan.fifos import size_fifos
from codesign.plan.plan import Plan
from codesign.plan.timing import draining, simulate


def planned(space: Space, picks: Iterable[int], *, clock_mhz: float = 100.0) -> Plan:
    """The plan of one option for each choice; raises FoldingError where beats cannot be joined."""
    foldings, fabric = space.foldings(picks)
    flow = draining(build(space.graph, foldings, fabric))
    sized = size_fifos(flow, pads=space.device.pads_bram)
    return Plan(
        device=space.device.name,
        clock_mhz=clock_mhz,
        foldings=foldings,
        depths={c.name: c.depth for c in sized.channels},
        interval_cycles=sized.bound,
        latency_cycles=simulate(sized, 1, stalling=True).latency_cycles,
        drains=True,
        fabric=fabric,
    )


def config_table(plan: Plan, space: Space) -> Mapping[str, tuple[int, int]]:
    """`plan.foldings` of a config: (PE, SIMD) of every node that has a choice of them."""
    table: dict[str, tuple[int, int]] = {}
    for choice in space.choices:
        ways = {(o.folding.pe, o.folding.simd) for o in choice.options}
        if choice.sources and len(ways) > 1:
            table[choice.name] = (plan.foldings[choice.name].pe, plan.foldings[choice.name].simd)
    return table
