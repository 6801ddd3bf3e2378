"""`codesign explore`: the front, the comparison with all designs one by one, and a point that becomes a plan."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.config import config_to_dict, load_config, shipped_configs
from codesign.files import write_json
from codesign.flow.config_sketch import config_sketch, precision_of
from codesign.ir.store import save_graph
from codesign.passes.sketch_graph import sketch_graph
from codesign.passes.split import split
from codesign.plan.plan import load_plan, realize

NET = """
image 4x4x1
stem = conv2d:->2,k2,relu
early = dense:->3
more = conv2d:->2,k2,relu @ stem
last = dense:->3
exit exit1 = early
exit final = last
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.net").write_text(NET)


def explored(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["explore", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("backend", ["hls", "rtl"])
def test_the_front_agrees_with_every_design_priced_one_by_one(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = explored(capsys, "small.net", "--device", "xc7z020", "--backend", backend, "--all")
    assert answer["every"]["agrees"] is True
    assert answer["every"]["designs"] == answer["designs"] > answer["priced"]
    rows = answer["shown"]
    assert len(rows) >= 2 and answer["front_points"] == len(answer["front"]) >= len(rows)
    assert all(a["interval_cycles"] < b["interval_cycles"] for a, b in pairwise(rows))
    for row in rows:
        base = [row["interval_cycles"], *row["base"].values()]
        assert base in answer["front"]
        assert all(row["resources"][kind]["value"] >= count for kind, count in row["base"].items())


def test_only_a_part_of_the_designs_can_be_priced(capsys: pytest.CaptureFixture[str]) -> None:
    answer = explored(capsys, "small.net", "--device", "xc7z020", "--all", "--limit", "1000")
    assert answer["every"]["designs"] == 1000 and answer["every"]["agrees"] is None
    assert main(["explore", "--all", "--max-interval", "800", "--min-interval", "784", "--backend", "rtl"]) == 2
    assert "one by one" in capsys.readouterr().err


def test_a_point_goes_into_a_config_and_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    answer = explored(capsys, "small.net", "--device", "xc7z020", "--point", "1", "--write-plan", "mine.json")
    plan = load_plan(Path("mine.json"))
    assert plan.interval_cycles == answer["shown"][1]["interval_cycles"]
    assert '"stem" = [' in answer["chosen"]["config"] and "[plan.foldings]" in answer["chosen"]["config"]
    assert main(["explore", "small.net", "--device", "xc7z020", "--point", "99"]) == 2
    assert main(["explore", "small.net", "--device", "xc7z020", "--write-plan"]) == 2  # no run folder


def test_a_point_becomes_the_plan_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(shipped_configs()["default"])
    run = tmp_path / "runs" / "default"
    graph = sketch_graph(config_sketch(config), "default", precision_of(config))
    write_json(run / "config.json", config_to_dict(config))
    save_graph(graph, run / "graph.json")

    words = ("default", "--backend", "rtl", "--min-interval", "1500", "--max-interval", "1600", "--write-plan")
    answer = explored(capsys, *words)
    plan = load_plan(run / "plan.json")
    assert plan.interval_cycles == answer["shown"][0]["interval_cycles"] == realize(split(graph).head, plan).bound
    assert main(["estimate", "default", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["estimates"][0]
    assert "plan.json" in found["plan"] and found["interval_cycles"]["value"] == plan.interval_cycles


def test_bounds_that_hold_nothing_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "small.net", "--device", "xc7z020", "--max-interval", "2"]) == 2
    assert "no design fits" in capsys.readouterr().err
