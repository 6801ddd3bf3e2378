"""An adder graph is its matrix, exactly: every node within its bounds, every bound reached, few adders in a row."""

# Legend: N vectors; I inputs, O outputs.
from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codesign.ir import Constant, IntType
from codesign.ops.adder_graph import AdderGraph, adder_graph

narrow_types = st.builds(IntType, st.integers(1, 10), st.booleans())


@st.composite
def matrices(draw: st.DrawFn) -> Constant:
    """Weights of any narrow type, its ends and zero among them, of a few rows and columns."""
    dtype = draw(narrow_types)
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 9)))
    codes = st.sampled_from([dtype.min, dtype.max, 0]) | st.integers(dtype.min, dtype.max)
    size = shape[0] * shape[1]
    return Constant.of(np.array(draw(st.lists(codes, min_size=size, max_size=size))).reshape(shape), dtype)


def vectors(graph: AdderGraph, weights: Constant, x: IntType) -> np.ndarray:
    """Random inputs, and for every output those at which it is smallest and largest."""
    ends = [np.where(row > 0, a, b) for row in weights.array for a, b in product((x.min, x.max), repeat=2)]
    return np.stack([*np.random.default_rng(0).integers(x.min, x.max, (20, graph.inputs), endpoint=True), *ends])


@given(matrices(), narrow_types, st.integers(0, 5))
def test_it_computes_the_product_within_its_bounds(weights: Constant, x: IntType, multiplied: int) -> None:
    graph = adder_graph(weights, x, min(multiplied, weights.shape[0]))
    x_NI = vectors(graph, weights, x)

    assert np.array_equal(graph.evaluate(x_NI), x_NI @ weights.array.T)
    for node, values in zip(graph.nodes, graph.values(x_NI), strict=True):
        assert node.low <= values.min() and values.max() <= node.high


@given(matrices(), narrow_types)
def test_bounds_are_tight_and_operands_are_there_in_time(weights: Constant, x: IntType) -> None:
    graph = adder_graph(weights, x)

    for term, row in zip(graph.outputs, weights.array, strict=True):
        low = np.minimum(row * x.min, row * x.max).sum()
        node = graph.nodes[term.node] if term else None
        assert (node.low << term.shift if node and term else 0) == low
    for number, node in enumerate(graph.nodes):
        for term in node.terms:
            assert term.node < number
            # Sums read registers; multiples lie between the registers of the inputs and their own.
            assert (graph.nodes[term.node].time < node.time) == (node.input < 0)
    assert all(graph.nodes[term.node].time < graph.time for term in graph.outputs if term)
    assert graph.time == 1 + (weights.shape[1] - 1).bit_length()


def test_every_factor_of_ten_bits_takes_few_adders() -> None:
    """Two in a row up to four signed digits, so up to 8 bits; three for more, one more to turn the sign over."""
    x = IntType(8, signed=False)
    for value in range(-512, 512):
        nodes = adder_graph(Constant.of([[value]]), x).nodes
        rows = [0] * len(nodes)
        for number, node in enumerate(nodes):
            rows[number] = 1 + max((rows[term.node] for term in node.terms), default=-1)
        assert rows[-1] <= (2 if abs(value) < 128 else 3) + (value < 0), value
        assert len(nodes) <= 6, value


def test_factors_are_made_once_and_from_each_other() -> None:
    """3 x; from it 45 x = 48 x - 3 x; 6 x and -12 x are wires; 64 x needs nothing."""
    graph = adder_graph(Constant.of([[3], [45], [6], [-12], [64], [0]]), IntType(8, signed=False))

    assert [node.factor for node in graph.nodes] == [1, -3, 3, 45]
    assert graph.outputs[4] == (0, 6) and graph.outputs[5] is None


def test_multipliers_make_only_what_is_large_enough() -> None:
    weights = Constant.of([[37, 64, 0], [37, 64, 41]])

    assert [n.factor for n in adder_graph(weights, IntType(8), 1).nodes if n.multiplies] == [37]
    assert [n.factor for n in adder_graph(weights, IntType(8), 2).nodes if n.multiplies] == [37, 41]
    assert not any(n.multiplies for n in adder_graph(weights, IntType(2), 2).nodes)


def test_equal_outputs_are_one() -> None:
    """A row, its double, and one that shares its first two terms."""
    graph = adder_graph(Constant.of([[1, 3, 5, 7], [2, 6, 10, 14]]), IntType(4))

    assert sum(node.input < 0 for node in graph.nodes) == 3
    assert graph.outputs[1] == (graph.outputs[0].node, 1) if graph.outputs[0] else False
