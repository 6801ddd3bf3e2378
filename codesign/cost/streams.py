"""The units that move codes: sliding window, pools, sums, and what only carries beats on."""

from __future__ import annotations

from codesign.cost.fabric import (

    Parts,
    bits_of,
    constant_multipliers,
    counter,
    lutram,
    memory,
    mux,
    shift_chain,
)
from codesign.cost.trees import adder_tree, max_tree
from codesign.ops.base import Unit


def sliding_window(unit: Unit) -> Parts:
    """Window registers, the lines above them, masks, and two sets of counters."""
    p = unit.parameters
    beat_bits = p["CHANNELS"] * p["PIXELS"] * p["X_BITS"]
    line = p["COLUMNS"] // p["PIXELS"] * p["GROUPS"]
    lines = (p["KERNEL_ROWS"] - 1) * beat_bits
    parts = _window_control(unit, line) + _window_registers(unit, beat_bits, line)
    if p["KERNEL_ROWS"] > 1 and line > 1:
        parts += counter(bits_of(line)) + memory(line, lines)
    windows = p["PIXELS"] // p["STRIDE_COLUMNS"] if p["PIXELS"] > 1 else 1
    taps = p["KERNEL_ROWS"] * p["KERNEL_COLUMNS"]
    if p["PADDED"]:
        parts += Parts(lut=windows * taps * p["CHANNELS"] * p["X_BITS"] + windows * taps)
    return parts


def _window_control(unit: Unit, line: int) -> Parts:
    p = unit.parameters
    reach = p["PIXELS"] + p["KERNEL_COLUMNS"] - 1
    step_columns = 1 if p["PIXELS"] > 1 else p["STRIDE_COLUMNS"]
    sizes = [
        16,  # frame
        bits_of(p["ROWS"] * line + 1),
        bits_of(p["ROWS"] + p["KERNEL_ROWS"] + 1),
        bits_of(p["COLUMNS"] + reach + 1),
        bits_of(p["STRIDE_ROWS"]),
        bits_of(step_columns),
    ]
    sizes += [bits_of(p["LAG"] + 1) + 1] if p["LAG"] else []
    sizes += [bits_of(p["FLUSH"] + 1) + 1] if p["FLUSH"] else []
    sizes += [bits_of(p["GROUPS"])] if p["GROUPS"] > 1 else []
    parts = counter(sum(sizes)) + Parts(ff=2)  # flushing, emitted
    if p["PADDED"]:
        looks = p["KERNEL_ROWS"] * bits_of(p["ROWS"] + p["KERNEL_ROWS"] + 1) + reach * bits_of(p["COLUMNS"] + reach + 1)
        parts += Parts(ff=p["KERNEL_ROWS"] + reach, control=looks)
    return parts


