"""Building blocks of the zoo, made only of layers that the exporter knows."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from codesign.errors import ModelError


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    pool: int = 0,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution, batch norm, activation and max pool, by the names `conv`, `norm`, `act` and `pool`.

    `inputs` and `outputs` count channels. Without `padding`, stride 1 keeps the rows and columns.
    """
    pad = kernel // 2 if padding is None else padding
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=pad, groups=groups, bias=False)
    layers["norm"] = nn.BatchNorm2d(outputs)
    if activation is not None:
        layers["act"] = activation()
    if pool:
        layers["pool"] = nn.MaxPool2d(pool)
    return nn.Sequential(layers)


def separable(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution and a pointwise one, each with batch norm and ReLU6."""
    return nn.Sequential(
        OrderedDict(
            depthwise=conv(inputs, inputs, stride=stride, groups=inputs, activation=nn.ReLU6),
            pointwise=conv(inputs, outputs, kernel=1, activation=nn.ReLU6),
        )
    )


def average_head(features: nn.Module, channels: int, classes: int) -> nn.Sequential:
    """`features`, the mean over rows and columns, and one linear layer."""
    return nn.Sequential(
        OrderedDict(
            features=features,
            mean=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(channels, classes),
        )
    )


def flat_size(module: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """How many values `module` computes from one frame of `input_shape` (H, W, C)."""
    H, W, C = input_shape
    training = module.training
    with torch.no_grad():
        size = module.eval()(torch.zeros(1, C, H, W)).numel()
    module.train(training)
    return size


def at_least_one(**sizes: object) -> None:
    """Raises ModelError for an option that is not a positive integer."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"{name} must be a positive integer, not {value!r}", where="model.options")


def scaled(width: object, *channels: int) -> tuple[int, ...]:
    """`channels` times `width`, each rounded to a multiple of 4 so that foldings have divisors to choose from."""
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 64:
        raise ModelError(f"width must be a number in 0..64, not {width!r}", where="model.options")
    return tuple(max(4, 4 * round(c * width / 4)) for c in channels)
