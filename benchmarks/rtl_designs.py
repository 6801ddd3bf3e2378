"""Designs to synthesize: random networks at random foldings, and the exit branches of the tests at several goals and widths."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT)]

from graphs import S16, U8, Sketch, depthwise_branch, lenet_branch, residual_branch  # noqa: E402, F401

from codesign.devices import load_device  # noqa: E402
from codesign.errors import FoldingError  # noqa: E402
from codesign.ir import Constant, Graph, IntType, TensorType  # noqa: E402
from codesign.ops.add import Add  # noqa: E402
from codesign.ops.channel_dot import ChannelDot  # noqa: E402
from codesign.ops.global_sum import GlobalSum  # noqa: E402
from codesign.ops.matrix_vector import MatrixVector  # noqa: E402
from codesign.ops.requantize import Requantize  # noqa: E402
from codesign.plan.balance import balance  # noqa: E402
from codesign.plan.build import build  # noqa: E402
from codesign.plan.dataflow import Dataflow, legal  # noqa: E402
from codesign.plan.exact import for_rtl  # noqa: E402

WIDEST_BEAT = 1024


def random_flow(graph: Graph, seed: int) -> Dataflow | None:
    """The graph at random legal foldings, or None where beats get too wide."""
    rng, types, foldings = np.random.default_rng(seed), graph.types, {}
    for node in graph.nodes:
        if node.op.view:
            continue
        x = tuple(types[source] for source in node.inputs)
        y_bits = node.op.infer(*x).dtype.bits
        fits = [
            f for f in legal(node.op, x) if max(f.lanes * x[0].dtype.bits, node.op.y_lanes(f) * y_bits) <= WIDEST_BEAT
        ]
        if not fits:
            return None
        foldings[node.name] = fits[int(rng.integers(len(fits)))]
    try:
        return for_rtl(build(graph, foldings))
    except FoldingError:
        return None


def branch_flow(graph: Graph, interval_cycles: int, device: str = "xc7z020") -> Dataflow:
    """An exit branch at the foldings that the planner chooses for an interval."""
    plan = balance(graph, load_device(device), interval_cycles=interval_cycles)
    return for_rtl(build(graph, plan.foldings))


@dataclass
class Widths(Sketch):
    """A sketch with codes and weights of other widths than 8 bits."""

    bits: int = 8
    weight_bits: int = 8

    def requantize(self, name: str, x: str, out: IntType = U8, shift: int = 0) -> str:
        """Codes of `bits` bits, scaled so that most of them are in range."""
        acc = self.types[x]
        kind = IntType(self.bits, signed=False) if out == U8 else out
        multiplier = Constant.of(self.rng.integers(1000, 4096, acc.channels), IntType(13))
        bias = Constant.of(self.rng.integers(-(2**14), 2**14, acc.channels), IntType(16))
        shift = shift or max(1, acc.dtype.bits + 12 - kind.bits - 2)
        return self.add(f"{name}.requantize", Requantize(multiplier, bias, shift, kind, 0.0625), x)

    def dense(self, name: str, x: str, outputs: int, out: IntType = U8) -> str:
        kind = IntType(self.weight_bits)
        drawn = self.rng.integers(kind.min, kind.max + 1, (outputs, self.types[x].channels))
        mac = self.add(f"{name}.mac", MatrixVector(Constant.of(drawn, kind)), x)
        return self.requantize(name, mac, out)

    def depthwise(self, name: str, x: str, size: int, stride: int = 1, pad: int = 0) -> str:
        kind = IntType(self.weight_bits)
        drawn = self.rng.integers(kind.min, kind.max + 1, (self.types[x].channels, size * size))
        windows = self.window(name, x, size, stride, pad)
        return self.requantize(name, self.add(f"{name}.dot", ChannelDot(Constant.of(drawn, kind)), windows))


def lenet(bits: int, weight_bits: int, size: int = 12) -> Graph:
    """A small LeNet with one exit."""
    net = Widths("lenet", TensorType((size, size, 1), U8, 2.0**-8), 3, bits=bits, weight_bits=weight_bits)
    feature = net.max_pool("pool1", net.conv("conv1", "image", 4, 3, pad=1), 2)
    x = net.max_pool("pool2", net.conv("exit1.conv", feature, 8, 3, pad=1), 2)
    return net.branch(feature, net.dense("exit1.dense", net.flatten("exit1.flatten", x), 10, S16))


def residual(bits: int, weight_bits: int) -> Graph:
    """A stem, a residual block and global average pooling."""
    net = Widths("residual", TensorType((8, 8, 3), U8, 2.0**-8), 4, bits=bits, weight_bits=weight_bits)
    stem = net.conv("stem", "image", 4, 3, pad=1)
    body = net.conv("block.conv2", net.conv("block.conv1", stem, 4, 3, pad=1), 4, 3, pad=1)
    feature = net.requantize("block", net.add("block.add", Add(), body, stem), shift=13)
    pooled = net.requantize("exit1.pool", net.add("exit1.sum", GlobalSum(), feature))
    return net.branch(feature, net.dense("exit1.dense", pooled, 6, S16))


def depthwise(bits: int, weight_bits: int) -> Graph:
    """A strided stem and depthwise-separable layers."""
    net = Widths("depthwise", TensorType((10, 10, 3), U8, 2.0**-8), 5, bits=bits, weight_bits=weight_bits)
    stem = net.conv("stem", "image", 6, 3, stride=2, pad=1)
    feature = net.conv("point1", net.depthwise("depth1", stem, 3, pad=1), 8, 1)
    x = net.conv("point2", net.depthwise("depth2", feature, 3, stride=2, pad=1), 4, 1)
    return net.branch(feature, net.dense("exit1.dense", net.flatten("exit1.flatten", x), 5, S16))
