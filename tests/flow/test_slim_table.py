"""The table of recipes: what it says of results, where it puts them, and that a finished run is not run again."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from codesign.config import load_config
from tests.flow.test_slim import SLIM
from tests.runs import write_config

WAYS = ("alone", "incremental", "joint", "sandwich", "causal")


@pytest.fixture(scope="module")
def table():
    path = Path(__file__).parents[2] / "benchmarks" / "slim_table.py"
    spec = importlib.util.spec_from_file_location("slim_table", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def results(**narrow: float):
    """Two starts of every way; `narrow` is the mean accuracy at width 0.5 where it is not 0.9."""

    def result(share: float):
        accuracies = {"0.5/exit1": 0.8, "0.5/final": share, "1/exit1": 0.85, "1/final": 0.95}
        return {"float": accuracies, "integers": accuracies}

    return {way: [result(narrow.get(way, 0.9) + d) for d in (-0.001, 0.001)] for way in WAYS}


@pytest.mark.parametrize(
    ("narrow", "lines"),
    [
        ({}, ["at least as good as incremental at every width", "within 0.5 points of sandwich: at most 0.00 below"]),
        ({"incremental": 0.91}, ["worse than incremental at 0.5 (-1.00)", "causal is within"]),
        ({"causal": 0.89}, ["at least as good", "not within 0.5 points of sandwich: at most 1.00 below"]),
    ],
)
def test_the_claims_say_what_is_so(table, narrow, lines):
    said = table.claims(results(**narrow), ("0.5", "1"), "final")
    assert all(line in claim for line, claim in zip(lines, said, strict=True))


def test_a_row_has_mean_and_half_the_range(table, tmp_path: Path):
    config = load_config(write_config(tmp_path, SLIM))
    text = table.table(config, results(joint=0.92), 120.0)
    assert "| joint | 92.00 ± 0.10 | 95.00 ± 0.00 |" in text
    assert "| each width alone | 90.00 ± 0.10 | 95.00 ± 0.00 |" in text
    assert "2 CPU minutes" in text
    part = table.table(replace(config, data=replace(config.data, limit=100)), results(), 120.0)
    assert "3 epochs of 100 train frames, a part of the set (" in part


def test_the_table_goes_into_its_region(table, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- slim-table x -->\nold\n<!-- end -->\nb\n<!-- slim-table y -->\n<!-- end -->\n")
    table.place(page, "x", "new")
    assert page.read_text() == "a\n<!-- slim-table x -->\nnew\n<!-- end -->\nb\n<!-- slim-table y -->\n<!-- end -->\n"
    with pytest.raises(SystemExit, match="has no line"):
        table.place(page, "z", "new")


@pytest.mark.slow
def test_every_way_is_run_once(table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    config = write_config(tmp_path, SLIM)
    command = [str(config), "--starts", "1", "--runs", str(tmp_path / "runs"), "--json"]
    assert table.main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert set(first["accuracy"]) == set(WAYS)
    for way, (result,) in first["accuracy"].items():
        assert set(result["float"]) == {"0.5/exit1", "0.5/final", "1/exit1", "1/final"}
        assert ("integers" in result) == (way != "alone")
    monkeypatch.setattr(table, "run_recipe", None)
    monkeypatch.setattr(table, "run_alone", None)
    assert table.main(command) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == first["accuracy"]
    with pytest.raises(TypeError):  # other settings are another run
        table.run(
            replace(load_config(config), seed=1, train=replace(load_config(config).train, lr=0.5)),
            "joint",
            tmp_path / "runs" / "joint_1",
        )
