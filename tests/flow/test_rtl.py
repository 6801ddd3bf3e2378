"""The rtl and rtlsim steps on a tiny trained run, through the command line too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rtl.cores import needs_verilator
from runs import copy_run

from codesign.cli import main
from codesign.errors import ConfigError, VerificationError
from codesign.flow import open_experiment
from codesign.flow.rtl import rtl
from codesign.flow.rtlsim import RtlOptions, rtlsim


def test_rtl_is_emitted_once_and_again_when_the_plan_changes(tmp_path: Path) -> None:
    run, said = copy_run(tmp_path), list[str]()
    first = rtl(open_experiment(run))
    second = rtl(open_experiment(run, say=said.append))

    assert first == second
    assert any("up to date" in line for line in said)
    assert first["estimate"]["interval_cycles"] == 144
    assert {r["name"]: r["address"] for r in first["registers"]} == {
        "frames": 0x10, "threshold": 0x18, "frames_done": 0x20, "exits": 0x30,
    }  # fmt: skip
    listed = (run / "rtl" / "design.f").read_text().split()
    assert sorted(listed) == sorted(f"src/{path.name}" for path in (run / "rtl" / "src").iterdir())

    config = json.loads((run / "config.json").read_text())
    config["plan"]["interval_cycles"] = 300
    (run / "config.json").write_text(json.dumps(config))
    assert rtl(open_experiment(run))["estimate"]["interval_cycles"] > 144


def test_frames_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="61 frames are not to be had"):
        rtlsim(open_experiment(copy_run(tmp_path)), RtlOptions(frames=61))


def test_a_missing_top_is_named(tmp_path: Path) -> None:
    run = copy_run(tmp_path)
    rtl(open_experiment(run))
    (run / "rtl" / "src" / "tiny_exit1.sv").unlink()
    with pytest.raises(VerificationError, match=r"there is no tiny_exit1\.sv"):
        rtlsim(open_experiment(run))


@pytest.mark.slow
@needs_verilator
def test_rtlsim_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copy_run(tmp_path)

    def answer(*arguments: str, status: int = 0) -> dict:
        assert main(["rtlsim", str(run), "--json", *arguments]) == status
        return json.loads(capsys.readouterr().out)

    plain = answer()
    assert (plain["frames"], plain["mismatched_codes"], plain["first_difference"]) == (60, 0, None)
    assert plain["interval_cycles"] == plain["estimated_interval_cycles"] == 144
    assert plain["latency_cycles"] == plain["estimated_latency_cycles"]
    assert answer("--stall", "100", "--frames", "20")["mismatched_codes"] == 0

    view = answer("--timing", "--frames", "8")["timing"]
    assert view["bottleneck"] in {p["name"] for p in view["processes"] if p["cycles"] == 144} | {"s_axis_image"}
    assert all(0 < c["high_water"] <= c["depth"] for c in view["channels"])

    wave = tmp_path / "two.vcd"
    assert answer("--wave", str(wave))["frames"] == 2
    assert "$enddefinitions" in wave.read_text()[:200_000]

    unit = run / "rtl" / "src" / "cs_requantize_lanes.sv"  # an edit by hand counts
    text = unit.read_text()
    unit.write_text(text.replace("sum >>> SHIFT", "sum >>> (SHIFT + 1)"))
    assert unit.read_text() != text
    wrong = answer(status=1)
    assert wrong["mismatched_codes"] > 0 and wrong["first_difference"].startswith("m_axis_result: frame 0")
