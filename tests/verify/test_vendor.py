"""The Tcl for Vivado HLS and Vitis HLS, run by stand-ins that check every command; with the real tools where there are any."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from graphs import depthwise_branch

from codesign.emit.hls import compat_folder, emit_hls
from codesign.emit.project import emit_project, tcl_word
from codesign.emit.testbench import emit_testbench
from codesign.errors import ConfigError, ToolError
from codesign.files import write_tree
from codesign.plan.build import build
from codesign.verify import golden
from codesign.verify.tools import VENDOR_HLS
from codesign.verify.vendor import command_line, find_tool, run_hls

STANDIN = Path(__file__).parents[1] / "standins" / "hls_tool.py"
PART = "xc7z020clg400-1"
needs_tclsh = pytest.mark.skipif(not shutil.which("tclsh"), reason="needs tclsh")
INSTALLED = next((tool for tool in VENDOR_HLS if shutil.which(tool)), "")


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """A whole emitted folder: sources, testbench, project."""
    graph = depthwise_branch()
    dataflow = build(graph, {})
    image = np.random.default_rng(0).integers(0, 256, (3, *graph.inputs[0].type.shape))
    want = golden.run(graph, {"image": image, "threshold": np.full((1, 1, 1, 1), 300000)})
    tested = emit_testbench(
        dataflow, top="branch", image=image, decisions=want["decision"], features=want["features"], threshold=300000
    )
    sources = emit_hls(dataflow, top="branch", exit_name="exit1", device="pynq-z2", clock_mhz=100)
    return {**sources, **tested, **emit_project(top="branch", part=PART, clock_mhz=150)}


@dataclass
class Desk:
    """An emitted folder and stand-ins on PATH."""

    folder: Path
    log: Path
    patch: pytest.MonkeyPatch

    def install(self, *tools: str) -> None:
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        for tool in tools:
            (programs / tool).symlink_to(STANDIN)

    def calls(self) -> list[list[str]]:
        return [line.split("\t") for line in self.log.read_text().splitlines()]


@pytest.fixture
def desk(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    folder = tmp_path / "run with space" / "hls"
    write_tree(files, folder)
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN_LOG", str(log))
    monkeypatch.setenv("STANDIN_FAULT", "")
    return Desk(folder, log, monkeypatch)


@needs_tclsh
@pytest.mark.parametrize("tool", VENDOR_HLS)
def test_every_command_reaches_the_tool(desk: Desk, tool: str) -> None:
    desk.install(tool)
    done = run_hls(desk.folder, ("export", "csim", "csynth", "cosim"), tool=tool, frames=3)
    calls = desk.calls()

    assert done.steps == ("csim", "csynth", "cosim", "export")
    assert done.release == ("2019.2" if tool == "vivado_hls" else "2023.2")
    assert calls[1] == ["open_project", "-reset", "branch_prj"]
    assert ["set_part", PART] in calls
    assert ["create_clock", "-period", "6.667", "-name", "default"] in calls
    assert ["add_files", "src/branch.cpp", "-cflags", "-std=c++0x -Isrc"] in calls
    assert {c[2] for c in calls if c[:2] == ["add_files", "-tb"]} == {
        f"tb/{n}" for n in ("branch_tb.cpp", "frames.dat", "batches.dat", "results.dat", "features.dat")
    }
    assert ["set_clock_uncertainty", "12.5%"] in calls
    assert ["config_compile", "-pipeline_loops", "0"] in calls
    assert [c[0] for c in calls][-4:] == ["csim_design", "csynth_design", "cosim_design", "export_design"]
    assert ["cosim_design", "-rtl", "verilog", "-argv", "3"] in calls
    solutions = [c for c in calls if c[0] == "open_solution"]
    assert solutions[0] == ["open_solution", "-reset", "-flow_target", "vivado", "solution1"]
    assert len(solutions) == (2 if tool == "vivado_hls" else 1), (
        "Vivado HLS has no -flow_target: opened again without it"
    )


@needs_tclsh
def test_later_steps_keep_the_synthesized_design(desk: Desk) -> None:
    desk.install("vitis_hls")
    first = run_hls(desk.folder, ("cosim",))
    assert first.steps == ("csynth", "cosim"), "there was nothing to simulate yet"
    second = run_hls(desk.folder, ("export",))
    assert second.steps == ("export",)
    assert ["open_project", "branch_prj"] in desk.calls()
    assert (desk.folder / "branch_prj/solution1/impl/ip/component.xml").is_file()


@needs_tclsh
@pytest.mark.parametrize("step", ["csim", "csynth", "cosim", "export"])
def test_a_failing_step_is_named_with_the_tools_words(desk: Desk, step: str) -> None:
    desk.install("vivado_hls")
    desk.patch.setenv("STANDIN_FAULT", step)
    with pytest.raises(ToolError, match=rf"vivado_hls {step}: .*{step}.*{step} went wrong.*status 1"):
        run_hls(desk.folder, ("csim", "csynth", "cosim", "export"))


@needs_tclsh
def test_a_part_that_is_not_installed(desk: Desk) -> None:
    desk.install("vivado_hls")
    desk.patch.setenv("STANDIN_FAULT", "no-part")
    with pytest.raises(ToolError, match=f"the part {PART} is not installed"):
        run_hls(desk.folder)


@needs_tclsh
def test_packages_again_when_the_year_overflows(desk: Desk) -> None:
    desk.install("vivado_hls", "vivado")
    desk.patch.setenv("STANDIN_FAULT", "y2k22")
    done = run_hls(desk.folder, ("csynth", "export"))
    assert "Y2K22" in done.log
    assert ["vivado", "-notrace", "-mode", "batch", "-source", "run_ippack.tcl"] in desk.calls()
    package = desk.folder / "branch_prj/solution1/impl/ip"
    assert (package / "component.xml").is_file()
    assert 'set Revision "1"' in (package / "run_ippack.tcl").read_text()


@needs_tclsh
def test_says_what_to_do_when_packaging_fails_for_good(desk: Desk) -> None:
    desk.install("vivado_hls", "vivado")
    desk.patch.setenv("STANDIN_FAULT", "y2k22-always")
    with pytest.raises(ToolError, match=r"patch of answer record 76960.*faketime 2021-06-01"):
        run_hls(desk.folder, ("export",))


def test_a_tool_that_ends_early_is_not_believed(desk: Desk) -> None:
    desk.install("vivado_hls")
    desk.patch.setenv("STANDIN_FAULT", "silent")
    with pytest.raises(ToolError, match="ended before its last step; status 0"):
        run_hls(desk.folder)


@needs_tclsh
def test_an_unknown_step_in_the_environment(desk: Desk) -> None:
    desk.install("vivado_hls")
    settings = {**os.environ, "CODESIGN_HLS_STEPS": "csim,synth"}
    done = subprocess.run(
        ["vivado_hls", "-f", "run_hls.tcl"], cwd=desk.folder, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no step is named 'synth'; use csim, csynth, cosim, export" in done.stdout


@needs_tclsh
@pytest.mark.parametrize("tool", VENDOR_HLS)
def test_make_runs_the_tool_on_path(desk: Desk, tool: str) -> None:
    if not shutil.which("make"):
        pytest.skip("needs make")
    if tool != VENDOR_HLS[0] and INSTALLED:
        pytest.skip(f"{INSTALLED} is installed and comes first")
    desk.install(tool)
    subprocess.run(["make", "csynth"], cwd=desk.folder, check=True, capture_output=True)
    assert desk.calls()[0][0] == tool


def test_finds_the_newest_kind_of_tool(desk: Desk) -> None:
    desk.install(*VENDOR_HLS)
    assert find_tool() == "vitis-run"
    assert find_tool("vivado_hls") == "vivado_hls"
    with pytest.raises(
        ToolError, match=r"'quartus' is no HLS tool\n  hint: use one of vitis-run, vitis_hls, vivado_hls"
    ):
        find_tool("quartus")


def test_says_how_to_get_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ToolError, match=r"vitis-run, vitis_hls or vivado_hls is not on PATH\n  hint: source settings64\.sh"
    ):
        find_tool()


def test_command_lines() -> None:
    assert command_line("vitis-run", ("csim",)) == (
        "env", "CODESIGN_HLS_STEPS=csim", "CODESIGN_HLS_FRAMES=2", "vitis-run", "--mode", "hls", "--tcl", "run_hls.tcl",
    )  # fmt: skip
    assert command_line("vivado_hls", ("csynth", "cosim"), 5)[1:] == (
        "CODESIGN_HLS_STEPS=csynth cosim",
        "CODESIGN_HLS_FRAMES=5",
        "vivado_hls",
        "-f",
        "run_hls.tcl",
    )
    with pytest.raises(ToolError, match="no step is named 'synth'"):
        command_line("vivado_hls", ("synth",))


def test_a_folder_without_a_script(desk: Desk) -> None:
    with pytest.raises(ToolError, match=r"there is no run_hls\.tcl\n  hint: emit the design first"):
        run_hls(desk.folder / "src")


@needs_tclsh
@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "",
        "two words",
        "[exit 1]",
        "$HOME",
        'a"b',
        "{",
        "}",
        "\\",
        "tab\tand\nline",
        "a;b",
        "#x",
        "-tb",
        "x\\\ny",
    ],
)
def test_a_tcl_word_is_itself(text: str) -> None:
    script = f"set x {tcl_word(text)}\nputs -nonewline $x\nputs -nonewline [llength [info commands]]"
    plain = "puts -nonewline [llength [info commands]]"
    got, commands = (
        subprocess.run(["tclsh"], input=s, capture_output=True, text=True, check=True).stdout for s in (script, plain)
    )
    assert got == text + commands


@pytest.mark.parametrize("top", ["", "2fast", "a b", "top;exit", "int", "a-b", "frames"])
def test_a_top_that_is_no_name(top: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a C"):
        emit_project(top=top, part=PART, clock_mhz=100)


@needs_tclsh
@pytest.mark.slow
def test_csim_design_compiles_and_passes(desk: Desk) -> None:
    desk.install("vivado_hls")
    desk.patch.setenv("STANDIN_CXXFLAGS", f"-O0 -DCS_NATIVE -w -I{compat_folder()}")
    assert "PASS: " in run_hls(desk.folder, ("csim",)).log
    frames = desk.folder / "tb" / "frames.dat"
    frames.write_text(frames.read_text().replace("\n1", "\n2", 1))
    with pytest.raises(ToolError, match="csim failed"):
        run_hls(desk.folder, ("csim",))


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="needs vivado_hls")
def test_the_installed_tool(files: dict[str, str], tmp_path: Path) -> None:
    write_tree(files, tmp_path)
    assert run_hls(tmp_path, ("csim", "csynth", "cosim")).steps == ("csim", "csynth", "cosim")
