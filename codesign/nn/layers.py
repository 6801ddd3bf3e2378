"""The layers of a traced network: frozen values that name their inputs, know their shapes, and hold no weights.

A layer that has weights names the torch module that holds them. Shapes are torch's without the frames' axis:
(C, H, W) for a feature map, (F,) for a vector.
"""

# Legend: C, H, W channels, rows, columns; F features of a vector.

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from codesign.errors import ModelError

Shape = tuple[int, ...]
Pads = tuple[int, int, int, int]  # top, left, bottom, right

IMAGE = "image"  # the name of the network's input


@dataclass(frozen=True, slots=True)
class Layer(ABC):
    """One operation; its result is the value of the same name."""

    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def infer(self, *x: Shape) -> Shape:
        """The output's shape. Raises ModelError when the inputs do not fit."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where a kernel stops on a map: its size, stride and padding."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: Pads = (0, 0, 0, 0)

    def infer(self, x: Shape, channels: int) -> Shape:
        if len(x) != 3:
            raise ModelError(f"needs a feature map (C, H, W), not a {show(x)}", hint="put it before the flatten")
        top, left, bottom, right = self.pads
        rows = (x[1] + top + bottom - self.kernel[0]) // self.stride[0] + 1
        columns = (x[2] + left + right - self.kernel[1]) // self.stride[1] + 1
        if rows < 1 or columns < 1:
            raise ModelError(
                f"its {self.kernel[0]}x{self.kernel[1]} kernel is larger than its input, a {show(x)}",
                hint="use larger frames, fewer pools, or more padding",
            )
        return (channels, rows, columns)

    @property
    def positions(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def used_pads(self, x: Shape) -> Pads:
        """`pads` without the rows and columns at the bottom and right that no kernel position reaches."""
        _, rows, columns = self.infer(x, 1)
        top, left, bottom, right = self.pads
        reach_y = (rows - 1) * self.stride[0] + self.kernel[0] - top - x[1]
        reach_x = (columns - 1) * self.stride[1] + self.kernel[1] - left - x[2]
        return (top, left, min(bottom, max(0, reach_y)), min(right, max(0, reach_x)))


@dataclass(frozen=True, slots=True)
class Conv(Layer):
    """A 2-D convolution; weights (outputs, inputs / groups, kernel rows, kernel columns)."""

    module: str
    window: Window
    in_channels: int
    out_channels: int
    groups: int = 1

    def infer(self, *x: Shape) -> Shape:
        (image,) = x
        shape = self.window.infer(image, self.out_channels)
        if image[0] != self.in_channels:
            raise ModelError(f"takes {self.in_channels} channels but gets a {show(image)}", hint="check in_channels")
        return shape


@dataclass(frozen=True, slots=True)
class Linear(Layer):
    """A dense layer on a vector; weights (outputs, inputs)."""

    module: str
    in_features: int
    out_features: int

    def infer(self, *x: Shape) -> Shape:
        (vector,) = x
        if len(vector) != 1:
            raise ModelError(f"needs a vector but gets a {show(vector)}", hint="put nn.Flatten() in front")
        if vector[0] != self.in_features:
            raise ModelError(
                f"takes {self.in_features} inputs but gets a {show(vector)}",
                hint=f"set in_features={vector[0]}, or use frames of the size that the model was made for",
            )
        return (self.out_features,)


@dataclass(frozen=True, slots=True)
class BatchNorm(Layer):
    """y = x * gain + offset for every channel, with the running statistics of the torch module."""

    module: str
    channels: int

    def infer(self, *x: Shape) -> Shape:
        (value,) = x
        if value[0] != self.channels:
            raise ModelError(f"takes {self.channels} channels but gets a {show(value)}", hint="check num_features")
        return value


@dataclass(frozen=True, slots=True)
class Relu(Layer):
    """y = min(max(x, 0), high)."""

    high: float = math.inf

    def infer(self, *x: Shape) -> Shape:
        return x[0]


@dataclass(frozen=True, slots=True)
class MaxPool(Layer):
    """The largest value of each window, channel by channel."""

    window: Window

    def infer(self, *x: Shape) -> Shape:
        return self.window.infer(x[0], x[0][0])


@dataclass(frozen=True, slots=True)
class AveragePool(Layer):
    """The mean of every window, zeros of the padding counted."""

    window: Window

    def infer(self, *x: Shape) -> Shape:
        return self.window.infer(x[0], x[0][0])


@dataclass(frozen=True, slots=True)
class GlobalAverage(Layer):
    """The mean of every channel over all rows and columns, as a map of one pixel."""

    def infer(self, *x: Shape) -> Shape:
        if len(x[0]) != 3:
            raise ModelError(f"needs a feature map (C, H, W), not a {show(x[0])}", hint="put it before the flatten")
        return (x[0][0], 1, 1)


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """A map as one vector, channels first, as torch does."""

    def infer(self, *x: Shape) -> Shape:
        return (math.prod(x[0]),)


@dataclass(frozen=True, slots=True)
class Add(Layer):
    """The sum of two inputs of one shape."""

    def infer(self, *x: Shape) -> Shape:
        a, b = x
        if a != b:
            raise ModelError(f"cannot add a {show(a)} and a {show(b)}", hint="both inputs of an add have one shape")
        return a


@dataclass(frozen=True, slots=True)
class Identity(Layer):
    """y = x; carries what cannot be folded into the layer before it, such as the logits' own scale."""

    def infer(self, *x: Shape) -> Shape:
        return x[0]


@dataclass(frozen=True, slots=True)
class ExitLogits:
    """An exit of the network: its name and the value that holds its logits."""

    name: str
    logits: str


@dataclass(frozen=True, slots=True)
class Network:
    """Layers in topological order, the exits in order, and the frames' shape (C, H, W)."""

    name: str
    shape: Shape
    layers: tuple[Layer, ...]
    exits: tuple[ExitLogits, ...]

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every value by name; raises ModelError that names the layer whose input does not fit."""
        shapes = {IMAGE: self.shape}
        for layer in self.layers:
            shapes[layer.name] = infer(layer, shapes, self.name)
        return shapes

    def readers(self, value: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if value in layer.inputs)

    def is_logits(self, value: str) -> bool:
        return any(point.logits == value for point in self.exits)


def infer(layer: Layer, shapes: Mapping[str, Shape], where: str) -> Shape:
    """The shape of a layer's value; raises ModelError that names the layer, what it got and the frames' size."""
    try:
        return layer.infer(*(shapes[source] for source in layer.inputs))
    except ModelError as error:
        C, H, W = shapes[IMAGE]
        raise ModelError(
            f"{error.what} (frames are {H}x{W}x{C})", where=f"{where}.{layer.name}", hint=error.hint
        ) from error


def show(shape: Shape) -> str:
    """`vector of 84`, or `28x28 map of 6 channels`."""
    return f"vector of {shape[0]}" if len(shape) == 1 else f"{shape[1]}x{shape[2]} map of {shape[0]} channels"
