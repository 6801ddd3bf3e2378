"""Law: golden == C simulation for any small network, at any folding the planner can build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench import Case, codes_of, run_cases
from graphs import S16, Sketch
from strategies import random_graph

from codesign.emit.hls import emit_hls
from codesign.errors import FoldingError
from codesign.files import write_tree
from codesign.ir import Graph
from codesign.ops import Folding
from codesign.ops.base import Op
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.plan.fifos import size_fifos
from codesign.verify import golden
from codesign.verify.builds import compile_csim
from codesign.verify.csim import check

FRAMES = 2
DESIGN_FRAMES = 12
PER_PROGRAM = 20


def case(seed: int) -> Case:
    """One random network at one random legal folding of every node that has a choice."""
    rng = np.random.default_rng(seed)
    graph = random_graph(seed)
    codes = codes_of(rng, FRAMES, graph)
    wants = golden.run(graph, codes, keep=graph.outputs)
    flow = random_flow(graph, rng)
    return Case(
        f"network {seed}", flow, tuple(codes[i.name] for i in graph.inputs), (), tuple(wants[o] for o in graph.outputs)
    )


def random_flow(graph: Graph, rng: np.random.Generator) -> Dataflow:
    """The dataflow at random foldings, drawn again while a beat would be wider than any tool takes."""
    while True:
        try:
            return build(graph, random_foldings(graph, rng))
        except FoldingError as error:
            if "wider than" not in error.what:
                raise


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


def head_of(seed: int) -> Graph:
    """A random network with an exit on its last value, the way `split` builds the hardware's graph."""
    base = random_graph(seed)
    logits = Sketch(f"head_{seed}", base.inputs[0].type, seed)
    logits.nodes, logits.types = list(base.nodes), dict(logits.types) | dict(base.types)
    value = base.outputs[0]
    if base.types[value].pixels > 1:
        value = logits.flatten("last_flat", value)
    value = logits.dense("last", value, 4, S16)
    feature = next((n.name for n in base.nodes if n.name.startswith("requantize")), "image")
    return logits.branch(feature, value)


@pytest.mark.parametrize("seed", [3, 22, *(pytest.param(s, marks=pytest.mark.slow) for s in (5, 20, 21, 23, 24, 25))])
def test_whole_designs_of_random_networks_are_bit_exact(seed: int, tmp_path: Path) -> None:
    head = head_of(seed)
    rng = np.random.default_rng(seed)
    flow = size_fifos(random_flow(head, rng))
    write_tree(emit_hls(flow, top="net_exit", exit_name="exit1", device="any", clock_mhz=100), tmp_path)
    image = codes_of(rng, DESIGN_FRAMES, head)["image"]
    never = golden.run(head, {"image": image, "threshold": np.zeros((1, 1, 1, 1), np.int64)})
    codes = np.sort(never["decision"].reshape(-1) & 0xFFFFFFFF)
    threshold = int(codes[len(codes) // 2])  # about half of the frames go on

    report = check(head, flow, compile_csim(tmp_path, "net_exit", optimize="-O1"), image, threshold, batch=5)
    assert (report.frames, report.mismatched_codes) == (DESIGN_FRAMES, 0)
