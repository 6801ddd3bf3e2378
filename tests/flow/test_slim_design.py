"""A slimmable run's hardware by the commands: planned, emitted and simulated at every width, priced at each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rtl.cores import needs_verilator

from codesign import cli
from tests.flow.test_slim import SLIM
from tests.runs import write_config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal network, which steps up."""
    folder = tmp_path_factory.mktemp("slim_design")
    config = write_config(folder, SLIM.replace('recipe = "joint"', 'recipe = "causal"'))
    assert cli.main(["quantize", str(config), "--run", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def answer(run: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(name: str, *options: str, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert cli.main([name, str(run), *options, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return command


def test_a_narrow_width_takes_fewer_cycles(answer: Any) -> None:
    found = answer("plan")
    cycles = [row["interval_cycles"] for row in found["widths"]]
    assert [row["width"] for row in found["widths"]] == [0.5, 1.0]
    assert cycles[0] < cycles[1] == found["interval_cycles"]


@pytest.mark.parametrize("which", [["--width", "0.5"], ["--width", "1"], ["--width", "random"], ["--step-up", "1"], []])
def test_c_simulation_is_right_at_every_width(answer: Any, which: list[str]) -> None:
    found = answer("csim", "--frames", "40", *which)
    assert found["mismatched_codes"] == 0
    assert found["frames"] >= 40
    assert {"logits", "m_axis_feature"} <= set(found["compared"])


def test_what_is_not_a_width_is_told(answer: Any, run: Path) -> None:
    error = answer("csim", "--width", "0.3", status=2)["error"]
    assert (error["where"], error["hint"]) == ("--width", "use 0.5, 1")
    assert answer("estimate", "--width", "wide", status=2)["error"]["where"] == "--width"
    assert answer("csim", "--step-up", "0.5", status=2)["error"]["where"] == "--step-up"


def test_one_piece_of_hardware_is_priced_at_each_width(answer: Any) -> None:
    rows = answer("estimate", "--device", "xc7z020")["widths"]
    narrow = answer("estimate", "--device", "xc7z020", "--width", "0.5")["estimates"][0]
    wide = answer("estimate", "--device", "xc7z020", "--width", "1")["estimates"][0]
    assert rows[0]["interval_cycles"]["value"] == narrow["interval_cycles"]["value"]
    assert narrow["interval_cycles"]["value"] < wide["interval_cycles"]["value"]
    assert narrow["energy_uj"]["board"]["value"] < wide["energy_uj"]["board"]["value"]
    assert narrow["resources"]["dsp"]["synthesis"] == wide["resources"]["dsp"]["synthesis"]


def test_design_json_says_what_a_host_must_know(answer: Any, run: Path) -> None:
    answer("hls")
    info = json.loads((run / "design.json").read_text())
    assert info["result"]["fields"]["width"] == [46, 44]
    assert "width" in [row["name"] for row in info["registers"]]
    beats = [row["feature"]["beats"] for row in info["widths"]]
    assert beats[0] < beats[1] == info["feature"]["beats"]
    assert [(step["from"], step["to"]) for step in info["steps"]] == [(0.5, 1.0)]


@needs_verilator
@pytest.mark.slow
def test_rtl_simulation_is_right_and_as_fast_as_computed(answer: Any) -> None:
    for width in ("0.5", "1"):
        found = answer("rtlsim", "--frames", "30", "--width", width)
        assert found["mismatched_codes"] == 0
        assert found["interval_cycles"] == found["estimated_interval_cycles"]
        assert found["latency_cycles"] == found["estimated_latency_cycles"]
    assert answer("rtlsim", "--width", "random", "--frames", "40", "--stall", "90")["mismatched_codes"] == 0
    step = answer("rtlsim", "--frames", "30", "--step-up", "1")["step_up"]
    assert step["cycles"] <= 1.1 * step["difference"] + 10  # the register is written in some
