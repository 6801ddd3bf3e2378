"""A layer in FINN: its published formulas, which no report here has checked.

Umuroglu et al., FINN (2017); Blott et al., FINN-R (2018): LUT = 300 + 1.1 PE (multipliers + adder tree + accumulator).
"""

from __future__ import annotations

from codesign.cost.layers.loops import cycles
from codesign.cost.layers.report import Description
from codesign.cost.layers.schedule import planned_loops
from codesign.plan.budget import bram18

_FIXED, _SLACK = 300, 1.1
_DSP_BITS = 5  # operands from here on are multiplied in DSPs


def finn_layer(d: Description) -> dict[str, int]:
    """Cycles and resources of an MVAU with its sliding window unit, or of a unit without weights."""
    layer, style = d.layer, d.style
    loops = planned_loops(layer, style, layer.channels)
    bits = style.x_bits + style.w_bits
    products = style.pe * style.simd if layer.weights else 0
    in_dsp = min(style.x_bits, style.w_bits) >= _DSP_BITS
    accumulator = bits + max(1, layer.inputs).bit_length()
    multiplier = 0 if in_dsp else (2 * -(-bits // 6) - 1) * bits
    lut = _FIXED + _SLACK * style.pe * (style.simd * multiplier + bits * (2 * style.simd - 1) + accumulator)
    line = layer.kernel[0] * layer.padded[1] * layer.channels // style.simd
    return {
        "cycles": cycles(loops),
        "dsp": products * -(-bits // 48) if in_dsp else 0,
        "bram18": _memory(-(-layer.weights // max(1, products)), products * style.w_bits)
        + (_memory(line, style.simd * style.x_bits) if layer.positions > 1 else 0),
        "lut": round(lut if layer.weights else _FIXED + style.pe * style.x_bits * max(1, layer.positions)),
        "ff": round(_FIXED + style.pe * (accumulator + style.simd * bits)),
    }


def _memory(words: int, bits: int) -> int:
    """BRAM18 of a memory that Vivado keeps in block RAM, at its own depth."""
    return bram18(words, bits, False) if bits and words > 32 else 0
