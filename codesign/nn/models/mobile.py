"""A network of depthwise-separable convolutions with ReLU6 for 32 x 32 frames, with two or three exits."""

from __future__ import annotations

from torch import nn

from codesign.errors import ModelError
from codesign.nn.exits import Cascade
from codesign.nn.models.blocks import average_head, conv, scaled, separable


def mobile_cifar(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, width: float = 1.0, exits: int = 3
) -> Cascade:
    """Separable stages with an exit after each; `width` multiplies the channels, `exits` 2 leaves out the middle one.

    stage1  conv 16 stride 2              16 x 16 x  16     exit1  separable 32 stride 2, mean, linear
    stage2  separable 32, 64 stride 2      8 x  8 x  64     exit2  separable 64 stride 2, mean, linear
    stage3  separable 128, 128, 256 stride 2                final  mean, linear
    """
    if exits not in (2, 3):
        raise ModelError(f"exits must be 2 or 3, not {exits!r}", where="model.options")
    c16, c32, c64, c128, c256 = scaled(width, 16, 32, 64, 128, 256)
    stem = conv(input_shape[2], c16, stride=2, activation=nn.ReLU6)
    middle = nn.Sequential(separable(c16, c32), separable(c32, c64, stride=2))
    rest = nn.Sequential(separable(c64, c128), separable(c128, c128), separable(c128, c256, stride=2))
    head1 = average_head(separable(c16, c32, stride=2), c32, classes)
    head2 = average_head(separable(c64, c64, stride=2), c64, classes)
    final = average_head(nn.Identity(), c256, classes)
    if exits == 2:
        return Cascade([stem, nn.Sequential(middle, rest)], [head1, final])
    return Cascade([stem, middle, rest], [head1, head2, final])
