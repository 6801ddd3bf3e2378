"""The bench step: the same frames all in software, and as a cascade, in one run.

Software is timed on this machine. The cascade is the real dispatcher with real tails, packing and unpacking the bus words
of every frame; only the device is not there: a batch takes it the design's exact cycles at its clock, in which the
processor is free for the tails. So the cascade's rate is measured wall-clock time around a simulated device. It leaves out
the driver's own time for a transfer, which only a board can show.
"""

# Legend: N frames; C classes or channels; H, W rows, columns.
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.devices import load_device
from codesign.errors import VerificationError
from codesign.flow.contestants import CPP, ONNX, TORCH, Contestant, contestants
from codesign.flow.csim import images_of
from codesign.flow.dispatch import load_stages, thresholds_of
from codesign.flow.experiment import Experiment
from codesign.flow.hls import Design
from codesign.flow.plan import need_plan
from codesign.flow.quantize import load_answers
from codesign.flow.rtl import load_rtl_design
from codesign.flow.speed import CYCLES, JOB, pace_of, stage_seconds
from codesign.runtime.dispatch import Dispatcher
from codesign.runtime.dispatch_host import StageHost
from codesign.runtime.dispatch_ledger import Rules
from codesign.runtime.dispatch_types import Decisions
from codesign.runtime.paced import Pace, PacedAccelerator
from codesign.runtime.power import board_watts
from codesign.runtime.replay import Replay, best, percentiles, replay
from codesign.runtime.stages import Stages, host_maker
from codesign.runtime.stopwatch import Array, Rate, Window, rate, window

CHUNK = 1000  # frames whose maps are computed at a time
SINGLE_S = 0.3  # of the cascade with frames one at a time


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The first `frames` test frames (0: all), in batches of `batch` for the cascade and of each of `batches` for software;
    every contestant gets `windows` turns of `seconds`. `clock_mhz` stands for the plan's."""

    frames: int = 0
    batch: int = 2048
    batches: tuple[int, ...] = (1, 64)
    seconds: float = 0.5
    windows: int = 5
    workers: int = 1
    threads: int = 1
    tail: str = "auto"
    clock_mhz: float | None = None
    board_watts: float | None = None
    host_watts: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """What everybody runs: the frames, what must come out of the cascade, and the parts of the cascade."""

    experiment: Experiment
    options: BenchOptions
    stages: Stages
    make_host: Callable[[], StageHost]
    images_NHWC: Array
    labels_N: Array
    thresholds: Sequence[float]
    expected: Decisions
    device: PacedAccelerator
    pace: Pace
    design: Design


def bench(experiment: Experiment, options: BenchOptions | None = None) -> dict[str, Any]:
    """Section `bench` of the metrics: throughput, latency, energy and ratios. Raises VerificationError for a wrong answer."""
    options = options or BenchOptions()
    need_plan(experiment)
    course, chosen = _course(experiment, options)
    experiment.say(f"bench: {len(course.images_NHWC)} frames, thresholds from the {chosen}")
    host = course.make_host()
    with contestants(
        experiment, course.stages, host, course.thresholds, tail=options.tail, threads=options.threads
    ) as (found, notes):
        windows, replays, singles = _measure(course, found)
    rates = {key: rate(parts) for key, parts in windows.items()}
    answer = {**_cascade(course, replays, singles, chosen), **_ratios(rates, best(replays)[0].images_per_s)}
    answer |= {"model": _model(course, host, answer), "software": _rows(rates, best(replays)[0]), "notes": notes}
    answer |= {"energy_uj": _energy(course, rates, best(replays)[0]), "source": SOURCES}
    with experiment.locked():
        experiment.folder.update_metrics("bench", answer)
    return answer


