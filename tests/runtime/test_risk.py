"""The promise holds: exact tails, thresholds chosen in the worst way, and 200 draws of frames that a real network answered."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError
from codesign.runtime.goals import Goals, Speed
from codesign.runtime.lines import Recorded
from codesign.runtime.risk import budget, frames_needed, promise, uniform_bound, upper_bound
from codesign.runtime.tuning import tune

DRAWS, DELTA = 200, 0.1
SPEED = Speed(1e8, 784, 1078, (50e-6,), (80e-6,))
# Confidence codes and right answers of LeNet-5 on 14,000 MNIST frames (the calibration and test splits of
# configs/lenet5_mnist.toml), quantized: `code` (N,), `early_right` and `final_right` as bits.
RECORDED = Path(__file__).with_name("lenet5_mnist_exits.npz")


def mnist() -> Recorded:
    with np.load(RECORDED) as arrays:
        codes_N = arrays["code"].astype(np.int64)
        right_EN = np.array([np.unpackbits(arrays[f"{which}_right"])[: len(codes_N)] for which in ("early", "final")])
    return Recorded(codes_N[None], right_EN.astype(bool))


def part(recorded: Recorded, rows_N: np.ndarray) -> Recorded:
    return Recorded(recorded.ease_JN[:, rows_N], recorded.right_EN[:, rows_N])


def risk(recorded: Recorded, thresholds_J: np.ndarray) -> float:
    """The share of frames that stop early, are wrong there, and right at the last exit."""
    stops_JN = recorded.ease_JN < thresholds_J[:, None]
    exit_N = np.where(stops_JN.any(axis=0), stops_JN.argmax(axis=0), recorded.early)
    right_N = recorded.right_EN[exit_N, np.arange(recorded.frames)]
    return float((~right_N & recorded.right_EN[-1]).mean())


def exact_tail(k: int, n: int, p: Fraction) -> Fraction:
    return sum((math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)), Fraction(0))


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([0.3, 0.05, 1e-3, 1e-9]))
def test_the_bound_is_the_exact_binomial_tail_rounded_up(n, k, delta):
    k = min(k, n)
    bound = upper_bound(k, n, delta)

    if k == n:
        assert bound == 1
    else:
        assert exact_tail(k, n, Fraction(bound)) <= Fraction(delta)
        assert exact_tail(k, n, Fraction(bound) * Fraction(1 - 1e-8)) > Fraction(delta)


def test_no_spoiled_frame_is_the_rule_of_three():
    for n in (100, 4000, 100_000):
        assert upper_bound(0, n, 0.05) == pytest.approx(1 - 0.05 ** (1 / n), rel=1e-8)


def test_bounds_of_large_sets_are_finite_and_grow():
    bounds = [upper_bound(k, 60_000, 0.01) for k in (0, 1, 10, 1000, 30_000, 59_999, 60_000)]
    assert bounds == sorted(bounds)
    assert bounds[4] == pytest.approx(0.5 + 2.326 * math.sqrt(0.25 / 60_000), rel=1e-3)


@given(
    st.integers(1, 5000), st.sampled_from([0.0005, 0.001, 0.01, 0.2]), st.sampled_from([0.01, 0.1]), st.integers(1, 3)
)
def test_a_budget_is_the_largest_count_that_fits(n, epsilon, delta, exits):
    k = budget(epsilon, n, delta, exits)

    if k >= 0:
        assert upper_bound(k, n, delta / exits) <= epsilon / exits
    if k < n:
        assert upper_bound(k + 1, n, delta / exits) > epsilon / exits
    assert (k >= 0) == (n >= frames_needed(epsilon, delta, exits))


def test_shares_of_delta_add_up_to_it():
    assert sum(Fraction(1, (k + 1) * (k + 2)) for k in range(1000)) == 1 - Fraction(1, 1001)


@pytest.mark.parametrize("n", [200, 3000])
def test_the_uniform_promise_holds_at_every_threshold_at_once(n):
    """Frames with a known risk at every threshold; the threshold that looks best for a violation is tried each time.

    Difficulty is uniform on 0..1, frames spoil with a chance that grows with it: R(t) = t**3 / 30 exactly.
    """
    rng, broken, plain = np.random.default_rng(n), 0, 0
    for _ in range(1000):
        u_N = np.sort(rng.random(n))
        spoiled_N = rng.random(n) < u_N**2 / 10
        counts = np.cumsum(spoiled_N)
        ends = np.append(u_N[spoiled_N], 1.0)  # the loosest thresholds with 0, 1, 2, ... spoiled frames, as suprema
        truth = ends**3 / 30
        broken += any(r > uniform_bound(k, n, DELTA) for k, r in enumerate(truth))
        plain += any(r > upper_bound(k, n, DELTA) for k, r in enumerate(truth))
        assert counts[-1] == len(ends) - 1
    assert broken <= DELTA * 1000
    assert plain > DELTA * 1000, "a bound without a share for every count does not hold for a threshold chosen at will"


@pytest.mark.parametrize("exits", [1, 2])
@pytest.mark.parametrize("goals", [Goals(max_accuracy_drop=0.01), Goals(max_risk=0.06)], ids=["drop", "risk"])
def test_promises_hold_for_frames_with_a_known_risk(exits, goals):
    """A population of 20,000 frames; each draw with replacement makes its risk the exact one."""
    rng = np.random.default_rng(5)
    size, n = 20_000, 400 if exits == 1 else 150
    hard_N = rng.random(size)
    ease_JN = ((hard_N + rng.normal(0, 0.15, (exits, size))).clip(0, 1) * 1000).astype(np.int64)
    right_EN = rng.random((exits + 1, size)) > hard_N**2 * np.linspace(0.3, 0.05, exits + 1)[:, None]
    population, speed = Recorded(ease_JN, right_EN), Speed(1e8, 784, 1078, (5e-5,) * exits, (8e-5,) * exits)
    draws, exceeded = DRAWS if exits == 1 else 20, 0
    for _ in range(draws):
        tuned = tune(part(population, rng.integers(0, size, n)), goals, speed, DELTA)
        exceeded += risk(population, tuned.chosen.thresholds_KJ[0]) > tuned.guarantee.epsilon
    assert exceeded <= DELTA * draws


@pytest.mark.parametrize(
    "goals",
    [Goals(max_accuracy_drop=0.001), Goals(max_accuracy_drop=0.0), Goals(max_risk=0.003), Goals(min_exit_rate=0.97)],
    ids=["drop 0.001", "drop 0", "risk 0.003", "exit rate 0.97"],
)
@pytest.mark.parametrize("n", [1000, 4000])
def test_promises_hold_on_200_random_splits_of_recorded_logits(goals, n):
    """Thresholds chosen on n frames, the risk counted on the others: above epsilon in at most delta of the splits."""
    recorded, rng = mnist(), np.random.default_rng(1)
    exceeded, plug_in, epsilons = 0, 0, []
    for _ in range(DRAWS):
        order = rng.permutation(recorded.frames)
        calibration, test = part(recorded, order[:n]), part(recorded, order[n:])
        if goals.max_risk is not None and budget(goals.max_risk, n, DELTA) < 0:
            pytest.fail("too few frames for this goal")
        tuned = tune(calibration, goals, SPEED, DELTA)
        assert (tuned.guarantee.delta, tuned.guarantee.n) == (DELTA, n)
        seen = risk(test, tuned.chosen.thresholds_KJ[0])
        exceeded += seen > tuned.guarantee.epsilon
        plug_in += seen > tuned.guarantee.spoiled[0] / n
        epsilons.append(tuned.guarantee.epsilon)
    assert exceeded <= DELTA * DRAWS
    assert plug_in > DELTA * DRAWS, "the share seen on the calibration frames is no promise"
    assert np.median(epsilons) < 0.02


def test_exits_share_delta():
    one, two = promise([3], 4000, DELTA), promise([3, 0], 4000, DELTA)
    assert one.epsilon == uniform_bound(3, 4000, DELTA)
    assert two.epsilon == uniform_bound(3, 4000, DELTA / 2) + uniform_bound(0, 4000, DELTA / 2)
    assert promise([3, None], 4000, DELTA).epsilon == uniform_bound(3, 4000, DELTA / 2)
    assert promise([None], 4000, DELTA).epsilon == 0


@pytest.mark.parametrize("delta", [0.0, 1.0, -1, float("nan")])
def test_an_impossible_delta_is_named(delta):
    with pytest.raises(ConfigError, match="no chance to be wrong"):
        promise([0], 10, delta)


def test_too_few_frames_for_a_risk_says_how_many_it_takes():
    few = part(mnist(), np.arange(500))
    with pytest.raises(ConfigError, match="cannot be promised on 500") as caught:
        tune(few, Goals(max_risk=0.001), SPEED, 0.05)
    assert "2995 frames" in caught.value.hint
    assert frames_needed(0.001, 0.05) == 2995
