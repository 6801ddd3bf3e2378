"""Slimmable networks: slices of one set of weights, four recipes and the laws each keeps, a kill that leaves no trace."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from codesign.config import ModelConfig, SlimConfig, TrainConfig
from codesign.errors import ModelError
from codesign.files import RunFolder
from codesign.nn import train as train_module
from codesign.nn.data import Frames, Splits
from codesign.nn.exits import Exit, MultiExit
from codesign.nn.models import build_model
from codesign.nn.slim import Slimmable
from codesign.nn.slim_recipes import Incremental, recipe_of
from codesign.nn.trace import trace
from codesign.nn.train import train
from codesign.nn.weights import load_weights, state_of
from tests import nets

torch.set_num_threads(1)

SHAPE = (12, 12, 1)
WIDTHS = (0.25, 0.5, 1.0)
TRAIN = TrainConfig(epochs=2, batch=16, lr=0.02, threads=1, augment=("shift",), distill=0.5, device="cpu")
RECIPES = ("joint", "sandwich", "causal", "incremental")


def slim(recipe: str = "sandwich", widths: tuple[float, ...] = WIDTHS, step: int = 1, **keys: float) -> SlimConfig:
    return SlimConfig(widths=widths, recipe=recipe, step=step, **keys)  # type: ignore[arg-type]


def lenet(recipe: str = "sandwich") -> Slimmable:
    model = build_model(ModelConfig("lenet5", {"stem_channels": 4, "branch_channels": 4}), SHAPE, 3, seed=1)
    return Slimmable(model, SHAPE, slim(recipe))


def frames(count: int, seed: int) -> Frames:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, *SHAPE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 3, 2:10] = 220
    return Frames(images, labels)


def splits() -> Splits:
    return Splits(frames(48, 1), frames(30, 2), frames(3, 3), frames(30, 4), classes=3, name="bars")


def run(model: Slimmable, folder: Path, config: TrainConfig = TRAIN) -> dict:
    return train(model, splits(), config, 1, RunFolder(folder), recipe=recipe_of(model.config))


def batch(seed: int = 0) -> Tensor:
    return torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(seed))


def features(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every convolution, linear layer and batch norm of a network computes in evaluation, by its path."""
    seen: dict[str, Tensor] = {}
    layers = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    hooks = [m.register_forward_hook(lambda _m, _x, y, name=name: seen.update({name: y})) for name, m in layers]
    net.eval()
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("name", sorted(nets.ZOO))
@pytest.mark.parametrize("recipe", ["sandwich", "causal"])
def test_every_network_of_the_zoo_can_be_slimmed(name: str, recipe: str):
    shape, _ = nets.ZOO[name]
    options = {"stem_channels": 8} if name == "lenet5" else {"width": 0.5}
    model = Slimmable(build_model(ModelConfig(name, options), shape, 10, seed=1), shape, slim(recipe, step=2))
    wide = trace(model.at(1.0), shape)
    for width in WIDTHS:
        narrow = trace(model.at(width), shape)
        assert [layer.name for layer in narrow.layers] == [layer.name for layer in wide.layers]
        for layer in narrow.layers:
            shrunk, whole = narrow.shapes[layer.name], wide.shapes[layer.name]
            assert shrunk[1:] == whole[1:]
            if len(shrunk) == 3:
                assert shrunk[0] % 2 == 0
        assert all(narrow.shapes[point.logits] == (10,) for point in narrow.exits)


def test_the_weights_are_slices_of_one_set():
    model = lenet()
    wide = model.at(1.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1)  # after the views are made
    for narrow in (model.at(0.25), model.at(0.5)):
        for name, part in narrow.named_parameters():
            whole = wide.get_parameter(name)
            if part.ndim > 1:
                assert part.data_ptr() == whole.data_ptr()
                assert torch.equal(part, whole[tuple(slice(size) for size in part.shape)])
            else:
                assert part.data_ptr() != whole.data_ptr()
    count = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    assert count == sum(p.numel() for p in wide.parameters() if p.ndim > 1)


