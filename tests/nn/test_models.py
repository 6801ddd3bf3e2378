"""Every network of the zoo: shapes, layers, repeatable weights; and a network of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.fx
from torch import nn

from codesign.config import ModelConfig, load_config
from codesign.errors import ModelError
from codesign.nn.data.augment import check_kinds
from codesign.nn.exits import exits_of
from codesign.nn.losses import exit_weights
from codesign.nn.models import ZOO, build_model
from codesign.nn.predict import accuracy, logits

torch.set_num_threads(1)

CONFIGS = Path(__file__).parents[2] / "configs"

# Every layer that the exporter knows; a network of the zoo uses no other.
KNOWN = (
    nn.Conv2d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.ReLU6,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Linear,
    nn.Flatten,
    nn.Dropout,
    nn.Identity,
)
OPTIONS = [
    ("lenet5", {}),
    ("lenet5", {"stem_channels": 4, "branch_channels": 8, "branch_stride": 2}),
    ("vgg_cifar", {"width": 0.5}),
    ("resnet_cifar", {"width": 0.25, "blocks": 2}),
    ("mobile_cifar", {"width": 0.5}),
    ("mobile_cifar", {"exits": 2}),
]


def shape_of(name: str) -> tuple[int, int, int]:
    return (28, 28, 1) if name == "lenet5" else (32, 32, 3)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_traces_to_layers_that_the_exporter_knows(name: str, options: dict[str, object]):
    model = build_model(ModelConfig(name, options), shape_of(name), 10)
    traced = torch.fx.symbolic_trace(model)
    for node in traced.graph.nodes:
        if node.op == "call_module":
            layer = model.get_submodule(str(node.target))
            assert isinstance(layer, KNOWN)
            assert not isinstance(layer, nn.Conv2d) or layer.groups in (1, layer.in_channels)
        else:
            assert node.op in ("placeholder", "output") or str(node.target).endswith("add>")


@pytest.mark.parametrize("name", ZOO)
def test_every_frame_gets_logits_at_every_exit_whatever_the_batch(name: str):
    model = build_model(ModelConfig(name), shape_of(name), 7)
    images = np.random.default_rng(1).integers(0, 256, (5, *shape_of(name)), np.uint8)
    whole, parts = logits(model, images), logits(model, images, batch=2)
    assert len(whole) == len(exits_of(model))
    for a, b in zip(whole, parts, strict=True):
        assert a.shape == (5, 7)
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert model.training


def test_the_branch_of_lenet5_is_what_the_paper_puts_into_hardware():
    model = build_model(ModelConfig("lenet5"), (28, 28, 1), 10)
    x = model.stem(torch.zeros(1, 1, 28, 28))
    assert x.shape == (1, 6, 14, 14)
    assert model.exit1.head.conv.conv(x).shape == (1, 16, 12, 12)
    assert model.exit1.head.linear.in_features == 576


def test_same_seed_same_weights_and_the_callers_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = (build_model(ModelConfig("lenet5"), (28, 28, 1), 10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.stem.conv.weight, c.stem.conv.weight)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ModelConfig("lenet"), "no network of the zoo is named 'lenet'(.|\n)*did you mean 'lenet5'"),
        (ModelConfig("lenet5", {"widht": 2}), "unknown option 'widht'"),
        (ModelConfig("vgg_cifar", {"widht": 2}), "unknown option 'widht'(.|\n)*did you mean 'width'"),
        (ModelConfig("vgg_cifar", {"width": -1}), "width must be a number in 0..64, not -1"),
        (ModelConfig("vgg_cifar", {"width": "big"}), "width must be a number in 0..64, not 'big'"),
        (ModelConfig("resnet_cifar", {"blocks": 0}), "blocks must be a positive integer, not 0"),
        (ModelConfig("lenet5", {"branch_channels": 2.5}), "branch_channels must be a positive integer, not 2.5"),
        (ModelConfig("mobile_cifar", {"exits": 4}), "exits must be 2 or 3, not 4"),
        (ModelConfig("no_such_package:Net"), "cannot import 'no_such_package'"),
        (ModelConfig("codesign.nn.exits:Nett"), "module 'codesign.nn.exits' has no 'Nett'"),
        (ModelConfig("codesign.nn.exits:FINAL"), "is not a class or a function"),
        (ModelConfig("codesign.nn.exits:"), "does not name a Class"),
        (ModelConfig("torch.nn:Linear", {"in_features": 2}), "cannot be built with options"),
        (ModelConfig("torch.nn:Identity"), "the model has no exit"),
        (ModelConfig("fractions:Fraction"), "makes a Fraction, not a torch module"),
    ],
)
def test_models_that_cannot_be_built(config: ModelConfig, words: str):
    with pytest.raises(ModelError, match=words):
        build_model(config, (28, 28, 1), 10)


def test_frames_too_small_for_a_network_are_named():
    with pytest.raises(ModelError, match=r"vgg_cifar: cannot be built|frames of 4x4x3"):
        build_model(ModelConfig("vgg_cifar"), (4, 4, 3), 10)


def test_a_users_own_class_gets_its_options_and_the_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_own_net.py").write_text(
        "from torch import nn\n"
        "from codesign.nn.exits import Cascade\n"
        "def make(input_shape, depth):\n"
        "    H, W, C = input_shape\n"
        "    return Cascade([nn.Flatten()], [nn.Linear(H * W * C, depth)])\n"
        "broken = 1\n"
    )
    (tmp_path / "my_bad_net.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    model = build_model(ModelConfig("my_own_net:make", {"depth": 3}), (4, 4, 1), 3)
    assert exits_of(model) == ("final",)
    with pytest.raises(ModelError, match="fails while it is imported: ZeroDivisionError"):
        build_model(ModelConfig("my_bad_net:Net"), (4, 4, 1), 3)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_config_builds_its_network(path: Path):
    config = load_config(path)
    model = build_model(config.model, shape_of(config.model.name), 10)
    assert config.name == path.stem
    assert len(exit_weights(config.train, len(exits_of(model)))) == len(exits_of(model))
    check_kinds(config.train.augment)


def test_accuracy_counts_right_answers_per_exit():
    labels = np.array([0, 1, 1, 0])
    right = np.eye(2, dtype=np.float32)[labels]
    assert accuracy([right, 1 - right, np.zeros((4, 2), np.float32)], labels) == [1.0, 0.0, 0.5]
    assert accuracy([np.zeros((0, 2), np.float32)], np.zeros(0, np.int64)) == [0.0]
