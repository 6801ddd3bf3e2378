"""A whole cascade: accelerator, transfers and host together. Throughput, latency, queue, energy, and what limits them.

The accelerator takes batches of B frames, one after another; a share q = 1 - exit rate of the frames goes on to w workers,
each of which needs t for one. The accelerator's time for a frame of a batch is

    a = (call + transfer start + latency + (B - 1) interval) / B

Both work at the same time, so in a long run a frame takes max(a, q t / w). docs/cost.md derives the rest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from codesign.cost.figures import Figure, most, number
from codesign.cost.oracle import Estimate
from codesign.devices import Device
from codesign.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Host:
    """A worker's time for a frame of the tail and of the whole network, and the driver's for a batch; microseconds."""

    name: str
    tail_us: Figure
    software_us: Figure
    call_us: Figure
    workers: int = 1


@dataclass(frozen=True, slots=True)
class System:
    """What a cascade does at an exit rate; times are in microseconds.

    `accelerator_us` and `host_us` are a frame's share of a long run, `limit` says which of them is slower, `relief` what would
    help. `queue_us` bounds the mean time that a frame waits for a worker; None where more comes than the workers finish.
    `balance_rate` is the exit rate from which on the accelerator sets the pace. `break_even_rate` is the one from which on the
    cascade beats the same network all in software in a long run, `break_even_alone` for frames that come one at a time;
    None where no exit rate does.
    """

    exit_rate: float
    batch: int
    host: Host
    accelerator_us: Figure
    host_us: Figure
    frame_us: Figure
    throughput: Figure
    alone_us: Figure
    batch_us: Figure
    queue_us: Figure | None
    energy_uj: Figure
    balance_rate: float
    break_even_rate: float | None
    break_even_alone: float | None
    limit: str
    relief: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        names = ("accelerator_us", "host_us", "frame_us", "throughput", "alone_us", "batch_us", "energy_uj")
        return {
            "exit_rate": self.exit_rate,
            "batch": self.batch,
            "workers": self.host.workers,
            "host": self.host.name,
            "tail_us": self.host.tail_us.to_json(),
            "software_us": self.host.software_us.to_json(),
            "call_us": self.host.call_us.to_json(),
            **{name: getattr(self, name).to_json() for name in names},
            "queue_us": None if self.queue_us is None else self.queue_us.to_json(),
            "balance_rate": round(self.balance_rate, 6),
            "break_even_rate": self.break_even_rate,
            "break_even_alone": self.break_even_alone,
            "limit": self.limit,
            "relief": list(self.relief),
        }


def system(estimate: Estimate, host: Host, exit_rate: float, batch: int) -> System:
    """The cascade of this accelerator and this host. Raises ConfigError for a rate outside 0..1 and a batch below 1."""
    if not 0 <= exit_rate <= 1:
        raise ConfigError(f"{exit_rate:g} is no exit rate", where="--exit-rate", hint="use a share of 1")
    if batch < 1 or host.workers < 1:
        raise ConfigError(f"batches of {batch}, {host.workers} workers", where="--batch", hint="use 1 or more of both")
    going_on, workers = 1 - exit_rate, host.workers
    busy, alone = batch_us(estimate, host, batch), batch_us(estimate, host, 1)
    frame = busy.over(batch, "us", "the accelerator's time for a batch, shared by its frames")
    tail = host.tail_us.times(going_on / workers, "us", f"share that goes on * tail / workers; {host.tail_us.source}")
    pace = most([frame, tail])
    waits = queue_us(host.tail_us.value, workers, going_on, batch, frame.value)
    queue = (
        None if waits is None else Figure(waits, 0.0, waits, "us", "mean wait for a worker, at most (Kingman's bound)")
    )
    hard = host.tail_us.times(going_on, "us")
    behind = hard + Figure(going_on * (waits or 0), 0.0, going_on * (waits or 0), "us")
    one = alone + hard
    return System(
        exit_rate,
        batch,
        host,
        frame,
        tail,
        pace,
        Figure(1e6 / pace.value, 1e6 / pace.high, 1e6 / pace.low, "frames/s", "the slower of accelerator and host"),
        one.said("frames one at a time, mean: call, transfer, latency, and the tail of the share that goes on"),
        (busy + behind).said("from a batch's start to the mean frame's answer, queue included"),
        queue,
        estimate.power.board.times(pace, "uJ", f"board power times the time of a frame; {estimate.power.board.source}"),
        balance_rate(frame.value, host.tail_us.value, workers),
        break_even(frame.value, host.tail_us.value, host.software_us.value, workers),
        break_even_alone(alone.value, host.tail_us.value, host.software_us.value),
        *_limit(estimate, host, exit_rate, batch, frame.value, tail.value),
    )


def batch_us(estimate: Estimate, host: Host, batch: int) -> Figure:
    """From the driver's call to the end of a batch: call, start of the transfers, first latency, then frame by frame."""
    table = _table()["dma"]
    cycles = estimate.latency_cycles + estimate.interval_cycles.times(batch - 1, "cycles")
    cycles += Figure.of(table["start_cycles"], "cycles", table["source"])
    return host.call_us + cycles.over(estimate.clock_mhz, "us")


