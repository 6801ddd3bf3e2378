"""Every way of getting the RTL wrong that we could think of is noticed: mutants of a design, each caught by a simulation.

A mutant is one text of one file replaced by another. The harness of `codesign rtlsim` judges most of them: words, TLAST,
counters and cycles, with and without stalls. The benches of `codesign cosim` judge those of registers, reset and handshake.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from cosim_tools import needs_cocotb, noise, small_design
from rtl.cores import needs_verilator
from rtl_bench import needs_iverilog

from codesign.emit.rtl import RtlDesign, emit_rtl
from codesign.errors import VerificationError
from codesign.plan.exact import rtl_timing
from codesign.verify.cosim import compile_target, cosimulate
from codesign.verify.cosim_case import Oracle, schedule
from codesign.verify.cosim_ports import emitted
from codesign.verify.rtlsim import Stalls, check_rtl, interval_of
from codesign.verify.verilated import Interface, Simulation, Stream, compile_rtl

FRAMES = 12
TOP = "mutant"

# What the harness must see: {name: (file, what stands there, what the mutant has instead)}.
MUTANTS = {
    "rounding dropped": ("cs_requantize_lanes", "held    <= offset;", "held    <= offset - O_BITS'(1 << (SHIFT - 1));"),
    "clamp one too low": ("cs_requantize_lanes", "<= Y_BITS'(MOST)", "<= Y_BITS'(MOST - 1)"),
    "window a beat late": ("cs_sliding_window", "next_lagged == L_BITS'(LAG) &&", "lagged == L_BITS'(LAG) &&"),
    "window mask off by one": ("cs_sliding_window", "at < C_BITS'(COLUMNS)", "at <= C_BITS'(COLUMNS)"),
    "row below the last shown": ("cs_sliding_window", "at < R_BITS'(ROWS)", "at <= R_BITS'(ROWS)"),
    "flush a step short": ("cs_sliding_window", "flushed == F_BITS'(FLUSH - 1)", "flushed == F_BITS'(FLUSH - 2)"),
    "frames run into each other": ("cs_sliding_window", "next_row = frame_wraps ? '0 :", "next_row ="),
    "accumulator not cleared": ("cs_matrix_vector", "fresh ? '0 : ring", "ring"),
    "weights of the next tile": ("cs_matrix_vector", "weights_address = tile", "weights_address = tile + 1'b1"),
    "constant of another sign": ("mutant_core_conv1_mac_sums", "18'(s72_d1) - 18'(s71_d1)", "18'(s72_d1) + 18'(s71_d1)"),
    "constant shifted too far": ("mutant_core_conv1_mac_sums", "13'(x4) + (13'(x4) <<< 4)", "13'(x4) + (13'(x4) <<< 5)"),
    "claims beyond depth": ("cs_fifo", "ALL = COUNT_BITS'(DEPTH)", "ALL = COUNT_BITS'(DEPTH + 1)"),
    "beat popped while one comes": ("cs_fifo", "if (!y_valid && pop) begin", "if (pop) begin"),
    "claim without room": ("cs_result_port", "x_valid && y_room", "x_valid"),
    "lost TLAST of the results": ("cs_result_port", "y_data = {last,", "y_data = {1'b0,"),
    "TLAST a frame early": ("cs_result_port", "frames_done[15:0] == frames - 1'b1", "frames_done[15:0] == frames - 2'd2"),
    "frames not counted": ("cs_result_port", "frames_done <= frames_done + 1'b1", "frames_done <= frames_done"),
    "exits of the batch before": ("cs_result_port", "            exits       <= '0;\n", ""),
    "lost TLAST of the trailer": ("cs_conditional_buffer", "? {ending, PORT_BITS'", "? {1'b0, PORT_BITS'"),
    "exited map not dropped": ("cs_conditional_buffer", "!ending && decision_data[47] :", "1'b0 :"),
    "maps numbered alike": ("cs_conditional_buffer", "{16'd0, frame}", "{16'd0, frame & 16'hFFFE}"),
    "threshold itself exits": ("cs_exit_entropy", "code < threshold[", "code <= threshold["),
    "threshold the wrong way": ("cs_exit_entropy", "code < threshold[", "code > threshold["),
    "a frame too few taken": ("cs_image_port", "frame == frames - 1'b1", "frame == frames - 2'd2"),
    "threshold at another address": ("cs_control", "if (written == 5'h06)", "if (written == 5'h07)"),
}  # fmt: skip

# What the benches of cosimulation must see, and in which of them.
BENCH_MUTANTS = {
    "strobes ignored": ("registers", "cs_control", "{8{strobes[2]}}", "{8{strobes[3]}}"),
    "done not cleared": ("registers", "cs_control", "(done && wanted != 5'h00)", "done"),
    "start heard in a run": ("registers", "cs_control", "byte_0 && data[0] && !running", "byte_0 && data[0]"),
    "status never cleared": ("registers", "cs_control", "written == 5'h03 && byte_0 ? data[1:0]", "1'b0 ? data[1:0]"),
    "registers change in a run": ("registers", "cs_control", "if (starts) {frames, threshold}", "{frames, threshold}"),
    "address without data": ("registers", "cs_control", "has_address && has_data &&", "has_address &&"),
    "answer falls": ("registers", "cs_control", "else if (s_axi_rready) s_axi_rvalid", "else s_axi_rvalid"),
    "done before the last word": ("packets", TOP, "result_ended && feature_ended &&", "(result_ended || feature_ended) &&"),
    "image port goes on behind reset": ("reset", "cs_image_port", "if (!aresetn) active", "if (!aresetn && active !== 1'b1) active"),
    "window goes on behind reset": ("reset", "cs_sliding_window", "if (!aresetn || (start", "if ((!aresetn && ^lagged === 1'bx) || (start"),
    "beats survive reset": ("reset", "cs_fifo", "if (!aresetn) begin\n            stored", "if (!aresetn && ^stored === 1'bx) begin\n            stored"),
    "words taken before the start": ("surplus", "cs_image_port", "s_axis_tready = active && y_ready", "s_axis_tready = y_ready"),
    "tvalid falls": ("blocked", "cs_fifo", "x_valid = valid", "x_valid = valid && !y_claim"),
}  # fmt: skip


@lru_cache(maxsize=1)
def design() -> RtlDesign:
    return emit_rtl(small_design()[1], top=TOP, exit_name="exit1")


@lru_cache(maxsize=1)
def oracle() -> Oracle:
    return Oracle(*small_design(), noise(FRAMES, seed=2))


def mutant(file: str, right: str, wrong: str) -> RtlDesign:
    text = design().files[f"{file}.sv"]
    assert text.count(right) == 1, f"{file} has {text.count(right)} x {right!r}"
    return RtlDesign(TOP, {**design().files, f"{file}.sv": text.replace(right, wrong)})


def judge(made: RtlDesign, folder: Path) -> str:
    """What is wrong with a design, by words, counters and cycles; empty when nothing is."""
    graph, flow = small_design()
    image_NHWC, threshold = oracle().image_NHWC, oracle().middle
    result, feature = (Stream(f"m_axis_{name}", 64, last=True, axi=True) for name in ("result", "feature"))
    interface = Interface((Stream("s_axis_image", 8, axi=True),), (result, feature), control=True)
    timing = rtl_timing(flow, FRAMES)
    with Simulation(compile_rtl(made, interface, folder, optimize="-O0")) as simulation:
        for stalls, frames in ((Stalls(), FRAMES), (Stalls(60, 60, 60), FRAMES), (Stalls(0, 253, 220, 2), 6)):
            try:
                batch, (_, _, first) = check_rtl(graph, flow, simulation, image_NHWC[:frames], threshold, stalls)
            except VerificationError as error:
                return str(error)
            if first:
                return first
            took = (interval_of(batch.cycles_N), int(batch.cycles_N[0]))
            if not stalls and took != (timing.bound, timing.latency_cycles):
                return f"interval and latency are {took} cycles"
    return ""


def run_bench(made: RtlDesign, bench: str, folder: Path) -> str:
    """The first thing that a bench of cosimulation finds wrong in Icarus; empty when it is green."""
    target, batches = emitted(made), schedule(oracle(), 4)[bench]
    built = compile_target("icarus", target, small_design()[1], folder)
    report = cosimulate(built, target, oracle(), {bench: batches[: 4 if bench == "reset" else None]})[f"icarus/{bench}"]
    return "" if report.passed else report.first_difference


@pytest.fixture(scope="module", autouse=True)
def _compiled_once() -> Iterator[None]:
    """What all models share is compiled once, where there is a ccache."""
    with pytest.MonkeyPatch.context() as patch:
        if shutil.which("ccache"):
            patch.setenv("OBJCACHE", "ccache")
        yield


@pytest.mark.slow
@needs_verilator
def test_the_harness_finds_nothing_wrong_with_the_design(tmp_path: Path) -> None:
    assert judge(design(), tmp_path) == ""


@pytest.mark.slow
@needs_verilator
@pytest.mark.parametrize("name", MUTANTS)
def test_the_harness_catches(name: str, tmp_path: Path) -> None:
    assert judge(mutant(*MUTANTS[name]), tmp_path) != ""


@pytest.mark.slow
@needs_verilator
@pytest.mark.parametrize("name", ["conv1_mac_out", "exit1_conv_window_out"])
def test_the_harness_catches_a_fifo_that_is_one_too_shallow(name: str, tmp_path: Path) -> None:
    """Depths are exact: with a place less every word is still right, and the cycles are not, or the design stops."""
    fifo = f"        .DEPTH({{}}),\n        .BLOCK(0)\n    ) {name}__fifo"
    depth = small_design()[1].channel(name).depth

    wrong = judge(mutant(f"{TOP}_core", fifo.format(depth), fifo.format(depth - 1)), tmp_path)

    assert "cycles" in wrong or "nothing moves" in wrong


@pytest.mark.slow
@needs_cocotb
@needs_iverilog
@pytest.mark.parametrize("bench", sorted({bench for bench, *_ in BENCH_MUTANTS.values()}))
def test_the_benches_find_nothing_wrong_with_the_design(bench: str, tmp_path: Path) -> None:
    assert run_bench(design(), bench, tmp_path) == ""


@pytest.mark.slow
@needs_cocotb
@needs_iverilog
@pytest.mark.parametrize("name", BENCH_MUTANTS)
def test_the_benches_catch(name: str, tmp_path: Path) -> None:
    bench, *mutation = BENCH_MUTANTS[name]

    assert run_bench(mutant(*mutation), bench, tmp_path) != ""
