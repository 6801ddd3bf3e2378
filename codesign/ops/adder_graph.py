"""One matrix of constants times a vector by shifts and adds: a graph of adders, each as narrow as its values allow.

First come multiples: of every input the odd factors that any output needs, each made once, with one adder where it can be,
from the input or from factors made before. Then every output adds and subtracts its shifted multiples in a balanced tree.
Of some outputs, multipliers may make the multiples; the sums are the same.
"""

# Legend: N vectors; I inputs, O outputs.
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from codesign.ir.types import Codes, Constant, IntType
from codesign.ops.multiples import steps, zeros

MOST_BITS = 10  # of codes and of weights up to which products with constants are worth shifts and adds
LEAST_PRODUCT = 9  # bits of a product from which on synthesis gives it to a multiplier


class Term(NamedTuple):
    """The value of a node times 2**shift."""

    node: int
    shift: int


class Node(NamedTuple):
    """A multiple of one input, `factor` times input number `input`, or (`input` < 0) a sum over several.

    It is the first term plus the second, or less the second where `minus`; without terms it is an input, or the product
    that a multiplier makes of one. `time` counts the registers between the inputs and the node, so an operand of an
    earlier time is delayed by the difference. low and high are the bounds of the value.
    """

    time: int
    low: int
    high: int
    terms: tuple[Term, ...] = ()
    minus: bool = False
    input: int = -1
    factor: int = 0

    @property
    def dtype(self) -> IntType:
        return IntType.holding(self.low, self.high)

    @property
    def multiplies(self) -> bool:
        return not self.terms and self.factor != 1

    @property
    def handed_on(self) -> int:
        """How many of the lowest bits are those of the first term, since the second begins above them."""
        return max(0, self.terms[1].shift - self.terms[0].shift) if self.terms else 0


