"""split: one network cut at an exit into the head that goes into hardware and the tail that the host runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.errors import GraphError
from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node
from codesign.ir.types import TensorType
from codesign.ops.conditional_buffer import ConditionalBuffer
from codesign.ops.exit_decision import THRESHOLD_TYPE, ExitDecision


@dataclass(frozen=True, slots=True)
class Split:
    """`head` decides and gives out the feature map of frames that go on; `tail` takes that map to the later exits."""

    head: Graph  # outputs "decision" and "features", a register input "threshold"
    tail: Graph  # one stream input "feature"
    feature: str  # the value of the head that the tail starts from
    exit: ExitPoint


def split(graph: Graph, exit_name: str = "", *, criterion: str = "entropy", **options: Any) -> Split:
    """The graph cut at an exit, the first by default; `options` go to the exit decision.

    Exits before the named one are dropped, later ones stay in the tail:

        %a = conv(%image)                  head:  %a = conv(%image)
        %logits = dense(%a)                       %logits = dense(%a)
        %b = conv(%a)                             %decision = exit_decision(%logits, %threshold)
        %final = dense(%b)                        %features = conditional_buffer(%a, %decision)
        exit first %logits                 tail:  %b = conv(%feature)
        exit last %final                          %final = dense(%b)

    Raises GraphError for an unknown exit, the last exit, and a cut that more than one value crosses.
    """
    point, later = _exits(graph, exit_name)
    head_values = graph.ancestors(point.logits)
    tail_values = graph.ancestors(*(exit_.logits for exit_ in later)) - head_values
    feature = _feature(graph, point, head_values, tail_values, later)
    head = _head(
        graph,
        point,
        feature,
        head_values,
        ExitDecision.for_logits(graph.types[point.logits], criterion=criterion, **options),
    )
    return Split(head, _tail(graph, feature, tail_values, later), feature, point)


def _exits(graph: Graph, exit_name: str) -> tuple[ExitPoint, tuple[ExitPoint, ...]]:
    """The exit to cut at and the exits behind it."""
    if not graph.exits:
        raise GraphError("the graph has no exits to split at", where=graph.name, hint="export a multi-exit network")
    point = graph.exit(exit_name) if exit_name else graph.exits[0]
    position = graph.exits.index(point)
    if position == len(graph.exits) - 1:
        earlier = ", ".join(e.name for e in graph.exits[:position])
        hint = f"split at one of {earlier}" if earlier else "add an early exit to the network"
        raise GraphError(
            f"{point.name!r} is the last exit, so nothing is left for the host", where=graph.name, hint=hint
        )
    return point, graph.exits[position + 1 :]


def _feature(
    graph: Graph, point: ExitPoint, head: frozenset[str], tail: frozenset[str], later: tuple[ExitPoint, ...]
) -> str:
    """The one value that crosses the cut. Registers do not cross: both sides have their own."""
    read = {source for node in graph.keep(tail) for source in node.inputs} | {exit_.logits for exit_ in later}
    registers = {value.name for value in graph.inputs if value.kind == "register"}
    crossing = [name for name in graph.types if name in read & head - registers]
    if len(crossing) == 1:
        return crossing[0]
    if not crossing:
        raise GraphError(
            f"the layers after exit {point.name!r} read nothing of the layers before it",
            where=graph.name,
            hint="share the first layers between the exits",
        )
    raise GraphError(
        f"{len(crossing)} values cross the cut at exit {point.name!r}: {', '.join(crossing)}",
        where=graph.name,
        hint="branch after the block's add, where one value holds everything the later layers need",
    )


def _head(graph: Graph, point: ExitPoint, feature: str, needed: frozenset[str], decision: ExitDecision) -> Graph:
    nodes = (
        *graph.keep(needed),
        Node("decision", decision, (point.logits, "threshold")),
        Node("features", ConditionalBuffer(), (feature, "decision")),
    )
    threshold = GraphInput("threshold", TensorType((1, 1, 1), THRESHOLD_TYPE), "register")
    inputs = (*(value for value in graph.inputs if value.name in needed), threshold)
    return Graph(f"{graph.name}_head", inputs, nodes, ("decision", "features"), (point,))


def _tail(graph: Graph, feature: str, needed: frozenset[str], later: tuple[ExitPoint, ...]) -> Graph:
    def renamed(name: str) -> str:
        return "feature" if name == feature else name

    nodes = tuple(Node(node.name, node.op, tuple(map(renamed, node.inputs))) for node in graph.keep(needed))
    read = {source for node in nodes for source in node.inputs}
    registers = (value for value in graph.inputs if value.kind == "register" and value.name in read)
    exits = tuple(ExitPoint(exit_.name, renamed(exit_.logits)) for exit_ in later)
    outputs = tuple(dict.fromkeys(exit_.logits for exit_ in exits))
    return Graph(f"{graph.name}_tail", (GraphInput("feature", graph.types[feature]), *registers), nodes, outputs, exits)
