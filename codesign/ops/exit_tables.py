"""Integer tables of the exit unit: two exponentials in one memory, and a logarithm by shift and add.

Every value is rounded once, from 60 decimal digits, in the direction that makes the result safe: all platforms have the
same tables, and the sums need no guard. The proofs are in docs/exit_unit.md.
"""

# Legend: N frames; D distance to the largest logit, in logit codes; K refinement steps; P powers of two; F their codes in RTL; ulp = 2**-fraction_bits.
from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

LOG_GUARD_BITS = 6  # the logarithm's fraction bits beyond the code's
MAX_ADDRESS_BITS = 16


class ExpTables(NamedTuple):
    """exp_D[d] and weighted_D[d] in ulps, about exp(-d scale) and d scale exp(-d scale)."""

    exp_D: Ints
    weighted_D: Ints

    @property
    def weighted_bits(self) -> int:
        return int(self.weighted_D.max()).bit_length()

    @property
    def words_D(self) -> Ints:
        """One word a distance: exp above weighted, as one memory with one address."""
        return self.exp_D << self.weighted_bits | self.weighted_D


class EntropyTables(NamedTuple):
    """What turns the sums S = sum exp and U = sum weighted into an upper bound of ln S + U / S.

    The logarithm has LOG_GUARD_BITS more fraction bits than the code: ln_step_K[k - 1] is ln(1 + 2**-k) and
    ln_power_P[e] is e ln 2, both rounded up; ln_power_P also carries the tail that the steps leave and the rounding up
    to an ulp.
    """

    steps: int
    ln_step_K: Ints
    ln_power_P: Ints

    @property
    def ln_factor_F(self) -> Ints:
        """The logarithms of steps and powers by the codes that fpga/rtl/cs_exit_entropy.sv gives them."""
        powers = range(len(self.ln_power_P))
        ln_F = np.zeros(32 if self.steps <= 20 and len(powers) <= 12 else 64, np.int64)
        ln_F[[_step_code(k) for k in range(self.steps)]] = self.ln_step_K
        ln_F[[16 + e if e < 8 else 20 + e for e in powers]] = self.ln_power_P
        return ln_F


@lru_cache(maxsize=32)
def entropy_rom(scale: float, fraction_bits: int, entries: int) -> ExpTables:
    """exp rounded down, and exp + weighted rounded up: the entropy grows with U + S and falls with S alone."""
    exp_D, weighted_D = np.empty(entries, np.int64), np.empty(entries, np.int64)
    with localcontext(Context(prec=60)):
        for d, value in enumerate(_exponentials(scale, fraction_bits, entries)):
            exp_D[d] = int(value.to_integral_value(ROUND_FLOOR))
            weighted_D[d] = int((value * (1 + Decimal(scale) * d)).to_integral_value(ROUND_CEILING)) - exp_D[d]
    return ExpTables(_frozen(exp_D), _frozen(weighted_D))


@lru_cache(maxsize=32)
def probability_rom(scale: float, fraction_bits: int, entries: int) -> ExpTables:
    """exp rounded up: the largest probability falls with S. Nothing is weighted."""
    with localcontext(Context(prec=60)):
        exp = [int(e.to_integral_value(ROUND_CEILING)) for e in _exponentials(scale, fraction_bits, entries)]
    return ExpTables(_frozen(np.array(exp, np.int64)), _frozen(np.zeros(entries, np.int64)))


def _exponentials(scale: float, fraction_bits: int, entries: int) -> Iterator[Decimal]:
    """exp(-d scale) in ulps for every d; the error after 2**16 products is far below the last digit that matters."""
    ratio, value = (-Decimal(scale)).exp(), Decimal(1 << fraction_bits)
    for _ in range(entries):
        yield value
        value *= ratio


def clips_safely(scale: float, fraction_bits: int, entries: int) -> bool:
    """Whether the last entry, 0 and 1 ulp, is safe for every distance beyond it too."""
    last = (entries - 1) * scale
    return (1 + last) * math.exp(-last) * 2.0**fraction_bits < 1


