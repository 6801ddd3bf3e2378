"""What a transfer must be: each demand alone, on transfers that are right in everything else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from cascades import EXPECT, THRESHOLDS, FakeAccelerator, FakeClock, frames, says, truth
from hypothesis import given
from hypothesis import strategies as st

from codesign.runtime.dispatch_check import check_decisions, check_transfer
from codesign.runtime.dispatch_types import Decisions, Transfer, TransferError

COUNT, THRESHOLD = 40, int(THRESHOLDS[0])


def whole(count: int = COUNT, threshold: int = THRESHOLD) -> Transfer:
    return FakeAccelerator(FakeClock()).answer(frames(count), threshold)


def refused(transfer: Transfer, count: int = COUNT) -> tuple[str, str]:
    with pytest.raises(TransferError) as caught:
        check_transfer(transfer, count, THRESHOLD, EXPECT)
    return caught.value.kind, caught.value.what


@pytest.mark.parametrize("count", [1, 2, 40, 65_535])
@pytest.mark.parametrize("threshold", [0, 60, 100])
def test_a_whole_transfer_is_read(count, threshold):
    checked = check_transfer(whole(count, threshold), count, threshold, EXPECT)
    classes_N, codes_N = says(np.arange(count), 0)
    np.testing.assert_array_equal(checked.class_N, classes_N)
    np.testing.assert_array_equal(checked.code_N, codes_N)
    np.testing.assert_array_equal(checked.exited_N, codes_N < threshold)
    np.testing.assert_array_equal(checked.features_MHWC.reshape(-1), np.flatnonzero(codes_N >= threshold))


def test_counters_that_cannot_be_read_are_not_missed():
    check_transfer(replace(whole(), frames_done=None, exits=None), COUNT, THRESHOLD, EXPECT)


@given(st.integers(0, COUNT - 1), st.integers(0, 47))
def test_a_torn_bit_is_seen_or_changes_only_what_nobody_can_check(row, bit):
    """Of one decision word: class and confidence may change unseen, but never so that another frame stops."""
    transfer = whole()
    words_N = transfer.words_N.copy()
    words_N[row] ^= np.uint64(1 << bit)
    with suppress(TransferError):
        checked = check_transfer(replace(transfer, words_N=words_N), COUNT, THRESHOLD, EXPECT)
        assert bit < 35
        np.testing.assert_array_equal(checked.exited_N, truth(frames(COUNT)).exit_N == 0)
        assert checked.class_N.max() < EXPECT.classes


def test_a_frame_that_stops_against_its_confidence():
    """The exit flag flipped, and map and counter made to fit it."""
    transfer = whole()
    stops = int(np.flatnonzero(transfer.words_N >> np.uint64(47) & np.uint64(1))[0])
    words_N, sent_M = transfer.words_N.copy(), transfer.feature_frames_M
    words_N[stops] ^= np.uint64(1 << 47)
    at = int(np.searchsorted(sent_M, stops))
    changed = Transfer(
        words_N,
        np.insert(sent_M, at, stops),
        np.insert(transfer.features_MHWC, at, 0, axis=0),
        COUNT,
        transfer.exits - 1,
    )
    assert refused(changed) == ("corrupt", "a frame stopped, or went on, against its own confidence")


def test_classes_that_do_not_exist():
    transfer = whole()
    words_N = transfer.words_N.copy()
    words_N[3] |= np.uint64(0x7FFF << 32)
    assert refused(replace(transfer, words_N=words_N)) == ("corrupt", "class 32767 of 7")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda rows: rows[:-1], "short"),
        (lambda rows: rows[1:], "short"),
        (lambda rows: np.concatenate([rows[:1], rows]), "duplicated"),
        (lambda rows: np.concatenate([rows[:1], rows[:1], rows[2:]]), "duplicated"),
        (lambda rows: rows[::-1], "out of order"),
        (lambda rows: rows[:0], "short"),
    ],
)
def test_words_and_maps_come_once_and_in_order(change, kind):
    transfer = whole()
    got, what = refused(replace(transfer, words_N=change(transfer.words_N)))
    assert (got, "result words" in what) == (kind, True)
    maps = replace(
        transfer, feature_frames_M=change(transfer.feature_frames_M), features_MHWC=change(transfer.features_MHWC)
    )
    got, what = refused(maps)
    assert (got, "maps" in what) == (kind, True)


def test_maps_of_frames_that_stopped_or_do_not_exist():
    transfer = whole()
    for wrong in (COUNT, int(np.flatnonzero(truth(frames(COUNT)).exit_N == 0)[0])):
        sent_M = transfer.feature_frames_M.copy()
        sent_M[0] = wrong
        assert refused(replace(transfer, feature_frames_M=sent_M)) == ("corrupt", "maps of frames that must not come")


def test_a_map_less_than_its_header():
    transfer = whole()
    assert refused(replace(transfer, features_MHWC=transfer.features_MHWC[:-1]))[0] == "short"
    assert refused(replace(transfer, features_MHWC=transfer.features_MHWC[:, :, :, :0]))[0] == "short"


@pytest.mark.parametrize("code", [-1, 2**40 + 1])
def test_codes_outside_their_type(code):
    transfer = whole()
    maps = transfer.features_MHWC.copy()
    maps[-1] = code
    assert refused(replace(transfer, features_MHWC=maps)) == ("corrupt", f"a map's code is not in 0..{2**40}")
    assert refused(replace(transfer, features_MHWC=maps.astype(float))) == ("corrupt", "maps of float64")


@pytest.mark.parametrize("name", ["frames_done", "exits"])
def test_counters_that_do_not_count(name):
    transfer = whole()
    changed = replace(transfer, **{name: getattr(transfer, name) + 1})
    assert f"register {name} is {getattr(changed, name)}" in refused(changed)[1]


def test_a_hosts_decisions_are_looked_at_too():
    good = truth(frames(5))
    check_decisions(good, 5, 3, 7)
    for wrong, words in (
        (Decisions(good.exit_N[:-1], good.class_N, good.code_N), "exits of shape"),
        (Decisions(good.exit_N, good.class_N, good.code_N[:-1]), "codes of shape"),
        (Decisions(good.exit_N + 3, good.class_N, good.code_N), "must be in 0..2"),
        (Decisions(good.exit_N, good.class_N - 9, good.code_N), "must be in 0..6"),
    ):
        with pytest.raises(ValueError, match=words):
            check_decisions(wrong, 5, 3, 7)
