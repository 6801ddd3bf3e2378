"""Multipliers and memories of a layer: counted by rules, without a fitted coefficient (docs/calibration.md has the sources)."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.cost.layers.loops import Loop
from codesign.cost.layers.report import Description
from codesign.cost.layers.spec import WEIGHTED, WINDOWED
from codesign.cost.layers.style import Style
from codesign.plan.budget import bram18

LUT_OPERAND = 10  # operands up to here are multiplied in LUTs
LUTRAM_BITS = 512  # memories up to here are distributed RAM
_TABLE = 1024  # words of a table of exponentials, sigmoids, reciprocals
_TABLE_BITS = 18
_CONSTANT_DSP = 0.86  # DSPs of a 16-bit product with an unrolled constant
_FLOAT_PRODUCT, _FLOAT_SUM = 3, 2  # DSPs of the operators fmul and fadd


def dsps_of_product(x_bits: int, w_bits: int, style: Style) -> int:
    """DSPs of a product: none up to 10 bits in hls4ml, one up to 25 x 18 bits, one for every such part beyond.

    Hand-written code adds at once, and 8 bits and more fuse into a multiply-add of one DSP.
    """
    if style.floating:
        return _FLOAT_PRODUCT + _FLOAT_SUM
    wide, narrow = max(x_bits, w_bits), min(x_bits, w_bits)
    least = 5 if style.name in ("loops", "ours") else LUT_OPERAND + 1
    if narrow < 2 or wide < least:
        return 0
    return -(-wide // 25) * -(-narrow // 18)


def folded_products(d: Description, loops: Sequence[Loop]) -> int:
    """Products at once, as the loops share them out.

    A loop whose iteration takes a single cycle has no time to read a weight and multiply: there is nothing but constants.
    """
    layer = d.layer
    if layer.kind == "leaky_relu":
        return min(d.lanes)
    if layer.kind in ("batch_norm", "multiply", "softmax"):
        return max(d.lanes)
    if layer.kind not in WEIGHTED:
        return 0
    products = layer.inputs * layer.outputs if layer.kind != "depthwise_conv2d" else layer.positions * layer.channels
    pipelined = [loop for top in loops for loop in top.nest() if loop.interval]
    if not pipelined:
        return max(1, -(-products // max(1, d.style.reuse)))
    if d.style.name == "hls4ml-latency":  # all products of a position in one iteration
        return max(1, -(-products // max(loop.interval for loop in pipelined)))
    if max(loop.depth for loop in pipelined) <= 1:
        return 0
    steps = max(loop.trips * loop.interval for loop in pipelined)
    if steps > products:  # one nest over all positions
        return max(1, -(-layer.macs // steps))
    return max(1, -(-products // steps))


def dsps(d: Description, loops: Sequence[Loop]) -> int:
    """DSPs of a layer. The last weight of a word keeps only the bits behind its point, and takes what these take."""
    products, style = folded_products(d, loops), d.style
    if not products:
        return 0
    if style.name == "hls4ml-latency" and d.layer.kind in WEIGHTED:
        return round(products * live_share(d) * _CONSTANT_DSP * dsps_of_product(style.x_bits, style.w_bits, style))
    each = dsps_of_product(style.x_bits, style.w_bits, style)
    if d.layer.kind == "leaky_relu":
        return products * dsps_of_product(style.x_bits, weight_bits(d), style)
    if d.layer.kind in WEIGHTED and each > 1 and not style.floating:
        return (products - 1) * each + dsps_of_product(style.x_bits, weight_bits(d), style)
    return products * each


def live_share(d: Description) -> float:
    """The share of weights that are not 0."""
    return max(0.0, 1 - d.style.zeros / max(1, d.layer.weights))


def weight_bits(d: Description) -> int:
    """Bits of a weight of magnitude up to 1: those behind its point and its sign."""
    return min(d.style.w_bits, d.fraction_bits + 1) if d.fraction_bits else d.style.w_bits


def memories(d: Description, loops: Sequence[Loop]) -> list[tuple[int, int, bool]]:
    """The memories of a layer as (words, bits, whether it is a ROM): weights, arrays that are not in registers, tables."""
    layer, bits = d.layer, d.style.x_bits
    found: list[tuple[int, int, bool]] = [(_TABLE, _TABLE_BITS, True)] * _tables(d)
    products = folded_products(d, loops)
    if products and layer.kind in WEIGHTED and d.style.name != "hls4ml-latency":
        steps = -(-layer.weights // products)
        if steps > 1:
            found.append((steps, (products - 1) * d.style.w_bits + weight_bits(d), True))
    if not partitioned(loops) and layer.kind in WINDOWED and d.style.name != "loops":
        sizes = [layer.channels, layer.positions * layer.channels]
        found += [(n, bits, False) for n in (*sizes, *([layer.outputs] if layer.kind == "conv2d" else []))]
    if layer.kind == "sum" and max(d.lanes) == 1:
        found.append((layer.channels if layer.channels > 1 else layer.width, bits, False))
    return found


def _tables(d: Description) -> int:
    """Tables of a function: a ROM has two ports, so a beat of n values takes n / 2 copies; softmax has one of reciprocals."""
    copies = -(-max(d.lanes) // 2)
    return {"sigmoid": copies, "tanh": copies, "softmax": copies + 1}.get(d.layer.kind, 0)


def partitioned(loops: Sequence[Loop]) -> bool:
    """Whether arrays are split into registers: then no inner loop goes through them one by one."""
    return not any(
        not loop.interval and not loop.inner and loop.trips > 1
        for top in loops
        for loop in top.nest()
        if loop is not top
    )


def block_rams(found: Sequence[tuple[int, int, bool]], style: Style) -> int:
    """BRAM18 of memories: a ROM is up to 36 bits wide with one port, a RAM 18 bits with two; small ones are LUTs."""
    return sum(_blocks(words, bits, rom, style.seven_series) for words, bits, rom in found)


def listed(d: Description) -> list[tuple[int, int, bool]]:
    """The memories that a report lists by words and bits; hls4ml calls its weights w and a number."""
    return [(words, bits, name[:1] == "w") for words, bits, name in d.memories]


def _blocks(words: int, bits: int, rom: bool, pads: bool) -> int:
    if words * bits <= LUTRAM_BITS:
        return 0
    if rom:
        return bram18(words, bits, pads)
    deep = 1 << (words - 1).bit_length() if pads else words
    aspects = ((18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
    return min(-(-bits // w) * -(-deep // n) for w, n in aspects)
