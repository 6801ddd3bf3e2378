"""The units of several widths: what the plain unit of the widest takes, and what looking up sizes adds.

Control logic has the coefficients of the plain unit. Additions are counted: a LUT a bit of a table of up to 64 widths, a LUT
a bit of a comparison with a size that is not constant, a counter's own bits.
"""

from __future__ import annotations

from dataclasses import replace

from codesign.cost import exits, products, requantize, streams
from codesign.cost.fabric import Parts, bits_of, counter, lutram, memory, mux, shift_chain
from codesign.ops.base import Unit

PLAIN = {
    "cs_slim_channel_dot": "cs_channel_dot",
    "cs_slim_global_sum": "cs_global_sum",
    "cs_slim_matrix_vector": "cs_matrix_vector",
    "cs_slim_pad": "cs_pad",
    "cs_slim_requantize": "cs_requantize",
    "cs_slim_sliding_window": "cs_sliding_window",
    "cs_slim_conditional_buffer": "cs_conditional_buffer",
    "cs_slim_keep": "cs_join_beats",  # which counts, too, and lets beats through
}


def matrix_vector(unit: Unit) -> Parts:
    """Sums lie in a memory instead of a ring; tiles are counted with an adder."""
    p = unit.parameters
    beats, folds = p["PIXELS"] * p["MAX_BEATS"], p["MAX_FOLDS"]
    plain = {**p, "PIXELS": 1, "BEATS": beats, "FOLDS": folds}
    parts = products.matrix_vector(replace(unit, module="cs_matrix_vector", parameters=plain))
    address = bits_of(beats * p["CHUNKS"] * folds)
    parts += _table(bits_of(folds + 1)) + _table(bits_of(p["MAX_BEATS"] + 1)) + _table(2 * address) + Parts(lut=address)
    parts += counter(bits_of(p["PIXELS"])) + counter(bits_of(p["VECTORS"])) + counter(bits_of(p["MAX_BEATS"] + 1))
    if folds > 1 and beats * p["CHUNKS"] > 1:
        parts += _memory_for_ring(folds, p["Y_BITS"]) * p["PE"]
        parts += Parts(ff=(unit.latency - 1) * bits_of(folds + 1))
    return parts


def channel_dot(unit: Unit) -> Parts:
    """The plain unit counts the tiles of a beat; those of the groups before it are added."""
    p = unit.parameters
    steps = p["FOLDS"] * p["CHUNKS"]
    plain = {**p, "PIXELS": 1, "TILES": steps}
    parts = products.channel_dot(replace(unit, module="cs_channel_dot", parameters=plain))
    address, groups = bits_of(p["TILES"]), bits_of(p["TILES"] // steps + 1)
    parts += counter(address) + counter(groups) + counter(bits_of(p["TURNS"])) + _table(groups)
    first = address if p["FIRSTS"] else 0
    return parts + _table(first) + Parts(lut=first + (address if steps > 1 else 0))


def global_sum(unit: Unit) -> Parts:
    p = unit.parameters
    plain = {**p, "GROUPS": p["MAX_GROUPS"]}
    parts = streams.global_sum(replace(unit, module="cs_global_sum", parameters=plain))
    pointer = Parts(ff=bits_of(p["MAX_GROUPS"]))  # a second one, as in a FIFO
    return parts + _memory_for_ring(p["MAX_GROUPS"], p["Y_BITS"]) * p["LANES"] + pointer + _groups(p["MAX_GROUPS"])


def pad(unit: Unit) -> Parts:
    p = unit.parameters
    plain = {**p, "GROUPS": p["MAX_GROUPS"]}
    return (
        streams.pad(replace(unit, module="cs_pad", parameters=plain)) + _groups(p["MAX_GROUPS"]) + Parts(lut=2)
    )  # comes, goes


def requantize_widths(unit: Unit) -> Parts:
    p = unit.parameters
    parts = requantize.requantize(replace(unit, module="cs_requantize", parameters={**p, "GROUPS": p["WORDS"]}))
    address = bits_of(p["WORDS"])
    return parts + _table(2 * address) + Parts(lut=address) + counter(bits_of(p["TURNS"]))


def sliding_window(unit: Unit) -> Parts:
    """Taps are chosen among the places that they have at each width."""
    p = unit.parameters
    plain = {**p, "PIXELS": 1, "GROUPS": p["MAX_GROUPS"], "LAG": p["MAX_LAG"], "FLUSH": 0}
    parts = streams.sliding_window(replace(unit, module="cs_sliding_window", parameters=plain))
    line = p["COLUMNS"] * p["MAX_GROUPS"]
    sizes = bits_of(p["MAX_GROUPS"] + 1) + bits_of(line) + bits_of(p["ROWS"] * line) + bits_of(p["MAX_LAG"] + 1)
    taps = p["KERNEL_ROWS"] * (p["KERNEL_COLUMNS"] - 1) * p["CHANNELS"] * p["X_BITS"]
    return (
        parts
        + _table(sizes)
        + Parts(lut=taps * mux(p["WIDTHS"]) + 2 * bits_of(p["WIDTHS"]), ff=bits_of(p["WIDTHS"]) + 3)
    )


def conditional_buffer(unit: Unit) -> Parts:
    p = unit.parameters
    plain = replace(unit, module="cs_conditional_buffer", parameters={**p, "BEATS": p["MAX_BEATS"]})
    return exits.conditional_buffer(plain) + _table(bits_of(p["MAX_BEATS"] + 1))


def keep(unit: Unit) -> Parts:
    """A memory of a frame, and the choice between it and what comes in."""
    p = unit.parameters
    words = p["PIXELS"] * p["MAX_GROUPS"]
    parts = counter(bits_of(p["PIXELS"]) + bits_of(words) + bits_of(p["MAX_GROUPS"] + 1)) + memory(words, p["X_WIDTH"])
    parts += Parts(lut=p["X_WIDTH"] + bits_of(words), ff=p["X_WIDTH"] + 2)
    return parts + _table(2 * bits_of(p["MAX_GROUPS"] + 1))


def _memory_for_ring(places: int, bits: int) -> Parts:
    """What a memory of sums takes more than the shift register that the plain unit has."""
    ring = shift_chain(places - 1, bits)
    return Parts(lut=lutram(places, bits) - ring.lut, ff=-ring.ff)


def _groups(most: int) -> Parts:
    """The groups of a pixel from a table, whose counter holds their number too."""
    bits = bits_of(most + 1)
    return _table(bits) + Parts(ff=bits - bits_of(most))


def _table(bits: int) -> Parts:
    """A size looked up by the width, and what compares with it."""
    return Parts(lut=2 * bits)
