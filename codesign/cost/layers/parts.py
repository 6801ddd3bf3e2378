"""What LUT and FF of a layer are made of: counts of bits, each of which a coefficient turns into LUTs or FFs."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.cost.layers.arithmetic import dsps_of_product, folded_products, live_share, partitioned
from codesign.cost.layers.loops import Loop
from codesign.cost.layers.report import Description
from codesign.cost.layers.spec import WEIGHTED, WINDOWED

# Before any report is seen, a coefficient is what the operator tables say (docs/calibration.md): a bit of a
# register is an FF, a bit that is selected or added is a LUT, a counter costs a comparison and an addition.
LUT_PRIOR = {
    "fixed": 60.0,  # handshakes and loop counters of a process, as in codesign/plan/budget.py
    "window_or_sum": 60.0,  # the same again for a layer that keeps a window or sums
    "first_states": 4.0,  # of a controller with up to 16 states: a multiplexer of 16 ways takes 65 LUTs
    "more_states": 2.0,  # beyond, where multiplexers share
    "loops": 25.0,  # a comparison (10) and an addition (15)
    "moved_bits": 1.0,  # a multiplexer of every bit of a beat
    "operated_bits": 1.0,  # a comparison or a selection of every bit of a beat
    "window_bits": 1.0,  # the multiplexer of a window's bits
    "sum_bits": 1.0,  # an adder
    "product_bits2": 0.64,  # 41 LUTs of 8 x 8 bits, where no DSP multiplies
    "constant_bits2": 0.375,  # 24 LUTs of an 8 x 8-bit product with a constant and its adder
    "float_operators": 700.0,  # fmul and fadd
}
FF_PRIOR = {
    "states": 1.0,  # one-hot
    "counter_bits": 1.0,
    "pipeline_bits": 1.0,
    "window_bits": 1.0,
    "sum_bits": 1.0,
    "product_bits": 1.0,
    "float_operators": 350.0,
}
_FEW_STATES = 16
_BESIDE_DSP = 0.27  # 26 LUTs of a 16 x 16-bit product with a constant, beside its 0.86 DSPs
_OPERATED = ("relu", "leaky_relu", "batch_norm", "multiply", "add", "sum", "softmax", "max_pool", "avg_pool")
_PASSING = ("relu", "leaky_relu", "batch_norm", "multiply", "add", "sum", "sigmoid", "tanh", "softmax", "copy")


def lut_parts(d: Description, loops: Sequence[Loop]) -> dict[str, float]:
    """Counts in the order of LUT_PRIOR."""
    layer, style, nest = d.layer, d.style, [loop for top in loops for loop in top.nest()]
    lanes, bits, products = _lanes(d), style.x_bits, folded_products(d, loops)
    weighted, windowed = layer.kind in WEIGHTED, layer.kind in WINDOWED
    in_luts = not dsps_of_product(style.x_bits, style.w_bits, style)
    constant = weighted and style.name == "hls4ml-latency"
    area = products * style.x_bits * style.w_bits
    return {
        "fixed": 1,
        "window_or_sum": float(weighted or windowed),
        "first_states": min(_FEW_STATES, _states(nest)),
        "more_states": max(0, _states(nest) - _FEW_STATES),
        "loops": len(nest),
        "moved_bits": 0 if weighted or layer.kind in ("max_pool", "upsample") else lanes * bits,
        "operated_bits": lanes * bits if layer.kind in _OPERATED else 0,
        "window_bits": _window_bits(d, nest, products),
        "sum_bits": _sum_bits(d, products),
        "product_bits2": area if in_luts and not constant else 0,
        "constant_bits2": area * live_share(d) * (1 if in_luts else _BESIDE_DSP) if constant else 0,
        "float_operators": products if style.floating else 0,
    }


def ff_parts(d: Description, loops: Sequence[Loop]) -> dict[str, float]:
    """Counts in the order of FF_PRIOR."""
    layer, style, nest = d.layer, d.style, [loop for top in loops for loop in top.nest()]
    depth = max((loop.depth for loop in nest if loop.interval), default=0)
    leaf = max((loop.iteration_latency() for loop in nest if not loop.interval and not loop.inner), default=0)
    stages = max(depth - 2, min(leaf, 3) - 1, 0) if layer.kind in _PASSING else 0
    products = folded_products(d, loops)
    keeps = layer.kind == "upsample" or partitioned(loops)
    return {
        "states": _states(nest) + 1,
        "counter_bits": sum(loop.trips.bit_length() for loop in nest),
        "pipeline_bits": stages * _lanes(d) * style.x_bits,
        "window_bits": _window_bits(d, nest, products) if keeps else 0,
        "sum_bits": _sum_bits(d, products),
        "product_bits": 0 if style.floating else products * _product_stages(d, depth) * style.x_bits,
        "float_operators": products if style.floating else 0,
    }


def _product_stages(d: Description, depth: int) -> int:
    """Registers of every product on its way to its sum; where all are summed in a tree, their number halves every level."""
    stages = max(0, depth - 3)
    return min(2, stages) if d.style.name == "hls4ml-latency" else stages


def _lanes(d: Description) -> int:
    return 1 if d.layer.kind == "dense" else max(d.lanes)


def _states(nest: Sequence[Loop]) -> int:
    return sum(1 if loop.interval else loop.states for loop in nest)


def _sum_bits(d: Description, products: int) -> int:
    """Accumulators: hls4ml has one for every output, hand-written loops for those they work on."""
    if d.layer.kind not in WEIGHTED or d.style.floating:
        return 0
    sums = d.layer.outputs if d.style.name != "loops" else min(d.layer.outputs, max(1, products))
    return sums * d.style.x_bits


def _window_bits(d: Description, nest: Sequence[Loop], products: int) -> int:
    """The window that a layer works on, as far as it works on it at once; of an upsampling one, the row that it repeats."""
    layer, bits = d.layer, d.style.x_bits
    if layer.kind in WINDOWED and d.style.name == "loops":
        return min(layer.positions * layer.channels, max(1, products)) * bits
    if layer.kind in WINDOWED:
        return layer.positions * layer.channels * bits
    if layer.kind == "upsample" and any(loop.interval > 1 for loop in nest):
        return (layer.width if _lanes(d) > 1 else 1) * layer.channels * bits
    return 0
