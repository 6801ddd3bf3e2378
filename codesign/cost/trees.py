"""Trees of adders and of comparers, and products in LUTs, as Yosys maps them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from codesign.cost.fabric import Parts, shift_chain


class _Term(NamedTuple):
    """A number in a tree: bits that differ from its sign, and how many registers it has gone through since it was made."""

    bits: int
    passed: int


@lru_cache(maxsize=1 << 16)
def adder_tree(terms: int, x_bits: int, y_bits: int, in_dsp: bool, held: int) -> Parts:
    """A cs_adder_tree. `in_dsp`: the terms come out of DSPs, which then add the first level and hand on the odd term.
    `held` is how many registers of the fabric the terms have gone through when they come in.

    A LUT adds a bit; bits above a number's sign are its sign again and share that one's LUT.
    """
    level, parts = [_Term(min(x_bits, y_bits), held)] * terms, Parts()
    if in_dsp and terms > 1:
        sums, x_bits = terms // 2, min(x_bits + 1, y_bits)
        level = [_Term(x_bits, 0)] * sums + level[: terms % 2]
    while len(level) > 1:
        x_bits = min(x_bits + 1, y_bits)
        level, made = _next_level(level, lambda a, b, bits=x_bits: (min(max(a, b), bits), bits))
        parts += made
    return parts + (_chain(level[0]) if level else Parts())


@lru_cache(maxsize=1 << 16)
def max_tree(terms: int, x_bits: int) -> Parts:
    """A cs_max_tree: a LUT a bit chooses, two thirds of one compare. One LUT compares 3 bits; of 2 bits, it chooses as well."""
    compare = x_bits * 2 / 3 if x_bits > 3 else x_bits // 3
    level, parts = [_Term(x_bits, 0)] * terms, Parts()
    while len(level) > 1:
        level, made = _next_level(level, lambda a, _: (a + compare, a))
        parts += made
    return parts + _chain(level[0])


def _next_level(level: list[_Term], join: Callable[[int, int], tuple[float, int]]) -> tuple[list[_Term], Parts]:
    """The next level and what it takes. `join` says LUTs and bits of a result; an odd term goes through a register."""
    ahead, parts = list[_Term](), Parts()
    for a, b in zip(level[::2], level[1::2], strict=False):
        luts, bits = join(a.bits, b.bits)
        parts += _chain(a) + _chain(b) + Parts(lut=luts, ff=bits)
        ahead.append(_Term(bits, 0))
    if len(level) % 2:
        ahead.append(level[-1]._replace(passed=level[-1].passed + 1))
    return ahead, parts


def _chain(term: _Term) -> Parts:
    """The registers that a term went through up to here; that of a sum is counted with the sum."""
    return shift_chain(term.passed, term.bits) if term.passed else Parts()


def soft_product(a_bits: float, b_bits: float) -> Parts:
    """A product in LUTs: a row of adders, of bits that are not always 0."""
    narrow, wide = sorted((a_bits, b_bits))
    return Parts(lut=max(0, narrow - 1) * (wide + 1) + wide)
