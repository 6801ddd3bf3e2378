"""build: from a graph and its foldings to the dataflow, with the forks and width converters it takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import gcd, lcm

from codesign.errors import FoldingError, GraphError, nearest
from codesign.ir.graph import Graph, GraphInput, Node
from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op, beat_lanes
from codesign.ops.fork import Fork
from codesign.ops.width_converter import WidthConverter
from codesign.plan.dataflow import (
    MAX_BEAT_BITS,
    MIN_DEPTH,
    NICE_BEAT_BITS,
    Channel,
    Dataflow,
    Process,
    input_lanes,
    legal,
)
from codesign.plan.names import Names


def build(graph: Graph, foldings: Mapping[str, Folding], fabric: Collection[str] = ()) -> Dataflow:
    """The dataflow of a graph. A node that `foldings` leaves out takes the lanes of its producer where it can.

    `foldings` may name a stream input to fix the lanes of its port; nodes in `fabric` multiply in LUTs. Raises
    FoldingError for a folding that is not legal or not of a node, GraphError for a value that nothing reads.
    """
    _check_names(graph, foldings)
    _check_fabric(graph, fabric)
    return _Builder(graph, foldings).build().in_fabric(fabric)


def conversion(have: int, want: int, x: TensorType) -> tuple[Folding, ...]:
    """The width converters from beats of `have` codes to beats of `want`: none, one, or two where neither divides.

    Two meet at the least common multiple, which keeps the faster side's pace, unless that beat were too wide.
    """
    if have == want:
        return ()
    if have % want == 0 or want % have == 0:
        return (Folding(have, want),)
    middle = lcm(have, want)
    if middle * x.dtype.bits > NICE_BEAT_BITS:
        middle = gcd(have, want)
    return Folding(have, middle), Folding(middle, want)


def follow(op: Op, types: tuple[TensorType, ...], lanes: int) -> Folding:
    """The cheapest folding at `lanes` codes a beat; where there is none, at the widest beat one converter can make."""
    options = legal(op, types)
    near = [f for f in options if f.lanes == lanes] or sorted(
        (f for f in options if f.lanes % lanes == 0 or lanes % f.lanes == 0),
        key=lambda f: (f.lanes > lanes, abs(f.lanes - lanes)),
    )
    return near[0] if near else options[0]


def _check_names(graph: Graph, foldings: Mapping[str, Folding]) -> None:
    known = {n.name for n in graph.nodes if not _op(n).view} | {i.name for i in graph.inputs if i.kind == "stream"}
    for name in foldings:
        if name not in known:
            raise FoldingError(
                f"a folding is given for {name!r}, which has no process",
                where=graph.name,
                hint=nearest(name, sorted(known)),
            )


def _check_fabric(graph: Graph, fabric: Collection[str]) -> None:
    able = {n.name for n in graph.nodes if _op(n).fabric}
    for name in fabric:
        if name not in able:
            raise FoldingError(
                f"{name!r} has no multipliers that could go into LUTs",
                where=graph.name,
                hint=nearest(name, sorted(able)),
            )


def _op(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


@dataclass(frozen=True, slots=True)
class _Reader:
    """One use of a value: input `index` of a node, or ("" and the position) an output of the graph."""

    node: str
    index: int


@dataclass(slots=True)
class _Draft:
    """A channel whose consumer is not known yet."""

    name: str
    producer: str
    type: TensorType
    lanes: int


@dataclass(slots=True)
class _Builder:
    """Walks the graph once, in order, laying processes and closing channels."""

    graph: Graph
    foldings: Mapping[str, Folding]
    names: Names = field(default_factory=Names)
    processes: list[Process] = field(default_factory=list[Process])
    channels: list[Channel] = field(default_factory=list[Channel])
    readers: dict[str, list[_Reader]] = field(default_factory=dict[str, list[_Reader]])
    labels: dict[str, str] = field(default_factory=dict[str, str])  # node -> process name
    open: dict[_Reader, _Draft] = field(default_factory=dict[_Reader, _Draft])

    def build(self) -> Dataflow:
        graph = self.graph
        views = self._views()
        self.readers = self._find_readers(views)
        streams = [i for i in graph.inputs if i.kind == "stream"]
        registers = tuple(replace(i, name=self.names.take(i.name)) for i in graph.inputs if i.kind == "register")
        known_as = dict(
            zip((i.name for i in graph.inputs if i.kind == "register"), (r.name for r in registers), strict=True)
        )
        for node in graph.nodes:
            if not _op(node).view:
                self.labels[node.name] = self.names.take(node.name)
        inputs = tuple(self._lay_input(i) for i in streams)
        for node in graph.nodes:
            if not _op(node).view:
                self._lay_node(node, known_as)
        outputs = tuple(
            self._lay_output(i) for i, name in enumerate(graph.outputs) if not self._is_port(views.get(name, name))
        )
        return Dataflow(graph.name, tuple(self.processes), tuple(self.channels), inputs, outputs, registers)

    def _views(self) -> dict[str, str]:
        """Every view's source: the value whose beats it renames."""
        views: dict[str, str] = {}
        for node in self.graph.nodes:
            if _op(node).view:
                views[node.name] = views.get(node.inputs[0], node.inputs[0])
        return views

    def _find_readers(self, views: Mapping[str, str]) -> dict[str, list[_Reader]]:
        readers: dict[str, list[_Reader]] = {v.name: [] for v in (*self.graph.inputs, *self.graph.nodes)}
        for node in self.graph.nodes:
            if not _op(node).view:
                streams = len(node.inputs) - _op(node).registers
                for index, source in enumerate(node.inputs[:streams]):
                    readers[views.get(source, source)].append(_Reader(node.name, index))
        for index, name in enumerate(self.graph.outputs):
            readers[views.get(name, name)].append(_Reader("", index))
        for value in (*self.graph.nodes, *(i for i in self.graph.inputs if i.kind == "stream")):
            if value.name not in views and not readers[value.name] and not self._is_port(value.name):
                raise GraphError(
                    f"nothing reads {value.name!r}", where=self.graph.name, hint="drop it, or name it as an output"
                )
        return readers

    def _is_port(self, name: str) -> bool:
        return any(node.name == name and _op(node).port for node in self.graph.nodes)

    def _lay_input(self, value: GraphInput) -> str:
        lanes = self.foldings[value.name].lanes if value.name in self.foldings else self._input_lanes(value)
        if lanes not in beat_lanes(value.type):
            what = f"{lanes} lanes do not divide {value.type.channels} channels, nor are they 2 or 4 pixels of a row"
            raise FoldingError(what, where=value.name, hint=f"use lanes in {list(beat_lanes(value.type))}")
        first = _Draft(self.names.take(f"{value.name}_in"), "", value.type, lanes)
        self._hand_out(value.name, first)
        return first.name

    def _input_lanes(self, value: GraphInput) -> int:
        """The lanes of the first reader that has a folding, if the port can have them; else a whole pixel."""
        for reader in self.readers[value.name]:
            if reader.node in self.foldings:
                lanes = self.foldings[reader.node].lanes
                return lanes if lanes in beat_lanes(value.type) else value.type.channels
        return value.type.channels

    def _hand_out(self, value: str, draft: _Draft) -> None:
        """Gives a value's beats to its readers: directly to one, through a fork to several."""
        readers = self.readers[value]
        if len(readers) == 1:
            self.open[readers[0]] = draft
            return
        name = self.names.take(f"{value}_fork")
        self._close(draft, name)
        drafts = [_Draft(self._fork_name(value, r), name, draft.type, draft.lanes) for r in readers]
        outputs = tuple(d.name for d in drafts)
        self.processes.append(
            Process(name, Fork(len(readers)), Folding(draft.lanes, draft.lanes), (draft.type,), (draft.name,), outputs)
        )
        self.open.update(zip(readers, drafts, strict=True))

    def _fork_name(self, value: str, reader: _Reader) -> str:
        return self.names.take(f"{value}_to_{reader.node or 'output'}")

    def _close(self, draft: _Draft, consumer: str) -> str:
        _check_width(draft)
        beats = draft.type.size // draft.lanes
        self.channels.append(
            Channel(draft.name, draft.type.dtype, draft.lanes, beats, MIN_DEPTH, draft.producer, consumer)
        )
        return draft.name

    def _lay_node(self, node: Node, registers: Mapping[str, str]) -> None:
        op = _op(node)
        types = tuple(self.graph.types[source] for source in node.inputs)
        streams = len(node.inputs) - op.registers
        drafts = [self.open.pop(_Reader(node.name, i)) for i in range(streams)]
        folding = self.foldings.get(node.name) or follow(op, types, drafts[0].lanes)
        if folding.dsp_pe or folding not in legal(op, types):
            op.check(folding, node.name, *types)
        lanes = input_lanes(op, folding, types)
        name = self.labels[node.name]
        inputs = tuple(self._connect(d, t, n, name) for d, t, n in zip(drafts, types, lanes, strict=False))
        names = inputs + tuple(registers[source] for source in node.inputs[streams:])
        if op.port:
            self.processes.append(Process(name, op, folding, types, names, (), node.name))
            return
        out = _Draft(self.names.take(f"{name}_out"), name, self.graph.types[node.name], op.y_lanes(folding))
        self.processes.append(Process(name, op, folding, types, names, (out.name,), node.name))
        self._hand_out(node.name, out)

    def _connect(self, draft: _Draft, x: TensorType, lanes: int, reader: str) -> str:
        """Closes a channel at its reader, behind the width converters it needs."""
        for folding in conversion(draft.lanes, lanes, x):
            name = self.names.take(f"{reader}_width")
            source = self._close(draft, name)
            draft = _Draft(self.names.take(f"{name}_out"), name, x, folding.pe)
            self.processes.append(Process(name, WidthConverter(), folding, (x,), (source,), (draft.name,)))
        return self._close(draft, reader)

    def _lay_output(self, index: int) -> str:
        return self._close(self.open.pop(_Reader("", index)), "")


def _check_width(draft: _Draft) -> None:
    bits = draft.type.dtype.bits
    if draft.lanes * bits > MAX_BEAT_BITS:
        raise FoldingError(
            f"beats of {draft.lanes} lanes of {bits} bits are wider than {MAX_BEAT_BITS} bits",
            where=draft.name,
            hint=f"use at most {MAX_BEAT_BITS // bits} lanes",
        )
