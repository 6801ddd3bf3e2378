"""steps.json: what each finished step was made from, so that only what changed is made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from codesign.files import RunFolder, read_json, write_json

# Raised when a step's result for the same inputs changes, so that runs made by older versions are redone.
REVISIONS = {"train": 1, "quantize": 1, "plan": 1, "hls": 1, "rtl": 1, "tail": 1}


def key_of(step: str, **inputs: Any) -> str:
    """A hash of everything a step's result depends on: config sections, hashes of files, plain values."""
    text = json.dumps([step, REVISIONS[step], inputs], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """The SHA-256 of a file; of one that is missing, "-"."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "-"


def tree_hash(folders: Iterable[Path], suffixes: tuple[str, ...]) -> str:
    """The SHA-256 of the names and contents of all files with these suffixes under the folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in suffixes):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_fresh(folder: RunFolder, step: str, key: str, outputs: Iterable[Path]) -> bool:
    """Whether the step was finished with this key and its outputs are still there (edited by hand or not)."""
    return read_records(folder).get(step, {}).get("key") == key and all(path.exists() for path in outputs)


def record(folder: RunFolder, step: str, key: str, **facts: Any) -> None:
    """Notes that the step is finished; to be called when its outputs are in place."""
    write_json(_path(folder), {**read_records(folder), step: {"key": key, **facts}})


def read_records(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """What is known of each finished step: its key, and facts such as the files it made."""
    path = _path(folder)
    return read_json(path, hint="delete it to run every step again") if path.exists() else {}


def _path(folder: RunFolder) -> Path:
    return folder.path / "steps.json"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a key")
