"""Law: golden == C simulation in any order of widths, for random slimmable networks at random foldings."""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from bench import Case, run_cases
from slims import Family, flows_of, random_family, random_flows

from codesign.emit.hls import emit_core
from codesign.emit.widths import changes, rows_of
from codesign.errors import FoldingError
from codesign.ir import Codes, Graph, IntType, TensorType
from codesign.ops import OPS
from codesign.ops.base import Folding
from codesign.ops.pad import Pad
from codesign.plan.dataflow import Dataflow
from codesign.verify import golden

FRAMES = 9
NETWORKS = 20  # in one program
IMAGE = TensorType((6, 6, 2), IntType(8, signed=False), 2.0**-8)


def case_of(name: str, graphs: tuple[Graph, ...], flows: tuple[Dataflow, ...], widths_N: list[int]) -> Case:
    """Random frames of these widths, and what the graph of its width says of each."""
    image = np.random.default_rng(1).integers(0, 256, (len(widths_N), *graphs[-1].inputs[0].type.shape))
    (value,) = graphs[-1].outputs
    wants: list[Codes] = []
    for frame, width in zip(image, widths_N, strict=True):
        wants.append(golden.run(graphs[width], {"image": frame[None]}, keep=(value,))[value].reshape(-1))
    return Case(f"{name} {widths_N}", flows[-1], (image,), (), (np.concatenate(wants),), flows[:-1], tuple(widths_N))


def random_case(seed: int) -> Case:
    """One network at one folding; raises FoldingError where hardware cannot have its widths."""
    rng = np.random.default_rng(seed)
    graphs = random_family(seed)
    flows = random_flows(graphs, rng)
    case = case_of(f"network {seed}", graphs, flows, rng.integers(0, len(graphs), FRAMES).tolist())
    emit_core(case.dataflow, namespace="any", narrow=case.narrow)
    return case


def random_cases(first: int) -> list[Case]:
    def possible(seed: int) -> list[Case]:
        try:
            return [random_case(seed)]
        except FoldingError:
            return []

    return list(islice((case for seed in count(first) for case in possible(seed)), NETWORKS))


def test_every_frame_has_its_width(tmp_path: Path) -> None:
    cases = random_cases(0)
    changing = {row.widest.op.name for c in cases for row in rows_of(c.dataflow, c.narrow, ()).values() if changes(row)}

    assert set(OPS) - changing == {"flatten", "exit_decision", "conditional_buffer"}
    assert run_cases(cases, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("types", ["native", "vendor", "packed"])
def test_more_networks_in_every_type_system(types: str, tmp_path: Path) -> None:
    standard = "gnu++98" if types == "native" else "c++11"

    assert run_cases(random_cases(1000), tmp_path, types=types, standard=standard) == []


def windows(size: int, stride: int, pad: int) -> tuple[Graph, ...]:
    """A window behind a map of 2, 4, 4 and 6 channels: the second and the third width follow each other without a pause."""
    net = Family(IMAGE, 4, seed=size)
    x = net.conv("conv", "image", (2, 4, 4, 6), 1, 1, 0)
    return net.graphs(net.window("window", x, size, stride, pad))


@pytest.mark.parametrize(("size", "stride", "pad"), [(3, 1, 1), (2, 2, 0), (3, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_a_window_begins_anew_where_groups_change(size: int, stride: int, pad: int, tmp_path: Path) -> None:
    graphs = windows(size, stride, pad)
    orders = [[0, 0, 3, 3, 0, 3, 1, 2, 1, 2, 3, 2, 1, 0, 1, 2, 2, 3], [2]]
    cases = [
        case_of(f"{lanes} lanes", graphs, flows_of(graphs, {"window": Folding(lanes, lanes)}, drains=drains), order)
        for lanes in (1, 2)
        for drains in (False, True)
        for order in orders
    ]

    assert run_cases(cases, tmp_path) == []


def test_what_cannot_change_its_width_is_named() -> None:
    net = Family(IMAGE, 2)
    graphs = net.graphs(net.add("pad", [Pad((1, 1, 1, 1)), Pad((1, 2, 0, 1))], net.conv("conv", "image", (8, 16))))
    *narrow, widest = flows_of(graphs, {})

    with pytest.raises(FoldingError, match=r"pad: pad cannot change its width yet\n  hint: leave \[slim\] out"):
        emit_core(widest, namespace="any", narrow=narrow)


def test_a_beat_of_other_pixels_is_refused() -> None:
    """Eight lanes are two pixels of the narrow map and one of the wide."""
    net = Family(IMAGE, 2)
    graphs = net.graphs(net.window("window", net.conv("conv", "image", (4, 8)), 3, 1, 1))

    with pytest.raises(FoldingError, match="use lanes in"):
        flows_of(graphs, {"window": Folding(8, 8)})
