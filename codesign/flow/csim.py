"""The csim step: the emitted sources, compiled and held code for code against the golden model on the test frames."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from codesign.console import bar
from codesign.errors import ConfigError
from codesign.files import read_json
from codesign.flow.cascade import unit_of
from codesign.flow.experiment import Experiment
from codesign.flow.hls import Design, load_design, need_hls
from codesign.flow.kinds import Indices, frames_for
from codesign.ir import Codes
from codesign.verify.builds import Types, compile_csim
from codesign.verify.csim import CsimReport, Widths, check

CHUNK_CODES = 1 << 24  # codes of the head's values compared at a time, which bounds the memory


def csim(
    experiment: Experiment,
    *,
    types: Types = "native",
    frames: int = 0,
    threads: bool = False,
    threshold: float | None = None,
    width: str = "",
    step_up: str = "",
) -> CsimReport:
    """The verdict on the first `frames` test frames (0: all) at the chosen threshold, or at another one; of several widths
    (the widest) at the one named, at `random` ones, or stepping up to one.

    The sources are compiled as they lie in hls/, edited by hand or not. Raises VerificationError when the design breaks
    its protocol or deadlocks, and ToolError when it does not compile.
    """
    need_hls(experiment)
    folder = experiment.folder
    design = load_design(experiment)
    code = int(read_json(folder.design)["operating"]["threshold_code"])
    if threshold is not None:
        code = unit_of(design.head).threshold_code(threshold)
    image_NHWC = images_of(experiment, frames)
    chosen = frames_for(design, width, step_up, len(image_NHWC), experiment.config.seed)
    widths = None if chosen is None else widths_of(design, chosen.kinds_N)
    image_NHWC = image_NHWC if chosen is None else image_NHWC[chosen.images_N]
    with experiment.locked():
        experiment.say(
            f"csim: {len(image_NHWC)} frames through {design.top}, {types} types{', threaded' if threads else ''}"
        )
        build = compile_csim(folder.hls, design.top, types=types, threads=threads)
        chunk = max(64, CHUNK_CODES // max(t.size for t in design.head.types.values()))
        parts = _parts(len(image_NHWC), chunk, None if widths is None else widths.now_N >= len(design.widths))
        with bar("csim", len(image_NHWC), show=experiment.progress) as advance:
            reports: list[CsimReport] = []
            for part in parts:
                part_NHWC = image_NHWC[part]
                own = None if widths is None else widths.of(part)
                report = check(design.head, design.dataflow, build, part_NHWC, code, widths=own)
                reports.append(shifted(report, part.start))
                advance(len(part_NHWC))
        report = together(reports)
        kind = "_".join(filter(None, (width, step_up and f"to_{step_up}")))
        name = f"csim_{types}{'_threads' if threads else ''}{kind and f'_{kind}'}"
        folder.update_metrics(name, {**report.to_json(), "threshold_code": code})
    return report


def _parts(frames: int, chunk: int, steps_N: npt.NDArray[np.bool_] | None) -> list[slice]:
    """All frames in parts of about `chunk`; a step up stays with the frame that it widens."""
    starts = np.arange(0, frames, chunk)
    if steps_N is not None:
        free_N = np.flatnonzero(~steps_N)
        starts = np.unique(free_N[np.searchsorted(free_N, starts, side="right") - 1])
    return [slice(int(a), int(b)) for a, b in pairwise((*starts.tolist(), frames))]


def widths_of(design: Design, kinds_N: Indices) -> Widths:
    """What C simulation must know of frames of these kinds."""
    narrow, steps = design.widths[:-1], design.steps
    return Widths(
        kinds_N,
        tuple(view.dataflow for view in narrow),
        tuple(view.head for view in narrow),
        tuple(view.dataflow for view in steps),
        tuple(view.first for view in steps),
    )


def shifted(report: CsimReport, start: int) -> CsimReport:
    """The report with its frames counted from the first frame of all."""
    first = report.first_difference
    return report if first is None else replace(report, first_difference=replace(first, frame=first.frame + start))


def together(reports: Iterable[CsimReport]) -> CsimReport:
    """One report on several sets of frames: counts and times added up, the first difference kept."""
    parts = list(reports)
    frames = sum(part.frames for part in parts)
    cpu_s = sum(part.frames / part.images_per_cpu_s for part in parts)
    return replace(
        parts[0],
        frames=frames,
        mismatched_frames=sum(part.mismatched_frames for part in parts),
        mismatched_codes=sum(part.mismatched_codes for part in parts),
        images_per_cpu_s=frames / cpu_s,
        first_difference=next((part.first_difference for part in parts if part.first_difference), None),
    )


def images_of(experiment: Experiment, frames: int) -> Codes:
    """The first `frames` test frames (0: all) as codes; raises ConfigError when there are not so many."""
    images = experiment.splits.test.images
    if not 0 <= frames <= len(images):
        raise ConfigError(
            f"{frames} frames are not to be had",
            where="--frames",
            hint=f"the test split has {len(images)}; 0 takes all",
        )
    return images[: frames or len(images)].astype("int64")
