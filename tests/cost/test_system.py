"""The cascade's formulas against a small simulation: batches, a share of hard frames, workers, calls."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import pytest
from graphs import lenet_branch

from codesign.cost.figures import Figure
from codesign.cost.oracle import Estimate, estimate
from codesign.cost.system import (
    Host,
    balance_rate,
    batch_us,
    break_even,
    break_even_alone,
    default_host,
    queue_us,
    system,
)
from codesign.devices import devices, load_device
from codesign.errors import ConfigError
from codesign.plan.balance import balance

SOURCE = "test"


def design() -> Estimate:
    graph = lenet_branch(12)
    return estimate(graph, balance(graph, load_device("pynq-z2"), drains=True))


DESIGN = design()


def host(tail_us: float, software_us: float = 100.0, call_us: float = 0.0, workers: int = 1) -> Host:
    tail, software, call = (Figure.exact(us, "us", SOURCE) for us in (tail_us, software_us, call_us))
    return Host("test", tail, software, call, workers)


@dataclass
class Run:
    """What a simulated cascade did: microseconds a frame in the long run, mean wait for a worker."""

    frame_us: float
    wait_us: float


def simulated(frame_us: float, tail_us: float, workers: int, going_on: float, batch: int, frames: int = 400_000) -> Run:
    """Batches finish on the accelerator one after another; then the hard frames of each go to the first free worker.

    All take the same time, so workers become free in turn: every `workers`-th frame waits for the one before it in that row,
    W = max(0, W' + tail - the time between them), the maximum of a random walk over all its starts.
    """
    rng = np.random.default_rng(int(1000 * going_on) + batch + workers)
    hard_B = rng.binomial(batch, going_on, frames // batch)
    ready_N = np.repeat(np.arange(1, len(hard_B) + 1) * batch * frame_us, hard_B)
    waits, done = [0.0], len(hard_B) * batch * frame_us
    for row_N in (ready_N[worker::workers] for worker in range(workers)):
        if len(row_N):
            walk_N = np.arange(len(row_N)) * tail_us - row_N
            wait_N = walk_N - np.minimum.accumulate(walk_N)
            waits.append(float(wait_N.mean()))
            done = max(done, float(row_N[-1] + wait_N[-1] + tail_us))
    return Run(done / (len(hard_B) * batch), float(np.mean(waits[1:] or waits)))


def test_the_simulation_is_the_one_of_a_queue_with_events() -> None:
    frame_us, tail_us, workers, going_on, batch = 8.0, 37.0, 3, 0.5, 4
    rng = np.random.default_rng(int(1000 * going_on) + batch + workers)
    free, waits = [0.0] * workers, list[float]()
    for number, hard in enumerate(rng.binomial(batch, going_on, 1500), 1):
        for _ in range(hard):
            start = max(number * batch * frame_us, heapq.heappop(free))
            waits.append(start - number * batch * frame_us)
            heapq.heappush(free, start + tail_us)
    run = simulated(frame_us, tail_us, workers, going_on, batch, 6000)
    assert run.wait_us == pytest.approx(float(np.mean(waits)), rel=0.01)
    assert run.frame_us == pytest.approx(max([*free, 6000 * frame_us]) / 6000)


@pytest.mark.parametrize("batch", [1, 16, 128])
@pytest.mark.parametrize(
    ("workers", "going_on", "tail_us"), [(1, 0.1, 50.0), (1, 0.5, 50.0), (3, 0.4, 30.0), (2, 1.0, 9.0)]
)
def test_the_slower_of_accelerator_and_host_sets_the_pace(
    batch: int, workers: int, going_on: float, tail_us: float
) -> None:
    frame_us = 8.0
    want = max(frame_us, going_on * tail_us / workers)
    assert simulated(frame_us, tail_us, workers, going_on, batch).frame_us == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("load", [0.3, 0.9])
@pytest.mark.parametrize("going_on", [0.05, 0.3, 0.9])
def test_the_wait_for_a_worker_is_within_its_bound(batch: int, workers: int, load: float, going_on: float) -> None:
    frame_us = 10.0
    tail_us = load * workers * frame_us / going_on
    bound = queue_us(tail_us, workers, going_on, batch, frame_us)
    seen = simulated(frame_us, tail_us, workers, going_on, batch).wait_us
    assert bound is not None and seen <= 1.1 * bound  # chance: some 20,000 hard frames, close together in time
    if workers == 1 and load > 0.5 and going_on < 0.5:
        assert seen > 0.7 * bound  # and it is not far off


def test_a_host_that_cannot_keep_up_has_no_bound() -> None:
    assert queue_us(100.0, 1, 0.5, 64, 10.0) is None
    assert queue_us(100.0, 1, 0.0, 64, 10.0) == 0


@pytest.mark.parametrize(("tail_us", "software_us"), [(60.0, 40.0), (60.0, 75.0), (20.0, 40.0)])
@pytest.mark.parametrize("workers", [1, 2])
def test_break_even_is_where_the_simulated_cascade_becomes_faster_than_software(
    tail_us: float, software_us: float, workers: int
) -> None:
    frame_us = 8.0
    rate = break_even(frame_us, tail_us, software_us, workers)
    assert rate is not None
    for step, faster in ((0.08, True), (-0.08, False)):
        if 0 <= rate + step <= 1:
            run = simulated(frame_us, tail_us, workers, 1 - rate - step, 32)
            assert (run.frame_us < software_us / workers) == faster, (rate, step)
    assert break_even(frame_us, tail_us, workers * frame_us * 0.9, workers) is None


def test_break_even_of_single_frames_counts_call_and_latency() -> None:
    assert break_even_alone(30.0, 60.0, 75.0) == pytest.approx(0.25)  # 30 + 0.75 * 60 = 75
    assert break_even_alone(30.0, 60.0, 100.0) == 0
    assert break_even_alone(80.0, 60.0, 75.0) is None
    assert break_even_alone(30.0, 0.0, 75.0) == 0


def test_the_balance_rate_is_where_both_are_equally_fast() -> None:
    rate = balance_rate(8.0, 40.0, 2)
    assert (1 - rate) * 40.0 / 2 == pytest.approx(8.0)
    whole = system(DESIGN, host(40.0), 0.9, 256)
    at = system(DESIGN, host(40.0), whole.balance_rate, 256)
    assert at.accelerator_us.value == pytest.approx(at.host_us.value)


def test_a_batch_costs_its_call_once() -> None:
    one, many = (batch_us(DESIGN, host(1.0, call_us=500.0), n).value for n in (1, 101))
    interval = DESIGN.interval_cycles.value / DESIGN.clock_mhz
    assert many - one == pytest.approx(100 * interval)
    assert one > 500 + DESIGN.latency_us.value


def test_the_limit_is_named_with_what_relieves_it() -> None:
    tail = system(DESIGN, host(500.0), 0.5, 256)
    assert tail.limit == "host tail" and "one more worker" in tail.relief[0] and tail.queue_us is None
    relieved = system(DESIGN, host(500.0, workers=2), 0.5, 256)
    assert relieved.throughput.value == pytest.approx(2 * tail.throughput.value)

    calls = system(DESIGN, host(0.1, call_us=1000.0), 0.9, 16)
    assert calls.limit == "calls and transfers" and "batches of" in calls.relief[0]
    batch = int(calls.relief[0].split()[2].replace(",", ""))
    again = system(DESIGN, host(0.1, call_us=1000.0), 0.9, batch)
    assert again.throughput.value == pytest.approx(0.95e6 / (DESIGN.interval_cycles.value / DESIGN.clock_mhz), rel=0.01)

    hardware = system(DESIGN, host(0.1), 0.9, 4096)
    assert hardware.limit.startswith("accelerator: ") and DESIGN.bottleneck.text() in hardware.relief


def test_bands_go_through_and_energy_is_board_power_times_the_pace() -> None:
    device = load_device("pynq-z2")
    found = system(DESIGN, default_host(device, 300_000, 400_000), 0.9, 1024)
    for figure in (found.accelerator_us, found.host_us, found.throughput, found.alone_us, found.batch_us):
        assert figure.low <= figure.value <= figure.high and figure.source
    assert found.energy_uj.value == pytest.approx(DESIGN.power.board.value * found.frame_us.value)
    assert found.to_json()["host"] == "Cortex-A9 of the board"


@pytest.mark.parametrize("device", devices(), ids=lambda device: device.name)
def test_every_device_has_a_host(device) -> None:
    assert default_host(device, 1000, 2000).call_us.value > 0
    assert default_host(device, 1000, 2000, tail_us=3.0).tail_us.low == 3.0


def test_impossible_cascades_are_refused() -> None:
    for rate, batch, workers in ((1.5, 1, 1), (-0.1, 1, 1), (0.5, 0, 1), (0.5, 1, 0)):
        with pytest.raises(ConfigError):
            system(DESIGN, host(1.0, workers=workers), rate, batch)
