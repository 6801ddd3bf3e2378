"""Quantized network -> Graph: every step as the streaming processes that compute its integers."""

# Legend: C, H, W channels, rows, columns; O, I outputs and inputs of a matrix; K kernel positions.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ModelError
from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node, identifier
from codesign.ir.types import Constant, IntType, TensorType
from codesign.nn.fuse import Step
from codesign.nn.integer_net import PIXELS, QuantizedNet
from codesign.nn.layers import (
    IMAGE,
    Add,
    AveragePool,
    Conv,
    Flatten,
    GlobalAverage,
    Identity,
    Linear,
    MaxPool,
    Shape,
    Window,
)
from codesign.nn.units import Unit
from codesign.ops.add import Add as AddOp
from codesign.ops.base import Op
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.flatten import Flatten as FlattenOp
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool as MaxPoolOp
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool

Ints = NDArray[np.int64]


def export(net: QuantizedNet, name: str) -> Graph:
    """The graph whose golden codes are `net.logits`, bit for bit: input `image`, one output per exit, in order.

    A step named `conv` becomes `conv.window`, `conv` and `conv.requantize`. Torch's order of a flattened map (C, H, W)
    becomes the stream's (H, W, C) by moving the columns of the matrices that read it.
    """
    _check_finite(net)
    lowering = _Lowering(net)
    for step in net.steps.steps:
        lowering.lower(step)
    exits = tuple(ExitPoint(point.name, lowering.values[point.logits]) for point in net.steps.exits)
    image = GraphInput(IMAGE, TensorType(net.input_shape, PIXELS.dtype, PIXELS.scale))
    return Graph(identifier(name), (image,), tuple(lowering.nodes), tuple(e.logits for e in exits), exits)


