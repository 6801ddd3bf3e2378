"""Contract: golden == C simulation for every example of every op, at every legal folding, in every type system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench import Case, codes_of, run_cases

from codesign.ir import Graph, GraphInput, Node
from codesign.ops import OPS, Example, Op
from codesign.ops.fork import Fork
from codesign.plan.build import build

FRAMES = 3
PROCESSES = sorted(name for name, op in OPS.items() if not op.port and not op.view)


def cases_of(op: type[Op]) -> list[Case]:
    rng = np.random.default_rng(7)
    return [
        case for number, example in enumerate(op.examples()) for case in _foldings(f"{op.name}[{number}]", example, rng)
    ]


def _foldings(name: str, example: Example, rng: np.random.Generator) -> list[Case]:
    op, streams = example.op, len(example.inputs) - example.op.registers
    kinds = ["stream"] * streams + ["register"] * op.registers
    inputs = tuple(GraphInput(f"x{i}", t, k) for i, (t, k) in enumerate(zip(example.inputs, kinds, strict=True)))
    names = tuple(i.name for i in inputs)
    graph = Graph("contract", inputs, (Node("y", op, names),), ("y",))
    if isinstance(op, Fork):  # the planner lays forks itself, where a value has several readers
        graph = Graph("contract", inputs, (), names * op.ways)
    codes = codes_of(rng, FRAMES, graph)
    registers = [np.full((1, 1, 1, 1), codes[i.name].reshape(-1)[0]) for i in inputs if i.kind == "register"]
    wants = op.golden(*(codes[n] for n in names[:streams]), *registers)
    cases = []
    for folding in op.foldings(*example.inputs):
        own = {"y": folding} if graph.nodes else {}
        flow = build(graph, {**own, **({"x0": folding} if streams == 1 else {})})
        values = tuple(int(r.item()) for r in registers)
        cases.append(
            Case(
                f"{name} {folding}",
                flow,
                tuple(codes[n] for n in names[:streams]),
                values,
                (wants,) * len(graph.outputs),
            )
        )
    return cases


@pytest.mark.parametrize("name", PROCESSES)
def test_c_simulation_equals_golden_at_every_folding(name: str, tmp_path: Path) -> None:
    assert run_cases(cases_of(OPS[name]), tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("types", ["vendor", "packed"])
@pytest.mark.parametrize("name", PROCESSES)
def test_vendor_types_equal_golden_at_every_folding(name: str, types: str, tmp_path: Path) -> None:
    assert run_cases(cases_of(OPS[name]), tmp_path, types=types, standard="c++11") == []
