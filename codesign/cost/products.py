"""The matrix units, cs_matrix_vector and cs_channel_dot: products, adder trees, sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.cost.fabric import Parts, bits_of, constant_multipliers, counter, multipliers, mux, shift_chain
from codesign.cost.trees import adder_tree, soft_product
from codesign.ir.types import Codes
from codesign.ops.base import Unit


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The sizes that both units share; `outputs` and `simd` are those of a cycle, `weights` (outputs, SIMD) if constant.

    `used_bits` are those of a weight that any word of the ROM sets, on average.
    """

    x_bits: int
    x_signed: bool
    w_bits: int
    y_bits: int
    simd: int
    weights: Codes | None
    used_bits: float

    @property
    def p_bits(self) -> int:
        return self.x_bits + self.w_bits


def matrix_vector(unit: Unit) -> Parts:
    p = unit.parameters
    tiles = p["BEATS"] * p["CHUNKS"] * p["FOLDS"]
    accumulates = p["BEATS"] * p["CHUNKS"] > 1
    parts = Parts(ff=unit.latency) + counter(bits_of(p["CHUNKS"]))
    parts += counter(bits_of(tiles)) if tiles > 1 else Parts()
    parts += counter(bits_of(p["FOLDS"])) if p["FOLDS"] > 1 else Parts()
    if accumulates:
        parts += counter(2) + Parts(ff=unit.latency - 1) + shift_chain(unit.latency - 1, 1)
    m = _matrix(unit)
    parts += _slice(m, p["CHUNKS"], p["PIXELS"], wide=bool(p["PAIRED"]))
    if not p["PAIRED"]:
        rows = [None] * p["PE"] if m.weights is None else list(m.weights)
        outputs = sum((_single(m, row, accumulates, p["FOLDS"]) for row in rows), Parts())
    else:
        rows = [None] * -(-p["PE"] // 2) if m.weights is None else list(m.weights)
        outputs = Parts()
        for index, row in enumerate(rows):
            outputs += _pair(m, row, accumulates, p["FOLDS"], both=2 * index + 1 < p["PE"])
    return parts + outputs * p["PIXELS"]


def channel_dot(unit: Unit) -> Parts:
    p = unit.parameters
    steps = p["FOLDS"] * p["CHUNKS"]
    parts = Parts(ff=unit.latency)
    for values in (p["TILES"], steps, p["CHUNKS"]):
        parts += counter(bits_of(values)) if values > 1 else Parts()
    if p["CHUNKS"] > 1:
        parts += Parts(ff=unit.latency - 1) + shift_chain(unit.latency - 1, 1)
    m = _matrix(unit)
    parts += _slice(m, steps, p["PIXELS"] * p["PE"], wide=False)
    rows = [None] * p["PE"] if m.weights is None else list(m.weights)
    return parts + sum((_single(m, row, p["CHUNKS"] > 1, 1) for row in rows), Parts()) * p["PIXELS"]


def _matrix(unit: Unit) -> _Matrix:
    p, (table,) = unit.parameters, unit.roms
    weights = table.codes.reshape(-1, p["SIMD"]) if table.words == 1 else None
    ever = np.bitwise_or.reduce(table.codes, axis=0)
    used_bits = float((ever[:, None] >> np.arange(p["W_BITS"]) & 1).sum()) / len(ever)
    return _Matrix(p["X_BITS"], bool(p["X_SIGNED"]), p["W_BITS"], p["Y_BITS"], p["SIMD"], weights, used_bits)


def _slice(m: _Matrix, choices: int, copies: int, *, wide: bool) -> Parts:
    """The chunk of a beat that is worked on. DSPs have its registers inside; products in LUTs need them."""
    bits = m.simd * m.x_bits * copies
    w_bits = m.w_bits + m.p_bits if wide else m.w_bits
    soft = not multipliers(m.x_bits + (not m.x_signed), w_bits, m.p_bits + (m.p_bits if wide else 0))
    registers = 1 if m.weights is not None else 2  # as many cycles as the weights take
    return Parts(lut=bits * mux(choices), ff=registers * bits if soft else 0)


def _single(m: _Matrix, weights: Codes | None, accumulates: bool, folds: int) -> Parts:
    """One output of products that are each a multiplier of its own; DSPs add the first level of the tree too."""
    dsps, parts, terms = _dsps(m, weights, m.w_bits)
    tree = adder_tree(terms, m.p_bits, m.y_bits, dsps > 0, 0 if dsps else 1)
    return parts + tree + _sums(m, accumulates, folds, in_dsp=dsps > 0 and m.simd == 1)


def _pair(m: _Matrix, weights: Codes | None, accumulates: bool, folds: int, *, both: bool) -> Parts:
    """Two outputs that share multipliers, or the odd last one, whose products leave the DSP through its own registers."""
    if not both:
        dsps, parts, terms = _dsps(m, weights, m.w_bits)
        tree = adder_tree(terms, m.p_bits, m.y_bits, False, 0 if dsps else 2)
        return parts + tree + _sums(m, accumulates, folds, in_dsp=False)
    if weights is not None:
        low = (weights + (1 << m.w_bits - 1)) % (1 << m.w_bits) - (1 << m.w_bits - 1)
        weights = ((weights - low >> m.w_bits) << m.p_bits) + low
    _, parts, terms = _dsps(m, weights, m.w_bits + m.p_bits)
    tree = adder_tree(terms, m.p_bits, m.y_bits, False, 1)
    return parts + Parts(lut=terms) + (tree + _sums(m, accumulates, folds, in_dsp=False)) * 2


def _dsps(m: _Matrix, weights: Codes | None, w_bits: int) -> tuple[int, Parts, int]:
    """DSPs of the products of an output, the products in all, and how many terms they are."""
    x_bits, product = m.x_bits + (not m.x_signed), m.x_bits + w_bits
    if weights is not None:
        values = [int(value) for value in weights if value]
        each = [constant_multipliers(x_bits, value, product) for value in values]
        # Where wires multiply, the code and the product have registers of their own, and a sign takes LUTs.
        wired = [value for value, dsps in zip(values, each, strict=True) if not dsps]
        parts = Parts(dsp=sum(each), lut=x_bits * sum(value < 0 for value in wired), ff=2 * x_bits * len(wired))
        return sum(each), parts, len(values)
    each = multipliers(x_bits, w_bits, product)
    parts = Parts(dsp=each) if each else soft_product(m.x_bits, m.used_bits)
    return each * m.simd, parts * m.simd, m.simd


def _sums(m: _Matrix, accumulates: bool, folds: int, *, in_dsp: bool) -> Parts:
    """The ring of sums of one output. A DSP that makes the only product adds and keeps the newest sum."""
    if not accumulates:
        return Parts()
    ring = shift_chain(folds - 1, m.y_bits)
    if in_dsp:
        return ring + Parts(lut=m.y_bits if folds > 1 else 0)
    return ring + Parts(lut=m.y_bits, ff=m.y_bits)
