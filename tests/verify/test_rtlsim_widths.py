"""RTL with several widths: every frame at its own, exact cycles of each, and steps up that cost their difference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rtl.cores import needs_verilator
from slims import branches, depthwise_heads, residual_heads
from verify.test_rtlsim import images

from codesign.devices import load_device
from codesign.emit.rtl import RtlDesign, emit_rtl
from codesign.errors import FoldingError, VerificationError
from codesign.ir import Codes
from codesign.ir.graph import Graph
from codesign.passes.slim import SlimGraphs, slim
from codesign.plan.balance import balance
from codesign.plan.exact import for_rtl, rtl_timing
from codesign.plan.widths import SlimFlows, first_sent, realize_widths
from codesign.verify import golden
from codesign.verify.rtlsim import Stalls, check_rtl_widths, compile_design, interval_of
from codesign.verify.verilated import Simulation
from codesign.verify.widths import Kind

DEVICE = load_device("xc7z020")
STALLS = (Stalls(), Stalls(128, 128, 128, 3), Stalls(0, 230, 0, 4), Stalls(0, 0, 230, 5))
MUTANTS = {
    "a token that stays": ("cs_slim_requantize", "start && frame_ends", "1'b0"),
    "skips of another width": ("cs_slim_matrix_vector", "PIXEL_SKIPS[32*width_data+:32]", "PIXEL_SKIPS[0+:32]"),
    "constants of another width": ("cs_slim_requantize", "BASES[32*width_data+:32]", "BASES[0+:32]"),
    "maps as long as the widest's": ("cs_slim_conditional_buffer", "BEATS[32*width_data+:32]", "MAX_BEATS"),
    "windows across a change": ("cs_slim_sliding_window", "GROUPS[32*width_data+:32]) == groups", "groups) == groups"),
    "sums forgotten": ("cs_slim_matrix_vector", "first && !keeps}", "first}"),
    "first tile forgotten": ("cs_slim_matrix_vector", "first_tile + tile", "(first_tile & '0) + tile"),
    "what is kept comes in too": ("cs_slim_keep", "x_ready = start && !old", "x_ready = start && x_valid"),
    "the register at any time": ("cs_slim_image_port", "width_valid = moves && heads", "width_valid = moves"),
}
SEPARABLE_MUTANTS = {
    "groups of another width": ("cs_slim_pad", "GROUPS[32*width_data+:32]", "GROUPS[0+:32]"),
    "a border's token that leaves early": ("cs_slim_pad", "y_claim && frame_ends", "y_claim && pixel_ends"),
    "sums of other places": ("cs_slim_sums", "old = memory[place]", "old = memory[0]"),
    "a token that leaves early": ("cs_slim_global_sum", "width_ready = y_claim && pixel_ends", "width_ready = y_claim"),
    "weights of the first group": ("cs_slim_channel_dot", "+ base +", "+"),
    "weights of old channels": ("cs_slim_channel_dot", "FIRSTS[32*width_data+:32]", "FIRSTS[0+:32]"),
}
EVERY_MUTANT = {name: (row, "plain") for name, row in MUTANTS.items()}
EVERY_MUTANT |= {name: (row, "separable") for name, row in SEPARABLE_MUTANTS.items()}
# The kinds of networks, and intervals that fold them differently.
INTERVALS = [
    ("plain", 192),
    ("plain", 600),
    ("residual", 600),
    ("residual", 2000),
    ("separable", 600),
    ("separable", 2000),
]


def networks(kind: str = "plain", *, causal: bool = False) -> tuple[Graph, ...]:
    """Heads whose decisions show every logit's last bit: the confidence is the lead of the largest."""
    if kind == "plain":
        return branches(causal=causal, criterion="margin")
    if kind == "equal":  # of two widths the maps at the branch point have as many channels
        return branches(causal=causal, criterion="margin", stem=(2, 2, 4))
    net, feature, logits = (residual_heads if kind == "residual" else depthwise_heads)(causal=causal)
    return net.branch(feature, logits, "margin")


def middle(heads: tuple[Graph, ...], image_NHWC: Codes) -> int:
    """A threshold at which frames exit and frames go on."""
    inputs = {"image": image_NHWC, "threshold": np.zeros((1, 1, 1, 1), np.int64)}
    words = [golden.run(head, inputs, keep=("decision",))["decision"] for head in heads]
    return int(np.median(np.concatenate(words) & 0xFFFFFFFF))


def designed(heads: tuple[Graph, ...], interval: int, *, step_up: bool = False) -> tuple[SlimGraphs, SlimFlows]:
    graphs = slim(heads, step_up=step_up)
    plan = balance(graphs.widest, DEVICE, interval_cycles=interval)
    return graphs, realize_widths(graphs, plan).sized(for_rtl)


def kinds_of(heads: tuple[Graph, ...], *, step_up: bool = False) -> list[Kind]:
    """What frames can be: widths, and behind them steps up, which send the channels that are new."""
    kinds = [Kind(head) for head in heads]
    if step_up:
        channels = [head.types[head.node("features").inputs[0]].channels for head in heads]
        kinds += [Kind(head, first_sent(*pair)) for head, pair in zip(heads[1:], pairwise(channels), strict=True)]
    return kinds