def test_a_flattened_map_keeps_whole_channels():
    """The columns that a linear layer keeps behind a flatten are all pixels of the first channels."""
    model = lenet()
    assert model.at(0.25).get_parameter("exit1.head.linear.weight").shape == (3, 4)  # 1 channel of 2 x 2
    assert model.at(1.0).get_parameter("exit1.head.linear.weight").shape == (3, 16)


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_learns_and_gradients_reach_every_width(tmp_path: Path, recipe: str):
    model = lenet(recipe)
    first = state_of(model)
    metrics = run(model, tmp_path, dataclasses.replace(TRAIN, epochs=4))
    assert set(metrics["test"]) == {f"{width:g}/{name}" for width in WIDTHS for name in ("exit1", "final")}
    assert metrics["test"]["1/final"] > 0.8
    assert metrics["test"]["0.25/final"] > 0.5
    assert metrics["epochs"] == (12 if recipe == "incremental" else 4)
    last = state_of(model)
    for name, value in last.items():
        changed = not torch.equal(value, first[name])
        assert changed or not value.is_floating_point(), name  # every parameter, and every width's statistics
    for cut, weight in model.shared():
        moved = weight.detach() != first[f"widest.{cut.path}.weight"]
        for width in WIDTHS:
            assert bool(moved[cut.index(width, 1)].any())


def test_statistics_belong_to_a_width(tmp_path: Path):
    model = lenet("joint")
    run(model, tmp_path)
    means = [model.at(width).get_buffer("rest.conv.norm.running_mean") for width in WIDTHS]
    assert [len(mean) for mean in means] == [4, 8, 16]
    assert not torch.equal(means[0], means[1][:4])
    assert not torch.equal(means[1], means[2][:8])


def test_the_gradient_of_the_shared_weights_is_the_sum_over_widths():
    model = lenet("joint")
    recipe = recipe_of(model.config)(model, TRAIN, ("exit1", "final"))
    recipe.begin(0)
    x, labels = batch(), torch.arange(8) % 3
    weight = model.at(1.0).get_parameter("rest.linear2.weight")
    recipe.learn(torch.optim.SGD(model.parameters(), lr=0.0), x, labels)
    assert weight.grad is not None
    expected = torch.zeros_like(weight)
    for view in model.views():
        view.net.train()
        part = view.net.get_parameter("rest.linear2.weight")
        (gradient,) = torch.autograd.grad(train_module.exits_loss(view.net(x), labels, TRAIN), part)
        expected[: part.shape[0], : part.shape[1]] += gradient
    torch.testing.assert_close(weight.grad, expected)


