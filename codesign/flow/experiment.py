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

from codesign.config import Config, check_name, config_from, config_to_dict, load_config, shipped_configs
from codesign.errors import ConfigError
from codesign.files import RunFolder, read_json, write_json
from codesign.flow.records import file_hash

if TYPE_CHECKING:
    from torch import nn

    from codesign.nn.data.frames import Splits
    from codesign.nn.slim import Slimmable

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
        """The network with the weights of the run folder; of a slimmable one, the widest."""
        from codesign.nn.weights import load_weights

        if self.config.slim.widths:
            return self.slimmable.widest
        model = self.fresh_model()
        load_weights(model, self.folder.weights)
        return model

    def fresh_model(self) -> nn.Module:
        """The network with its first, random weights."""
        from codesign.nn.models.registry import build_model

        return build_model(self.config.model, self.splits.shape, self.splits.classes, seed=self.config.seed)

    @cached_property
    def slimmable(self) -> Slimmable:
        """The network at all widths, with the weights of the run folder."""
        from codesign.nn.weights import load_weights

        model = self.fresh_slimmable()
        load_weights(model, self.folder.weights)
        return model

    def fresh_slimmable(self) -> Slimmable:
        """The network at all widths with its first, random weights."""
        from codesign.nn.slim import Slimmable

        return Slimmable(self.fresh_model(), self.splits.shape, self.config.slim)

    @property
    def data_key(self) -> dict[str, Any]:
        """What decides the frames: config, seed, and for a file or function of the user's own its content."""
        data, own = self.config.data, ""
        if data.dataset == "npz":
            own = file_hash(Path(data.path).expanduser())
        elif data.dataset == "python":
            own = _source_hash(data.path)
        return {"data": data, "seed": self.config.seed, "file": own}

    @property
    def model_key(self) -> dict[str, Any]:
        """What decides the network: config, and for a class of the user's own the content of its source file."""
        model, slim = self.config.model, self.config.slim
        code = {"code": _source_hash(model.name)} if ":" in model.name else {}
        return {"model": model, **code, **({"slim": slim} if slim.widths else {})}

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
    """The experiment of a config (a TOML file, a shipped one by its name, or a Config) in its run folder, or of a run folder that has one already.

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
    else:
        target = config_from(config_to_dict(target))
    folder = RunFolder(Path(run) if run is not None else Path("runs") / target.name)
    written = config_to_dict(target)
    if not folder.config.exists() or read_json(folder.config) != json.loads(json.dumps(written)):
        write_json(folder.config, written)
    return Experiment(folder, target, tell, progress)


def find_config(path: Path) -> Config:
    """The config of a run folder, in a TOML file, or a shipped one by its name; nothing is written."""
    return _stored_config(path) if path.is_dir() else _named_config(path)


def _source_hash(name: str) -> str:
    from codesign.nn.objects import source_files

    return ",".join(file_hash(path) for path in source_files(name))


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
    """The config in a TOML file, or a shipped one by its name; named after the file where it has no name of its own."""
    if not path.exists() and path.suffix != ".toml":
        shipped = shipped_configs()
        if str(path) not in shipped:
            hint = f"name the folder of a run, a TOML file, or one of {', '.join(shipped)}"
            raise ConfigError("no such run folder or config", where=str(path), hint=hint)
        path = shipped[str(path)]
    config = load_config(path)
    named = "name" in tomllib.loads(path.read_text(encoding="utf-8"))
    name = config.name if named else path.stem
    check_name(name, f"{path}: name")
    return replace(config, name=name)