def address_bits(scale: float, fraction_bits: int, logit_bits: int) -> int:
    """The fewest address bits that cover every distance between logits of `logit_bits`, or clip safely."""
    bits = 1
    while bits < logit_bits and not clips_safely(scale, fraction_bits, 1 << bits):
        bits += 1
    return bits


def fraction_bits_for(classes: int, min_threshold: float) -> int:
    """Fraction bits that keep two ulps a class under half a percent of `min_threshold`, within 18 .. 24."""
    return min(24, max(18, math.ceil(math.log2(2 * (classes - 1) / (0.005 * min_threshold)))))


@lru_cache(maxsize=32)
def entropy_tables(classes: int, scale: float, fraction_bits: int, entries: int) -> EntropyTables:
    """The logarithm's tables, with as many steps as the quotient U / S has bits for these classes."""
    ratio = largest_ratio(classes, entropy_rom(scale, fraction_bits, entries), fraction_bits)
    steps = fraction_bits + max(1, int(ratio).bit_length())
    unit = fraction_bits + LOG_GUARD_BITS
    tail = (1 << (unit - steps)) + steps
    rounding_up = (1 << LOG_GUARD_BITS) - 1
    with localcontext(Context(prec=60)):
        two = Decimal(2)
        ln_step = [_up((1 + two**-k).ln(), unit) for k in range(1, steps + 1)]
        ln_power = [_up(two.ln() * e, unit) + tail + rounding_up for e in range(classes.bit_length())]
    return EntropyTables(steps, _frozen(np.array(ln_step)), _frozen(np.array(ln_power)))


def entropy_codes(sum_N: Ints, weighted_N: Ints, tables: EntropyTables, fraction_bits: int) -> Ints:
    """An upper bound of ln S + U / S: the logarithm by shift and add, the quotient by shift and subtract."""
    powers_P = (1 << fraction_bits) << np.arange(1, len(tables.ln_power_P), dtype=np.int64)
    power_N = np.searchsorted(powers_P, sum_N, side="right")
    ln_N = tables.ln_power_P[power_N]
    grown_N = np.int64(1) << (power_N + fraction_bits + LOG_GUARD_BITS)
    rest_N = (sum_N << LOG_GUARD_BITS) - grown_N
    part_N, divisor_N = weighted_N, sum_N << (tables.steps - fraction_bits)
    quotient_N = np.zeros_like(sum_N)
    for k in range(1, tables.steps + 1):
        step_N = grown_N >> k
        taken_N = step_N <= rest_N
        grown_N, rest_N = grown_N + step_N * taken_N, rest_N - step_N * taken_N
        ln_N = ln_N + tables.ln_step_K[k - 1] * taken_N
        fits_N = 2 * part_N >= divisor_N
        part_N = 2 * part_N - divisor_N * fits_N
        quotient_N = 2 * quotient_N + fits_N
    return quotient_N + (part_N > 0) + (ln_N >> LOG_GUARD_BITS)


def largest_ratio(classes: int, rom: ExpTables, fraction_bits: int) -> Fraction:
    """A bound on U / S for any logits, to a 64th, from the integer tables themselves.

    U <= r S holds for all logits when (classes - 1) max_D(weighted - r exp) <= r, as the largest logit adds 1 to S
    alone.
    """
    at = 1
    while (classes - 1) * int((64 * rom.weighted_D - at * rom.exp_D).max()) > at << fraction_bits:
        at += 1
    return Fraction(at, 64)


def _step_code(k: int) -> int:
    """What selects a shift by k: ones and fours, up to three each in Gray code, then more fours."""
    fours = min(k >> 2, 3)
    return (k & 3) ^ (k & 3) >> 1 | (fours ^ fours >> 1) << 2 | ((k >> 2) - fours) << 4


def _up(value: Decimal, fraction_bits: int) -> int:
    return int((value * (1 << fraction_bits)).to_integral_value(ROUND_CEILING))


def _frozen(array: Ints) -> Ints:
    array.flags.writeable = False
    return array