SOURCES = {
    "software": "measured: wall clock on this machine, best of several windows that took turns with the others'",
    "cascade_images_per_s": "measured wall clock of dispatcher, tails, packing and unpacking on this machine; the device is "
    f"simulated: it takes each batch its exact cycles at the clock ({CYCLES}); a driver's time is left out",
    "accuracy, exit_rate": "the answers that came out of that run, each held against exact software",
    "model": "estimated: min(accelerator, workers / (share that goes on * tail)), the tail measured",
    "latency": "measured as above; known: the frame's answer is there; delivered: all before it are, too",
}

Key = tuple[Contestant, int]


def _course(experiment: Experiment, options: BenchOptions) -> tuple[_Course, str]:
    stages = load_stages(experiment)
    make_host = host_maker(stages, options.tail)
    images_NHWC = images_of(experiment, options.frames).astype(np.uint8)
    answers = load_answers(experiment.folder, "test")
    thresholds, chosen = thresholds_of(experiment, stages)
    design = load_rtl_design(experiment)
    host, pace = make_host(), pace_of(design, options.clock_mhz)
    parts = [host.stage(0, images_NHWC[i : i + CHUNK]) for i in range(0, len(images_NHWC), CHUNK)]
    logits_NC, features_NHWC = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not np.array_equal(logits_NC, answers.codes_NC[stages.names[0]][: len(images_NHWC)]):
        what = f"recorded logits of exit {stages.names[0]} differ from the graph's"
        raise VerificationError(what, where="bench", hint="run `codesign quantize --force`")
    device = PacedAccelerator(images_NHWC, logits_NC, features_NHWC, stages.units[0], design.dataflow, pace)
    codes = [unit.threshold_code(value) for unit, value in zip(stages.units, thresholds, strict=False)]
    expected = host.answer(images_NHWC, codes)
    labels_N = answers.labels_N[: len(images_NHWC)]
    course = _Course(
        experiment, options, stages, make_host, images_NHWC, labels_N, thresholds, expected, device, pace, design
    )
    return course, chosen


def _measure(
    course: _Course, found: Sequence[Contestant]
) -> tuple[dict[Key, list[Window]], list[Replay], list[Replay]]:
    """Windows of everybody, taken in turns so that what else the machine does hits all alike."""
    options, images_NHWC = course.options, course.images_NHWC
    windows: dict[Key, list[Window]] = {(each, batch): [] for each in found for batch in options.batches}
    replays, singles = list[Replay](), list[Replay]()
    for turn in range(options.windows):
        course.experiment.say(f"bench: turn {turn + 1} of {options.windows}")
        for (each, batch), parts in windows.items():
            parts.append(window(each.run, images_NHWC, min(batch, len(images_NHWC)), options.seconds))
        replays.append(_replay(course, options.batch, options.seconds, Rules(workers=options.workers)))
        singles.append(_replay(course, 1, SINGLE_S, Rules(workers=1, window=1)))
    return windows, replays, singles


def _replay(course: _Course, batch: int, seconds: float, rules: Rules) -> Replay:
    """One stretch of the cascade, with a dispatcher of its own."""
    cascade = Dispatcher(
        course.device, course.make_host, course.stages.expect(), course.stages.units, course.thresholds, rules
    )
    with cascade:
        done = replay(cascade, course.device, course.images_NHWC, course.expected, batch=batch, seconds=seconds)
        if cascade.events or done.wrong:
            first = str(cascade.events[0]) if cascade.events else "an answer differs from exact software"
            raise VerificationError(f"{done.wrong} wrong answers; {first}", where="bench", hint="report this as a bug")
    return done


