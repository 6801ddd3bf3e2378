"""Frames with labels, the splits of a data set, and how a pixel enters a network."""

# Legend: N frames; H, W, C rows, columns, channels.

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

if TYPE_CHECKING:
    import torch

PIXEL_SCALE = 2.0**-8  # one step of a pixel; the hardware's unsigned 8-bit input code is the pixel itself


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Images, uint8 of shape (N, H, W, C), and their labels, int64 of shape (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ValueError(f"images must be uint8 (N, H, W, C), not {self.images.dtype} {self.images.shape}")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels must be int64 (N,), not {self.labels.dtype} {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Frames:
        """A copy of the frames at `indices`, in their order."""
        return Frames(self.images[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class Source:
    """A data set as its files have it, before any split of ours; `test` is None where the set has none."""

    name: str
    train: Frames
    test: Frames | None
    classes: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Splits:
    """Four disjoint parts of a data set, each for one purpose.

    `train` fits weights, `validation` picks the best epoch and hyper-parameters, `calibration` chooses scales and
    thresholds, and `test` is only ever reported. `note` says what is special, such as files that are not there.
    """

    train: Frames
    validation: Frames
    calibration: Frames
    test: Frames
    classes: int
    name: str
    note: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every frame."""
        return self.train.images.shape[1:]  # type: ignore[return-value]


def to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """Images (N, H, W, C) of uint8 as the float32 tensor (N, C, H, W) that networks take: `pixel / 256`, exactly.

    There is no mean to subtract and no deviation to divide by: the hardware's input code is the raw pixel, its
    scale is 2**-8, and the first batch norm, folded into the first weights, does the rest.
    """
    import torch

    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images must be uint8 (N, H, W, C), not {images.dtype} {images.shape}")
    planes_NCHW = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    return torch.from_numpy(planes_NCHW).mul_(PIXEL_SCALE)


def is_bytes(value: object) -> TypeGuard[NDArray[np.uint8]]:
    """Whether `value` is a numpy array of unsigned bytes."""
    return isinstance(value, np.ndarray) and cast(NDArray[Any], value).dtype == np.uint8


def check_frames(images: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, where: str) -> Frames:
    """The frames, once their counts agree and every label is one of `classes`; else one DataError."""
    if len(images) != len(labels):
        raise DataError(
            f"{len(images)} images but {len(labels)} labels", where=where, hint="fetch the files of the set again"
        )
    if not len(images):
        raise DataError("holds no frames", where=where)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(f"labels run from {low} to {high}, outside 0..{classes - 1}", where=where)
    return Frames(np.ascontiguousarray(images), labels.astype(np.int64, copy=False))


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A random order of the frames in which any run of neighbours holds every class in about its proportion.

    Each class is shuffled and spread evenly over 0..1; sorting by those places interleaves the classes.
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(place, kind="stable")
