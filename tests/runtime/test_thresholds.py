"""Laws of the threshold sweep: every point is what counting frames gives, and a choice keeps its promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError, DataError
from codesign.runtime.thresholds import MAX_CODE, choose, sweep

codes = st.integers(0, 12) | st.sampled_from([0, 1, MAX_CODE - 1, MAX_CODE])
frames = st.lists(st.tuples(codes, st.booleans(), st.booleans()), min_size=1, max_size=40)


def columns(rows):
    return (np.array(column) for column in zip(*rows, strict=True))


def counted(rows, threshold, above):
    """Exit rate and accuracy at a threshold, frame by frame."""
    exits = [code > threshold if above else code < threshold for code, _, _ in rows]
    right = [early if stops else final for stops, (_, early, final) in zip(exits, rows, strict=True)]
    return sum(exits) / len(rows), sum(right) / len(rows)


@given(frames, st.booleans())
def test_every_point_is_what_counting_gives(rows, above):
    curve = sweep(*columns(rows), above=above)

    for k in range(len(curve)):
        point = curve.point(k)
        assert (point.exit_rate, point.accuracy) == counted(rows, point.threshold, above)
        assert 0 <= point.threshold <= MAX_CODE


@given(frames, st.integers(0, 14) | st.sampled_from([MAX_CODE - 1, MAX_CODE]), st.booleans())
def test_any_threshold_code_has_its_point(rows, threshold, above):
    point = sweep(*columns(rows), above=above).at(threshold, above=above)

    assert (point.exit_rate, point.accuracy) == counted(rows, threshold, above)


@given(frames, st.booleans())
def test_curve_runs_from_no_exits_to_looser_ones(rows, above):
    curve = sweep(*columns(rows), above=above)

    assert curve.exited_K[0] == 0
    assert (np.diff(curve.exited_K) > 0).all()
    assert (np.diff(curve.thresholds_K) * (-1 if above else 1) > 0).all()


@given(frames, st.sampled_from([0.0, 0.01, 0.1, 1.0]), st.booleans())
def test_a_choice_costs_no_more_than_allowed_and_the_next_looser_one_would(rows, drop, above):
    curve = sweep(*columns(rows), above=above)
    chosen = choose(curve, drop)
    k = curve.thresholds_K.tolist().index(chosen.threshold)
    limit = drop * curve.frames + int(curve.loss_K.min()) / 2

    assert curve.final_accuracy - chosen.accuracy <= drop + 1e-12
    assert curve.loss_K[k] <= limit
    assert (curve.loss_K[k + 1 :] > limit).all()


@given(frames, st.booleans())
def test_rates_of_the_parts_add_up(rows, above):
    curve = sweep(*columns(rows), above=above)

    for point in curve.thinned(5):
        parts = point.exit_rate * (point.exit_accuracy or 0) + (1 - point.exit_rate) * (point.rest_accuracy or 0)
        assert parts == pytest.approx(point.accuracy)


def test_an_exit_that_is_always_right_takes_every_frame():
    curve = sweep([3, 1, 2], [True] * 3, [True, False, True])

    assert choose(curve).exit_rate == 1.0


def test_half_of_the_gain_is_held_back():
    # Exiting gains two answers at code 0, then loses one frame at a time.
    early = [True, True, False, False, False]
    final = [False, False, True, True, True]

    assert choose(sweep([0, 0, 1, 2, 3], early, final)).threshold == 2


def test_the_strictest_integer_is_the_threshold():
    assert sweep([5, 9], [True] * 2, [True] * 2).thresholds_K.tolist() == [5, 6, 10]
    assert sweep([5, 9], [True] * 2, [True] * 2, above=True).thresholds_K.tolist() == [9, 8, 4]


@pytest.mark.parametrize("drop", [-0.1, 1.1, float("nan")])
def test_an_impossible_drop_is_named(drop):
    with pytest.raises(ConfigError, match=r"must be in 0\.\.1"):
        choose(sweep([1], [True], [True]), drop)


def test_frames_that_do_not_fit_together_are_named():
    with pytest.raises(DataError, match="not one row of frames") as caught:
        sweep([1, 2], [True], [True])
    assert "data.calibration" in caught.value.hint
    with pytest.raises(DataError, match="not one row of frames"):
        sweep([], [], [])
    with pytest.raises(DataError, match="unsigned 32-bit"):
        sweep([-1], [True], [True])
