"""The tune step: thresholds for a goal, what can be promised of them, and the trade-off that they are a point of."""

# Legend: N frames; E exits, J of them but the last; K operating points.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.files import write_atomic, write_json
from codesign.flow.dispatch import load_stages, tune_key
from codesign.flow.experiment import Experiment
from codesign.flow.plan import need_plan
from codesign.flow.policy import tune_policy
from codesign.flow.quantize import load_answers
from codesign.flow.speed import CYCLES, speed_of
from codesign.runtime.curve import curve_csv, curve_svg
from codesign.runtime.goals import Goals, Speed, exit_rate
from codesign.runtime.lines import Points, Recorded, ease
from codesign.runtime.power import board_watts
from codesign.runtime.risk import promise
from codesign.runtime.stage_costs import Basis
from codesign.runtime.stages import Stages, host_maker
from codesign.runtime.tuning import tune as tune_thresholds


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """`tail_us` is a host's time for each exit behind the first, measured by default; `board_watts` the board's power,
    looked up by default.

    Of a slimmable run there are `stages` at most, the last being `reference` (empty: the widest final exit), and `least` says
    what the cheapest policy has least of.
    """

    delta: float = 0.05
    workers: int = 1
    tail: str = "auto"
    tail_us: float | None = None
    board_watts: float | None = None
    stages: int = 4
    reference: str = ""
    least: Basis = "cycles"


def tune(experiment: Experiment, goals: Goals, options: TuneOptions | None = None) -> dict[str, Any]:
    """The best thresholds within the goals on the calibration split, written to tune/ with the curve.

    Of a slimmable run, the best policy over widths and exits, written to policy.json.
    """
    options = options or TuneOptions()
    if experiment.config.slim.widths:
        return tune_policy(experiment, goals, options.delta, options.stages, options.reference, options.least)
    need_plan(experiment)
    stages = load_stages(experiment)
    make_host = host_maker(stages, options.tail)
    speed = speed_of(
        experiment,
        stages,
        make_host,
        workers=options.workers,
        tail_us=options.tail_us,
        board_w=options.board_watts,
    )
    recorded = recorded_of(stages, experiment, "calibration")
    tuned = tune_thresholds(recorded, goals, speed, options.delta)
    view = _View(stages, recorded, speed, options.delta)
    answer = {
        **{key: value for key, value in view.row(tuned.chosen, 0).items() if key != "epsilon"},
        "exits": list(stages.names[:-1]),
        "criterion": stages.units[0].criterion,
        "unit": stages.units[0].unit,
        "final_accuracy": recorded.final_right / recorded.frames,
        "guarantee": tuned.guarantee.to_json(),
        "goals": goals.given(),
        "chosen": "the fastest within the goals" if goals.for_speed else "the most accurate within the goals",
        "break_even_exit_rate": speed.break_even(),
        "key": tune_key(experiment),
        "source": source_of(experiment, options),
    }
    rows = [view.row(tuned.curve, k) for k in range(len(tuned.curve))]
    folder = experiment.folder.path / "tune"
    with experiment.locked():
        write_json(folder / "tune.json", answer)
        write_json(folder / "curve.json", {"delta": options.delta, "n": recorded.frames, "points": rows})
        write_atomic(folder / "curve.csv", curve_csv(rows))
        write_atomic(folder / "curve.svg", curve_svg(rows, answer))
    experiment.say(f"tune: {len(rows)} points of the trade-off in {folder}/curve.json, .csv and .svg")
    return {key: value for key, value in answer.items() if key != "key"}


def recorded_of(stages: Stages, experiment: Experiment, split: str) -> Recorded:
    """What every exit of the cascade says of a split's frames, from its recorded integer logits."""
    answers = load_answers(experiment.folder, split)
    said = [unit.evaluate(answers.codes_NC[name]) for name, unit in zip(stages.names, stages.units, strict=True)]
    above = stages.units[0].criterion == "margin"
    ease_JN = np.array([ease(codes_N, above=above) for _, codes_N in said[:-1]])
    return Recorded(ease_JN, np.array([classes_N == answers.labels_N for classes_N, _ in said]))


def source_of(experiment: Experiment, options: TuneOptions) -> dict[str, str]:
    """How every kind of figure was obtained."""
    watts = board_watts(experiment.config.plan.device, options.board_watts)
    return {
        "accuracy, rates": "exact integer model on the calibration split",
        "accelerator": CYCLES,
        "host": "measured on this machine" if options.tail_us is None else "given",
        "throughput, latency": "estimated: the slower of accelerator and host; frames that come one at a time",
        "energy": "no figure" if watts is None else f"estimated: board power times time; {watts.source}",
    }


@dataclass(frozen=True, slots=True)
class _View:
    """Operating points in a person's units."""

    stages: Stages
    recorded: Recorded
    speed: Speed
    delta: float

    def row(self, points: Points, k: int) -> dict[str, Any]:
        n, stops_KE = self.recorded.frames, points.stops_KE[k : k + 1]
        codes = self._codes(points.thresholds_KJ[k].tolist())
        units = self.stages.units[:-1]
        return {
            "thresholds": [unit.threshold_value(code) for unit, code in zip(units, codes, strict=True)],
            "threshold_codes": codes,
            "exit_rates": (stops_KE[0, :-1] / n).tolist(),
            "exit_rate": float(exit_rate(stops_KE)[0]),
            "accuracy": int(points.right_K[k]) / n,
            "accuracy_drop": (self.recorded.final_right - int(points.right_K[k])) / n,
            "epsilon": promise(points.spoiled(k), n, self.delta).epsilon,
            "throughput": float(self.speed.throughput(stops_KE)[0]),
            "latency_us": float(self.speed.latency_us(stops_KE)[0]),
            "energy_uj": None
            if self.speed.watts is None
            else [float(self.speed.energy_uj(stops_KE, which)[0]) for which in range(3)],
        }

    def _codes(self, thresholds_J: Sequence[int]) -> list[int]:
        """Register values."""
        above = self.stages.units[0].criterion == "margin"
        return [int(ease(np.asarray(t), above=above)) for t in thresholds_J]
