"""What the stages of a slimmable run cost on a design that has the whole network in hardware, every exit of it.

The layers up to the first exit are folded as the run's plan says. Those behind it are reached by few frames, and are folded to
take `REST` times as long at the widest. Cycles of a stage are those of its busiest process, of what it computes anew. Energy
is the board's idle power over these cycles, and for every process what its logic draws over its own (`cost/power.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from codesign.cost.power import coefficients, idle_watts
from codesign.devices import Device, load_device
from codesign.flow.experiment import Experiment
from codesign.flow.plan import need_plan
from codesign.ir.graph import Graph
from codesign.passes.slim import SlimGraphs, slim
from codesign.plan.balance import balance
from codesign.plan.budget import price
from codesign.plan.build import build
from codesign.plan.dataflow import Process
from codesign.plan.plan import Plan, load_plan
from codesign.runtime.stage_costs import Pair, StageCosts

REST = 4  # intervals of the first exit that a frame may take in the layers behind it

Processes = Mapping[str, Process]  # by name


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """A whole network under one plan: the processes that lead to every exit, for each width and each step up."""

    exits: tuple[str, ...]
    widths: tuple[Mapping[str, Processes], ...]
    steps: tuple[Mapping[str, Processes], ...]
    beats: int
    device: Device
    clock_mhz: float

    def cycles(self, processes: Sequence[Process], *, image: bool) -> float:
        """Of the busiest process, or of the image's port."""
        return float(max([p.cycles for p in processes] + [self.beats if image else 0]))

    def energy_j(self, processes: Sequence[Process], cycles: float) -> float:
        """Of the board at its input."""
        c, clock_hz = coefficients(self.device.family), self.clock_mhz * 1e6
        busy = sum(
            c.watts(price(p.op, p.folding, p.types, self.device.pads_bram, p.fabric), self.clock_mhz) * p.cycles
            for p in processes
        )
        return (idle_watts(self.device) * cycles + busy) / clock_hz


def design_costs(experiment: Experiment, graphs: Mapping[float, Graph]) -> StageCosts:
    """The table of a run's stages under its plan; plans when there is none."""
    need_plan(experiment)
    config, plan = experiment.config, load_plan(experiment.folder.plan)
    family = slim(list(graphs.values()), step_up=config.slim.recipe == "causal")
    device = load_device(plan.device)
    return table(priced(family, whole_plan(family, plan, device), device), tuple(graphs))


def whole_plan(family: SlimGraphs, head: Plan, device: Device) -> Plan:
    """The plan of the whole network, with the head's foldings."""
    known = {node.name for node in family.widest.nodes}
    fixed = {name: (f.pe, f.simd) for name, f in head.foldings.items() if name in known}
    return balance(
        family.widest,
        device,
        interval_cycles=REST * head.interval_cycles,
        clock_mhz=head.clock_mhz,
        foldings=fixed,
    )


def priced(family: SlimGraphs, plan: Plan, device: Device) -> Priced:
    names = tuple(point.name for point in family.widest.exits)

    def paths(graph: Graph) -> dict[str, Processes]:
        return {name: _path(graph, name, plan) for name in names}

    widths, steps = (tuple(map(paths, row)) for row in (family.widths, family.steps))
    image = family.widest.inputs[0].type
    beats = image.size // plan.foldings[family.widest.inputs[0].name].lanes
    return Priced(names, widths, steps, beats, device, plan.clock_mhz)


def table(design: Priced, widths: Sequence[float]) -> StageCosts:
    """Full prices of every pair; less where a frame goes on: to a later exit, or a step up."""
    full: dict[Pair, list[Process]] = {}
    less: dict[tuple[Pair, Pair], list[Process]] = {}
    for width, paths in zip(widths, design.widths, strict=True):
        full |= {(width, name): list(paths[name].values()) for name in design.exits}
        for first, later in pairwise(design.exits):
            less[(width, first), (width, later)] = _beyond(paths[later], paths[first])
    for (narrow, wide), up, paths in zip(pairwise(widths), design.steps, design.widths[1:], strict=False):
        for index, name in enumerate(design.exits):
            less[(narrow, name), (wide, name)] = list(up[name].values())
            for later in design.exits[index + 1 :]:  # which the narrow run did not come to
                rest = _beyond(paths[later], paths[name])
                less[(narrow, name), (wide, later)] = [*_shared(up[name], up[later]), *rest]
    cycles = {pair: design.cycles(processes, image=True) for pair, processes in full.items()}
    energy = {pair: design.energy_j(processes, cycles[pair]) for pair, processes in full.items()}
    step = {pairs: design.cycles(p, image=pairs[0][0] != pairs[1][0]) for pairs, p in less.items()}
    source = f"estimated: {design.device.name} at {design.clock_mhz:g} MHz, the whole network in hardware"
    return StageCosts(
        cycles,
        energy,
        source,
        step,
        {pairs: design.energy_j(processes, step[pairs]) for pairs, processes in less.items()},
        clock_hz=design.clock_mhz * 1e6,
    )


def _path(graph: Graph, exit_name: str, plan: Plan) -> Processes:
    """The processes that lead to an exit."""
    logits = graph.exit(exit_name).logits
    needed = graph.ancestors(logits)
    part = Graph(graph.name, graph.inputs, tuple(graph.keep(needed)), (logits,))
    foldings = {name: folding for name, folding in plan.foldings.items() if name in needed}
    return {process.name: process for process in build(part, foldings, ()).processes}


def _beyond(longer: Processes, shorter: Processes) -> list[Process]:
    return [process for name, process in longer.items() if name not in shorter]


def _shared(one: Processes, other: Processes) -> list[Process]:
    return [process for name, process in one.items() if name in other]
