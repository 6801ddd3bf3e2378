"""Random changes to a batch of frames, drawn per frame and computed for the whole batch at once.

Pixels stay multiples of 1/256, as the hardware will see them. All random numbers come from the generator that is
passed in, on the CPU, so a run repeats on any device.
"""

# Legend: N frames; C, H, W channels, rows, columns.

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from codesign.errors import ConfigError, nearest

SHIFT_PIXELS = 2
CROP_PIXELS = 4
ROTATE_DEGREES = 12.0
ZOOM = 0.1
SHEAR = 0.1


def augment(x_NCHW: Tensor, kinds: Sequence[str], generator: Generator) -> Tensor:
    """The frames after every change in `kinds`, in that order: shift, rotate, flip, crop, erase."""
    for kind in kinds:
        x_NCHW = AUGMENTATIONS[kind](x_NCHW, generator)
    return x_NCHW


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises ConfigError for a kind of augmentation that does not exist."""
    for kind in kinds:
        if kind not in AUGMENTATIONS:
            raise ConfigError(
                f"unknown augmentation {kind!r}", where="train.augment", hint=nearest(kind, AUGMENTATIONS)
            )


def shift(x_NCHW: Tensor, generator: Generator) -> Tensor:
    """Each frame moved by up to 2 pixels along rows and columns; black comes in."""
    return _move(x_NCHW, SHIFT_PIXELS, generator)


def crop(x_NCHW: Tensor, generator: Generator) -> Tensor:
    """A random crop of each frame after 4 black pixels are put around it."""
    return _move(x_NCHW, CROP_PIXELS, generator)


def flip(x_NCHW: Tensor, generator: Generator) -> Tensor:
    """Every other frame or so, left and right exchanged."""
    chosen = torch.rand(len(x_NCHW), 1, 1, 1, generator=generator).to(x_NCHW.device) < 0.5
    return torch.where(chosen, x_NCHW.flip(-1), x_NCHW)


def rotate(x_NCHW: Tensor, generator: Generator) -> Tensor:
    """Each frame turned by up to 12 degrees, sheared and zoomed by up to a tenth, and rounded to pixel codes."""
    turn, zoom_y, zoom_x, shear = torch.rand(4, len(x_NCHW), generator=generator).mul(2).sub(1)
    angle = turn * math.radians(ROTATE_DEGREES)
    cos, sin = torch.cos(angle), torch.sin(angle)
    zoom_y, zoom_x = 1 + ZOOM * zoom_y, 1 + ZOOM * zoom_x
    affine = torch.zeros(len(x_NCHW), 2, 3)
    affine[:, 0, 0], affine[:, 0, 1] = zoom_x * cos, zoom_x * (SHEAR * shear - sin)
    affine[:, 1, 0], affine[:, 1, 1] = zoom_y * sin, zoom_y * cos
    grid = F.affine_grid(affine.to(x_NCHW), list(x_NCHW.shape), align_corners=False)
    turned = F.grid_sample(x_NCHW, grid, padding_mode="border", align_corners=False)
    return turned.mul_(256).round_().div_(256)


def erase(x_NCHW: Tensor, generator: Generator) -> Tensor:
    """In half of the frames, a rectangle of an eighth to a third of each side goes black."""
    N, _, H, W = x_NCHW.shape
    size, place = torch.rand(2, 2, N, generator=generator)
    chosen = torch.rand(N, generator=generator) < 0.5
    rows, columns = (_span(n, size[i], place[i]) for i, n in enumerate((H, W)))
    hole = (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None]).to(x_NCHW.device)
    return x_NCHW.masked_fill(hole[:, None], 0.0)


AUGMENTATIONS: Mapping[str, Callable[[Tensor, Generator], Tensor]] = {
    "shift": shift,
    "rotate": rotate,
    "flip": flip,
    "crop": crop,
    "erase": erase,
}


def _move(x_NCHW: Tensor, pixels: int, generator: Generator) -> Tensor:
    N, _, H, W = x_NCHW.shape
    first = torch.randint(0, 2 * pixels + 1, (2, N, 1), generator=generator).to(x_NCHW.device)
    rows = first[0] + torch.arange(H, device=x_NCHW.device)
    columns = first[1] + torch.arange(W, device=x_NCHW.device)
    padded_NHWC = F.pad(x_NCHW, (pixels,) * 4).permute(0, 2, 3, 1)
    frames = torch.arange(N, device=x_NCHW.device)[:, None, None]
    return padded_NHWC[frames, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _span(length: int, size: Tensor, place: Tensor) -> Tensor:
    """Bool (N, length): a run of an eighth to a third of `length`, at a random place."""
    extent = (length * (1 / 8 + size * (1 / 3 - 1 / 8))).round()
    first = (place * (length - extent)).floor()
    at = torch.arange(length)
    return (at >= first[:, None]) & (at < (first + extent)[:, None])
