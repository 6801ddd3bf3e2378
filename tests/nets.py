"""Small networks with exits that put every layer and every odd size to the test, with random weights and statistics."""

# Legend: H, W, C rows, columns, channels.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from codesign.config import ModelConfig
from codesign.nn.exits import Exit, MultiExit
from codesign.nn.models import build_model

Net = tuple[nn.Module, tuple[int, int, int]]


class Chain(MultiExit):
    """One exit behind the given layers, and a second behind further ones."""

    def __init__(self, head: nn.Module, *further: nn.Module) -> None:
        super().__init__()
        self.exit1 = Exit(head)
        for index, module in enumerate(further):
            self.add_module(f"exit{index + 2}", Exit(module))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(exit(x) for exit in self.children())


class Tutorial(MultiExit):
    """Functions and methods instead of modules: ReLU behind the pool, view by the frames' number, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(6 * 2 * 3, 12), Exit(nn.Linear(12, 5))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.max_pool2d(self.drop(self.conv2(x)), 2, stride=(2, 2)).relu()
        x = self.fc1(x.view(x.shape[0], -1))
        return (self.fc2(F.dropout(torch.relu(x), training=self.training)),)


class Residual(MultiExit):
    """Adds with and without batch norm and ReLU, of one value with itself, and a tail of 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.norm, self.act = nn.BatchNorm2d(4), nn.ReLU()
        self.early = Exit(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
        self.tail = nn.Conv2d(4, 3, 1)
        self.last = Exit(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        y = self.act(self.norm(self.a(x) + self.b(x)))
        y += x
        y = torch.add(y, y)
        return self.early(y), self.last(self.tail(y))


class Shared(MultiExit):
    """A head that ends in a max pool, with a second exit behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 4, padding=2, stride=2)
        self.first = Exit(nn.Sequential(nn.MaxPool2d((4, 5)), nn.Flatten()))
        self.second = Exit(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(3, 3)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.first(self.conv(x))
        return x, self.second(x)


class Behind(MultiExit):
    """A second exit that goes on from the logits of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Exit(nn.Sequential(nn.Flatten(), nn.Linear(24, 5)))
        self.second = Exit(nn.Sequential(nn.ReLU(), nn.Linear(5, 5)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.first(x)
        return x, self.second(x)


def head(features: int, classes: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))


def _padding() -> Net:
    return Chain(
        nn.Sequential(nn.Conv2d(2, 3, (4, 2), (3, 2), padding=(2, 1)), nn.ReLU(), head(3 * 4 * 4)),
        nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=3), nn.ReLU6(), nn.Conv2d(3, 2, (2, 4), padding="same"), head(2 * 13 * 11)
        ),
        nn.Sequential(nn.Conv2d(2, 3, 1, padding=1, stride=2), nn.Conv2d(3, 2, 1, padding=1), head(2 * 8 * 7)),
    ), (9, 7, 2)


def _groups() -> Net:
    depthwise = nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False)
    multiplier = nn.Conv2d(4, 8, (3, 2), groups=4)
    grouped = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    return Chain(
        nn.Sequential(nn.Conv2d(4, 4, 1, groups=4), depthwise, nn.BatchNorm2d(4), nn.ReLU6(), head(4 * 4 * 3)),
        nn.Sequential(multiplier, nn.ReLU(), head(8 * 5 * 5)),
        nn.Sequential(grouped, nn.BatchNorm2d(6), head(6 * 7 * 6)),
    ), (7, 6, 4)


def _pools() -> Net:
    return Chain(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(3, 2, padding=1), nn.ReLU(), head(4 * 4 * 4)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(3, 2, padding=1), nn.BatchNorm2d(4), head(4 * 4 * 4)),
        nn.Sequential(nn.AvgPool2d(2), nn.MaxPool2d((2, 1)), nn.BatchNorm2d(3), nn.ReLU(), head(3 * 2 * 4)),
        nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 2), nn.MaxPool2d(3, 1, padding=1), nn.AdaptiveAvgPool2d(4), head(64)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2, 2, padding=1), head(4 * 4 * 4)),
    ), (9, 9, 3)


def _flat() -> Net:
    return Chain(
        nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.Flatten(), nn.BatchNorm1d(27), nn.ReLU(), nn.Linear(27, 4)),
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.ReLU(), nn.Linear(3 * 5 * 6, 4)),
        nn.Sequential(nn.Flatten(), nn.Linear(56, 8), nn.BatchNorm1d(8, affine=False), nn.ReLU6(), nn.Linear(8, 4)),
        nn.Sequential(nn.Conv2d(1, 4, (7, 8)), nn.Flatten()),
    ), (7, 8, 1)


ODD: Mapping[str, Callable[[], Net]] = {
    "padding": _padding,
    "groups": _groups,
    "pools": _pools,
    "flat": _flat,
    "tutorial": lambda: (Tutorial(), (14, 20, 1)),
    "residual": lambda: (Residual(), (6, 5, 2)),
    "shared": lambda: (Shared(), (7, 8, 1)),
    "behind": lambda: (Behind(), (3, 4, 2)),
}
ZOO: Mapping[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "lenet5": ((28, 28, 1), {}),
    "vgg_cifar": ((32, 32, 3), {"width": 0.25}),
    "resnet_cifar": ((32, 32, 3), {"width": 0.25}),
    "mobile_cifar": ((32, 32, 3), {"width": 0.25}),
}


def odd(name: str, seed: int = 0) -> Net:
    """The odd network `name` with random weights, and the (H, W, C) of its frames."""
    torch.manual_seed(seed)
    model, shape = ODD[name]()
    return randomized(model, seed), shape


def zoo(name: str, seed: int = 0) -> Net:
    """The network of the zoo, narrow, with random weights, and the (H, W, C) of its frames."""
    shape, options = ZOO[name]
    return randomized(build_model(ModelConfig(name, options), shape, 10, seed=seed), seed), shape


def randomized(model: nn.Module, seed: int) -> nn.Module:
    """The model with batch norms as training could leave them: every gain, offset, mean and variance its own."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.02, 0.2, generator=generator)
            if module.affine:
                module.weight.data.uniform_(-1.5, 1.5, generator=generator)
                module.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def frames(shape: tuple[int, int, int], count: int = 6, seed: int = 0) -> NDArray[np.uint8]:
    """Random uint8 images, the first all black and the second all white."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)
    images[0], images[1] = 0, 255
    return images
