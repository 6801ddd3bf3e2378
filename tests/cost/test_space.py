"""Design spaces: every price is the scalar oracle's, the exact front is the one of all designs, a point becomes a plan."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from graphs import depthwise_branch, residual_branch

from codesign.cost.oracle import BACKENDS, Backend, estimate
from codesign.cost.pareto import Work, front, minimal
from codesign.cost.points import config_table, planned
from codesign.cost.prices import NEVER, Pricer
from codesign.cost.rtl import rtl_breakdown
from codesign.cost.space import Space, space
from codesign.devices import load_device
from codesign.errors import FoldingError
from codesign.ir.graph import Graph
from codesign.passes.sketch import parse_sketch
from codesign.passes.sketch_graph import sketch_graph
from codesign.passes.split import split
from codesign.plan.balance import balance
from codesign.plan.budget import SHELL, total
from codesign.plan.build import build
from codesign.plan.plan import realize

SMALL = """
image 4x4x1
stem = conv2d:->2,k3,p1,relu
exit1.linear = dense:->3
more = conv2d:->2,k3,p1,relu @ stem
last = dense:->3
exit exit1 = exit1.linear
exit final = last
"""
POOLED = SMALL.replace("exit1.linear", "pool = max_pool,k2\nexit1.linear", 1).replace(
    "k3,p1,relu\npool", "k2,relu\npool"
)


@cache
def head(text: str) -> Graph:
    return split(sketch_graph(parse_sketch(text), "small")).head


@cache
def small(backend: Backend = "hls", text: str = SMALL) -> Space:
    return space(head(text), load_device("xc7z020"), backend, several=False, fabric=backend == "hls")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("graph", [residual_branch(), depthwise_branch(), head(SMALL)], ids=lambda g: g.name)
def test_every_price_is_the_scalar_oracles(graph: Graph, backend: Backend) -> None:
    device = load_device("xc7z020")
    whole = space(graph, device, backend)
    rng = np.random.default_rng(3)
    picks = np.column_stack([rng.integers(0, len(c.options), 25) for c in whole.choices])
    prices = Pricer(whole).price(picks)

    for row, interval, taken in zip(picks.tolist(), prices.interval_N, prices.taken_NK, strict=True):
        foldings, fabric = whole.foldings(row)
        try:
            flow = build(graph, foldings, fabric)
        except FoldingError:
            assert interval >= NEVER
            continue
        if backend == "hls":
            want = total(flow, device)
        else:
            want = sum((r for name, r in rtl_breakdown(flow).items() if name != "ports"), SHELL)
        assert (interval, *taken) == (flow.bound, want.dsp, want.lut, want.ff, want.bram18)


@pytest.mark.parametrize(("backend", "text"), [("hls", SMALL), ("rtl", SMALL), ("rtl", POOLED)])
def test_the_front_by_pruned_sums_is_the_front_of_all_designs(backend: Backend, text: str) -> None:
    whole, work = small(backend, text), Work()
    count, brute = Pricer(whole).front()
    sums = sorted((p.interval_cycles, *p.taken) for p in front(whole, work=work))

    assert count == whole.designs > 2_000 and len(brute) > 3
    assert sums == brute
    assert work.priced < count


def test_a_points_options_give_its_price_and_bounds_hold() -> None:
    whole = small()
    points = front(whole)
    prices = Pricer(whole).price(np.array([p.picks for p in points]))
    assert prices.interval_N.tolist() == [p.interval_cycles for p in points]
    assert list(map(tuple, prices.taken_NK.tolist())) == [p.taken for p in points]

    middle = points[len(points) // 2].interval_cycles
    some = front(whole, least=middle, most=2 * middle)
    assert some and all(middle <= p.interval_cycles <= 2 * middle for p in some)


def test_nothing_on_the_front_takes_more_than_the_device_has() -> None:
    tight = replace(load_device("xc7z020"), lut=8_500, dsp=4)
    cramped = space(head(SMALL), tight, several=False, fabric=True)
    points = front(cramped)
    assert points and sorted((p.interval_cycles, *p.taken) for p in points) == Pricer(cramped).front()[1]
    assert all(p.taken[0] <= 4 and p.taken[1] <= 0.85 * 8_500 for p in points)
    assert len(points) < len(front(space(head(SMALL), load_device("xc7z020"), several=False, fabric=True)))


def test_energy_never_prefers_a_design_off_the_front() -> None:
    """Board and dynamic energy grow with the interval and with every resource."""
    from codesign.cost.power import power
    from codesign.plan.budget import Resources

    device = load_device("xc7z020")
    base = Resources(10, 5000, 4000, 8)

    def joules(taken: Resources, interval: int) -> tuple[float, float]:
        watts = power(taken, device, 100.0)
        return watts.board.value * interval, watts.dynamic.value * interval

    for kind in ("dsp", "lut", "ff", "bram18"):
        more = base + Resources(**{kind: 1})
        assert all(b > a for a, b in zip(joules(base, 784), joules(more, 784), strict=True))
    assert all(b > a for a, b in zip(joules(base, 784), joules(base, 785), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_minimal_keeps_exactly_the_rows_that_none_undercuts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 12, (700, 4))
    kept = {tuple(row) for row in rows[minimal(rows)].tolist()}
    want = {
        tuple(row) for row in rows.tolist() if not any((other <= row).all() and (other < row).any() for other in rows)
    }
    assert kept == want and len(minimal(rows)) == len(want)


def test_a_point_becomes_a_plan_that_the_oracle_prices() -> None:
    whole = small()
    for point in front(whole)[::7]:
        plan = planned(whole, point.picks, clock_mhz=150.0)
        found = estimate(whole.graph, plan)
        assert realize(whole.graph, plan).bound == plan.interval_cycles == point.interval_cycles
        assert found.clock_mhz == 150.0
        for kind, base in zip(("dsp", "lut", "ff", "bram18"), point.taken, strict=True):
            assert found.synthesis[kind].value >= base  # deeper FIFOs only add


def test_the_foldings_of_a_point_are_good_for_a_config() -> None:
    whole = small()
    point = front(whole)[0]
    table = config_table(planned(whole, point.picks), whole)
    again = balance(whole.graph, whole.device, foldings=table, drains=True)
    assert {name: (again.foldings[name].pe, again.foldings[name].simd) for name in table} == dict(table)
