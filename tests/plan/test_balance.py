"""Laws of balancing: the goal is met, the device is not overfilled, and errors say what would do."""

from dataclasses import replace
from itertools import combinations, product

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
from codesign.ops.base import beat_pixels
from codesign.plan import tokens
from codesign.plan.balance import FRACTION, balance
from codesign.plan.budget import total
from codesign.plan.dataflow import MAX_BEAT_BITS
from codesign.plan.fabric import spare_dsps, spare_luts
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
@given(small_graphs(), st.booleans(), st.sampled_from((1, 2, 4)), st.integers(0, 2**32 - 1))
def test_every_plan_runs_without_deadlock(graph, drains, pixels, seed):
    plan = balance(graph, ZYNQ, drains=drains, pixels_per_cycle=pixels)
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


@pytest.mark.parametrize(("pixels", "cycles"), [(1, 784), (2, 392), (4, 196)])
def test_several_pixels_a_cycle(pixels, cycles):
    graph = lenet_branch()
    plan = balance(graph, VIRTEX, pixels_per_cycle=pixels)
    dataflow = realize(graph, plan)

    assert plan.interval_cycles == dataflow.bound == cycles
    assert abs(simulate(dataflow, 6).interval_cycles - cycles) <= 2
    assert dataflow.channel("image_in").lanes == pixels
    assert plan.foldings["conv1.mac"] == Folding(25 * pixels, 6 * pixels, 25)
    assert beat_pixels(plan.foldings["exit1.conv.mac"].lanes, 54) == 1, "196 pixels can come one by one"


@pytest.mark.parametrize("goal", [783, 410, 210, 196])
def test_a_goal_below_a_pixel_a_cycle_finds_wider_beats_by_itself(goal):
    plan = balance(lenet_branch(), VIRTEX, interval_cycles=goal)

    assert plan.interval_cycles <= goal
    assert (plan.goal, realize(lenet_branch(), plan).bound) == (goal, plan.interval_cycles)


@pytest.mark.parametrize("make", BRANCHES)
def test_beats_of_several_pixels_come_only_where_they_must(make):
    graph = make()
    dataflow = realize(graph, balance(graph, VIRTEX))

    assert all(beat_pixels(p.folding.lanes, p.types[0].channels) == 1 for p in dataflow.processes)


def test_a_node_that_takes_single_pixels_sets_the_goal():
    plan = balance(residual_branch(), VIRTEX, pixels_per_cycle=4)

    slowest = next(n for n in residual_branch().nodes if n.name == "exit1.sum")
    assert plan.interval_cycles >= residual_branch().types[slowest.inputs[0]].pixels == 64


def test_a_fixed_folding_of_several_pixels_is_met_by_converters():
    plan = balance(lenet_branch(), VIRTEX, foldings={"conv1.mac": (12, 5)})

    assert plan.foldings["conv1.mac"] == Folding(50, 12, 5)
    assert plan.foldings["conv1.window"].lanes == 1
    assert plan.interval_cycles == 784 // 2 * 5


def test_a_fixed_folding_may_be_slower_than_a_goal_of_several_pixels():
    plan = balance(lenet_branch(), VIRTEX, pixels_per_cycle=2, foldings={"conv1.mac": (6, 25)})

    assert plan.foldings["conv1.mac"] == Folding(25, 6, 25)
    assert plan.interval_cycles == 784


def test_multipliers_go_into_luts_where_dsps_are_short():
    graph = lenet_branch()
    plan = balance(graph, ZYNQ)

    assert plan.interval_cycles == 784
    assert plan.fabric
    assert total(realize(graph, plan), ZYNQ).over(ZYNQ, FRACTION) == ()
    assert total(realize(graph, replace(plan, fabric=())), ZYNQ).over(ZYNQ, FRACTION) != ()
    assert balance(graph, VIRTEX).fabric == ()