def queue_us(tail_us: float, workers: int, going_on: float, batch: int, frame_us: float) -> float | None:
    """The mean time that a frame which goes on waits for a worker, at most; None where the workers cannot keep up.

    Batches come every `batch * frame_us` with a binomial number of frames for the workers. In front of a frame are those
    of its own batch, (B - 1) q / 2 on average, and what is left of earlier batches, by Kingman's bound for a queue with
    regular arrivals Var(work) / (2 T (1 - load)). w workers make nobody wait longer than one that is w times as fast.
    """
    load = going_on * tail_us / (workers * frame_us)
    if load >= 1:
        return None
    each, period = tail_us / workers, batch * frame_us
    ahead = (batch - 1) * going_on / 2 * each
    return ahead + batch * going_on * (1 - going_on) * each**2 / (2 * period * (1 - load))


def balance_rate(frame_us: float, tail_us: float, workers: int) -> float:
    """The exit rate at which host and accelerator are equally fast: from there on the accelerator sets the pace."""
    return max(0.0, 1 - workers * frame_us / tail_us) if tail_us else 0.0


def break_even(frame_us: float, tail_us: float, software_us: float, workers: int) -> float | None:
    """The least exit rate at which a long run is faster than software on the same workers: max(a, q t / w) <= s / w."""
    if frame_us > software_us / workers:
        return None
    return max(0.0, 1 - software_us / tail_us) if tail_us else 0.0


def break_even_alone(alone_us: float, tail_us: float, software_us: float) -> float | None:
    """The least exit rate at which single frames are faster than software: l + q t <= s."""
    if alone_us > software_us:
        return None
    return max(0.0, 1 - (software_us - alone_us) / tail_us) if tail_us else 0.0


def default_host(
    device: Device,
    tail_products: int,
    all_products: int,
    *,
    workers: int = 1,
    tail_us: float | None = None,
    software_us: float | None = None,
    source: str = "given",
    name: str = "",
) -> Host:
    """The processor that drives the device, with assumed times where none are given; products are multiplications a frame."""
    row = _table()["host"][device.processor]
    return Host(
        name or row["name"],
        _times(row, tail_products) if tail_us is None else Figure.exact(tail_us, "us", source),
        _times(row, all_products) if software_us is None else Figure.exact(software_us, "us", source),
        Figure.of(row["call_us"], "us", row["source"]),
        workers,
    )


def _times(row: Mapping[str, Any], products: int) -> Figure:
    speed = Figure.of(row["products_per_ns"], "", row["source"])
    computed = Figure.exact(products / 1000, "us", row["source"]).over(speed, "us")
    return computed + Figure.of(row["frame_us"], "us", row["source"])


def _limit(
    estimate: Estimate, host: Host, exit_rate: float, batch: int, frame_us: float, tail_us: float
) -> tuple[str, tuple[str, ...]]:
    """Which stage sets the pace, and what would relieve it."""
    if tail_us > frame_us:
        more = max(frame_us, tail_us * host.workers / (host.workers + 1))
        rate = balance_rate(frame_us, host.tail_us.value, host.workers)
        return "host tail", (
            f"one more worker: {number(1e6 / more)} frames/s",
            f"an exit rate above {100 * rate:.2f} %: {number(1e6 / frame_us)} frames/s",
        )
    interval = estimate.interval_cycles.value / estimate.clock_mhz
    if frame_us > 2 * interval:
        enough = -(-20 * (frame_us - interval) * batch // interval)
        return "calls and transfers", (
            f"batches of {enough:,.0f} frames, of which calls take a twentieth: {number(0.95e6 / interval)} frames/s",
        )
    hold = estimate.bottleneck
    return f"accelerator: {' and '.join(hold.names)}", (hold.text(),)


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((Path(__file__).parent / "system.toml").read_text(encoding="utf-8"))
