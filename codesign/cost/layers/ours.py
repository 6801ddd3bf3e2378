"""A single layer in our own style: its ops at a folding, priced as the planner prices them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.cost.layers.spec import Layer
from codesign.cost.layers.style import Style
from codesign.errors import ConfigError
from codesign.ir.graph import Graph, GraphInput, Node
from codesign.ir.types import Constant, IntType, TensorType
from codesign.ops.add import Add
from codesign.ops.base import Folding, Op
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool
from codesign.plan.budget import Resources, channel_price, price
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow, legal
from codesign.plan.timing import simulate

OPS = ("conv2d", "depthwise_conv2d", "dense", "max_pool", "avg_pool", "relu", "batch_norm", "add", "zero_pad")


@dataclass(frozen=True, slots=True)
class OwnDesign:
    """The layer as processes, what they take with their FIFOs, and their cycles; all estimated."""

    dataflow: Dataflow
    resources: Resources
    interval_cycles: int
    latency_cycles: int


def own_design(layer: Layer, style: Style) -> OwnDesign:
    """The layer as our HLS and RTL have it. Weights are taken at their widest, so accumulators are as wide as they can get.

    Raises ConfigError for a kind that has no op here, and for a PE or SIMD that does not divide.
    """
    if layer.kind not in OPS:
        raise ConfigError(
            f"{layer.kind} is no op of our own",
            where="--layer",
            hint=f"use another --style, or one of {', '.join(OPS)}",
        )
    nodes, inputs = _nodes(layer, style)
    graph = Graph("layer", inputs, nodes, (nodes[-1].name,))
    dataflow = build(graph, _foldings(graph, style))
    resources = Resources()
    for process in dataflow.processes:
        resources += price(process.op, process.folding, process.types, style.seven_series, process.fabric)
    for channel in dataflow.channels:
        if channel.producer and channel.consumer:
            resources += channel_price(channel, style.seven_series)
    return OwnDesign(dataflow, resources, dataflow.bound, simulate(dataflow, 1).latency_cycles)


def _nodes(layer: Layer, style: Style) -> tuple[tuple[Node, ...], tuple[GraphInput, ...]]:
    image = TensorType((layer.height, layer.width, layer.channels), IntType(style.x_bits, signed=False), 1.0)
    inputs = [GraphInput("x", image)]
    nodes: list[Node] = []
    types = {"x": image}

    def add(name: str, op: Op, *sources: str) -> str:
        nodes.append(Node(name, op, sources))
        types[name] = op.infer(*(types[source] for source in sources))
        return name

    value = "x"
    if layer.kind in ("conv2d", "depthwise_conv2d", "max_pool", "avg_pool") and (
        layer.positions > 1 or layer.stride != (1, 1)
    ):
        value = add("window", SlidingWindow(layer.kernel, layer.stride, layer.pads), value)
    if layer.kind == "add":
        inputs.append(GraphInput("other", image))
        types["other"] = image
        value = add("work", Add(), value, "other")
    elif (op := _arithmetic(layer, style)) is not None:
        value = add("work", op, value)
    if layer.kind not in ("max_pool", "zero_pad"):
        add("requantize", _requantize(types[value], style), value)
    return tuple(nodes), tuple(inputs)


def _arithmetic(layer: Layer, style: Style) -> Op | None:
    low = IntType(style.w_bits).min
    if layer.kind in ("conv2d", "dense"):
        return MatrixVector(Constant.of(np.full((layer.outputs, layer.inputs), low), IntType(style.w_bits)))
    if layer.kind == "depthwise_conv2d":
        return ChannelDot(Constant.of(np.full((layer.channels, layer.positions), low), IntType(style.w_bits)))
    if layer.kind == "max_pool":
        return MaxPool(layer.positions)
    if layer.kind == "avg_pool":
        return SumPool(layer.positions)
    return Pad(layer.pads) if layer.kind == "zero_pad" else None


def _requantize(x: TensorType, style: Style) -> Requantize:
    """Twelve bits of multiplier a channel, as the quantizer has them."""
    ramp = np.arange(x.channels)
    shift = min(48, max(0, x.dtype.bits + 12 - style.x_bits))
    out = IntType(style.x_bits, signed=False)
    return Requantize(Constant.of(4095 - ramp % 64, IntType(13)), Constant.of(ramp % 64 + 1, IntType(16)), shift, out)


def _foldings(graph: Graph, style: Style) -> dict[str, Folding]:
    """PE and SIMD of the unit that multiplies or pools, at the narrowest beats that feed them."""
    node = next((n for n in graph.nodes if n.name == "work"), graph.nodes[-1])
    assert isinstance(node.op, Op)
    types = tuple(graph.types[source] for source in node.inputs)
    fitting = [f for f in legal(node.op, types) if (f.pe, f.simd) == (style.pe, style.simd)]
    if not fitting:
        options = sorted({(f.pe, f.simd) for f in legal(node.op, types)})
        raise ConfigError(
            f"PE={style.pe}, SIMD={style.simd} does not divide the layer",
            where="--pe, --simd",
            hint=f"PE can be {_some({p for p, _ in options})}, SIMD {_some({s for _, s in options})}",
        )
    chosen = min(fitting, key=lambda f: f.lanes)
    return {node.name: chosen, **_window(graph, chosen)}


def _window(graph: Graph, reader: Folding) -> dict[str, Folding]:
    """The narrowest beats of a sliding window that give its reader a beat at once."""
    first = graph.nodes[0]
    if not isinstance(first.op, SlidingWindow):
        return {}
    needed = -(-reader.lanes // (first.op.kernel[0] * first.op.kernel[1]))
    options = legal(first.op, (graph.inputs[0].type,))
    return {first.name: min((f for f in options if f.pe >= needed), key=lambda f: f.lanes, default=options[-1])}


def _some(values: set[int]) -> str:
    shown = sorted(values)
    return ", ".join(map(str, shown[:12])) + (", ..." if len(shown) > 12 else "")
