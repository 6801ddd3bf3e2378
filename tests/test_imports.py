"""Who may import what: one way through the folders, torch and jinja2 in their places, and a light estimate-only mode."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "codesign"

# A folder imports itself, folders of lower rank and modules without rank (errors, files, config, devices).
RANK = {
    "ir": 0,
    "ops": 1,
    "passes": 2,
    "plan": 3,
    "emit": 4,
    "cost": 4,
    "verify": 5,
    "runtime": 5,
    "search": 6,
    "report": 6,
    "flow": 7,
}
SIDEWAYS = {("runtime", "verify")}  # accelerators of the runtime drive the golden model and the simulations
TORCH_FOLDERS = {"nn", "search"}
HEAVY = ("torch", "pynq", "optuna", "cocotb", "hls4ml")
LIGHT_FOLDERS = [
    name
    for name in ("ir", "ops", "passes", "plan", "cost", "emit", "verify", "flow")
    if (PACKAGE / name / "__init__.py").exists()
]
SOURCES = [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("folder", LIGHT_FOLDERS)
def test_estimate_only_folders_stay_light(folder: str) -> None:
    forbidden = HEAVY if folder in {"emit", "flow"} else (*HEAVY, "jinja2")
    program = f"import codesign.{folder}, sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    ).stdout.split()
    assert not set(loaded) & set(forbidden)


@pytest.mark.parametrize("path", SOURCES)
def test_imports_go_one_way(path: Path) -> None:
    folder = _folder(path)
    for module in _imports(path, everywhere=True):
        package, _, rest = module.partition(".")
        target = rest.partition(".")[0]
        if package != "codesign" or target == folder or folder not in RANK:
            continue
        assert target != "nn" or folder in {"search", "flow"}, f"{folder} imports {module}"
        assert target not in {"cli", "flow"}, f"{folder} imports {module}"
        if target in RANK:
            assert RANK[target] < RANK[folder] or (folder, target) in SIDEWAYS, f"{folder} imports {module}"


@pytest.mark.parametrize("path", SOURCES)
def test_heavy_packages_stay_in_their_folders(path: Path) -> None:
    place = path.relative_to(PACKAGE)
    for module in _imports(path, everywhere=True):
        package = module.partition(".")[0]
        if package in {"torch", "torchvision", "safetensors"}:
            assert place.parts[0] in TORCH_FOLDERS, f"{place} imports {module}"
        if package == "jinja2":
            assert place.as_posix() == "emit/templates.py", f"{place} imports {module}"
    for module in _imports(path, everywhere=False):
        assert module.partition(".")[0] not in {"pynq", "cocotb", "hls4ml"}, (
            f"{place} imports {module} outside a function"
        )


def test_the_package_has_no_unknown_folder() -> None:
    """A new folder gets its rank here before anything imports it."""
    known = {*RANK, "nn", "devices"}
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders <= known


def test_the_checks_see_imports() -> None:
    source = (
        "import codesign.ops.add\nfrom codesign.plan import x\nfrom codesign import emit\ndef f():\n    import torch\n"
    )
    tree = ast.parse(source)
    assert set(_names(ast.walk(tree))) == {
        "codesign.ops.add",
        "codesign.plan",
        "codesign.plan.x",
        "codesign",
        "codesign.emit",
        "torch",
    }
    assert "torch" not in set(_names(iter(tree.body)))
    assert importlib.util.find_spec("codesign.ir") is not None


def _folder(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def _imports(path: Path, *, everywhere: bool) -> Iterator[str]:
    """Modules that a source imports when it runs, inside functions too when `everywhere`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not _for_types_only(node)]
    return _names(ast.walk(tree) if everywhere else iter(tree.body))


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _names(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            assert not node.level, "imports are absolute"
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
