"""The dataflows of one design at several widths: the same processes, channels and FIFO depths, other loops.

The graphs are those of `codesign.passes.slim`, and the plan is of the widest, whose foldings are legal at all. Depths are
the largest that any of them needs: then every width has the room in which it neither deadlocks nor loses speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from codesign.errors import FoldingError
from codesign.ir.graph import Graph
from codesign.ops.slim import Slim
from codesign.passes.slim import SlimGraphs
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.plan.plan import Plan, realize

# Frames under way in front of a process that is told their widths; more have to wait at the image port.
TOKEN_DEPTH = 16

Size = Callable[[Dataflow], Dataflow]  # a dataflow with the depths that it needs


@dataclass(frozen=True, slots=True)
class SlimFlows:
    """The dataflow at every width, narrow to wide, and of every step up, as in `SlimGraphs`."""

    widths: tuple[Dataflow, ...]
    steps: tuple[Dataflow, ...] = ()

    @property
    def widest(self) -> Dataflow:
        return self.widths[-1]

    @property
    def all(self) -> tuple[Dataflow, ...]:
        return self.widths + self.steps

    def sized(self, size: Size) -> SlimFlows:
        """The dataflows with every channel as deep as `size` makes it where it needs most."""
        flows = [size(flow) for flow in self.all]
        depths = {row[0].name: max(c.depth for c in row) for row in zip(*(f.channels for f in flows), strict=True)}
        made = tuple(flow.with_depths(depths) for flow in flows)
        return SlimFlows(made[: len(self.widths)], made[len(self.widths) :])


def realize_widths(graphs: SlimGraphs, plan: Plan) -> SlimFlows:
    """The dataflows under a plan, at the planned depths. Raises FoldingError for a plan of another graph."""
    widest = realize(graphs.widest, plan)
    narrow = tuple(_narrow(graph, plan, widest) for graph in graphs.widths[:-1])
    return SlimFlows((*narrow, widest), tuple(_narrow(graph, plan, widest) for graph in graphs.steps))


def plan_widths(graphs: SlimGraphs, plan: Plan, size: Size) -> Plan:
    """The plan with depths for every width."""
    flow = realize_widths(graphs, plan).sized(size).widest
    return replace(plan, depths={c.name: c.depth for c in flow.channels})


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


def first_sent(old: int, new: int) -> int:
    """The first channel of the map that a step up sends, by the map's channels at both widths: behind those that were there,
    or 0, all of them, where the map does not grow."""
    return old if new > old else 0


def kinds_of(dataflow: Dataflow) -> tuple[int, int]:
    """How many kinds of frames a design knows, and how many of them are widths; the rest step up. (1, 1) for one width."""
    slim = [p.op for p in dataflow.processes if isinstance(p.op, Slim)]
    return (len(slim[0].variants), slim[0].widths) if slim else (1, 1)
