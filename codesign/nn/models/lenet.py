"""LeNet-5 with one early exit after the first convolution; its branch is one convolution and one linear layer."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from codesign.nn.exits import Exit, MultiExit
from codesign.nn.models.blocks import at_least_one, conv, flat_size


class LeNet5(MultiExit):
    """The paper's network: stem and branch go into hardware, `rest` and `final` run on the host.

        stem   conv 5x5 (6), pool                       14 x 14 x  6
        exit1  conv 3x3 (16), pool, linear              144 positions x 864 products for a 28 x 28 frame
        rest   conv 5x5 (16), pool, linear 120, linear 84
        final  linear

    Every convolution has a batch norm and a ReLU behind it; the norm is folded into the weights at export. With `linear_norm` so
    have the two linear layers of `rest`, which a slimmable network is the better for.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int] = (28, 28, 1),
        classes: int = 10,
        *,
        stem_channels: int = 6,
        branch_channels: int = 16,
        branch_stride: int = 1,
        linear_norm: bool = False,
    ) -> None:
        super().__init__()
        at_least_one(stem_channels=stem_channels, branch_channels=branch_channels, branch_stride=branch_stride)
        self.stem = conv(input_shape[2], stem_channels, kernel=5, pool=2)
        branch = conv(stem_channels, branch_channels, padding=0, stride=branch_stride, pool=2)
        branch_size = flat_size(nn.Sequential(self.stem, branch), input_shape)
        self.exit1 = Exit(
            nn.Sequential(OrderedDict(conv=branch, flatten=nn.Flatten(), linear=nn.Linear(branch_size, classes)))
        )
        features = conv(stem_channels, 16, kernel=5, padding=0, pool=2)
        rest_size = flat_size(nn.Sequential(self.stem, features), input_shape)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=features, flatten=nn.Flatten())
        for number, (inputs, outputs) in enumerate(((rest_size, 120), (120, 84)), 1):
            layers[f"linear{number}"] = nn.Linear(inputs, outputs)
            if linear_norm:
                layers[f"norm{number}"] = nn.BatchNorm1d(outputs)
            layers[f"act{number}"] = nn.ReLU()
        self.rest = nn.Sequential(layers)
        self.final = Exit(nn.Linear(84, classes))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        return self.exit1(x), self.final(self.rest(x))
