"""The one place where the report asks what a design costs: the cost oracle for cycles, resources and power, records for the host."""

# Legend: E exits, J of them but the last; P points of tune's curve.
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.cost.oracle import Estimate, estimate
from codesign.report.records import Design, Network, Records
from codesign.runtime.goals import Speed

Reals = npt.NDArray[np.float64]

CLOSE = 1e-9  # relative, of cycles that were turned into seconds and back


@dataclass(frozen=True, slots=True)
class Host:
    """A worker's seconds for a frame behind each exit, J of them, in a batch and alone."""

    host_s: tuple[float, ...]
    alone_s: tuple[float, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What both backends cost, by the oracle. `speed` is of the RTL with its board and a host; None without a host's time."""

    hls: Estimate
    rtl: Estimate
    speed: Speed | None
    host: Host | None

    @property
    def power_source(self) -> str:
        """Whose power the energy is counted with."""
        return f"power of the board ({self.rtl.power.board_name}) times time; {self.rtl.power.board.source}"


def costs_of(records: Records, network: Network, design: Design) -> Costs:
    """What is known of a design's costs; the energy is that of the RTL on its board."""
    head, plan = network.stages.head.graph, design.plan
    hls, rtl = (estimate(head, plan, records.device, backend) for backend in ("hls", "rtl"))
    clock_hz, interval, latency = plan.clock_mhz * 1e6, rtl.interval_cycles.value, rtl.latency_cycles.value
    host = host_of(records, len(network.threshold_codes), clock_hz / interval, latency / clock_hz)
    speed = None
    if host is not None:
        board = rtl.power.board
        speed = Speed(
            clock_hz, interval, latency, host.host_s, host.alone_s, watts=(board.value, board.low, board.high)
        )
    return Costs(hls, rtl, speed, host)


def host_of(records: Records, exits: int, accelerator_fps: float, latency_s: float) -> Host | None:
    """The host's times that a step has left behind; None where none has."""
    if found := _of_curve(records, exits, accelerator_fps, latency_s):
        return found
    if exits != 1:
        return None
    if tail_us := records.section("bench").get("model", {}).get("tail_us"):
        return Host((tail_us * 1e-6,), (tail_us * 1e-6,), "measured by codesign bench, in batches")
    speeds = records.section("tail").get("images_per_s", {})
    if name := next((name for name in ("cpp", "numpy") if speeds.get(name)), ""):
        return Host((1 / speeds[name],), (1 / speeds[name],), f"measured by codesign tail ({name}), in batches")
    return None


def _of_curve(records: Records, exits: int, accelerator_fps: float, latency_s: float) -> Host | None:
    """From the curve of `codesign tune`, whose latency and host-bound throughput are linear in the host's times."""
    if not records.curve or len(records.curve[0]["exit_rates"]) != exits:
        return None
    reach_PJ = 1 - np.cumsum([row["exit_rates"] for row in records.curve], axis=1)
    alone_P = np.array([row["latency_us"] for row in records.curve]) * 1e-6 - latency_s
    frame_P = np.array([1 / row["throughput"] for row in records.curve])
    bound_P = frame_P * accelerator_fps > 1 + CLOSE
    alone_J, host_J = _solve(reach_PJ, alone_P), _solve(reach_PJ[bound_P], frame_P[bound_P])
    if alone_J is None:
        return None
    measured = (records.tune or {}).get("source", {}).get("host", "measured")
    source = f"as codesign tune has it ({measured})"
    return Host(tuple((alone_J if host_J is None else host_J).tolist()), tuple(alone_J.tolist()), source)


def _solve(reach_PJ: Reals, seconds_P: Reals) -> Reals | None:
    """The times that give these sums; None where they are not determined or make no sense."""
    if len(reach_PJ) < reach_PJ.shape[1]:
        return None
    times_J, _, rank, _ = np.linalg.lstsq(reach_PJ, seconds_P, rcond=None)
    times_J = times_J.astype(np.float64)
    sound = rank == reach_PJ.shape[1] and np.allclose(reach_PJ @ times_J, seconds_P, rtol=1e-6, atol=1e-12)
    return times_J if sound and (times_J > 0).all() else None
