"""What every unit of fpga/rtl is made of, counted from its parameters and its ROMs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codesign.cost import constants, exits, products, slim, streams
from codesign.cost.fabric import Parts, rom
from codesign.cost.requantize import requantize
from codesign.ops.base import Unit

FORMULAS: Mapping[str, Callable[[Unit], Parts]] = {
    "cs_add": streams.add,
    "cs_channel_dot": products.channel_dot,
    "cs_conditional_buffer": exits.conditional_buffer,
    "cs_constant_matrix": constants.constant_matrix,
    "cs_exit_entropy": exits.exit_entropy,
    "cs_exit_margin": exits.exit_margin,
    "cs_exit_max_probability": exits.exit_max_probability,
    "cs_fork": streams.fork,
    "cs_global_sum": streams.global_sum,
    "cs_join_beats": streams.join_beats,
    "cs_matrix_vector": products.matrix_vector,
    "cs_max_pool": streams.max_pool,
    "cs_pad": streams.pad,
    "cs_requantize": requantize,
    "cs_sliding_window": streams.sliding_window,
    "cs_slim_channel_dot": slim.channel_dot,
    "cs_slim_conditional_buffer": slim.conditional_buffer,
    "cs_slim_global_sum": slim.global_sum,
    "cs_slim_keep": slim.keep,
    "cs_slim_matrix_vector": slim.matrix_vector,
    "cs_slim_pad": slim.pad,
    "cs_slim_requantize": slim.requantize_widths,
    "cs_slim_sliding_window": slim.sliding_window,
    "cs_split_beats": streams.split_beats,
    "cs_sum_pool": streams.sum_pool,
}


def unit_parts(unit: Unit) -> Parts:
    """The parts of a unit and of its ROMs."""
    return sum((rom(table) for table in unit.roms), FORMULAS[unit.module](unit))