def _cascade(course: _Course, replays: list[Replay], singles: list[Replay], chosen: str) -> dict[str, Any]:
    cascade, fastest = best(replays)
    _, single = best(singles)
    right = int((course.expected.class_N == course.labels_N).sum())
    final_N = load_answers(course.experiment.folder, "test").codes_NC[course.stages.names[-1]].argmax(axis=1)
    final_right, frames = int((final_N[: len(course.labels_N)] == course.labels_N).sum()), len(course.labels_N)
    early = int((course.expected.exit_N < len(course.stages.units) - 1).sum())
    pace = course.pace
    return {
        "cascade_images_per_s": round(cascade.images_per_s, 1),
        "accelerator_images_per_s": round(pace.clock_hz / pace.interval_cycles, 1),
        "accuracy": right / frames,
        "final_accuracy": final_right / frames,
        "accuracy_drop": (final_right - right) / frames,
        "exit_rate": early / frames,
        "frames": frames,
        "thresholds": list(course.thresholds),
        "thresholds_from": chosen,
        "clock_mhz": pace.clock_hz / 1e6,
        "interval_cycles": pace.interval_cycles,
        "latency_cycles": pace.latency_cycles,
        "batch": course.options.batch,
        "workers": course.options.workers,
        "cascade": cascade.to_json(),
        "latency_us": {
            "known": percentiles(fastest.known_s_N),
            "delivered": percentiles(fastest.delivered_s_N),
            "one_at_a_time": percentiles(single.known_s_N),
        },
    }


def _ratios(rates: dict[Key, Rate], cascade: float) -> dict[str, Any]:
    """The cascade against each kind of software without early exits: frameworks at their best batch size, our C++ with one
    frame a call, as it is called for a frame that goes on; `_best` and `_batch1` have the other way for each."""
    answer: dict[str, Any] = {}
    for name, short in ((TORCH, "torch"), (ONNX, "onnx"), (CPP, "cpp")):
        speeds = {b: r.images_per_s for (each, b), r in rates.items() if each.name == name and not each.exits}
        fastest, single = max(speeds.values(), default=None), speeds.get(1)
        against, other, kind = (single, fastest, "best") if name == CPP else (fastest, single, "batch1")
        answer[f"{short}_images_per_s"] = None if against is None else round(against, 1)
        answer[f"ratio_{short}"] = None if against is None else round(cascade / against, 3)
        answer[f"ratio_{short}_{kind}"] = None if other is None else round(cascade / other, 3)
    return answer


def _rows(rates: dict[Key, Rate], cascade: Rate) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "early_exits": each.exits,
            "batch": batch,
            **measured.to_json(),
            "ratio": round(cascade.images_per_s / measured.images_per_s, 3),
        }
        for (each, batch), measured in rates.items()
    ]


def _model(course: _Course, host: StageHost, answer: dict[str, Any]) -> dict[str, float]:
    """What the two rates of the parts let one expect, and the exit rate at which they are equal."""
    tail_s = stage_seconds(host, course.stages, course.images_NHWC[: JOB * 8], JOB)[0]
    pace, workers = course.pace, course.options.workers
    accelerator = pace.clock_hz / pace.interval_cycles
    going_on = float((course.expected.exit_N > 0).mean())
    hosts = workers / (going_on * tail_s) if going_on else float("inf")
    return {
        "images_per_s": round(min(accelerator, hosts), 1),
        "tail_us": round(tail_s * 1e6, 3),
        "break_even_exit_rate": round(max(0.0, 1 - workers / (accelerator * tail_s)), 4),
    }


def _energy(course: _Course, rates: dict[Key, Rate], cascade: Rate) -> dict[str, Any]:
    """Microjoules a frame: of the board at its typical power, and of the host's processor where its watts are given."""
    options = course.options
    watts = board_watts(load_device(course.design.plan.device).name, options.board_watts)
    per_frame = 1e6 / cascade.images_per_s
    board = None if watts is None else [round(w * per_frame, 3) for w in (watts.typical, watts.low, watts.high)]
    answer: dict[str, Any] = {"board": board, "source": "no figure" if watts is None else f"estimated; {watts.source}"}
    if options.host_watts is not None:
        answer["host"] = round(options.host_watts * cascade.cpu_us_per_image, 3)
        for (each, batch), measured in rates.items():
            label = f"{each.name}{' with early exits' if each.exits else ''}, batch {batch}"
            answer[label] = round(options.host_watts * measured.cpu_us_per_image, 3)
    return answer
