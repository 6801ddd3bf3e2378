"""What a design with several widths must answer: frames of every kind, widths and steps up, in one batch."""

# Legend: N frames; H, W rows and columns; C channels; B beats.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.ir import Codes, Graph
from codesign.verify import golden
from codesign.verify.packets import with_widths


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """The golden answers of a batch: decision words with the kind's bits, and the feature map of every frame."""

    decisions_N: npt.NDArray[np.int64]
    maps: tuple[Codes, ...]  # (H, W, C) each, C that of the frame's width

    @property
    def exited_N(self) -> npt.NDArray[np.bool_]:
        return (self.decisions_N >> 47 & 1).astype(bool)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What a frame can be: the head that answers for it, and the first channel of its feature map that is sent."""

    head: Graph
    first: int = 0


def wanted(kinds: Sequence[Kind], image_NHWC: Codes, kinds_N: npt.NDArray[np.int64], threshold: int) -> Wanted:
    """Runs every frame through the head of its kind; `kinds_N` are indices of `kinds`, of which the last is the widest's."""
    heads = [kind.head for kind in kinds]
    feature = heads[-1].node("features").inputs[0]
    inputs = {"image": image_NHWC, "threshold": np.full((1, 1, 1, 1), threshold, np.int64)}
    found = golden.run_widths(heads, inputs, kinds_N, keep=(feature, "decision"))
    ends = [head.types[feature].channels for head in heads]
    maps = tuple(
        codes[:, :, kinds[kind].first : ends[kind]]
        for codes, kind in zip(found[feature], kinds_N.tolist(), strict=True)
    )
    return Wanted(with_widths(found["decision"].reshape(-1), kinds_N), maps)
