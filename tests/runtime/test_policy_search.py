"""Laws of the search over (width, exit) cascades: what a chain is, what it costs, that the best is found, and the promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.runtime.goals import Goals
from codesign.runtime.lines import point
from codesign.runtime.policy_search import Choice, Said, recorded_of, search
from codesign.runtime.risk import uniform_bound, upper_bound
from codesign.runtime.stage_costs import StageCosts

WIDTHS, EXITS = (0.25, 0.5, 1.0), ("exit1", "final")
PAIRS = tuple((width, name) for width in WIDTHS for name in EXITS)
CYCLES = dict(zip(PAIRS, (100.0, 180.0, 250.0, 500.0, 700.0, 1500.0), strict=True))
REUSED = {((w, "exit1"), (w, "final")): CYCLES[w, "final"] - CYCLES[w, "exit1"] for w in WIDTHS}
COSTS = StageCosts(CYCLES, {pair: 1e-9 * c for pair, c in CYCLES.items()}, "by the test", REUSED, {}, clock_hz=1e8)
ALL = Choice(PAIRS, PAIRS[-1])


def said(seed: int, frames: int = 80, codes: int = 8) -> dict:
    """Harder frames are wrong more often, cheap pairs more than dear ones."""
    rng = np.random.default_rng(seed)
    hard_N = rng.random(frames)
    return {
        pair: Said(
            ((hard_N + rng.normal(0, 0.2, frames)).clip(0, 1) * codes).astype(np.int64),
            rng.random(frames) > hard_N * share,
        )
        for pair, share in zip(PAIRS, np.linspace(0.7, 0.1, len(PAIRS)), strict=True)
    }


def test_chains_get_wider_and_dearer_and_end_at_the_reference():
    chains = list(ALL.chains(COSTS))
    assert len(chains) == len(set(chains)) > 20
    for chain in chains:
        assert chain[-1] == PAIRS[-1]
        assert 2 <= len(chain) <= 4
        assert list(chain) == sorted(chain, key=lambda pair: (pair[0], CYCLES[pair]))
    assert ((0.25, "exit1"), (0.25, "final"), (0.5, "exit1"), (1.0, "final")) in chains
    assert all(len(chain) == 2 for chain in Choice(PAIRS, PAIRS[-1], 2).chains(COSTS))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(0, 19), st.lists(st.integers(0, 9), min_size=3, max_size=3))
def test_a_frame_pays_for_every_stage_that_it_comes_to(seed, which, thresholds):
    data, chains = said(seed), list(ALL.chains(COSTS))
    chain = chains[which]
    found = point(recorded_of(data, chain), thresholds[: len(chain) - 1])
    total = 0.0
    for n in range(80):
        before = None
        for index, pair in enumerate(chain):
            total += REUSED.get((before, pair), CYCLES[pair])
            before = pair
            if index < len(chain) - 1 and data[pair].ease_N[n] < thresholds[index]:
                break
    prices = COSTS.prices(chain, "cycles")
    assert prices.cycles(found.stops_KE)[0] * 80 == pytest.approx(total)
    assert prices.latency_us(found.stops_KE)[0] == pytest.approx(total / 80 / 100)
    assert prices.throughput(found.stops_KE)[0] == pytest.approx(1e8 * 80 / total)


@pytest.mark.parametrize("basis", ["cycles", "energy"])
@pytest.mark.parametrize("seed", range(4))
def test_the_cheapest_chain_is_found(seed, basis):
    """Against every chain and every threshold; the goal is met with the reserve of `Limits`."""
    data, choice = said(seed), Choice(PAIRS, PAIRS[-1], 3, basis)
    found = search(data, COSTS, Goals(max_accuracy_drop=0.03), choice, 0.05)
    right = int(data[PAIRS[-1]].right_N.sum())
    best = float(COSTS.of(PAIRS[-1:], basis)[0])
    for chain in choice.chains(COSTS):
        recorded, prices = recorded_of(data, chain), COSTS.prices(chain, basis)
        early = len(chain) - 1
        grid = np.stack(np.meshgrid(*[range(10)] * early), -1).reshape(-1, early)
        points = [point(recorded, row.tolist()) for row in grid]
        reserve = min(0, right - max(int(p.right_K[0]) for p in points)) / 2
        within = [p for p in points if right - int(p.right_K[0]) <= 0.03 * 80 + reserve]
        best = min([best, *(float(prices.cost_s(p.stops_KE)[0]) for p in within)])
    assert found.cost == pytest.approx(best)


def test_without_a_limit_on_accuracy_the_most_accurate_is_found():
    data = said(3)
    found = search(data, COSTS, Goals(max_energy=0.4), ALL, 0.05)
    assert found.prices.energy_uj(found.chosen.stops_KE)[0] <= 0.4 * (1 + 1e-9)
    cheap = search(data, COSTS, Goals(max_energy=0.25), ALL, 0.05)
    assert cheap.right <= found.right


def test_the_reference_alone_is_a_policy():
    data = said(0)
    found = search(data, COSTS, Goals(max_accuracy_drop=0.0), Choice(PAIRS, PAIRS[-1], 1), 0.05)
    assert found.chain == PAIRS[-1:]
    assert found.cost == CYCLES[PAIRS[-1]]
    assert (found.guarantee.epsilon, found.guarantee.spoiled) == (0.0, ())


def test_exits_of_a_width_come_in_their_order_whatever_they_cost():
    dear = StageCosts({**CYCLES, (0.25, "exit1"): 240.0}, {}, "by the test")
    chains = list(ALL.chains(dear))
    assert not [c for c in chains if {(0.25, "exit1"), (0.25, "final")} <= {*c}]
    assert ((0.25, "exit1"), (0.5, "exit1"), (1.0, "final")) in chains


def test_without_stages_before_it_the_reference_must_meet_the_goals():
    with pytest.raises(ConfigError, match="the last stage alone misses the goals"):
        search(said(0), COSTS, Goals(max_energy=1.0), Choice(PAIRS, PAIRS[-1], 1), 0.05)


def test_delta_is_shared_among_all_pairs_that_could_be_stages():
    found = search(said(1), COSTS, Goals(max_accuracy_drop=0.02), ALL, 0.05)
    bounds = [uniform_bound(k, 80, 0.05 / 5) for k in found.guarantee.spoiled]
    stops = found.chosen.thresholds_KJ[0] > 0
    assert found.guarantee.epsilon == pytest.approx(min(1.0, sum(np.array(bounds)[stops])))


def test_the_promise_holds_for_the_chain_that_was_chosen():
    """Chosen on 150 frames again and again, held against all: broken in at most delta of the draws."""
    world, delta, draws = said(7, frames=20_000, codes=30), 0.2, 60
    rng, broken = np.random.default_rng(0), 0
    for _ in range(draws):
        rows = rng.integers(0, 20_000, 150)
        drawn = {pair: Said(each.ease_N[rows], each.right_N[rows]) for pair, each in world.items()}
        found = search(drawn, COSTS, Goals(max_accuracy_drop=0.05), Choice(PAIRS, PAIRS[-1], 2), delta)
        if len(found.chain) == 1:
            continue
        early, last = world[found.chain[0]], world[found.chain[1]]
        stops_N = early.ease_N < found.chosen.thresholds_KJ[0, 0]
        broken += bool((stops_N & ~early.right_N & last.right_N).mean() > found.guarantee.epsilon)
    assert broken <= delta * draws


def test_a_risk_named_beforehand_is_kept_by_every_length():
    data = said(5, frames=3000, codes=40)
    found = search(data, COSTS, Goals(max_risk=0.05), Choice(PAIRS, PAIRS[-1], 3), 0.05)
    assert found.guarantee.epsilon == 0.05
    assert len(found.chain) > 1
    bounds = [upper_bound(k, 3000, 0.05 / (5 * 2)) for k in found.guarantee.spoiled]  # five pairs, two lengths
    assert max(bounds) <= 0.05 / len(bounds)
    with pytest.raises(ConfigError, match="cannot be promised on 3000 calibration frames"):
        search(data, COSTS, Goals(max_risk=0.0001), ALL, 0.05)


def test_what_is_not_known_cannot_be_limited():
    products = StageCosts(CYCLES, {}, "products, counted")
    with pytest.raises(ConfigError, match="no energy is known of these stages"):
        search(said(0), products, Goals(max_energy=1.0), ALL, 0.05)
    with pytest.raises(ConfigError, match="no energy is known"):
        search(said(0), products, Goals(max_accuracy_drop=0.0), Choice(PAIRS, PAIRS[-1], 2, "energy"), 0.05)
    with pytest.raises(ConfigError, match="no clock is known"):
        search(said(0), products, Goals(max_latency=1.0), ALL, 0.05)
    with pytest.raises(ConfigError, match=r"--max-energy: 0\.01 is out of reach"):
        search(said(0), COSTS, Goals(max_energy=0.01), ALL, 0.05)