@contextmanager
def simulated(flows: SlimFlows, folder: Path, edit: tuple[str, str, str] | None = None) -> Iterator[Simulation]:
    design = emit_rtl(flows.widest, top="dut", exit_name="exit1")
    if edit:
        unit, right, wrong = edit
        text = design.files[f"{unit}.sv"]
        assert text.count(right) == 1
        design = RtlDesign(design.top, {**design.files, f"{unit}.sv": text.replace(right, wrong)})
    with Simulation(compile_design(design, flows.widest, folder)) as simulation:
        yield simulation


def steps_up(widths: int, frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames that begin at any width and step up now and then: (the image of each, its kind)."""
    rng, rows = np.random.default_rng(seed), list[tuple[int, int]]()
    for image in range(frames):
        width = int(rng.integers(0, widths))
        rows.append((image, width))
        while width < widths - 1 and rng.random() < 0.6:
            rows.append((image, widths + width))
            width += 1
    return tuple(np.array(column) for column in zip(*rows, strict=True))


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "interval"), INTERVALS)
def test_every_width_is_right_and_takes_the_computed_cycles(kind: str, interval: int, tmp_path: Path) -> None:
    heads = networks(kind)
    _, flows = designed(heads, interval)
    image_NHWC, rng = images(heads[-1], 60), np.random.default_rng(1)
    threshold = middle(heads, image_NHWC)

    with simulated(flows, tmp_path) as simulation:
        for width, flow in enumerate(flows.widths):
            kinds_N = np.full(20, width)
            batch, found = check_rtl_widths(
                kinds_of(heads), flows.widest, simulation, image_NHWC[:20], kinds_N, threshold
            )
            assert found == (0, 0, None)
            assert interval_of(batch.cycles_N) == rtl_timing(flow, 8).bound == flow.bound
            assert int(batch.cycles_N[0]) == rtl_timing(flow, 8).latency_cycles
        for stalls in STALLS:
            kinds_N = rng.integers(0, len(heads), 60)
            _, found = check_rtl_widths(
                kinds_of(heads), flows.widest, simulation, image_NHWC, kinds_N, threshold, stalls
            )
            assert found == (0, 0, None)
    assert flows.widths[0].bound < flows.widths[-1].bound


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "interval"), [("plain", 300), ("equal", 300), ("residual", 600), ("separable", 600)])
def test_a_step_up_is_the_wider_network(kind: str, interval: int, tmp_path: Path) -> None:
    """In the plain network it costs the difference, where no keep that passes a map on takes longer."""
    heads = networks(kind, causal=True)
    _, flows = designed(heads, interval, step_up=True)
    image_NHWC, kinds = images(heads[-1], 40), kinds_of(heads, step_up=True)
    threshold = middle(heads, image_NHWC)

    with simulated(flows, tmp_path) as simulation:
        for seed, stalls in enumerate(STALLS):
            images_N, kinds_N = steps_up(len(heads), 40, seed)
            _, found = check_rtl_widths(
                kinds, flows.widest, simulation, image_NHWC[images_N], kinds_N, threshold, stalls
            )
            assert found == (0, 0, None)
        for step in range(len(heads) - 1 if kind == "plain" else 0):
            kinds_N = np.tile([step, len(heads) + step], 20)
            batch, found = check_rtl_widths(
                kinds, flows.widest, simulation, np.repeat(image_NHWC[:20], 2, axis=0), kinds_N, threshold
            )
            assert found == (0, 0, None)
            narrow, wide = (flows.widths[step + n].bound for n in (0, 1))
            written = 8  # cycles in which the register is written and no word comes in
            assert interval_of(batch.cycles_N[1::2]) - narrow <= 1.1 * (wide - narrow) + 2 * written


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize("mutant", EVERY_MUTANT)
def test_a_wrong_unit_is_seen(mutant: str, tmp_path: Path) -> None:
    edit, kind = EVERY_MUTANT[mutant]
    heads = networks(kind, causal=True)
    _, flows = designed(heads, 300 if kind == "plain" else 2000, step_up=True)
    image_NHWC = images(heads[-1], 24)
    images_N, kinds_N = steps_up(len(heads), 24)
    kinds = kinds_of(heads, step_up=True)
    with simulated(flows, tmp_path, edit) as simulation:
        try:
            found = check_rtl_widths(kinds, flows.widest, simulation, image_NHWC[images_N], kinds_N, 0)[1]
        except VerificationError:  # it stops, or says too much
            return
    assert found != (0, 0, None)


def test_channels_that_no_lanes_divide_are_refused_by_name() -> None:
    heads = networks()
    graphs = slim(heads)
    with pytest.raises(FoldingError, match="PE=4"):
        balance(graphs.widest, DEVICE, foldings={"conv1.mac": (4, 9)})
