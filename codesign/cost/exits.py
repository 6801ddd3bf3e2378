"""The units at the end: exit decisions, the conditional buffer, and the ports of the top."""

from __future__ import annotations

from codesign.cost.fabric import Parts, bits_of, counter, memory, rom_bits
from codesign.ops.base import Unit

_DECISION_BITS = 48
_FRAME_BITS = 16  # of a frame's number


def exit_entropy(unit: Unit) -> Parts:
    """Registers as in the source; adders, multiplexers and the shifter all go with the width of the sums."""
    p = unit.parameters
    powers = bits_of(p["CLASSES"] + 1)
    sums = p["FRACTION_BITS"] + powers
    grown = sums + p["GUARD_BITS"]
    part = sums + p["STEPS"] - p["FRACTION_BITS"] + 1
    factor = 5 if p["STEPS"] <= 20 and powers <= 12 else 6
    parts = _passes(unit, max(bits_of(p["CLASSES"]), bits_of(p["STEPS"])), flags=6)
    registers = 2 * grown + powers + factor + sums + p["LN_BITS"] + part + p["STEPS"]
    logic = 6 * grown + p["LN_BITS"] + part + 2 * p["CODE_BITS"]
    return parts + Parts(lut=rom_bits(1 << factor, p["LN_BITS"]), ff=registers, control=logic)


def exit_max_probability(unit: Unit) -> Parts:
    p = unit.parameters
    odds = p["FRACTION_BITS"] + bits_of(p["CLASSES"] + 1)
    return _passes(unit, bits_of(p["CLASSES"]), flags=3) + Parts(ff=odds, control=2 * odds)


def exit_margin(unit: Unit) -> Parts:
    p = unit.parameters
    classes, x_bits = bits_of(p["CLASSES"]), p["X_BITS"]
    return Parts(ff=2 + 2 * classes + 2 * x_bits, control=classes + 4 * x_bits)


def _passes(unit: Unit, count_bits: int, *, flags: int) -> Parts:
    """The controller of two passes over the logits, the RAM that keeps them, and the ROM's word."""
    p = unit.parameters
    classes = bits_of(p["CLASSES"])
    # Yosys keeps a second read pointer of the RAM, and copies a state bit or two.
    registers = 3 + count_bits + 2 + 2 * flags + p["X_BITS"] + 2 * classes + (classes + 2) + p["WORD_BITS"]
    registers += bits_of(p["STEPS"]) if p.get("STEPS") else 0
    parts = Parts(ff=registers, control=count_bits + classes + 2 * p["X_BITS"])
    return parts + memory(p["CLASSES"], p["X_BITS"])


def conditional_buffer(unit: Unit) -> Parts:
    """Counters, and a multiplexer of codes and header."""
    p = unit.parameters
    codes = p["LANES"] * (p["X_BITS"] + p["X_SIGNED"])
    return counter(_FRAME_BITS + bits_of(p["BEATS"])) + Parts(lut=max(codes, 32), ff=3)


def image_port(beats: int) -> Parts:
    return counter(_FRAME_BITS + bits_of(beats)) + Parts(ff=1)


def result_port() -> Parts:
    """cs_result_port has no parameters; its registers are those of its netlist."""
    return Parts(ff=64)


def control_port() -> Parts:
    """cs_control has no parameters; its registers are those of its netlist."""
    return Parts(ff=392)
