"""A step of a quantized network: exact integers in evaluation, the same with straight-through gradients in training.

Every unit computes `y = clamp((acc * multiplier + bias + half) >> shift)` on integer codes held in float tensors. Its
real weights and bias are what training changes; codes are rounded from them. A unit's weight scale is by definition

    weight_scale[c] = multiplier[c] * 2**-shift * y_scale / x_scale

so the integer multiplier is exact: its rounding went into the grid of the weights, where training can answer it.
"""

# Legend: N frames; C, H, W channels, rows, columns; O outputs.

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codesign.ir.types import IntType
from codesign.nn.fuse import Step
from codesign.nn.layers import Add, AveragePool, Conv, GlobalAverage, Linear, Pads, Shape, Window

MAX_SHIFT = 48
MAX_EXPONENT = 40
BIAS_LIMIT = 2.0**59  # beyond it every output saturates anyway, and requantize stays within 63 bits


@dataclass(frozen=True, slots=True)
class Grid:
    """The codes of a value: their type and the power-of-two exponent of their scale."""

    dtype: IntType
    exponent: int

    @property
    def scale(self) -> float:
        return 2.0**self.exponent


class Unit(nn.Module):
    """One rounding step. `x_grids` and `y_dtype` are set by the network, the buffers by calibration."""

    weight: nn.Parameter | None
    bias: nn.Parameter
    gain: Tensor
    multiplier: Tensor
    shift: Tensor
    exponent: Tensor

    def __init__(self, step: Step, model: nn.Module, x: Shape, y: Shape, weight_bits: int, y_dtype: IntType) -> None:
        super().__init__()
        self.step, self.weight_bits, self.y_dtype = step, weight_bits, y_dtype
        self.x_grids: tuple[Grid, ...] = ()
        weight, bias, gain = folded(step, model, y[0])
        if isinstance(step.layer, AveragePool):
            gain = gain / step.layer.window.positions
        if isinstance(step.layer, GlobalAverage):
            gain = gain / (x[1] * x[2])
        self.weight = None if weight is None else nn.Parameter(weight.float())
        self.bias = nn.Parameter(bias.float(), requires_grad=weight is not None or bool(step.norms))
        self.register_buffer("gain", gain)  # float64 of `real`; 1 where it is folded into the weights
        self.register_buffer("multiplier", torch.ones(y[0], dtype=torch.int64))
        self.register_buffer("shift", torch.tensor(0))
        self.register_buffer("exponent", torch.tensor(0))

    @property
    def grid(self) -> Grid:
        return Grid(self.y_dtype, int(self.exponent))

    @property
    def acc_exponent(self) -> int:
        """Of the scale of the accumulator's codes, the weights' scale left out."""
        return min(grid.exponent for grid in self.x_grids)

    @property
    def factors(self) -> tuple[int, ...]:
        """What brings the inputs of an add to one scale."""
        return tuple(1 << (grid.exponent - self.acc_exponent) for grid in self.x_grids)

    @property
    def weight_top(self) -> int:
        """The largest weight code; the smallest is its negative."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def weight_scale(self) -> Tensor:
        """The real value of weight code 1 for every output, float64."""
        return self.multiplier.double() * 2.0 ** (int(self.exponent) - self.acc_exponent - int(self.shift))

    @property
    def clamp(self) -> tuple[int, int]:
        low = 0 if self.step.relu else self.y_dtype.min
        high = self.step.high / self.grid.scale
        return low, self.y_dtype.max if high >= self.y_dtype.max else max(math.floor(high + 0.5), low)

    def weight_codes(self) -> Tensor:
        """The integer weights as float64, in torch's axes."""
        assert self.weight is not None
        scale = _per_output(self.weight_scale, self.weight)
        return (self.weight.detach().double() / scale).round().clamp(-self.weight_top, self.weight_top)

    def bias_codes(self) -> Tensor:
        """The integer biases at the requantizer's scale, int64."""
        exact = self.bias.detach().double() * 2.0 ** (int(self.shift) - int(self.exponent))
        return exact.round().clamp(-BIAS_LIMIT, BIAS_LIMIT).long()

    def real(self, *x: Tensor) -> Tensor:
        """The step in real numbers: what its codes approximate."""
        weight = None if self.weight is None else self.weight.to(x[0].dtype)
        acc = self._accumulate(weight, (1,) * len(x), *x)
        y = acc * _channels(self.gain.to(acc), acc) + _channels(self.bias.to(acc), acc)
        return y.clamp(0, self.step.high) if self.step.relu else y

    def forward(self, *x: Tensor) -> Tensor:
        """The step's codes from its inputs' codes, in float32 with gradients while training, else exact in float64."""
        return self._train(*x) if self.training else self.clip(self.unclipped(*x))

    def unclipped(self, *x: Tensor) -> Tensor:
        """The exact result before the clamp, int64, from float64 codes."""
        weight = None if self.weight is None else self.weight_codes()
        acc = self._accumulate(weight, self.factors, *x).round().long()  # a GPU may compute it by FFT
        half = (1 << int(self.shift)) >> 1
        return (acc * _channels(self.multiplier, acc) + _channels(self.bias_codes() + half, acc)) >> int(self.shift)

    def clip(self, y: Tensor) -> Tensor:
        return y.clamp(*self.clamp).double()

    def _train(self, *x: Tensor) -> Tensor:
        weight = None
        if self.weight is not None:
            scale = _per_output(self.weight_scale.to(self.weight), self.weight)
            weight = _round_weight(self.weight, scale, self.weight_top)
        acc = self._accumulate(weight, self.factors, *x)
        gain = (self.multiplier.double() * 2.0 ** -int(self.shift)).to(acc)
        return _requantize(acc, _channels(gain, acc), _channels(self.bias / self.grid.scale + 0.5, acc), *self.clamp)

    def _accumulate(self, weight: Tensor | None, factors: tuple[int, ...], *x: Tensor) -> Tensor:
        layer = self.step.layer
        match layer:
            case Conv():
                assert weight is not None
                padded, padding = _split_padding(x[0], layer.window.pads)
                return F.conv2d(padded, weight, None, layer.window.stride, padding, 1, layer.groups)
            case Linear():
                assert weight is not None
                return F.linear(x[0], weight)
            case Add():
                return x[0] * factors[0] + x[1] * factors[1]
            case AveragePool():
                return window_sum(x[0], layer.window)
            case GlobalAverage():
                return x[0].sum((2, 3), keepdim=True)
            case _:
                return x[0]


