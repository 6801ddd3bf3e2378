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
    """Runs every frame through the head of its kind; `kinds_N` are indices of `kinds`."""
    decisions_N = np.zeros(len(image_NHWC), np.int64)
    maps: list[Codes] = [np.empty(0, np.int64)] * len(image_NHWC)
    for index, kind in enumerate(kinds):
        frames = np.flatnonzero(kinds_N == index)
        if not len(frames):
            continue
        feature = kind.head.node("features").inputs[0]
        inputs = {"image": image_NHWC[frames], "threshold": np.full((1, 1, 1, 1), threshold, np.int64)}
        found = golden.run(kind.head, inputs, keep=(feature, "decision"))
        decisions_N[frames] = found["decision"].reshape(-1)
        for frame, codes in zip(frames.tolist(), found[feature], strict=True):
            maps[frame] = codes[:, :, kind.first :]
    return Wanted(with_widths(decisions_N, kinds_N), tuple(maps))
