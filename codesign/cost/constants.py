"""The unit of constant weights, cs_constant_matrix: its adders, registers and multipliers, counted from its graph."""

from __future__ import annotations

from codesign.cost.fabric import Parts, constant_multipliers, shift_chain
from codesign.ops.adder_graph import Node
from codesign.ops.base import Unit


def constant_matrix(unit: Unit) -> Parts:
    assert unit.sums is not None
    graph, parts = unit.sums.graph, Parts()
    for node, delays in zip(graph.nodes, graph.delays(), strict=True):
        parts += _made(node, graph.x_bits) + _delayed(node, delays) if delays else Parts()
    return parts * unit.sums.pixels + Parts(ff=unit.latency)


def _made(node: Node, x_bits: int) -> Parts:
    """An input takes its register; a LUT adds a bit."""
    bits = node.dtype.bits
    if node.multiplies:
        return Parts(dsp=constant_multipliers(x_bits, node.factor, bits))
    return Parts(lut=bits - node.handed_on) if node.terms else Parts(ff=bits)


def _delayed(node: Node, delays: tuple[int, ...]) -> Parts:
    """The registers behind a node, from one that is read to the next."""
    parts, before = Parts(), 0
    for delay in delays:
        parts += shift_chain(delay - before, node.dtype.bits)
        before = delay
    return parts
