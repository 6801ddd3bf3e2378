"""Laws of FIFO depths: no order of events deadlocks, no speed is lost, and little more is spent than must be."""

import numpy as np
import pytest
from graphs import S16, U8, Sketch, depthwise_branch, lenet_branch, residual_branch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_graphs

from codesign.devices import load_device
from codesign.ir import TensorType
from codesign.ops.add import Add
from codesign.ops.global_sum import GlobalSum
from codesign.plan import fifos, tokens
from codesign.plan.balance import balance
from codesign.plan.build import build
from codesign.plan.dataflow import MIN_DEPTH
from codesign.plan.fifos import deepest, size_fifos
from codesign.plan.timing import depth_of, draining, steady

VIRTEX = load_device("xc7vx690t")
BRANCHES = {
    "lenet": lambda: lenet_branch(8, 4),
    "residual": lambda: residual_branch(6),
    "depthwise": lambda: depthwise_branch(6),
}


def shortcut_branch(body, shortcut, kernel):
    """A residual block with convolutions on both ways."""
    net = Sketch("shortcut", TensorType((6, 6, 3), U8, 2.0**-8), seed=1)
    ways = [net.conv("stem", "image", 4, 3, pad=1)] * 2
    for way, (count, size) in enumerate(((body, kernel), (shortcut, 1))):
        for i in range(count):
            ways[way] = net.conv(f"{'bs'[way]}{i}", ways[way], 4, size, pad=size // 2)
    feature = net.requantize("block", net.add("block.add", Add(), *ways), shift=13)
    pooled = net.requantize("exit1.pool", net.add("exit1.sum", GlobalSum(), feature))
    return net.branch(feature, net.dense("exit1.dense", pooled, 5, S16))


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


def deepened(dataflow, by):
    """Pipelines deeper than estimated, each by as much as `by` says and `deepest` allows."""
    return {name: min(depth_of(dataflow.process(name)) + by(), most) for name, most in deepest(dataflow).items()}


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("name", BRANCHES)
def test_pipelines_may_be_deeper_than_estimated(name, drains):
    dataflow = branch(name, drains)

    for extra in (1, 2, 3, 5, 8, 13, 21, 34, 55):
        assert tokens.run(dataflow, 8, pipeline=deepened(dataflow, lambda: extra)).finished  # noqa: B023


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("name", BRANCHES)
def test_some_pipelines_may_be_deeper_than_others(name, drains):
    dataflow = branch(name, drains)
    rng = np.random.default_rng(7)

    for _ in range(8):
        depths = deepened(dataflow, lambda: int(rng.choice([0, rng.integers(50), 99])))
        assert tokens.run(dataflow, 8, pipeline=depths).finished


@pytest.mark.parametrize("sizes", [(2, 1, 3), (1, 3, 1)])
@pytest.mark.parametrize("deep_ways", ["b", "s", "be", "se"])
def test_one_way_may_be_deep_and_the_other_not(monkeypatch, sizes, deep_ways):
    monkeypatch.setattr(fifos, "_rounded", lambda channel, depth, pads: depth)
    graph = shortcut_branch(*sizes)
    dataflow = size_fifos(draining(build(graph, balance(graph, VIRTEX).foldings)))
    most = deepest(dataflow)

    depths = {p.name: most[p.name] if p.name[0] in deep_ways else depth_of(p) for p in dataflow.processes}

    assert tokens.run(dataflow, 8, pipeline=depths).finished


@settings(max_examples=25)
@given(small_graphs(max_layers=3), st.integers(0, 99))
def test_any_graph_may_have_deeper_pipelines(graph, extra):
    dataflow = size_fifos(build(graph, {}))

    assert tokens.run(dataflow, 4, pipeline=deepened(dataflow, lambda: extra)).finished


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("name", BRANCHES)
def test_the_conditional_buffer_is_neither_too_shallow_nor_too_deep(name, drains):
    dataflow = branch(name, drains)
    buffer = dataflow.process("features").inputs[0]

    deep = deepest(dataflow)
    least = tokens.least_depth(dataflow, buffer, 80, pipeline=deep)
    stuck = tokens.run(dataflow, 80, pipeline=deep, depths={buffer: least - 1})

    assert not stuck.finished
    assert buffer in stuck.culprits
    in_flight = steady(dataflow, dataflow.bound, pipeline=deep)[buffer]  # at full speed, behind a head of long latency
    assert least <= dataflow.channel(buffer).depth <= 2 * max(least, in_flight) + 64


def test_a_residual_skip_must_hold_what_the_block_needs():
    dataflow = branch("residual", True)
    skip = "stem_requantize_to_block_add"

    deep = deepest(dataflow)
    expected, least = (tokens.least_depth(dataflow, skip, 8, pipeline=pipeline) for pipeline in (None, deep))

    assert 2 * (6 + 1) < expected <= least  # two 3x3 windows look a row and a pixel ahead
    assert tokens.run(dataflow, 8, pipeline=deep, depths={skip: least - 1}).culprits == (skip,)
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


def test_deep_fifos_fill_their_block_ram():
    dataflow = size_fifos(build(lenet_branch(), {}))

    depth = dataflow.channel("pool1_max_to_features").depth
    assert depth & (depth - 1) == 0
