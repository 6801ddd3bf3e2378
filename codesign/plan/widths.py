"""The dataflows of one design at several widths: the same processes, channels and FIFO depths, other loops.

The graphs are those of `codesign.passes.slim`, narrow to wide, and the plan is of the widest, whose foldings are legal at all.
Depths are the largest that any width needs: then every width has the room in which it neither deadlocks nor loses speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from codesign.errors import FoldingError
from codesign.ir.graph import Graph
from codesign.ops.slim import Slim
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.plan.plan import Plan, realize

TOKEN_DEPTH = (
    16  # frames under way in front of a process that is told their widths; more have to wait at the image port
)

Flows = tuple[Dataflow, ...]


def realize_widths(graphs: Sequence[Graph], plan: Plan) -> Flows:
    """The dataflow at every width, narrow to wide. Raises FoldingError for a plan of another graph."""
    widest = realize(graphs[-1], plan)
    return (*(_narrow(graph, plan, widest) for graph in graphs[:-1]), widest)


def share_depths(flows: Flows, size: Callable[[Dataflow], Dataflow]) -> Flows:
    """The dataflows with every channel as deep as `size` makes it at the width that needs most."""
    sized = [size(flow) for flow in flows]
    depths = {row[0].name: max(c.depth for c in row) for row in zip(*(s.channels for s in sized), strict=True)}
    return tuple(flow.with_depths(depths) for flow in sized)


def plan_widths(graphs: Sequence[Graph], plan: Plan, size: Callable[[Dataflow], Dataflow]) -> Plan:
    """The plan with depths for every width."""
    flows = share_depths(realize_widths(graphs, plan), size)
    return replace(plan, depths={c.name: c.depth for c in flows[-1].channels})


def _narrow(graph: Graph, plan: Plan, widest: Dataflow) -> Dataflow:
    """Loops drain where they do in the widest: that is a matter of the hardware."""
    flow = build(graph, plan.foldings, plan.fabric)
    same = [(p.name, p.folding) for p in flow.processes] == [(p.name, p.folding) for p in widest.processes]
    if not same or [c.name for c in flow.channels] != [c.name for c in widest.channels]:
        raise FoldingError(
            "at this width the design has other processes", where=graph.name, hint="choose foldings that divide more"
        )
    drains = {p.name: p.drain for p in widest.processes}
    drained = tuple(replace(p, drain=drains[p.name]) for p in flow.processes)
    return replace(flow, processes=drained).with_depths(plan.depths)


def widths_of(dataflow: Dataflow) -> int:
    """How many widths a frame can have."""
    return max((len(p.op.variants) for p in dataflow.processes if isinstance(p.op, Slim)), default=1)
