"""Laws of timing: the arrays agree with a beat-by-beat run, the slowest process sets the interval, and it is quick."""

import time

import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from hypothesis import given, settings
from strategies import small_graphs

from codesign.ops import Folding
from codesign.plan import tokens
from codesign.plan.build import build
from codesign.plan.timing import draining, simulate, steady

LENET = {
    "conv1.mac": Folding(25, 6, 25),
    "exit1.conv.mac": Folding(54, 4, 54),
    "exit1.dense.mac": Folding(16, 1, 16),
}
BRANCHES = (lambda: lenet_branch(12), residual_branch, depthwise_branch)


@settings(max_examples=20)
@given(small_graphs(max_layers=2))
def test_arrays_agree_with_a_run_of_every_beat(graph):
    dataflow = build(graph, {})
    endless = {c.name: 1 << 40 for c in dataflow.channels}

    run = tokens.run(dataflow, 3, depths=endless)
    timing = simulate(dataflow, 3, stalling=True)

    assert run.ends[0] + 1 == timing.latency_cycles  # written, and there to be read


@given(small_graphs())
def test_a_long_batch_takes_the_bound_a_frame(graph):
    dataflow = build(graph, {})

    assert abs(simulate(dataflow, 24).interval_cycles - dataflow.bound) <= 2


@settings(max_examples=30)
@given(small_graphs())
def test_the_steady_state_is_where_long_batches_lead(graph):
    dataflow = build(graph, {})
    settled = simulate(dataflow, 24, pace=dataflow.bound).occupancy

    for name, most in steady(dataflow, dataflow.bound).items():
        assert most <= settled[name] + 1 or dataflow.channel(name).beats == 1


def test_a_lenet_branch_takes_an_image_a_frame_time():
    dataflow = build(lenet_branch(), LENET)

    timing = simulate(dataflow, 4)

    assert timing.bound == timing.interval_cycles == 784
    assert 784 < timing.latency_cycles < 2 * 784
    assert timing.processes["conv1_mac"].wait == 0
    assert timing.processes["exit1_dense_mac"].busy == 4 * 490


def test_a_lenet_branch_is_timed_in_20_ms():
    dataflow = build(lenet_branch(), LENET)
    simulate(dataflow, 4)

    durations = []
    for _ in range(5):
        start = time.perf_counter()
        simulate(dataflow, 4)
        durations.append(time.perf_counter() - start)

    assert min(durations) < 0.02


@pytest.mark.parametrize("make", BRANCHES)
def test_stalling_pipelines_deliver_later_and_hold_more(make):
    dataflow = build(make(), {})
    feature = dataflow.process("features").inputs[0]

    free, stalled = simulate(dataflow, 12), simulate(dataflow, 12, stalling=True)

    assert stalled.latency_cycles > free.latency_cycles
    held = [steady(dataflow, dataflow.bound, stalling=stalling)[feature] for stalling in (False, True)]
    assert held[1] > held[0]


@pytest.mark.parametrize("make", BRANCHES)
def test_draining_costs_no_speed_and_keeps_frames_out_of_the_buffer(make):
    dataflow = build(make(), {})
    drained = draining(dataflow)
    feature = dataflow.process("features").inputs[0]

    assert drained.bound == dataflow.bound
    assert drained.process("decision").drain > 0
    assert drained.process("features").drain == 0  # its trailer comes behind the last frame
    held = [steady(d, d.bound, stalling=True)[feature] for d in (drained, dataflow)]
    assert held[0] < held[1]
