"""doctor: what is there is found with its version, what is missing comes with the command that installs it."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from codesign import doctor
from codesign.cli import main


def items() -> dict[str, doctor.Item]:
    return {item.name: item for item in doctor.examine()}


def program(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


@pytest.fixture
def empty_path(tmp_path, monkeypatch) -> Path:
    """A PATH with nothing on it but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CXX", "CODESIGN_DATA", "CODESIGN_TABLES", "CODESIGN_AP_TYPES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_what_is_there_is_found_with_its_version(empty_path):
    program(empty_path, "g++", "g++ (Debian 12.2.0-14) 12.2.0")
    program(empty_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    found = items()
    assert found["C++ compiler g++"].found == "12.2.0" and found["verilator"].found == "5.006"
    assert found["numpy"].found == importlib.metadata.version("numpy")


def test_what_is_missing_comes_with_how_to_get_it(empty_path):
    found = items()
    assert found["C++ compiler g++"].state == "MISSING"
    assert found["C++ compiler g++"].install == "apt-get install g++"
    assert found["clang++"].state == "not here" and found["clang++"].install == "apt-get install clang"
    assert found["CODESIGN_DATA"].install == "export CODESIGN_DATA=FOLDER"


def test_a_missing_compiler_is_a_failure_and_a_missing_option_is_not(empty_path, capsys):
    assert main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    program(empty_path, "g++", "12.2.0")
    assert main(["doctor", "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["ok"] and all(
        set(item) == {"name", "found", "required", "purpose", "install"} for item in answer["items"]
    )


def test_the_table_is_for_people(empty_path, capsys):
    assert main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "apt-get install g++" in captured.err and "error: C++ compiler g++ is required and missing" in captured.err


def test_a_missing_package_names_its_extra(monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    found = items()
    assert found["torch"].install == "pip install 'codesign[train]'" and not found["torch"].required
    assert found["hls4ml"].install == "pip install --no-deps hls4ml"
    assert found["numpy"].required and found["numpy"].state == "MISSING"


def test_a_named_folder_that_is_none_is_said_so(empty_path, monkeypatch):
    monkeypatch.setenv("CODESIGN_DATA", "/nowhere/at/all")
    assert items()["CODESIGN_DATA"].install == "/nowhere/at/all is no folder"
    monkeypatch.setenv("CODESIGN_DATA", str(empty_path))
    assert items()["CODESIGN_DATA"].found == str(empty_path)


def test_a_vendor_installation_is_found_with_its_headers(empty_path):
    folder = empty_path / "Vivado" / "2020.1"
    (folder / "bin").mkdir(parents=True)
    (folder / "include").mkdir()
    (folder / "include" / "ap_int.h").write_text("")
    program(folder / "bin", "vivado_hls", "Vivado(TM) HLS v2020.1")
    (empty_path / "vivado_hls").symlink_to(folder / "bin" / "vivado_hls")
    found = items()
    assert found["vivado_hls"].found == str(empty_path / "vivado_hls")
    assert found["ap_int.h"].found.startswith("Vivado 2020.1: ")


def test_a_program_that_hangs_or_says_nothing_is_still_found(empty_path):
    program(empty_path, "make", "")
    assert items()["make"].found == str(empty_path / "make")
