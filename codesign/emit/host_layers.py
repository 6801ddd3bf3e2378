"""Graph -> host layers: which nodes one loop nest computes together, and where each value lies in memory.

A processor wants few passes over memory, so a layer takes in all that can happen while its sums are at hand:

    %w = sliding_window(%x)            %p = matrix(%x): windows are read where they lie in %x,
    %a = matrix_vector(%w)                  every sum is rounded,
    %r = requantize(%a)                     and of each pool window the largest is kept
    %v = sliding_window(%r)
    %p = max_pool(%v)

A value whose windows reach over its edge lies inside a border of what they read there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from codesign.errors import GraphError
from codesign.ir.graph import Graph, Node, Operation
from codesign.ir.types import TensorType
from codesign.ops.add import Add
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.flatten import Flatten
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool

Ints = npt.NDArray[np.int64]
Pads = tuple[int, int, int, int]  # top, left, bottom, right

NO_PADS: Pads = (0, 0, 0, 0)
WINDOW_READERS = (MatrixVector, ChannelDot, MaxPool, SumPool)


@dataclass(frozen=True, slots=True)
class Window:
    """Where a layer reads map `x`: windows of `kernel` pixels, the first one `top` rows and `left` columns outside.

    Codes of a window's row are `position` apart and channels `channel` apart: not 1 where the map holds written-out
    windows. `sliding` says that the graph's own order of a window's codes is channel-major.
    """

    x: str
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    top: int = 0
    left: int = 0
    position: int = 1
    channel: int = 1
    sliding: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One loop nest of a kind that hls_templates/host knows.

    `nodes` are what it computes; the last one's value is the result, in map `y`. `sums` is the type of what `rounding`
    rounds, `windows` the rows and columns of windows before pooling. Weights are (outputs, kernel rows, codes of a row)
    of a matrix, (kernel positions, channels) of a depthwise convolution.
    """

    kind: str
    nodes: tuple[str, ...]
    x: tuple[Window, ...]
    y: str
    sums: TensorType
    rounding: Requantize | None = None
    weights: Ints | None = None
    pool: tuple[int, int] = (1, 1)
    factors: tuple[int, int] = (1, 1)


@dataclass(slots=True)
class Map:
    """Memory of one value: a border of `fill` around each frame."""

    type: TensorType
    border: Pads = NO_PADS
    fill: int = 0


@dataclass(frozen=True, slots=True)
class Network:
    """Layers in order and the maps between them; a value's map has its name."""

    layers: tuple[Layer, ...]
    maps: Mapping[str, Map]


def lower(graph: Graph, outputs: tuple[str, ...]) -> Network:
    """The layers that compute `outputs`. Raises GraphError for what no host layer does, such as an exit decision."""
    lowering = _Lowering(graph, outputs, graph.ancestors(*outputs))
    for value in graph.inputs:
        lowering.maps[value.name] = Map(value.type)
    nodes = tuple(graph.keep(lowering.needed))
    lowering.transparent.update(node.name for node in nodes if lowering.is_transparent(node))
    for node in nodes:
        if node.name not in lowering.transparent | lowering.taken:
            lowering.add(node)
    return Network(tuple(lowering.layers), lowering.maps)


