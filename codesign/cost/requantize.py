"""cs_requantize: products, sums and clamps of its lanes, which depend on the constants where these never change."""

from __future__ import annotations

from codesign.cost.fabric import Parts, bits_of, counter, multipliers, ones, signed_bits
from codesign.ops.base import Rom, Unit


def requantize(unit: Unit) -> Parts:
    p, (table,) = unit.parameters, unit.roms
    parts = Parts(ff=unit.latency)
    parts += counter(bits_of(p["GROUPS"])) if p["GROUPS"] > 1 else Parts()
    if p["GROUPS"] > 1:
        return parts + (_varying(unit) + _clamp(unit)) * p["LANES"]
    return parts + sum((_constant(unit, *lane) + _clamp(unit) for lane in _lanes(unit, table)), Parts())


def _lanes(unit: Unit, table: Rom) -> list[tuple[int, int]]:
    """(multiplier, offset) of every lane of a ROM of one word."""
    p = unit.parameters
    bits = "".join(str(int(bit)) for bit in reversed(table.codes.reshape(-1)))
    word, size, lanes = int(bits, 2), p["M_BITS"] + p["O_BITS"], []
    for lane in range(p["LANES"]):
        field = word >> lane * size
        offset = _signed(field, p["O_BITS"])
        lanes.append((_signed(field >> p["O_BITS"], p["M_BITS"]) if p["M_BITS"] else 1, offset))
    return lanes


def _signed(field: int, bits: int) -> int:
    value = field & ((1 << bits) - 1)
    return value - (value >> bits - 1 << bits)


def _varying(unit: Unit) -> Parts:
    """A lane whose constants come from a ROM: one DSP multiplies and adds; of several, the sum is in LUTs."""
    p = unit.parameters
    x_bits, wide = p["X_BITS"] + (not p["X_SIGNED"]), p["WIDE_BITS"]
    rest = wide - p["SHIFT"]
    if not p["M_BITS"]:
        return Parts(lut=min(wide, max(x_bits, p["O_BITS"])), ff=p["X_BITS"] + rest)
    dsps = multipliers(x_bits, p["M_BITS"], min(x_bits + p["M_BITS"], wide))
    if dsps == 1:
        return Parts(dsp=1)
    if not dsps:
        return Parts(lut=wide, ff=p["X_BITS"] + x_bits + p["M_BITS"] + p["O_BITS"] + rest)
    return Parts(dsp=dsps, lut=wide - 17, ff=17 + p["O_BITS"] + rest)


def _constant(unit: Unit, multiplier: int, offset: int) -> Parts:
    """A lane of fixed constants. The DSP adds an odd offset; an even one's low zeros make Yosys add outside of it,
    where a bit of the offset that is 1 takes a LUT. A multiplier that is a power of two is wires."""
    p = unit.parameters
    x_bits, wide = p["X_BITS"] + (not p["X_SIGNED"]), p["WIDE_BITS"]
    rest = wide - p["SHIFT"]
    zeros = (offset & -offset).bit_length() - 1 if offset else wide
    outside = Parts(lut=ones(offset, zeros, wide), ff=rest)
    if multiplier == 0:
        return Parts()
    if abs(multiplier) & (abs(multiplier) - 1) == 0:
        shift = abs(multiplier).bit_length() - 1
        used = max(0, min(p["X_BITS"], p["X_BITS"] + shift - min(zeros, p["SHIFT"])))
        negate = used if multiplier < 0 else 0
        stages = (2 if p["M_BITS"] else 1) * used
        return outside + Parts(lut=negate, ff=stages)
    dsps = multipliers(x_bits, signed_bits(multiplier), min(x_bits + p["M_BITS"], wide))
    if dsps > 1:
        return Parts(dsp=dsps, ff=17) + outside
    return Parts(dsp=dsps) + (Parts() if zeros == 0 else outside)


def _clamp(unit: Unit) -> Parts:
    """A LUT a bit, and one for every five bits above that say whether the sum is too large."""
    p = unit.parameters
    bits = max(p["WIDE_BITS"] - p["SHIFT"], p["Y_BITS"] + 1)
    above = bits - p["Y_BITS"]
    return Parts(lut=(p["Y_BITS"] if above > 1 else 0) + above / 5, ff=p["Y_BITS"])
