"""Plain software of a network: the same answers as the model, cut in two or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import Residual, frames, odd, randomized, zoo
from torch import Tensor, nn

from codesign.errors import ModelError
from codesign.flow.cascade import exits_in_float
from codesign.nn import software
from codesign.nn.data.frames import to_tensor
from codesign.nn.exits import Exit, MultiExit
from codesign.nn.predict import logits

NETWORKS = ("padding", "pools", "tutorial", "residual", "behind", "lenet5", "vgg_cifar", "resnet_cifar")


def net(name):
    return zoo(name) if name in ("lenet5", "vgg_cifar", "resnet_cifar") else odd(name)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_runner_gives_the_final_logits(name):
    model, shape = net(name)
    images = frames(shape, 9)
    with software.eager():
        np.testing.assert_array_equal(software.torch_runner(model)(images), logits(model, images)[-1])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "tutorial"])
def test_a_model_cut_at_any_exit_gives_the_same_logits(name):
    model, shape = net(name)
    images = frames(shape, 9)
    every = logits(model, images)
    with software.eager():
        for exit_ in range(len(every) - 1):
            head, tail = software.cut_module(model, exit_)
            early, features = head(to_tensor(images))
            np.testing.assert_allclose(early.numpy(), every[exit_], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(tail(features).numpy(), every[-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_cascade_in_torch_stops_the_frames_that_it_should(share):
    model, shape = net("lenet5")
    images = frames(shape, 40)
    early, final = logits(model, images)
    stopping = np.arange(40) < share * 40
    with software.eager():
        got = software.torch_cascade(model, -2, lambda _: torch.from_numpy(stopping))(images)
    np.testing.assert_allclose(got, np.where(stopping[:, None], early, final), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("criterion", "threshold"), [("entropy", 0.8), ("max-probability", 0.6), ("margin", 1.0)])
def test_torch_stops_where_the_float_criterion_does(criterion, threshold):
    values = np.random.default_rng(0).normal(0, 2, (500, 5)).astype(np.float32)
    got = software.stops_by(criterion, threshold)(torch.from_numpy(values)).numpy()
    assert (got == exits_in_float(criterion, values, threshold)).mean() > 0.995
    assert 0.1 < got.mean() < 0.9


def test_a_cut_that_two_values_cross_is_an_error():
    class Crossed(MultiExit):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, padding=1)
            self.exit1, self.exit2 = Exit(nn.Sequential(nn.Flatten(), nn.Linear(32, 3))), Exit(nn.Flatten())

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            x = self.a(x)
            y = self.b(x)
            return self.exit1(y), self.exit2(x + y)

    with pytest.raises(ModelError, match="2 values cross the cut behind exit 0"):
        software.cut_module(Crossed(), 0)


def test_cutting_leaves_the_model_as_it_was():
    model = randomized(Residual(), 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    software.cut_module(model, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_eager_puts_the_number_of_threads_back():
    before = torch.get_num_threads()
    with software.eager(1):
        assert torch.get_num_threads() == 1
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == before


@pytest.mark.skipif(bool(software.missing_for_onnx()), reason="needs onnxruntime, onnx, onnxscript")
def test_onnx_runtime_gives_the_final_logits_of_any_number_of_frames():
    model, shape = net("lenet5")
    run = software.onnx_runner(model, shape)
    for count in (1, 7):
        images = frames(shape, max(2, count))[:count]
        np.testing.assert_allclose(run(images), logits(model, images)[-1], rtol=1e-3, atol=1e-4)


def test_what_onnx_runtime_lacks_is_named(monkeypatch):
    monkeypatch.setattr(software, "ONNX_PACKAGES", ("numpy", "no_such_package"))
    assert software.missing_for_onnx() == ["no_such_package"]
