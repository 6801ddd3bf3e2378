"""balance: the cheapest foldings that keep every process within a goal of cycles per frame, and a plan that fits a device.

Beats are chosen together with foldings: a value's lanes are worth what they save at its reader, so costs are
added up along the graph for every count of lanes a value could have (a Viterbi search, exact on trees; a value with
several readers is priced by shares), converters between unequal beats included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from codesign.devices import Device
from codesign.errors import FoldingError
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType
from codesign.ops.base import Folding, beat_lanes, beat_pixels
from codesign.ops.width_converter import WidthConverter
from codesign.plan.budget import Resources, total
from codesign.plan.build import build, conversion
from codesign.plan.dataflow import MAX_BEAT_BITS, Dataflow, cycles, input_lanes, legal
from codesign.plan.fabric import spare_dsps, spare_luts
from codesign.plan.fifos import size_fifos
from codesign.plan.options import BEAT, NEVER, check_fixed, cost, fastest, op_of, options
from codesign.plan.plan import Plan
from codesign.plan.timing import draining, simulate

FRACTION = 0.85  # of LUT, FF and BRAM that a plan may fill by these estimates, so that routing still succeeds
_FAR = float("inf")


def balance(
    graph: Graph,
    device: Device,
    *,
    interval_cycles: int = 0,
    pixels_per_cycle: int = 1,
    clock_mhz: float = 100.0,
    foldings: Mapping[str, tuple[int, int]] | None = None,
    fraction: float = FRACTION,
    drains: bool = False,
) -> Plan:
    """The cheapest plan that takes a frame every `interval_cycles`, within `fraction` of the device (`Resources.over`).

    Without a goal it is `pixels_per_cycle` of the image, relaxed to the next interval that fits. `foldings` fixes
    (PE, SIMD) of nodes, which may then be slower than the goal. `drains` as in `timing.draining`. Below a pixel a
    cycle beats hold several pixels. Where DSPs are short, the least multipliers that help go into LUTs, or matrices are
    unfolded, for constant weights need none; where LUTs are short then, the least of those products go into DSPs.
    Raises FoldingError when a goal that was asked for cannot be met, with the nearest one that can, and for a
    folding that is not legal.
    """
    search = _Search(graph, device, dict(foldings or {}), fraction, drains)
    if interval_cycles:
        design = search.design(interval_cycles)
        if design is None or design.misfit:
            raise _too_fast(search, interval_cycles, design)
    else:
        design = search.relax(search.goal(pixels_per_cycle))
    return Plan(
        device=device.name,
        clock_mhz=clock_mhz,
        foldings=design.foldings,
        depths={c.name: c.depth for c in design.dataflow.channels},
        interval_cycles=design.dataflow.bound,  # which the FIFO depths make sure of
        latency_cycles=_latency(design.dataflow),
        goal=interval_cycles,
        drains=drains,
        fabric=design.dataflow.fabric,
    )


@lru_cache(maxsize=64)  # devices often share a dataflow
def _latency(dataflow: Dataflow) -> int:
    """Cycles of a batch of one frame."""
    return simulate(dataflow, 1, stalling=True).latency_cycles


@dataclass(frozen=True, slots=True)
class _Design:
    """One answer: foldings, the sized dataflow, what it takes, and which resources are too many."""

    foldings: dict[str, Folding]
    dataflow: Dataflow
    resources: Resources
    misfit: tuple[str, ...]


def _too_fast(search: _Search, goal: int, design: _Design | None) -> FoldingError:
    """Why the goal cannot be met, and the nearest interval that can."""
    if design is None:
        node, least = search.slowest(goal)
        what, where = f"{least} cycles a frame is the fastest folding, {goal} are asked for", node
        if least <= goal:
            what, where = f"beats cannot be joined and split within {goal} cycles a frame", search.graph.name
    else:
        what = f"an interval of {goal} cycles needs {', '.join(design.misfit)} ({search.room}), estimated"
        where = search.graph.name
    possible = search.relax(goal)
    return FoldingError(what, where=where, hint=f"the nearest interval that fits is {possible.dataflow.bound} cycles")


@dataclass(frozen=True, slots=True)
class _Entry:
    """The cheapest way to have a value at some lanes: the folding of its node and the lanes of its inputs."""

    cost: float
    folding: Folding | None
    sources: tuple[int, ...] = ()


_Table = dict[int, _Entry]  # lanes -> entry


class _Search:
    """Designs of one graph on one device, by goal."""

    def __init__(
        self, graph: Graph, device: Device, fixed: Mapping[str, tuple[int, int]], fraction: float, drains: bool
    ) -> None:
        self.graph, self.device, self.fraction, self.drains = graph, device, fraction, drains
        self.types = graph.types
        self.streams = [i for i in graph.inputs if i.kind == "stream"]
        self.pixels = max(i.type.pixels for i in self.streams)
        self.fixed = check_fixed(graph, fixed)
        self.floor = max((self._fastest(n, several=True) for n in self._nodes if n.name in self.fixed), default=0)
        self.shares = Counter(source for node in graph.nodes for source in node.inputs)  # readers of each value
        self.designs: dict[int, _Design | None] = {}

    @property
    def room(self) -> str:
        """How much of the device may be filled, in words."""
        return f"{self.fraction:.0%} of {self.device.name}, of its DSPs all"

    def goal(self, pixels_per_cycle: int) -> int:
        """The default goal: so many pixels a cycle, or what the slowest node can do at its best."""
        wanted = -(-self.pixels // pixels_per_cycle)
        return max(wanted, self.slowest(wanted)[1])

    def slowest(self, goal: int) -> tuple[str, int]:
        """The node that is furthest from the goal at its fastest folding, and its cycles."""
        several = self._several(goal)
        rows = [(self._fastest(n, several=several), n.name) for n in self._nodes if n.name not in self.fixed]
        least, name = max(rows, default=(goal, self.graph.name))
        return name, least

    def _fastest(self, node: Node, *, several: bool) -> int:
        op, types = op_of(node), self._types(node)
        if node.name not in self.fixed:
            return fastest(op, types, several)
        return min(cycles(op, f, types) for f in self._options(node, NEVER, several))

    def _several(self, goal: int) -> bool:
        """Whether beats may hold several pixels: only where the goal asks for more than a pixel a cycle."""
        return goal < self.pixels

    def relax(self, goal: int) -> _Design:
        """The design with the least interval from `goal` up that fits the device; raises FoldingError when none does."""
        if (first := self.design(goal)) and not first.misfit:
            return first
        goals = self._goals(goal)
        low, high = 1, len(goals) - 1
        slowest = self.design(goals[high])
        if slowest is None or slowest.misfit:
            need = ", ".join(slowest.misfit) if slowest else "more beats than a channel can have"
            raise FoldingError(
                f"even the smallest design needs {need} ({self.room}), estimated",
                where=self.graph.name,
                hint="use a larger device, fewer channels, or move the exit forward",
            )
        while low < high:
            middle = (low + high) // 2
            design = self.design(goals[middle])
            if design is None or design.misfit:
                low = middle + 1
            else:
                high = middle
        found = self.design(goals[low])
        assert found is not None
        return found

    def _goals(self, least: int) -> list[int]:
        """The intervals at which some node could change its folding."""
        several = self._several(least)
        every = {cycles(op_of(n), f, self._types(n)) for n in self._nodes for f in self._options(n, NEVER, several)}
        return sorted({goal for goal in every if goal > least} | {least, max(every | {least})})

    def design(self, goal: int) -> _Design | None:
        """The cheapest design for a goal, or None when a node is too slow at every folding."""
        if goal not in self.designs:
            design = self._cheapest(goal, constants=False)
            if design and design.misfit and (other := self._cheapest(goal, constants=True)) and not other.misfit:
                design = other
            self.designs[goal] = design
        return self.designs[goal]

    def _cheapest(self, goal: int, *, constants: bool) -> _Design | None:
        """`constants`: also of what is faster than it needs to be, so that its multipliers need no DSPs."""
        foldings = self._foldings(goal, constants)
        return None if foldings is None else self._design(foldings)

    def _design(self, foldings: dict[str, Folding]) -> _Design:
        dataflow = build(self.graph, foldings)
        sized = size_fifos(draining(dataflow) if self.drains else dataflow, pads=self.device.pads_bram)
        resources = total(sized, self.device)
        if fabric := spare_dsps(sized, self.device):
            moved = sized.in_fabric(fabric)
            if not (lighter := total(moved, self.device)).over(self.device, self.fraction):
                sized, resources = moved, lighter
        elif moves := spare_luts(sized, self.device, self.fraction):
            moved = sized.folded(moves)
            if not (lighter := total(moved, self.device)).over(self.device, self.fraction):
                sized, resources, foldings = moved, lighter, foldings | moves
        return _Design(foldings, sized, resources, resources.over(self.device, self.fraction))

    def _foldings(self, goal: int, constants: bool) -> dict[str, Folding] | None:
        tables: dict[str, _Table] = {i.name: self._input_table(i.type, goal) for i in self.streams}
        for node in self.graph.nodes:
            tables[node.name] = (
                self._view_table(node, tables) if op_of(node).view else self._node_table(node, tables, goal, constants)
            )
            if not tables[node.name]:
                return None
        return self._trace(tables)

    def _input_table(self, x: TensorType, goal: int) -> _Table:
        """Any lanes that bring a frame in time; the port costs nothing, wide beats a trifle."""
        offered = [n for n in beat_lanes(x) if self._several(goal) or n <= x.channels]
        carried = [n for n in offered if n * x.dtype.bits <= MAX_BEAT_BITS and x.size // n <= max(goal, self.floor)]
        return {n: _Entry(BEAT * n * x.dtype.bits, None) for n in carried}

    def _view_table(self, node: Node, tables: Mapping[str, _Table]) -> _Table:
        return {lanes: _Entry(e.cost, None, (lanes,)) for lanes, e in tables[node.inputs[0]].items()}

    def _node_table(self, node: Node, tables: Mapping[str, _Table], goal: int, constants: bool) -> _Table:
        op, types = op_of(node), self._types(node)
        table: _Table = {}
        streams = node.inputs[: len(node.inputs) - op.registers]
        shares = [self.shares[source] for source in streams]
        ways: dict[tuple[int, int], tuple[float, int]] = {}
        for folding in self._options(node, goal, self._several(goal), constants):
            lanes = input_lanes(op, folding, types)
            spent = cost(op, folding, types, self.device)
            sources: list[int] = []
            for i, want in enumerate(lanes):
                key = (i, want)
                if key not in ways:
                    ways[key] = self._reach(tables[streams[i]], want, types[i], shares[i], goal)
                spent += ways[key][0]
                sources.append(ways[key][1])
            out = op.y_lanes(folding)
            if spent < (table[out].cost if out in table else _FAR):
                table[out] = _Entry(spent, folding, tuple(sources))
        return table

    def _reach(self, table: _Table, want: int, x: TensorType, readers: int, goal: int) -> tuple[float, int]:
        """The least cost of a value at `want` lanes, conversion included, and the lanes to have it at."""
        best = (_FAR, 0)
        for have, entry in table.items():
            best = min(best, (entry.cost / readers + self._conversion(have, want, x, goal), have))
        return best

    def _conversion(self, have: int, want: int, x: TensorType, goal: int) -> float:
        spent = 0.0
        for folding in conversion(have, want, x):
            if x.size // min(folding.lanes, folding.pe) > max(goal, self.floor):
                return _FAR
            spent += cost(WidthConverter(), folding, (x,), self.device) + BEAT * x.dtype.bits * folding.lanes
        return spent

    def _trace(self, tables: Mapping[str, _Table]) -> dict[str, Folding]:
        """The foldings along the cheapest way back from the outputs; the last reader of a value decides its lanes."""
        wanted: dict[str, int] = {}
        foldings: dict[str, Folding] = {}
        for node in reversed(self.graph.nodes):
            table = tables[node.name]
            lanes = wanted.get(node.name) or min(table, key=lambda n: table[n].cost)
            entry = table[lanes]
            if entry.folding is not None:
                foldings[node.name] = entry.folding
            for source, have in zip(node.inputs, entry.sources, strict=False):
                wanted.setdefault(source, have)
        ports = {i.name: Folding(wanted[i.name], wanted[i.name]) for i in self.streams}
        return ports | {node.name: foldings[node.name] for node in self.graph.nodes if node.name in foldings}

    @property
    def _nodes(self) -> Sequence[Node]:
        return [node for node in self.graph.nodes if not op_of(node).view]

    def _types(self, node: Node) -> tuple[TensorType, ...]:
        return tuple(self.types[source] for source in node.inputs)

    def _options(self, node: Node, goal: int, several: bool, constants: bool = False) -> tuple[Folding, ...]:
        """The foldings worth looking at; of a fixed node those it can be, at any speed."""
        op, types = op_of(node), self._types(node)
        if node.name not in self.fixed:
            return options(op, types, goal, several, constants)
        same = tuple(f for f in legal(op, types) if (f.pe, f.simd) == self.fixed[node.name])
        single = tuple(f for f in same if beat_pixels(f.lanes, types[0].channels) == 1)
        return same if several else single or same
