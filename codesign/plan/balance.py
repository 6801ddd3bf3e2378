"""balance: the cheapest foldings that keep every process within a goal of cycles per frame, and a plan that fits a device.

Beats are chosen together with foldings: a value's lanes are worth what they save at its reader, so costs are
added up along the graph for every count of lanes a value could have (a Viterbi search, exact on trees; a value with
several readers is priced by shares), converters between unequal beats included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from codesign.devices import Device
from codesign.errors import FoldingError, nearest
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op, divisors
from codesign.ops.width_converter import WidthConverter
from codesign.plan.budget import Resources, price, total
from codesign.plan.build import build, conversion
from codesign.plan.dataflow import MAX_BEAT_BITS, NICE_BEAT_BITS, Dataflow, cycles, input_lanes, legal
from codesign.plan.fifos import size_fifos
from codesign.plan.plan import Plan
from codesign.plan.timing import draining, simulate

FRACTION = 0.85  # of a device that a plan may fill by these estimates, so that routing still succeeds
_FAR = float("inf")
_NEVER = 1 << 62  # a goal that every folding meets
_BEAT = 1e-7  # price of a bit of beat: of two equal foldings, the one with narrower beats


def balance(
    graph: Graph,
    device: Device,
    *,
    interval_cycles: int = 0,
    clock_mhz: float = 100.0,
    foldings: Mapping[str, tuple[int, int]] | None = None,
    fraction: float = FRACTION,
    drains: bool = False,
) -> Plan:
    """The cheapest plan that takes a frame every `interval_cycles`, within `fraction` of the device.

    Without a goal it is one pixel of the image a cycle, relaxed to the next interval that fits. `foldings` fixes
    (PE, SIMD) of nodes, which may then be slower than the goal. `drains` as in `timing.draining`.
    Raises FoldingError when a goal that was asked for cannot be met, with the nearest one that can, and for a
    folding that is not legal.
    """
    search = _Search(graph, device, dict(foldings or {}), fraction, drains)
    if interval_cycles:
        design = search.design(interval_cycles)
        if design is None or design.misfit:
            raise _too_fast(search, interval_cycles, design)
    else:
        design = search.relax(search.goal)
    return Plan(
        device=device.name,
        clock_mhz=clock_mhz,
        foldings=design.foldings,
        depths={c.name: c.depth for c in design.dataflow.channels},
        interval_cycles=design.dataflow.bound,  # which the FIFO depths make sure of
        latency_cycles=simulate(design.dataflow, 1, stalling=True).latency_cycles,
        goal=interval_cycles,
        drains=drains,
    )


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
    else:
        what = f"an interval of {goal} cycles needs {', '.join(design.misfit)} ({search.fraction:.0%} of {search.device.name}), estimated"
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
        self.fixed = _check_fixed(graph, fixed)
        self.shares = self._readers()
        self.designs: dict[int, _Design | None] = {}

    @property
    def goal(self) -> int:
        """The default goal: a pixel a cycle, or what the slowest node can do at its best."""
        return max(self.pixels, self.slowest(0)[1])

    def slowest(self, goal: int) -> tuple[str, int]:
        """The node that is furthest from the goal at its fastest folding, and its cycles."""
        rows = [
            (min(cycles(_op(n), f, self._types(n)) for f in self._options(n, _NEVER)), n.name)
            for n in self._nodes
            if n.name not in self.fixed
        ]
        least, name = max(rows, default=(goal, self.graph.name))
        return name, least

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
                f"even the smallest design needs {need} ({self.fraction:.0%} of {self.device.name}), estimated",
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
        every = {cycles(_op(n), f, self._types(n)) for n in self._nodes for f in self._options(n, _NEVER)}
        return sorted({goal for goal in every if goal > least} | {least, max(every | {least})})

    def design(self, goal: int) -> _Design | None:
        """The cheapest design for a goal, or None when a node is too slow at every folding."""
        if goal not in self.designs:
            foldings = self._foldings(goal)
            self.designs[goal] = None if foldings is None else self._design(foldings)
        return self.designs[goal]

    def _design(self, foldings: dict[str, Folding]) -> _Design:
        dataflow = build(self.graph, foldings)
        sized = size_fifos(draining(dataflow) if self.drains else dataflow, pads=self.device.pads_bram)
        resources = total(sized, self.device)
        return _Design(foldings, sized, resources, resources.over(self.device, self.fraction))

    def _foldings(self, goal: int) -> dict[str, Folding] | None:
        tables: dict[str, _Table] = {i.name: self._input_table(i.type, goal) for i in self.streams}
        for node in self.graph.nodes:
            tables[node.name] = (
                self._view_table(node, tables) if _op(node).view else self._node_table(node, tables, goal)
            )
            if not tables[node.name]:
                return None
        return self._trace(tables)

    def _input_table(self, x: TensorType, goal: int) -> _Table:
        """Any lanes that bring a frame in time; the port costs nothing, wide beats a trifle."""
        widest = min(x.channels, MAX_BEAT_BITS // x.dtype.bits)
        lanes = [d for d in divisors(x.channels) if d <= widest and x.size // d <= max(goal, x.pixels)]
        return {d: _Entry(_BEAT * d * x.dtype.bits, None) for d in lanes}

    def _view_table(self, node: Node, tables: Mapping[str, _Table]) -> _Table:
        return {lanes: _Entry(e.cost, None, (lanes,)) for lanes, e in tables[node.inputs[0]].items()}

    def _node_table(self, node: Node, tables: Mapping[str, _Table], goal: int) -> _Table:
        op, types = _op(node), self._types(node)
        table: _Table = {}
        streams = node.inputs[: len(node.inputs) - op.registers]
        shares = [self.shares[source] for source in streams]
        limit = _NEVER if node.name in self.fixed else goal
        ways: dict[tuple[int, int], tuple[float, int]] = {}
        for folding in self._options(node, limit):
            lanes = input_lanes(op, folding, types)
            cost = _cost(op, folding, types, self.device)
            sources: list[int] = []
            for i, want in enumerate(lanes):
                key = (i, want)
                if key not in ways:
                    ways[key] = self._reach(tables[streams[i]], want, types[i], shares[i], goal)
                cost += ways[key][0]
                sources.append(ways[key][1])
            out = op.y_lanes(folding)
            if cost < (table[out].cost if out in table else _FAR):
                table[out] = _Entry(cost, folding, tuple(sources))
        return table

    def _reach(self, table: _Table, want: int, x: TensorType, readers: int, goal: int) -> tuple[float, int]:
        """The least cost of a value at `want` lanes, conversion included, and the lanes to have it at."""
        best = (_FAR, 0)
        for have, entry in table.items():
            cost = entry.cost / readers + self._conversion(have, want, x, goal)
            best = min(best, (cost, have))
        return best

    def _conversion(self, have: int, want: int, x: TensorType, goal: int) -> float:
        cost = 0.0
        for folding in conversion(have, want, x):
            if x.size // min(folding.lanes, folding.pe) > max(goal, self.pixels):
                return _FAR
            cost += _cost(WidthConverter(), folding, (x,), self.device) + _BEAT * x.dtype.bits * folding.lanes
        return cost

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
        return [node for node in self.graph.nodes if not _op(node).view]

    def _types(self, node: Node) -> tuple[TensorType, ...]:
        return tuple(self.types[source] for source in node.inputs)

    def _options(self, node: Node, goal: int) -> tuple[Folding, ...]:
        op, types = _op(node), self._types(node)
        if node.name in self.fixed:
            return tuple(f for f in legal(op, types) if (f.pe, f.simd) == self.fixed[node.name])
        return _options(op, types, goal)

    def _readers(self) -> dict[str, int]:
        """How many inputs read each value."""
        counts = dict.fromkeys(self.types, 0)
        for node in self.graph.nodes:
            for source in node.inputs:
                counts[source] += 1
        return {name: max(1, count) for name, count in counts.items()}


@lru_cache(maxsize=4096)
def _options(op: Op, types: tuple[TensorType, ...], goal: int) -> tuple[Folding, ...]:
    """Foldings within the goal whose beats a channel can carry; of each (lanes, PE), only the one with least SIMD."""
    out = op.infer(*types)
    bits = {f: _beat_bits(op, f, types, out) for f in legal(op, types)}
    fit = [f for f in bits if bits[f] <= NICE_BEAT_BITS] or [f for f in bits if bits[f] <= MAX_BEAT_BITS]
    fit = fit or list(bits)  # which `build` then refuses, with the reason
    if goal == _NEVER:
        return tuple(fit)
    chosen: dict[tuple[int, int], Folding] = {}
    for folding in fit:
        key = (folding.lanes, folding.pe)
        if cycles(op, folding, types) <= goal and (key not in chosen or folding.simd < chosen[key].simd):
            chosen[key] = folding
    return tuple(chosen.values())


def _beat_bits(op: Op, folding: Folding, types: tuple[TensorType, ...], out: TensorType) -> int:
    return max(folding.lanes * types[0].dtype.bits, op.y_lanes(folding) * out.dtype.bits)


@lru_cache(maxsize=1 << 18)
def _cost(op: Op, folding: Folding, types: tuple[TensorType, ...], device: Device) -> float:
    """The share of the device that a process takes, and a trifle for its beats."""
    return price(op, folding, types, device.pads_bram).share(device) + _BEAT * folding.lanes * types[0].dtype.bits


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def _check_fixed(graph: Graph, fixed: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The foldings that the user fixed, each of a node that has one and legal there."""
    nodes = {n.name: n for n in graph.nodes if not _op(n).view}
    for name, (pe, simd) in fixed.items():
        if name not in nodes:
            raise FoldingError(
                f"a folding is given for {name!r}, which is no process of {graph.name}",
                where="plan.foldings",
                hint=nearest(name, sorted(nodes)),
            )
        options = legal(_op(nodes[name]), tuple(graph.types[source] for source in nodes[name].inputs))
        if not any((f.pe, f.simd) == (pe, simd) for f in options):
            pes, simds = sorted({f.pe for f in options}), sorted({f.simd for f in options})
            raise FoldingError(
                f"PE={pe}, SIMD={simd} is not a legal folding", where=name, hint=f"use PE in {pes}, SIMD in {simds}"
            )
    return dict(fixed)
