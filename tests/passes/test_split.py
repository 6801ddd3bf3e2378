"""The split: head and tail together compute what the whole network computes, and impossible cuts are named."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_tensor

from codesign.errors import GraphError
from codesign.ir import Constant, ExitPoint, Graph, GraphInput, IntType, Node, TensorType
from codesign.ops import Op
from codesign.ops.add import Add
from codesign.ops.exit_decision import ExitDecision
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.requantize import Requantize
from codesign.passes.split import split
from codesign.verify.golden import run

U8, S16 = IntType(8, signed=False), IntType(16)


def multi_exit(exits: int = 3, *, skip: bool = False) -> Graph:
    """A stem with an exit after every block; with `skip`, the last block also adds the first block's value."""
    rng = np.random.default_rng(5)
    nodes: list[Node] = []

    def add(name: str, op: Op, *sources: str) -> str:
        nodes.append(Node(name, op, sources))
        return name

    def dense(name: str, source: str, inputs: int, outputs: int, out: IntType, shift: int) -> str:
        acc = add(f"{name}.dense", MatrixVector(Constant.of(rng.integers(-8, 8, (outputs, inputs)))), source)
        return add(name, Requantize(Constant.of([1]), Constant.of([0]), shift, out, 2.0**-6), acc)

    points: list[ExitPoint] = []
    value, channels = "image", 2
    for k in range(exits):
        value = dense(f"block{k}", value, channels, 4, U8, 2)
        if skip and k == exits - 1:
            value = add("block_sum", Add(), value, "block0")
        channels = 4
        pooled = add(f"pool{k}", GlobalSum(), value)
        points.append(ExitPoint(f"exit{k}", dense(f"logits{k}", pooled, 4, 3, S16, 0)))
    return Graph(
        "net",
        (GraphInput("image", TensorType((3, 3, 2), U8, 2.0**-8)),),
        tuple(nodes),
        tuple(p.logits for p in points),
        tuple(points),
    )


@given(st.integers(2, 4), st.data())
def test_head_and_tail_compute_the_network(exits: int, data: st.DataObject) -> None:
    graph = multi_exit(exits)
    chosen = data.draw(st.integers(0, exits - 2))
    parts = split(graph, f"exit{chosen}")
    images = random_tensor(np.random.default_rng(data.draw(st.integers(0, 99))), graph.inputs[0].type, 4)
    whole = run(graph, {"image": images})
    head = run(parts.head, {"image": images, "threshold": 1000})
    tail = run(parts.tail, {"feature": head["features"]})

    assert parts.exit == graph.exits[chosen]
    assert np.array_equal(head[parts.exit.logits], whole[parts.exit.logits])
    assert [point.name for point in parts.tail.exits] == [f"exit{k}" for k in range(chosen + 1, exits)]
    for point in parts.tail.exits:
        assert np.array_equal(tail[point.logits], whole[point.logits])


def test_the_first_exit_is_the_default() -> None:
    graph = multi_exit()
    assert split(graph) == split(graph, "exit0")
    assert split(graph).feature == "block0"


def test_the_head_has_the_hardware_ports() -> None:
    head = split(multi_exit()).head
    assert head.outputs == ("decision", "features")
    assert head.exits == (ExitPoint("exit0", "logits0"),)
    assert [(value.name, value.kind, str(value.type)) for value in head.inputs][1:] == [
        ("threshold", "register", "u32[1x1x1]")
    ]
    assert isinstance(head.node("decision").op, ExitDecision)
    assert head.node("features").inputs == ("block0", "decision")


@pytest.mark.parametrize("criterion", ["entropy", "max-probability", "margin"])
def test_the_criterion_reaches_the_decision(criterion: str) -> None:
    graph = multi_exit()
    want = ExitDecision.for_logits(graph.types["logits0"], criterion=criterion)
    assert split(graph, criterion=criterion).head.node("decision").op == want


def test_exits_before_the_cut_are_dropped_with_their_heads() -> None:
    parts = split(multi_exit(), "exit1")
    assert parts.feature == "block1"
    values = {*parts.head.types, *parts.tail.types}
    assert not values & {"pool0", "logits0"}
    assert [point.name for point in (*parts.head.exits, *parts.tail.exits)] == ["exit1", "exit2"]


def test_the_image_itself_may_go_on() -> None:
    """Two networks that share only the image: the host starts again from it."""
    graph = multi_exit(2)
    nodes = tuple(
        replace(n, inputs=("image",), op=graph.node("block0.dense").op) if n.name == "block1.dense" else n
        for n in graph.nodes
    )
    assert split(replace(graph, nodes=nodes)).feature == "image"


def test_a_later_exit_may_hold_the_feature_itself() -> None:
    graph = replace(multi_exit(1), exits=(ExitPoint("exit0", "logits0"), ExitPoint("last", "block0")))
    parts = split(graph)
    assert (parts.feature, parts.tail.nodes, parts.tail.outputs) == ("block0", (), ("feature",))


def test_registers_do_not_cross_the_cut() -> None:
    """A register that both sides read is an input of both."""
    graph = multi_exit(2)
    width = GraphInput("width", TensorType((3, 3, 4), U8, 2.0**-6), "register")
    nodes = (*graph.nodes[:2], Node("wide", Add(), ("block0", "width")), *graph.nodes[2:])
    read = {"pool0": "wide", "block1.dense": "wide"}
    nodes = tuple(replace(n, inputs=(read[n.name],)) if n.name in read else n for n in nodes)
    nodes = tuple(replace(n, inputs=("block1", "width"), op=Add()) if n.name == "pool1" else n for n in nodes)
    last = (Node("pooled1", GlobalSum(), ("pool1",)), replace(nodes[-2], inputs=("pooled1",)), nodes[-1])
    parts = split(Graph("net", (*graph.inputs, width), (*nodes[:-2], *last), graph.outputs, graph.exits))
    assert parts.feature == "wide"
    assert [value.name for value in parts.head.inputs] == ["image", "width", "threshold"]
    assert [(value.name, value.kind) for value in parts.tail.inputs] == [("feature", "stream"), ("width", "register")]


def test_two_values_across_the_cut_are_named() -> None:
    with pytest.raises(GraphError, match="2 values cross the cut at exit 'exit1': block0, block1") as raised:
        split(multi_exit(skip=True), "exit1")
    assert "after the block's add" in raised.value.hint


def test_the_last_exit_leaves_nothing_to_split() -> None:
    with pytest.raises(GraphError, match="'exit2' is the last exit") as raised:
        split(multi_exit(), "exit2")
    assert raised.value.hint == "split at one of exit0, exit1"
    with pytest.raises(GraphError, match="last exit"):
        split(multi_exit(1))


def test_unknown_exits_and_graphs_without_exits_are_refused() -> None:
    with pytest.raises(GraphError, match="no exit is named 'exit9'"):
        split(multi_exit(), "exit9")
    with pytest.raises(GraphError, match="no exits"):
        split(replace(multi_exit(), exits=()))
