"""Is a transfer the answer to this batch? Every frame once, in order, with words and maps that belong together.

Nothing can tell a wrong class from a right one. But a decision word must agree with its own threshold, every frame that
goes on must bring its map, and codes must lie in their type, which catches words that are missing, moved or torn.
"""

# Legend: N frames; M frames that go on; H, W, C rows, columns, channels.
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codesign.runtime.dispatch_types import Decisions, Transfer, TransferError, Unit

if TYPE_CHECKING:
    from codesign.runtime.dispatch_types import Array, Ints

FRAME, EXITED, CLASS = 48, 47, 32  # first bits of the fields of a result word; the confidence code is in 31..0


@dataclass(frozen=True)
class Expect:
    """What every transfer of a design must look like: the map's shape (H, W, C) and codes, the classes, exit 0's unit."""

    shape: tuple[int, int, int]
    least: int
    most: int
    classes: int
    unit: Unit


@dataclass(frozen=True, eq=False)
class Checked:
    """A transfer that fits: each frame's class and confidence code, which stopped, and the maps of the others, in order."""

    exited_N: Array
    class_N: Ints
    code_N: Ints
    features_MHWC: Array


def check_transfer(transfer: Transfer, frames: int, threshold: int, expect: Expect) -> Checked:
    """The transfer's content. Raises TransferError unless it is a whole batch of `frames` frames, in order."""
    words_N = np.asarray(transfer.words_N, np.uint64).astype(np.int64)
    _demand_order("result words", words_N >> FRAME & 0xFFFF, np.arange(frames))
    exited_N = (words_N >> EXITED & 1).astype(bool)
    class_N, code_N = words_N >> CLASS & 0x7FFF, words_N & 0xFFFFFFFF
    if class_N.max(initial=0) >= expect.classes:
        raise TransferError("corrupt", f"class {class_N.max()} of {expect.classes}")
    if not np.array_equal(exited_N, expect.unit.decide(code_N, threshold)):
        raise TransferError("corrupt", "a frame stopped, or went on, against its own confidence")
    sent_M = np.flatnonzero(~exited_N)
    _demand_order("maps", np.asarray(transfer.feature_frames_M).reshape(-1), sent_M)
    features_MHWC = np.asarray(transfer.features_MHWC)
    _demand_maps(features_MHWC, (len(sent_M), *expect.shape), expect)
    for name, count, want in (
        ("frames_done", transfer.frames_done, frames),
        ("exits", transfer.exits, frames - len(sent_M)),
    ):
        if count is not None and count != want:
            raise TransferError("corrupt", f"register {name} is {count}, must be {want}")
    return Checked(exited_N, class_N, code_N, features_MHWC)


def check_decisions(decisions: Decisions, frames: int, exits: int, classes: int) -> None:
    """Raises ValueError unless these can be a host's decisions on so many frames."""
    for name, column, limit in (("exits", decisions.exit_N, exits), ("classes", decisions.class_N, classes)):
        if column.shape != (frames,):
            raise ValueError(f"{name} of shape {column.shape} for {frames} frames")
        if frames and not 0 <= column.min() <= column.max() < limit:
            raise ValueError(f"{name} {column.min()}..{column.max()}, must be in 0..{limit - 1}")
    if decisions.code_N.shape != (frames,):
        raise ValueError(f"codes of shape {decisions.code_N.shape} for {frames} frames")


def _demand_order(what: str, got: Ints, want: Ints) -> None:
    if np.array_equal(got, want):
        return
    if len(np.unique(got)) < len(got):
        raise TransferError("duplicated", f"{what}: a frame came twice")
    if not np.isin(got, want).all():
        raise TransferError("corrupt", f"{what} of frames that must not come")
    if len(got) < len(want):
        raise TransferError("short", f"{len(got)} {what}, {len(want)} must come")
    raise TransferError("out of order", f"{what} are not in the order of their frames")


def _demand_maps(features_MHWC: Array, shape: tuple[int, ...], expect: Expect) -> None:
    if features_MHWC.shape != shape:
        raise TransferError("short", f"maps of shape {features_MHWC.shape}, must be {shape}")
    if features_MHWC.dtype.kind not in "iu":
        raise TransferError("corrupt", f"maps of {features_MHWC.dtype}")
    if features_MHWC.size and not expect.least <= features_MHWC.min() <= features_MHWC.max() <= expect.most:
        raise TransferError("corrupt", f"a map's code is not in {expect.least}..{expect.most}")
