"""Training: it learns, repeats, survives a kill without a trace, and refuses weights and settings that cannot work."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from codesign.config import ModelConfig, TrainConfig
from codesign.errors import ConfigError, ModelError
from codesign.files import RunFolder
from codesign.nn import train as train_module
from codesign.nn.data import Frames, Splits
from codesign.nn.losses import DISTILL_TEMPERATURE, exits_loss, learning_rate
from codesign.nn.models import build_model
from codesign.nn.predict import accuracy, logits
from codesign.nn.train import load_weights, save_weights, score_of, train
from codesign.nn.weights import state_of

torch.set_num_threads(1)

SHAPE = (12, 12, 1)
CONFIG = TrainConfig(epochs=4, batch=16, lr=0.02, threads=1, augment=("shift",), distill=0.5, device="cpu")


def frames(count: int, seed: int) -> Frames:
    """Three classes that a small network can tell apart: a bright bar in the upper, middle or lower rows, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, *SHAPE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 3, 2:10] = 220
    return Frames(images, labels)


def splits(count: int = 90, validation: int = 30) -> Splits:
    return Splits(frames(count, 1), frames(validation, 2), frames(3, 3), frames(60, 4), classes=3, name="bars")


def model() -> nn.Module:
    return build_model(ModelConfig("lenet5", {"stem_channels": 2, "branch_channels": 4}), SHAPE, 3, seed=1)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
def test_learns_and_reports_what_it_measured(tmp_path: Path, optimizer: str, schedule: str):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, schedule=schedule, epochs=6)
    net, data, run = model(), splits(), RunFolder(tmp_path)
    metrics = train(net, data, config, 1, run)
    assert metrics["test"] == dict(
        zip(("exit1", "final"), accuracy(logits(net, data.test.images), data.test.labels), strict=True)
    )
    assert metrics["test"]["final"] > 0.9
    assert metrics["test"]["exit1"] > 0.9
    assert metrics["source"].startswith("measured: float32, torch")
    assert [len(metrics["history"]), metrics["epochs"]] == [6, 6]
    assert run.read_metrics()["train"] == metrics


def test_the_best_epoch_is_kept_and_of_equals_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scores = iter([0.5, 0.9, 0.9, 0.2])
    monkeypatch.setattr(train_module, "score_of", lambda _accuracies: next(scores))
    seen: list[dict[str, torch.Tensor]] = []
    save = train_module.checkpoint.save_checkpoint

    def remember(path, mark, net, optimizer, progress):
        seen.append(state_of(net))
        save(path, mark, net, optimizer, progress)

    monkeypatch.setattr(train_module.checkpoint, "save_checkpoint", remember)
    net = model()
    assert train(net, splits(), CONFIG, 1, RunFolder(tmp_path))["best_epoch"] == 3
    assert same(state_of(net), seen[2])
    assert same(safetensors.torch.load_file(RunFolder(tmp_path).weights), seen[2])


def test_score_is_half_final_and_half_the_earlier_exits():
    assert score_of([0.8]) == 0.8
    assert score_of([0.6, 1.0]) == pytest.approx(0.8)
    assert score_of([0.4, 0.6, 1.0]) == pytest.approx(0.75)


def test_a_seed_repeats_and_another_differs(tmp_path: Path):
    states = []
    for index, seed in enumerate((1, 1, 2)):
        net = model()
        torch.manual_seed(index)  # what the caller drew before makes no difference
        train(net, splits(), CONFIG, seed, RunFolder(tmp_path / str(index)))
        states.append(state_of(net))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


class Killed(BaseException):
    """Stands for the signal that ends a process."""


def run_killed(monkeypatch: pytest.MonkeyPatch, run: RunFolder, config: TrainConfig, epochs: int) -> None:
    """A run that dies in the middle of the epoch after `epochs` whole ones."""
    calls = 0

    def loss_or_death(*args):
        nonlocal calls
        calls += 1
        if calls > epochs * 5 + 2:  # 90 frames, batches of 16: 5 steps
            raise Killed
        return exits_loss(*args)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "exits_loss", loss_or_death)
        with pytest.raises(Killed):
            train(model(), splits(), config, 1, run)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("killed_after", [0, 1, 3])
