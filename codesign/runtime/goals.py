"""What thresholds are chosen for: limits on accuracy, risk, speed, latency, energy and exit rate, and how fast the parts are."""

# Legend: E exits, J of them but the last; K operating points.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codesign.errors import ConfigError
from codesign.runtime.lines import Points

Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLACK = 1e-9  # relative, so that a limit that is met exactly is met


@dataclass(frozen=True, slots=True)
class Goals:
    """Limits; None is none. A drop and a risk are shares of 1, the throughput is in frames a second, the latency in
    microseconds on average, the energy in microjoules a frame."""

    max_accuracy_drop: float | None = None
    max_risk: float | None = None
    min_throughput: float | None = None
    max_latency: float | None = None
    max_energy: float | None = None
    min_exit_rate: float | None = None

    def __post_init__(self) -> None:
        given = self.given()
        if not given:
            raise ConfigError(
                "no goal to choose thresholds for", where="tune", hint="such as --max-accuracy-drop 0.001"
            )
        for name, value in given.items():
            most = 1.0 if name in ("max_accuracy_drop", "max_risk", "min_exit_rate") else np.inf
            if not 0 <= value <= most or value == np.inf:
                where = "--" + name.replace("_", "-")
                raise ConfigError(f"{value!r} is no limit", where=where, hint="use a share of 1" if most == 1 else "")

    def given(self) -> dict[str, float]:
        limits = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: float(value) for name, value in limits if value is not None}

    @property
    def for_speed(self) -> bool:
        """Whether the fastest thresholds within the limits are wanted; the most accurate ones otherwise."""
        return self.max_accuracy_drop is not None or self.max_risk is not None


class Prices(Protocol):
    """What limits are held against, for points that stop so many frames (K, E) at each stage."""

    def cost_s(self, stops_KE: npt.NDArray[np.int64]) -> Reals:
        """What is to be least."""
        ...

    def throughput(self, stops_KE: npt.NDArray[np.int64]) -> Reals: ...
    def latency_us(self, stops_KE: npt.NDArray[np.int64]) -> Reals: ...
    def energy_uj(self, stops_KE: npt.NDArray[np.int64]) -> Reals: ...


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the parts are: the accelerator in cycles, a worker's time for each exit behind it, J of them, in seconds.

    `host_s` is a frame's share of a batch, `alone_s` a frame on its own. `watts` are the board's: typical, low, high.
    """

    clock_hz: float
    interval_cycles: float
    latency_cycles: float
    host_s: tuple[float, ...]
    alone_s: tuple[float, ...]
    workers: int = 1
    watts: tuple[float, float, float] | None = None

    def cost_s(self, stops_KE: npt.NDArray[np.int64]) -> Reals:
        """Host seconds a frame."""
        return reach(stops_KE) @ np.asarray(self.host_s)

    def frame_s(self, stops_KE: npt.NDArray[np.int64]) -> Reals:
        """Seconds a frame in a long run: whoever is slower sets the pace, the accelerator or the workers."""
        return np.maximum(self.interval_cycles / self.clock_hz, self.cost_s(stops_KE) / self.workers)

    def throughput(self, stops_KE: npt.NDArray[np.int64]) -> Reals:
        return 1 / self.frame_s(stops_KE)

    def latency_us(self, stops_KE: npt.NDArray[np.int64]) -> Reals:
        """Mean latency of frames that come one at a time."""
        return 1e6 * (self.latency_cycles / self.clock_hz + reach(stops_KE) @ np.asarray(self.alone_s))

    def energy_uj(self, stops_KE: npt.NDArray[np.int64], which: int = 0) -> Reals:
        """The board's energy a frame at full throughput; `which` of its figures: typical, low, high."""
        if self.watts is None:
            raise ConfigError(
                "no power is known for this board", where="energy", hint="give its watts with --board-watts"
            )
        return 1e6 * self.watts[which] * self.frame_s(stops_KE)

    def break_even(self) -> float:
        """The exit rate above which the accelerator sets the pace, when all other frames take the first tail alone."""
        return max(0.0, 1 - self.workers * self.interval_cycles / self.clock_hz / max(self.host_s[0], 1e-12))


def reach(stops_KE: npt.NDArray[np.int64]) -> Reals:
    """(K, J): the share of frames that come to each exit behind the first."""
    shares_KE = stops_KE / stops_KE.sum(axis=1, keepdims=True)
    return 1 - np.cumsum(shares_KE, axis=1)[:, :-1]


def exit_rate(stops_KE: npt.NDArray[np.int64]) -> Reals:
    """The share of frames that stop before the last exit."""
    return stops_KE[:, :-1].sum(axis=1) / stops_KE.sum(axis=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The goals as counts and figures that points are held against; `best_loss` is the most that exiting gains."""

    goals: Goals
    speed: Prices
    final_right: int
    best_loss: int
    spoil_budget: int

    def meets(self, points: Points) -> Bools:
        """Which points are within every limit."""
        held_K = np.ones(len(points), bool)
        for name in self.goals.given():
            held_K = np.logical_and(held_K, self.held(points, name))
        return held_K

    def held(self, points: Points, name: str) -> Bools:
        """Which points are within one limit."""
        limit, stops_KE = self.goals.given()[name], points.stops_KE
        if name == "max_accuracy_drop":
            # Half of what exiting gains at best is held back, as `thresholds.choose` does.
            return self.final_right - points.right_K <= limit * stops_KE[0].sum() + min(self.best_loss, 0) / 2
        if name == "max_risk":
            return points.spoiled_KJ.max(axis=1) <= self.spoil_budget
        value_K = self.value(points, name)
        return value_K >= limit * (1 - SLACK) if name.startswith("min_") else value_K <= limit * (1 + SLACK)

    def value(self, points: Points, name: str) -> Reals:
        """What a goal limits, at every point."""
        of = {
            "min_throughput": self.speed.throughput,
            "max_latency": self.speed.latency_us,
            "max_energy": self.speed.energy_uj,
            "min_exit_rate": exit_rate,
        }
        return of[name](points.stops_KE)

    def best(self, points: Points) -> int | None:
        """The row of the best point within the limits; None where there is none."""
        rows_K = np.flatnonzero(self.meets(points))
        if not len(rows_K):
            return None
        within = points.take(rows_K)
        cost_K, wrong_K = self.speed.cost_s(within.stops_KE), -within.right_K
        keys: Sequence[Any] = (wrong_K, cost_K) if self.goals.for_speed else (cost_K, wrong_K)  # the last one rules
        return int(rows_K[np.lexsort(keys)[0]])
