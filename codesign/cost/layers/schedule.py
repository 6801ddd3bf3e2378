"""The loops that a style makes of a layer, where nobody has listed them: what csynth would find in the source."""

from __future__ import annotations

from codesign.cost.layers.arithmetic import dsps_of_product
from codesign.cost.layers.loops import Loop
from codesign.cost.layers.spec import WINDOWED, Layer
from codesign.cost.layers.style import Style


def planned_loops(layer: Layer, style: Style, lanes: int) -> tuple[Loop, ...]:
    """The loops of a layer whose beats hold `lanes` channels (a whole pixel, or one at a time)."""
    if style.name == "finn":
        return _finn(layer, style)
    if style.name == "loops":
        return _nest(layer, style)
    return _hls4ml(layer, style, lanes)


def product_depth(style: Style) -> int:
    """Cycles from reading operands to the accumulated product: 3 or 4 with one DSP, 5 with two, 8 with four.

    The iteration latencies of the reuse loops in the calibration reports at 5 ns; a slower clock needs fewer.
    """
    dsps = dsps_of_product(style.x_bits, style.w_bits, style)
    return max(2, round(2 + 1.5 * max(1, dsps) * min(1.0, 5.0 / style.clock_ns)))


def _hls4ml(layer: Layer, style: Style, lanes: int) -> tuple[Loop, ...]:
    groups = -(-layer.channels // lanes)  # beats of a pixel
    depth = product_depth(style)
    rows, columns = layer.padded
    if layer.kind in ("conv2d", "depthwise_conv2d"):
        if style.name == "hls4ml-latency":
            return (Loop(rows * columns * groups, max(1, style.reuse), depth + 4),)
        reuse = Loop(_reuse(layer, style), 1, depth)
        copies = tuple(Loop(n, 0, 0, (1, 1)) for n in (layer.channels, layer.outputs)) if groups > 1 else ()
        moved = sum(loop.latency() for loop in copies)
        span = 4 + moved, reuse.latency() + 5 + moved  # positions before the first window, and behind it
        return (Loop(rows * columns, 0, 0, span, (reuse, *copies)),)
    if layer.kind == "dense" and style.name == "hls4ml-latency":
        return (Loop(1, max(1, style.reuse), depth + 1),)
    if layer.kind == "dense":
        return (Loop(_reuse(layer, style), 1, depth),)
    if layer.kind == "zero_pad":
        return _zero_pad(layer, groups)
    if layer.kind in WINDOWED:
        return (Loop(rows * columns * groups, 2, 5),)  # reads a pixel, then shifts it into the window
    elements = -(-layer.out_size // lanes)
    return (Loop(elements, 1, 4 if layer.kind not in ("leaky_relu", "batch_norm", "multiply") else max(3, depth)),)


def _reuse(layer: Layer, style: Style) -> int:
    """Steps of the reuse loop; hls4ml takes the nearest factor that is legal, at most one product a step."""
    products = layer.inputs * layer.outputs
    return min(max(1, style.reuse), products)


def _zero_pad(layer: Layer, groups: int) -> tuple[Loop, ...]:
    """Whole rows above and below, and rows with a border left and right; the borders of a row take a cycle each way."""
    top, left, bottom, right = layer.pads
    columns = layer.width + left + right
    edges = [Loop(n * columns, 0, 0, (groups, groups)) for n in (top, bottom) if n]
    copy = Loop(layer.width, 0, 0, (groups, groups))
    sides = (left + right) * groups
    row = copy.latency() + sides
    main = Loop(layer.height, 0, 0, (row, row), (copy,))
    return (*edges[:1], main, *edges[1:])


def _nest(layer: Layer, style: Style) -> tuple[Loop, ...]:
    """One pipelined nest over all outputs and their inputs, flattened; `pe` iterations at once. A float sum waits 5 cycles."""
    work = layer.out_size * (layer.inputs if layer.kind != "dense" else layer.channels)
    interval = 5 if style.floating and layer.weights else 1
    return (Loop(-(-work // style.pe), interval, product_depth(style) + 3 + 5 * style.floating),)


def _finn(layer: Layer, style: Style) -> tuple[Loop, ...]:
    """The slower of the sliding window unit and the MVAU (Umuroglu et al., 2017; Blott et al., 2018)."""
    rows, columns, _ = layer.out_shape
    folds = -(-layer.outputs // style.pe) * -(-layer.inputs // style.simd)
    if layer.kind == "depthwise_conv2d":
        folds = -(-layer.channels // style.pe) * -(-layer.positions // style.simd)
    if layer.kind not in ("conv2d", "depthwise_conv2d", "dense"):
        folds = -(-layer.channels // style.pe)
        return (Loop(max(1, layer.height * layer.width * folds), 1, 3),)
    window = 0
    if layer.kind != "dense" and layer.positions > 1:
        lines = layer.padded[1] * layer.kernel[0] * layer.channels // style.simd
        reads = columns * layer.positions * layer.channels // style.simd
        window = lines + rows * max(reads, layer.stride[0] * layer.padded[1] * layer.channels // style.simd)
    return (Loop(max(rows * columns * folds, window), 1, 5),)
