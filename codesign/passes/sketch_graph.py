"""Sketch -> Graph: the nodes, shapes and integer types that `nn/export.py` gives the trained network.

Weights are drawn from a fixed seed as a trained layer has them, so what depends on weights is only near: the width of
accumulators, biases and multipliers, shifts and scales, and which products a synthesis tool can drop.
"""

# Legend: O, I outputs and inputs of a matrix; C channels.
from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from codesign.errors import ConfigError, GraphError
from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node, identifier
from codesign.ir.types import Constant, IntType, TensorType
from codesign.ops.add import Add
from codesign.ops.base import Op
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.flatten import Flatten
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool
from codesign.passes.sketch import WEIGHTED, Layer, Sketch

Ints = npt.NDArray[np.int64]

PIXELS = TensorType((1, 1, 1), IntType(8, signed=False), 2.0**-8)
TYPICAL_BITS = 8  # of a result before the clamp: its target where the type is as wide or wider
LOGIT_REACH = 10  # bits of typical logits
HEADROOM_BITS = 3  # between what weights and inputs could sum up to and what they do
LARGEST = 0.75  # of a layer with one scale for all outputs, the largest weight as a share of the largest code


@dataclass(frozen=True, slots=True)
class Precision:
    """Bits of integers, as section `quantize` of a config has them; `layers` has (weight, activation) bits, 0 for the default."""

    weight_bits: int = 8
    activation_bits: int = 8
    scales: str = "per-channel"
    multiplier_bits: int = 12
    logit_bits: int = 16
    logit_fraction_bits: int = 6
    layers: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def weights(self, name: str) -> int:
        return self.layers.get(name, (0, 0))[0] or self.weight_bits

    def activations(self, name: str) -> int:
        return self.layers.get(name, (0, 0))[1] or self.activation_bits


def sketch_graph(
    sketch: Sketch, name: str, precision: Precision | None = None, *, seed: int = 0, pixels: TensorType = PIXELS
) -> Graph:
    """The graph of a sketch, `pixels` being type and scale of its image's codes.

    Raises ConfigError, with the layer's name, where shapes do not fit.
    """
    lowering = _Lowering(sketch, precision or Precision(), seed, pixels)
    for layer in sketch.layers:
        try:
            lowering.lower(layer)
        except (GraphError, ValueError) as error:
            raise ConfigError(str(error), where=f"{name}.{layer.name}", hint="check the sizes above it") from error
    exits = tuple(ExitPoint(exit_, lowering.values[layer]) for exit_, layer in sketch.exits)
    image = GraphInput("image", lowering.types["image"])
    return Graph(identifier(name), (image,), tuple(lowering.nodes), tuple(e.logits for e in exits), exits)


