"""RTL simulation of whole designs with AXI ports: every word of every frame, exact cycles, frames that never mix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from rtl.cores import needs_verilator

from codesign.devices import load_device
from codesign.emit.rtl import CONTROL, RtlDesign, emit_rtl
from codesign.errors import VerificationError
from codesign.ir import Codes, Graph
from codesign.plan.balance import balance
from codesign.plan.dataflow import Dataflow
from codesign.plan.exact import for_rtl, rtl_timing
from codesign.plan.plan import realize
from codesign.verify import golden
from codesign.verify.rtlsim import Stalls, check_rtl, compile_design, interval_of, run_batch
from codesign.verify.verilated import Simulation

DEVICE = load_device("xc7vx690t")
STALLS = (Stalls(), Stalls(60, 60, 60), Stalls(0, 220, 0, 2), Stalls(200, 0, 230, 3), Stalls(128, 200, 200, 4))


def planned(graph: Graph, interval: int = 0) -> Dataflow:
    return for_rtl(realize(graph, balance(graph, DEVICE, interval_cycles=interval)))


def images(graph: Graph, frames: int, seed: int = 0) -> Codes:
    """Noise of any brightness, so that confidences differ."""
    rng, shape = np.random.default_rng(seed), graph.types["image"].shape
    return (rng.random((frames, *shape)) * rng.random((frames, 1, 1, 1)) ** 3 * 255).astype(np.int64)


def middle_threshold(graph: Graph, image_NHWC: Codes) -> int:
    """The threshold at which the number of frames that exit is nearest to half."""
    inputs = {"image": image_NHWC, "threshold": np.zeros((1, 1, 1, 1), np.int64)}
    codes_N = golden.run(graph, inputs, keep=("decision",))["decision"].reshape(-1) & 0xFFFFFFFF
    return min((int(code) + 1 for code in np.unique(codes_N)), key=lambda t: abs(float((codes_N < t).mean()) - 0.5))


@contextmanager
def simulated(dataflow: Dataflow, folder: Path, statistics: bool = False) -> Iterator[Simulation]:
    design = emit_rtl(dataflow, top="dut", exit_name="exit1")
    with Simulation(compile_design(design, dataflow, folder, statistics=statistics)) as simulation:
        yield simulation


@needs_verilator
def test_a_small_design_is_right_at_every_stall_and_takes_the_computed_cycles(tmp_path: Path) -> None:
    graph = lenet_branch(size=12)
    flow, image_NHWC = planned(graph), images(graph, 40)
    middle, timing = middle_threshold(graph, image_NHWC), rtl_timing(flow, 12)

    with simulated(flow, tmp_path) as simulation:
        for stalls in STALLS:
            batch, verdict = check_rtl(graph, flow, simulation, image_NHWC, middle, stalls)
            assert verdict == (0, 0, None)
            assert 5 < batch.exits < 35
            if not stalls:
                assert interval_of(batch.cycles_N) == timing.interval_cycles == timing.bound
                assert batch.cycles_N[0] == timing.latency_cycles

        # Batches of one design after another: none exits, all exit, one frame, and a batch with a wrong end.
        for threshold, frames, exits in ((0, 3, 0), (0xFFFFFFFF, 3, 3), (middle, 1, None)):
            batch, verdict = check_rtl(graph, flow, simulation, image_NHWC[:frames], threshold)
            assert verdict == (0, 0, None)
            assert exits in (None, batch.exits)

        assert simulation.read(CONTROL["frames"]) == 1
        simulation.reset()
        _, verdict = check_rtl(graph, flow, simulation, image_NHWC[:5], middle)
        assert verdict == (0, 0, None)


@pytest.mark.slow
@needs_verilator
def test_a_wrong_word_is_found_and_named(tmp_path: Path) -> None:
    graph = lenet_branch(size=8)
    flow, image_NHWC = planned(graph), images(graph, 6)
    design = emit_rtl(flow, top="dut", exit_name="exit1")
    text = design.files["cs_result_port.sv"]
    files = {**design.files, "cs_result_port.sv": text.replace("{last, frames_done", "{last, ~frames_done")}
    assert files["cs_result_port.sv"] != text

    library = compile_design(RtlDesign("dut", files), flow, tmp_path)
    with Simulation(library) as simulation:
        _, verdict = check_rtl(graph, flow, simulation, image_NHWC, 0)

    assert verdict[:2] == (6, 6)
    assert str(verdict[2]).startswith("m_axis_result: frame 0, word 0: want 0000")


@pytest.mark.slow
@needs_verilator
def test_a_design_that_stops_is_an_error_that_says_how_far_it_came(tmp_path: Path) -> None:
    graph = lenet_branch(size=8)
    flow, image_NHWC = planned(graph), images(graph, 6)
    design = emit_rtl(flow, top="dut", exit_name="exit1")
    port = design.files["cs_image_port.sv"]
    files = {**design.files, "cs_image_port.sv": port.replace("frame == frames - 1'b1", "frame == frames - 2'd2")}
    assert files["cs_image_port.sv"] != port

    with (
        Simulation(compile_design(RtlDesign("dut", files), flow, tmp_path)) as simulation,
        pytest.raises(VerificationError, match="s_axis_image 320 of 384, m_axis_result 4 of 6"),
    ):
        check_rtl(graph, flow, simulation, image_NHWC, 0)


@pytest.mark.slow
@needs_verilator
def test_exits_and_continuations_never_mix_in_10_000_frames(tmp_path: Path) -> None:
    graph = lenet_branch(size=8)
    flow, image_NHWC = planned(graph), images(graph, 10_000, seed=5)
    middle = middle_threshold(graph, image_NHWC[:500])

    with simulated(flow, tmp_path) as simulation:
        for stalls in (Stalls(), Stalls(100, 100, 100, 9)):
            batch, verdict = check_rtl(graph, flow, simulation, image_NHWC, middle, stalls)
            exited = batch.results.words_BK[:, 1] >> 15 & 1
            assert verdict == (0, 0, None)
            assert 0.3 < exited.mean() < 0.7
            assert 0.3 < (np.diff(exited.astype(int)) != 0).mean() < 0.7


@pytest.mark.slow
@needs_verilator
@pytest.mark.parametrize(
    ("name", "graph", "intervals"),
    [
        ("lenet", lenet_branch(), (784, 392, 196, 2000)),
        ("residual", residual_branch(), (65, 300)),
        ("depthwise", depthwise_branch(), (64, 500)),
    ],
)
def test_designs_at_several_foldings(name: str, graph: Graph, intervals: tuple[int, ...], tmp_path: Path) -> None:
    image_NHWC = images(graph, 30)
    middle = middle_threshold(graph, image_NHWC)
    for interval in intervals:
        flow = planned(graph, interval)
        timing = rtl_timing(flow, 12)
        with simulated(flow, tmp_path / f"{name}{interval}") as simulation:
            for stalls in STALLS[:2]:
                batch, verdict = check_rtl(graph, flow, simulation, image_NHWC, middle, stalls)
                assert verdict == (0, 0, None)
                if not stalls:
                    assert interval_of(batch.cycles_N) == timing.bound == timing.interval_cycles <= interval
                    assert batch.cycles_N[0] == timing.latency_cycles


@pytest.mark.slow
@needs_verilator
def test_statistics_are_what_the_model_computes(tmp_path: Path) -> None:
    graph = lenet_branch(size=8)
    flow = planned(graph)
    with simulated(flow, tmp_path, statistics=True) as simulation:
        run_batch(simulation, flow, images(graph, 8), 0)
        counted = simulation.statistics()

    timing = rtl_timing(flow, 8)
    most = {c.name: int(row[0]) for c, row in zip(flow.channels, counted, strict=True)}
    assert most == {c.name: timing.occupancy[c.name] for c in flow.channels}
