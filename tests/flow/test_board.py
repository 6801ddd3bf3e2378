"""The board and bitstream steps against a stand-in for vivado that checks every command of the emitted Tcl."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chips import STANDINS
from runs import copy_run

from codesign.cli import main
from codesign.errors import ConfigError, ToolError, VerificationError
from codesign.flow import open_experiment
from codesign.flow.board import bitstream, board

ROOT = Path(__file__).parents[2]
needs_tclsh = pytest.mark.skipif(not shutil.which("tclsh"), reason="needs tclsh")
COMMAND = ["vivado", "-mode", "batch", "-source", "build.tcl", "-notrace", "-nojournal", "-log", "vivado.log"]


@dataclass
class Desk:
    """A run, and a stand-in for vivado on PATH."""

    run: Path
    log: Path
    patch: pytest.MonkeyPatch

    def calls(self) -> list[list[str]]:
        return [line.split("\t") for line in self.log.read_text().splitlines()]

    def fail(self, fault: str) -> None:
        self.patch.setenv("STANDIN_FAULT", fault)

    def build(self, name: str = "pynq-z2", **options: Any) -> dict[str, Any]:
        return bitstream(open_experiment(self.run), name, **options)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    folder = tmp_path / "a run; [with $words]"
    folder.mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "vivado").symlink_to(STANDINS / "vivado_tool.py")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("STANDIN_FAULT", "")
    return Desk(copy_run(folder), tmp_path / "log", monkeypatch)


@needs_tclsh
@pytest.mark.parametrize(
    ("name", "release"),
    [("pynq-z1", "2018.3"), ("pynq-z2", "2022.2"), ("ultra96-v2", "2020.1"), ("zcu104", "2024.1"), ("kv260", "2022.1")],
)
def test_every_step_runs_with_the_right_commands(desk: Desk, name: str, release: str) -> None:
    desk.patch.setenv("STANDIN_RELEASE", release)
    answer = desk.build(name)
    calls, overlay = desk.calls(), Path(answer["overlay"])

    assert calls[0] == COMMAND
    order = [
        c[0] for c in calls if c[0] not in ("set_property", "add_register", "connect_bd_net", "connect_bd_intf_net")
    ]
    steps = (
        "ipx::package_project",
        "ipx::save_core",
        "create_bd_design",
        "assign_bd_address",
        "validate_bd_design",
        "generate_target",
        "make_wrapper",
        "open_run",
        "report_power",
    )
    assert sorted(steps, key=order.index) == list(steps)
    assert [c[1:] for c in calls if c[0] == "launch_runs"] == [
        ["synth_1", "-jobs", "4"],
        ["impl_1", "-to_step", "route_design", "-jobs", "4"],
        ["impl_1", "-to_step", "write_bitstream", "-jobs", "4"],
    ]
    assert ["connect_bd_intf_net", "accelerator/m_axis_result", "dma_images/S_AXIS_S2MM"] in calls
    assert (overlay / "tiny_exit1.bit").read_bytes()[:2] == b"\0\x09" and (overlay / "tiny_exit1.hwh").is_file()
    assert answer["vivado"] == release and answer["reports"]["timing"]["wns_ns"] == 0.874
    assert answer["clock_mhz"] == pytest.approx(100, rel=1e-4)
    ratio = answer["estimate"]["accelerator"]["resources"]["lut"]
    assert ratio["ratio"] == round(ratio["reported"] / ratio["estimated"], 3) and ratio["reported"] == 4310
    sealed = json.loads((overlay / "board.json").read_text())
    assert {"tiny_exit1.bit", "tiny_exit1.hwh", "driver.py", "design.json", "tail/1/host.json"} <= set(sealed["sha256"])
    metrics = open_experiment(desk.run).folder.read_metrics()[f"bitstream_{name}"]
    assert (
        metrics["source"] == f"Vivado {release}, after routing" and metrics["reports"]["power"]["source"] == "power.rpt"
    )


@needs_tclsh
@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (
            "slack",
            VerificationError,
            r"vivado reports: timing is not met: worst setup slack -0\.312 ns at 100 MHz; plan for a lower",
        ),
        (
            "slack-report",
            VerificationError,
            r"timing\.rpt: timing is not met: worst setup slack -0\.312 ns, worst hold slack 0\.029 ns",
        ),
        ("hold", VerificationError, r"worst hold slack -0\.021 ns"),
        ("unrouted", VerificationError, r"3 nets have no route"),
        ("unrouted-report", VerificationError, r"route\.rpt: 3 nets with routing errors, 15010 of 15013 routed"),
        ("no-report_power", ToolError, r"the report power\.rpt is missing"),
        ("no-report_timing_summary", ToolError, r"the report timing\.rpt is missing"),
        ("no-part", ToolError, r"the part xc7z020clg400-1 is not installed with this Vivado"),
        ("package", ToolError, r"vivado package: package went wrong \(\[STANDIN 1\] package went wrong\); status 1"),
        ("validate", ToolError, r"vivado design: validate went wrong"),
        ("synth_1", ToolError, r"vivado synthesis: synth_1 ended as 'synth_design ERROR'; its log is in .*synth_1"),
        ("impl_1", ToolError, r"vivado implementation: impl_1 ended as 'impl_design ERROR'"),
        ("silent", ToolError, r"it ended before its last step; status 0"),
    ],
)
def test_what_goes_wrong_is_named(desk: Desk, fault: str, error: type[Exception], words: str) -> None:
    desk.fail(fault)
    with pytest.raises(error, match=words) as caught:
        desk.build()
    assert "\n" not in str(caught.value).partition("\n  hint: ")[0]
    overlay = desk.run / "board" / "pynq-z2" / "overlay"
    if fault in ("slack", "hold", "unrouted"):
        assert not list(overlay.glob("*.bit")), "no bitstream of hardware that is wrong now and then"
        assert ["launch_runs", "impl_1", "-to_step", "write_bitstream", "-jobs", "4"] not in desk.calls()
    assert "bitstream_pynq-z2" not in open_experiment(desk.run).folder.read_metrics()
    assert "tiny_exit1.bit" not in json.loads((overlay / "board.json").read_text())["sha256"]


@needs_tclsh
def test_a_bad_bitstream_is_not_taken_for_a_good_one_later(desk: Desk) -> None:
    desk.fail("slack-report")
    with pytest.raises(VerificationError):
        desk.build()
    desk.fail("")
    assert desk.build()["reports"]["timing"]["met"] and sum(c == COMMAND for c in desk.calls()) == 2


@needs_tclsh
def test_without_board_files_the_part_alone_does(desk: Desk) -> None:
    desk.fail("no-board")
    assert desk.build()["bitstream"]
    assert not any(c[:2] == ["set_property", "board_part"] for c in desk.calls())


@needs_tclsh
def test_a_bitstream_is_kept_until_the_design_changes(desk: Desk) -> None:
    first, said = desk.build(), list[str]()
    again = bitstream(open_experiment(desk.run, say=said.append), "pynq-z2")
    assert again["reports"] == first["reports"] and sum(c == COMMAND for c in desk.calls()) == 1
    assert any("bitstream: up to date" in line for line in said)
    desk.build(force=True)
    assert sum(c == COMMAND for c in desk.calls()) == 2

    unit = desk.run / "rtl" / "src" / "cs_add.sv"  # an edit by hand counts
    unit.write_text(unit.read_text() + "// edited\n")
    made = board(open_experiment(desk.run), "pynq-z2")
    assert made["bitstream"] is None and not list(Path(made["overlay"]).glob("*.hwh"))
    assert "// edited" in (Path(made["project"]) / "src" / "cs_add.sv").read_text()


def test_without_vivado_one_sentence_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_run(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if shutil.which("vivado"):
        pytest.skip("there is a vivado")
    assert main(["bitstream", str(run), "--board", "pynq-z2"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert (
        f"error: vivado: Vivado 2018.3 or newer must be on PATH to build a bitstream; the project is ready in {run / 'board' / 'pynq-z2'}"
        in said
    )
    project = run / "board" / "pynq-z2"
    assert {"build.tcl", "design.tcl", "package.tcl", "src", "overlay"} <= {path.name for path in project.iterdir()}


def test_boards_that_cannot_be(tmp_path: Path) -> None:
    experiment = open_experiment(copy_run(tmp_path))
    with pytest.raises(ConfigError, match="vc709 has no processor"):
        board(experiment, "vc709")
    with pytest.raises(
        ConfigError, match=r"planned for xc7z020, and zcu104 carries xczu7ev\n  hint: an HLS export is for one part"
    ):
        board(experiment, "zcu104", "hls")
    assert board(experiment)["board"] == "pynq-z2", "what the plan is for"


@needs_tclsh
def test_the_exported_hls_design_takes_the_same_way(desk: Desk) -> None:
    with pytest.raises(ToolError, match=r"the HLS design is not exported yet: run `make export` in hls/"):
        desk.build(backend="hls")
    package = desk.run / "hls" / "tiny_exit1_prj" / "solution1" / "impl" / "ip"
    package.mkdir(parents=True)
    (package / "component.xml").touch()
    desk.patch.setenv("STANDIN_HLS_TOP", "tiny_exit1")
    answer = desk.build(backend="hls")
    assert answer["backend"] == "hls" and answer["estimate"]["accelerator"]["source"] == "codesign.plan.budget"
    calls = desk.calls()
    assert ["create_bd_cell", "-type", "ip", "-vlnv", "xilinx.com:hls:tiny_exit1:1.0", "accelerator"] in calls
    assert not any(c[0].startswith("ipx::") for c in calls)


@needs_tclsh
def test_the_stand_in_checks_what_it_is_told(desk: Desk) -> None:
    """A wrong command in the Tcl is an error of the run: the checks above can fail."""
    made = board(open_experiment(desk.run), "pynq-z2")
    design = Path(made["project"]) / "design.tcl"
    text = design.read_text()
    for old, new, words in (
        ("dma_images/S_AXIS_S2MM", "dma_features/S_AXIS_S2MM", "is connected twice"),
        ("c_sg_length_width 26", "c_sg_length_width 27", "27 is no c_sg_length_width of axi_dma"),
        ("c_sg_length_width", "c_sg_len_width", "axi_dma has no setting c_sg_len_width"),
        ("c_m_axis_mm2s_tdata_width 8", "c_m_axis_mm2s_tdata_width 16", "dma_images/M_AXIS_MM2S has 16 bits"),
        (" dma_features/m_axi_s2mm_aclk", "", "dma_features/m_axi_s2mm_aclk is not connected"),
        ("    assign_bd_address\n", "", "addresses are not assigned"),
    ):
        assert old in text
        design.write_text(text.replace(old, new))
        done = subprocess.run(COMMAND, cwd=made["project"], capture_output=True, text=True)
        assert done.returncode == 1 and re.search(words, done.stdout), (old, done.stdout[-500:])


def test_make_bitstream_calls_the_command() -> None:
    if not shutil.which("make"):
        pytest.skip("needs make")
    done = subprocess.run(
        ["make", "-n", "bitstream", "BOARD=kv260"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"codesign bitstream configs/default\.toml --board kv260$", done.stdout, flags=re.MULTILINE)
