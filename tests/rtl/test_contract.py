"""Contract: golden == RTL for every example of every op at every legal folding, beat for beat and cycle for cycle.

Each unit runs alone, starved, blocked, free and stalled at random. Free, step s of the schedule happens in cycle s.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rtl_bench import Case, cases_of, needs_iverilog, run_cases

from codesign.emit.rtl import library_folder
from codesign.ops import OPS

PROCESSES = sorted(name for name, op in OPS.items() if not op.port and not op.view)

# What a bench must not let pass: (op, unit, what stands there, what the mutant has instead).
MUTANTS = {
    "offset dropped": ("requantize", "cs_requantize_lanes", "WIDE_BITS'(x) + WIDE_BITS'(offset)", "WIDE_BITS'(x)"),
    "one off a product": ("requantize", "cs_requantize_lanes", "held    <= offset", "held    <= offset + 1'b1"),
    "shift without sign": ("requantize", "cs_requantize_lanes", "sum >>> SHIFT", "sum >> SHIFT"),
    "clamp one too low": ("requantize", "cs_requantize_lanes", "<= Y_BITS'(MOST)", "<= Y_BITS'(MOST - 1)"),
    "constants run ahead": ("requantize", "cs_requantize", "if (start) group", "if (x_valid) group"),
    "room not asked for": ("fork", "cs_fork", "x_valid && y_room", "x_valid"),
    "codes compared unsigned": ("max_pool", "cs_max_tree", "$signed(b) > $signed(a)", "b > a"),
    "a beat leaves early": ("width_converter", "cs_split_beats", "start && ends", "start"),
    "room asked for needlessly": ("width_converter", "cs_join_beats", "(!ends || y_room)", "y_room"),
    "frames mix": ("global_sum", "cs_global_sum", "first ? '0 : ", ""),
    "border ahead of the frame": ("pad", "cs_pad_border", "(first || shown)", "shown"),
    "one stream not waited for": ("add", "cs_add", "a_valid && b_valid", "a_valid"),
    "sums move in a stall": ("channel_dot", "cs_channel_dot", "if (moves) ", ""),
    "weights of one channel": ("channel_dot", "cs_channel_dot", "o%PE", "0"),
    "constants without room": ("matrix_vector", "cs_constant_matrix", "x_valid && y_room", "x_valid"),
    "a cycle too deep": ("sum_pool", "cs_sum_pool", ".D($clog2(POSITIONS))", ".D($clog2(POSITIONS) + 1)"),
}


@needs_iverilog
@pytest.mark.parametrize("name", PROCESSES)
def test_rtl_equals_golden_at_every_folding(name: str, tmp_path: Path) -> None:
    assert run_cases(_cases(name), tmp_path) == []


@needs_iverilog
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_bench_sees(mutant: str, tmp_path: Path) -> None:
    name, unit, right, wrong = MUTANTS[mutant]
    library = tmp_path / "rtl"
    library.mkdir()
    for path in library_folder().glob("*.sv"):
        text = path.read_text()
        assert path.stem != unit or text.count(right) == 1
        (library / path.name).write_text(text.replace(right, wrong) if path.stem == unit else text)
    cases = _cases(name)

    bad = run_cases(cases[:: 1 + len(cases) // 12], tmp_path / "bench", library)

    assert any("FAIL" in line for line in bad)


@needs_iverilog
@pytest.mark.parametrize("wrong", ["sign", "shift"])
def test_the_bench_sees_a_constant_that_is_wrong(wrong: str, tmp_path: Path) -> None:
    """One adder of a whole graph subtracts, or shifts a bit too far."""
    case = next(case for case in _cases("matrix_vector") if case.unit.sums)
    sums = case.unit.sums
    assert sums is not None
    nodes = list(sums.graph.nodes)
    number = max(n for n, node in enumerate(nodes) if node.input < 0)
    (a, b), minus = nodes[number].terms, nodes[number].minus
    if wrong == "sign":
        nodes[number] = nodes[number]._replace(minus=not minus)
    else:
        nodes[number] = nodes[number]._replace(terms=(a, b._replace(shift=b.shift + 1)))
    mutant = replace(sums, graph=replace(sums.graph, nodes=tuple(nodes)))

    bad = run_cases([replace(case, unit=replace(case.unit, sums=mutant))], tmp_path)

    assert any("FAIL" in line for line in bad)


def _cases(name: str) -> list[Case]:
    return [case for n, example in enumerate(OPS[name].examples()) for case in cases_of(f"{name}[{n}]", example)]
