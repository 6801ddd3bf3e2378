"""The oracle: totals are those of the planner, cycles those of the backends, and every band holds its value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from strategies import random_graph

from codesign.cost.figures import Figure
from codesign.cost.latency import rtl_latency
from codesign.cost.oracle import BACKENDS, Backend, Estimate, estimate
from codesign.cost.rtl import rtl_resources
from codesign.devices import devices, load_device
from codesign.errors import FoldingError
from codesign.ir.graph import Graph
from codesign.plan.balance import balance
from codesign.plan.budget import SHELL, Resources, total
from codesign.plan.exact import for_rtl, rtl_timing
from codesign.plan.plan import Plan, realize

GRAPHS = {graph.name: graph for graph in (lenet_branch(12), residual_branch(), depthwise_branch())}
KINDS = ("dsp", "lut", "ff", "bram18")


@cache
def planned(name: str, device: str = "xc7z020", goal: int = 0) -> tuple[Graph, Plan]:
    graph = GRAPHS[name]
    return graph, balance(graph, load_device(device), interval_cycles=goal, drains=True)


@cache
def estimated(name: str, backend: Backend, device: str = "xc7z020") -> Estimate:
    return estimate(*planned(name, device), backend=backend)


def figures_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every figure of an estimate's JSON."""
    if isinstance(value, dict) and {"value", "low", "high", "unit"} <= set(value):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from figures_in(part)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", GRAPHS)
def test_rows_add_up_to_what_the_planner_counts(name: str, backend: Backend) -> None:
    graph, plan = planned(name)
    found, flow = estimated(name, backend), realize(graph, plan)

    rows = sum((row.resources for row in found.processes), Resources())
    assert rows == (total(flow, load_device("xc7z020")) if backend == "hls" else rtl_resources(for_rtl(flow)) + SHELL)
    assert {kind: figure.value for kind, figure in found.synthesis.items()} == {k: getattr(rows, k) for k in KINDS}


@pytest.mark.parametrize("name", GRAPHS)
def test_cycles_are_those_of_the_plan_and_for_rtl_exact(name: str) -> None:
    graph, plan = planned(name)
    hls, rtl = estimated(name, "hls"), estimated(name, "rtl")
    timing = rtl_timing(for_rtl(realize(graph, plan)), 6)

    assert (hls.interval_cycles.value, hls.latency_cycles.value) == (plan.interval_cycles, plan.latency_cycles)
    for figure, want in ((rtl.interval_cycles, timing.bound), (rtl.latency_cycles, timing.latency_cycles)):
        assert figure.low == figure.value == figure.high == want
    assert hls.latency_cycles.low < hls.latency_cycles.value < hls.latency_cycles.high


@pytest.mark.parametrize("graph", [*GRAPHS.values(), *map(random_graph, (1, 9, 14, 34, 38, 126))], ids=lambda g: g.name)
def test_the_quick_latency_of_rtl_holds_the_exact_one(graph: Graph) -> None:
    device = load_device("xc7vx690t")
    for goal in (0, 300, 700):
        with suppress(FoldingError):
            plan = balance(graph, device, interval_cycles=goal)
            quick = rtl_latency(for_rtl(realize(graph, plan)), quick=True)
            assert quick.low <= rtl_timing(for_rtl(realize(graph, plan)), 6).latency_cycles <= quick.high


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("device", [device.name for device in devices()])
def test_every_figure_of_every_device_is_in_its_band_and_says_its_source(device: str, backend: Backend) -> None:
    found = json.loads(json.dumps(estimated("residual", backend, device).to_json()))
    figures = list(figures_in(found))

    assert len(figures) > 15
    for figure in figures:
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"], figure
        assert figure["source"] and figure["unit"], figure
    assert found["device"] == device and found["processes"] and found["bottleneck"]["text"]


def test_csynth_prints_more_luts_than_synthesis_makes() -> None:
    found = estimated("lenet", "hls")
    shell = next(row.resources for row in found.processes if row.name == "shell")

    for kind in ("lut", "ff", "bram18"):
        assert found.csynth[kind].value > found.synthesis[kind].value - getattr(shell, kind)
    assert found.csynth["dsp"].value == found.synthesis["dsp"].value
    assert not estimated("lenet", "rtl").csynth


def test_a_calibrated_model_stands_for_the_ratio_where_it_knows_a_process() -> None:
    graph, plan = planned("lenet")
    whole = estimate(graph, plan, csynth_model=lambda process, device: dict.fromkeys(KINDS, (10.0, 9.0, 11.0)))
    fifos = next(row.resources for row in whole.processes if row.name == "FIFOs")
    processes = sum(1 for row in whole.processes if row.op)

    assert whole.csynth["lut"].value == pytest.approx(10 * processes + fifos.lut / 0.46)
    assert whole.csynth["dsp"].low == 9 * processes
    assert (
        estimate(graph, plan, csynth_model=lambda process, device: None).csynth["lut"]
        == estimated("lenet", "hls").csynth["lut"]
    )


def test_the_power_of_a_small_design_on_a_pynq_z2_holds_what_was_measured() -> None:
    """1.58 to 1.76 W at the board's input, five designs (MLPerf Tiny)."""
    for name in GRAPHS:
        for backend in BACKENDS:
            board = estimated(name, backend).power.board
            assert board.holds(1.58) and board.holds(1.76), (name, backend, board.text())
            assert board.value == pytest.approx(1.65, rel=0.15)


def test_energy_is_power_times_time_and_its_dynamic_part_a_small_share() -> None:
    found = estimated("lenet", "rtl")
    assert found.energy.board.value == pytest.approx(found.power.board.value * found.interval_cycles.value / 100)
    assert found.energy.alone.value == pytest.approx(found.power.board.value * found.latency_cycles.value / 100)
    assert found.energy.dynamic.value < 0.3 * found.energy.board.value


def test_a_faster_clock_costs_dynamic_power_and_saves_board_energy() -> None:
    graph, plan = planned("lenet")
    slow, fast = (estimate(graph, plan, clock_mhz=mhz) for mhz in (50, 200))

    assert fast.power.dynamic.value == pytest.approx(4 * slow.power.dynamic.value)
    assert fast.energy.dynamic.value == pytest.approx(slow.energy.dynamic.value)
    assert fast.energy.board.value < slow.energy.board.value
    assert fast.frames_per_second.value == pytest.approx(4 * slow.frames_per_second.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", GRAPHS)
def test_the_relief_of_a_bottleneck_is_a_legal_faster_folding(name: str, backend: Backend) -> None:
    graph, plan = planned(name, goal=400)
    hold = estimate(graph, plan, backend=backend).bottleneck
    flow = realize(graph, plan)

    busy = [p.name for p in flow.processes if p.cycles == flow.bound]
    assert set(hold.names) >= set(busy) or backend == "rtl"
    if hold.reliefs:
        assert 0 < hold.interval_cycles < flow.bound
        for relief in hold.reliefs:
            process = flow.process(relief.process)
            process.op.check(relief.folding, process.name, *process.types)
            assert process.op.cycles(relief.folding, *process.types) == relief.cycles <= hold.interval_cycles


def test_figures_refuse_bands_that_leave_their_value_out_and_units_that_differ() -> None:
    with pytest.raises(ValueError, match="outside its band"):
        Figure(1.0, 2.0, 3.0, "W")
    with pytest.raises(ValueError, match="do not add"):
        Figure.exact(1, "W", "") + Figure.exact(1, "mW", "")