def test_matrices_are_unfolded_where_dsps_are_short_and_partly_multiply_there_where_luts_are():
    graph = lenet_branch()
    plan = balance(graph, ZYNQ, interval_cycles=196)
    flow = realize(graph, plan)
    moved = {p.node: p for p in flow.processes if p.folding.dsp_pe}
    plain = flow.folded({node: replace(p.folding, dsp_pe=0) for node, p in moved.items()})

    assert flow.bound == 196
    assert moved
    assert total(flow, ZYNQ).over(ZYNQ, FRACTION) == ()
    assert total(plain, ZYNQ).lut > ZYNQ.lut * FRACTION
    products = [p.folding.dsp_pe * p.folding.simd * p.folding.lanes // p.types[0].channels for p in moved.values()]
    assert total(flow, ZYNQ).dsp == total(plain, ZYNQ).dsp + sum(products)
    assert not any(f.dsp_pe for f in balance(graph, ZYNQ, interval_cycles=784).foldings.values())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_constant_products_that_go_into_dsps_are_the_fewest_that_help(share):
    graph = lenet_branch()
    flow = realize(graph, balance(graph, VIRTEX, interval_cycles=196))
    able = {p.node: p for p in flow.processes if p.op.movable(p.folding, *p.types)}
    assert len(able) == 2

    def price(counts):
        return total(
            flow.folded({n: replace(able[n].folding, dsp_pe=c) for n, c in zip(able, counts, strict=True)}), VIRTEX
        )

    prices = [
        price(counts) for counts in product(*(range(p.op.movable(p.folding, *p.types) + 1) for p in able.values()))
    ]
    least, most = min(p.lut for p in prices), max(p.lut for p in prices)
    device = replace(VIRTEX, lut=least + int((most - least) * share))

    found = total(flow.folded(spare_luts(flow, device, 1.0)), device)

    assert found.lut <= device.lut
    assert found.dsp == min(price.dsp for price in prices if price.lut <= device.lut)
    assert spare_luts(flow, replace(VIRTEX, lut=least - 1), 1.0) == {}


@pytest.fixture(scope="module")
def parallel():
    """A design with more multipliers than a small part has DSPs, and the nodes that can do without."""
    dataflow = realize(lenet_branch(), balance(lenet_branch(), VIRTEX))
    return dataflow, [p.node for p in dataflow.processes if p.op.fabric]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.92, 0.97, 0.995])
def test_the_multipliers_that_go_into_luts_are_the_fewest_that_help(parallel, share):
    dataflow, able = parallel
    least, most = (total(d, VIRTEX).dsp for d in (dataflow.in_fabric(able), dataflow))
    device = replace(VIRTEX, dsp=least + int((most - least) * share))
    sets = (nodes for count in range(len(able) + 1) for nodes in combinations(able, count))
    prices = [total(dataflow.in_fabric(nodes), device) for nodes in sets]

    found = total(dataflow.in_fabric(spare_dsps(dataflow, device)), device)

    assert found.dsp <= device.dsp
    assert found.lut == min(price.lut for price in prices if price.dsp <= device.dsp)


def test_dsps_that_suffice_or_cannot_suffice_move_nothing(parallel):
    dataflow, able = parallel
    least = total(dataflow.in_fabric(able), VIRTEX).dsp

    assert spare_dsps(dataflow, VIRTEX) == ()
    assert spare_dsps(dataflow, replace(VIRTEX, dsp=least - 1)) == ()


SMALL = replace(ZYNQ, dsp=200, lut=20_000)


def test_a_small_device_relaxes_the_interval():
    plan = balance(lenet_branch(), SMALL)

    assert 784 < plan.interval_cycles <= 1568
    assert plan.goal == 0


def test_a_goal_that_does_not_fit_names_the_resource_and_the_nearest_interval():
    nearest = balance(lenet_branch(), SMALL).interval_cycles
    with pytest.raises(
        FoldingError,
        match=r"an interval of 784 cycles needs \d+ DSP of 200 \(85% of xc7z020, of its DSPs all\), estimated",
    ) as caught:
        balance(lenet_branch(), SMALL, interval_cycles=784)
    assert caught.value.hint == f"the nearest interval that fits is {nearest} cycles"


def test_a_goal_that_no_folding_reaches_names_the_node():
    with pytest.raises(FoldingError, match="196 cycles a frame is the fastest folding, 100 are asked for") as caught:
        balance(lenet_branch(), VIRTEX, interval_cycles=100)
    assert caught.value.where in ("conv1.window", "pool1.window")
    assert caught.value.hint == "the nearest interval that fits is 196 cycles"


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
    assert "use PE in [1, 2, 4, 8, 16, 32], SIMD in [1, 2, 3, 6, 9, 18, 27, 54]" in caught.value.hint


def test_no_beat_is_chosen_that_is_wider_than_an_ap_uint_can_be():
    wide = TensorType((1, 1, 256), IntType(32), 1.0)  # a pixel of 8192 bits
    graph = Graph("wide", (GraphInput("x", wide),), (Node("y", Add(), ("x", "x")),), ("y",))

    dataflow = realize(graph, balance(graph, VIRTEX))

    assert max(channel.width for channel in dataflow.channels) <= MAX_BEAT_BITS
