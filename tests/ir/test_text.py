"""The text form reads back to the same graph, and a line that does not fit is named."""

import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import constants, int_types, small_graphs

from codesign.errors import GraphError
from codesign.ir import Codes, Constant, ExitPoint, Graph, GraphInput, IntType, Node, TensorType
from codesign.ir.text import constants_of, parse_graph, print_graph
from codesign.ops import OPS, Example
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.sliding_window import SlidingWindow

EXAMPLES = [
    pytest.param(example, id=f"{name}-{k}") for name, op in OPS.items() for k, example in enumerate(op.examples())
]

WEIGHTS = Constant.of([[1, -2, 3, -4] * 2] * 3)
IMAGE = GraphInput("image", TensorType((3, 4, 2), IntType(8, signed=False), 2.0**-8))
THRESHOLD = GraphInput("threshold", TensorType((1, 1, 1), IntType(32, signed=False)), "register")
NODES = (Node("stem.window", SlidingWindow((2, 2)), ("image",)), Node("stem", MatrixVector(WEIGHTS), ("stem.window",)))
GRAPH = Graph("tiny", (IMAGE, THRESHOLD), NODES, ("stem", "image"), (ExitPoint("exit1", "stem"),))
TEXT = """\
graph tiny
  stream %image : u8[3x4x2] * 2^-8
  register %threshold : u32[1x1x1]
  %stem.window = sliding_window(%image) {kernel=[2, 2], stride=[1, 1], pads=[0, 0, 0, 0], fill=0} : u8[2x3x8] * 2^-8
  %stem = matrix_vector(%stem.window) {weights=@stem.weights s3[3x8]} : s13[2x3x3]
  exit exit1 %stem
  return %stem, %image
"""


def parse(text: str, ops: dict[str, type] | None = None) -> Graph:
    return parse_graph(text, ops or OPS, constants_of(GRAPH))


def test_one_line_a_value() -> None:
    assert print_graph(GRAPH) == TEXT
    assert parse(TEXT) == GRAPH


def test_space_and_blank_lines_do_not_matter() -> None:
    assert parse(re.sub(r"([=,(){}\[\]:*])", r" \1  ", TEXT).replace("\n", "\n\n\t")) == GRAPH


@given(small_graphs())
def test_any_graph_reads_back(graph: Graph) -> None:
    assert parse_graph(print_graph(graph), OPS, constants_of(graph)) == graph


@pytest.mark.parametrize("example", EXAMPLES)
def test_any_op_reads_back(example: Example) -> None:
    streams = len(example.inputs) - example.op.registers
    inputs = tuple(
        GraphInput(f"x{i}", kind, "stream" if i < streams else "register") for i, kind in enumerate(example.inputs)
    )
    graph = Graph("one", inputs, (Node("y", example.op, tuple(x.name for x in inputs)),), ("y",))
    assert parse_graph(print_graph(graph), OPS, constants_of(graph)) == graph


@dataclass(frozen=True, slots=True)
class Everything:
    """One field of every kind."""

    name: ClassVar[str] = "everything"

    integer: int
    real: float
    maybe: float | None
    flag: bool
    text: str
    sizes: tuple[int, ...]
    pair: tuple[int, int]
    kind: IntType
    table: Constant
    either: int | str = "x"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def golden(self, *x: Codes) -> Codes:
        return x[0]


finite = st.floats(allow_nan=False)
everything = st.builds(
    Everything,
    st.integers(),
    finite | st.integers(-9, 9),
    finite | st.none(),
    st.booleans(),
    st.text(),
    st.lists(st.integers()).map(tuple),
    st.tuples(st.integers(), st.integers()),
    int_types,
    constants(),
    st.integers() | st.text(),
)


names = st.from_regex(r"[A-Za-z_]\w*(\.\w+)*", fullmatch=True, alphabet=st.characters(max_codepoint=127))


@given(everything, names, names)
def test_any_field_and_any_name_reads_back(op: Everything, name: str, exit_name: str) -> None:
    graph = Graph(name, (IMAGE,), (Node("a.b", op, ("image",)),), (), (ExitPoint(exit_name, "a.b"),))
    again = parse_graph(print_graph(graph), {"everything": Everything}, constants_of(graph))
    assert again == graph
    assert print_graph(again) == print_graph(graph)


