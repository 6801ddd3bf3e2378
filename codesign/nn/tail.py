"""The layers behind a branch point in torch: as exact integers, and as the float network that was trained.

Both take the codes that the branch point gives out, (N, H, W, C), as the tails of `codesign.runtime` do.
"""

# Legend: N frames; C, H, W channels, rows, columns.

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from codesign.errors import ModelError
from codesign.nn.fuse import Step
from codesign.nn.integer_net import QuantizedNet, move
from codesign.nn.layers import IMAGE, Add, AveragePool, Conv, Flatten, GlobalAverage, Linear, MaxPool, Window
from codesign.nn.units import window_max, window_sum

Codes = NDArray[np.int64]
Compute = Callable[..., Tensor]


class _Tail(ABC):
    """The steps from one value of the exported graph on, up to the last exit."""

    def __init__(self, net: QuantizedNet, feature: str) -> None:
        self._source = _step_of(net, feature)
        self._net, self._shape = net, net.steps.shapes[self._source]
        self._last = net.steps.exits[-1].logits
        self._steps = _between(net, self._source, self._last)
        self._work = [(step, self._computes(step)) for step in self._steps]

    @abstractmethod
    def _computes(self, step: Step) -> Compute:
        """What computes one step from its inputs."""

    def _run(self, x: Tensor) -> Tensor:
        values = {self._source: x}
        for step, compute in self._work:
            values[step.name] = compute(*(values[name] for name in step.inputs))
        return values[self._last].flatten(1)

    def _tensor(self, features_NHWC: Codes) -> Tensor:
        """The codes in torch's axes: (N, C, H, W) of a map, (N, F) of a vector."""
        if len(self._shape) == 1:
            C, H, W = self._net.steps.origins[self._source]
            features_NHWC = features_NHWC.reshape(-1, H, W, C)
        x = torch.from_numpy(np.ascontiguousarray(features_NHWC.transpose(0, 3, 1, 2)))
        return x.reshape(len(x), *self._shape)


class TorchTail(_Tail):
    """The integer network in torch, exact: the third implementation beside C++ and numpy."""

    def run(self, features_NHWC: Codes) -> Codes:
        """The final exit's logit codes (N, classes)."""
        with torch.inference_mode():
            return self._run(self._tensor(features_NHWC).double()).numpy().astype(np.int64)

    def _computes(self, step: Step) -> Compute:
        return self._net.unit(step.name).eval() if step.rounds else partial(move, step)

    def close(self) -> None:
        """Nothing to give back."""


class FloatTail(_Tail):
    """The trained network in torch's own float layers, eager: what the integers stand for, and what speed is held against."""

    def __init__(self, net: QuantizedNet, feature: str, model: nn.Module) -> None:
        self._model = model.eval()
        super().__init__(net, feature)
        self._scale = net.grids[self._source].scale

    def run(self, features_NHWC: Codes) -> NDArray[np.float32]:
        """The final exit's logits (N, classes) for the real values of the codes."""
        with torch.inference_mode():
            return self.forward(self.tensor(features_NHWC)).numpy()

    def tensor(self, features_NHWC: Codes) -> Tensor:
        """The real values of the codes, in torch's axes."""
        return self._tensor(features_NHWC).float() * self._scale

    def forward(self, x: Tensor) -> Tensor:
        """The logits (N, classes) of real values; for who measures it, under `torch.inference_mode()`."""
        return self._run(x)

    def _computes(self, step: Step) -> Compute:
        after: list[Compute] = [self._model.get_submodule(path) for path in step.norms]
        if step.relu:
            after.append(F.relu if step.high == math.inf else partial(torch.clamp, min=0.0, max=step.high))
        return partial(_chain, self._layer(step), after)

    def _layer(self, step: Step) -> Compute:
        layer = step.layer
        match layer:
            case Conv() | Linear():
                return self._model.get_submodule(layer.module)
            case Add():
                return torch.add
            case MaxPool():
                return partial(window_max, window=layer.window)
            case AveragePool():
                return partial(_window_mean, window=layer.window)
            case GlobalAverage():
                return partial(torch.mean, dim=(2, 3), keepdim=True)
            case Flatten():
                return partial(torch.flatten, start_dim=1)
            case _:
                return _same


def _chain(first: Compute, after: Sequence[Compute], *x: Tensor) -> Tensor:
    y = first(*x)
    for compute in after:
        y = compute(y)
    return y


def _window_mean(x: Tensor, window: Window) -> Tensor:
    return window_sum(x, window) / window.positions


def _same(x: Tensor) -> Tensor:
    return x


def _step_of(net: QuantizedNet, feature: str) -> str:
    """The step whose codes the exported graph calls `feature`: its own name, or with `.requantize` where it rounds."""
    if feature == IMAGE:
        return IMAGE
    for step in net.steps.steps:
        ending = r"\.requantize_*" if step.rounds else ""
        if re.fullmatch(re.escape(step.name) + ending, feature):
            return step.name
    raise ModelError(
        f"no step computes {feature!r}", where=net.steps.name, hint="quantize again: `codesign quantize --force`"
    )


def _between(net: QuantizedNet, source: str, last: str) -> Sequence[Step]:
    """The steps that `last` needs from `source` on, in order. Raises ModelError where it needs others too."""
    needed, chosen = {last}, list[Step]()
    for step in reversed(net.steps.steps):
        if step.name in needed and step.name != source:
            chosen.append(step)
            needed.update(step.inputs)
    known: set[Any] = {source, *(step.name for step in chosen)}
    for name in sorted(needed - known):
        raise ModelError(f"the last exit needs {name} beside {source}", where=net.steps.name, hint="cut elsewhere")
    return chosen[::-1]
