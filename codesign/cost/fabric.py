"""Pieces of a 7-series netlist as Yosys maps them: LUTs, FFs, DSPs and block RAMs of memories, multiplexers and products.

Every rule here is structure: what `synth_xilinx -family xc7` makes of the piece, read off its mapping rules and checked by
synthesis (docs/estimates.md). What cannot be counted is `control`, bits of counters and what looks at them; a coefficient
prices those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from codesign.ops.base import Rom
from codesign.plan.budget import bram18, rom_storage, storage

DSP_WIDE, DSP_NARROW, DSP_PART = 25, 18, 17  # a signed 25 x 18 multiplier; wider operands are cut into parts of 17 bits
DSP_LEAST_PRODUCT = 9  # narrower products are left to LUTs, and so is an operand of one bit
SRL_LEAST = 3  # registers in a row without reset or tap, from which on a shift register LUT takes them
# LUTs of a multiplexer of one bit, by its inputs; beyond, half a LUT an input.
_MUX = (0, 0, 1, 1, 1, 2, 2, 4, 3, 5, 4.1, 4.4, 4, 5.2, 5.6, 6.8, 7.2)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is counted of a unit: LUT, FF, DSP, BRAM18, and the bits of control that a coefficient turns into LUTs.

    `fed` are registers that a DSP has inside when the unit stands alone. Behind a FIFO of distributed RAM, Yosys makes
    them part of the RAM's read port, and the DSP cannot take them.
    """

    lut: float = 0.0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    control: int = 0
    fed: int = 0

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram18 + other.bram18,
            self.control + other.control,
            self.fed + other.fed,
        )

    def __mul__(self, count: int) -> Parts:
        return Parts(
            self.lut * count,
            self.ff * count,
            self.dsp * count,
            self.bram18 * count,
            self.control * count,
            self.fed * count,
        )


def bits_of(count: int) -> int:
    """Bits of a counter of `count` values, at least 1: $clog2."""
    return max(1, (count - 1).bit_length())


def counter(bits: int) -> Parts:
    """A counter that wraps round, with reset and enable."""
    return Parts(ff=bits, control=bits)


def mux(inputs: int) -> float:
    """LUTs of one bit out of several."""
    return float(_MUX[inputs]) if inputs < len(_MUX) else inputs / 2


@lru_cache(maxsize=1 << 16)
def lutram(words: int, width: int) -> float:
    """LUTs of a distributed RAM of one write and one read port, with the multiplexer behind its banks.

    RAM32M holds 32 words of 6 bits in 4 LUTs, RAM64M 64 words of 3 bits; Yosys takes the cheaper for the whole memory.
    """
    if words <= 1 or not width:
        return 0.0
    choices = ((32, 6), (64, 3))
    return min(-(-words // w) * -(-width // b) * 4 + width * mux(-(-words // w)) for w, b in choices)


def memory(words: int, width: int) -> Parts:
    """A RAM where the emitter puts it, without registers."""
    if storage(words, width) == "bram":
        return Parts(bram18=bram18(words, width, pads=False))
    return Parts(lut=lutram(words, width))


def shift_chain(length: int, width: int) -> Parts:
    """`width` registers `length` deep without reset, of which only the last is read."""
    if length < SRL_LEAST:
        return Parts(ff=length * width)
    return Parts(lut=width * -(-length // 32))


def rom(table: Rom) -> Parts:
    """A ROM: the registers of its address and its word, and the logic between them.

    Equal bits share, and bits that are the same in every word are constants. The second register of a block RAM goes into
    the DSPs behind it; where there are none, it is the unit's.
    """
    if table.words == 1:
        return Parts()
    columns = distinct_bits(table)
    if rom_storage(table.words, table.width) == "bram":
        return Parts(bram18=bram18(table.words, columns, pads=False) if columns else 0)
    return Parts(lut=rom_bits(table.words, columns), ff=columns + bits_of(table.words))


def rom_bits(words: int, bits: int) -> int:
    """LUTs of a table: a LUT holds 64 words of a bit; of two words, a bit is the address."""
    return 0 if words <= 2 else bits * -(-words // 64)


def distinct_bits(table: Rom) -> int:
    """Bits of a word that change from word to word; equal ones count once, which few words make likely."""
    changing = np.bitwise_or.reduce(table.codes, axis=0) & ~np.bitwise_and.reduce(table.codes, axis=0)
    planes = (changing[:, None] >> np.arange(table.bits) & 1).astype(bool)
    if table.words > 16:
        return int(planes.sum())
    bits = (table.codes[..., None] >> np.arange(table.bits) & 1)[:, planes]
    return len(np.unique(np.left_shift(1, np.arange(table.words)) @ bits)) if bits.size else 0


@lru_cache(maxsize=1 << 16)
def multipliers(a_bits: int, b_bits: int, product_bits: int) -> int:
    """DSPs of a signed product; 0 where LUTs make it."""
    wide, narrow = max(a_bits, b_bits), min(a_bits, b_bits)
    if narrow < 2 or product_bits < DSP_LEAST_PRODUCT:
        return 0
    if wide > DSP_WIDE:
        parts = -(-(wide - DSP_WIDE) // DSP_PART)
        rest = wide - parts * DSP_PART
        return parts * multipliers(DSP_PART + 1, narrow, product_bits) + multipliers(rest, narrow, rest + narrow)
    if narrow > DSP_NARROW:
        parts = -(-(narrow - DSP_NARROW) // DSP_PART)
        rest = narrow - parts * DSP_PART
        return parts * multipliers(wide, DSP_PART + 1, product_bits) + multipliers(wide, rest, wide + rest)
    return 1


def constant_multipliers(x_bits: int, value: int, product_bits: int) -> int:
    """DSPs of the product with a constant: none for 0 and for powers of two of either sign, which are wires."""
    if abs(value) & (abs(value) - 1) == 0:
        return 0
    return multipliers(x_bits, signed_bits(value), product_bits)


def signed_bits(value: int) -> int:
    """Bits of a signed number."""
    return (value if value >= 0 else ~value).bit_length() + 1


def ones(value: int, low: int, high: int) -> int:
    """Bits that are 1 in the positions low .. high - 1 of a two's complement number."""
    return (value >> low & ((1 << max(0, high - low)) - 1)).bit_count()
