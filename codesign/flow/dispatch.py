"""A run's cascade, ready to take frames: an accelerator by name, hosts with their tails, and the run's thresholds."""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager

from codesign.errors import ConfigError, nearest
from codesign.flow.cascade import MIN_THRESHOLD, split_for
from codesign.flow.experiment import Experiment
from codesign.flow.hls import load_design, need_hls, operating_of
from codesign.flow.quantize import need_graph
from codesign.flow.rtl import load_rtl_design, need_rtl
from codesign.flow.rtlsim import compile_run
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.runtime.accelerators import CsimAccelerator, GoldenAccelerator, RtlAccelerator
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
    criterion's unit, one for each exit but the last; by default the run's own, at later exits the same.

        with open_cascade(open_experiment("runs/default"), "rtl") as cascade:
            for answers in cascade.run(images):
                print(answers.class_N)
    """
    stages = load_stages(experiment)
    if thresholds is None:
        thresholds = [operating_of(experiment).value] * (len(stages.units) - 1)
    with ExitStack() as stack:
        device = _accelerator(experiment, stages, accelerator, stack)
        make_host = host_maker(stages, tail)
        yield stack.enter_context(
            Dispatcher(device, make_host, stages.expect(), stages.units, thresholds, rules, on_event=on_event)
        )


def _accelerator(experiment: Experiment, stages: Stages, name: str, stack: ExitStack) -> Accelerator | None:
    shape = stages.expect().shape
    if name == "software":
        return None
    if name == "golden":
        return GoldenAccelerator(stages.head)
    if name == "csim":
        need_hls(experiment)
        design = load_design(experiment)
        with experiment.locked():
            build = compile_csim(experiment.folder.hls, design.top)
        return CsimAccelerator(build, design.dataflow, shape)
    if name == "rtl":
        need_rtl(experiment)
        design = load_rtl_design(experiment)
        with experiment.locked():
            library = compile_run(experiment, design)
        return RtlAccelerator(stack.enter_context(Simulation(library)), design.dataflow, shape)
    raise ConfigError(f"no accelerator is named {name!r}", where="accelerator", hint=nearest(name, ACCELERATORS))
