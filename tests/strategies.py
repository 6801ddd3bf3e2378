"""Random values of the graph's kinds: types, constants, and small networks that every backend can be tried on.

A network is built by `build_graph` from a source of integer choices, so Hypothesis (`small_graphs`) and a plain seed
(`random_graph`, for C simulations that compile many graphs at once) grow the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from codesign.ir import Codes, Constant, Graph, GraphInput, IntType, Node, TensorType
from codesign.ops import Op
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

Choose = Callable[[int, int], int]  # an integer of low..high, both included

MAX_WEIGHTS = 3000  # of one layer, so that compiling a graph stays quick

int_types = st.builds(IntType, st.integers(1, 64), st.booleans())
scales = st.none() | st.integers(-40, 40).map(lambda e: 2.0**e) | st.floats(1e-30, 1e30)
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
tensor_types = st.builds(TensorType, shapes, int_types, scales)


@st.composite
def constants(draw: st.DrawFn) -> Constant:
    """A constant of any type, rank 0 to 3, with the type's ends among its values."""
    dtype = draw(int_types)
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    high = min(dtype.max, 2**63 - 1)
    codes = st.sampled_from([dtype.min, high]) | st.integers(dtype.min, high)
    size = int(np.prod(shape, dtype=int))
    return Constant.of(
        np.array(draw(st.lists(codes, min_size=size, max_size=size)), dtype=np.int64).reshape(shape), dtype
    )


@st.composite
def small_graphs(draw: st.DrawFn, *, max_layers: int = 4) -> Graph:
    """A network of 1 to `max_layers` layers on an image of at most 12x12 pixels."""
    return build_graph(lambda low, high: draw(st.integers(low, high)), max_layers=max_layers)


def random_graph(seed: int, *, max_layers: int = 4) -> Graph:
    """The network of this seed; the same on every machine and in every run."""
    rng = np.random.default_rng(seed)
    return build_graph(lambda low, high: int(rng.integers(low, high + 1)), name=f"random_{seed}", max_layers=max_layers)


