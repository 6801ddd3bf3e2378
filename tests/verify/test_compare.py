"""Comparison: the first difference is the first, and nothing passes by not being compared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import VerificationError
from codesign.verify.compare import compare_values, first_difference

SHAPE = (3, 2, 2, 2)


@given(st.sets(st.integers(0, 23)))
def test_counts_and_places_differences(positions: set[int]) -> None:
    want = np.arange(24).reshape(SHAPE)
    got = want.copy()
    got.reshape(-1)[list(positions)] += 100
    found = first_difference("conv", want, got)
    if not positions:
        assert found is None
        return
    first = min(positions)
    assert found is not None
    assert (found.frame, found.index) == (first // 8, (first // 4 % 2, first // 2 % 2, first % 2))
    assert (found.want, found.got) == (first, first + 100)
    assert (found.codes, found.frames) == (len(positions), len({p // 8 for p in positions}))


def test_a_difference_reads_as_a_sentence() -> None:
    found = first_difference("stem.0", np.zeros(SHAPE, int), np.eye(24, 1, -13, int).reshape(SHAPE))
    assert str(found) == "frame 1, stem.0[1, 0, 1] (row, column, channel): want 0, got 1; 1 codes in 1 frames differ"


def test_the_first_layer_in_order_comes_first() -> None:
    wants = {name: np.zeros((2, 1, 1, 1), int) for name in ("c", "b", "a")}
    gots = {"b": np.ones((2, 1, 1, 1), int), "a": np.ones((2, 1, 1, 1), int)}
    comparison = compare_values(wants, gots, ("a", "b", "c"))
    assert comparison.first is not None
    assert comparison.first.layer == "a"
    assert (comparison.layers, comparison.codes, comparison.frames, comparison.mismatched_codes) == (
        ("a", "b"),
        4,
        2,
        4,
    )
    assert str(comparison).startswith(
        "4 of 4 codes of 2 values over 2 frames differ in 2 values and 2 frames; first: frame 0, a[0, 0, 0]"
    )


def test_frames_that_differ_in_several_layers_count_once() -> None:
    want = np.zeros((4, 1, 1, 1), int)
    a, b = want.copy(), want.copy()
    a[[0, 2]], b[[2, 3]] = 1, 1
    comparison = compare_values({"a": want, "b": want}, {"a": a, "b": b}, ("a", "b"))
    assert (comparison.mismatched_frames, comparison.mismatched_codes) == (3, 4)
    assert [(d.frame, d.frames) for d in comparison.differences] == [(0, 2), (2, 2)]


def test_equal_values_are_equal() -> None:
    values = {"a": np.zeros((2, 1, 1, 1), int)}
    comparison = compare_values(values, {"a": np.zeros((2, 1, 1, 1), np.uint8)}, ["a"])
    assert comparison.equal
    assert str(comparison) == "2 codes of 1 values over 2 frames are equal"


@pytest.mark.parametrize("gots", [{}, {"b": np.zeros((2, 1, 1, 1), int)}])
def test_nothing_compared_is_no_success(gots: dict[str, np.ndarray]) -> None:
    with pytest.raises(VerificationError, match="compare"):
        compare_values({"a": np.zeros((2, 1, 1, 1), int)}, gots, ["a", "b"])


@pytest.mark.parametrize(
    ("got", "words"),
    [(np.zeros((1, 2, 2, 2), int), "got .1, 2, 2, 2."), (np.zeros(SHAPE), "not float64"), (np.int64(3), "frame axis")],
)
def test_incomparable_arrays_are_refused(got: np.ndarray, words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        first_difference("conv", np.zeros(SHAPE, int), got)
