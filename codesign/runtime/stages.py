"""A network cut into stages at every exit, software for each, and the exit units between them. Not for boards."""

# Legend: N frames; C classes or channels; H, W rows, columns.
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codesign.errors import ConfigError, GraphError, nearest
from codesign.ir.graph import Graph
from codesign.ir.types import Codes
from codesign.ops.exit_decision import ExitDecision
from codesign.passes.split import Split, split
from codesign.runtime.dispatch_check import Expect
from codesign.runtime.dispatch_host import StageHost
from codesign.runtime.tails import Tail, cpp_tails, numpy_tails, tails

MAKERS = {"auto": tails, "cpp": cpp_tails, "numpy": numpy_tails}  # auto: C++ where there is a compiler


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

    @property
    def outputs(self) -> tuple[str, ...]:
        """What its software computes, logits last."""
        return (self.logits,) if self.feature in ("", self.source) else (self.feature, self.logits)


@dataclass(frozen=True, slots=True)
class Stages:
    """Stages in order, the first being the head; the unit and the name of every exit."""

    stages: tuple[Stage, ...]
    units: tuple[ExitDecision, ...]
    names: tuple[str, ...]

    @property
    def head(self) -> Stage:
        return self.stages[0]

    def expect(self) -> Expect:
        """What a transfer of the head must look like."""
        feature = self.head.graph.types[self.head.feature]
        return Expect(feature.shape, feature.dtype.min, feature.dtype.max, self.units[0].classes, self.units[0])


class SoftwareStep:
    """A stage that is not the last, in software."""

    def __init__(self, stage: Stage, tail: Tail) -> None:
        self._stage, self._tail = stage, tail

    def run(self, features_NHWC: Codes) -> tuple[Codes, Codes]:
        values = self._tail.values(features_NHWC)
        logits_NC = values[self._stage.logits].reshape(len(features_NHWC), -1)
        return logits_NC, values.get(self._stage.feature, features_NHWC)


def stages_of(cut: Split, min_threshold: float) -> Stages:
    """The stages of a network that is cut at the exit in hardware; later exits decide by the same criterion."""
    unit = cut.head.node("decision").op
    assert isinstance(unit, ExitDecision)
    stages = [Stage(cut.head, _stream(cut.head), cut.exit.logits, cut.feature)]
    rest = cut.tail
    for point in cut.tail.exits[:-1]:
        stage, rest = _cut(rest, point.name)
        stages.append(stage)
    stages.append(Stage(rest, _stream(rest), rest.exits[-1].logits))
    later = (stage.graph.types[stage.logits] for stage in stages[1:])
    units = (unit, *(ExitDecision.for_logits(logits, unit.criterion, min_threshold) for logits in later))
    return Stages(tuple(stages), units, (cut.exit.name, *(point.name for point in cut.tail.exits)))


def host_maker(stages: Stages, kind: str = "auto") -> Callable[[], StageHost]:
    """Makes workers' software, each call one with its own memory: "cpp", "numpy", or "auto" for the faster there is."""
    if kind not in MAKERS:
        raise ConfigError(f"no tail is named {kind!r}", where="--tail", hint=nearest(kind, MAKERS))
    makers = [MAKERS[kind](stage.graph, stage.outputs) for stage in stages.stages]

    def make() -> StageHost:
        steps = [SoftwareStep(stage, make_tail()) for stage, make_tail in zip(stages.stages, makers[:-1], strict=False)]
        return StageHost(steps, makers[-1](), stages.units)

    return make


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
