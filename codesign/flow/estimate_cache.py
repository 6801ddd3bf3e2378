"""Answers of `codesign estimate`, kept in the user's cache until anything they were made from changes.

Importing numpy and this package takes most of the time of an estimate, so the second one of the same thing imports
neither. An answer is found by what was asked and by path, size and time of every file it depends on: the package's
own code, the target, and what its run folder has. This module may import nothing but the standard library until then.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from codesign.files import cache_folder, write_atomic

CODE = ("ir", "ops", "passes", "plan", "cost", "devices", "flow")
RUN_FILES = ("config.json", "graph.json", "graphs.json", "plan.json", "metrics.json", "tune/tune.json")
KEPT = 200  # answers, of some 10 kB each; the oldest go


def remembered(
    asked: Mapping[str, Any], target: str | None, run: str | None, make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The answer to what was asked, from the cache or made now. A cache that cannot be written is done without."""
    folder = cache_folder() / "estimates"
    path = folder / f"{_key(asked, target, run)}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        answer = make()
    try:
        write_atomic(path, json.dumps(answer))
        _forget(folder)
    except OSError:
        pass
    return answer


def _key(asked: Mapping[str, Any], target: str | None, run: str | None) -> str:
    files = [*_code(), *(_target_files(Path(target), run) if target else ())]
    parts = [json.dumps(asked, sort_keys=True), str(target), str(run), *map(_stamp, files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _code() -> Iterator[Path]:
    package = Path(__file__).parents[1]
    yield package / "config.py"
    for name in CODE:
        for folder, _, files in sorted(os.walk(package / name)):
            yield from (Path(folder) / file for file in sorted(files) if file.endswith((".py", ".toml")))


def _target_files(target: Path, run: str | None) -> Iterator[Path]:
    """The target and what may lie in its run folder, whose name may be another than the file's."""
    folder = target if target.is_dir() else Path(run) if run else Path("runs") / _name(target)
    yield target
    yield from (folder / name for name in RUN_FILES)


def _name(config: Path) -> str:
    """The name in a config, found without parsing it; a shipped config is named like its file."""
    if config.is_file():
        for line in config.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "name":
                return value.partition("#")[0].strip().strip("\"'") or config.stem
            if line.startswith("["):
                break
    return config.stem


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path} -"
    return f"{path.resolve()} {found.st_size} {found.st_mtime_ns}"


def _forget(folder: Path) -> None:
    """Deletes the oldest answers beyond those that are kept."""
    answers = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in answers[: max(0, len(answers) - KEPT)]:
        path.unlink(missing_ok=True)
