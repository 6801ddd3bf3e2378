"""The self-checking testbench that vendor tools run, and its data files: golden frames, decisions and feature maps."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import codesign
from codesign.emit.templates import render
from codesign.ir.types import Codes
from codesign.ops.exit_decision import THRESHOLD_TYPE, ExitDecision
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import feature_word, image_word

Ints = npt.NDArray[np.int64]
DATA = ("batches.dat", "frames.dat", "results.dat", "features.dat")


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames `first` to `first + count - 1` sent in one call at one threshold code."""

    first: int
    count: int
    threshold: int


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the golden model says of every frame at one width: decision words, and maps (N, H, W, C) at the branch point."""

    dataflow: Dataflow
    decisions: Codes
    features: Codes


def emit_testbench(
    dataflow: Dataflow,
    *,
    top: str,
    image: Codes,
    decisions: Codes,
    features: Codes,
    threshold: int,
    narrow: Sequence[Answers] = (),
) -> dict[str, str]:
    """`tb/<top>_tb.cpp` and the files it reads: {path: text}.

    `image` is (N, H, W, C); `decisions` are the golden decision words of its frames; `features` is the golden map at the
    branch point, (N, H, W, C), of every frame, those that exit too: batches at other thresholds than `threshold` follow.
    With several widths these are the widest's, `narrow` has those of the others, narrow to wide, and every width gets its
    batches, the narrowest first.
    """
    assert len(image) == len(features) == decisions.size >= 1
    op = next(p.op for p in dataflow.processes if isinstance(p.op, ExitDecision))
    answers = (*narrow, Answers(dataflow, decisions, features))
    batches: list[list[int]] = []
    results: list[list[int]] = []
    for width, answer in enumerate(answers):
        _, classes_N, codes_N = op.unpack(answer.decisions.reshape(-1))
        own = _batches(op, codes_N, threshold)
        batches += [[b.first, b.count, b.threshold, *([width] if narrow else [])] for b in own]
        results += _results(op, own, classes_N, codes_N)
    source = render(
        "hls/tb.cpp.j2",
        top=top,
        version=codesign.__version__,
        image=image_word(dataflow),
        feature=feature_word(dataflow),
        feature_shape=features.shape[1:],
        maps=[(feature_word(answer.dataflow).beats, answer.features.shape[-1]) for answer in answers],
    )
    return {
        f"tb/{top}_tb.cpp": source,
        "tb/batches.dat": _lines(f"first frame, frames, threshold code{', width' if narrow else ''}", batches),
        "tb/results.dat": _lines("frame, class, exited, confidence code", results),
        "tb/frames.dat": _codes("image", image),
        "tb/features.dat": "".join(_codes("feature map", answer.features) for answer in answers),
    }


def _batches(op: ExitDecision, codes_N: Ints, threshold: int) -> list[Batch]:
    """All frames at the threshold, and where these all decide alike, at one that parts them; then one frame that goes on and
    one that exits, each alone: the shortest batches there are."""
    frames = len(codes_N)
    batches = [Batch(0, frames, threshold)]
    candidates = np.unique(codes_N)
    near = candidates[np.argsort(np.abs(np.arange(len(candidates)) - len(candidates) // 2), kind="stable")]
    if not _parts(op, codes_N, threshold):
        batches += [Batch(0, frames, int(t)) for t in near if _parts(op, codes_N, int(t))][:1]
    batches.append(Batch(frames - 1, 1, op.never))
    edges = (int(codes_N[0]) + 1, int(codes_N[0]) - 1)
    batches += [Batch(0, 1, t) for t in edges if 0 <= t <= THRESHOLD_TYPE.max and op.decide(codes_N[:1], t)[0]][:1]
    return batches


def _parts(op: ExitDecision, codes_N: Ints, threshold: int) -> bool:
    """Whether some frames exit at this threshold and some go on."""
    return 0 < int(op.decide(codes_N, threshold).sum()) < len(codes_N)


def _results(op: ExitDecision, batches: Iterable[Batch], classes_N: Ints, codes_N: Ints) -> Iterable[list[int]]:
    for batch in batches:
        exited_N = op.decide(codes_N, batch.threshold)
        for n in range(batch.first, batch.first + batch.count):
            yield [n, int(classes_N[n]), int(exited_N[n]), int(codes_N[n])]


def _lines(title: str, rows: Iterable[Iterable[int]]) -> str:
    return "\n".join([f"# {title}", *(" ".join(map(str, row)) for row in rows)]) + "\n"


def _codes(title: str, codes_NHWC: Codes) -> str:
    """One row of pixels a line."""
    rows = codes_NHWC.reshape(len(codes_NHWC), codes_NHWC.shape[1], -1)
    shape = "x".join(map(str, codes_NHWC.shape[1:]))
    return "".join(_lines(f"{title} of frame {n}, {shape}", frame.tolist()) for n, frame in enumerate(rows))
