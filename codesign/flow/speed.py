"""How fast the parts of a run's cascade are: the accelerator's exact cycles, and the host's stages, measured here."""

# Legend: N frames.
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from codesign.devices import load_device
from codesign.flow.experiment import Experiment
from codesign.flow.hls import Design
from codesign.flow.quantize import load_samples
from codesign.flow.rtl import load_rtl_design
from codesign.plan.exact import rtl_timing
from codesign.runtime.dispatch_host import StageHost
from codesign.runtime.goals import Speed
from codesign.runtime.paced import Pace
from codesign.runtime.power import board_watts
from codesign.runtime.stages import Stages
from codesign.runtime.stopwatch import Array, rate, window

TIMING_FRAMES = 6  # enough for the pipeline to fill and repeat
JOB = 32  # frames that a tail typically gets at a time
WINDOWS, WINDOW_S = 3, 0.1
CYCLES = "cycles computed from the schedule, the same that RTL simulation counts"


def pace_of(design: Design, clock_mhz: float | None = None) -> Pace:
    """The accelerator's time at the planned clock, or at another."""
    timing = rtl_timing(design.dataflow, TIMING_FRAMES)
    return Pace((clock_mhz or design.plan.clock_mhz) * 1e6, timing.bound, timing.latency_cycles)


def stage_seconds(host: StageHost, stages: Stages, images_NHWC: Array, batch: int) -> tuple[float, ...]:
    """Seconds a frame of every stage behind the head, its decision included, on batches of these frames' maps."""
    seconds: list[float] = []
    _, maps = host.stage(0, images_NHWC)
    for exit_ in range(1, len(stages.units)):
        run = _decided(host, stages, exit_)
        windows = [window(run, maps, min(batch, len(maps)), WINDOW_S) for _ in range(WINDOWS)]
        seconds.append(1 / rate(windows).images_per_s)
        _, maps = host.stage(exit_, maps)
    return tuple(seconds)


def _decided(host: StageHost, stages: Stages, exit_: int) -> Callable[[Array], object]:
    return lambda maps: stages.units[exit_].evaluate(host.stage(exit_, maps)[0])


def speed_of(
    experiment: Experiment,
    stages: Stages,
    make_host: Callable[[], StageHost],
    *,
    workers: int = 1,
    tail_us: float | None = None,
    board_w: float | None = None,
) -> Speed:
    """What a goal's limits are held against. `tail_us` and `board_w` stand for what is measured or looked up otherwise."""
    design = load_rtl_design(experiment)
    pace = pace_of(design)
    watts = board_watts(load_device(design.plan.device).name, board_w)
    if tail_us is None:
        images_NHWC = np.asarray(load_samples(experiment.folder))
        host_s, alone_s = (stage_seconds(make_host(), stages, images_NHWC, batch) for batch in (JOB, 1))
    else:
        host_s = alone_s = (tail_us * 1e-6,) * (len(stages.units) - 1)
    return Speed(
        pace.clock_hz,
        pace.interval_cycles,
        pace.latency_cycles,
        host_s,
        alone_s,
        workers,
        None if watts is None else (watts.typical, watts.low, watts.high),
    )
