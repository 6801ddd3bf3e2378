"""The cascade at every combination of a few hundred thresholds, exactly: what the page's sliders look up."""

# Legend: N frames; E exits, J of them but the last; K steps of one slider; P points, the steps of all sliders combined.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from codesign.ops.exit_decision import ExitDecision
from codesign.report.records import Ints, Network
from codesign.runtime.lines import Recorded, ease, line
from codesign.runtime.risk import uniform_bound
from codesign.runtime.thresholds import MAX_CODE

POINTS = 4096  # in all
STEPS = 256  # of one slider
DIGITS = 8  # of a threshold, at most
DELTA = 0.05  # chance that a promise does not hold, unless tune was asked for another


@dataclass(frozen=True, slots=True)
class Axis:
    """One exit's slider, from "never stops" to "always". Of K steps: register values, the same in `unit`, and what is
    promised. `at` is the step of the run's own threshold."""

    exit: str
    unit: str
    codes: tuple[int, ...]
    labels: tuple[str, ...]
    epsilon: tuple[float, ...]
    at: int


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Counts on `frames` test frames: frames that stop at each exit (P, E), right answers (P,).

    Point p has the steps `np.unravel_index(p, shape)`. `right_at_last` answers of the last exit alone are right.
    """

    axes: tuple[Axis, ...]
    frames: int
    right_at_last: int
    stops_PE: Ints
    right_P: Ints
    delta: float
    calibration: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.codes) for axis in self.axes)

    @property
    def at(self) -> int:
        """The point of the run's own thresholds."""
        return int(np.ravel_multi_index([axis.at for axis in self.axes], self.shape))


def sweep(network: Network, delta: float = DELTA) -> Sweep:
    """Every exit's thresholds that matter most, in all combinations, with the run's own among them."""
    recorded, calibration = network.recorded(network.test), network.recorded(network.calibration)
    most = min(STEPS, int(POINTS ** (1 / recorded.early) + 1e-9))
    eases = [steps(ease_N, own, most) for ease_N, own in zip(recorded.ease_JN, network.eases, strict=True)]
    stops_PE, right_P = _table(recorded, eases)
    return Sweep(
        tuple(_axis(network, calibration, exit_, values, delta) for exit_, values in enumerate(eases)),
        recorded.frames,
        recorded.final_right,
        stops_PE,
        right_P,
        delta,
        calibration.frames,
    )


def steps(ease_N: Ints, own: int, most: int) -> Ints:
    """Thresholds on the ease at which another frame stops, denser towards all frames, and `own` among them."""
    stops_N = np.sort(ease_N[ease_N < MAX_CODE]) + 1  # beyond, no threshold reaches
    rates = 1 - (1 - np.linspace(0, 1, max(2, most - 2))) ** 2
    chosen = np.minimum((rates * len(stops_N)).astype(np.int64), len(stops_N) - 1)
    fixed = np.array([0, own], np.int64)
    return np.unique(np.concatenate([fixed, stops_N[chosen]]) if len(stops_N) else fixed)


def _table(recorded: Recorded, eases: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Counts at every combination, the first exit's thresholds slowest."""
    stops: list[Ints] = []
    right: list[Ints] = []
    for others in product(*eases[1:]):
        points = line(recorded, [0, *map(int, others)], 0)
        rows = np.searchsorted(points.thresholds_KJ[:, 0], eases[0], side="right") - 1
        stops.append(points.stops_KE[rows])
        right.append(points.right_K[rows])
    return np.stack(stops, axis=1).reshape(-1, recorded.early + 1), np.stack(right, axis=1).reshape(-1)


def _axis(network: Network, calibration: Recorded, exit_: int, eases: Ints, delta: float) -> Axis:
    unit = network.stages.units[exit_]
    codes = [int(code) for code in ease(eases, above=network.above)]
    spoiling_N = np.sort(calibration.ease_JN[exit_][calibration.spoils_JN[exit_]])
    spoiled_K = np.searchsorted(spoiling_N, eases)
    share = delta / calibration.early
    bounds = [
        uniform_bound(int(k), calibration.frames, share) if t else 0.0 for k, t in zip(spoiled_K, eases, strict=True)
    ]
    own = network.eases[exit_]
    return Axis(
        network.stages.names[exit_],
        unit.unit,
        tuple(codes),
        labels(unit, codes),
        tuple(bounds),
        int(np.searchsorted(eases, own)),
    )


def labels(unit: ExitDecision, codes: Sequence[int]) -> tuple[str, ...]:
    """Thresholds in the criterion's unit, all with the digits that tell them apart."""
    values = [unit.threshold_value(code) for code in codes]
    most = next((n for n in range(4, DIGITS) if len({f"{value:.{n}g}" for value in values}) == len(values)), DIGITS)
    return tuple(
        "never" if code == unit.never else f"{value:.{most}g}" for code, value in zip(codes, values, strict=True)
    )
