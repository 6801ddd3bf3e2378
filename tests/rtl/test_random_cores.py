"""Random networks at random foldings: golden == RTL with and without stalls, and every output beat in the computed cycle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl.cores import compile_cores, needs_verilator
from strategies import random_codes, random_graph

from codesign.errors import FoldingError
from codesign.ir import Graph
from codesign.plan.build import build
from codesign.plan.dataflow import MAX_BEAT_BITS, Dataflow, legal
from codesign.plan.exact import beat_cycles, for_rtl, rtl_timing

FRAMES = 4


def random_flow(graph: Graph, seed: int) -> Dataflow | None:
    """The graph at random legal foldings, or None where beats get too wide."""
    rng, types = np.random.default_rng(seed), graph.types
    foldings = {}
    for node in graph.nodes:
        if not node.op.view:
            x = tuple(types[source] for source in node.inputs)
            fits = [f for f in legal(node.op, x) if f.lanes * x[0].dtype.bits <= MAX_BEAT_BITS // 4]
            if not fits:
                return None
            foldings[node.name] = fits[rng.integers(len(fits))]
    try:
        return for_rtl(build(graph, foldings))
    except FoldingError:
        return None


def networks(first: int, count: int) -> list[tuple[Graph, Dataflow]]:
    found: list[tuple[Graph, Dataflow]] = []
    seed = first
    while len(found) < count:
        graph = random_graph(seed, max_layers=3)
        if (flow := random_flow(graph, seed)) is not None:
            found.append((graph, flow))
        seed += 1
    return found


def check(first: int, count: int, folder: Path) -> None:
    graphs, flows = zip(*networks(first, count), strict=True)
    codes = [random_codes(graph, FRAMES, first) for graph in graphs]
    cores = compile_cores(graphs, flows, folder)

    for stall, seed in ((0, 1), (64, 2), (200, 3)):
        assert cores.check(codes, stall=stall, seed=seed) == []
    for graph, flow, counted in zip(graphs, flows, cores.cycles(codes), strict=True):
        computed = beat_cycles(flow, FRAMES)
        assert np.array_equal(counted[0], computed), graph.name
        assert rtl_timing(flow, FRAMES).latency_cycles == counted[0][len(computed) // FRAMES - 1] + 1, graph.name


@needs_verilator
def test_random_cores(tmp_path: Path) -> None:
    check(100, 3, tmp_path)


@pytest.mark.slow
@needs_verilator
@pytest.mark.parametrize("first", range(1000, 1600, 100))
def test_many_random_cores(first: int, tmp_path: Path) -> None:
    check(first, 10, tmp_path)


def test_the_busiest_process_never_waits() -> None:
    for graph, flow in networks(3000, 40):
        timing = rtl_timing(flow, 12)

        assert timing.interval_cycles == timing.bound == flow.bound, graph.name
        assert all(timing.occupancy[c.name] <= c.depth for c in flow.channels), graph.name
