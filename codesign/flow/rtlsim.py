"""The rtlsim step: the emitted SystemVerilog in Verilator, every word of every test frame against the golden model."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.console import bar
from codesign.flow.cascade import unit_of
from codesign.flow.csim import images_of
from codesign.flow.experiment import Experiment
from codesign.flow.hls import Design
from codesign.flow.kinds import frames_for
from codesign.flow.rtl import load_rtl_design, load_sources, need_rtl, rtl_info
from codesign.ir.types import Codes
from codesign.plan.exact import rtl_timing
from codesign.plan.ports import feature_word
from codesign.plan.timing import Timing
from codesign.verify.rtlsim import (
    BATCH_BYTES,
    Batch,
    RtlReport,
    Stalls,
    check_rtl,
    check_rtl_widths,
    compile_design,
    interval_of,
)
from codesign.verify.verilated import Library, Simulation
from codesign.verify.widths import Kind

MAX_BATCH = 65_535  # frame numbers have 16 bits
WAVE_FRAMES = 2  # in a waveform, unless more are asked for
TIMING_FRAMES = 16


@dataclass(frozen=True, slots=True)
class RtlOptions:
    """What to run: the first `frames` test frames (0: all), at another threshold, with ports that stall at random, with
    a waveform, with the timing view; of several widths (the widest) the one named, `random`, or stepping up to one."""

    frames: int = 0
    threshold: float | None = None
    stall: int = 0
    wave: str = ""
    timing: bool = False
    width: str = ""
    step_up: str = ""


def rtlsim(experiment: Experiment, options: RtlOptions | None = None) -> tuple[RtlReport, dict[str, Any]]:
    """The verdict on the test frames, and the timing view where it is asked for.

    The sources are compiled as they lie in rtl/src, edited by hand or not. Raises VerificationError when the design
    breaks its protocol or stops, and ToolError when it does not compile or there is no Verilator.
    """
    options = options or RtlOptions()
    need_rtl(experiment)
    design, info = load_rtl_design(experiment), rtl_info(experiment)
    code = int(info["operating"]["threshold_code"])
    if options.threshold is not None:
        code = unit_of(design.head).threshold_code(options.threshold)
    frames = options.frames or (WAVE_FRAMES if options.wave else TIMING_FRAMES if options.timing else 0)
    image_NHWC = images_of(experiment, frames)
    chosen = frames_for(design, options.width, options.step_up, len(image_NHWC), experiment.config.seed)
    kinds_N = None if chosen is None else chosen.kinds_N
    image_NHWC = image_NHWC if chosen is None else image_NHWC[chosen.images_N]
    stalls = Stalls(options.stall, options.stall, options.stall)
    with experiment.locked():
        library = compile_run(experiment, design, wave=bool(options.wave), statistics=options.timing)
        experiment.say(f"rtlsim: {len(image_NHWC)} frames through {design.top} in {library.tool}")
        with Simulation(library) as simulation:
            if options.wave:
                simulation.trace(Path(options.wave))
            report = _run(experiment, design, simulation, image_NHWC, code, stalls, kinds_N)
            view = timing_view(design, simulation, len(image_NHWC)) if options.timing else {}
        if not options.stall and not options.wave:
            name = "_".join(filter(None, ("rtlsim", options.width, options.step_up and f"to_{options.step_up}")))
            experiment.folder.update_metrics(name, {**report.to_json(), "threshold_code": code})
    return report, view


def compile_run(experiment: Experiment, design: Design, *, wave: bool = False, statistics: bool = False) -> Library:
    """The simulation of the sources in the run folder."""
    folder = experiment.folder.rtl
    sources = load_sources(folder / "src", design.top)
    return compile_design(sources, design.dataflow, folder / "build", wave=wave, statistics=statistics)


def _run(
    experiment: Experiment,
    design: Design,
    simulation: Simulation,
    image_NHWC: Codes,
    code: int,
    stalls: Stalls,
    kinds_N: npt.NDArray[np.int64] | None,
) -> RtlReport:
    """All frames, in batches that fit the frame number and the memory."""
    word = feature_word(design.dataflow)
    size = max(1, min(MAX_BATCH, BATCH_BYTES * 8 // (word.bits * (word.beats + 1))))
    wrong, frames, exits, seconds, first = 0, 0, 0, 0.0, None
    cycles: list[Any] = []
    with bar("rtlsim", len(image_NHWC), show=experiment.progress) as advance:
        for start in range(0, len(image_NHWC), size):
            part_NHWC = image_NHWC[start : start + size]
            batch, (codes, bad, what) = _check(
                design,
                simulation,
                part_NHWC,
                code,
                stalls,
                None if kinds_N is None else kinds_N[start : start + size],
            )
            wrong, frames, exits, seconds = wrong + codes, frames + bad, exits + batch.exits, seconds + batch.seconds
            first = first or what
            cycles.append(batch.cycles_N)
            advance(len(part_NHWC))
    timing = _timing(design, kinds_N)
    return RtlReport(
        frames=len(image_NHWC),
        mismatched_codes=wrong,
        mismatched_frames=frames,
        interval_cycles=interval_of(cycles[0]),
        latency_cycles=int(cycles[0][0]) if len(cycles[0]) else 0,
        estimated_interval_cycles=timing.bound if timing else 0,
        estimated_latency_cycles=timing.latency_cycles if timing else 0,
        images_per_s=len(image_NHWC) / max(seconds, 1e-9),
        exits=exits,
        first_difference=first,
        tool=simulation.tool,
        step_up=_step_up(design, kinds_N, cycles[0]),
    )


def _check(
    design: Design,
    simulation: Simulation,
    image_NHWC: Codes,
    code: int,
    stalls: Stalls,
    kinds_N: npt.NDArray[np.int64] | None,
) -> tuple[Batch, tuple[int, int, str | None]]:
    if kinds_N is None:
        return check_rtl(design.head, design.dataflow, simulation, image_NHWC, code, stalls)
    kinds = [Kind(view.head, view.first) for view in design.kinds]
    return check_rtl_widths(kinds, design.dataflow, simulation, image_NHWC, kinds_N, code, stalls)


def _step_up(
    design: Design, kinds_N: npt.NDArray[np.int64] | None, cycles_N: npt.NDArray[np.int64]
) -> dict[str, Any] | None:
    """Of frames that all step up alike, behind the narrow run of each: what the step adds to a frame's cycles."""
    if kinds_N is None or len(kinds_N) < 8 or (kinds_N[1::2] != kinds_N[1]).any() or kinds_N[1] < len(design.widths):
        return None
    view = design.kinds[int(kinds_N[1])]
    narrow, wide = (rtl_timing(v.dataflow).bound for v in design.widths if v.width in (view.base, view.width))
    both = interval_of(cycles_N[1::2])
    return {"from": view.base, "to": view.width, "cycles": both - narrow, "difference": wide - narrow}


