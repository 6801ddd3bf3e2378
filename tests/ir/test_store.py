"""Graph files: whole, exact, free of code, and clear about damage."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from strategies import constants, small_graphs

from codesign.errors import GraphError
from codesign.ir import Constant, Graph, GraphInput, IntType, Node, TensorType
from codesign.ir.store import graph_from_json, graph_to_json, load_graph, save_graph
from codesign.ops import OPS
from codesign.ops.matrix_vector import MatrixVector

WEIGHTS = Constant.of([[1, -300], [2, 299]], IntType(10))
GRAPH = Graph(
    "tiny",
    (GraphInput("x", TensorType((1, 1, 2), IntType(8), 1.0)),),
    (Node("y", MatrixVector(WEIGHTS), ("x",)),),
    ("y",),
)


@given(small_graphs())
def test_any_graph_survives_a_file(tmp_path_factory: pytest.TempPathFactory, graph: Graph) -> None:
    path = tmp_path_factory.mktemp("graph") / "graph.json"
    save_graph(graph, path)
    assert load_graph(path, OPS) == graph
    assert [child.name for child in path.parent.iterdir()] == ["graph.json"]


@given(constants())
def test_any_constant_takes_the_narrowest_bytes(constant: Constant) -> None:
    from codesign.ir import store

    table = store.constant_to_json(constant)
    size = len(base64.b64decode(table["data"])) // max(1, constant.array.size)
    assert size == 0 or ((size in (1, 2, 4, 8) and 4 * size < constant.dtype.bits <= 8 * size) or size == 1)
    assert store.constant_from_json(json.loads(json.dumps(table)), "here") == constant


def test_the_format_is_plain() -> None:
    assert graph_to_json(GRAPH) == {
        "format": "codesign-graph",
        "version": 1,
        "text": [
            "graph tiny",
            "  stream %x : s8[1x1x2] * 2^0",
            "  %y = matrix_vector(%x) {weights=@y.weights s10[2x2]} : s17[1x1x2]",
            "  return %y",
        ],
        "constants": {
            "y.weights": {
                "type": "s10",
                "shape": [2, 2],
                "data": base64.b64encode(bytes.fromhex("0100d4fe02002b01")).decode(),
            }
        },
    }


def damaged(**change: Any) -> dict[str, Any]:
    return {**graph_to_json(GRAPH), **change}


def damaged_constant(**change: Any) -> dict[str, Any]:
    return damaged(constants={"y.weights": {**graph_to_json(GRAPH)["constants"]["y.weights"], **change}})


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "expected a table, found list"),
        (damaged(format="other"), "not a graph: format is 'other'"),
        ({}, "not a graph"),
        (damaged(version=2), "version 2 is unknown"),
        (damaged(version=None), "version None is unknown"),
        (damaged(text="graph"), "'text' is not a list of lines"),
        (damaged(text=[1]), "'text' is not a list of lines"),
        (damaged(text=["graph tiny"]), "no 'return' line"),
        (damaged(text=["graph tiny", "  %x ="]), "line 2: expected an op's name"),
        (damaged(constants=None), "constants: expected a table"),
        (damaged(constants={}), "no constant @y.weights"),
        (damaged(constants={"y.weights": 3}), "constant @y.weights: expected a table, found int"),
        (damaged_constant(type="x8"), "type 'x8' is not an integer type"),
        (damaged_constant(type=8), "type 8 is not an integer type"),
        (damaged_constant(type="s99"), "type 's99' is not an integer type"),
        (damaged_constant(shape=[2, -2]), "not a list of sizes"),
        (damaged_constant(shape=4), "not a list of sizes"),
        (damaged_constant(shape=[2, True]), "not a list of sizes"),
        (damaged_constant(shape=[10**9] * 9), "bytes of data, but"),
        (damaged_constant(data="####"), "data is not base64"),
        (damaged_constant(data="AQD"), "data is not base64"),
        (damaged_constant(data=7), "data is not base64"),
        (damaged_constant(data=coded(b"1234567")), "7 bytes of data, but s10.2, 2. takes 8"),
        (damaged_constant(data=coded(bytes.fromhex("0100d4fe02000002"))), "values -300..512 are not all in s10"),
        (damaged_constant(shape=[4]), "printed as another type"),
        (damaged_constant(type="u64", data=coded(b"\xff" * 32)), "are not all in u64"),
    ],
)
def test_damage_is_named(value: Any, words: str) -> None:
    with pytest.raises(GraphError) as raised:
        graph_from_json(value, OPS, where="graph.json")
    assert words.replace(".", "") in str(raised.value).replace("[", "").replace("]", "").replace(".", "")
    assert raised.value.where.startswith("graph.json")
    assert raised.value.hint


def test_a_constant_without_data_is_damage() -> None:
    with pytest.raises(GraphError, match="not base64"):
        graph_from_json(damaged(constants={"y.weights": {"type": "s10", "shape": [2, 2]}}), OPS)


@pytest.mark.parametrize("kept", [0, 1, 50, -20, -3])
def test_a_truncated_file_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "graph.json"
    save_graph(GRAPH, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GraphError, match="not valid JSON") as raised:
        load_graph(path, OPS)
    assert raised.value.where == str(path)
    assert "export the graph again" in raised.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 200_000])
def test_bytes_that_are_no_json_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "graph.json"
    path.write_bytes(content)
    with pytest.raises(GraphError) as raised:
        load_graph(path, OPS)
    assert raised.value.where == str(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no such file"):
        load_graph(tmp_path / "none.json", OPS)
