"""Quantization-aware fine-tuning: the integers' own arithmetic, learning from the float network and the labels."""

# Legend: N frames; C, H, W channels, rows, columns.

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from codesign.config import QuantizeConfig, TrainConfig
from codesign.errors import ConfigError, ModelError
from codesign.nn.data.augment import augment, check_kinds
from codesign.nn.data.frames import PIXEL_SCALE, Frames, Splits
from codesign.nn.integer_net import QuantizedNet, pixel_codes
from codesign.nn.losses import exit_weights, exits_loss, learning_rate
from codesign.nn.predict import accuracy, logits
from codesign.nn.threads import torch_threads
from codesign.nn.train import make_optimizer, score_of
from codesign.nn.weights import state_of

DISTILL = 1.0  # weight of learning the float network's logits, beside the labels
TEMPERATURE = 2.0

Advance = Callable[[str], None]


def fine_tune(
    net: QuantizedNet,
    teacher: nn.Module,
    splits: Splits,
    config: QuantizeConfig,
    train: TrainConfig,
    seed: int,
    *,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Trains the real weights behind the integers in place and keeps the best epoch; returns one record per epoch.

    The first record, epoch 0, is the calibrated network before any training: a network that training does not improve
    stays as it was. The best epoch has the highest validation score of exact integers; of equal ones, the one whose
    logits are nearest to the float network's. Runs where the teacher's weights are, and leaves `net` on the CPU.
    """
    _check(config, train, len(splits.train), len(net.exit_names))
    settings = replace(
        train, epochs=max(config.epochs, 1), lr=config.lr, optimizer="adamw", weight_decay=0.0, schedule="cosine"
    )
    net.to(_device(teacher))
    goal = logits(teacher, splits.validation.images)
    history = [{"epoch": 0, **_validate(net, splits.validation, goal)}]
    best, best_state = _merit(history[0]), state_of(net)
    optimizer = make_optimizer(net, settings)
    with torch.random.fork_rng(devices=[]), torch_threads(train.threads), _bar(settings, splits, progress) as advance:
        for epoch in range(config.epochs):
            start = time.perf_counter()
            loss = _run_epoch(net, teacher, optimizer, splits.train, settings, (seed, epoch), advance)
            record = {"epoch": epoch + 1, "loss": loss, **_validate(net, splits.validation, goal)}
            history.append(record | {"seconds": round(time.perf_counter() - start, 3)})
            if _merit(record) >= best:
                best, best_state = _merit(record), state_of(net)
    net.load_state_dict(best_state)
    net.cpu()
    return history


def distill_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], train: TrainConfig) -> Tensor:
    """`sum_n weight_n * T^2 * KL(teacher_n / T, student_n / T)`, averaged over frames: each exit learns its own."""
    terms = [
        weight
        * TEMPERATURE**2
        * F.kl_div(
            F.log_softmax(mine / TEMPERATURE, dim=1),
            F.log_softmax(theirs / TEMPERATURE, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        for weight, mine, theirs in zip(exit_weights(train, len(student)), student, teacher, strict=True)
    ]
    return sum(terms[1:], terms[0])


def _run_epoch(
    net: QuantizedNet,
    teacher: nn.Module,
    optimizer: torch.optim.Optimizer,
    frames: Frames,
    train: TrainConfig,
    seed_epoch: tuple[int, int],
    advance: Advance,
) -> float:
    """One pass over the frames in random order; returns the mean loss. The last, partial batch is left out."""
    seed, epoch = seed_epoch
    generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    batch, steps = _steps(train, len(frames))
    order = torch.randperm(len(frames), generator=generator)[: batch * steps]
    device = _device(teacher)
    codes_NCHW, labels = pixel_codes(frames.images).to(device), torch.from_numpy(frames.labels).to(device)
    order = order.to(device)
    scales, total = net.logit_scales, torch.zeros((), device=device)
    net.train()
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval()
    for step, indices in enumerate(torch.split(order, batch)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(train, epoch * steps + step, train.epochs * steps)
        x = augment(codes_NCHW[indices].float() * PIXEL_SCALE, train.augment, generator)
        with torch.no_grad():
            goals = teacher(x)
        student = [codes * scale for codes, scale in zip(net(x / PIXEL_SCALE), scales, strict=True)]
        loss = exits_loss(student, labels[indices], train) + DISTILL * distill_loss(student, goals, train)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
        advance(f"quantize: epoch {epoch + 1}/{train.epochs}")
    for module, training in modes:
        module.training = training
    if not bool(total.isfinite()):
        raise ModelError(f"the loss became {float(total)}", where="quantize", hint="lower quantize.lr")
    return round(float(total) / steps, 6)


def _validate(net: QuantizedNet, frames: Frames, goal: Sequence[Any]) -> dict[str, Any]:
    """Accuracy of every exit in exact integers, and how far its logits are from the float network's."""
    codes = net.logits(frames.images)
    real = [c * scale for c, scale in zip(codes, net.logit_scales, strict=True)]
    distance = distill_loss(
        [torch.from_numpy(y).float() for y in real], [torch.from_numpy(y) for y in goal], TrainConfig()
    )
    shares = dict(zip(net.exit_names, accuracy(real, frames.labels), strict=True))
    return {"validation": shares, "distance": round(float(distance), 6) if len(frames) else 0.0}


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _merit(record: dict[str, Any]) -> tuple[float, float]:
    return score_of(list(record["validation"].values())), -record["distance"]


def _steps(train: TrainConfig, frames: int) -> tuple[int, int]:
    batch = min(train.batch, frames)
    return batch, frames // batch


def _check(config: QuantizeConfig, train: TrainConfig, frames: int, exits: int) -> None:
    exit_weights(train, exits)
    check_kinds(train.augment)
    if config.epochs < 0:
        raise ConfigError(f"must be at least 0, not {config.epochs}", where="quantize.epochs")
    if not 0 <= config.lr <= 1e3:
        raise ConfigError(f"must be in 0..1000, not {config.lr}", where="quantize.lr")
    if train.batch < 1:
        raise ConfigError(f"must be at least 1, not {train.batch}", where="train.batch")
    if config.epochs and not frames:
        raise ConfigError("no frames to train on", where="data.limit", hint="raise it, or set quantize.epochs = 0")


@contextmanager
def _bar(train: TrainConfig, splits: Splits, show: bool) -> Generator[Advance]:
    """A progress bar on standard error, or nothing where that is no terminal; yields what to call per step."""
    if not (show and sys.stderr.isatty()):
        yield lambda _text: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("quantize", total=train.epochs * _steps(train, len(splits.train))[1])
        yield lambda text: bar.update(task, advance=1, description=text)
