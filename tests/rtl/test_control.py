"""The AXI4-Lite registers, against a bench in SystemVerilog that plays the driver and the design."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from codesign.emit.rtl import library_folder

needs_iverilog = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")

MUTANTS = {
    "toggles nothing": ("status ^ (", "status & ~("),
    "strobes ignored": ("(next_frames & ~bits) | (data & bits)", "data"),
    "a start during a batch": ("data[0] && !running &&", "data[0] &&"),
    "a start of no frames": (" && next_frames[15:0] != '0", ""),
    "done is kept": ("done  <= ends || (done && wanted != 5'h00)", "done  <= ends || done"),
    "interrupts without leave": ("(ends ? enable : 2'b00)", "(ends ? 2'b11 : 2'b00)"),
    "the end of the batch before": ("running && finished && !start", "running && finished"),
    "an answer that does not wait": ("else if (s_axi_bready) s_axi_bvalid", "else s_axi_bvalid"),
}


def simulate(control: str, folder: Path) -> list[str]:
    """What the bench prints about this text of cs_control."""
    (folder / "cs_control.sv").write_text(control)
    bench = str(Path(__file__).with_name("bench_registers.sv"))
    command = ["iverilog", "-g2012", "-s", "bench_registers", "-o", "bench.vvp", bench, "cs_control.sv"]
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def control_text() -> str:
    return (library_folder() / "cs_control.sv").read_text()


@needs_iverilog
def test_registers_do_what_those_of_hls_do(tmp_path: Path) -> None:
    assert simulate(control_text(), tmp_path) == ["end"]


@needs_iverilog
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_bench_sees(mutant: str, tmp_path: Path) -> None:
    right, wrong = MUTANTS[mutant]
    assert control_text().count(right) == 1

    assert any(line.startswith("FAIL") for line in simulate(control_text().replace(right, wrong), tmp_path))