def folded(step: Step, model: nn.Module, channels: int) -> tuple[Tensor | None, Tensor, Tensor]:
    """(weight, bias, gain) of a step in float64, its batch norms folded in; gain is left 1 where there are weights."""
    weight, bias, gain = unfolded(step, model, channels)
    return (weight, bias, gain) if weight is None else (weight * _per_output(gain, weight), bias, torch.ones_like(gain))


def unfolded(step: Step, model: nn.Module, channels: int) -> tuple[Tensor | None, Tensor, Tensor]:
    """(weight, bias, gain) of a step in float64: the weights as they are, and the gain of the batch norms beside them."""
    weight, bias, gain = None, torch.zeros(channels, dtype=torch.float64), torch.ones(channels, dtype=torch.float64)
    if isinstance(step.layer, Conv | Linear):
        module: Any = model.get_submodule(step.layer.module)
        weight = module.weight.detach().cpu().double()
        bias = bias if module.bias is None else module.bias.detach().cpu().double()
    for path in step.norms:
        norm: Any = model.get_submodule(path)
        mean, variance = norm.running_mean.cpu().double(), norm.running_var.cpu().double()
        norm_gain = (variance + norm.eps).rsqrt()
        offset = torch.zeros_like(mean)
        if norm.affine:
            norm_gain, offset = norm_gain * norm.weight.detach().cpu().double(), norm.bias.detach().cpu().double()
        bias = (bias - mean) * norm_gain + offset
        gain = gain * norm_gain
    return weight, bias, gain


def window_sum(x: Tensor, window: Window) -> Tensor:
    """The sum over each window of every channel, with zeros where the window leaves the frame."""
    padded, padding = _split_padding(x, window.pads)
    return F.avg_pool2d(F.pad(padded, _torch_pads(padding)), window.kernel, window.stride, divisor_override=1)


def window_max(x: Tensor, window: Window) -> Tensor:
    """Max pooling; torch pads with minus infinity, which no window is made of alone."""
    return F.max_pool2d(x, window.kernel, window.stride, window.pads[:2])


def _split_padding(x: Tensor, pads: Pads) -> tuple[Tensor, tuple[int, int]]:
    """`x` and the symmetric padding left to the operation; uneven padding is put on here."""
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def _torch_pads(padding: tuple[int, int]) -> tuple[int, int, int, int]:
    y, x = padding
    return (x, x, y, y)


def _channels(value_C: Tensor, like: Tensor) -> Tensor:
    """One value per channel, broadcast along the frames, rows and columns of `like`."""
    return value_C.view(1, -1, *(1,) * (like.ndim - 2))


def _per_output(value_O: Tensor, weight: Tensor) -> Tensor:
    return value_O.view(-1, *(1,) * (weight.ndim - 1))


class _RoundWeight(torch.autograd.Function):
    """clamp(round(weight / scale)); the gradient passes where nothing is clamped."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, top: int) -> Tensor:
        steps = weight / scale
        ctx.save_for_backward(steps.abs() <= top + 0.5, scale)
        return steps.round_().clamp_(-top, top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, scale = ctx.saved_tensors
        return gradients[0] * inside / scale, None, None


class _Requantize(torch.autograd.Function):
    """clamp(floor(acc * gain + offset)); the gradient passes where nothing is clamped."""

    @staticmethod
    def forward(ctx: Any, acc: Tensor, gain: Tensor, offset: Tensor, low: int, high: int) -> Tensor:
        y = torch.addcmul(offset, acc, gain).floor_()
        ctx.save_for_backward((y >= low) & (y <= high), gain)
        return y.clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, gain = ctx.saved_tensors
        passed = gradients[0] * inside
        return passed * gain, None, passed.sum([0, *range(2, passed.ndim)], keepdim=True), None, None


def _round_weight(weight: Tensor, scale: Tensor, top: int) -> Tensor:
    return _RoundWeight.apply(weight, scale, top)  # type: ignore[no-any-return]


def _requantize(acc: Tensor, gain: Tensor, offset: Tensor, low: int, high: int) -> Tensor:
    return _Requantize.apply(acc, gain, offset, low, high)  # type: ignore[no-any-return]
