"""cs_requantize: products, sums and clamps of its lanes, which depend on the constants where these never change."""

from __future__ import annotations

from dataclasses import replace

from codesign.cost.fabric import DSP_PART, Parts, bits_of, counter, distinct_bits, multipliers, ones, signed_bits
from codesign.ir.types import Codes
from codesign.ops.base import Rom, Unit


def requantize(unit: Unit) -> Parts:
    p, (table,) = unit.parameters, unit.roms
    parts = Parts(ff=unit.latency)
    parts += counter(bits_of(p["GROUPS"])) if p["GROUPS"] > 1 else Parts()
    if p["GROUPS"] > 1:
        return parts + _varying(unit, table) + _clamp(unit) * p["LANES"]
    return parts + sum((_constant(unit, *lane) + _clamp(unit) for lane in _lanes(unit, table)), Parts())


def _lanes(unit: Unit, table: Rom) -> list[tuple[int, int]]:
    """(multiplier, offset) of every lane of a ROM of one word."""
    p = unit.parameters
    bits = "".join(str(int(bit)) for bit in reversed(table.codes.reshape(-1)))
    word, size = int(bits, 2), p["M_BITS"] + p["O_BITS"]
    lanes: list[tuple[int, int]] = []
    for lane in range(p["LANES"]):
        field = word >> lane * size
        offset = _signed(field, p["O_BITS"])
        lanes.append((_signed(field >> p["O_BITS"], p["M_BITS"]) if p["M_BITS"] else 1, offset))
    return lanes


def _signed(field: int, bits: int) -> int:
    value = field & ((1 << bits) - 1)
    return value - (value >> bits - 1 << bits)


def _varying(unit: Unit, table: Rom) -> Parts:
    """All lanes with constants from a ROM: one DSP a lane multiplies and adds; of several, the sum is in LUTs."""
    p = unit.parameters
    x_bits, wide, lanes = p["X_BITS"] + (not p["X_SIGNED"]), p["WIDE_BITS"], p["LANES"]
    rest = wide - p["SHIFT"]
    if not p["M_BITS"]:
        return Parts(lut=max(x_bits, p["O_BITS"]), ff=p["X_BITS"] + rest) * lanes
    dsps = multipliers(x_bits, p["M_BITS"], min(x_bits + p["M_BITS"], wide))
    if dsps == 1:
        return Parts(dsp=1, fed=p["X_BITS"]) * lanes
    held = Parts(ff=distinct_bits(replace(table, codes=_offsets(unit, table))))
    if not dsps:
        return held + Parts(lut=wide, ff=p["X_BITS"] + x_bits + p["M_BITS"] + rest) * lanes
    return held + Parts(dsp=dsps, lut=wide - 4, ff=DSP_PART + rest, fed=p["X_BITS"]) * lanes


def _offsets(unit: Unit, table: Rom) -> Codes:
    """The bits of the ROM that are offsets."""
    p = unit.parameters
    return table.codes.reshape(table.words, p["LANES"], -1)[:, :, : p["O_BITS"]].reshape(table.words, -1)


def _constant(unit: Unit, multiplier: int, offset: int) -> Parts:
    """A lane of fixed constants, of which a power of two as multiplier is wires. A DSP adds too if the multiplier is odd;
    else the product's low zeros make Yosys add outside, where only bits of the offset that are 1 take a LUT."""
    p = unit.parameters
    x_bits, wide = p["X_BITS"] + (not p["X_SIGNED"]), p["WIDE_BITS"]
    zeros = _low_zeros(multiplier, wide)
    outside = Parts(lut=ones(offset, max(zeros, _low_zeros(offset, wide)), wide), ff=wide - p["SHIFT"])
    if multiplier == 0:
        return Parts()
    if abs(multiplier) == 1 << zeros:
        unused = max(0, min(_low_zeros(offset, wide), p["SHIFT"]) - zeros) if multiplier > 0 else 0
        used = max(0, p["X_BITS"] - unused)
        return outside + Parts(lut=used if multiplier < 0 else 0, ff=(2 if p["M_BITS"] else 1) * used)
    dsps = multipliers(x_bits, signed_bits(multiplier), min(x_bits + p["M_BITS"], wide))
    if dsps > 1:
        return Parts(dsp=dsps, ff=max(0, DSP_PART - zeros), fed=p["X_BITS"]) + outside
    return Parts(dsp=dsps, fed=p["X_BITS"]) + (Parts() if zeros == 0 and p["X_SIGNED"] else outside)


def _low_zeros(value: int, limit: int) -> int:
    """How many low bits of a number are 0."""
    return (value & -value).bit_length() - 1 if value else limit


def _clamp(unit: Unit) -> Parts:
    """A LUT a bit, and one for every five bits above that say whether the sum is too large. A greatest code that is not
    all ones is compared with."""
    p = unit.parameters
    bits = max(p["WIDE_BITS"] - p["SHIFT"], p["Y_BITS"] + 1)
    above = bits - p["Y_BITS"]
    compare = p["Y_BITS"] / 3 if p["HIGH"] & (p["HIGH"] + 1) else 0
    return Parts(lut=(p["Y_BITS"] if above > 1 else 0) + above / 5 + compare, ff=p["Y_BITS"])