@dataclass(slots=True)
class _Lowering:
    """The layers so far. Nodes without a layer of their own are `transparent`, read through, or `taken` by another's."""

    graph: Graph
    outputs: tuple[str, ...]
    needed: frozenset[str]
    layers: list[Layer] = field(default_factory=list[Layer])
    maps: dict[str, Map] = field(default_factory=dict[str, Map])
    transparent: set[str] = field(default_factory=set[str])
    taken: set[str] = field(default_factory=set[str])

    def add(self, node: Node) -> None:
        """Adds the layer that begins with `node`."""
        make = _MAKE.get(type(node.op))
        if make is None:
            raise GraphError(
                f"the host has no layer for {node.op.name}",
                where=f"{self.graph.name}.{node.name}",
                hint="give it the tail of a split, or a whole network",
            )
        layer = make(self, node)
        self.maps[layer.y] = Map(self.graph.types[layer.y])
        self.layers.append(layer)

    def layer(self, kind: str, node: Node, *x: Window, weights: Ints | None = None) -> Layer:
        """A layer with the requantize behind it, where that is its only reader."""
        layer = Layer(kind, (node.name,), x, node.name, self.graph.types[node.name], weights=weights)
        reader = self._only_reader(node.name)
        if reader is None or not isinstance(reader.op, Requantize):
            return layer
        self.taken.add(reader.name)
        return replace(layer, nodes=(*layer.nodes, reader.name), y=reader.name, rounding=reader.op)

    def pooled(self, layer: Layer) -> Layer:
        """The layer with the max pool behind it, where pool windows lie side by side and rounding keeps the order."""
        window = self._only_reader(layer.y)
        if layer.rounding is None or window is None or window.name not in self.transparent:
            return layer
        op, pool = window.op, self._only_reader(window.name)
        if not isinstance(op, SlidingWindow) or pool is None or not isinstance(pool.op, MaxPool):
            return layer
        if op.kernel != op.stride or any(op.pads) or int(layer.rounding.multiplier.array.min()) < 0:
            return layer
        self.taken.add(pool.name)
        return replace(layer, nodes=(*layer.nodes, pool.name), y=pool.name, pool=op.kernel)

    def window(self, value: str, positions: int = 1) -> Window:
        """How a layer reads `value`: through a sliding window, as a flattened frame, or as the codes lie there."""
        if value not in self.transparent:
            return Window(value, (1, positions), channel=positions)
        node = self.graph.node(value)
        (source,) = node.inputs
        x = self.graph.types[source]
        if isinstance(node.op, Flatten):
            return Window(source, x.shape[:2], position=x.channels)
        op = node.op
        assert isinstance(op, SlidingWindow)
        pads, fill = op.pads, op.fill if any(op.pads) else 0
        if source in self.transparent:
            pad = self.graph.node(source)
            assert isinstance(pad.op, Pad)
            top, left, bottom, right = (a + b for a, b in zip(pads, pad.op.pads, strict=True))
            (source,), pads = pad.inputs, (top, left, bottom, right)
        place = self.bordered(source, pads, fill)
        return Window(place, op.kernel, op.stride, pads[0], pads[1], x.channels, sliding=True)

    def is_transparent(self, node: Node) -> bool:
        """Whether every reader of the node can read what the node reads instead."""
        readers = self._readers(node.name)
        if node.name in self.outputs:
            return False
        match node.op:
            case SlidingWindow():
                return all(isinstance(reader.op, WINDOW_READERS) for reader in readers)
            case Flatten():
                return all(isinstance(reader.op, MatrixVector) for reader in readers)
            case Pad():
                return all(self._masks_more(reader) for reader in readers)
            case _:
                return False

    def _masks_more(self, node: Node) -> bool:
        """Whether a node is a window that could reach further over the edge by itself, and read zeros there."""
        op = node.op
        return isinstance(op, SlidingWindow) and self.is_transparent(node) and (op.fill == 0 or not any(op.pads))

    def bordered(self, value: str, pads: Pads, fill: int) -> str:
        """The map that holds `value` inside a border of at least `pads`; a copy where its own border is of another fill."""
        if not any(pads):
            return value
        place, own = value, self.maps[value]
        if any(own.border) and own.fill != fill:
            place = f"{value}.{'minus' if fill < 0 else 'plus'}{abs(fill)}"
            if place not in self.maps:
                self.maps[place] = Map(own.type)
                self.layers.append(Layer("each", (value,), (Window(value),), place, own.type))
        place_map = self.maps[place]
        top, left, bottom, right = (max(pair) for pair in zip(place_map.border, pads, strict=True))
        place_map.border, place_map.fill = (top, left, bottom, right), fill
        return place

    def _readers(self, value: str) -> list[Node]:
        return [node for node in self.graph.readers(value) if node.name in self.needed]

    def _only_reader(self, value: str) -> Node | None:
        """The one node that reads a value which is no result itself."""
        readers = self._readers(value)
        return readers[0] if len(readers) == 1 and value not in self.outputs else None


def _matrix(lowering: _Lowering, node: Node) -> Layer:
    op = node.op
    assert isinstance(op, MatrixVector)
    window = lowering.window(node.inputs[0])
    outputs, (rows, columns) = len(op.weights.array), window.kernel
    weights = op.weights.array.reshape(outputs, rows, -1)
    if window.sliding:
        weights = op.weights.array.reshape(outputs, -1, rows, columns).transpose(0, 2, 3, 1).reshape(outputs, rows, -1)
    return lowering.pooled(lowering.layer("matrix", node, window, weights=weights))


def _depthwise(lowering: _Lowering, node: Node) -> Layer:
    op = node.op
    assert isinstance(op, ChannelDot)
    window = lowering.window(node.inputs[0], op.weights.shape[1])
    return lowering.layer("depthwise", node, window, weights=op.weights.array.T)


def _pool(lowering: _Lowering, node: Node) -> Layer:
    op = node.op
    assert isinstance(op, MaxPool | SumPool)
    return lowering.layer(op.name, node, lowering.window(node.inputs[0], op.positions))


def _global_sum(lowering: _Lowering, node: Node) -> Layer:
    x = lowering.graph.types[node.inputs[0]]
    return lowering.layer("sum_pool", node, Window(node.inputs[0], x.shape[:2], position=x.channels))


def _add(lowering: _Lowering, node: Node) -> Layer:
    op = node.op
    assert isinstance(op, Add)
    layer = lowering.layer("add", node, *(Window(source) for source in node.inputs))
    return replace(layer, factors=op.factors)


def _requantize(lowering: _Lowering, node: Node) -> Layer:
    (source,) = node.inputs
    assert isinstance(node.op, Requantize)
    return Layer("each", (node.name,), (Window(source),), node.name, lowering.graph.types[source], node.op)


def _pad(lowering: _Lowering, node: Node) -> Layer:
    (source,) = node.inputs
    assert isinstance(node.op, Pad)
    window = Window(source, top=node.op.pads[0], left=node.op.pads[1])
    return Layer("each", (node.name,), (window,), node.name, lowering.graph.types[source])


def _flatten(lowering: _Lowering, node: Node) -> Layer:
    (source,) = node.inputs
    return Layer("flatten", (node.name,), (Window(source),), node.name, lowering.graph.types[source])


def _windows(lowering: _Lowering, node: Node) -> Layer:
    op, (source,) = node.op, node.inputs
    assert isinstance(op, SlidingWindow)
    place = lowering.bordered(source, op.pads, op.fill)
    window = Window(place, op.kernel, op.stride, op.pads[0], op.pads[1])
    return Layer("windows", (node.name,), (window,), node.name, lowering.graph.types[source])


_MAKE: Mapping[type[Operation], Callable[[_Lowering, Node], Layer]] = {
    Add: _add,
    ChannelDot: _depthwise,
    Flatten: _flatten,
    GlobalSum: _global_sum,
    MatrixVector: _matrix,
    MaxPool: _pool,
    Pad: _pad,
    Requantize: _requantize,
    SlidingWindow: _windows,
    SumPool: _pool,
}
