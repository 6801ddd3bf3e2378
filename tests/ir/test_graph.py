"""A graph is checked at birth: names, order, types, exits."""

from dataclasses import replace

import pytest

from codesign.errors import GraphError
from codesign.ir import ExitPoint, Graph, GraphInput, IntType, Node, TensorType
from codesign.ir.graph import identifier
from codesign.ops.add import Add
from codesign.ops.flatten import Flatten
from codesign.ops.max_pool import MaxPool

X = GraphInput("x", TensorType((2, 2, 2), IntType(8), 1.0))
NODES = (Node("a", Flatten(), ("x",)), Node("b", Add(), ("a", "a")), Node("c", MaxPool(2), ("x",)))
GRAPH = Graph("net", (X,), NODES, ("b", "c"), (ExitPoint("early", "a"), ExitPoint("late", "b")))


def test_types_follow_the_nodes() -> None:
    assert {name: str(kind) for name, kind in GRAPH.types.items()} == {
        "x": "s8[2x2x2] * 2^0",
        "a": "s8[1x1x8] * 2^0",
        "b": "s9[1x1x8] * 2^0",
        "c": "s8[2x2x1] * 2^0",
    }


def test_questions_about_values() -> None:
    assert GRAPH.ancestors("b") == {"x", "a", "b"}
    assert [node.name for node in GRAPH.readers("x")] == ["a", "c"]
    assert GRAPH.node("c").op == MaxPool(2)
    assert GRAPH.exit("late").logits == "b"
    assert [node.name for node in GRAPH.keep(GRAPH.ancestors("c"))] == ["c"]


def test_equal_graphs_are_equal() -> None:
    assert replace(GRAPH) == GRAPH
    assert hash(replace(GRAPH)) == hash(GRAPH)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": (*NODES, Node("a", Flatten(), ("x",)))}, "'a' is used twice"),
        ({"nodes": (*NODES, Node("x", Flatten(), ("x",)))}, "'x' is used twice"),
        ({"nodes": NODES[::-1]}, "reads 'a', which is not defined before it"),
        ({"nodes": (*NODES, Node("1bad", Flatten(), ("x",)))}, "'1bad' is not a name"),
        ({"nodes": (*NODES, Node("bad..name", Flatten(), ("x",)))}, "is not a name"),
        ({"exits": (ExitPoint("two\nlines", "a"),)}, "is not a name"),
        ({"exits": (ExitPoint("", "a"),)}, "'' is not a name"),
        ({"outputs": ("nowhere",)}, "'nowhere' is not a value"),
        ({"exits": (ExitPoint("e", "nowhere"),)}, "'nowhere' is not a value"),
        ({"nodes": (*NODES, Node("d", Add(), ("x", "a")))}, "cannot add"),
        ({"nodes": (*NODES, Node("d", Add(), ("x",)))}, "not enough values to unpack"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, tuple[Node, ...]], words: str) -> None:
    with pytest.raises(GraphError, match=words) as raised:
        replace(GRAPH, **change)  # type: ignore[arg-type]
    assert raised.value.where.startswith("net")
    assert raised.value.hint


def test_unknown_names_come_with_the_known_ones() -> None:
    with pytest.raises(GraphError, match="no node is named 'z'") as raised:
        GRAPH.node("z")
    assert raised.value.hint == "nodes: a, b, c"
    with pytest.raises(GraphError, match="no exit is named 'z'") as raised:
        GRAPH.exit("z")
    assert raised.value.hint == "exits: early, late"


@pytest.mark.parametrize("name", ["", "my run", "a-b", "2b", "two\nlines", "*/"])
def test_a_graph_has_a_name_and_any_text_has_one_near(name: str) -> None:
    with pytest.raises(GraphError, match="is not a name") as raised:
        replace(GRAPH, name=name)
    assert raised.value.hint

    assert replace(GRAPH, name=identifier(name)).types == GRAPH.types


def test_a_name_is_near_its_text() -> None:
    assert [identifier(text) for text in ("lenet5_mnist", "my run-2", "2b", "")] == [
        "lenet5_mnist",
        "my_run_2",
        "n_2b",
        "n_",
    ]
