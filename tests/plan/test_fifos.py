"""Laws of FIFO depths: no order of events deadlocks, no speed is lost, and little more is spent than must be."""

import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_graphs

from codesign.devices import load_device
from codesign.plan import tokens
from codesign.plan.balance import balance
from codesign.plan.dataflow import MIN_DEPTH, build
from codesign.plan.fifos import fifo_bits, size_fifos
from codesign.plan.timing import draining, steady

VIRTEX = load_device("xc7vx690t")
BRANCHES = {
    "lenet": lambda: lenet_branch(8, 4),
    "residual": lambda: residual_branch(6),
    "depthwise": lambda: depthwise_branch(6),
}


def branch(name, drains):
    """A branch with a pixel a cycle, so that few steps make a frame."""
    graph = BRANCHES[name]()
    dataflow = build(graph, balance(graph, VIRTEX).foldings)
    return size_fifos(draining(dataflow) if drains else dataflow)


@settings(max_examples=25)
@given(small_graphs(max_layers=3), st.integers(0, 2**32 - 1))
def test_no_order_of_events_deadlocks(graph, seed):
    dataflow = size_fifos(build(graph, {}))

    assert tokens.run(dataflow, 4, seed=seed).finished
    assert all(c.depth >= MIN_DEPTH for c in dataflow.channels)


@settings(max_examples=15)
@given(small_graphs(max_layers=2), st.integers(0, 40))
def test_no_pipeline_depth_deadlocks(graph, pipeline):
    dataflow = size_fifos(build(graph, {}), pipeline=pipeline)

    assert tokens.run(dataflow, 4, pipeline=pipeline).finished


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("name", BRANCHES)
def test_branches_never_deadlock(name, drains):
    dataflow = branch(name, drains)

    for seed in range(3):
        assert tokens.run(dataflow, 8, seed=seed).finished


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("name", BRANCHES)
def test_the_conditional_buffer_is_neither_too_shallow_nor_too_deep(name, drains):
    dataflow = branch(name, drains)
    buffer = dataflow.process("features").inputs[0]

    least = tokens.least_depth(dataflow, buffer, 12)
    stuck = tokens.run(dataflow, 12, depths={buffer: least - 1})

    assert not stuck.finished
    assert buffer in stuck.culprits
    in_flight = steady(dataflow, dataflow.bound)[buffer]  # at full speed, behind a head of long latency
    assert least <= dataflow.channel(buffer).depth <= 2 * max(least, in_flight) + 64


def test_a_residual_skip_must_hold_what_the_block_needs():
    dataflow = branch("residual", True)
    skip = "stem_requantize_to_block_add"

    least = tokens.least_depth(dataflow, skip, 4)

    assert least > 2 * (6 + 1)  # two 3x3 windows look a row and a pixel ahead
    assert tokens.run(dataflow, 4, depths={skip: least - 1}).culprits == (skip,)
    assert dataflow.channel(skip).depth <= 2 * least + 64


@pytest.mark.parametrize("name", BRANCHES)
def test_the_busiest_process_sets_the_interval_with_real_fifos(name):
    dataflow = branch(name, True)

    run = tokens.run(dataflow, 10)

    assert abs(run.interval_cycles - dataflow.bound) <= 2


@settings(max_examples=30)
@given(small_graphs())
def test_depths_hold_the_steady_state(graph):
    dataflow = size_fifos(build(graph, {}))

    for stalling in (False, True):
        for name, most in steady(dataflow, dataflow.bound, stalling=stalling).items():
            assert most <= dataflow.channel(name).depth
    assert fifo_bits(dataflow) == sum(c.depth * c.lanes * c.dtype.bits for c in dataflow.channels)


def test_deep_fifos_fill_their_block_ram():
    dataflow = size_fifos(build(lenet_branch(), {}))

    depth = dataflow.channel("pool1_max_to_features").depth
    assert depth & (depth - 1) == 0
