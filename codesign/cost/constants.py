"""The unit of constant weights, cs_constant_matrix: its adders, registers and multipliers, counted from its graph.

What an adder takes was read off single adders (docs/estimates.md): a LUT for every two bits that meet. A bit that meets
nothing goes into the carry chain as it is; beside a subtraction it is turned over, in a LUT that all who need it share.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from codesign.cost.fabric import SRL_LEAST, Parts, constant_multipliers, shift_chain
from codesign.ir.types import IntType
from codesign.ops.adder_graph import AdderGraph, Node
from codesign.ops.base import Unit


def constant_matrix(unit: Unit) -> Parts:
    assert unit.sums is not None
    return _pixel(unit.sums.graph) * unit.sums.pixels + Parts(ff=unit.latency)


@lru_cache(maxsize=64)
def _pixel(graph: AdderGraph) -> Parts:
    """What the graph takes once."""
    kinds, delayed = [node.dtype for node in graph.nodes], graph.delays()
    readers = Counter(term.node for node in graph.nodes for term in node.terms)
    readers.update(term.node for term in graph.outputs if term)
    inside = _inside(graph, readers)
    parts = Parts(lut=_adders(graph, kinds, inside), ff=_shared(graph, kinds, delayed))
    for number, (node, kind, delays) in enumerate(zip(graph.nodes, kinds, delayed, strict=True)):
        if node.multiplies:
            parts += Parts(dsp=constant_multipliers(graph.x_bits, node.factor, kind.bits))
        elif node.factor == 1 and readers[number]:  # what only DSPs read is a register of theirs
            parts += Parts(ff=kind.bits)
        made = node.multiplies or number in inside or _holds(node, delays)
        parts += _chain(kind.bits, delays, made=int(made))
    return parts


def _inside(graph: AdderGraph, readers: Counter[int]) -> Set[int]:
    """The sums that a DSP makes: its product, if nothing else reads that, plus another term."""
    return {
        number
        for number, node in enumerate(graph.nodes)
        if not node.minus
        and any(graph.nodes[t.node].multiplies and readers[t.node] == 1 and not t.shift for t in node.terms)
    }


class _Operand(NamedTuple):
    """Bits low .. high - 1 of an adder; of a signed one, the last goes on above them."""

    low: int
    high: int
    signed: bool


def _adders(graph: AdderGraph, kinds: Sequence[IntType], inside: Set[int]) -> int:
    """LUTs of all sums but those inside DSPs."""
    luts, turned = 0, defaultdict[tuple[int, int], int](int)  # bits of a node after some registers
    pairs: set[tuple[int, bool, int, int]] = set()  # bits of one node that meet in multiples, where signs often do
    for number, node in enumerate(graph.nodes):
        if not node.terms or number in inside:
            continue
        a, b = (_operand(kinds[term.node], term.shift) for term in node.terms)
        if node.terms[0].node == node.terms[1].node:
            pairs |= {(node.terms[0].node, node.minus, *bits) for bits in _own_pairs(a, b)}
        else:
            luts += _meeting(a, b)
        if node.minus:
            luts += a.low <= b.low < a.high  # the lowest bit is no sum, but the carry wants it turned over
            for own, other, term in zip((a, b), (b, a), node.terms, strict=True):
                alone = _above(own, max(other.high, b.low)) if not other.signed else 0
                if other is a:
                    alone |= _bits(b.low, min(a.low, b.high))
                turned[term.node, node.time - graph.nodes[term.node].time] |= alone >> own.low
    return luts + len(pairs) + sum(bits.bit_count() for bits in turned.values())


def _operand(kind: IntType, shift: int) -> _Operand:
    return _Operand(shift, shift + kind.bits, kind.signed)


def _meeting(a: _Operand, b: _Operand) -> int:
    """Positions in which both operands have bits; signs that go on meet once."""
    if a.signed and b.signed:
        high = max(a.high, b.high)
    else:
        high = min(operand.high for operand in (a, b) if not operand.signed)
    return max(0, high - max(a.low, b.low))


def _own_pairs(a: _Operand, b: _Operand) -> Iterator[tuple[int, int]]:
    """The bits of a number that meet when it is added to itself, shifted; its sign meets itself for nothing."""
    low = max(a.low, b.low)
    for position in range(low, low + _meeting(a, b)):
        i, j = (min(position, operand.high - 1) - operand.low for operand in (a, b))
        if i != j:
            yield min(i, j), max(i, j)


def _above(operand: _Operand, low: int) -> int:
    """The operand's bits from `low` on; a sign goes on there."""
    return _bits(min(max(low, operand.low), operand.high - operand.signed), operand.high)


def _bits(low: int, high: int) -> int:
    """A number with the bits low .. high - 1."""
    return (1 << max(low, high)) - (1 << low)


def _shared(graph: AdderGraph, kinds: Sequence[IntType], delayed: Sequence[tuple[int, ...]]) -> int:
    """The first registers of inputs and multiples. The low bits that an adder hands on are bits of what it reads, and one
    register holds them for both; the lowest bit of every multiple is that of its input."""
    rows = zip(graph.nodes, kinds, delayed, strict=True)
    held = [kind.bits * _holds(node, delays) for node, kind, delays in rows]
    registers = 0
    for number in reversed(range(len(held))):
        node = graph.nodes[number]
        if node.input < 0 or node.multiplies:
            continue
        handed_on = 0
        if node.terms:
            low = min(node.terms, key=lambda term: term.shift)
            handed_on = max(1, node.handed_on)
            held[low.node] = max(held[low.node], min(held[number], handed_on))
        registers += max(0, held[number] - handed_on)
    return registers


def _holds(node: Node, delays: tuple[int, ...]) -> bool:
    """Whether there are registers behind an input or a multiple, rather than a shift register LUT."""
    return node.input >= 0 and 0 < next(filter(None, delays), 0) < SRL_LEAST


def _chain(bits: int, delays: tuple[int, ...], made: int) -> Parts:
    """The registers behind a node, from one that is read to the next, without the `made` first ones."""
    parts, before = Parts(), made
    for delay in delays:
        parts += shift_chain(max(0, delay - before), bits)
        before = max(before, delay)
    return parts
