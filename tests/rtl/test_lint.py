"""Every unit of fpga/rtl is clean in Verilator, Icarus, slang and Yosys, with the sizes that the ops' examples give it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from rtl_bench import foldings_of
from slims import depthwise_heads, flows_of, residual_heads

from codesign.emit.rtl import library_folder, unit_modules
from codesign.emit.rtl_text import instance, literal
from codesign.errors import ToolError
from codesign.ops import OPS
from codesign.verify.yosys import run_yosys

Sizing = tuple[str, Mapping[str, int]]  # a module and its parameters


def all_sizings() -> Iterator[Sizing]:
    """Every module that no other has inside, as it is, and every unit with the sizes of every example at every folding, and those
    of several widths with the sizes of small networks."""
    texts = {path.stem: path.read_text() for path in sorted(library_folder().glob("*.sv"))}
    inner = {name for name in texts for other in texts if other != name and re.search(rf"\b{name}\b", texts[other])}
    yield from ((name, {}) for name in texts if name not in inner)
    for op in OPS.values():
        for example in () if op.view or op.port else op.examples():
            for folding in example.op.foldings(*example.inputs):
                unit = example.op.rtl(folding, *example.inputs)
                for memory in ({},) if unit.memory is None else ({"BLOCK": 0}, {"BLOCK": 1}):
                    yield unit.module, {**unit.parameters, **memory}
    for heads in (residual_heads, depthwise_heads):
        net, _, logits = heads()
        for process in flows_of(net.graphs(logits), {})[-1].processes:
            unit = process.op.rtl(process.folding, *process.types)
            if unit.widths > 1:
                yield unit.module, unit.parameters


def few_sizings() -> list[Sizing]:
    """The modules as they are, and four sizes of every unit, from the first to the last."""
    groups: dict[str, list[Sizing]] = {}
    for sizing in all_sizings():
        groups.setdefault(sizing[0], []).append(sizing)
    return [
        g[n]
        for g in groups.values()
        for n in sorted({0, 1, len(g) // 3, len(g) * 2 // 3, len(g) - 1} & {*range(len(g))})
    ]


def verilator(sizings: Sequence[Sizing], folder: Path) -> list[str]:
    def command(module: str, sizes: Mapping[str, int]) -> list[str]:
        values = [f"-G{name}={_table(value, sizes)}" for name, value in sizes.items()]
        return ["verilator", "--lint-only", "-Wall", "-y", ".", *values, "--top-module", module, f"{module}.sv"]

    return _complaints(command, sizings, folder)


def _table(value: int, sizes: Mapping[str, int]) -> str:
    """A literal; Verilator wants one that fills a table of a number for each width."""
    return f"{32 * sizes['WIDTHS']}'h{value:x}" if value >= 1 << 31 else literal(value)


def icarus(sizings: Sequence[Sizing], folder: Path) -> list[str]:
    def command(module: str, sizes: Mapping[str, int]) -> list[str]:
        values = [f"-P{module}.{name}={literal(value)}" for name, value in sizes.items()]
        return ["iverilog", "-g2012", "-Wall", "-t", "null", "-y.", "-Y.sv", *values, "-s", module, f"{module}.sv"]

    return _complaints(command, sizings, folder)


def _complaints(command: Callable[..., list[str]], sizings: Sequence[Sizing], folder: Path) -> list[str]:
    runs = ((s, subprocess.run(command(*s), cwd=folder, capture_output=True, text=True)) for s in sizings)
    said = ((s, r.returncode, _serious(r.stdout + r.stderr)) for s, r in runs)
    return [f"{s}: {text}" for s, status, text in said if status or text]


def _serious(text: str) -> str:
    """Without what Icarus 11 says of sensitivity lists that it makes longer than needed."""
    return "\n".join(line for line in text.splitlines() if "constant selects in always_*" not in line)


_SLANG = """
import sys
from pyslang import driver
slang = driver.Driver()
slang.addStandardArgs()
assert slang.parseCommandLine("slang " + " ".join(sys.argv[1:])) and slang.processOptions() and slang.parseAllSources()
compilation = slang.createCompilation()
slang.reportCompilation(compilation, True)
slang.runAnalysis(compilation)
sys.exit(not slang.reportDiagnostics(True))
"""


def slang(sizings: Sequence[Sizing], folder: Path) -> list[str]:
    flags = ["-Wextra", "-Wno-useless-cast", "-Wno-unconnected-port", "-Werror"]
    command = [sys.executable, "-c", _SLANG, *flags, *_write_tops(sizings, folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return [done.stdout + done.stderr] * (done.returncode != 0)


def yosys(sizings: Sequence[Sizing], folder: Path) -> list[str]:
    lines = [f"read_verilog -sv -defer {' '.join(_write_tops(sizings, folder))}", "design -save all"]
    for number in range(len(sizings)):
        lines += ["design -load all", f"hierarchy -check -top top{number}", "proc"]
        lines += ["check -assert", "select -assert-none t:$dlatch"]
    try:
        run_yosys("\n".join(lines), folder, where="lint")
    except ToolError as error:
        return [str(error)]
    return []


def _write_tops(sizings: Sequence[Sizing], folder: Path) -> list[str]:
    """All files of the folder, and one more with a module around every sizing: these tools take many at once."""
    names = [path.name for path in sorted(folder.glob("*.sv"))]
    units = [instance(module, "unit", sizes, {}) for module, sizes in sizings]
    (folder / "tops.sv").write_text("".join(f"module top{n};\n{text}endmodule\n" for n, text in enumerate(units)))
    return [*names, "tops.sv"]


LINTERS = (verilator, icarus, slang, yosys)
tools = pytest.mark.parametrize("linter", LINTERS, ids=lambda linter: linter.__name__)


def _units(linter: Callable[..., list[str]], folder: Path) -> Path:
    """A copy of the units; skips where the linter is not installed."""
    program = {"icarus": "iverilog", "slang": "pyslang", "yosys": "pyosys"}.get(linter.__name__, linter.__name__)
    if shutil.which(program) is None and importlib.util.find_spec(program) is None:
        pytest.skip(f"needs {program}")
    shutil.copytree(library_folder(), folder / "rtl")
    return folder / "rtl"


@tools
def test_units_are_clean(linter: Callable[..., list[str]], tmp_path: Path) -> None:
    assert linter(few_sizings(), _units(linter, tmp_path)) == []


@tools
def test_constant_matrices_are_clean(linter: Callable[..., list[str]], tmp_path: Path) -> None:
    """The sums of every example that has some, of one and of several pixels, with and without products in DSPs."""
    folder, sizings = _units(linter, tmp_path), list[Sizing]()
    for example in OPS["matrix_vector"].examples():
        for folding in foldings_of(example):
            name = f"dut{len(sizings)}"
            modules = unit_modules(name, example.op.rtl(folding, *example.inputs))
            if sums := modules.get(f"{name}_sums.sv"):
                (folder / f"{name}_sums.sv").write_text(sums)
                sizings.append((f"{name}_sums", {}))

    assert sizings and linter(sizings, folder) == []


@pytest.mark.slow
@tools
def test_units_are_clean_at_every_folding(linter: Callable[..., list[str]], tmp_path: Path) -> None:
    assert linter(list(all_sizings()), _units(linter, tmp_path)) == []


@tools
def test_a_linter_sees_a_latch_and_a_net_that_is_not_declared(linter: Callable[..., list[str]], tmp_path: Path) -> None:
    folder = _units(linter, tmp_path)
    latch = "    always_comb if (a) y = a;\n    assign z = forgotten;\n"
    (folder / "bad.sv").write_text(f"module bad (input wire a, output logic y, output wire z);\n{latch}endmodule\n")

    assert linter([("bad", {})], folder)
