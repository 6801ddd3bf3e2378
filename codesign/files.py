"""Files that are whole or absent: written beside their place and renamed, and the run folder's layout."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Writes `content` to `path` so that a reader, or a kill, sees the old file or the new one and never a part."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_atomic(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path, *, hint: str = "") -> Any:
    """The JSON value in `path`; raises CodesignError that names the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CodesignError(
            "no such file" if isinstance(error, FileNotFoundError) else str(error), where=str(path), hint=hint
        ) from error
    except ValueError as error:
        raise CodesignError(
            f"not valid JSON: {error}", where=str(path), hint=hint or "delete it and run the step again"
        ) from error


def write_tree(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Writes {relative path: content} under `folder`, leaving files that are already equal untouched."""
    for name, content in files.items():
        path = folder / name
        data = content.encode("utf-8") if isinstance(content, str) else content
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)


def cache_folder() -> Path:
    """Where unpacked archives and repaired tools live: `codesign` under XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codesign"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything of one experiment, by name. Nothing here is read or written until asked for."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def quantized(self) -> Path:
        return self.path / "quantized.safetensors"

    @property
    def graph(self) -> Path:
        return self.path / "graph.json"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def design(self) -> Path:
        return self.path / "design.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def hls(self) -> Path:
        return self.path / "hls"

    @property
    def rtl(self) -> Path:
        return self.path / "rtl"

    @property
    def host(self) -> Path:
        return self.path / "host"

    def read_metrics(self) -> dict[str, Any]:
        return read_json(self.metrics) if self.metrics.exists() else {}

    def update_metrics(self, section: str, value: Mapping[str, Any]) -> None:
        """Replaces one section of metrics.json; every section says in `source` how its figures were obtained."""
        write_json(self.metrics, {**self.read_metrics(), section: dict(value)})
