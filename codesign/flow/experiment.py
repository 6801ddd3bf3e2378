"""An experiment: a config, its run folder, and the data and network that steps share, each loaded when first needed."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.config import Config, config_from, config_to_dict, load_config
from codesign.errors import ConfigError
from codesign.files import RunFolder, read_json, write_json
from codesign.flow.records import file_hash

if TYPE_CHECKING:
    from torch import nn

    from codesign.nn.data.frames import Splits

Say = Callable[[str], None]


@dataclass(frozen=True)
class Experiment:
    """`say` gets one line per thing worth telling a person; `progress` allows progress bars on standard error."""

    folder: RunFolder
    config: Config
    say: Say
    progress: bool = False

    @cached_property
    def splits(self) -> Splits:
        """The frames; raises DataError when they are not to be had."""
        from codesign.nn.data import load_data

        return load_data(self.config.data, self.config.seed)

    @cached_property
    def model(self) -> nn.Module:
        """The network with the weights of the run folder."""
        from codesign.nn.weights import load_weights

        model = self.fresh_model()
        load_weights(model, self.folder.weights)
        return model

    def fresh_model(self) -> nn.Module:
        """The network with its first, random weights."""
        from codesign.nn.models.registry import build_model

        return build_model(self.config.model, self.splits.shape, self.splits.classes, seed=self.config.seed)

    @property
    def data_key(self) -> dict[str, Any]:
        """What decides the frames: config, seed, and for a file of the user's own its content."""
        data = self.config.data
        own = file_hash(Path(data.path).expanduser()) if data.dataset == "npz" else ""
        return {"data": data, "seed": self.config.seed, "file": own}

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keeps other codesign processes out of the run folder; waits for one that is in it."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with open(self.folder.path / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"waiting for another codesign in {self.folder.path}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def open_experiment(
    target: str | os.PathLike[str] | Config,
    run: str | os.PathLike[str] | None = None,
    *,
    say: Say | None = None,
    progress: bool = False,
) -> Experiment:
    """The experiment of a config (a TOML file or a Config) in its run folder, or of a run folder that has one already.

    Without `run`, a config's folder is runs/NAME. The config is written to the folder, so the folder alone is enough
    next time. Raises ConfigError for a target that is neither.
    """
    tell = say or _silent
    if not isinstance(target, Config):
        path = Path(target)
        if path.is_dir():
            if run is not None:
                raise ConfigError("a run folder has its place already", where=str(path), hint="use --run with a config")
            return Experiment(RunFolder(path), _stored_config(path), tell, progress)
        target = _named_config(path)
    folder = RunFolder(Path(run) if run is not None else Path("runs") / target.name)
    written = config_to_dict(target)
    if not folder.config.exists() or read_json(folder.config) != json.loads(json.dumps(written)):
        write_json(folder.config, written)
    return Experiment(folder, target, tell, progress)


def _silent(text: str) -> None:
    del text


def _stored_config(path: Path) -> Config:
    stored = RunFolder(path).config
    if not stored.exists():
        raise ConfigError(
            f"this folder is no run: it has no {stored.name}",
            where=str(path),
            hint="start one with `codesign train configs/default.toml --run FOLDER`",
        )
    return config_from(read_json(stored, hint="start the run again from its TOML file"), where=str(stored))


def _named_config(path: Path) -> Config:
    """The config in a TOML file, named after the file where it has no name of its own."""
    if not path.exists() and path.suffix != ".toml":
        raise ConfigError(
            "no such run folder or config",
            where=str(path),
            hint="name a TOML file, such as configs/default.toml, or the folder of a run",
        )
    config = load_config(path)
    named = "name" in tomllib.loads(path.read_text(encoding="utf-8"))
    name = config.name if named else path.stem
    if not name or "/" in name or name.startswith("."):
        raise ConfigError(f"{name!r} cannot name a run folder", where=f"{path}: name", hint="use a plain word")
    return replace(config, name=name)


