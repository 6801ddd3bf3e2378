"""slim: the graphs of a network's widths as one piece of hardware, seen at each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from codesign.errors import GraphError
from codesign.ir.graph import Graph, GraphInput, Node, Operation
from codesign.ir.types import TensorType
from codesign.ops.base import Op, Variant
from codesign.ops.keep import Keep
from codesign.ops.slim import Slim

QUANTIZE = "quantize all widths together with `codesign quantize`"


@dataclass(frozen=True, slots=True)
class SlimGraphs:
    """The graphs of one piece of hardware, of the same nodes: `widths` narrow to wide, and `steps[i]` when a frame of width
    i steps up to width i + 1, none where it cannot. Graphs are in the order of the indices that say what a frame is."""

    widths: tuple[Graph, ...]
    steps: tuple[Graph, ...] = ()

    @property
    def widest(self) -> Graph:
        return self.widths[-1]

    @property
    def all(self) -> tuple[Graph, ...]:
        return self.widths + self.steps


def slim(graphs: Sequence[Graph], *, step_up: bool = False) -> SlimGraphs:
    """The graphs of the same nodes, narrow to wide, with a `Slim` in place of every op that widths change.

    Codes have the types of the widest, which hold those of all: in hardware they travel in the same channels. The golden
    codes of every width stay what they were. With `step_up`, of a causal network, the hardware keeps what it computed of a
    frame, and graphs are added that compute only what the next width has more. Raises GraphError where graphs differ in
    more than channels and constants, and where an op cannot step up.
    """
    graphs = [_keeping(graph, graphs) for graph in graphs] if step_up else list(graphs)
    for graph in graphs:
        _check_same(graph, graphs[-1])
    widths = [_variants(graph, graphs[-1]) for graph in graphs]
    steps = [_stepped(graphs[0], a, b) for a, b in pairwise(widths)] if step_up else []
    made = tuple(_graph(graph, graphs[-1], [*widths, *steps], at, len(widths)) for at, graph in enumerate(graphs))
    ups = tuple(
        _graph(graphs[-1], graphs[-1], [*widths, *steps], len(widths) + i, len(widths)) for i in range(len(steps))
    )
    return SlimGraphs(made, ups)


_Variants = Mapping[str, Variant]


def _variants(graph: Graph, widest: Graph) -> _Variants:
    types = {name: _in(x, widest.types[name]) for name, x in graph.types.items()}
    return {node.name: Variant(cast(Op, node.op), tuple(types[s] for s in node.inputs)) for node in graph.nodes}


def _stepped(graph: Graph, narrow: _Variants, wide: _Variants) -> _Variants:
    """Every op with what of its inputs is new, from the image, of which nothing is."""
    types = {value.name: value.type for value in graph.inputs}
    fresh = dict.fromkeys(types, False)
    found: dict[str, Variant] = {}
    for node in graph.nodes:
        try:
            variant, fresh[node.name] = wide[node.name].op.step_up(
                narrow[node.name], fresh[node.inputs[0]], *(types[source] for source in node.inputs)
            )
        except GraphError as error:
            raise GraphError(error.what, where=f"{graph.name}.{node.name}", hint=error.hint) from error
        found[node.name] = variant
        out, whole = variant.op.infer(*variant.types), wide[node.name].op.infer(*wide[node.name].types)
        types[node.name] = _in(out, whole)
    return found


def _graph(graph: Graph, widest: Graph, every: Sequence[_Variants], at: int, widths: int) -> Graph:
    nodes: list[Node] = []
    for node in graph.nodes:
        variants = tuple(row[node.name] for row in every)
        nodes.append(Node(node.name, _at(variants, widths, at), node.inputs))
    name = graph.name if at < widths else f"{graph.name}_step{at - widths}"
    inputs = tuple(_input(value, widest) for value in graph.inputs)
    return Graph(name, inputs, tuple(nodes), graph.outputs, graph.exits)


def _at(variants: tuple[Variant, ...], widths: int, at: int) -> Operation:
    op = variants[at].op
    return op if op.view or all(variant == variants[0] for variant in variants) else Slim(variants, widths, at)


def _keeping(graph: Graph, graphs: Sequence[Graph]) -> Graph:
    """The graph with a `keep` in front of every layer that needs all channels for its new ones."""
    grows = {name for name, x in graphs[-1].types.items() if x.channels > graphs[0].types[name].channels}
    sources = {value.name for value in graph.inputs}
    known = {node.name: node for node in graph.nodes}
    kept: dict[str, str] = {}  # reader -> the value that it is to read from a keep
    for node in graph.nodes:
        if cast(Op, node.op).mixes and node.name in grows and node.inputs[0] in grows - sources:
            reader = node
            while (before := known.get(reader.inputs[0])) and _opens(cast(Op, before.op)):
                reader = before
            kept[reader.name] = reader.inputs[0]
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in kept:
            name = f"{node.name}.keep"
            nodes.append(Node(name, Keep(), (kept[node.name],)))
            node = Node(node.name, node.op, (name, *node.inputs[1:]))
        nodes.append(node)
    return Graph(graph.name, graph.inputs, tuple(nodes), graph.outputs, graph.exits)


def _opens(op: Op) -> bool:
    """Whether what goes in is the better thing to keep: a map rather than its windows, or than a vector of its pixels."""
    return op.gathers or op.view


def _in(x: TensorType, widest: TensorType) -> TensorType:
    return TensorType(x.shape, widest.dtype, widest.scale)


def _input(value: GraphInput, widest: Graph) -> GraphInput:
    return GraphInput(value.name, _in(value.type, widest.types[value.name]), value.kind)


def _check_same(graph: Graph, widest: Graph) -> None:
    if graph.inputs != widest.inputs:
        raise GraphError("the image is not the widest network's", where=graph.name, hint=QUANTIZE)
    if [(n.name, n.op.name, n.inputs) for n in graph.nodes] != [(n.name, n.op.name, n.inputs) for n in widest.nodes]:
        raise GraphError("the layers are not those of the widest network", where=graph.name, hint=QUANTIZE)
    if (graph.outputs, graph.exits) != (widest.outputs, widest.exits):
        raise GraphError("the exits are not those of the widest network", where=graph.name, hint=QUANTIZE)
    for name, x in graph.types.items():
        wide = widest.types[name]
        if x.dtype.min < wide.dtype.min or x.dtype.max > wide.dtype.max or x.scale != wide.scale:
            raise GraphError(f"{name!r} is {x}, which {wide} cannot hold", where=graph.name, hint=QUANTIZE)
