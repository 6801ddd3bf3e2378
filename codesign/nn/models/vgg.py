"""A VGG-style network for 32 x 32 frames with three exits, small enough to train on a laptop."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from codesign.nn.exits import Cascade
from codesign.nn.models.blocks import conv, flat_size, scaled


def vgg_cifar(input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, width: float = 1.0) -> Cascade:
    """Three stages of plain convolutions, each followed by an exit; `width` multiplies every channel count.

    stage1  conv 16, pool                 16 x 16 x  16     exit1  conv 16 stride 2, pool, linear
    stage2  conv 32, conv 32, pool         8 x  8 x  32     exit2  conv 32 stride 2, linear
    stage3  conv 64, conv 64, pool,        2 x  2 x 128     final  linear 128, linear
            conv 128, pool
    """
    c16, c32, c64, c128 = scaled(width, 16, 32, 64, 128)
    stages = [
        conv(input_shape[2], c16, pool=2),
        nn.Sequential(conv(c16, c32), conv(c32, c32, pool=2)),
        nn.Sequential(conv(c32, c64), conv(c64, c64, pool=2), conv(c64, c128, pool=2)),
    ]
    branch1, branch2 = conv(c16, c16, stride=2, pool=2), conv(c32, c32, stride=2)
    final_size = flat_size(nn.Sequential(*stages), input_shape)
    heads = [
        _flat_head(branch1, flat_size(nn.Sequential(stages[0], branch1), input_shape), classes),
        _flat_head(branch2, flat_size(nn.Sequential(*stages[:2], branch2), input_shape), classes),
        nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                linear1=nn.Linear(final_size, c128),
                act=nn.ReLU(),
                drop=nn.Dropout(0.2),
                linear2=nn.Linear(c128, classes),
            )
        ),
    ]
    return Cascade(stages, heads)


def _flat_head(branch: nn.Module, size: int, classes: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=branch, flatten=nn.Flatten(), linear=nn.Linear(size, classes)))
