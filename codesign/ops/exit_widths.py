"""Widths inside the exit unit: the exact type of every value from its largest possible one, and the work these make."""

from __future__ import annotations

from collections.abc import Mapping

from codesign.ir.types import IntType, TensorType
from codesign.ops.base import Work
from codesign.ops.exit_tables import LOG_GUARD_BITS, EntropyTables


def comparison_types(classes: int, logits: TensorType) -> dict[str, IntType]:
    """What every criterion has: the class of the largest logit, and a distance to it."""
    return {"best_type": _below(classes), "distance_type": IntType(logits.dtype.bits + 1)}


def sum_types(classes: int, fraction_bits: int, entries: int, largest_word: int) -> dict[str, IntType]:
    """What a criterion with an exponential table has: address, word, sum, and a part that only the entropy needs."""
    return {
        "address_type": _below(entries),
        "word_type": _below(largest_word + 1),
        "sum_type": _below(_sum_limit(classes, fraction_bits)),
        "part_type": IntType(1, signed=False),
    }


def entropy_types(classes: int, fraction_bits: int, tables: EntropyTables) -> dict[str, IntType]:
    """What the logarithm and the quotient have, over `sum_types`."""
    sum_limit = _sum_limit(classes, fraction_bits)
    ln_limit = int(tables.ln_power_P[-1] + tables.ln_step_K.sum()) + 1
    return {
        "part_type": _below(sum_limit << (tables.steps - fraction_bits + 1)),
        "grown_type": _below(sum_limit << LOG_GUARD_BITS),
        "ln_type": _below(ln_limit),
        "code_type": _below((1 << tables.steps) + 1 + (ln_limit >> LOG_GUARD_BITS)),
    }


def unit_work(classes: int, entries: int, steps: int, logits: TensorType, types: Mapping[str, IntType]) -> Work:
    """The work of a unit with these types; `steps` of refinement, 0 without an entropy."""
    bits = {name.removesuffix("_type"): kind.bits for name, kind in types.items()}
    registers = logits.dtype.bits + bits["best"]
    if "sum" not in bits:
        return Work(adds=((2, bits["distance"]),), register_bits=registers + logits.dtype.bits)
    adds = ((2, bits["distance"]), (1, bits["sum"]))
    roms = ((entries, bits["word"]),)
    if steps:
        adds += ((2, bits["grown"]), (1, bits["ln"]), (2, bits["part"]), (1, bits["code"]))
        roms += ((steps, bits["ln"]),)
        registers += 2 * bits["grown"] + bits["ln"] + bits["part"] + bits["code"]
    rams = ((classes, logits.dtype.bits),)
    return Work(adds=adds, roms=roms, rams=rams, register_bits=registers + bits["sum"])


def _sum_limit(classes: int, fraction_bits: int) -> int:
    return (classes << fraction_bits) + 1


def _below(limit: int) -> IntType:
    """The type of 0 .. limit - 1."""
    return IntType.holding(0, limit - 1)
