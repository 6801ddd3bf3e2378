"""slim: the graphs of a network's widths as one piece of hardware, seen at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from codesign.errors import GraphError
from codesign.ir.graph import Graph, GraphInput, Node, Operation
from codesign.ir.types import TensorType
from codesign.ops.base import Op, Variant
from codesign.ops.slim import Slim

QUANTIZE = "quantize all widths together with `codesign quantize`"


def slim(graphs: Sequence[Graph]) -> tuple[Graph, ...]:
    """The graphs of the same nodes, narrow to wide, with a `Slim` in place of every op that widths change.

    Codes have the types of the widest, which hold those of all: in hardware they travel in the same channels. The golden
    codes of every graph stay what they were. Raises GraphError where graphs differ in more than channels and constants.
    """
    widest = graphs[-1]
    for graph in graphs:
        _check_same(graph, widest)
    types = [{name: _in(x, widest.types[name]) for name, x in graph.types.items()} for graph in graphs]
    nodes: list[list[Node]] = [[] for _ in graphs]
    for column in zip(*(graph.nodes for graph in graphs), strict=True):
        variants = tuple(
            Variant(cast(Op, node.op), tuple(table[source] for source in node.inputs))
            for node, table in zip(column, types, strict=True)
        )
        for at, node in enumerate(column):
            nodes[at].append(Node(node.name, _at(variants, at), node.inputs))
    return tuple(
        Graph(graph.name, tuple(_input(i, widest) for i in graph.inputs), tuple(row), graph.outputs, graph.exits)
        for graph, row in zip(graphs, nodes, strict=True)
    )


def _at(variants: tuple[Variant, ...], at: int) -> Operation:
    op = variants[at].op
    return op if op.view or all(variant == variants[-1] for variant in variants) else Slim(variants, at)


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
