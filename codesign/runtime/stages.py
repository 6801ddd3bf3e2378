"""A graph cut into stages at every exit, the golden model of each, and the exit units between them. Not for boards."""

# Legend: N frames; C classes or channels; H, W rows, columns.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codesign.errors import GraphError
from codesign.ir.graph import Graph
from codesign.ir.types import Codes
from codesign.ops.exit_decision import ExitDecision
from codesign.passes.split import Split, split
from codesign.runtime.dispatch_check import Expect
from codesign.runtime.dispatch_host import StageHost
from codesign.verify import golden


@dataclass(frozen=True, slots=True)
class Stage:
    """A piece of the network: takes value `source`, gives the logits of one exit and the value `feature` for the next.

    The last stage has no `feature`. Where the cut behind an exit is crossed by several values, `feature` is `source`: the
    next stage starts again from there.
    """

    graph: Graph
    source: str
    logits: str
    feature: str = ""


@dataclass(frozen=True, slots=True)
class Stages:
    """Stages in order, the first being the head; the unit and the name of every exit."""

    stages: tuple[Stage, ...]
    units: tuple[ExitDecision, ...]
    names: tuple[str, ...]

    def expect(self) -> Expect:
        """What a transfer of the head must look like."""
        head = self.stages[0]
        feature = head.graph.types[head.feature]
        return Expect(feature.shape, feature.dtype.min, feature.dtype.max, self.units[0].classes, self.units[0])


def stages_of(cut: Split, min_threshold: float = 0.02) -> Stages:
    """The stages of a network that is cut at the exit in hardware; later exits decide by the same criterion."""
    unit = cut.head.node("decision").op
    assert isinstance(unit, ExitDecision)
    stages = [Stage(cut.head, _stream(cut.head), cut.exit.logits, cut.feature)]
    units, rest = [unit], cut.tail
    for point in cut.tail.exits[:-1]:
        stage, rest = _cut(rest, point.name)
        stages.append(stage)
        units.append(_unit(stage, unit, min_threshold))
    stages.append(Stage(rest, _stream(rest), rest.exits[-1].logits))
    units.append(_unit(stages[-1], unit, min_threshold))
    return Stages(tuple(stages), tuple(units), (cut.exit.name, *(point.name for point in cut.tail.exits)))


class GoldenStep:
    """A stage in numpy; exact and slow."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def run(self, features_NHWC: Codes) -> tuple[Codes, Codes]:
        logits, feature = self._stage.logits, self._stage.feature
        inputs = {value.name: 0 if value.kind == "register" else features_NHWC for value in self._stage.graph.inputs}
        values = golden.run(self._stage.graph, inputs, keep=(logits, feature or logits))
        return values[logits].reshape(len(features_NHWC), -1), values[feature or logits]


class GoldenTail:
    """The last stage in numpy."""

    def __init__(self, stage: Stage) -> None:
        self._step = GoldenStep(stage)

    def run(self, features_NHWC: Codes) -> Codes:
        return self._step.run(features_NHWC)[0]


def golden_host(stages: Stages) -> StageHost:
    """A worker's own software: the golden model of every stage."""
    steps: Sequence[GoldenStep] = [GoldenStep(stage) for stage in stages.stages[:-1]]
    return StageHost(steps, GoldenTail(stages.stages[-1]), stages.units)


def _cut(graph: Graph, exit_name: str) -> tuple[Stage, Graph]:
    """The stage up to an exit, and the graph of what is left behind it."""
    try:
        cut = split(graph, exit_name)
    except GraphError:  # several values cross: the next stage starts from the same map again
        source, later = _stream(graph), graph.exits[graph.exits.index(graph.exit(exit_name)) + 1 :]
        rest = Graph(graph.name, graph.inputs, graph.nodes, tuple(dict.fromkeys(e.logits for e in later)), later)
        return Stage(graph, source, graph.exit(exit_name).logits, source), rest
    return Stage(cut.head, _stream(cut.head), cut.exit.logits, cut.feature), cut.tail


def _stream(graph: Graph) -> str:
    return next(value.name for value in graph.inputs if value.kind == "stream")


def _unit(stage: Stage, first: ExitDecision, min_threshold: float) -> ExitDecision:
    return ExitDecision.for_logits(stage.graph.types[stage.logits], first.criterion, min_threshold)
