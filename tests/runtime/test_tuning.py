"""Laws of tuning: points are what counting gives, the choice is the best there is, and goals that cannot be met are named."""

from __future__ import annotations

import csv
import io
import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ConfigError, DataError
from codesign.runtime import tuning
from codesign.runtime.curve import curve_csv, curve_svg
from codesign.runtime.goals import Goals, Limits, Speed, exit_rate, reach
from codesign.runtime.lines import Recorded, ease, line, point, together
from codesign.runtime.thresholds import MAX_CODE, choose, sweep
from codesign.runtime.tuning import tune

WATTS = (2.0, 1.5, 3.0)


def speed(exits=1, workers=1):
    """The second stage is ten times as slow as the accelerator, the third slower still."""
    host_s = tuple(1e-4 * (k + 1) for k in range(exits))
    return Speed(1e8, 1000, 1500, host_s, tuple(2 * s for s in host_s), workers, WATTS)


def recorded(seed, exits=2, frames=60, codes=12):
    """Harder frames are wrong more often, early exits more than late ones."""
    rng = np.random.default_rng(seed)
    hard_N = rng.random(frames)
    ease_JN = ((hard_N + rng.normal(0, 0.2, (exits, frames))).clip(0, 1) * codes).astype(np.int64)
    right_EN = rng.random((exits + 1, frames)) > hard_N * np.linspace(0.5, 0.1, exits + 1)[:, None]
    return Recorded(ease_JN, right_EN)


def counted(data, thresholds):
    """Stops by exit, right answers and spoiled frames, frame by frame."""
    stops, right = [0] * (data.early + 1), 0
    for n in range(data.frames):
        exit_ = next((j for j in range(data.early) if data.ease_JN[j, n] < thresholds[j]), data.early)
        stops[exit_] += 1
        right += bool(data.right_EN[exit_, n])
    spoiled = [
        sum(
            data.ease_JN[j, n] < thresholds[j] and not data.right_EN[j, n] and bool(data.right_EN[-1, n])
            for n in range(data.frames)
        )
        for j in range(data.early)
    ]
    return stops, right, spoiled


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 3), st.lists(st.integers(0, 13), min_size=3, max_size=3))
def test_every_point_of_a_line_is_what_counting_gives(seed, exits, others):
    data = recorded(seed, exits)
    for axis in range(exits):
        points = line(data, others[:exits], axis)
        for k in range(len(points)):
            thresholds = points.thresholds_KJ[k].tolist()
            assert [t for j, t in enumerate(thresholds) if j != axis] == [
                t for j, t in enumerate(others[:exits]) if j != axis
            ]
            stops, right, spoiled = counted(data, thresholds)
            assert points.stops_KE[k].tolist() == stops
            assert (points.right_K[k], points.spoiled_KJ[k].tolist()) == (right, spoiled)
            alone = point(data, thresholds)
            assert (alone.stops_KE[0].tolist(), alone.right_K[0], alone.spoiled_KJ[0].tolist()) == (
                stops,
                right,
                spoiled,
            )


def test_one_exit_gives_the_curve_of_the_sweep():
    data = recorded(3, exits=1, frames=300, codes=100)
    points, curve = line(data, [0], 0), sweep(data.ease_JN[0], data.right_EN[0], data.right_EN[1])
    np.testing.assert_array_equal(points.stops_KE[:, 0], curve.exited_K)
    np.testing.assert_array_equal(data.final_right - points.right_K, curve.loss_K)