@pytest.mark.parametrize(
    ("old", "new", "line", "words", "hint"),
    [
        ("graph tiny\n", "", 1, "misplaced", "starts with one 'graph NAME' line"),
        (
            "  return",
            "  %x = flatten(%stem) : s13[1x1x18]\n  return %stem\n  return",
            9,
            "misplaced",
            "ends with one 'return' line",
        ),
        ("  exit", "  quit", 6, "'quit' starts no line", "did you mean 'exit'"),
        ("sliding_window(", "sliding_windows(", 4, "unknown op 'sliding_windows'", "did you mean 'sliding_window'"),
        ("(%image)", "(%imag)", 4, "%imag is not defined", "did you mean 'image'"),
        ("(%image)", "(image)", 4, "expected %name, found 'image'", "start with %"),
        ("(%image)", "(%image", 4, r"expected '\)'", "example"),
        ("(%image)", "(%image, %image)", 4, "sliding_window cannot take", "correct"),
        ("kernel=", "kernels=", 4, "no field 'kernels'", "did you mean 'kernel'"),
        ("kernel=[2, 2], ", "", 4, "no field kernel", "fields of SlidingWindow"),
        ("kernel=[2, 2]", "kernel=2", 4, "'kernel' cannot be 2", "tuple"),
        ("kernel=[2, 2]", "kernel=[2, 2, 2]", 4, "'kernel' cannot be", "tuple"),
        ("kernel=[2, 2]", "kernel=[2, u8]", 4, "'kernel' cannot be", "tuple"),
        ("kernel=[2, 2]", "kernel=[2, two]", 4, "'two' is not a value", "values are"),
        ("kernel=[2, 2]", "kernel=[9, 9]", 4, "larger than", "smaller kernel"),
        ("kernel=[2, 2]", "kernel=[1, 2]", 4, r"printed as u8\[2x3x8\].*but is u8\[3x3x4\]", "correct the type"),
        (": u8[2x3x8] * 2^-8", ": u9[2x3x8] * 2^-8", 4, r"printed as u9.*but is u8", "correct the type"),
        (": u8[2x3x8] * 2^-8", ": u8[2x3x8] * 2^-7", 4, r"2\^-7, but is .*2\^-8", "correct the type"),
        (": u8[2x3x8] * 2^-8", ": u8[2x3x8]", 4, r"printed as u8\[2x3x8\], but is .*2\^-8", "correct the type"),
        ("fill=0", "fill=true", 4, "'fill' cannot be True", "int"),
        ("fill=0", "fill=0, fill=0", 4, "given twice", "once"),
        ("fill=0", 'fill="\\q"', 4, "not a string", "JSON"),
        ("fill=0", "fill=$", 4, r"cannot read '\$", "example"),
        ("@stem.weights", "@stem.weight", 5, "no constant @stem.weight", "did you mean 'stem.weights'"),
        ("s3[3x8]", "s3[8x3]", 5, "printed as another type than s3.3x8.", "write both again"),
        (": u8[3x4x2]", ": w8[3x4x2]", 2, "not a type", "u8"),
        (": u8[3x4x2]", ": u8[3x4]", 2, "three positive sizes", "u8"),
        (": u8[3x4x2]", ": u8[3xx2]", 2, "not a type", "u8"),
        ("* 2^-8\n  reg", "* 2^99999\n  reg", 2, "'2.-?99999' is not a scale", "2\\^-8"),
        ("* 2^-8\n  reg", "* -1.0\n  reg", 2, "positive number", "2\\^-8"),
        ("u32[1x1x1]", "u32[1x1x1] u8", 3, "'u8' is left over", "end the line"),
        ("%threshold", "%image", 3, "%image is defined twice", "own name"),
        ("%stem = ", "%stem ", 5, "expected '='", "example"),
        ("  return %stem, %image", "  return %stem, ", 7, "found 'the end of the line'", "start with %"),
    ],
)
def test_a_line_that_does_not_fit_is_named(old: str, new: str, line: int, words: str, hint: str) -> None:
    assert TEXT.count(old) >= 1
    with pytest.raises(GraphError, match=words) as raised:
        parse(TEXT.replace(old, new, 1))
    assert raised.value.where == f"line {line}"
    assert re.search(hint, raised.value.hint)


@pytest.mark.parametrize("lines", range(7))
def test_a_text_that_is_cut_off_is_refused(lines: int) -> None:
    with pytest.raises(GraphError, match=r"no '(graph NAME|return)' line"):
        parse("\n".join(TEXT.splitlines()[:lines]))


def test_bad_names_are_refused_by_the_graph() -> None:
    with pytest.raises(GraphError, match="'9stem' is not a name"):
        parse(TEXT.replace("%stem = ", "%9stem = ").replace("%stem\n", "%9stem\n").replace("%stem,", "%9stem,"))


@given(st.data())
def test_damaged_text_is_a_graph_error_or_a_graph(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    stop = data.draw(st.integers(start, min(len(TEXT), start + 6)))
    damaged = TEXT[:start] + data.draw(st.text(alphabet='%@=(){}[],:*"\\ab09.x^-\n ', max_size=4)) + TEXT[stop:]
    error = parse_error(damaged)
    assert error is None or (error.where and error.hint)


def parse_error(text: str) -> GraphError | None:
    try:
        parse(text)
    except GraphError as error:
        return error
    return None
