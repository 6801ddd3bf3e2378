"""The resource estimate of RTL designs: nothing is missing, it is fast, and it is near what Yosys finds."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict

import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from strategies import random_graph

from codesign.cost.rtl import rtl_breakdown, rtl_resources
from codesign.devices import load_device
from codesign.emit.rtl import emit_rtl
from codesign.ir import Graph
from codesign.plan.balance import balance
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.plan.exact import for_rtl
from codesign.plan.plan import realize
from codesign.verify.synth import synthesize


def planned(graph: Graph, interval: int) -> Dataflow:
    return for_rtl(realize(graph, balance(graph, load_device("xc7vx690t"), interval_cycles=interval)))


@pytest.mark.parametrize("graph", [lenet_branch(12), residual_branch(), depthwise_branch()], ids=lambda g: g.name)
def test_every_process_has_a_price_and_the_parts_make_the_whole(graph: Graph) -> None:
    flow = planned(graph, 300)
    rows, whole = rtl_breakdown(flow), rtl_resources(flow)

    assert {p.name for p in flow.processes} <= set(rows)
    for kind, total in asdict(whole).items():
        assert total == sum(asdict(row)[kind] for row in rows.values())
    assert whole.lut > 300 and whole.ff > 300


def test_faster_takes_more_multipliers_until_weights_are_constants() -> None:
    """At four pixels a cycle both convolutions are unfolded, and multiply in LUTs."""
    slow, fast, unfolded = (rtl_resources(planned(lenet_branch(), interval)) for interval in (3136, 784, 196))

    assert max(slow.dsp, unfolded.dsp) < fast.dsp
    assert slow.lut < fast.lut < unfolded.lut


def test_any_graph_has_a_price() -> None:
    for seed in range(30):
        graph = random_graph(seed)
        assert rtl_resources(for_rtl(build(graph, {})), ports=False).lut > 0, seed


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="needs pyosys")
@pytest.mark.parametrize(
    ("graph", "interval"), [(lenet_branch(12), 300), (residual_branch(), 1000), (depthwise_branch(), 300)]
)
def test_the_estimate_is_within_15_per_cent_of_yosys(graph: Graph, interval: int) -> None:
    """A few designs; `benchmarks/rtl_resources.py` has thirty and more."""
    flow = planned(graph, interval)
    found = synthesize(emit_rtl(flow, top="dut", exit_name="exit1").files, "dut", timing=False).to_json()

    for kind, value in asdict(rtl_resources(flow)).items():
        assert abs(value - found[kind]) <= max(0.15 * found[kind], 1), (kind, value, found[kind])
