"""The operating point of a run: the exit unit, its threshold chosen on the calibration split, and what follows from it."""

# Legend: N frames; C classes.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.config import ExitConfig
from codesign.errors import ConfigError
from codesign.flow.quantize import Answers
from codesign.ir.graph import Graph
from codesign.ops.exit_decision import ExitDecision
from codesign.passes.split import Split, split
from codesign.runtime.thresholds import Curve, choose, sweep

Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MIN_THRESHOLD = 0.02  # the exit unit is precise down to here, and further when the config asks for less


@dataclass(frozen=True, slots=True, eq=False)
class Operating:
    """A threshold as the register's code and in the criterion's unit; `chosen` says where it comes from."""

    code: int
    value: float
    unit: str
    criterion: str
    exit: str
    chosen: str
    calibration: Curve

    def to_json(self) -> dict[str, Any]:
        point = self.calibration.at(self.code, above=self.criterion == "margin")
        return {
            "threshold": self.value,
            "threshold_code": self.code,
            "unit": self.unit,
            "criterion": self.criterion,
            "exit": self.exit,
            "chosen": self.chosen,
            "calibration": {
                "frames": self.calibration.frames,
                "exit_rate": point.exit_rate,
                "accuracy": point.accuracy,
                "final_accuracy": self.calibration.final_accuracy,
            },
        }


def split_for(graph: Graph, config: ExitConfig) -> Split:
    """The graph cut at the configured exit, with an exit unit that is precise at the configured threshold."""
    options: dict[str, float] = {}
    if config.criterion != "margin" and config.threshold >= 0:
        needed = config.threshold if config.criterion == "entropy" else 1 / max(config.threshold, 1e-9) - 1
        options["min_threshold"] = min(MIN_THRESHOLD, max(needed, 1e-6))
    return split(graph, config.split, criterion=config.criterion, **options)


def unit_of(head: Graph) -> ExitDecision:
    """The exit unit of a head."""
    op = head.node("decision").op
    assert isinstance(op, ExitDecision)
    return op


def operate(cut: Split, final: str, config: ExitConfig, calibration: Answers) -> Operating:
    """The operating point: the configured threshold, or the one that `choose` picks on the calibration split."""
    unit = unit_of(cut.head)
    curve = curve_of(unit, cut.exit.name, final, calibration)
    if config.threshold >= 0:
        code, chosen = unit.threshold_code(config.threshold), "config"
    else:
        code, chosen = choose(curve, config.max_accuracy_drop).threshold, "calibration split"
    value = config.threshold if config.threshold >= 0 else unit.threshold_value(code)
    return Operating(code, value, unit.unit, unit.criterion, cut.exit.name, chosen, curve)


def curve_of(unit: ExitDecision, exit_name: str, final: str, answers: Answers) -> Curve:
    """The cascade of one exit and the final one at every threshold, on integer codes."""
    classes_N, codes_N = unit.evaluate(answers.codes_NC[exit_name])
    final_N = answers.codes_NC[final].argmax(axis=1) == answers.labels_N
    return sweep(codes_N, classes_N == answers.labels_N, final_N, above=unit.criterion == "margin")


def exits_in_float(criterion: str, logits_NC: npt.ArrayLike, threshold: float) -> Bools:
    """Which frames exit by float64 arithmetic on real logits; what the integer unit approximates from the safe side."""
    distances_NC = _distances(np.asarray(logits_NC, dtype=np.float64))
    if criterion == "margin":
        return np.partition(distances_NC, 1, axis=1)[:, 1] > threshold
    if criterion == "max-probability":
        return 1 / np.exp(-distances_NC).sum(axis=1) > threshold
    return entropy(distances_NC) < threshold


def entropy(distances_NC: Reals) -> Reals:
    """The entropy in nats of softmax(-distances), one distance of every frame being 0: ln S + U / S."""
    e_NC = np.exp(-distances_NC)
    sum_N = e_NC.sum(axis=1)
    return np.log(sum_N) + (e_NC * distances_NC).sum(axis=1) / sum_N


def _distances(logits_NC: Reals) -> Reals:
    if logits_NC.ndim != 2 or logits_NC.shape[1] < 2:
        raise ConfigError(f"logits of shape {logits_NC.shape} cannot decide", where="exit", hint="two classes at least")
    return logits_NC.max(axis=1, keepdims=True) - logits_NC