def test_a_killed_run_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, killed_after: int
):
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    whole, resumed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "resumed")
    expected = train(model(), splits(), config, 1, whole)
    run_killed(monkeypatch, resumed, config, killed_after)
    assert resumed.checkpoint.exists() == (killed_after > 0)
    assert not resumed.weights.exists()
    steps = count_steps(monkeypatch)
    result = train(model(), splits(), config, 1, resumed)
    assert len(steps) == 5 * (4 - killed_after)
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    for key in ("best_epoch", "validation", "test"):
        assert result[key] == expected[key]
    assert [r["loss"] for r in result["history"]] == [r["loss"] for r in expected["history"]]


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every training step from now on."""
    steps: list[int] = []
    monkeypatch.setattr(train_module, "exits_loss", lambda *args: steps.append(1) or exits_loss(*args))
    return steps


def test_a_finished_run_only_loads_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = RunFolder(tmp_path)
    expected = train(model(), splits(), CONFIG, 1, run)
    steps, net = count_steps(monkeypatch), model()
    assert train(net, splits(), dataclasses.replace(CONFIG, threads=2), 1, run) == expected
    assert not steps
    assert same(state_of(net), safetensors.torch.load_file(run.weights))


@pytest.mark.parametrize("change", ["config", "seed", "frames", "weights", "damage"])
def test_a_checkpoint_of_another_run_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str):
    run, net = RunFolder(tmp_path), model()
    train(model(), splits(), CONFIG, 1, run)
    if change == "damage":
        run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:-9])
    if change == "weights":
        net = build_model(ModelConfig("lenet5", {"stem_channels": 2, "branch_channels": 4}), SHAPE, 3, seed=2)
    config = dataclasses.replace(CONFIG, lr=0.01) if change == "config" else CONFIG
    steps = count_steps(monkeypatch)
    train(net, splits(93 if change == "frames" else 90), config, 2 if change == "seed" else 1, run)
    assert len(steps) == 5 * 4


def test_loss_is_the_weighted_sum_and_distillation_leaves_the_final_exit_alone():
    first, last = (torch.randn(6, 3, requires_grad=True) for _ in range(2))
    labels = torch.arange(6) % 3
    config = TrainConfig(exit_weights=(0.3, 2.0))
    plain = 0.3 * F.cross_entropy(first, labels) + 2.0 * F.cross_entropy(last, labels)
    torch.testing.assert_close(exits_loss((first, last), labels, config), plain)
    extra = exits_loss((first, last), labels, dataclasses.replace(config, distill=0.5)) - plain
    p, q = (F.softmax(x.detach() / DISTILL_TEMPERATURE, dim=1) for x in (last, first))
    divergence = (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(extra, 0.3 * 0.5 * DISTILL_TEMPERATURE**2 * divergence, rtol=1e-4, atol=1e-5)
    assert torch.autograd.grad(extra, last, retain_graph=True)[0].abs().max() <= 1e-6
    assert torch.autograd.grad(extra, first)[0].abs().max() > 1e-3


def test_learning_rates_over_a_run():
    rates = {
        s: [learning_rate(TrainConfig(schedule=s, lr=1.0), i, 100) for i in range(101)]
        for s in ("constant", "cosine", "onecycle")
    }
    assert set(rates["constant"]) == {1.0}
    assert rates["cosine"] == sorted(rates["cosine"], reverse=True)
    assert (rates["cosine"][0], rates["cosine"][50], rates["cosine"][100]) == pytest.approx((1, 0.5, 0), abs=1e-9)
    assert rates["onecycle"][0] == pytest.approx(1 / 25)
    assert rates["onecycle"].index(max(rates["onecycle"])) == 25
    assert rates["onecycle"][100] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "train.epochs: must be at least 1, not 0"),
        ({"batch": 1}, "train.batch: must be at least 2, not 1"),
        ({"lr": -0.1}, "train.lr: must be in 0..1000, not -0.1"),
        ({"lr": math.nan}, "train.lr: must be in 0..1000, not nan"),
        ({"label_smoothing": 1.5}, "train.label_smoothing: must be in 0..1, not 1.5"),
        ({"exit_weights": (1.0,)}, "train.exit_weights: 1 weights for 2 exits(.|\n)*one per exit"),
        ({"augment": ("shfit",)}, "unknown augmentation 'shfit'(.|\n)*did you mean 'shift'"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, change: dict[str, object], words: str):
    with pytest.raises(ConfigError, match=words):
        train(model(), splits(), dataclasses.replace(CONFIG, **change), 1, RunFolder(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="torch finds no CUDA device"):
        train(model(), splits(), dataclasses.replace(CONFIG, device="cuda"), 1, RunFolder(tmp_path))


def test_a_loss_that_is_no_number(tmp_path: Path):
    config = dataclasses.replace(CONFIG, lr=1000.0, optimizer="sgd")
    with pytest.raises(ModelError, match=r"the loss became (nan|inf) in epoch \d(.|\n)*lower train.lr"):
        train(model(), splits(), dataclasses.replace(config, epochs=30), 1, RunFolder(tmp_path))
    assert not RunFolder(tmp_path).weights.exists()


def test_a_set_smaller_than_a_batch_is_one_batch_and_no_validation_takes_the_last_epoch(tmp_path: Path):
    few = splits(9, validation=0)
    assert train(model(), few, CONFIG, 1, RunFolder(tmp_path))["best_epoch"] == 4


# --- weights ------------------------------------------------------------------------------------------------------


def test_weights_come_back_bit_for_bit(tmp_path: Path):
    saved, loaded = model(), build_model(ModelConfig("lenet5", {"stem_channels": 2, "branch_channels": 4}), SHAPE, 3)
    assert not same(state_of(saved), state_of(loaded))
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    assert same(state_of(saved), state_of(loaded))


def changed(**changes: torch.Tensor | None) -> bytes:
    """The weights file of `model()` with some tensors replaced, added, or, for None, left out."""
    tensors = {name.replace("__", "."): value for name, value in changes.items()}
    state = {name: value for name, value in (state_of(model()) | tensors).items() if value is not None}
    return safetensors.torch.save(state)


WHOLE = changed()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file(.|\n)*train first"),
        (b"", "is truncated or not a safetensors file"),
        (WHOLE[:-4], "is truncated or not a safetensors file"),
        (b"\xff" * 8 + WHOLE[8:], "is truncated or not a safetensors file"),
        (WHOLE.replace(b'"shape":[3]', b'"shape":[9]', 1), "is truncated or not a safetensors file"),
        (b"PK\x03\x04 a pickle, as torch.save writes it", "is truncated or not a safetensors file"),
        (
            changed(final__head__bias=None),
            r"misses 'final.head.bias': these are the weights of another network(.|\n)*or `codesign train --force`",
        ),
        (changed(more=torch.zeros(1)), "has the unknown 'more'"),
        (changed(final__head__bias=torch.zeros(4)), r"final.head.bias has shape \(4,\), not \(3,\)"),
        (changed(final__head__bias=torch.zeros(3, dtype=torch.int64)), "final.head.bias is torch.int64, not"),
        (changed(final__head__bias=torch.tensor([0, math.nan, 0])), "final.head.bias holds NaN or infinity"),
        (changed(stem__norm__running_var=torch.full((2,), math.inf)), "running_var holds NaN or infinity"),
    ],
)
def test_weights_that_cannot_be_used_leave_the_model_as_it_was(tmp_path: Path, content: bytes | None, words: str):
    path, net = tmp_path / "w.safetensors", model()
    if content is not None:
        path.write_bytes(content)
    before = state_of(net)
    with pytest.raises(ModelError, match=words) as caught:
        load_weights(net, path)
    assert str(path) in str(caught.value)
    assert same(before, state_of(net))
