"""The text form of a graph: one line per value, every op's fields by name, constants by reference.

graph lenet5
  stream %image : u8[28x28x1] * 2^-8
  %stem.window = sliding_window(%image) {kernel=[5, 5], stride=[1, 1], pads=[2, 2, 2, 2], fill=0} : u8[28x28x25] * 2^-8
  %stem = matrix_vector(%stem.window) {weights=@stem.weights s8[6x25]} : s21[28x28x6]
  exit exit1 %exit1.logits
  return %exit1.logits
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal, cast

from codesign.errors import GraphError, nearest
from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node, Operation
from codesign.ir.scanner import WORD, Line
from codesign.ir.types import Constant, IntType, TensorType, format_scale, parse_scale

_WORDS = {"none": None, "true": True, "false": False}


def print_graph(graph: Graph) -> str:
    """The graph as text; `constants_of` has the values that its @names stand for."""
    lines = [f"graph {_quoted(graph.name)}"]
    lines += [f"  {value.kind} %{value.name} : {value.type}" for value in graph.inputs]
    lines += [f"  {_node_text(node)} : {graph.types[node.name]}" for node in graph.nodes]
    lines += [f"  exit {_quoted(point.name)} %{point.logits}" for point in graph.exits]
    lines.append("  return" + ",".join(f" %{name}" for name in graph.outputs))
    return "\n".join(lines) + "\n"


def constants_of(graph: Graph) -> dict[str, Constant]:
    """Every constant that an op holds, as {"node.field": constant}."""
    return {
        f"{node.name}.{name}": value
        for node in graph.nodes
        for name, value in _fields(node.op).items()
        if isinstance(value, Constant)
    }


def parse_graph(text: str, ops: Mapping[str, type], constants: Mapping[str, Constant], *, where: str = "") -> Graph:
    """The graph that `print_graph` printed; raises GraphError naming the line, what is wrong with it and what to do.

    `ops` are the op classes by name (`codesign.ops.OPS`); `where` names the text's source in messages.
    """
    reader = _Reader(ops, constants)
    place = f"{where}: " if where else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            reader.read(Line(line))
        except GraphError as error:
            raise GraphError(error.what, where=f"{place}line {number}", hint=error.hint) from error
    try:
        return reader.graph()
    except GraphError as error:
        raise GraphError(error.what, where=f"{place}{error.where or 'end'}", hint=error.hint) from error


def _fields(op: Any) -> dict[str, Any]:
    return {f.name: getattr(op, f.name) for f in dataclasses.fields(op)}


def _quoted(name: str) -> str:
    return name if WORD.fullmatch(name) else json.dumps(name)


def _node_text(node: Node) -> str:
    sources = ", ".join(f"%{name}" for name in node.inputs)
    attributes = ", ".join(
        f"{name}={_value_text(value, f'{node.name}.{name}')}" for name, value in _fields(node.op).items()
    )
    return f"%{node.name} = {node.op.name}({sources})" + (f" {{{attributes}}}" if attributes else "")


def _value_text(value: Any, name: str) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, IntType):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, float):
        return format_scale(float(value))
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Constant):
        return f"@{name} {value}"
    if isinstance(value, tuple):
        return f"[{', '.join(_value_text(item, name) for item in cast(tuple[Any, ...], value))}]"
    raise GraphError(
        f"a field of type {type(value).__name__} has no text form",
        where=name,
        hint="use int, float, bool, str, tuple, IntType or Constant",
    )


@dataclass(slots=True)
class _Reader:
    """What the lines so far have defined."""

    ops: Mapping[str, type]
    constants: Mapping[str, Constant]
    name: str | None = None
    inputs: list[GraphInput] = field(default_factory=list[GraphInput])
    nodes: list[Node] = field(default_factory=list[Node])
    exits: list[ExitPoint] = field(default_factory=list[ExitPoint])
    outputs: tuple[str, ...] | None = None
    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])

    def graph(self) -> Graph:
        if self.name is None or self.outputs is None:
            missing = "graph NAME" if self.name is None else "return"
            raise GraphError(f"no {missing!r} line", hint="the text is cut off; write the graph again")
        return Graph(self.name, tuple(self.inputs), tuple(self.nodes), self.outputs, tuple(self.exits))

    def read(self, line: Line) -> None:
        """Takes in one line; blank lines are skipped."""
        if line.done:
            return
        if (self.name is None) != (line.peek == "graph") or self.outputs is not None:
            line.fail(
                f"misplaced line {line.text.strip()!r}",
                "the text starts with one 'graph NAME' line and ends with one 'return' line",
            )
        if line.peek.startswith("%"):
            self._read_node(line)
        else:
            self._read_keyword(line)
        line.end()

    def _read_keyword(self, line: Line) -> None:
        match line.word("graph, stream, register, exit, return or %name"):
            case "graph":
                self.name = line.name()
            case "stream" | "register" as kind:
                self._read_input(line, "stream" if kind == "stream" else "register")
            case "exit":
                self.exits.append(ExitPoint(line.name(), self._known(line)))
            case "return":
                self.outputs = () if line.done else line.items(lambda: self._known(line))
            case word:
                line.fail(f"{word!r} starts no line", nearest(word, ("graph", "stream", "register", "exit", "return")))

    def _read_input(self, line: Line, kind: Literal["stream", "register"]) -> None:
        name = self._new(line)
        line.take(":")
        self.types[name] = line.type()
        self.inputs.append(GraphInput(name, self.types[name], kind))

    def _read_node(self, line: Line) -> None:
        name = self._new(line)
        line.take("=")
        op_name = line.word("an op's name")
        if op_name not in self.ops:
            line.fail(f"unknown op {op_name!r}", nearest(op_name, self.ops))
        line.take("(")
        sources = () if line.peek == ")" else line.items(lambda: self._known(line))
        line.take(")")
        op = _build(self.ops[op_name], self._attributes(line))
        line.take(":")
        printed, inferred = line.type(), _infer(op, [self.types[source] for source in sources])
        if printed != inferred:
            line.fail(
                f"%{name} is printed as {printed}, but is {inferred}", "correct the type, or the fields it follows from"
            )
        self.types[name] = inferred
        self.nodes.append(Node(name, op, sources))

    def _attributes(self, line: Line) -> dict[str, Any]:
        if line.peek != "{":
            return {}
        line.take("{")

        def attribute() -> tuple[str, Any]:
            name = line.word("a field's name")
            line.take("=")
            return name, self._value(line)

        pairs = line.items(attribute)
        line.take("}")
        if len(dict(pairs)) != len(pairs):
            line.fail("a field is given twice", "give every field once")
        return dict(pairs)

    def _value(self, line: Line) -> Any:
        """One field's value; its form alone says of which type it is."""
        token = line.peek
        if token == "[":
            line.take("[")
            items = () if line.peek == "]" else line.items(lambda: self._value(line))
            line.take("]")
            return items
        if token.startswith('"'):
            return line.string()
        if token.startswith("@"):
            return self._constant(line)
        return _scalar(line.word("a value"))

    def _constant(self, line: Line) -> Constant:
        name = line.reference("@")
        if name not in self.constants:
            line.fail(f"no constant @{name}", nearest(name, self.constants))
        printed, constant = line.shaped(), self.constants[name]
        if printed != (constant.dtype, constant.shape):
            line.fail(
                f"@{name} is printed as another type than {constant}",
                "text and constants come from different graphs; write both again",
            )
        return constant

    def _known(self, line: Line) -> str:
        name = line.reference("%")
        if name not in self.types:
            line.fail(f"%{name} is not defined before this line", nearest(name, self.types))
        return name

    def _new(self, line: Line) -> str:
        name = line.reference("%")
        if name in self.types:
            line.fail(f"%{name} is defined twice", "give every value its own name")
        return name


