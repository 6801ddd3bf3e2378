"""`codesign calibrate`: its bounds on the published reports, and what it says without them."""

import json
import os
from pathlib import Path

import pytest
from cost.layers.reports import report

from codesign.cli import main
from codesign.cost.layers.model import parse, shipped
from codesign.errors import CodesignError
from codesign.flow import calibrate

needs_tables = pytest.mark.skipif(not os.environ.get("CODESIGN_TABLES"), reason="needs CODESIGN_TABLES")


@needs_tables
def test_the_bounds_hold_on_the_published_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--check", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["bounds"]) == set(calibrate.BOUNDS)
    assert all(row["ok"] for row in answer["bounds"].values())
    assert answer["layers"] + answer["networks_left_out"] == answer["reports"] == 146
    assert sum(row["layers"] for row in answer["kinds"]) == answer["layers"]


@needs_tables
def test_the_shipped_coefficients_are_what_the_fit_writes(tmp_path: Path) -> None:
    calibrate.fit_table(out=str(tmp_path / "again.toml"))
    again = parse((tmp_path / "again.toml").read_text())
    assert again.source == shipped().source
    assert again.lut == pytest.approx(shipped().lut, rel=1e-3)
    assert again.ff == pytest.approx(shipped().ff, rel=1e-3)
    assert again.bands == shipped().bands


def test_without_tables_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CODESIGN_TABLES", raising=False)
    assert main(["calibrate", "--check"]) == 2
    assert "CODESIGN_TABLES is not set" in capsys.readouterr().err


def test_a_folder_without_the_table_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CODESIGN_TABLES", str(tmp_path))
    with pytest.raises(CodesignError) as error:
        calibrate.check()
    assert str(tmp_path / "csynth_calibrate.json") in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "no list of reports"),
        (json.dumps([{"id": "x"}]), "report 0 has no 'source'"),
        (json.dumps([{k: v for k, v in report().items() if k != "lut"}]), "report 0 has no 'lut'"),
        (json.dumps([report(lut="many")]), "report 0: "),
        (json.dumps([3]), "report 0: "),
    ],
)
def test_a_table_of_something_else(tmp_path: Path, content: str, words: str) -> None:
    table = tmp_path / "table.json"
    table.write_text(content)
    with pytest.raises(CodesignError) as error:
        calibrate.check(str(table))
    assert words in str(error.value)
    assert str(table) in str(error.value)


def test_other_reports_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.json"
    table.write_text(json.dumps([report("example.org/b/c", lut=1, ff=1)]))
    assert main(["calibrate", "--judge", str(table), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["bounds"]["cycles_within_5_percent"]["ok"]
    assert not answer["bounds"]["lut_median_error"]["ok"]
    assert answer["layers_judged"][0]["dsp"] == [14, 14]

    assert main(["calibrate", "--judge", str(table)]) == 1
    assert "LUT median off" in capsys.readouterr().err


def test_a_fit_of_other_reports(tmp_path: Path) -> None:
    table, out = tmp_path / "table.json", tmp_path / "out.toml"
    table.write_text(json.dumps([report(f"example.org/{owner}/x") for owner in "abc"]))
    assert main(["calibrate", "--fit", "--table", str(table), "--out", str(out)]) == 0
    assert parse(out.read_text()).source == "fitted to 3 layers of 3 repositories in table.json"
