"""Laws of balancing: the goal is met, the device is not overfilled, and errors say what would do."""

import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_graphs

from codesign.devices import load_device
from codesign.errors import FoldingError
from codesign.ir import Graph, GraphInput, IntType, Node, TensorType
from codesign.ops import Folding
from codesign.ops.add import Add
from codesign.plan import tokens
from codesign.plan.balance import FRACTION, balance
from codesign.plan.budget import total
from codesign.plan.dataflow import MAX_BEAT_BITS
from codesign.plan.plan import realize
from codesign.plan.timing import simulate

VIRTEX, ZYNQ = load_device("xc7vx690t"), load_device("pynq-z2")
BRANCHES = (lenet_branch, residual_branch, depthwise_branch)


def test_a_lenet_branch_takes_a_pixel_a_cycle():
    plan = balance(lenet_branch(), VIRTEX)

    assert plan.interval_cycles == 784
    assert plan.foldings["conv1.mac"] == Folding(25, 6, 25)
    conv = plan.foldings["exit1.conv.mac"]
    assert conv.pe * conv.simd == 216
    assert plan.foldings["exit1.dense.mac"].pe <= 5
    assert realize(lenet_branch(), plan).bound == 784
    assert sum(p.op.name == "width_converter" for p in realize(lenet_branch(), plan).processes) <= 2


@pytest.mark.parametrize("make", BRANCHES)
@pytest.mark.parametrize("device", [VIRTEX, ZYNQ], ids=lambda d: d.name)
def test_the_interval_is_the_bound_and_the_device_holds_it(make, device):
    graph = make()
    plan = balance(graph, device)
    dataflow = realize(graph, plan)

    assert plan.interval_cycles == dataflow.bound
    assert abs(simulate(dataflow, 6).interval_cycles - dataflow.bound) <= 2
    assert total(dataflow, device).over(device, FRACTION) == ()


@settings(max_examples=25)
@given(small_graphs(), st.booleans(), st.integers(0, 2**32 - 1))
def test_every_plan_runs_without_deadlock(graph, drains, seed):
    plan = balance(graph, ZYNQ, drains=drains)
    dataflow = realize(graph, plan)

    assert tokens.run(dataflow, 3, seed=seed).finished
    assert plan.interval_cycles == dataflow.bound


@settings(max_examples=25)
@given(small_graphs(), st.integers(1, 8))
def test_a_slower_goal_costs_no_more(graph, factor):
    fast = balance(graph, VIRTEX)
    slow = balance(graph, VIRTEX, interval_cycles=fast.interval_cycles * factor)

    assert slow.interval_cycles <= fast.interval_cycles * factor
    cost = [sum(f.pe * f.simd for f in plan.foldings.values()) for plan in (fast, slow)]
    assert cost[1] <= 2 * cost[0]


def test_a_small_device_relaxes_the_interval():
    plan = balance(lenet_branch(), ZYNQ)

    assert 784 < plan.interval_cycles <= 1568
    assert plan.goal == 0


def test_a_goal_that_does_not_fit_names_the_resource_and_the_nearest_interval():
    nearest = balance(lenet_branch(), ZYNQ).interval_cycles
    with pytest.raises(
        FoldingError, match=r"an interval of 784 cycles needs \d+ DSP of 187 \(85% of xc7z020\), estimated"
    ) as caught:
        balance(lenet_branch(), ZYNQ, interval_cycles=784)
    assert caught.value.hint == f"the nearest interval that fits is {nearest} cycles"


def test_a_goal_that_no_folding_reaches_names_the_node():
    with pytest.raises(FoldingError, match="784 cycles a frame is the fastest folding, 100 are asked for") as caught:
        balance(lenet_branch(), VIRTEX, interval_cycles=100)
    assert caught.value.where in ("conv1.window", "pool1.window")
    assert caught.value.hint == "the nearest interval that fits is 784 cycles"


def test_a_design_that_no_folding_makes_fit_says_so():
    with pytest.raises(FoldingError, match="even the smallest design needs") as caught:
        balance(lenet_branch(), ZYNQ, fraction=0.001)
    assert "use a larger device" in caught.value.hint


def test_fixed_foldings_are_kept_even_when_slow():
    plan = balance(lenet_branch(), VIRTEX, foldings={"exit1.conv.mac": (2, 9)})

    folding = plan.foldings["exit1.conv.mac"]
    assert (folding.pe, folding.simd) == (2, 9)
    assert plan.interval_cycles == 14 * 14 * 8 * 6


def test_fixed_foldings_are_checked():
    with pytest.raises(FoldingError, match=r"for 'exit1\.conv\.mc', which is no process of lenet") as caught:
        balance(lenet_branch(), VIRTEX, foldings={"exit1.conv.mc": (2, 9)})
    assert caught.value.hint == "did you mean 'exit1.conv.mac'?"
    with pytest.raises(FoldingError, match=r"exit1\.conv\.mac: PE=3, SIMD=9 is not a legal folding") as caught:
        balance(lenet_branch(), VIRTEX, foldings={"exit1.conv.mac": (3, 9)})
    assert "use PE in [1, 2, 4, 8, 16], SIMD in [1, 2, 3, 6, 9, 18, 27, 54]" in caught.value.hint


def test_no_beat_is_chosen_that_is_wider_than_an_ap_uint_can_be():
    wide = TensorType((1, 1, 256), IntType(32), 1.0)  # a pixel of 8192 bits
    graph = Graph("wide", (GraphInput("x", wide),), (Node("y", Add(), ("x", "x")),), ("y",))

    dataflow = realize(graph, balance(graph, VIRTEX))

    assert max(channel.width for channel in dataflow.channels) <= MAX_BEAT_BITS
