"""Graph: a frozen list of named operations on integer tensors, with exits as first-class members."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, Protocol, runtime_checkable

from codesign.errors import GraphError
from codesign.ir.types import Codes, TensorType

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


@runtime_checkable
class Operation(Protocol):
    """What the graph needs of an op; `codesign.ops.base.Op` is the full contract."""

    name: ClassVar[str]

    def infer(self, *x: TensorType) -> TensorType: ...

    def golden(self, *x: Codes) -> Codes: ...


@dataclass(frozen=True, slots=True)
class GraphInput:
    """A value from outside: a stream of one tensor per frame, or a register read at the start of a batch."""

    name: str
    type: TensorType
    kind: Literal["stream", "register"] = "stream"


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; its result is the value of the same name."""

    name: str
    op: Operation
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """A place where a frame may stop: its name and the value that holds its logits."""

    name: str
    logits: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in topological order. Checked at birth: names, order, types, exits.

    `outputs` are the values that leave the graph; every exit's logits are among a full network's outputs.
    """

    name: str
    inputs: tuple[GraphInput, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    exits: tuple[ExitPoint, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name, "graph")
        for point in self.exits:
            _check_name(point.name, f"{self.name}.exits")
        known: set[str] = set()
        for value in (*self.inputs, *self.nodes):
            self._check_value(value, known)
            known.add(value.name)
        for name in (*self.outputs, *(e.logits for e in self.exits)):
            if name not in known:
                what = f"{name!r} is not a value of this graph"
                raise GraphError(what, where=self.name, hint="name a node or an input")
        _ = self.types  # raises GraphError where types do not fit

    def _check_value(self, value: GraphInput | Node, known: set[str]) -> None:
        _check_name(value.name, self.name)
        if value.name in known:
            what = f"the name {value.name!r} is used twice"
            raise GraphError(what, where=self.name, hint="give every value its own name")
        for source in value.inputs if isinstance(value, Node) else ():
            if source not in known:
                what = f"reads {source!r}, which is not defined before it"
                raise GraphError(what, where=f"{self.name}.{value.name}", hint="list nodes in topological order")

    @property
    def types(self) -> Mapping[str, TensorType]:
        """The type of every value, by name."""
        return _infer(self)

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise GraphError(
            f"no node is named {name!r}", where=self.name, hint=f"nodes: {', '.join(n.name for n in self.nodes)}"
        )

    def exit(self, name: str) -> ExitPoint:
        for point in self.exits:
            if point.name == name:
                return point
        raise GraphError(
            f"no exit is named {name!r}", where=self.name, hint=f"exits: {', '.join(e.name for e in self.exits)}"
        )

    def readers(self, value: str) -> tuple[Node, ...]:
        """The nodes that read `value`, in order."""
        return tuple(node for node in self.nodes if value in node.inputs)

    def ancestors(self, *values: str) -> frozenset[str]:
        """Every value that `values` depend on, themselves included."""
        needed = set(values)
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return frozenset(needed)

    def keep(self, needed: frozenset[str]) -> Iterator[Node]:
        return (node for node in self.nodes if node.name in needed)


def identifier(text: str) -> str:
    """The name most like `text` that a graph can have: `my run-2` becomes `my_run_2`."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return name if name and not name[0].isdigit() else f"n_{name}"


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise GraphError(f"{name!r} is not a name", where=where, hint="use letters, digits, _ and inner dots")


@lru_cache(maxsize=256)
def _infer(graph: Graph) -> Mapping[str, TensorType]:
    types = {value.name: value.type for value in graph.inputs}
    for node in graph.nodes:
        try:
            types[node.name] = node.op.infer(*(types[source] for source in node.inputs))
        except GraphError as error:
            raise GraphError(error.what, where=f"{graph.name}.{node.name}", hint=error.hint) from error
        except (TypeError, ValueError) as error:
            raise GraphError(
                str(error),
                where=f"{graph.name}.{node.name}",
                hint=f"inputs: {', '.join(str(types[s]) for s in node.inputs)}",
            ) from error
    return types
