"""Small slimmable networks with random weights: one graph a width, narrow to wide, whose weights are first slices of the widest's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from graphs import S16, THRESHOLD, U8

from codesign.errors import FoldingError
from codesign.ir.graph import ExitPoint, Graph, GraphInput, Node
from codesign.ir.slices import first_slice
from codesign.ir.types import Codes, Constant, IntType, TensorType
from codesign.ops.add import Add
from codesign.ops.base import Folding, Op
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.conditional_buffer import ConditionalBuffer
from codesign.ops.exit_decision import ExitDecision
from codesign.ops.flatten import Flatten
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool
from codesign.passes.slim import slim
from codesign.plan.dataflow import Dataflow
from codesign.plan.fifos import size_fifos
from codesign.plan.plan import Plan
from codesign.plan.widths import Size, realize_widths

Channels = tuple[int, ...]  # of one value, at every width


@dataclass
class Family:
    """Adds nodes to the graphs of all widths at once; every method returns the name of its result."""

    image: TensorType
    widths: int
    seed: int = 0
    causal: bool = False  # old channels never read new ones, and have the same constants at every width
    nodes: list[list[Node]] = field(init=False)
    types: list[dict[str, TensorType]] = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.nodes = [[] for _ in range(self.widths)]
        self.types = [{"image": self.image, "threshold": THRESHOLD} for _ in range(self.widths)]

    def add(self, name: str, ops: Sequence[Op] | Op, *inputs: str) -> str:
        for at, (nodes, types) in enumerate(zip(self.nodes, self.types, strict=True)):
            op = ops if isinstance(ops, Op) else ops[at]
            types[name] = op.infer(*(types[source] for source in inputs))
            nodes.append(Node(name, op, inputs))
        return name

    def channels(self, name: str) -> Channels:
        return tuple(types[name].channels for types in self.types)

    def matrix(self, name: str, x: str, outputs: Channels, pixels: int = 1, bits: int = 6) -> str:
        kind, inputs = IntType(bits), self.channels(x)
        drawn_OI = self.rng.integers(kind.min, kind.max + 1, (outputs[-1], inputs[-1]))
        if self.causal and outputs[0] < outputs[-1]:
            for old_O, old_I in zip(outputs, inputs, strict=True):
                drawn_OI.reshape(outputs[-1], pixels, -1)[:old_O, :, old_I // pixels :] = 0
        w_OI = Constant.of(drawn_OI, kind)
        shapes = zip(outputs, inputs, strict=True)
        return self.add(
            name, [MatrixVector(Constant.of(first_slice(w_OI, shape, pixels), kind)) for shape in shapes], x
        )

    def requantize(self, name: str, x: str, out: IntType = U8) -> str:
        """Constants of their own at every width, for codes that fill the type and now and then leave it."""
        shift = max(1, self.types[-1][x].dtype.bits + 8 - out.bits - 2)
        counts = self.channels(x)
        widest = self.constants(counts[-1], shift)
        ops = []
        for channels in counts:
            shared = self.causal and counts[0] < counts[-1]
            multiplier, bias = [c[:channels] for c in widest] if shared else self.constants(channels, shift)
            constants = Constant.of(multiplier, IntType(9)), Constant.of(bias, IntType(shift + 7))
            ops.append(Requantize(*constants, shift, out, 2.0**-6))
        return self.add(name, ops, x)

    def constants(self, channels: int, shift: int) -> tuple[Codes, Codes]:
        multiplier = self.rng.integers(100, 256, channels)
        return multiplier, self.rng.integers(-(1 << shift), 1 << shift, channels) * 20

    def window(self, name: str, x: str, size: int, stride: int = 1, pad: int = 0) -> str:
        return self.add(name, SlidingWindow((size, size), (stride, stride), (pad,) * 4), x)

    def conv(self, name: str, x: str, outputs: Channels, size: int = 3, stride: int = 1, pad: int = 1) -> str:
        windows = self.window(f"{name}.window", x, size, stride, pad) if size > 1 or stride > 1 else x
        return self.requantize(f"{name}.requantize", self.matrix(f"{name}.mac", windows, outputs))

    def max_pool(self, name: str, x: str, size: int = 2) -> str:
        return self.add(f"{name}.max", MaxPool(size * size), self.window(f"{name}.window", x, size, size))

    def sum_pool(self, name: str, x: str, size: int = 2) -> str:
        sums = self.add(f"{name}.sum", SumPool(size * size), self.window(f"{name}.window", x, size, size))
        return self.requantize(f"{name}.requantize", sums)

    def depthwise(self, name: str, x: str, size: int = 3, stride: int = 1) -> str:
        windows, channels = self.window(f"{name}.window", x, size, stride, size // 2), self.channels(x)
        w_CK = Constant.of(self.rng.integers(-32, 32, (channels[-1], size * size)), IntType(6))
        dots = [ChannelDot(Constant.of(w_CK.array[:count], IntType(6))) for count in channels]
        return self.requantize(f"{name}.requantize", self.add(f"{name}.dot", dots, windows))

    def mean(self, name: str, x: str) -> str:
        return self.requantize(f"{name}.requantize", self.add(f"{name}.sum", GlobalSum(), x))

    def pad(self, name: str, x: str) -> str:
        return self.add(name, Pad((1, 2, 0, 1)), x)

    def residual(self, name: str, x: str, outputs: Channels | None = None) -> str:
        """A block; one with other outputs halves the map, and its shortcut is a convolution."""
        body = self.conv(f"{name}.conv", x, outputs or self.channels(x), stride=2 if outputs else 1)
        short = self.conv(f"{name}.short", x, outputs, 1, 2, 0) if outputs else x
        return self.requantize(f"{name}.requantize", self.add(f"{name}.add", Add(), body, short))

    def dense(self, name: str, x: str, outputs: Channels, out: IntType = U8) -> str:
        pixels = self.types[-1][x].pixels
        flat = self.add(f"{name}.flatten", Flatten(), x) if pixels > 1 else x
        return self.requantize(f"{name}.requantize", self.matrix(f"{name}.mac", flat, outputs, pixels), out)

    def graphs(self, *outputs: str) -> tuple[Graph, ...]:
        inputs = (GraphInput("image", self.image),)
        return tuple(Graph(f"w{at}", inputs, tuple(nodes), outputs) for at, nodes in enumerate(self.nodes))

    def branch(self, feature: str, logits: str, criterion: str = "entropy") -> tuple[Graph, ...]:
        """The hardware graphs of an exit."""
        decide = ExitDecision.for_logits(self.types[-1][logits], criterion=criterion)
        self.add("decision", decide, logits, "threshold")
        self.add("features", ConditionalBuffer(), feature, "decision")
        inputs = (GraphInput("image", self.image), GraphInput("threshold", THRESHOLD, "register"))
        outputs, exits = ("decision", "features"), (ExitPoint("exit1", logits),)
        return tuple(Graph(f"w{at}", inputs, tuple(nodes), outputs, exits) for at, nodes in enumerate(self.nodes))


def branches(
    seed: int = 0, widths: int = 3, *, causal: bool = False, criterion: str = "entropy", stem: Channels | None = None
) -> tuple[Graph, ...]:
    """The heads of a small network: conv and pool, and behind the branch point a padded conv, a pool and two dense layers.
    `stem` are the channels at the branch point."""
    counts = tuple(range(1, widths + 1))
    net = Family(TensorType((8, 8, 1), U8, 2.0**-8), widths, seed, causal)
    feature = net.max_pool("pool1", net.conv("conv1", "image", stem or tuple(2 * n for n in counts)))
    x = net.max_pool("pool2", net.conv("conv2", feature, tuple(4 * n for n in counts)))
    x = net.dense("hidden", x, tuple(3 * n for n in counts))
    return net.branch(feature, net.dense("logits", x, (5,) * widths, S16), criterion)


def residual_heads(widths: int = 3, size: int = 8, *, causal: bool = False) -> tuple[Family, str, str]:
    """A small residual network up to its logits: a block, the branch point, and a block that halves the map. Also the names of
    the map at the branch point and of the logits."""
    net, counts = _small(widths, size, causal)
    feature = net.residual("block1", net.conv("stem", "image", counts(2)))
    x = net.mean("mean", net.residual("block2", feature, counts(4)))
    return net, feature, net.dense("logits", x, (5,) * widths, S16)


def depthwise_heads(widths: int = 3, size: int = 8, *, causal: bool = False) -> tuple[Family, str, str]:
    """As `residual_heads`, of separable layers: two, the branch point between them, with a border and a mean."""
    net, counts = _small(widths, size, causal)
    stem = net.conv("stem", "image", counts(2))
    feature = net.conv("point1", net.depthwise("depth1", stem), counts(4), 1, 1, 0)
    x = net.conv("point2", net.depthwise("depth2", net.pad("pad", feature), 3, 2), counts(6), 1, 1, 0)
    return net, feature, net.dense("logits", net.mean("mean", x), (5,) * widths, S16)


def _small(widths: int, size: int, causal: bool) -> tuple[Family, Callable[[int], Channels]]:
    """An empty family, and the channels of a value by those of its narrowest width."""
    net = Family(TensorType((size, size, 1), U8, 2.0**-8), widths, causal=causal)
    return net, lambda least: tuple(least * n for n in range(1, widths + 1))


def random_family(seed: int) -> tuple[Graph, ...]:
    """A chain of layers of random kinds and sizes that ends in a map or in logits; some widths have equal channels."""
    rng = np.random.default_rng(seed)
    widths = int(rng.integers(2, 5))
    rows, columns, colours = (int(n) for n in rng.integers((5, 5, 1), (10, 10, 4)))
    net = Family(TensorType((rows, columns, colours), U8, 2.0**-8), widths, seed)

    def channels() -> Channels:
        return tuple(int(n) for n in np.sort(rng.integers(1, 4, widths)) * rng.integers(1, 4))

    x = net.conv("conv0", "image", channels(), int(rng.choice([1, 3])), int(rng.integers(1, 3)), 0)
    for n in range(int(rng.integers(1, 4))):
        small = min(net.types[-1][x].shape[:2]) < 2
        kind = int(rng.integers(0, 6 if small else 8))
        if kind == 0:
            x = net.conv(f"conv{n + 1}", x, channels(), 3, int(rng.integers(1, 3)))
        elif kind == 1:
            x = net.residual(f"block{n + 1}", x)
        elif kind == 2:
            x = net.conv(f"point{n + 1}", x, channels(), 1, 1, 0)
        elif kind < 6:
            x = (net.depthwise, net.mean, net.pad)[kind - 3](f"x{n + 1}", x)
        else:
            x = (net.max_pool, net.sum_pool)[kind - 6](f"pool{n + 1}", x)
    return net.graphs(net.dense("logits", x, (3,) * widths, S16) if rng.integers(0, 2) else x)


def flows_of(
    graphs: Sequence[Graph], foldings: dict[str, Folding], *, drains: bool = False, size: Size = size_fifos
) -> tuple[Dataflow, ...]:
    """The dataflows of all widths, narrow to wide, with planned FIFO depths."""
    plan = Plan("any", 100.0, foldings, {}, 1, 1, drains=drains)
    return realize_widths(slim(graphs), plan).sized(size).widths


def random_flows(graphs: Sequence[Graph], rng: np.random.Generator, size: Size = size_fifos) -> tuple[Dataflow, ...]:
    """The dataflows at random foldings, drawn again while one of them is refused.

    Raises FoldingError where a map is too small for its window to change its width.
    """
    widest = slim(graphs).widest
    while True:
        drawn: dict[str, Folding] = {}
        for node in widest.nodes:
            assert isinstance(node.op, Op)
            legal = node.op.foldings(*(widest.types[source] for source in node.inputs))
            if not legal:
                raise FoldingError(f"{node.name} cannot change its width at any folding")
            if not node.op.view:
                drawn[node.name] = legal[int(rng.integers(0, len(legal)))]
        try:
            return flows_of(graphs, drawn, drains=bool(rng.integers(0, 2)), size=size)
        except FoldingError:
            continue