@dataclass(frozen=True, slots=True)
class AdderGraph:
    """Nodes, operands before those that use them, in front a node for each input; the term of each output, None where it is always 0.

    Outputs are there at `time`, whatever the weights.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Term | None, ...]
    time: int

    @property
    def inputs(self) -> int:
        return sum(node.factor == 1 for node in self.nodes)

    @property
    def x_bits(self) -> int:
        return self.nodes[0].dtype.bits

    def evaluate(self, x_NI: Codes) -> Codes:
        """The outputs (N, O) as the nodes compute them."""
        values = self.values(x_NI)
        zero = np.zeros(len(x_NI), np.int64)
        return np.stack([values[t.node] << t.shift if t else zero for t in self.outputs], axis=1)

    def values(self, x_NI: Codes) -> list[Codes]:
        """The values of all nodes, each from those of its operands."""
        values: list[Codes] = []
        for node in self.nodes:
            if node.terms:
                a, b = (values[term.node] << term.shift for term in node.terms)
                values.append(a - b if node.minus else a + b)
            else:
                values.append(x_NI[:, node.input] * node.factor)
        return values

    def delays(self) -> tuple[tuple[int, ...], ...]:
        """Of every node, after how many registers it is read, ascending; 0 is the value itself."""
        found: list[set[int]] = [set() for _ in self.nodes]
        for node in self.nodes:
            if node.multiplies:
                found[node.input].add(0)
            for term in node.terms:
                found[term.node].add(node.time - self.nodes[term.node].time)
        for term in self.outputs:
            if term:
                found[term.node].add(self.time - self.nodes[term.node].time)
        return tuple(tuple(sorted(times)) for times in found)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """The sums of an RTL unit whose weights are constants: `graph` for each pixel of a beat, outputs of `y_bits` bits.

    The unit's port `sums_x` has a beat, `sums_y` all its sums `latency` cycles later.
    """

    graph: AdderGraph
    pixels: int
    y_bits: int

    @property
    def latency(self) -> int:
        """Codes have a register in front of the graph."""
        return 1 + self.graph.time

    @property
    def x_width(self) -> int:
        return self.pixels * self.graph.inputs * self.graph.x_bits

    @property
    def y_width(self) -> int:
        return self.pixels * len(self.graph.outputs) * self.y_bits


class _Part(NamedTuple):
    """A weight: an odd factor of input `k`, shifted, and added or subtracted."""

    k: int
    factor: int
    shift: int
    plus: bool


@lru_cache(maxsize=64)
def adder_graph(weights: Constant, x: IntType, multiplied: int = 0) -> AdderGraph:
    """The graph of weights (O, I) and inputs of type x; multipliers make the multiples of the first `multiplied` outputs."""
    rows = [_parts(row) for row in weights.array.tolist()]
    build = _Build(x, weights.shape[1])
    build.multiply({(k, f) for row in rows[:multiplied] for k, f, _, _ in row if f > 1})
    build.multiples({(k, f) for row in rows for k, f, _, _ in row})
    outputs = [build.tree(row) for row in rows]
    return AdderGraph(tuple(build.nodes), tuple(outputs), 1 + (weights.shape[1] - 1).bit_length())


def _parts(row: list[int]) -> list[_Part]:
    """The weights of an output that are not 0. At least one is added, so that no sum ever has to be turned over: where
    all are negative, the first has a negative factor instead."""
    parts = [_Part(k, abs(w) >> zeros(w), zeros(w), w > 0) for k, w in enumerate(row) if w]
    if parts and not any(part.plus for part in parts):
        parts[0] = parts[0]._replace(factor=-parts[0].factor, plus=True)
    return parts


class _Build:
    """A graph that grows; equal nodes are one."""

    def __init__(self, x: IntType, inputs: int) -> None:
        self.x = x
        self.nodes: list[Node] = []
        self.index: dict[Node, int] = {}
        self.made = {(k, 1): self._multiple(k, 1) for k in range(inputs)}  # by input and factor

    def multiply(self, wanted: set[tuple[int, int]]) -> None:
        """Has multipliers make these factors of inputs, where they are large enough for one."""
        for k, factor in sorted(wanted):
            low, high = self._reach(factor)
            if self.x.bits > 1 and IntType.holding(low, high).bits >= LEAST_PRODUCT:
                self.made[k, factor] = self._multiple(k, factor)

    def multiples(self, wanted: set[tuple[int, int]]) -> None:
        """Makes these factors of inputs by adders, as far as they are not made."""
        targets: dict[int, list[int]] = {}
        for k, factor in sorted(wanted - self.made.keys()):
            targets.setdefault(k, []).append(factor)
        for k, factors in targets.items():
            own = {1: self.made[k, 1]}
            for step in steps(tuple(factors)):
                terms = (Term(own[step.a], step.a_shift), Term(own[step.b], step.b_shift))
                own[step.factor] = self._multiple(k, step.factor, terms, step.minus)
            self.made |= {(k, factor): own[factor] for factor in factors}

    def tree(self, parts: list[_Part]) -> Term | None:
        """The sum of parts, at least one of which is added."""
        terms = [(Term(self.made[part.k, part.factor], part.shift), part.plus) for part in parts]
        time = 0
        while len(terms) > 1:
            time += 1
            # Few neighbours of different sign, and otherwise of nearly the same bits, make small sums.
            terms.sort(key=self._order)
            added, ahead = sum(plus for _, plus in terms), terms[len(terms) // 2 * 2 :]
            for (a, a_plus), (b, b_plus) in zip(terms[::2], terms[1::2], strict=False):
                # A difference may be taken either way round. With the lower bits in front, the adder hands those on.
                if a_plus or b_plus == a_plus or (added > 1 and a.shift < b.shift):
                    ahead.append((self._sum(time, a, b, a_plus != b_plus), a_plus))
                    added -= b_plus
                else:
                    ahead.append((self._sum(time, b, a, True), True))
            terms = ahead
        return terms[0][0] if terms else None

    def _order(self, item: tuple[Term, bool]) -> tuple[bool, int, int]:
        (number, shift), plus = item
        return plus, shift, self.nodes[number].high - self.nodes[number].low

    def _sum(self, time: int, a: Term, b: Term, minus: bool) -> Term:
        shift = min(a.shift, b.shift)
        (one, a_shift), (two, b_shift) = a, b
        a, b = Term(one, a_shift - shift), Term(two, b_shift - shift)
        a_low, a_high = self.nodes[one].low << a.shift, self.nodes[one].high << a.shift
        b_low, b_high = self.nodes[two].low << b.shift, self.nodes[two].high << b.shift
        low, high = (a_low - b_high, a_high - b_low) if minus else (a_low + b_low, a_high + b_high)
        return Term(self._take(Node(time, low, high, (a, b), minus)), shift)

    def _multiple(self, k: int, factor: int, terms: tuple[Term, ...] = (), minus: bool = False) -> int:
        return self._take(Node(0, *self._reach(factor), terms, minus, k, factor))

    def _reach(self, factor: int) -> tuple[int, int]:
        ends = (self.x.min * factor, self.x.max * factor)
        return min(ends), max(ends)

    def _take(self, node: Node) -> int:
        """The number of the node, which is a new one unless there is one like it."""
        number = self.index.setdefault(node, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return number
