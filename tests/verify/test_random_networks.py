"""Law: golden == C simulation for any small network, at any folding the planner can build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import Case, codes_of, run_cases
from codesign.ir import Graph
from codesign.ops import Folding
from codesign.ops.base import Op
from codesign.plan.dataflow import build
from codesign.verify import golden
from strategies import random_graph

FRAMES = 2
PER_PROGRAM = 20


def case(seed: int) -> Case:
    """One random network at one random legal folding of every node that has a choice."""
    rng = np.random.default_rng(seed)
    graph = random_graph(seed)
    codes = codes_of(rng, FRAMES, graph)
    wants = golden.run(graph, codes, keep=graph.outputs)
    flow = build(graph, random_foldings(graph, rng))
    return Case(f"network {seed}", flow, tuple(codes[i.name] for i in graph.inputs), (), tuple(wants[o] for o in graph.outputs))


def random_foldings(graph: Graph, rng: np.random.Generator) -> dict[str, Folding]:
    foldings = {}
    for node in graph.nodes:
        op = node.op
        assert isinstance(op, Op)
        if not op.view and rng.random() < 0.8:
            legal = op.foldings(*(graph.types[source] for source in node.inputs))
            foldings[node.name] = legal[rng.integers(len(legal))]
    return foldings


@pytest.mark.parametrize("program", range(3))
def test_random_networks_are_bit_exact(program: int, tmp_path: Path) -> None:
    cases = [case(program * PER_PROGRAM + i) for i in range(PER_PROGRAM)]
    assert run_cases(cases, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("program", range(3, 11))
def test_many_random_networks_are_bit_exact(program: int, tmp_path: Path) -> None:
    cases = [case(program * PER_PROGRAM + i) for i in range(PER_PROGRAM)]
    assert run_cases(cases, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("types", ["vendor", "packed"])
def test_random_networks_are_bit_exact_with_vendor_types(types: str, tmp_path: Path) -> None:
    assert run_cases([case(seed) for seed in range(8)], tmp_path, types=types, standard="c++11") == []
