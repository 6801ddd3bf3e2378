"""Compiled host libraries are kept while nothing that decides them changes, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codesign.errors import ToolError
from codesign.verify import host_builds
from codesign.verify.host_builds import compile_host

SOURCES = {"one.cpp": 'extern "C" int one() { return 1; }\n', "one.h": "// not compiled\n"}


def test_equal_sources_are_compiled_once(tmp_path: Path) -> None:
    first = compile_host(SOURCES, folder=tmp_path, optimize=["-O0"])
    written = first.stat().st_mtime_ns
    again = compile_host({**SOURCES, "one.h": "// another\n"}, folder=tmp_path, optimize=["-O0"])
    assert (again, again.stat().st_mtime_ns) == (first, written)


def test_another_source_flag_or_processor_compiles_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_host(SOURCES, folder=tmp_path, optimize=["-O0"])
    other = {"one.cpp": SOURCES["one.cpp"].replace("1", "2")}
    assert compile_host(other, folder=tmp_path, optimize=["-O0"]) != first
    assert compile_host(SOURCES, folder=tmp_path, optimize=["-O1"]) != first
    monkeypatch.setattr(host_builds, "_processor", lambda: "another")
    assert compile_host(SOURCES, folder=tmp_path, optimize=["-O0"]) != first


def test_a_source_that_does_not_compile_says_where_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"does not compile: .*one\.cpp:1:.*error") as caught:
        compile_host({"one.cpp": "int one() { return two; }\n"}, folder=tmp_path)
    assert caught.value.where == "one.cpp"
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no C\+\+ compiler no-such-compiler"):
        compile_host(SOURCES, folder=tmp_path, cxx="no-such-compiler")


def test_only_the_libraries_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_builds, "BUILDS", 2)
    libraries: list[Path] = []
    for number in range(3):
        text = f'extern "C" int number() {{ return {number}; }}\n'
        libraries.append(compile_host({"n.cpp": text}, folder=tmp_path, optimize=["-O0"]))
        os.utime(libraries[-1].parent, (number, number))
    assert [library.exists() for library in libraries] == [False, True, True]
