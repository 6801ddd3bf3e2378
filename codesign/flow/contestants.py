"""The all-software side of a benchmark: the same network in torch, ONNX Runtime and our own C++, a batch at a time."""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from codesign.errors import ModelError
from codesign.flow.experiment import Experiment
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.runtime.dispatch_host import StageHost
from codesign.runtime.dispatch_types import Decisions
from codesign.runtime.stages import MAKERS, Stages
from codesign.runtime.stopwatch import Array, Runner
from codesign.runtime.tails import CppTail

TORCH, ONNX, CPP = "torch eager", "ONNX Runtime", "C++"


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """One way to answer all frames in software. `exits`: frames stop early in it too, as they do in the cascade."""

    name: str
    exits: bool
    run: Runner


@contextmanager
def contestants(
    experiment: Experiment, stages: Stages, host: StageHost, thresholds: Sequence[float], *, tail: str, threads: int
) -> Generator[tuple[list[Contestant], list[str]]]:
    """Everybody who can take part here, and who cannot, in words."""
    with ExitStack() as stack:
        notes: list[str] = []
        found = [
            *_torch(experiment, stages, thresholds, threads, stack, notes),
            *_cpp(experiment, stages, host, thresholds, tail),
        ]
        yield found, notes


def _torch(
    experiment: Experiment,
    stages: Stages,
    thresholds: Sequence[float],
    threads: int,
    stack: ExitStack,
    notes: list[str],
) -> list[Contestant]:
    if not experiment.folder.weights.exists():
        notes.append("torch, ONNX Runtime: this run has a graph and no weights")
        return []
    from codesign.nn import software

    model = experiment.model
    stack.enter_context(software.eager(threads))
    found = [Contestant(TORCH, False, software.torch_runner(model))]
    if len(stages.units) == 2:
        stops = software.stops_by(stages.units[0].criterion, thresholds[0])
        try:
            cascade = software.torch_cascade(model, -2, stops)
            found.append(Contestant(TORCH, True, cascade))
        except ModelError as error:
            notes.append(f"torch with early exits: {error.what}")
    if missing := software.missing_for_onnx():
        notes.append(f"ONNX Runtime: not installed: {', '.join(missing)}")
    else:
        found.append(Contestant(ONNX, False, software.onnx_runner(model, experiment.splits.shape, threads)))
    return found


def _cpp(
    experiment: Experiment, stages: Stages, host: StageHost, thresholds: Sequence[float], tail: str
) -> list[Contestant]:
    graph = load_graph(experiment.folder.graph, OPS)
    whole = MAKERS[tail](graph, (graph.exits[-1].logits,))()
    name = CPP if isinstance(whole, CppTail) else "numpy"
    codes = [unit.threshold_code(value) for unit, value in zip(stages.units, thresholds, strict=False)]

    def answer(images_NHWC: Array) -> Decisions:
        return host.answer(images_NHWC, codes)

    return [Contestant(name, False, whole.run), Contestant(name, True, answer)]