@pytest.mark.parametrize("drop", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seed", range(4))
def test_one_exit_and_a_drop_is_what_choose_chooses(seed, drop):
    data = recorded(seed, exits=1, frames=300, codes=100)
    want = choose(sweep(data.ease_JN[0], data.right_EN[0], data.right_EN[1]), drop)
    got = tune(data, Goals(max_accuracy_drop=drop), speed(), 0.1).chosen
    assert exit_rate(got.stops_KE)[0] == pytest.approx(want.exit_rate)


GOALS = [
    Goals(max_accuracy_drop=0.02),
    Goals(max_risk=0.3),
    Goals(min_throughput=20_000),
    Goals(max_latency=150),
    Goals(max_energy=100),
    Goals(min_exit_rate=0.6),
    Goals(max_accuracy_drop=0.05, min_throughput=12_000),
    Goals(min_throughput=12_000, min_exit_rate=0.3, max_latency=250),
]


@pytest.mark.parametrize("goals", GOALS, ids=lambda goals: ",".join(goals.given()))
@pytest.mark.parametrize("exits", [1, 2])
def test_nothing_better_is_found_by_trying_all(goals, exits):
    """Every vector of thresholds there is, held against the same limits."""
    for seed in range(3):
        data, parts = recorded(seed, exits), speed(exits)
        every = together([point(data, t) for t in itertools.product(range(14), repeat=exits)])
        best_loss = data.final_right - int(every.right_K.max())
        limits = Limits(goals, parts, data.final_right, best_loss, _budget(goals, data))
        row = limits.best(every)
        if row is None:
            with pytest.raises(ConfigError, match="all goals at once"):
                tune(data, goals, parts, 0.2)
            continue
        tuned = tune(data, goals, parts, 0.2)
        assert limits.meets(tuned.chosen)[0]
        assert _rank(goals, parts, tuned.chosen, 0) == pytest.approx(_rank(goals, parts, every, row))


def _budget(goals, data):
    from codesign.runtime.risk import budget

    return -1 if goals.max_risk is None else budget(goals.max_risk, data.frames, 0.2, data.early)


def _rank(goals, parts, points, row):
    cost, right = float(parts.cost_s(points.stops_KE)[row]) * 1e6, int(points.right_K[row])
    return (cost, right) if goals.for_speed else (right, cost)


def test_three_exits_come_close_to_the_best():
    data, parts, goals = recorded(7, exits=3, frames=80), speed(3), Goals(max_accuracy_drop=0.03)
    every = together([point(data, t) for t in itertools.product(range(14), repeat=3)])
    limits = Limits(goals, parts, data.final_right, data.final_right - int(every.right_K.max()), -1)
    best = parts.cost_s(every.stops_KE)[limits.best(every)]
    tuned = tune(data, goals, parts, 0.2)
    assert limits.meets(tuned.chosen)[0]
    assert parts.cost_s(tuned.chosen.stops_KE)[0] <= 1.05 * best


def test_a_closer_lattice_finds_better_thresholds(monkeypatch):
    """With thousands of thresholds an exit, the first lattice is too wide."""
    rng = np.random.default_rng(2)
    hard_N = rng.random(3000) ** 2
    ease_JN = ((hard_N + rng.normal(0, 0.08, (3, 3000))).clip(0, 1) * 1e6).astype(np.int64)
    right_EN = rng.random((4, 3000)) > hard_N * np.linspace(0.4, 0.05, 4)[:, None]
    data, parts, goals = Recorded(ease_JN, right_EN), speed(3), Goals(max_accuracy_drop=0.005)
    monkeypatch.setattr(tuning, "LINES", 64)
    costs = []
    for rounds in (1, 8):
        monkeypatch.setattr(tuning, "ROUNDS", rounds)
        costs.append(float(parts.cost_s(tune(data, goals, parts, 0.2).chosen.stops_KE)[0]))
    assert costs[1] < 0.99 * costs[0]


def test_what_the_parts_can_do():
    stops_KE = np.array([[100, 0, 0], [50, 25, 25], [0, 0, 100]])
    parts = speed(2)
    np.testing.assert_allclose(reach(stops_KE), [[0, 0], [0.5, 0.25], [1, 1]])
    np.testing.assert_allclose(parts.throughput(stops_KE), [1e5, 1e4, 1 / 3e-4])
    np.testing.assert_allclose(parts.latency_us(stops_KE), [15, 15 + 200, 15 + 600])
    np.testing.assert_allclose(parts.energy_uj(stops_KE), [20, 200, 600])
    np.testing.assert_allclose(parts.energy_uj(stops_KE, 2), [30, 300, 900])
    np.testing.assert_allclose(speed(2, workers=10).throughput(stops_KE), [1e5, 1e5, 1 / 3e-5])
    assert parts.break_even() == pytest.approx(0.9)
    assert speed(1, workers=20).break_even() == 0


@pytest.mark.parametrize(
    ("goals", "option", "hint"),
    [
        (Goals(min_throughput=2e5), "--min-throughput", "100000"),
        (Goals(max_latency=10), "--max-latency", "15"),
        (Goals(max_energy=1), "--max-energy", "20"),
    ],
)
def test_a_goal_out_of_reach_says_what_can_be_had(goals, option, hint):
    with pytest.raises(ConfigError, match="out of reach") as caught:
        tune(recorded(0, exits=1), goals, speed(), 0.1)
    assert caught.value.where == option
    assert f"is {hint}" in caught.value.hint


def test_goals_that_fail_together_are_all_named():
    with pytest.raises(ConfigError, match="all goals at once") as caught:
        tune(recorded(0, exits=1), Goals(min_exit_rate=1.0, max_accuracy_drop=0.0), speed(), 0.1)
    assert "--max-accuracy-drop, --min-exit-rate" in caught.value.where


def test_no_goal_and_impossible_limits_are_named():
    with pytest.raises(ConfigError, match="no goal"):
        Goals()
    for wrong in ({"max_accuracy_drop": 1.5}, {"min_throughput": -1}, {"max_latency": float("nan")}):
        with pytest.raises(ConfigError, match="is no limit"):
            Goals(**wrong)


def test_energy_without_a_board_is_named():
    unknown = Speed(1e8, 1000, 1500, (1e-4,), (1e-4,))
    with pytest.raises(ConfigError, match="no power is known") as caught:
        tune(recorded(0, exits=1), Goals(max_energy=100), unknown, 0.1)
    assert "--board-watts" in caught.value.hint


def test_frames_that_do_not_fit_together_are_named():
    with pytest.raises(DataError, match="1 exits of 0 frames"):
        Recorded(np.zeros((1, 0), np.int64), np.zeros((2, 0), bool))


@given(st.lists(st.integers(0, 30) | st.sampled_from([MAX_CODE - 1, MAX_CODE]), min_size=1), st.integers(0, MAX_CODE))
def test_ease_turns_margins_round(codes, threshold):
    codes_N = np.array(codes)
    stops_N = ease(codes_N, above=True) < ease(np.int64(threshold), above=True)
    np.testing.assert_array_equal(stops_N, codes_N > threshold)


def test_the_curve_runs_from_no_exits_to_all():
    tuned = tune(recorded(1, exits=2, frames=400, codes=200), Goals(max_accuracy_drop=0.01), speed(2), 0.1)
    rates_K = exit_rate(tuned.curve.stops_KE)
    assert rates_K[0] == 0
    assert rates_K[-1] == 1
    assert (np.diff(rates_K) > 0).all()
    assert len(tuned.curve) > 50


def _rows():
    return [
        {
            "thresholds": [0.1 * k, 0.2 * k],
            "threshold_codes": [10 * k, 20 * k],
            "exit_rates": [0.08 * k, 0.02 * k],
            "exit_rate": 0.1 * k,
            "accuracy": 0.99 - 0.001 * k,
            "accuracy_drop": 0.001 * k,
            "epsilon": 0.002 * (k + 1),
            "throughput": 1000.0 * k,
            "latency_us": 20.0,
            "energy_uj": [3.0, 2.0, 4.0] if k else None,
        }
        for k in range(11)
    ]


def test_the_curve_as_csv_has_a_column_for_every_exit():
    table = list(csv.DictReader(io.StringIO(curve_csv(_rows()))))
    assert len(table) == 11
    assert float(table[4]["threshold_2"]) == pytest.approx(0.8)
    assert (table[0]["energy_uj"], table[1]["energy_high_uj"]) == ("", "4.0")


def test_the_curve_as_svg_shows_every_point_inside_the_page():
    rows = _rows()
    chosen = {**rows[5], "final_accuracy": 0.99, "guarantee": {"epsilon": 0.01, "delta": 0.05, "n": 400}}
    page = ElementTree.fromstring(curve_svg(rows, chosen))
    _, _, width, height = map(float, page.attrib["viewBox"].split())
    name = "{http://www.w3.org/2000/svg}"
    (curve,) = [p for p in page.iter(f"{name}polyline") if p.get("stroke-width") == "2"]
    points = [tuple(map(float, pair.split(","))) for pair in curve.attrib["points"].split()]
    assert len(points) == 11
    assert all(0 < x < width and 0 < y < height for x, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    (dot,) = page.iter(f"{name}circle")
    assert (float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx(points[5], abs=0.1)
    assert "95 % confidence from 400 frames" in "".join(page.itertext())


def test_a_flat_curve_is_drawn_too():
    row = {**_rows()[3], "accuracy": 1.0, "accuracy_drop": 0.0, "epsilon": 0.0}
    chosen = {**row, "final_accuracy": 1.0, "guarantee": {"epsilon": 0.0, "delta": 0.05, "n": 1}}
    assert ElementTree.fromstring(curve_svg([row], chosen)) is not None