def _scalar(word: str) -> Any:
    """`none`, `true`, `false`, an integer, a float (`2^-8`, `0.1`) or an IntType (`u8`)."""
    if word in _WORDS:
        return _WORDS[word]
    if re.fullmatch(r"[su]\d+", word):
        parse: Callable[[str], Any] = IntType.parse
    else:
        parse = int if re.fullmatch(r"-?\d+", word) else parse_scale
    try:
        return parse(word)
    except (ValueError, ArithmeticError) as error:
        raise GraphError(
            f"{word!r} is not a value", hint='values are 1, 0.5, 2^-8, true, none, u8, "text", [1, 2] and @constant'
        ) from error


def _build(op: type, attributes: Mapping[str, Any]) -> Operation:
    """The op with these fields, each checked against its annotation."""
    hints = typing.get_type_hints(op)
    fields = {f.name: f for f in dataclasses.fields(op)}
    for name, value in attributes.items():
        if name not in fields:
            raise GraphError(f"{op.__name__} has no field {name!r}", hint=nearest(name, fields))
        if not _fits(value, hints[name]):
            raise GraphError(f"field {name!r} cannot be {value}", hint=f"it is of type {fields[name].type}")
    required = (
        f.name for f in fields.values() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    )
    if missing := [name for name in required if name not in attributes]:
        raise GraphError(f"no field {', '.join(missing)}", hint=f"fields of {op.__name__}: {', '.join(fields)}")
    try:
        return cast(Operation, op(**attributes))
    except (TypeError, ValueError) as error:
        raise GraphError(str(error), hint="correct the field") from error


def _fits(value: Any, kind: Any) -> bool:
    """Whether a parsed value is of the annotated type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, choice) for choice in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        items = cast(tuple[Any, ...], value)
        kinds = (arguments[0],) * len(items) if arguments[-1] is Ellipsis else arguments
        return len(items) == len(kinds) and all(map(_fits, items, kinds))
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _infer(op: Operation, sources: list[TensorType]) -> TensorType:
    try:
        return op.infer(*sources)
    except GraphError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise GraphError(
            f"{op.name} cannot take {', '.join(map(str, sources))}: {error}", hint="correct the inputs or the fields"
        ) from error
