"""Compiled C simulations are kept while nothing that decides them changes, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codesign.verify import builds
from codesign.verify.builds import BUILDS, compile_csim

STAND_IN = """#!/bin/sh
if [ "$1" = --version ]; then echo "c++ {version}"; exit; fi
while [ "$1" != -o ]; do shift; done
echo > "$2"
"""


@pytest.fixture
def hls(tmp_path: Path) -> Path:
    for name in ("src/net.cpp", "csim/csim.cpp", "types/ap_int.h"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"// {name}\n")
    use_compiler(tmp_path, "1.0")
    return tmp_path


def use_compiler(folder: Path, version: str) -> None:
    (folder / "c++").write_text(STAND_IN.format(version=version))
    (folder / "c++").chmod(0o755)
    builds._compiler_version.cache_clear()


def program(folder: Path, types: builds.Types = "native", optimize: str = "-O0") -> Path:
    return compile_csim(folder, "net", types=types, cxx=str(folder / "c++"), optimize=optimize).program


def test_another_compiler_behind_the_same_name_compiles_again(hls: Path) -> None:
    first = program(hls)
    assert program(hls) == first
    use_compiler(hls, "2.0")
    assert program(hls) != first


def test_other_type_headers_in_the_same_place_compile_again(hls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_AP_TYPES", str(hls / "types"))
    native, vendor = program(hls), program(hls, "vendor")
    assert program(hls, "vendor") == vendor
    (hls / "types" / "ap_int.h").write_text("// another release\n")
    assert (program(hls, "vendor") != vendor, program(hls)) == (True, native)


def test_only_the_programs_used_last_are_kept(hls: Path) -> None:
    builds = []
    for level in range(BUILDS + 2):
        builds.append(program(hls, optimize=f"-O{level}"))
        os.utime(builds[-1].parent, (level, level))
    first = program(hls, optimize=f"-O{BUILDS}")
    program(hls, optimize="-Os")
    kept = [build for build in builds if build.exists()]
    assert kept == builds[-BUILDS + 1 :] and first in kept
    assert len(list((hls / "build").iterdir())) == BUILDS
