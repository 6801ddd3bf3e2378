"""A run's cascade, ready to take frames: an accelerator by name, hosts with their tails, and the run's thresholds."""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager

from codesign.errors import ConfigError, nearest
from codesign.files import read_json
from codesign.flow.cascade import MIN_THRESHOLD, split_for
from codesign.flow.experiment import Experiment
from codesign.flow.hls import Design, load_design, need_hls, operating_of
from codesign.flow.quantize import answers_path, need_graph
from codesign.flow.records import file_hash
from codesign.flow.rtl import load_rtl_design, need_rtl
from codesign.flow.rtlsim import compile_run
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.runtime.accelerators import CsimAccelerator, Flows, GoldenAccelerator, RtlAccelerator, Simulated
from codesign.runtime.dispatch import Dispatcher
from codesign.runtime.dispatch_ledger import Rules
from codesign.runtime.dispatch_types import Accelerator, Event
from codesign.runtime.stages import Stages, host_maker, stages_of
from codesign.verify.builds import compile_csim
from codesign.verify.verilated import Simulation

ACCELERATORS = ("golden", "csim", "rtl", "software")


def load_stages(experiment: Experiment) -> Stages:
    """The run's network cut at every exit, from the one in hardware on."""
    need_graph(experiment)
    graph = load_graph(experiment.folder.graph, OPS)
    return stages_of(split_for(graph, experiment.config.exit), MIN_THRESHOLD)


def thresholds_of(experiment: Experiment, stages: Stages) -> tuple[list[float], str]:
    """The run's thresholds and where they come from: the last `codesign tune`, if it was of this network, or else the
    config or calibration split for the exit in hardware, and the same at every later exit."""
    path = experiment.folder.path / "tune" / "tune.json"
    if path.exists() and (tuned := read_json(path)).get("key") == tune_key(experiment):
        return [float(value) for value in tuned["thresholds"]], "codesign tune"
    operating = operating_of(experiment)
    return [operating.value] * (len(stages.units) - 1), operating.chosen


def tune_key(experiment: Experiment) -> str:
    """What thresholds belong to: the network, its answers, and how its exits decide."""
    graph, answers = file_hash(experiment.folder.graph), file_hash(answers_path(experiment.folder))
    return f"{graph} {answers} {experiment.config.exit.split} {experiment.config.exit.criterion}"


@contextmanager
def open_cascade(
    experiment: Experiment,
    accelerator: str = "golden",
    *,
    tail: str = "auto",
    thresholds: Sequence[float] | None = None,
    rules: Rules | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Generator[Dispatcher]:
    """The cascade of a run; whatever is missing is made first.

    `accelerator` is "golden", "csim", "rtl", or "software" for none; `tail` is "cpp", "numpy", or "auto". `thresholds` are in the
    criterion's unit, one for each exit but the last; by default the run's own (`thresholds_of`).

        with open_cascade(open_experiment("runs/default"), "rtl") as cascade:
            for answers in cascade.run(images):
                print(answers.class_N)
    """
    stages = load_stages(experiment)
    thresholds = thresholds_of(experiment, stages)[0] if thresholds is None else thresholds
    with ExitStack() as stack:
        device = _accelerator(experiment, stages, accelerator, stack)
        make_host = host_maker(stages, tail)
        yield stack.enter_context(
            Dispatcher(device, make_host, stages.expect(), stages.units, thresholds, rules, on_event=on_event)
        )


def _accelerator(experiment: Experiment, stages: Stages, name: str, stack: ExitStack) -> Accelerator | None:
    if name == "golden":
        return GoldenAccelerator(stages.head)
    return simulated(experiment, stages.expect().shape, name, stack)


def simulated(experiment: Experiment, shape: tuple[int, int, int], name: str, stack: ExitStack) -> Simulated | None:
    """The emitted design, in C or RTL simulation, which give maps of `shape` at the widest; None for "software"."""
    if name == "software":
        return None
    if name == "csim":
        need_hls(experiment)
        design = load_design(experiment)
        with experiment.locked():
            build = compile_csim(experiment.folder.hls, design.top)
        return CsimAccelerator(build, design.dataflow, shape, _flows(design))
    if name == "rtl":
        need_rtl(experiment)
        design = load_rtl_design(experiment)
        with experiment.locked():
            library = compile_run(experiment, design)
        return RtlAccelerator(stack.enter_context(Simulation(library)), design.dataflow, shape, _flows(design))
    raise ConfigError(f"no accelerator is named {name!r}", where="accelerator", hint=nearest(name, ACCELERATORS))


def _flows(design: Design) -> Flows | None:
    if not design.widths:
        return None
    return Flows({view.width: view.dataflow for view in design.widths}, tuple(view.dataflow for view in design.steps))