class _Lowering:
    """Collects nodes; `values` maps a step to the graph value that holds its codes."""

    def __init__(self, net: QuantizedNet) -> None:
        self.nodes: list[Node] = []
        self.values: dict[str, str] = {IMAGE: IMAGE}
        self._net, self._steps = net, net.steps
        self._used = {IMAGE, *(step.name for step in net.steps.steps)}
        self._signed_min = {name: grid.dtype.min for name, grid in net.grids.items()}

    def lower(self, step: Step) -> None:
        layer, source = step.layer, self.values[step.inputs[0]]
        x_shape = self._steps.shapes[step.inputs[0]]
        match layer:
            case Conv():
                value = self._conv(layer, source, x_shape, self._net.unit(step.name))
            case Linear():
                weight = _integers(self._net.unit(step.name).weight_codes())
                columns = weight[:, _stream_order(self._steps.origins[step.inputs[0]])]
                value = self._add(step.name, MatrixVector(self._weights(columns, step.name)), source)
            case Add():
                factors = self._net.unit(step.name).factors
                value = self._add(step.name, AddOp((factors[0], factors[1])), source, self.values[step.inputs[1]])
            case MaxPool():
                window = self._window(step.name, layer.window, source, x_shape, self._signed_min[step.inputs[0]])
                value = self._add(step.name, MaxPoolOp(layer.window.positions), window)
            case AveragePool():
                window = self._window(step.name, layer.window, source, x_shape)
                value = self._add(step.name, SumPool(layer.window.positions), window)
            case GlobalAverage():
                value = self._add(step.name, GlobalSum(), source)
            case Flatten():
                value = self._add(step.name, FlattenOp(), source) if x_shape[1:] != (1, 1) else source
            case Identity():
                value = source
            case _:
                raise AssertionError(layer)
        self.values[step.name] = self._requantize(step, value) if step.rounds else value

    def _conv(self, layer: Conv, source: str, x_shape: Shape, unit: Unit) -> str:
        weight = _integers(unit.weight_codes())
        vectors = self._window(layer.name, layer.window, source, x_shape)
        if layer.groups == layer.in_channels == layer.out_channels and layer.groups > 1:
            op: Op = ChannelDot(self._weights(weight.reshape(layer.out_channels, -1), layer.name))
        else:
            op = MatrixVector(self._weights(_dense(weight, layer.groups), layer.name))
        return self._add(layer.name, op, vectors)

    def _window(self, name: str, window: Window, source: str, x_shape: Shape, fill: int = 0) -> str:
        """The windows that step `name` reads, behind a pad op where sliding_window cannot mask the padding itself."""
        top, left, bottom, right = pads = window.used_pads(x_shape)
        if top + bottom >= window.kernel[0] or left + right >= window.kernel[1]:
            if fill:
                raise ModelError(
                    f"padding {window.pads[:2]} of a {window.kernel[0]}x{window.kernel[1]} max pool of signed values",
                    where=f"{self._steps.name}.{name}",
                    hint="put the ReLU in front of the pool, or use an odd kernel",
                )
            source, pads = self._beside(f"{name}.pad", Pad(pads), source), (0, 0, 0, 0)
        if window.kernel == window.stride == (1, 1):
            return source
        op = SlidingWindow(window.kernel, window.stride, pads, fill if any(pads) else 0)
        return self._beside(f"{name}.window", op, source)

    def _requantize(self, step: Step, source: str) -> str:
        unit = self._net.unit(step.name)
        order = self._order(step.name)
        low, high = unit.clamp
        out = unit.y_dtype
        op = Requantize(
            _per_channel(_integers(unit.multiplier)[order]),
            _per_channel(_integers(unit.bias_codes())[order]),
            int(unit.shift),
            out,
            unit.grid.scale,
            None if low == out.min else low,
            None if high == out.max else high,
        )
        return self._beside(f"{step.name}.requantize", op, source)

    def _order(self, value: str) -> Any:
        """The torch index of every channel of the stream."""
        if value not in self._steps.origins:
            return slice(None)
        return _stream_order(self._steps.origins[value])

    def _weights(self, weight: Ints, name: str) -> Constant:
        return Constant.of(weight, IntType(self._net.unit(name).weight_bits))

    def _beside(self, name: str, op: Op, *inputs: str) -> str:
        """Adds a node that no step is named after; where a step has the name, underscores go behind it."""
        while name in self._used:
            name += "_"
        self._used.add(name)
        return self._add(name, op, *inputs)

    def _add(self, name: str, op: Op, *inputs: str) -> str:
        self.nodes.append(Node(name, op, inputs))
        return name


def _dense(weight_OIHW: Ints, groups: int) -> Ints:
    """Convolution weights as one matrix over windows in channel-major order; groups become blocks on its diagonal."""
    outputs, group_inputs, rows, columns = weight_OIHW.shape
    block, width = outputs // groups, group_inputs * rows * columns
    matrix = np.zeros((outputs, groups * width), np.int64)
    for group in range(groups):
        part = slice(group * block, (group + 1) * block)
        matrix[part, group * width : (group + 1) * width] = weight_OIHW[part].reshape(block, width)
    return matrix


def _stream_order(origin: Shape) -> Ints:
    """For every place in a flattened (H, W, C) stream, its index in torch's flattened (C, H, W)."""
    C, H, W = origin
    return np.arange(C * H * W).reshape(C, H, W).transpose(1, 2, 0).reshape(-1)


def _per_channel(values_C: Ints) -> Constant:
    """One value for all channels where they agree."""
    return Constant.of(values_C[:1] if (values_C == values_C[0]).all() else values_C)


def _integers(codes: Any) -> Ints:
    return codes.cpu().numpy().astype(np.int64)


def _check_finite(net: QuantizedNet) -> None:
    for unit in net.rounding():
        tensors: Sequence[Any] = [t for t in (unit.weight, unit.bias, unit.gain) if t is not None]
        if not all(bool(t.isfinite().all()) for t in tensors):
            raise ModelError(
                "its weights hold NaN or infinity",
                where=f"{net.steps.name}.{unit.step.name}",
                hint="quantize again with a lower quantize.lr",
            )
