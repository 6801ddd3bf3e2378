"""Small hand-written hardware graphs with random weights, for tests of every stage behind the passes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node
from codesign.ir.types import Constant, IntType, TensorType
from codesign.ops.add import Add
from codesign.ops.base import Op
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.conditional_buffer import ConditionalBuffer
from codesign.ops.exit_decision import ExitDecision
from codesign.ops.flatten import Flatten
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow

U8, S16 = IntType(8, signed=False), IntType(16)
THRESHOLD = TensorType((1, 1, 1), IntType(32, signed=False))


@dataclass
class Sketch:
    """Adds nodes one by one and knows each value's type; every method returns the name of its result."""

    name: str
    image: TensorType
    seed: int = 0
    nodes: list[Node] = field(default_factory=list[Node])
    types: dict[str, TensorType] = field(default_factory=dict[str, TensorType])

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.types["image"] = self.image
        self.types["threshold"] = THRESHOLD

    def add(self, name: str, op: Op, *inputs: str) -> str:
        self.types[name] = op.infer(*(self.types[source] for source in inputs))
        self.nodes.append(Node(name, op, inputs))
        return name

    def requantize(self, name: str, x: str, out: IntType = U8, shift: int = 18) -> str:
        channels = self.types[x].channels
        multiplier = Constant.of(self.rng.integers(1000, 4096, channels), IntType(13))
        bias = Constant.of(self.rng.integers(-(2**14), 2**14, channels), IntType(16))
        return self.add(f"{name}.requantize", Requantize(multiplier, bias, shift, out, 0.0625), x)

    def window(self, name: str, x: str, size: int, stride: int = 1, pad: int = 0) -> str:
        return self.add(f"{name}.window", SlidingWindow((size, size), (stride, stride), (pad,) * 4), x)

    def conv(self, name: str, x: str, outputs: int, size: int, stride: int = 1, pad: int = 0) -> str:
        windows = self.window(name, x, size, stride, pad) if size > 1 or stride > 1 else x
        return self.dense(name, windows, outputs)

    def depthwise(self, name: str, x: str, size: int, stride: int = 1, pad: int = 0) -> str:
        weights = Constant.of(self.rng.integers(-128, 128, (self.types[x].channels, size * size)), IntType(8))
        return self.requantize(
            name, self.add(f"{name}.dot", ChannelDot(weights), self.window(name, x, size, stride, pad))
        )

    def max_pool(self, name: str, x: str, size: int) -> str:
        return self.add(f"{name}.max", MaxPool(size * size), self.window(name, x, size, size))

    def dense(self, name: str, x: str, outputs: int, out: IntType = U8) -> str:
        weights = Constant.of(self.rng.integers(-128, 128, (outputs, self.types[x].channels)), IntType(8))
        return self.requantize(name, self.add(f"{name}.mac", MatrixVector(weights), x), out)

    def flatten(self, name: str, x: str) -> str:
        return self.add(name, Flatten(), x)

    def branch(self, feature: str, logits: str) -> Graph:
        """The hardware graph of an exit: its decision, and the feature map of the frames that go on."""
        self.add("decision", ExitDecision.for_logits(self.types[logits], criterion="entropy"), logits, "threshold")
        self.add("features", ConditionalBuffer(), feature, "decision")
        inputs = (GraphInput("image", self.image), GraphInput("threshold", THRESHOLD, "register"))
        return Graph(self.name, inputs, tuple(self.nodes), ("decision", "features"), (ExitPoint("exit1", logits),))


def lenet_branch(size: int = 28, classes: int = 10) -> Graph:
    """The first exit of a LeNet: conv 5x5 x6, pool, and behind the branch point conv 3x3 x16, pool, dense."""
    net = Sketch("lenet", TensorType((size, size, 1), U8, 2.0**-8))
    feature = net.max_pool("pool1", net.conv("conv1", "image", 6, 5, pad=2), 2)
    x = net.max_pool("pool2", net.conv("exit1.conv", feature, 16, 3, pad=1), 2)
    return net.branch(feature, net.dense("exit1.dense", net.flatten("exit1.flatten", x), classes, S16))


def residual_branch(size: int = 8, channels: int = 4) -> Graph:
    """A stem, one residual block, and a head of global average pooling and a dense layer."""
    net = Sketch("residual", TensorType((size, size, 3), U8, 2.0**-8), seed=1)
    stem = net.conv("stem", "image", channels, 3, pad=1)
    body = net.conv("block.conv2", net.conv("block.conv1", stem, channels, 3, pad=1), channels, 3, pad=1)
    feature = net.requantize("block", net.add("block.add", Add(), body, stem), shift=13)
    pooled = net.requantize("exit1.pool", net.add("exit1.sum", GlobalSum(), feature))
    return net.branch(feature, net.dense("exit1.dense", pooled, 5, S16))


def depthwise_branch(size: int = 8) -> Graph:
    """A strided stem, a depthwise-separable layer, and a head of one more and a dense layer."""
    net = Sketch("depthwise", TensorType((size, size, 3), U8, 2.0**-8), seed=2)
    stem = net.conv("stem", "image", 8, 3, stride=2, pad=1)
    feature = net.conv("point1", net.depthwise("depth1", stem, 3, pad=1), 12, 1)
    x = net.conv("point2", net.depthwise("depth2", feature, 3, stride=2, pad=1), 6, 1)
    return net.branch(feature, net.dense("exit1.dense", net.flatten("exit1.flatten", x), 4, S16))
