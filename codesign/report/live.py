"""What the page's script knows: for every point of the sliders the figures that it shows, ready to look up."""

# Legend: E exits; P points, the steps of all sliders combined.
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.report.costs import Costs
from codesign.report.figures import Kind, digits_for, number
from codesign.report.sweep import Sweep
from codesign.runtime.goals import Speed, exit_rate

Reals = npt.NDArray[np.float64]
ROWS = 13  # of the table that stands in for the slider


@dataclass(frozen=True, slots=True)
class Series:
    """One figure at every point, in its unit, with its band where it has one. `chart` says whether it is drawn."""

    key: str
    label: str
    unit: str
    digits: int
    kind: Kind
    source: str
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    chart: bool = False

    def text(self, point: int) -> str:
        """The figure as the page writes it."""
        return number(self.values[point], self.digits)


def series(sweep: Sweep, costs: Costs, exits: tuple[str, ...]) -> tuple[Series, ...]:
    """Accuracy, exit rates and the promise from counted frames; speed and energy where the host's time is known."""
    speed = () if costs.speed is None else _speed(sweep, costs, costs.speed)
    return (*_counted(sweep, exits), *speed)


def _counted(sweep: Sweep, exits: tuple[str, ...]) -> Iterable[Series]:
    frames, by = sweep.frames, f"exact integer network on {number(sweep.frames)} test frames"
    accuracy_P = 100 * sweep.right_P / frames
    yield _series("accuracy", "Accuracy", "%", 2, "counted", by, accuracy_P, chart=True)
    drop_P = 100 * (sweep.right_at_last - sweep.right_P) / frames
    yield _series("drop", "Lost against the last exit", "points", 2, "counted", by, drop_P)
    yield _series(
        "exit_rate", "Frames that stop early", "%", 2, "counted", by, 100 * exit_rate(sweep.stops_PE), chart=True
    )
    for exit_, name in enumerate(exits):
        yield _series(
            f"stops_{exit_}", f"Stop at {name}", "%", 2, "counted", by, 100 * sweep.stops_PE[:, exit_] / frames
        )
    epsilons = np.meshgrid(*(np.array(axis.epsilon) for axis in sweep.axes), indexing="ij")
    promised_P = np.minimum(1.0, sum(epsilons, np.zeros(sweep.shape))).reshape(-1)
    bound = f"proven from {number(sweep.calibration)} calibration frames, for all thresholds at once"
    yield _series("promise", "Spoiled at most", "%", 2, "counted", bound, 100 * promised_P)


def _speed(sweep: Sweep, costs: Costs, speed: Speed) -> Iterable[Series]:
    host = costs.host.source if costs.host else ""
    by = f"cycles of the accelerator at its clock; the host's time {host}"
    latency_P, throughput_P = speed.latency_us(sweep.stops_PE), speed.throughput(sweep.stops_PE)
    yield _series(
        "latency_us",
        "Mean latency",
        "µs",
        digits_for(latency_P.max()),
        "estimated",
        f"{by}; frames that come one at a time",
        latency_P,
        chart=True,
    )
    yield _series(
        "throughput", "Throughput", "frames/s", 0, "estimated", f"the slower of both: {by}", throughput_P, chart=True
    )
    band = [speed.energy_uj(sweep.stops_PE, which) for which in range(3)]
    digits = digits_for(band[2].max())
    yield _series("energy_uj", "Energy a frame", "µJ", digits, "estimated", costs.power_source, *band, chart=True)


def _series(
    key: str,
    label: str,
    unit: str,
    digits: int,
    kind: Kind,
    source: str,
    values_P: Reals,
    low_P: Reals | None = None,
    high_P: Reals | None = None,
    *,
    chart: bool = False,
) -> Series:
    bands = [() if band_P is None else _short(band_P) for band_P in (low_P, high_P)]
    return Series(key, label, unit, digits, kind, source, _short(values_P), *bands, chart=chart)


def _short(values_P: Reals) -> tuple[float, ...]:
    """Seven digits are enough to show, and half as long."""
    return tuple(float(f"{value:.7g}") for value in values_P)


def live_json(sweep: Sweep, found: tuple[Series, ...]) -> dict[str, Any]:
    """What is put into the page for its script."""
    return {
        "at": [axis.at for axis in sweep.axes],
        "point": sweep.at,
        "axes": [{"exit": a.exit, "unit": a.unit, "labels": list(a.labels)} for a in sweep.axes],
        "last": 100 * sweep.right_at_last / sweep.frames,
        "series": [
            {
                "key": s.key, "label": s.label, "unit": s.unit, "digits": s.digits, "values": list(s.values),
                "low": list(s.low), "high": list(s.high), "chart": s.chart,
            }
            for s in found
        ],
    }  # fmt: skip


def table(sweep: Sweep, found: tuple[Series, ...]) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """Rows for readers without the script: (threshold of the first exit, whether it is the run's own, figures).

    The other exits keep the run's thresholds.
    """
    axis = sweep.axes[0]
    even = np.linspace(0, len(axis.labels) - 1, min(ROWS, len(axis.labels))).round().astype(int)
    rows: list[tuple[str, bool, tuple[str, ...]]] = []
    for step in sorted({*map(int, even), axis.at}):
        point = int(np.ravel_multi_index([step, *(other.at for other in sweep.axes[1:])], sweep.shape))
        rows.append((axis.labels[step], step == axis.at, tuple(each.text(point) for each in found)))
    return tuple(rows)
