"""A network of integer steps: exact in evaluation, trainable in training, and the check of its settings."""

# Legend: N frames; C, H, W channels, rows, columns.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codesign.config import QuantizeConfig
from codesign.errors import ConfigError, nearest
from codesign.ir.types import IntType
from codesign.nn.fuse import Step, Steps, fuse
from codesign.nn.layers import IMAGE, Conv, Flatten, Linear, MaxPool
from codesign.nn.trace import trace
from codesign.nn.units import Grid, Unit, window_max

PIXELS = Grid(IntType(8, signed=False), -8)
BATCH = 50  # frames of exact evaluation; float64 maps of more fall out of the caches
LIMITS: Mapping[str, tuple[int, int]] = {
    "weight_bits": (2, 16),
    "activation_bits": (2, 16),
    "multiplier_bits": (2, 24),
    "logit_bits": (4, 24),
    "logit_fraction_bits": (0, 16),
}


class QuantizedNet(nn.Module):
    """A network of integer steps. Its input is pixel codes (N, C, H, W), its results the exits' logit codes.

    In evaluation mode every code is exact, equal to the exported graph's; in training mode the same arithmetic runs in
    float32 and carries gradients to the real weights.
    """

    def __init__(
        self, model: nn.Module, input_shape: tuple[int, int, int], config: QuantizeConfig, kind: type[Unit] = Unit
    ) -> None:
        super().__init__()
        self.config, self.input_shape = config, input_shape
        self.steps = fuse(trace(model, input_shape))
        check_config(config, self.steps)
        self.units = nn.ModuleList()
        self._by_name: dict[str, Unit] = {}
        signed = {IMAGE: False}
        for step in self.steps.steps:
            signed[step.name] = _signed(step, [signed[i] for i in step.inputs])
            if step.rounds:
                unit = _unit(kind, step, model, self.steps, config, signed[step.name])
                self._by_name[step.name] = unit
                self.units.append(unit)
        self.connect()

    @property
    def exit_names(self) -> tuple[str, ...]:
        return tuple(point.name for point in self.steps.exits)

    @property
    def grids(self) -> dict[str, Grid]:
        """Type and scale of every value's codes, by name."""
        grids = {IMAGE: PIXELS}
        for step in self.steps.steps:
            grids[step.name] = self._by_name[step.name].grid if step.rounds else grids[step.inputs[0]]
        return grids

    @property
    def logit_scales(self) -> tuple[float, ...]:
        """The real value of logit code 1 of every exit."""
        grids = self.grids
        return tuple(grids[point.logits].scale for point in self.steps.exits)

    def unit(self, name: str) -> Unit:
        return self._by_name[name]

    def connect(self) -> None:
        """Tells every unit the grids of its inputs; to be called after exponents change."""
        grids = self.grids
        for unit in self.rounding():
            unit.x_grids = tuple(grids[source] for source in unit.step.inputs)

    def rounding(self) -> Iterator[Unit]:
        return iter(self._by_name.values())

    def forward(self, codes_NCHW: Tensor) -> tuple[Tensor, ...]:
        """The logit codes (N, classes) of every exit."""
        image = codes_NCHW if self.training else codes_NCHW.double()
        values = self.run(image, lambda unit, x: unit(*x))
        return tuple(values[point.logits] for point in self.steps.exits)

    def run(self, image: Tensor, compute: Callable[[Unit, list[Tensor]], Tensor]) -> dict[str, Tensor]:
        """Every step in order, `compute(unit, inputs)` for those that round; returns the exits' values by name.

        A value is dropped after its last reader.
        """
        kept = {point.logits for point in self.steps.exits}
        last = {source: step for step in self.steps.steps for source in step.inputs}
        values = {IMAGE: image}
        for step in self.steps.steps:
            x = [values[source] for source in step.inputs]
            values[step.name] = compute(self._by_name[step.name], x) if step.rounds else move(step, x[0])
            for source in step.inputs:
                if last[source] is step and source not in kept:
                    values.pop(source, None)
        return values

    def logits(self, images: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
        """The exact logit codes (N, classes) of every exit, early to final, for uint8 images (N, H, W, C)."""
        parts = [[y.cpu().numpy().astype(np.int64) for y in self(x)] for x in self._batches(images)]
        return [np.concatenate(exit_parts) for exit_parts in zip(*parts, strict=True)]

    def saturation(self, images: NDArray[np.uint8]) -> dict[str, float]:
        """The share of codes that the type of every value clips; a ReLU's own clamp is not counted."""
        clipped, total = dict.fromkeys(self._by_name, 0), dict.fromkeys(self._by_name, 0)

        def compute(unit: Unit, x: list[Tensor]) -> Tensor:
            y, (low, high) = unit.unclipped(*x), unit.clamp
            outside = torch.zeros_like(y, dtype=torch.bool)
            if low < 0:
                outside |= y < low
            if high == unit.y_dtype.max and high < unit.step.high / unit.grid.scale:
                outside |= y > high
            clipped[unit.step.name] += int(outside.sum())
            total[unit.step.name] += y.numel()
            return unit.clip(y)

        for x in self._batches(images):
            self.run(x, compute)
        return {name: clipped[name] / max(total[name], 1) for name in total}

    def _batches(self, images: NDArray[np.uint8]) -> Iterator[Tensor]:
        """Exact pixel codes, batch by batch, with the network in evaluation and without gradients."""
        training, device = self.training, next(self.parameters()).device
        self.eval()
        try:
            with torch.no_grad():
                for start in range(0, max(len(images), 1), BATCH):
                    yield pixel_codes(images[start : start + BATCH]).to(device, torch.float64)
        finally:
            self.train(training)


def pixel_codes(images: NDArray[np.uint8]) -> Tensor:
    """Images (N, H, W, C) as uint8 codes (N, C, H, W)."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())  # one-channel views of read-only data stay read-only


def move(step: Step, x: Tensor) -> Tensor:
    """A step that rounds nothing: a max pool or a flatten."""
    if isinstance(step.layer, MaxPool):
        return window_max(x, step.layer.window)
    assert isinstance(step.layer, Flatten)
    return x.flatten(1)


def check_config(config: QuantizeConfig, steps: Steps) -> None:
    """Raises ConfigError for bits out of range and for layers that do not exist."""
    for key, (least, most) in LIMITS.items():
        _check_range(f"quantize.{key}", getattr(config, key), least, most)
    named = {step.name: step for step in steps.steps if step.rounds}
    for name, bits in config.layers.items():
        where = f"quantize.layers.{name}"
        if name not in named:
            raise ConfigError("no layer of the network has this name", where=where, hint=nearest(name, named))
        if bits.weight_bits and not isinstance(named[name].layer, Conv | Linear):
            raise ConfigError(
                "this layer has no weights", where=f"{where}.weight_bits", hint="set only activation_bits"
            )
        if bits.activation_bits and named[name].logits:
            raise ConfigError(
                "this layer computes logits", where=f"{where}.activation_bits", hint="set quantize.logit_bits"
            )
        for key in ("weight_bits", "activation_bits"):
            _check_range(f"{where}.{key}", getattr(bits, key) or LIMITS[key][0], *LIMITS[key])


def _check_range(where: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"must be in {least}..{most}, not {value}", where=where)


def _unit(kind: type[Unit], step: Step, model: nn.Module, steps: Steps, config: QuantizeConfig, signed: bool) -> Unit:
    bits = config.layers.get(step.name)
    weight_bits = (bits and bits.weight_bits) or config.weight_bits
    activation_bits = (bits and bits.activation_bits) or config.activation_bits
    dtype = IntType(config.logit_bits) if step.logits else IntType(activation_bits, signed)
    return kind(step, model, steps.shapes[step.inputs[0]], steps.shapes[step.name], weight_bits, dtype)


def _signed(step: Step, inputs: Sequence[bool]) -> bool:
    """Whether a value can be negative."""
    if step.logits:
        return True
    return not step.relu and (isinstance(step.layer, Conv | Linear) or bool(step.norms) or any(inputs))
