"""Slimmable networks at random foldings in RTL: golden in any order of widths, and the computed cycles at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from rtl.cores import compile_cores, needs_verilator
from slims import depthwise_heads, flows_of, random_family, random_flows, residual_heads
from strategies import random_codes

from codesign.errors import FoldingError
from codesign.ir import Codes, Graph
from codesign.ops import OPS
from codesign.ops.base import Folding
from codesign.ops.slim import Slim
from codesign.plan.dataflow import Dataflow
from codesign.plan.exact import beat_cycles, for_rtl

FRAMES = 12
# The small networks, and foldings of them; all others are the cheapest, a channel a beat.
SMALL = (
    (residual_heads, {"block2.add": Folding(2, 2)}),
    (depthwise_heads, {"depth1.dot": Folding(9, 1, 3), "depth2.dot": Folding(18, 1, 9)}),
)


Network = tuple[tuple[Graph, ...], tuple[Dataflow, ...]]  # at every width


def networks(first: int) -> Iterator[Network]:
    """Families that hardware can have, with their dataflows at random foldings."""
    for seed in count(first):
        graphs = random_family(seed)
        try:
            flows = random_flows(graphs, np.random.default_rng(seed), for_rtl)
        except FoldingError:
            continue
        if any(isinstance(p.op, Slim) for p in flows[-1].processes):
            yield graphs, flows


def codes_of(graphs: tuple[Graph, ...], widths_N: Codes) -> dict[str, Codes]:
    return {**random_codes(graphs[-1], len(widths_N)), "width": widths_N}


def check(networks: Iterable[Network], folder: Path) -> set[str]:
    """Which ops changed their width."""
    families, flows = zip(*networks, strict=True)
    cores = compile_cores(families, [row[-1] for row in flows], folder)

    for stall, seed in ((0, 1), (64, 2), (200, 3)):
        rng = np.random.default_rng(seed)
        codes = [codes_of(family, rng.integers(0, len(family), FRAMES)) for family in families]
        assert cores.check(codes, stall=stall, seed=seed) == []
    for width in range(max(map(len, families))):
        at = [min(width, len(family) - 1) for family in families]
        codes = [codes_of(family, np.full(FRAMES, n)) for family, n in zip(families, at, strict=True)]
        for family, row, n, counted in zip(families, flows, at, cores.cycles(codes), strict=True):
            assert np.array_equal(counted[0], beat_cycles(row[n], FRAMES)), (family[n].name, n)
    return {p.op.name for row in flows for p in row[-1].processes if isinstance(p.op, Slim)}


@needs_verilator
def test_residual_and_separable_networks(tmp_path: Path) -> None:
    made = [(heads(2, 4), foldings) for heads, foldings in SMALL]
    families = [(net.graphs(logits), foldings) for (net, _, logits), foldings in made]

    changed = check([(row, flows_of(row, foldings, size=for_rtl)) for row, foldings in families], tmp_path)

    assert {"add", "channel_dot", "global_sum", "pad"} <= changed


@pytest.mark.slow
@needs_verilator
def test_random_networks(tmp_path: Path) -> None:
    changed = check(islice(networks(1000), 8), tmp_path)

    # Converters and forks are the planner's, and move whatever beats there are; the rest needs a design with ports.
    assert set(OPS) - changed == {"fork", "width_converter", "flatten", "exit_decision", "conditional_buffer"}