def _timing(design: Design, kinds_N: npt.NDArray[np.int64] | None) -> Timing | None:
    """What the schedule says of frames of one width; of several nothing is computed."""
    if kinds_N is None:
        return rtl_timing(design.dataflow)
    same = len(kinds_N) and (kinds_N == kinds_N[0]).all()
    return rtl_timing(design.widths[int(kinds_N[0])].dataflow) if same else None


def timing_view(design: Design, simulation: Simulation, frames: int) -> dict[str, Any]:
    """Which process is the bottleneck, what every process waits for, and how full every channel gets.

    Channels are as simulated, processes as computed; of one batch at full rate they are the same to the cycle.
    """
    flow = design.dataflow
    timing = rtl_timing(flow, min(frames, TIMING_FRAMES))
    counted = np.asarray(simulation.statistics())
    channels = [
        {
            "name": c.name,
            "depth": c.depth,
            "high_water": int(row[0]),
            "full_cycles": int(row[1]),
            "empty_cycles": int(row[2]),
        }
        for c, row in zip(flow.channels, counted, strict=True)
    ]
    processes = [
        {
            "name": p.name,
            "op": p.op.name,
            "cycles": p.cycles,
            "share": p.cycles / timing.bound,
            "wait": timing.processes[p.name].wait,
        }
        for p in flow.processes
    ]
    slowest = max(flow.processes, key=lambda p: p.cycles)
    port = flow.channel(flow.inputs[0])
    name = slowest.name if slowest.cycles >= port.beats else "s_axis_image"
    return {"bottleneck": name, "bound": timing.bound, "processes": processes, "channels": channels, "frames": frames}