def test_incremental_freezes_what_narrower_widths_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Width by width: the answers of finished widths, and weights not yet in use, do not change by a bit."""
    model = lenet("incremental")
    x, states, answers = batch(), [], []
    begin = Incremental.begin

    def remember(self: Incremental, epoch: int) -> None:
        if epoch % TRAIN.epochs == 0:
            states.append(state_of(model))
            answers.append([model.at(width).eval()(x)[1].detach().clone() for width in WIDTHS])
        begin(self, epoch)

    monkeypatch.setattr(Incremental, "begin", remember)
    run(model, tmp_path, dataclasses.replace(TRAIN, weight_decay=0.1))
    states.append(state_of(model))
    answers.append([model.at(width).eval()(x)[1].detach().clone() for width in WIDTHS])
    assert len(states) == 4
    for stage in range(3):
        for done in range(stage):
            assert torch.equal(answers[stage][done], answers[stage + 1][done])
        assert not torch.equal(answers[stage][stage], answers[stage + 1][stage])
        for cut, _ in model.shared():
            before, after = (states[i][f"widest.{cut.path}.weight"] for i in (stage, stage + 1))
            frozen = torch.ones_like(before, dtype=torch.bool)
            frozen[cut.index(WIDTHS[stage], 1)] = False
            if stage:
                frozen[cut.index(WIDTHS[stage - 1], 1)] = True
            assert torch.equal(before[frozen], after[frozen]), cut.path
            assert not torch.equal(before[~frozen], after[~frozen]), cut.path


def test_causal_widths_compute_the_first_channels_of_wider_ones(tmp_path: Path):
    model = lenet("causal")
    run(model, tmp_path, dataclasses.replace(TRAIN, weight_decay=0.1))
    values = [features(model.at(width), batch()) for width in WIDTHS]
    logits = {cut.path for cut in model.cuts if cut.logits}
    assert logits == {"exit1.head.linear", "final.head"}
    for narrow, wide in itertools.pairwise(values):
        for name in narrow.keys() - logits:
            torch.testing.assert_close(narrow[name], wide[name][:, : narrow[name].shape[1]], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(narrow["final.head"], wide["final.head"])
    for cut, weight in model.shared():
        rows, columns = (*cut.index(0.25, 1), slice(None))[:2]
        if cut.outputs.slim and cut.inputs is not None and cut.inputs.slim:
            assert int(weight[rows, columns.stop :].count_nonzero()) == 0


class Killed(BaseException):
    """Stands for the signal that ends a process."""


@pytest.mark.parametrize(("recipe", "after"), [("joint", 1), ("sandwich", 1), ("causal", 1), ("incremental", 2)])
def test_a_killed_run_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, after: int
):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run(lenet(recipe), whole)
    save = train_module.checkpoint.save_checkpoint

    def save_then_die(path, mark, model, optimizer, progress):
        save(path, mark, model, optimizer, progress)
        if progress.epochs_done == after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(train_module.checkpoint, "save_checkpoint", save_then_die)
        with pytest.raises(Killed):
            run(lenet(recipe), resumed)
    run(lenet(recipe), resumed)
    assert RunFolder(whole).weights.read_bytes() == RunFolder(resumed).weights.read_bytes()
    loaded = lenet(recipe)
    load_weights(loaded, RunFolder(whole).weights)
    other = lenet(recipe)
    load_weights(other, RunFolder(resumed).weights)
    for width in WIDTHS:
        for a, b in zip(loaded.at(width).eval()(batch()), other.at(width).eval()(batch()), strict=True):
            assert torch.equal(a, b)


def test_another_recipe_does_not_go_on_from_the_checkpoint(tmp_path: Path):
    run(lenet("joint"), tmp_path)
    before = RunFolder(tmp_path).weights.read_bytes()
    run(lenet("sandwich"), tmp_path)
    assert RunFolder(tmp_path).weights.read_bytes() != before


@pytest.mark.parametrize("recipe", ["sandwich", "causal"])
def test_a_network_alone_has_weights_of_its_own(recipe: str):
    model = lenet(recipe)
    alone = model.alone(0.5, seed=3)
    assert [p.shape for p in alone.parameters()] == [p.shape for p in model.at(0.5).parameters()]
    same = model.alone(0.5, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), same.parameters(), strict=True))
    pointers = {p.data_ptr() for p in model.parameters()}
    assert not any(p.data_ptr() in pointers for p in alone.parameters())
    before = alone.get_buffer("stem.norm.running_mean").clone()
    alone.train()(batch())
    assert not torch.equal(alone.get_buffer("stem.norm.running_mean"), before)


class Odd(MultiExit):
    """A layer under test behind a stem of 4 channels."""

    def __init__(self, layer: nn.Module, *, add_image: bool = False) -> None:
        super().__init__()
        self.stem, self.layer, self.add_image = nn.Conv2d(2, 4, 3, padding=1), layer, add_image
        self.last = Exit(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3)))
        self(torch.zeros(1, 2, 6, 6))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.layer(self.stem(x))
        return (self.last(y + x if self.add_image else y),)


def test_what_cannot_be_slimmed_is_refused():
    def refused(model: nn.Module, words: str, config: SlimConfig | None = None) -> None:
        config = config or slim(widths=(0.5, 1.0))
        with pytest.raises(ModelError, match=words) as raised:
            Slimmable(model, (6, 6, 2), config)
        assert raised.value.hint

    refused(Odd(nn.Conv2d(4, 4, 3, groups=2)), "2 groups cannot be slimmed")
    refused(Odd(nn.Conv2d(4, 6, 3)), "6 channels are no multiple of slim.step = 4", slim(widths=(0.5, 1.0), step=4))
    refused(Odd(nn.Identity()), "give the same channels", slim(widths=(0.8, 0.9, 1.0)))
    refused(Odd(nn.Conv2d(4, 2, 1), add_image=True), "new channels would change old ones", slim("causal", (0.5, 1.0)))
    shared = nn.Conv2d(4, 4, 1)
    refused(Odd(nn.Sequential(shared, nn.ReLU(), shared)), "is used twice")


def test_what_is_added_to_the_image_keeps_its_channels():
    model = Slimmable(Odd(nn.Conv2d(4, 2, 1), add_image=True), (6, 6, 2), slim(widths=(0.5, 1.0)))
    assert model.at(0.5).get_parameter("layer.weight").shape == (2, 2, 1, 1)


def test_a_width_that_is_not_there_is_named():
    with pytest.raises(ModelError, match=r"no network of width 0\.3"):
        lenet().at(0.3)
