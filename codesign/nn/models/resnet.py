"""A residual network for 32 x 32 frames with three exits and basic blocks."""

from __future__ import annotations

from torch import Tensor, nn

from codesign.nn.exits import Cascade
from codesign.nn.models.blocks import at_least_one, average_head, conv, scaled


class BasicBlock(nn.Module):
    """relu(conv(conv(x)) + shortcut(x)); the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, stride=stride)
        self.conv2 = conv(outputs, outputs, activation=None)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv(inputs, outputs, 1, stride=stride, activation=None)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv2(self.conv1(x)) + self.shortcut(x))


def resnet_cifar(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, *, width: float = 1.0, blocks: int = 1
) -> Cascade:
    """Three stages, each followed by an exit; `width` multiplies the channels, `blocks` is the blocks per stage.

    stage1  conv 16, pool                 16 x 16 x  16     exit1  conv 32 stride 2, mean, linear
    stage2  blocks 32                     16 x 16 x  32     exit2  conv 64 stride 2, mean, linear
    stage3  blocks 64, the first stride 2; blocks 128, the first stride 2    final  mean, linear
    """
    at_least_one(blocks=blocks)
    c16, c32, c64, c128 = scaled(width, 16, 32, 64, 128)
    stages = [
        conv(input_shape[2], c16, pool=2),
        _blocks(c16, c32, blocks, stride=1),
        nn.Sequential(*_blocks(c32, c64, blocks, stride=2), *_blocks(c64, c128, blocks, stride=2)),
    ]
    heads = [
        average_head(conv(c16, c32, stride=2), c32, classes),
        average_head(conv(c32, c64, stride=2), c64, classes),
        average_head(nn.Identity(), c128, classes),
    ]
    return Cascade(stages, heads)


def _blocks(inputs: int, outputs: int, count: int, *, stride: int) -> nn.Sequential:
    rest = [BasicBlock(outputs, outputs) for _ in range(count - 1)]
    return nn.Sequential(BasicBlock(inputs, outputs, stride=stride), *rest)
