"""Training that survives a kill: one file per run, replaced whole after every epoch.

The file is safetensors: the model's, the best epoch's and the optimizer's tensors, and JSON for the rest. There is no
state of a random generator in it, because the random numbers of an epoch depend on seed and epoch alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from codesign.config import TrainConfig
from codesign.errors import ModelError
from codesign.nn.data.frames import Splits
from codesign.nn.weights import check_tensors, read_tensors, state_of, write_tensors

SAME_RESULT = ("threads", "device")  # keys of TrainConfig that say where to compute, not what


@dataclass(slots=True)
class Progress:
    """How far a run is: whole epochs done, the best of them, and one record per epoch."""

    best_epoch: int = -1
    best_score: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def epochs_done(self) -> int:
        return len(self.history)


def fingerprint(model: nn.Module, splits: Splits, config: TrainConfig, seed: int, recipe: str = "") -> str:
    """A hash of everything that decides a run's result: config, seed, recipe, frames, and the weights it starts from."""
    settings = {key: value for key, value in asdict(config).items() if key not in SAME_RESULT}
    digest = hashlib.sha256(json.dumps([settings, seed], sort_keys=True).encode() + recipe.encode())
    for name, value in state_of(model).items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    for frames in (splits.train, splits.validation):
        digest.update(f"{frames.images.shape}".encode())
        digest.update(frames.images.tobytes())
        digest.update(frames.labels.tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, mark: str, model: nn.Module, optimizer: Optimizer, progress: Progress) -> None:
    """Replaces the run's checkpoint; `mark` is its `fingerprint`."""
    tensors = {f"model.{name}": value for name, value in state_of(model).items()}
    tensors |= {f"best.{name}": value for name, value in progress.best.items()}
    tensors |= _optimizer_tensors(optimizer)
    record = {
        "fingerprint": mark,
        "best_epoch": progress.best_epoch,
        "best_score": progress.best_score,
        "history": progress.history,
    }
    write_tensors(tensors, path, {"progress": json.dumps(record)})


def load_checkpoint(path: Path, mark: str, model: nn.Module, optimizer: Optimizer) -> Progress:
    """The progress of an interrupted run, with model and optimizer set to where it was.

    A run that was never started, one of another config, seed, data set or first weights, and a damaged file all give
    a progress of zero epochs and leave model and optimizer alone.
    """
    try:
        tensors, metadata = read_tensors(path)
        record = json.loads(metadata.get("progress", "{}"))
        if record.get("fingerprint") != mark:
            return Progress()
        wanted = model.state_dict()
        current, best = _under("model.", tensors), _under("best.", tensors)
        check_tensors(current, wanted, str(path))
        check_tensors(best, wanted, str(path))
        progress = Progress(record["best_epoch"], record["best_score"], best, record["history"])
        model.load_state_dict(current)
        _restore_optimizer(optimizer, _under("optimizer.", tensors))
        return progress
    except (ModelError, ValueError, KeyError, TypeError, AttributeError):
        return Progress()


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state: Mapping[int, Mapping[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": value.detach().to("cpu", copy=True).contiguous()
        for index, entry in state.items()
        for key, value in entry.items()
        if isinstance(value, Tensor)
    }


def _restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
