"""The cosim step: cocotb drives the RTL through its AXI ports under stress, every beat held against the golden model."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import ConfigError
from codesign.flow.csim import images_of
from codesign.flow.experiment import Experiment
from codesign.flow.hls import Design, load_design, need_hls
from codesign.flow.rtl import load_rtl_design, load_sources, need_rtl
from codesign.flow.widths import index_of
from codesign.verify.cosim import BenchReport, CosimReport, compile_target, cosimulate
from codesign.verify.cosim_build import SIMULATORS
from codesign.verify.cosim_case import Batch, Oracle, schedule
from codesign.verify.cosim_ports import Target, emitted, hls_export

FRAMES = 300  # through the bench that stalls every port
ICARUS_FRAMES = 2  # of which each takes seconds
POOL = 1000  # test frames to choose from, at most


@dataclass(frozen=True, slots=True)
class CosimOptions:
    """Which simulators (`verilator`, `icarus`, `both`), how many frames with stalls, a waveform to record, an HLS export to
    drive instead of the emitted RTL, the one width of all frames (random ones)."""

    simulator: str = "both"
    frames: int = FRAMES
    wave: str = ""
    hls_export: str = ""
    width: str = ""


def cosim(experiment: Experiment, options: CosimOptions | None = None) -> CosimReport:
    """The verdict of every bench. The sources are compiled as they lie in rtl/src, edited by hand or not.

    A waveform is that of a brief run in one simulator. Raises ToolError when a tool is missing or the design does not
    compile.
    """
    options = options or CosimOptions()
    simulators = _simulators(options)
    design, target, folder = _target(experiment, options.hls_export)
    width = index_of(tuple(view.width for view in design.widths), options.width) if options.width else None
    if options.frames < 1:
        raise ConfigError(f"{options.frames} frames are not to be had", where="--frames", hint="use 1 or more")
    count = min(max(options.frames, 16), POOL, len(experiment.splits.test.images))
    with experiment.locked():
        narrow = [view.head for view in design.widths[:-1]]
        oracle = Oracle(design.head, design.dataflow, images_of(experiment, count), narrow)
        benches: dict[str, BenchReport] = {}
        for simulator in simulators:
            experiment.say(f"cosim: compiling {target.design.top} for {simulator}")
            built = compile_target(simulator, target, design.dataflow, folder, wave=bool(options.wave))
            batches = _schedule(oracle, simulator, options, width)
            experiment.say(f"cosim: {len(batches)} benches in {built.tool}")
            wave = Path(options.wave) if options.wave else None
            benches |= cosimulate(built, target, oracle, batches, wave=wave)
        report = CosimReport(benches)
        if not options.wave:
            experiment.folder.update_metrics("cosim_hls" if options.hls_export else "cosim", report.to_json())
    return report


def _simulators(options: CosimOptions) -> Sequence[str]:
    if options.simulator not in (*SIMULATORS, "both"):
        what = f"{options.simulator!r} is no simulator"
        raise ConfigError(what, where="--simulator", hint=f"use {', '.join(SIMULATORS)} or both")
    if options.simulator != "both":
        return (options.simulator,)
    return SIMULATORS[:1] if options.wave else SIMULATORS


def _schedule(
    oracle: Oracle, simulator: str, options: CosimOptions, width: int | None
) -> Mapping[str, Sequence[Batch]]:
    brief = simulator == "icarus" or bool(options.wave)
    return schedule(oracle, min(options.frames, ICARUS_FRAMES) if brief else options.frames, brief=brief, width=width)


def _target(experiment: Experiment, export: str) -> tuple[Design, Target, Path]:
    """The design that the golden model knows, what is to be driven, and where simulations of it are kept."""
    folder = experiment.folder
    if not export:
        need_rtl(experiment)
        design = load_rtl_design(experiment)
        sources = load_sources(folder.rtl / "src", design.top)
        return design, emitted(sources, max(1, len(design.widths))), folder.rtl / "cosim"
    if not Path(export).is_dir():
        raise ConfigError("no such folder", where=f"--hls-export {export}", hint="name the solution of the HLS project")
    need_hls(experiment)
    design = load_design(experiment)
    return design, hls_export(Path(export), design.top), folder.hls / "cosim"