def random_codes(graph: Graph, frames: int, seed: int = 0) -> dict[str, Codes]:
    """Codes for every stream input: frame 0 all at the type's minimum, frame 1 at its maximum, the rest uniform."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, Codes] = {}
    for value in graph.inputs:
        inputs[value.name] = random_tensor(rng, value.type, frames)
    return inputs


def random_tensor(rng: np.random.Generator, type_: TensorType, frames: int) -> Codes:
    low, high = type_.dtype.min, min(type_.dtype.max, 2**63 - 1)
    codes = rng.integers(low, high, (frames, *type_.shape), endpoint=True, dtype=np.int64)
    codes[:1], codes[1:2] = low, high
    return codes


def build_graph(choose: Choose, *, name: str = "small", max_layers: int = 4) -> Graph:
    """A chain of convolutions, pools, residual blocks and dense layers that ends in a map, in logits or in an accumulator."""
    shape = (choose(1, 12), choose(1, 12), choose(1, 4))
    image = GraphInput("image", TensorType(shape, _activation_type(choose), 2.0 ** -choose(0, 8)))
    network = _Network(choose, np.random.default_rng(choose(0, 2**32 - 1)), {"image": image.type})
    value = "image"
    for _ in range(choose(1, max_layers)):
        layer = _LAYERS[choose(0, len(_LAYERS) - 1)]
        value = layer(network, value)
    if choose(0, 2) == 0:
        value = _head(network, value)
    return Graph(name, (image,), tuple(network.nodes), (value,))


@dataclass(slots=True)
class _Network:
    """The nodes so far, and where the next choice comes from."""

    choose: Choose
    rng: np.random.Generator
    types: dict[str, TensorType]
    nodes: list[Node] = field(default_factory=list[Node])

    def add(self, op: Op, *sources: str) -> str:
        name = f"{op.name}{len(self.nodes)}"
        self.types[name] = op.infer(*(self.types[source] for source in sources))
        self.nodes.append(Node(name, op, sources))
        return name

    def weights(self, outputs: int, inputs: int) -> Constant:
        dtype = IntType(self.choose(2, 16))
        return Constant.of(self.rng.integers(dtype.min, dtype.max, (outputs, inputs), endpoint=True), dtype)

    def outputs(self, inputs: int) -> int:
        """How many outputs a layer with so many inputs may have."""
        return self.choose(1, max(1, min(16, MAX_WEIGHTS // inputs)))


def _activation_type(choose: Choose) -> IntType:
    return IntType(choose(2, 16), signed=choose(0, 1) == 1)


def _requantize(net: _Network, value: str, scale: float | None = None) -> str:
    """Brings an accumulator to a narrow type so that some codes saturate and most do not."""
    acc, choose = net.types[value], net.choose
    out = _activation_type(choose)
    size = acc.channels if choose(0, 1) else 1
    multiplier_bits = choose(0, 16)
    multiplier = net.rng.integers((1 << multiplier_bits) + 1 >> 1, 1 << multiplier_bits, size, endpoint=True)
    multiplier *= net.rng.choice([1, 1, 1, -1], size)  # a folded batch norm may turn a channel over
    reach = 1 << max(0, acc.dtype.bits + multiplier_bits - 7)
    bias = net.rng.integers(-reach, reach, size, endpoint=True)
    shift = min(48, max(0, acc.dtype.bits + multiplier_bits - out.bits - choose(1, 5)))
    relu = out.signed and choose(0, 2) == 0
    high = out.max - 1 if out.bits > 2 and choose(0, 4) == 0 else None
    power = 2.0 ** -choose(0, 8)
    op = Requantize(Constant.of(multiplier), Constant.of(bias), shift, out, scale or power, 0 if relu else None, high)
    return net.add(op, value)


def _window(net: _Network, value: str, *, limit: int = 7, fill: int = 0) -> str:
    """Kernel windows of any size, stride and padding that are legal; a kernel may be larger than the image."""
    choose, (rows, columns, _) = net.choose, net.types[value].shape
    kernel = (choose(1, limit), choose(1, limit))
    vertical, horizontal = (choose(max(0, k - size), k - 1) for k, size in zip(kernel, (rows, columns), strict=True))
    top, left = choose(0, vertical), choose(0, horizontal)
    stride = (choose(1, 3), choose(1, 3))
    return net.add(SlidingWindow(kernel, stride, (top, left, vertical - top, horizontal - left), fill), value)


def _conv(net: _Network, value: str) -> str:
    if net.choose(0, 5) == 0:
        value = net.add(Pad((net.choose(0, 2), net.choose(0, 2), net.choose(0, 2), net.choose(0, 2))), value)
    windows = _window(net, value)
    inputs = net.types[windows].channels
    return _requantize(net, net.add(MatrixVector(net.weights(net.outputs(inputs), inputs)), windows))


def _depthwise(net: _Network, value: str) -> str:
    channels = net.types[value].channels
    windows = _window(net, value, limit=5)
    return _requantize(
        net, net.add(ChannelDot(net.weights(channels, net.types[windows].channels // channels)), windows)
    )


def _max_pool(net: _Network, value: str) -> str:
    windows = _window(net, value, limit=3, fill=net.types[value].dtype.min)
    return net.add(MaxPool(net.types[windows].channels // net.types[value].channels), windows)


def _average_pool(net: _Network, value: str) -> str:
    windows = _window(net, value, limit=3)
    return _requantize(net, net.add(SumPool(net.types[windows].channels // net.types[value].channels), windows))


def _residual(net: _Network, value: str) -> str:
    """value + conv(value), the branch's scale chosen so that small factors align the two."""
    kind, choose = net.types[value], net.choose
    limit = 3 if 9 * kind.channels**2 <= MAX_WEIGHTS else 1
    kernel = (choose(1, limit), choose(1, limit))
    top, left = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
    windows = net.add(SlidingWindow(kernel, (1, 1), (top, left, kernel[0] - 1 - top, kernel[1] - 1 - left)), value)
    acc = net.add(MatrixVector(net.weights(kind.channels, net.types[windows].channels)), windows)
    factors = (1 << choose(0, 12), 1 << choose(0, 12))
    branch = _requantize(net, acc, (kind.scale or 1.0) / factors[0] * factors[1])
    return _requantize(net, net.add(Add(factors), value, branch))


def _head(net: _Network, value: str) -> str:
    """Logits: pooled or flattened, dense, and sometimes left as an exact accumulator."""
    if net.choose(0, 1):
        value = _requantize(net, net.add(GlobalSum(), value))
    elif net.types[value].pixels > 1:
        value = net.add(Flatten(), value)
    inputs = net.types[value].channels
    acc = net.add(MatrixVector(net.weights(net.outputs(inputs), inputs)), value)
    return acc if net.choose(0, 1) else _requantize(net, acc)


_LAYERS = (_conv, _conv, _residual, _max_pool, _average_pool, _depthwise)
