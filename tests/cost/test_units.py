"""The record of synthesized units against what is counted today: a formula that is changed must still fit it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.cost.coefficients import coefficients
from codesign.cost.constants import constant_matrix
from codesign.cost.fabric import constant_multipliers, distinct_bits, lutram, multipliers, mux, rom, shift_chain
from codesign.cost.slim import PLAIN
from codesign.cost.trees import adder_tree
from codesign.cost.units import FORMULAS
from codesign.ir import Constant, IntType, TensorType
from codesign.ops.base import Folding, Rom
from codesign.ops.matrix_vector import MatrixVector

RECORD = Path(__file__).parents[2] / "benchmarks" / "rtl_units.jsonl"
ROWS = [json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()]


def test_every_module_has_coefficients_and_recorded_runs() -> None:
    used = {*FORMULAS, "cs_fifo", "cs_image_port", "cs_result_port", "cs_control"} - set(PLAIN)

    assert set(PLAIN.values()) <= used
    assert used <= set(coefficients())
    counted = {name: sum(row["module"] == name for row in ROWS) for name in used}
    assert {name: coefficients()[name].units for name in used} == counted


@pytest.mark.parametrize(("kind", "share"), [("ff", 0.9), ("dsp", 0.99), ("bram18", 0.99)])
def test_what_is_counted_is_nearly_always_exact(kind: str, share: float) -> None:
    exact = [row["counted"][kind] == row["synthesized"][kind] for row in ROWS if row["module"] != "cs_constant_matrix"]

    assert sum(exact) >= share * len(exact)


def test_constant_matrices_are_counted_nearly() -> None:
    """All DSPs; LUTs and FFs within 7 %, the smallest apart."""
    for row in (row for row in ROWS if row["module"] == "cs_constant_matrix"):
        counted, found = row["counted"], row["synthesized"]
        assert counted["dsp"] == found["dsp"]
        assert abs(counted["lut"] - found["lut"]) <= max(3, 0.07 * found["lut"]), row["name"]
        assert abs(counted["ff"] - found["ff"]) <= 0.07 * found["ff"], row["name"]


def test_coefficients_bring_the_luts_near() -> None:
    def off(row: dict[str, dict[str, float]]) -> float:
        c = coefficients()[str(row["module"])]
        priced = row["counted"]["lut"] + c.per_bit * row["counted"]["control"] + c.fixed
        return abs(priced - row["synthesized"]["lut"])

    errors = np.array([off(row) for row in ROWS])
    total = sum(row["synthesized"]["lut"] for row in ROWS)

    assert np.median(errors) <= 3
    assert errors.sum() <= 0.1 * total


@pytest.mark.parametrize(
    ("bits", "want"),
    [((8, 8, 16), 1), ((4, 4, 8), 0), ((1, 20, 21), 0), ((25, 18, 43), 1), ((26, 16, 42), 2), ((20, 20, 40), 2)],
)
def test_dsps_of_a_product(bits: tuple[int, int, int], want: int) -> None:
    """As Yosys maps them: docs/estimates.md."""
    assert multipliers(*bits) == want


def test_a_constant_that_is_a_power_of_two_takes_no_dsp() -> None:
    assert [constant_multipliers(16, value, 24) for value in (0, 1, 64, -2, 3, -5)] == [0, 0, 0, 0, 1, 1]


def test_a_table_counts_bits_that_differ() -> None:
    """Bit 0 and bit 1 are equal, bit 2 is constant, bit 3 differs from them."""
    table = Rom("t", np.array([[0b0100], [0b0111], [0b1100]]), 4)

    assert distinct_bits(table) == 2
    assert rom(table).ff == 2 + 2  # and the address


def test_an_adder_tree_registers_every_level() -> None:
    """Four terms of 8 bits: two sums of 9 bits and one of 10. An odd fifth goes on through two registers, then is added."""
    four, five = adder_tree(4, 8, 20, False, 0), adder_tree(5, 8, 20, False, 0)

    assert (four.lut, four.ff) == (8 + 8 + 9, 9 + 9 + 10)
    assert (five.lut, five.ff) == (four.lut + 10, four.ff + 8 + 8 + 11)


def test_an_adder_takes_a_lut_for_every_two_bits_that_meet() -> None:
    """Of 8 bits x and y: 3 x + y, 5 x - y and x - 8 y, behind them all registers."""
    weights, x = Constant.of([[3, 1], [5, -1], [1, -8]], IntType(5)), TensorType((1, 1, 2), IntType(8, signed=False))
    parts = constant_matrix(MatrixVector(weights).rtl(Folding(2, 3, 2), x))

    # 3 x, 5 x and three sums. A difference turns its lowest bit over, and the upper bits of one term that are above the other.
    assert parts.lut == 7 + 6 + 8 + (8 + 1 + 3) + (5 + 1 + 3)
    # x and y twice, of the multiples what is not a bit of x, the sums, and three valid bits.
    assert parts.ff == 2 * (8 + 8) + (10 - 1) + (11 - 2) + (10 + 12 + 12) + 3


def test_memories_and_chains() -> None:
    assert (lutram(32, 6), lutram(64, 3), lutram(1, 8)) == (4, 4, 0)
    assert (shift_chain(2, 8).ff, shift_chain(3, 8).ff, shift_chain(3, 8).lut) == (16, 0, 8)
    assert mux(1) == 0 and mux(4) == 1 and mux(40) == 20
