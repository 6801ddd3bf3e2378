"""The units that move codes: sliding window, pools, sums, and what only carries beats on."""

from __future__ import annotations

from collections.abc import Mapping

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
    pixel_bits = p["CHANNELS"] * p["X_BITS"]
    line = p["COLUMNS"] // p["PIXELS"] * p["GROUPS"]
    columns = _columns(p)
    parts = _window_control(p, line, len(columns)) + _window_registers(p, columns, line)
    if p["KERNEL_ROWS"] > 1 and line > 1:
        parts += counter(bits_of(line)) + memory(line, (p["KERNEL_ROWS"] - 1) * p["PIXELS"] * pixel_bits)
    if p["PADDED"]:  # neighbouring windows of a beat share the taps that they have in common
        parts += Parts(lut=p["KERNEL_ROWS"] * len(columns) * (pixel_bits + 1))
    return parts


def _columns(p: Mapping[str, int]) -> set[int]:
    """The pixels of a kernel row that the windows of a beat look at, counted from the leftmost that is held."""
    windows = p["PIXELS"] // p["STRIDE_COLUMNS"] if p["PIXELS"] > 1 else 1
    step = p["STRIDE_COLUMNS"] if p["PIXELS"] > 1 else 0
    left = -(-p["LEFT"] // p["PIXELS"]) * p["PIXELS"] - p["LEFT"]
    return {q * step + j + left for q in range(windows) for j in range(p["KERNEL_COLUMNS"])}


def _window_control(p: Mapping[str, int], line: int, columns: int) -> Parts:
    row_bits = bits_of(p["ROWS"] + p["KERNEL_ROWS"] + 1)
    column_bits = bits_of(p["COLUMNS"] + p["PIXELS"] + p["KERNEL_COLUMNS"])
    beats = p["ROWS"] * line
    sizes = [
        16,  # frame
        bits_of(beats + 1) if beats > 1 else 0,
        row_bits,
        column_bits - (p["PIXELS"].bit_length() - 1),  # the low bits never change
        bits_of(p["STRIDE_ROWS"]),
        bits_of(1 if p["PIXELS"] > 1 else p["STRIDE_COLUMNS"]),
        bits_of(p["LAG"] + 1) + 1 if p["LAG"] else 0,
        bits_of(p["FLUSH"] + 1) + 1 if p["FLUSH"] else 0,
        bits_of(p["GROUPS"]) if p["GROUPS"] > 1 else 0,
    ]
    parts = counter(sum(sizes)) + Parts(ff=3)  # flushing, emits, emitted
    if p["PADDED"]:
        looks = p["KERNEL_ROWS"] * row_bits + columns * column_bits
        parts += Parts(ff=p["KERNEL_ROWS"] + columns, control=looks)
    return parts


def _window_registers(p: Mapping[str, int], columns: set[int], line: int) -> Parts:
    """The registers of all kernel rows, and those behind the lines; chains that nothing looks into are shift registers."""
    pixels, rows, pixel_bits = p["PIXELS"], p["KERNEL_ROWS"], p["CHANNELS"] * p["X_BITS"]
    left, right = -(-p["LEFT"] // pixels), -(-(p["KERNEL_COLUMNS"] - 1 - p["LEFT"]) // pixels)
    span = (left + right) * p["GROUPS"] + 1
    parts = Parts()
    for slot in range(pixels):
        delays = sorted(span - column // pixels * p["GROUPS"] for column in columns if column % pixels == slot)
        if line == 1:  # a row is a beat, so each row's registers are those of the next row, a beat later
            parts += _tapped(sorted({delay + row for delay in delays for row in range(rows)}), pixel_bits)
            continue
        parts += _tapped(delays, pixel_bits)
        if rows > 1:  # the line's output goes into the line above as well, but for the topmost row's
            parts += _tapped([delay + 1 for delay in delays], pixel_bits)
            parts += (_tapped(delays, pixel_bits) + Parts(ff=pixel_bits)) * (rows - 2)
    return parts


def _tapped(delays: list[int], bits: int) -> Parts:
    """Registers one behind the other, of which those at these delays are looked at."""
    parts, last = Parts(), 0
    for delay in delays:
        parts += shift_chain(delay - last, bits)
        last = delay
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
    parts, spans = Parts(ff=2), list[tuple[int, int, int]]()
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
    """A cs_fifo: two counts, two pointers, two flags, the memory. Yosys keeps a second read pointer for a distributed one."""
    counts, pointers = bits_of(depth + 1), bits_of(depth)
    control = Parts(ff=2 * (counts + pointers) + 2, control=counts + pointers)
    if block:
        return control + Parts(lut=width, ff=width + 1) + memory(depth, width)
    return control + Parts(lut=lutram(depth, width), ff=pointers)
