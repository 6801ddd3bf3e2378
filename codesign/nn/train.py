"""Float training of a network with exits: repeatable, resumable, its best epoch chosen on the validation split."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from codesign.config import TrainConfig
from codesign.errors import ConfigError, ModelError
from codesign.files import RunFolder
from codesign.nn import checkpoint
from codesign.nn.data.augment import augment, check_kinds
from codesign.nn.data.frames import PIXEL_SCALE, Frames, Splits
from codesign.nn.exits import check_model
from codesign.nn.losses import exit_weights, exits_loss, learning_rate
from codesign.nn.predict import accuracy_of
from codesign.nn.threads import torch_threads
from codesign.nn.weights import load_weights, save_weights

__all__ = ["Plain", "Recipe", "load_weights", "save_weights", "train"]

Advance = Callable[[str], None]


class Recipe(Protocol):
    """What a step of training learns from, and how good the result is. It is made when the model is on its device.

    A run has `stages` of `config.epochs` epochs. A stage starts from the best epoch before it, with a new optimizer.
    """

    stages: int

    def begin(self, epoch: int) -> None:
        """Called before every epoch, and so after the weights are loaded."""
        ...

    def learn(self, optimizer: Optimizer, x: Tensor, labels: Tensor) -> Tensor:
        """One step on a batch of frames (N, C, H, W); returns its loss."""
        ...

    def accuracies(self, frames: Frames) -> dict[str, float]:
        """The share of right answers, by the name of what answers."""
        ...

    def score(self, accuracies: Mapping[str, float]) -> float:
        """What the best epoch has most of, in 0..1."""
        ...

    def mark(self) -> str:
        """Settings beside the model and its config that decide the result; empty for none."""
        ...


class Plain(Recipe):
    """One network with exits, all of it, from the labels."""

    stages = 1

    def __init__(self, model: nn.Module, config: TrainConfig, names: Sequence[str]) -> None:
        self._model, self._config, self._names = model, config, names

    def begin(self, epoch: int) -> None:
        self._model.train()

    def learn(self, optimizer: Optimizer, x: Tensor, labels: Tensor) -> Tensor:
        exits: tuple[Tensor, ...] = self._model(x)
        loss = exits_loss(exits, labels, self._config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def accuracies(self, frames: Frames) -> dict[str, float]:
        return accuracy_of(self._model, frames, self._names)

    def score(self, accuracies: Mapping[str, float]) -> float:
        return score_of(list(accuracies.values()))

    def mark(self) -> str:
        return ""


def train(
    model: nn.Module,
    splits: Splits,
    config: TrainConfig,
    seed: int,
    run: RunFolder,
    progress: bool = True,
    recipe: Callable[[Any, TrainConfig, Sequence[str]], Recipe] = Plain,
) -> dict[str, Any]:
    """Trains `model` in place to its best epoch, writes `run.weights`, and returns what was measured.

    The best epoch has the highest score on the validation split: half the final exit's accuracy plus half the mean
    accuracy of the earlier exits (the final exit bounds the cascade, the earlier ones answer most frames); of equal
    epochs, the latest. The result is also section `train` of the run's metrics, with accuracies as shares of 1.

    A checkpoint is kept after every epoch. A run of the same config, seed, frames and first weights that was killed
    goes on from it, to the weights that it would have reached uninterrupted, bit for bit on the same CPU. Raises
    ConfigError for settings that cannot work and ModelError when the loss stops being a number.
    """
    names = check_model(model, splits.shape, splits.classes)
    _check(config, len(names), len(splits.train))
    device = _device(config)
    model.to(device)
    way = recipe(model, config, names)
    mark = checkpoint.fingerprint(model, splits, config, seed, way.mark())
    optimizer, epochs = make_optimizer(model, config), way.stages * config.epochs
    done = checkpoint.load_checkpoint(run.checkpoint, mark, model, optimizer)
    with (
        torch_threads(config.threads),
        torch.random.fork_rng(devices=[]),
        _bar(config, epochs, done, splits, progress) as advance,
    ):
        x_NCHW, labels = _on_device(splits.train, device)
        for epoch in range(done.epochs_done, epochs):
            start = time.perf_counter()
            if epoch and epoch % config.epochs == 0:
                model.load_state_dict(done.best)
                optimizer, done.best_score = make_optimizer(model, config), -1.0
            way.begin(epoch)
            loss = _run_epoch(way, optimizer, x_NCHW, labels, config, (seed, epoch), advance)
            validation = way.accuracies(splits.validation)
            score = way.score(validation)
            if score >= done.best_score:
                done.best_epoch, done.best_score, done.best = epoch, score, checkpoint.state_of(model)
            seconds = time.perf_counter() - start
            done.history.append({"loss": loss, "validation": validation, "seconds": round(seconds, 3)})
            checkpoint.save_checkpoint(run.checkpoint, mark, model, optimizer, done)
        model.load_state_dict(done.best)
        save_weights(model, run.weights)
        metrics = _metrics(model, splits, way, done, seed, device)
    run.update_metrics("train", metrics)
    return metrics


def score_of(accuracies: Sequence[float]) -> float:
    """Half the final exit's accuracy plus half the mean of the earlier exits'; a single exit's own accuracy."""
    *early, final = accuracies
    return (final + sum(early) / len(early)) / 2 if early else final


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """SGD with Nesterov momentum 0.9, or AdamW; only matrices and kernels decay, not biases and norms."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return SGD(groups, lr=config.lr, momentum=0.9, nesterov=True, fused=True)
    return AdamW(groups, lr=config.lr, fused=True)


def _run_epoch(
    way: Recipe,
    optimizer: Optimizer,
    x_NCHW: Tensor,
    labels: Tensor,
    config: TrainConfig,
    seed_epoch: tuple[int, int],
    advance: Advance,
) -> float:
    """One pass over the frames in random order; returns the mean loss. The last, partial batch is left out."""
    seed, epoch = seed_epoch
    generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    torch.manual_seed(1_000_003 * seed + epoch)  # for layers that draw on their own, such as dropout
    batch, steps = _steps(config, len(labels))
    order = torch.randperm(len(labels), generator=generator)[: batch * steps].to(labels.device)
    total = torch.zeros((), device=labels.device)
    batches: Sequence[Tensor] = torch.split(order, batch)
    for step, indices in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, epoch % config.epochs * steps + step, config.epochs * steps)
        x = augment(x_NCHW[indices].float().mul_(PIXEL_SCALE), config.augment, generator)
        x = x.contiguous(memory_format=torch.channels_last)  # a third faster on a CPU, for the larger networks
        total += way.learn(optimizer, x, labels[indices])
        if step % 50 == 0 or step == steps - 1:
            _check_finite(float(total), epoch)
        advance(f"epoch {epoch + 1}/{way.stages * config.epochs}")
    return round(float(total) / steps, 6)


def _check_finite(loss: float, epoch: int) -> None:
    if not abs(loss) < float("inf"):
        raise ModelError(
            f"the loss became {loss} in epoch {epoch + 1}", where="train", hint="lower train.lr, or check the frames"
        )


def _steps(config: TrainConfig, frames: int) -> tuple[int, int]:
    """The batch size and the steps per epoch; a set smaller than one batch is one batch."""
    batch = min(config.batch, frames)
    return batch, frames // batch


def _check(config: TrainConfig, exits: int, frames: int) -> None:
    exit_weights(config, exits)
    check_kinds(config.augment)
    for key, least in (("epochs", 1), ("batch", 2), ("threads", 0)):
        if getattr(config, key) < least:
            raise ConfigError(f"must be at least {least}, not {getattr(config, key)}", where=f"train.{key}")
    for key, top in (("lr", 1e3), ("weight_decay", 1e3), ("distill", 1e3), ("label_smoothing", 1.0)):
        if not 0 <= getattr(config, key) <= top:
            raise ConfigError(f"must be in 0..{top:g}, not {getattr(config, key)}", where=f"train.{key}")
    if frames < 2:
        raise ConfigError(f"{frames} train frames are too few", where="data", hint="raise data.limit")


def _device(config: TrainConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("torch finds no CUDA device", where="train.device", hint='use "auto" or "cpu"')
    use_cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def _on_device(frames: Frames, device: torch.device) -> tuple[Tensor, Tensor]:
    """All frames as one uint8 tensor (N, C, H, W), and their labels."""
    images = torch.from_numpy(frames.images).permute(0, 3, 1, 2).contiguous()
    return images.to(device), torch.from_numpy(frames.labels).to(device)


@contextmanager
def _bar(
    config: TrainConfig, epochs: int, done: checkpoint.Progress, splits: Splits, show: bool
) -> Generator[Advance, None, None]:
    """A progress bar on standard error, or nothing where that is no terminal; yields what to call per step."""
    if not (show and sys.stderr.isatty()):
        yield lambda _text: None
        return
    steps = _steps(config, len(splits.train))[1]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[best]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("train", total=epochs * steps, completed=done.epochs_done * steps, best="")

        def advance(text: str) -> None:
            best = f"validation {100 * done.best_score:.2f} %" if done.history else ""
            bar.update(task, advance=1, description=text, best=best)

        yield advance


def _metrics(
    model: nn.Module, splits: Splits, way: Recipe, done: checkpoint.Progress, seed: int, device: torch.device
) -> dict[str, Any]:
    return {
        "source": f"measured: float32, torch {torch.__version__} on {device.type}",
        "data": splits.name,
        "note": splits.note,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "frames": {part: len(getattr(splits, part)) for part in ("train", "validation", "test")},
        "epochs": done.epochs_done,
        "best_epoch": done.best_epoch + 1,
        "seconds": round(sum(record["seconds"] for record in done.history), 2),
        "validation": way.accuracies(splits.validation),
        "test": way.accuracies(splits.test),
        "history": done.history,
    }
