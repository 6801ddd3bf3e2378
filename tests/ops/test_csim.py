"""Contract: golden == C simulation for every example of every op, at every legal folding, in every type system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench import Case, codes_of, run_cases
from graphs import depthwise_branch, lenet_branch

from codesign.devices import load_device
from codesign.emit.hls import emit_core, emit_hls
from codesign.files import write_tree
from codesign.ir import Graph, GraphInput, Node
from codesign.ops import OPS, Example, Op
from codesign.ops.fork import Fork
from codesign.ops.matrix_vector import MatrixVector
from codesign.plan.balance import balance
from codesign.plan.build import build
from codesign.plan.plan import realize
from codesign.verify import golden
from codesign.verify.builds import compile_csim
from codesign.verify.csim import check

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


def in_fabric(case: Case) -> Case:
    return replace(case, dataflow=case.dataflow.in_fabric(("y",)))


@pytest.mark.parametrize("name", [name for name in PROCESSES if OPS[name].fabric])
@pytest.mark.parametrize(
    "types", ["native", *(pytest.param(types, marks=pytest.mark.slow) for types in ("vendor", "packed"))]
)
def test_multipliers_in_luts_give_the_same_codes(name: str, types: str, tmp_path: Path) -> None:
    cases = [in_fabric(case) for case in cases_of(OPS[name])[::5]]
    source = "".join(emit_core(case.dataflow, namespace="any") for case in cases)

    assert source.count("typedef cs::lut_multiplier multiplier;") == len(cases)
    assert run_cases(cases, tmp_path, types=types, standard="gnu++98" if types == "native" else "c++11") == []


@pytest.mark.parametrize(
    "types", ["native", *(pytest.param(types, marks=pytest.mark.slow) for types in ("vendor", "packed"))]
)
def test_constant_products_in_dsps_give_the_same_codes(types: str, tmp_path: Path) -> None:
    cases: list[Case] = []
    for case in cases_of(MatrixVector):
        (process,) = (p for p in case.dataflow.processes if p.node)
        outputs = process.op.movable(process.folding, *process.types)
        cases += [
            replace(case, dataflow=case.dataflow.folded({"y": replace(process.folding, dsp_pe=count)}))
            for count in {1, outputs}
            if outputs
        ]
    source = "".join(emit_core(case.dataflow, namespace="any") for case in cases)

    assert len(cases) >= 8
    assert "DSP_PE = 1," in source and "DSP_PE = 4," in source
    assert run_cases(cases, tmp_path, types=types, standard="gnu++98" if types == "native" else "c++11") == []


@pytest.mark.parametrize("make", [lenet_branch, depthwise_branch])
@pytest.mark.parametrize("pixels", [2, 4])
def test_a_whole_design_takes_several_pixels_a_cycle(make: Callable[..., Graph], pixels: int, tmp_path: Path) -> None:
    graph = make(16)
    flow = realize(graph, balance(graph, load_device("xc7vx690t"), pixels_per_cycle=pixels, drains=True))
    write_tree(emit_hls(flow, top="net", exit_name="exit1", device="any", clock_mhz=100), tmp_path)
    image = np.random.default_rng(3).integers(0, 256, (7, *graph.inputs[0].type.shape))
    words = golden.run(graph, {"image": image, "threshold": np.zeros((1, 1, 1, 1), np.int64)})["decision"]
    threshold = int((words & 0xFFFFFFFF).max())  # the least sure frame goes on at least

    report = check(graph, flow, compile_csim(tmp_path, "net", optimize="-O1"), image, threshold)

    assert flow.bound < image[0, ..., 0].size
    assert flow.channel("image_in").lanes > image.shape[-1]
    assert (report.frames, report.mismatched_codes) == (7, 0)


@pytest.mark.slow
@pytest.mark.parametrize("types", ["vendor", "packed"])
@pytest.mark.parametrize("name", PROCESSES)
def test_vendor_types_equal_golden_at_every_folding(name: str, types: str, tmp_path: Path) -> None:
    assert run_cases(cases_of(OPS[name]), tmp_path, types=types, standard="c++11") == []