class _Lowering:
    """Collects nodes; `values` maps a layer to the graph value that holds its codes."""

    def __init__(self, sketch: Sketch, precision: Precision, seed: int, pixels: TensorType) -> None:
        self.precision, self.seed = precision, seed
        self.logits = {layer for _, layer in sketch.exits}
        self.used = {"image", *(layer.name for layer in sketch.layers)}
        self.nodes: list[Node] = []
        self.values = {"image": "image"}
        self.types = {"image": replace(pixels, shape=sketch.image)}

    def lower(self, layer: Layer) -> None:
        sources = [self.values[name] for name in layer.inputs]
        x = self.types[sources[0]]
        if layer.shape and layer.shape != x.shape and layer.shape != (x.size,):
            raise ValueError(f"{'x'.join(map(str, layer.shape))} is said, {'x'.join(map(str, x.shape))} comes")
        match layer.kind:
            case "conv2d" | "depthwise_conv2d":
                value = self._conv(layer, sources[0], x)
            case "dense":
                flat = (
                    self._add(self._free(f"{layer.name}.flatten"), Flatten(), sources[0])
                    if x.pixels > 1
                    else sources[0]
                )
                value = self._add(layer.name, MatrixVector(self._weights(layer, (layer.outputs, x.size))), flat)
            case "max_pool":
                fill = x.dtype.min
                value = self._add(
                    layer.name, MaxPool(math.prod(layer.kernel)), self._window(layer, sources[0], x, fill)
                )
            case "avg_pool":
                value = self._add(layer.name, SumPool(math.prod(layer.kernel)), self._window(layer, sources[0], x))
            case "mean":
                value = self._add(layer.name, GlobalSum(), sources[0])
            case "add":
                value = self._add(layer.name, Add(self._factors(sources)), *sources)
            case _:
                value = self._add(layer.name, Flatten(), sources[0]) if x.pixels > 1 else sources[0]
        rounds = layer.kind not in ("max_pool", "flatten")
        self.values[layer.name] = self._requantize(layer, value, sources) if rounds else value

    def _conv(self, layer: Layer, source: str, x: TensorType) -> str:
        positions, channels = math.prod(layer.kernel), x.channels
        outputs = layer.outputs or channels
        groups = channels if layer.kind == "depthwise_conv2d" else layer.groups
        vectors = self._window(layer, source, x)
        if groups == channels == outputs and groups > 1:
            return self._add(layer.name, ChannelDot(self._weights(layer, (outputs, positions))), vectors)
        if channels % groups or outputs % groups:
            raise ValueError(f"{groups} groups do not divide {channels} channels and {outputs} outputs")
        width, block = channels // groups * positions, outputs // groups
        weights = self._weights(layer, (outputs, width))
        if groups > 1:  # blocks on the diagonal of one matrix
            matrix = np.zeros((outputs, groups * width), np.int64)
            for group in range(groups):
                rows = slice(group * block, (group + 1) * block)
                matrix[rows, group * width : (group + 1) * width] = weights.array[rows]
            weights = Constant.of(matrix, weights.dtype)
        return self._add(layer.name, MatrixVector(weights), vectors)

    def _window(self, layer: Layer, source: str, x: TensorType, fill: int = 0) -> str:
        """The windows that a layer reads, behind a pad op where sliding_window cannot mask the padding itself."""
        pads = _used_pads(layer, x)
        if pads[0] + pads[2] >= layer.kernel[0] or pads[1] + pads[3] >= layer.kernel[1]:
            source, pads = self._add(self._free(f"{layer.name}.pad"), Pad(pads), source), (0, 0, 0, 0)
        if layer.kernel == layer.stride == (1, 1):
            return source
        op = SlidingWindow(layer.kernel, layer.stride, pads, fill if any(pads) else 0)
        return self._add(self._free(f"{layer.name}.window"), op, source)

    def _factors(self, sources: list[str]) -> tuple[int, int]:
        """What brings the two inputs of an add to one scale."""
        a, b = (self.types[name].scale or 1.0 for name in sources)
        least = min(a, b)
        return round(a / least), round(b / least)

    def _requantize(self, layer: Layer, source: str, inputs: list[str]) -> str:
        acc = self.types[source]
        out, scale = self._out(layer, [self.types[name].dtype.signed for name in inputs])
        bits = acc.dtype.bits - acc.dtype.signed
        reach = min(out.bits - out.signed, LOGIT_REACH if layer.name in self.logits else TYPICAL_BITS)
        positions = math.prod(layer.kernel) if layer.kind == "avg_pool" else self.types[inputs[0]].pixels
        if layer.kind in WEIGHTED:
            multipliers = self._multipliers(layer, acc.channels)
            shift = max(0, bits - HEADROOM_BITS + multipliers.dtype.bits * (self._per_channel) - reach)
            spread = 2.0 ** (reach - 2 + shift)
            bias = Constant.of(np.round(noise(acc.channels, self._key(layer, "bias")) * spread).astype(np.int64))
        else:
            whole = layer.kind == "add" or positions & (positions - 1) == 0
            multipliers = Constant.of([1 if whole else (1 << self.precision.multiplier_bits) - 1])
            shift = max(0, bits - (out.bits - out.signed) + (0 if whole else self.precision.multiplier_bits))
            shift, bias = (0 if layer.kind == "add" else shift), Constant.of([0])
        high = None
        if layer.high and (top := math.floor(layer.high / scale + 0.5)) < out.max:
            high = top
        op = Requantize(multipliers, bias, min(shift, 48), out, scale, 0 if layer.relu and out.min < 0 else None, high)
        return self._add(self._free(f"{layer.name}.requantize"), op, source)

    def _out(self, layer: Layer, signed: list[bool]) -> tuple[IntType, float]:
        """Type and scale of a layer's codes."""
        if layer.name in self.logits:
            return IntType(self.precision.logit_bits), 2.0**-self.precision.logit_fraction_bits
        negative = not layer.relu and (layer.kind in WEIGHTED or any(signed))
        out = IntType(self.precision.activations(layer.name), negative)
        return out, 2.0 ** math.ceil(math.log2((layer.high or 6.0) / out.max))

    def _weights(self, layer: Layer, shape: tuple[int, int]) -> Constant:
        """Weights (O, I) about 0; the largest of each output, or of the layer, is about as large as its code can be."""
        bits = self.precision.weights(layer.name)
        top = (1 << (bits - 1)) - 1
        draws = noise(math.prod(shape), self._key(layer, "weights")).reshape(shape)
        if self._per_channel:
            share = draws / np.abs(draws).max(axis=1, keepdims=True)
        else:
            share = draws * (LARGEST / np.abs(draws).max())
        return Constant.of(np.round(share * top).astype(np.int64), IntType(bits))

    def _multipliers(self, layer: Layer, channels: int) -> Constant:
        if not self._per_channel:
            return Constant.of([1])
        top = (1 << self.precision.multiplier_bits) - 1
        share = np.abs(noise(channels, self._key(layer, "multiplier"))).clip(0.1, 2.0) / 2
        values: Ints = np.maximum(1, np.round(share * top)).astype(np.int64)
        values[0] = top  # the largest has all its bits
        return Constant.of(values)

    @property
    def _per_channel(self) -> bool:
        return self.precision.scales == "per-channel"

    def _key(self, layer: Layer, what: str) -> int:
        return zlib.crc32(f"{self.seed}/{layer.name}/{what}".encode())

    def _free(self, name: str) -> str:
        while name in self.used:
            name += "_"
        self.used.add(name)
        return name

    def _add(self, name: str, op: Op, *inputs: str) -> str:
        self.types[name] = op.infer(*(self.types[source] for source in inputs))
        self.nodes.append(Node(name, op, inputs))
        return name


def noise(count: int, key: int) -> npt.NDArray[np.float64]:
    """Numbers of mean 0 and deviation 1, nearly normal, the same on every machine; numpy.random would take 20 ms to import."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(key << 20)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # splitmix64
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    parts = z.view(np.uint16).reshape(count, 4)  # each uniform in 0..65535
    return (parts.sum(axis=1) - 2 * 65535.0) / (65536 / math.sqrt(3))


def _used_pads(layer: Layer, x: TensorType) -> tuple[int, int, int, int]:
    """The padding without the rows and columns at the bottom and right that no kernel position reaches."""
    far: list[int] = []
    for axis in (0, 1):
        size, kernel, stride, pad = x.shape[axis], layer.kernel[axis], layer.stride[axis], layer.pad[axis]
        steps = (size + 2 * pad - kernel) // stride
        if steps < 0:
            raise ValueError(f"a kernel of {kernel} is larger than {size} with its padding")
        far.append(min(pad, max(0, steps * stride + kernel - pad - size)))
    return layer.pad[0], layer.pad[1], far[0], far[1]
