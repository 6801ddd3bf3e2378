"""Compiled C simulations of an emitted design: flags, type headers, and a cache by what went into each program."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from codesign.emit.hls import compat_folder
from codesign.errors import ToolError
from codesign.files import read_json, write_json
from codesign.verify.process import run
from codesign.verify.tools import compiler, vendor_headers

Types = Literal["native", "vendor", "packed"]
BUILDS = 4  # compiled programs kept of one design
_WARNINGS = ("-Wall", "-Wextra", "-Wno-unknown-pragmas")


@dataclass(frozen=True, slots=True)
class Build:
    """A compiled C simulation; `headers` says whose type headers it was compiled with."""

    program: Path
    types: Types
    headers: str
    compile_cpu_s: float
    warnings: str
    traces: bool = True  # whether channels can be recorded: not with packed beats, nor with threads


def compile_csim(
    hls: Path,
    top: str,
    *,
    types: Types = "native",
    threads: bool = False,
    cxx: str = "",
    standard: str = "",
    optimize: str = "-O3",
) -> Build:
    """The C simulation of the design in `hls`, compiled, or taken from an earlier call with equal sources and flags.

    Raises ToolError with the compiler's first error when it does not compile.
    """
    flags, headers = _flags(types, threads, standard or ("c++11" if threads else "gnu++98"), optimize)
    command = [
        compiler(cxx),
        *flags,
        f"-I{hls / 'src'}",
        f"-I{compat_folder()}",
        str(hls / "csim" / "csim.cpp"),
        str(hls / "src" / f"{top}.cpp"),
    ]
    key = _build_key(hls, command, types)
    program, record = hls / "build" / key / "csim", hls / "build" / key / "build.json"
    if program.is_file() and record.is_file():
        built = read_json(record)
        os.utime(program.parent)
        return Build(program, types, headers, built["compile_cpu_s"], built["warnings"], "-DCS_TRACE" in flags)
    program.parent.mkdir(parents=True, exist_ok=True)
    partial = program.with_suffix(".partial")
    done = run([*command, "-o", partial])
    if done.status:
        raise ToolError(
            f"does not compile: {_first_error(done.stderr)}",
            where=f"{top}.cpp",
            hint="if a template was edited, undo that; else report this as a bug",
        )
    partial.rename(program)
    write_json(record, {"command": command, "compile_cpu_s": done.cpu_s, "warnings": done.stderr})
    _forget_old(hls / "build")
    return Build(program, types, headers, done.cpu_s, done.stderr, "-DCS_TRACE" in flags)


def _flags(types: Types, threads: bool, standard: str, optimize: str) -> tuple[list[str], str]:
    flags = [f"-std={standard}", optimize, *_WARNINGS]
    if types == "native":
        flags, headers = [*flags, "-DCS_NATIVE"], "none (native integers)"
    else:
        found = vendor_headers()
        flags, headers = [*flags, "-isystem", str(found.path)], found.source
    if types == "packed":
        flags.append("-DCS_PACKED")
    if threads:
        flags += ["-DCS_THREADS", "-pthread"]
    elif types != "packed":
        flags.append("-DCS_TRACE")
    return flags, headers


def _build_key(hls: Path, command: Sequence[str], types: Types) -> str:
    """A hash of everything that decides the program: sources, flags, the compiler, the type headers."""
    digest = hashlib.sha256("\0".join([*command, _compiler_version(shutil.which(command[0]) or command[0])]).encode())
    if types != "native":
        header = (vendor_headers().path / "ap_int.h").resolve()
        about = header.stat()
        digest.update(f"\0{header} {about.st_size} {about.st_mtime_ns}".encode())
    for path in (*sorted((hls / "src").iterdir()), *sorted(compat_folder().iterdir()), hls / "csim" / "csim.cpp"):
        content = path.read_bytes()
        digest.update(f"\0{path.name} {len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


@lru_cache(maxsize=8)
def _compiler_version(program: str) -> str:
    return run([program, "--version"]).stdout.partition("\n")[0]


def _forget_old(folder: Path) -> None:
    """Removes all but the programs used last."""
    builds = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    for path in builds[:-BUILDS]:
        shutil.rmtree(path, ignore_errors=True)


def _first_error(text: str) -> str:
    lines = text.splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")
