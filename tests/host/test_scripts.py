"""What goes to boards runs there: Python 3.8, numpy, pynq and nothing else; its exit unit is the hardware's."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.emit.overlay import exit_tables, host_folder, host_scripts, overlay_design
from codesign.ops.exit_decision import ExitDecision

SCRIPTS = sorted(host_folder().glob("*.py"))
STDLIB = {
    "__future__", "argparse", "concurrent", "ctypes", "fractions", "glob", "hashlib", "itertools", "json", "math", "os", "platform",
    "subprocess", "sys", "threading", "time", "typing", "warnings",
}  # fmt: skip
NEW_NAMES = {  # methods and functions younger than Python 3.8
    "removeprefix", "removesuffix", "is_relative_to", "bit_count", "pairwise", "batched", "nextafter", "lcm", "cache",
    "randbytes", "to_thread", "hardlink_to", "file_digest", "UTC", "sumprod", "cbrt", "readable_buffer", "with_stem",
}  # fmt: skip
NEW_KEYWORDS = {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only"), ("sha256", "usedforsecurity")}
GENERIC = {"list", "dict", "tuple", "set", "frozenset", "type"}


def newer_than_38(source: str) -> list[str]:
    """What of a source Python 3.8 does not have, as `line: what`; SyntaxError for newer grammar."""
    tree = ast.parse(source, feature_version=(3, 8))
    lazy = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
    notes = (
        {id(part) for node in ast.walk(tree) for note in _annotations(node) for part in ast.walk(note)}
        if lazy
        else set()
    )
    found = [(node.lineno, what) for node in ast.walk(tree) if id(node) not in notes for what in _newer(node)]
    return [f"{line}: {what}" for line, what in sorted(found)]


def _annotations(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.FunctionDef):
        return [
            note
            for note in (node.returns, *(a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg)))
            if note
        ]
    return [node.annotation] if isinstance(node, ast.AnnAssign) else []


def _newer(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute) and node.attr in NEW_NAMES:
        return [node.attr]
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        return [f"{name}({k.arg}=)" for k in node.keywords if (name, k.arg) in NEW_KEYWORDS]
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in GENERIC:
        return [f"{node.value.id}[...]"]
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.BitOr)
        and (isinstance(node.left, ast.Dict) or isinstance(node.right, ast.Dict))
    ):
        return ["dict | dict"]
    return []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_python_38_understands_every_script(path: Path) -> None:
    assert newer_than_38(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 'a'.removeprefix('b')",
        "zip(a, b, strict=True)",
        "x = list[int]",
        "def f(x: list[int]): pass",
        "x = {} | {'a': 1}",
        "@dataclass(slots=True)\nclass A: pass",
        "match x:\n    case 1: pass",
        "with (open(a) as b, open(c) as d): pass",
    ],
)
def test_the_check_sees_what_is_newer(source: str) -> None:
    try:
        assert newer_than_38(source)
    except SyntaxError:
        return


def test_the_check_passes_what_38_has() -> None:
    source = "from __future__ import annotations\ndef f(x: list[int] | None) -> dict[str, int]: return {**a, **b} if (n := 1) else {}\n"
    assert newer_than_38(source) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_need_only_numpy_and_pynq(path: Path) -> None:
    own = {script.stem for script in SCRIPTS}
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        names = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            root = name.partition(".")[0]
            assert root in STDLIB | own | {"numpy", "pynq"}, f"{path.name} imports {name}"
            assert root != "pynq" or node not in tree.body, f"{path.name} imports pynq outside a function"


def test_the_notebook_is_small_and_clean() -> None:
    notebook = json.loads(host_scripts()["early_exit.ipynb"])
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert newer_than_38("".join(cell["source"])) == []


def load(name: str) -> Any:
    """A script as a module of its own, without its neighbours on the path."""
    spec = importlib.util.spec_from_file_location(f"host_{name}", host_folder() / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_addresses_of_an_hls_design_are_those_of_the_hwh() -> None:
    """Releases of the tool differ in where they put the second counter."""
    files, design = load("files"), overlay_design({})
    board = {"cells": {"accelerator": "accelerator"}, "backend": "hls"}
    named = {"frames": 0x10, "threshold": 0x18, "frames_done": 0x20, "exits": 0x28}
    registers = {name: {"address_offset": at} for name, at in named.items()}
    found = files.addresses({"accelerator": {"registers": registers}}, design, board)
    assert found == {**named, "control": 0, "interrupts": 4, "interrupt_enable": 8, "interrupt_status": 12}
    del registers["exits"]
    with pytest.raises(files.OverlayError, match=r"does not name the register exits; export the HLS design again"):
        files.addresses({"accelerator": {"registers": registers}}, design, board)


@pytest.mark.parametrize("example", ExitDecision.examples(), ids=lambda e: f"{e.op.criterion}-{e.op.classes}")
def test_exits_in_software_are_the_hardwares(example: Any, tmp_path: Path) -> None:
    unit, logits = example.op, example.inputs[0].dtype
    rng = np.random.default_rng(0)
    near = rng.integers(-6, 7, (400, unit.classes)) + rng.integers(logits.min // 2, logits.max // 2 + 1, (400, 1))
    x = np.concatenate(
        [
            np.clip(near, logits.min, logits.max),
            rng.integers(logits.min, logits.max, (200, unit.classes), endpoint=True),
        ]
    )
    facts = {"criterion": unit.criterion, "scale": unit.scale, "fraction_bits": unit.fraction_bits, "guard_bits": 6}
    (tmp_path / "exits.npz").write_bytes(exit_tables([unit, unit]))
    with np.load(tmp_path / "exits.npz") as tables:
        _, soft = load("exits").load_units({"exits": [facts, facts]}, tables)
    class_N, code_N = soft.evaluate(x)
    want_class_N, want_code_N = unit.evaluate(x)
    assert np.array_equal(class_N, want_class_N) and np.array_equal(code_N, want_code_N)
    low, high = unit.threshold_range
    for value in np.linspace(low, high, 7)[1:-1]:
        code = soft.threshold_code(value)
        assert code == unit.threshold_code(value)
        assert np.array_equal(soft.decide(code_N, code), unit.decide(want_code_N, code))


def test_a_tail_without_a_compiler_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(host_folder()))
    sys.modules.pop("files", None)
    tail = load("tail")
    sys.modules.pop("files", None)
    (tmp_path / "net.cpp").write_text("int broken( {\n")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(tail.TailError, match=r"no C\+\+ compiler: .*apt-get install g\+\+"):
        tail.compile_tail(str(tmp_path), "net")
    monkeypatch.delenv("CXX")
    with pytest.raises(tail.TailError, match=re.escape("net.cpp does not compile")):
        tail.compile_tail(str(tmp_path), "net")
    assert not list(tmp_path.glob("*.so*"))