def _window_registers(unit: Unit, beat_bits: int, line: int) -> Parts:
    """The registers of all kernel rows, and those behind the lines; chains that nothing looks into are shift registers."""
    p = unit.parameters
    pixels, groups, stride = p["PIXELS"], p["GROUPS"], p["STRIDE_COLUMNS"]
    left = -(-p["LEFT"] // pixels)
    right = -(-(p["KERNEL_COLUMNS"] - 1 - p["LEFT"]) // pixels)
    span = (left + right) * groups + 1
    windows = pixels // stride if pixels > 1 else 1
    columns = {
        (q * stride if pixels > 1 else 0) + j - p["LEFT"] + left * pixels
        for q in range(windows)
        for j in range(p["KERNEL_COLUMNS"])
    }
    pixel_bits = beat_bits // pixels
    parts = Parts()
    for slot in range(pixels):
        taps = sorted({column // pixels * groups for column in columns if column % pixels == slot}, reverse=True)
        for row in range(p["KERNEL_ROWS"]):
            ahead = 1 if 0 < row < p["KERNEL_ROWS"] - 1 or (row == 0 and p["KERNEL_ROWS"] > 1) else 0
            parts += _tapped(taps, span, pixel_bits, ahead if line > 1 else 0, written=row > 0)
    return parts


def _tapped(taps: list[int], span: int, bits: int, ahead: int, *, written: bool) -> Parts:
    """One pixel slot of a kernel row: the register behind the line (`ahead`), then down to the last tap.

    What is written into the line below is looked at; the topmost row's is not, and is part of the chain.
    """
    parts, newest = Parts(), span
    if ahead and (written or not taps):
        parts += Parts(ff=bits)
        ahead = 0
    for tap in taps:
        parts += shift_chain(newest - tap + ahead, bits)
        newest, ahead = tap, 0
    return parts


def max_pool(unit: Unit) -> Parts:
    p = unit.parameters
    return Parts(ff=unit.latency) + max_tree(p["POSITIONS"], p["X_BITS"]) * p["WINDOWS"]


def sum_pool(unit: Unit) -> Parts:
    p = unit.parameters
    return Parts(ff=unit.latency) + adder_tree(p["POSITIONS"], p["X_BITS"], p["Y_BITS"], False, 0) * p["WINDOWS"]


def global_sum(unit: Unit) -> Parts:
    p = unit.parameters
    parts = Parts(ff=1)
    parts += counter(bits_of(p["PIXELS"])) if p["PIXELS"] > 1 else Parts()
    parts += counter(bits_of(p["GROUPS"])) if p["GROUPS"] > 1 else Parts()
    lane = Parts(lut=p["Y_BITS"], ff=p["Y_BITS"]) + shift_chain(p["GROUPS"] - 1, p["Y_BITS"])
    return parts + lane * p["LANES"]


def add(unit: Unit) -> Parts:
    """Factors that are powers of two are wires, so a LUT adds only where both terms have bits."""
    p = unit.parameters
    y_bits, lanes = p["Y_BITS"], p["LANES"]
    parts, spans = Parts(ff=2), []
    for side in ("A", "B"):
        factor, bits, signed = p[f"FACTOR_{side}"], p[f"{side}_BITS"], p[f"{side}_SIGNED"]
        dsps = constant_multipliers(bits + (not signed), factor, y_bits)
        parts += Parts(dsp=dsps, ff=0 if dsps else bits) * lanes
        low = (factor & -factor).bit_length() - 1
        spans.append((low, min(y_bits, low + bits + max(0, factor.bit_length() - 1 - low)), signed))
    (a_low, a_top, a_signed), (b_low, b_top, b_signed) = spans
    low = max(a_low, b_low)
    tops = (b_top if a_signed and a_top < b_top else a_top, a_top if b_signed and b_top < a_top else b_top)
    overlap = max(0, min(tops) - low)
    kept = y_bits - min(a_low, b_low) if overlap else (a_top - a_low) + (b_top - b_low)
    return parts + Parts(lut=overlap, ff=kept) * lanes


def pad(unit: Unit) -> Parts:
    p = unit.parameters
    sizes = [bits_of(p["TOP"] + p["ROWS"] + p["BOTTOM"] + 1), bits_of(p["LEFT"] + p["COLUMNS"] + p["RIGHT"] + 1)]
    sizes += [bits_of(p["GROUPS"])] if p["GROUPS"] > 1 else []
    return counter(sum(sizes)) + Parts(lut=p["X_WIDTH"])


def fork(_unit: Unit) -> Parts:
    return Parts(lut=1)


def split_beats(unit: Unit) -> Parts:
    p = unit.parameters
    return counter(bits_of(p["RATIO"])) + Parts(lut=p["Y_WIDTH"] * mux(p["RATIO"]))


def join_beats(unit: Unit) -> Parts:
    p = unit.parameters
    return counter(bits_of(p["RATIO"])) + Parts(ff=(p["RATIO"] - 1) * p["X_WIDTH"])


def fifo(width: int, depth: int, *, block: bool) -> Parts:
    """A cs_fifo: two counts, two pointers, the memory. Yosys keeps a second read pointer for a distributed one."""
    counts, pointers = bits_of(depth + 1), bits_of(depth)
    control = Parts(ff=2 * (counts + pointers), control=counts + pointers)
    if block:
        return control + Parts(lut=width, ff=width + 1) + memory(depth, width)
    return control + Parts(lut=lutram(depth, width), ff=pointers)
