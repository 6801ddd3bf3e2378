"""The golden model: chunking changes nothing, values are dropped, and unusable inputs are named."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_codes, small_graphs

from codesign.errors import GraphError, VerificationError
from codesign.ir import Codes, ExitPoint, Graph, GraphInput, IntType, Node, TensorType
from codesign.ops.add import Add
from codesign.ops.flatten import Flatten
from codesign.ops.max_pool import MaxPool
from codesign.verify.golden import run

U4 = TensorType((2, 1, 2), IntType(4, signed=False), 1.0)
PAIR = Graph(
    "pair",
    (GraphInput("a", U4), GraphInput("b", U4)),
    (Node("sum", Add(), ("a", "b")), Node("flat", Flatten(), ("sum",))),
    ("flat",),
)


def zeros(frames: int = 3) -> Codes:
    return np.zeros((frames, 2, 1, 2), dtype=np.int64)


@given(small_graphs(), st.integers(1, 9), st.integers(1, 4), st.integers(0, 1000))
def test_chunks_change_nothing(graph: Graph, frames: int, chunk: int, seed: int) -> None:
    inputs = random_codes(graph, frames, seed)
    done: list[int] = []
    whole = run(graph, inputs, keep=graph.types, chunk=frames)
    parts = run(graph, inputs, keep=graph.types, chunk=chunk, progress=done.append)
    assert set(parts) == set(graph.types)
    for name, codes in whole.items():
        assert codes.dtype == np.int64
        assert codes.shape == (frames, *graph.types[name].shape)
        assert np.array_equal(codes, parts[name])
    assert done[-1] == frames
    assert done == sorted(done)


def test_keeps_outputs_and_logits_by_default() -> None:
    graph = Graph(PAIR.name, PAIR.inputs, PAIR.nodes, ("flat",), (ExitPoint("early", "sum"),))
    assert set(run(graph, {"a": zeros(), "b": zeros()})) == {"flat", "sum"}
    assert set(run(graph, {"a": zeros(), "b": zeros()}, keep=["a"])) == {"a"}


def test_no_frames_give_no_codes() -> None:
    assert run(PAIR, {"a": zeros(0), "b": zeros(0)})["flat"].shape == (0, 1, 1, 4)


def test_narrow_and_unsigned_arrays_are_taken_as_they_are() -> None:
    codes = np.full((2, 2, 1, 2), 15, dtype=np.uint8)
    assert run(PAIR, {"a": codes, "b": codes})["flat"].tolist() == [[[[30] * 4]]] * 2


def test_a_register_is_one_integer() -> None:
    threshold = GraphInput("threshold", TensorType((1, 1, 1), IntType(32, signed=False)), "register")
    graph = Graph(
        "gate",
        (GraphInput("x", TensorType((1, 1, 3), IntType(8), 1.0)), threshold),
        (Node("gate", Gate(), ("x", "threshold")),),
        ("gate",),
    )
    x = np.array([-5, 2, 7]).reshape(1, 1, 1, 3)
    for value in (2, np.int64(2), np.array([[[[2]]]])):
        assert run(graph, {"x": x, "threshold": value})["gate"].tolist() == [[[[0, 0, 1]]]]
    with pytest.raises(GraphError, match="cannot hold 2 codes"):
        run(graph, {"x": x, "threshold": [1, 2]})
    with pytest.raises(GraphError, match=r"gate\.threshold: code -1 "):
        _raise_text(graph, {"x": x, "threshold": -1})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"a": zeros(), "c": zeros()}, "'c' is not an input"),
        ({"a": zeros()}, "no codes for the stream input"),
        ({"a": zeros(), "b": zeros(2)}, "2 frames, but another stream has 3"),
        ({"a": zeros().astype(float), "b": zeros()}, "integer codes, not float64"),
        ({"a": zeros() > 1, "b": zeros()}, "integer codes, not bool"),
        ({"a": zeros()[0], "b": zeros()}, r"codes have shape \(2, 1, 2\)"),
        ({"a": zeros() + 16, "b": zeros()}, r"code 16 in frame 0 at \(0, 0, 0\) .* is not in u4"),
    ],
)
def test_unusable_inputs_are_named(inputs: dict[str, Codes], words: str) -> None:
    with pytest.raises(GraphError, match=words) as raised:
        run(PAIR, inputs)
    assert raised.value.hint
    assert raised.value.where.startswith("pair")


@given(st.integers(0, 3 * 2 * 2 - 1), st.integers(16, 2**63 - 1) | st.integers(-(2**63), -1))
def test_the_first_code_out_of_range_is_named(position: int, code: int) -> None:
    codes = zeros()
    codes.reshape(-1)[position:] = code
    frame, rest = divmod(position, 4)
    with pytest.raises(GraphError, match=rf"code {code} in frame {frame} at \({rest // 2}, 0, {rest % 2}\) "):
        run(PAIR, {"a": codes, "b": zeros()})


def test_an_unknown_value_to_keep_is_named() -> None:
    with pytest.raises(GraphError, match="cannot keep 'flet'") as raised:
        run(PAIR, {"a": zeros(), "b": zeros()}, keep=["flet"])
    assert raised.value.hint == "did you mean 'flat'?"


@pytest.mark.parametrize(
    ("broken", "words"), [("range", "golden code 99 at"), ("shape", "of shape"), ("dtype", "int32 codes")]
)
def test_an_op_that_breaks_its_type_is_caught(broken: str, words: str) -> None:
    graph = Graph("bad", (GraphInput("x", U4),), (Node("y", Broken(broken), ("x",)),), ("y",))
    with pytest.raises(VerificationError, match=words):
        run(graph, {"x": zeros()})


def test_values_are_dropped_after_their_last_reader() -> None:
    """A chain of many large maps needs the memory of a few."""
    import tracemalloc

    kind = TensorType((64, 64, 4), IntType(8), 1.0)
    names = [f"p{i}" for i in range(20)]
    nodes = tuple(Node(name, MaxPool(1), (names[i - 1] if i else "x",)) for i, name in enumerate(names))
    graph = Graph("chain", (GraphInput("x", kind),), nodes, (names[-1],))
    codes = np.zeros((16, 64, 64, 4), dtype=np.int64)
    tracemalloc.start()
    run(graph, {"x": codes}, chunk=16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * codes.nbytes


def _raise_text(graph: Graph, inputs: dict[str, object]) -> None:
    """Raises the same error with its whole text as its message."""
    try:
        run(graph, inputs)  # type: ignore[arg-type]
    except GraphError as error:
        raise GraphError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Gate:
    """1 where a code passes the register."""

    name: ClassVar[str] = "gate"

    def infer(self, *x: TensorType) -> TensorType:
        return TensorType(x[0].shape, IntType(1, signed=False))

    def golden(self, *x: Codes) -> Codes:
        return (x[0] > x[1]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Broken:
    """An op that breaks one promise."""

    name: ClassVar[str] = "broken"
    promise: str

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def golden(self, *x: Codes) -> Codes:
        match self.promise:
            case "range":
                return x[0] + 99
            case "shape":
                return x[0][:, :1]
            case _:
                return x[0].astype(np.int32)  # type: ignore[return-value]
