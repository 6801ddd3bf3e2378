"""Comparison of two implementations' codes: how many differ, and where the first difference is."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.errors import VerificationError


@dataclass(frozen=True, slots=True)
class Difference:
    """The first differing code of one layer, in frame order and raster order within it, and how many there are."""

    layer: str
    frame: int
    index: tuple[int, ...]  # row, column, channel
    want: int
    got: int
    codes: int  # differing codes in the layer
    frames: int  # frames with a differing code

    def __str__(self) -> str:
        place = f"frame {self.frame}, {self.layer}{list(self.index)} (row, column, channel)"
        return f"{place}: want {self.want}, got {self.got}; {self.codes} codes in {self.frames} frames differ"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Totals over every compared layer; `differences` has one entry per differing layer, in topological order."""

    layers: tuple[str, ...]
    codes: int
    frames: int
    mismatched_frames: int  # frames with a differing code in any layer
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The difference in the earliest layer: what is wrong behind it may be its consequence."""
        return self.differences[0] if self.differences else None

    @property
    def mismatched_codes(self) -> int:
        return sum(difference.codes for difference in self.differences)

    def __str__(self) -> str:
        totals = f"{self.codes} codes of {len(self.layers)} values over {self.frames} frames"
        if self.first is None:
            return f"{totals} are equal"
        extent = f"in {len(self.differences)} values and {self.mismatched_frames} frames"
        return f"{self.mismatched_codes} of {totals} differ {extent}; first: {self.first}"


def first_difference(name: str, want: npt.ArrayLike, got: npt.ArrayLike) -> Difference | None:
    """Where (N, H, W, C) codes `got` first differ from `want`; VerificationError when they cannot be compared."""
    return _difference(name, want, got)[0]


def compare_values(
    wants: Mapping[str, npt.ArrayLike], gots: Mapping[str, npt.ArrayLike], order: Iterable[str]
) -> Comparison:
    """Every value of `gots` against its namesake in `wants`, in `order` (a graph's own, so the first difference is the cause).

    `wants` may have more values than the other side could give. Raises VerificationError when `gots` is empty or has a
    value that `wants` or `order` lacks, so that nothing passes by not being compared.
    """
    layers = tuple(name for name in dict.fromkeys(order) if name in gots)
    unknown = [name for name in gots if name not in layers or name not in wants]
    if unknown or not layers:
        what = f"nothing to compare {', '.join(unknown)} with" if unknown else "no values to compare"
        raise VerificationError(what, hint=f"wanted values: {', '.join(wants)}")
    found = [_difference(name, wants[name], gots[name]) for name in layers]
    differences = tuple(difference for difference, _ in found if difference is not None)
    wrong = set[int]().union(*(frames for _, frames in found))
    arrays = [np.asarray(wants[name]) for name in layers]
    return Comparison(layers, sum(array.size for array in arrays), len(arrays[0]), len(wrong), differences)


def _difference(name: str, want: npt.ArrayLike, got: npt.ArrayLike) -> tuple[Difference | None, set[int]]:
    """The first difference of one layer and the numbers of all its differing frames."""
    want_NHWC, got_NHWC = _integers(name, want), _integers(name, got)
    if want_NHWC.shape != got_NHWC.shape:
        raise VerificationError(
            f"want codes of shape {want_NHWC.shape}, got {got_NHWC.shape}",
            where=name,
            hint="a run that stopped early loses its last frames",
        )
    different = want_NHWC != got_NHWC
    codes = int(np.count_nonzero(different))
    if not codes:
        return None, set()
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(different)), different.shape))
    frames = set(np.flatnonzero(different.reshape(len(different), -1).any(axis=1)).tolist())
    return Difference(name, at[0], at[1:], int(want_NHWC[at]), int(got_NHWC[at]), codes, len(frames)), frames


def _integers(name: str, codes: npt.ArrayLike) -> npt.NDArray[np.integer[Any]]:
    array = np.asarray(codes)
    if array.dtype.kind not in "iu" or array.ndim < 1:
        raise VerificationError(
            f"codes are integers with a frame axis, not {array.dtype} of shape {array.shape}", where=name
        )
    return array
