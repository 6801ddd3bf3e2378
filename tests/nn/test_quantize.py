"""Quantization: laws of scales and rounding, the bound on its error, fine-tuning, files, and errors by their words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nets import ODD, frames, odd, zoo

from codesign.config import LayerBits, ModelConfig, QuantizeConfig, TrainConfig
from codesign.errors import ConfigError, ModelError
from codesign.files import RunFolder
from codesign.ir.types import IntType
from codesign.nn.calibrate import best_exponent, integer_gain, logit_exponent, weight_scale
from codesign.nn.data import Frames, Splits, to_tensor
from codesign.nn.integer_net import PIXELS, pixel_codes
from codesign.nn.models import build_model
from codesign.nn.predict import logits
from codesign.nn.quantize import (
    QuantizedNet,
    calibrate_net,
    load_quantized,
    quantize,
    save_quantized,
    widen_logits,
)
from codesign.nn.train import train

torch.set_num_threads(1)

FLOAT32 = 2.0**-22  # relative, of a folded weight or bias against the model in float64


def calibrated(name, config=QuantizeConfig(), seed=0):  # noqa: B008  (frozen)
    model, shape = odd(name, seed) if name in ODD else zoo(name, seed)
    net = QuantizedNet(model, shape, config)
    calibrate_net(net, frames(shape))
    return model, net


def splits(shape, classes=4, count=160):
    """Frames whose class is the brightest quarter, with noise: learnable in an epoch or two."""
    rng = np.random.default_rng(0)

    def part(n):
        labels = rng.integers(0, classes, n)
        images = rng.integers(0, 100, (n, *shape))
        for image, label in zip(images, labels, strict=True):
            rows = shape[0] // 2
            image[(label // 2) * rows : (label // 2 + 1) * rows, (label % 2) * rows : (label % 2 + 1) * rows] += 120
        return Frames(images.astype(np.uint8), labels.astype(np.int64))

    return Splits(part(count), part(40), part(40), part(40), classes, "quarters")


@pytest.mark.parametrize("name", [*ODD, "lenet5", "mobile_cifar", "resnet_cifar"])
def test_folded_steps_compute_what_the_model_computes(name):
    model, shape = odd(name) if name in ODD else zoo(name)
    net, images = QuantizedNet(model, shape, QuantizeConfig()), frames(shape)

    with torch.no_grad():
        values = net.run(pixel_codes(images).double() * PIXELS.scale, lambda unit, x: unit.real(*x))
    for point, want in zip(net.steps.exits, logits(model, images), strict=True):
        np.testing.assert_allclose(values[point.logits], want, rtol=1e-3, atol=1e-3 * np.abs(want).max())


@pytest.mark.parametrize("scales", ["power-of-two", "per-channel"])
@pytest.mark.parametrize("name", [*ODD, "lenet5"])
def test_sixteen_bits_are_as_near_to_float_as_the_errors_of_all_steps_allow(name, scales):
    config = QuantizeConfig(16, 16, scales, multiplier_bits=20, logit_fraction_bits=12, logit_bits=24)
    model, net = calibrated(name, config)
    images = frames(net.input_shape)

    bounds = error_bounds(net, images)
    exact = float_logits(model, images)
    for codes, scale, want, bound in zip(net.logits(images), net.logit_scales, exact, bounds, strict=True):
        assert (np.abs(codes * scale - want) <= bound + 1e-9).all()
        assert np.abs(codes * scale - want).max() < 2 * scale  # errors do not add up as badly as they could


def float_logits(model, images):
    model = model.double()
    with torch.no_grad():
        result = [y.numpy() for y in model(to_tensor(images).double())]
    model.float()
    return result


def error_bounds(net, images):
    """What rounding can do to every logit: each step adds its own to its inputs' errors times |weights|.

    The first half of the batch carries the real values, the second the bounds on their errors.
    """

    def compute(unit, x):
        half = len(x[0]) // 2
        values, errors = [v[:half] for v in x], [v[half:] for v in x]
        y = unit.real(*values)
        ones = (1,) * len(x)
        gain = unit.gain.abs().view(1, -1, *(1,) * (y.ndim - 2))
        if unit.weight is None:
            integer = unit.multiplier.double() * 2.0 ** (unit.grid.exponent - unit.acc_exponent - int(unit.shift))
            slip = (integer - unit.gain).abs().view_as(gain)
            peaks = [v.abs() + e for v, e in zip(values, errors, strict=True)]
            error = unit._accumulate(None, ones, *errors) * gain + unit._accumulate(None, ones, *peaks) * slip
        else:
            scale = unit.weight_scale.view(-1, *(1,) * (unit.weight.ndim - 1))
            used = unit.weight_codes() * scale
            slip = (used - unit.weight.detach().double()).abs() + FLOAT32 * unit.weight.detach().double().abs()
            error = unit._accumulate(used.abs(), ones, *errors) + unit._accumulate(
                slip, ones, *[v.abs() for v in values]
            )
        # Half a step of the output, half a step of the bias, and the float32 that the folded bias is kept in.
        bias = FLOAT32 * unit.bias.abs().view_as(gain)
        return torch.cat([y, error + unit.grid.scale * (0.5 + 0.5 * 2.0 ** -int(unit.shift)) + bias])

    image = pixel_codes(images).double() * PIXELS.scale
    with torch.no_grad():
        values = net.run(torch.cat([image, torch.zeros_like(image)]), compute)
    return [values[point.logits][len(images) :].numpy() for point in net.steps.exits]


def test_training_arithmetic_agrees_with_the_exact_integers():
    _, net = calibrated("lenet5")
    codes = pixel_codes(frames(net.input_shape, 20)).float()

    exact = net.eval()(codes.double())
    trained = net.train()(codes)
    for want, got in zip(exact, trained, strict=True):
        assert (want - got).abs().max() <= 1
        assert (want == got).float().mean() > 0.98


@given(st.lists(st.floats(1e-6, 4.0), min_size=1, max_size=6), st.integers(2, 24), st.booleans())
def test_integer_gains_are_within_one_step_and_use_their_bits(ratios, bits, upwards):
    ratio = torch.tensor(ratios, dtype=torch.float64)
    multiplier, shift = integer_gain(ratio, bits, upwards=upwards)

    error = multiplier.double() * 2.0**-shift - ratio
    assert int(multiplier.max()) < 2**bits or shift == 0
    assert float(error.abs().max()) <= (1.0 if upwards else 0.5) * 2.0**-shift
    if upwards:
        assert float(error.min()) >= 0
    if int(multiplier.max()) > 1 and 0 < shift < 48:
        assert int(multiplier.max()) >= 2 ** (bits - 1) - 1


@given(st.integers(-20, 20))
def test_one_power_of_two_is_a_shift_alone(exponent):
    multiplier, shift = integer_gain(torch.full((3,), 2.0**exponent, dtype=torch.float64), 12)

    assert (multiplier == 2 ** max(exponent, 0)).all()
    assert shift == max(-exponent, 0)


@given(st.integers(0, 2**31), st.integers(2, 16), st.booleans(), st.integers(-12, 12))
def test_the_chosen_scale_has_the_least_squared_error(seed, bits, signed, octave):
    values = torch.from_numpy(np.random.default_rng(seed).standard_t(3, 300)) * 2.0**octave
    values, dtype = values if signed else values.abs(), IntType(bits, signed)

    def error(exponent):
        codes = (values / 2.0**exponent).round().clamp(dtype.min, dtype.max)
        return float((codes * 2.0**exponent - values).square().mean())

    chosen = best_exponent(values, dtype)
    assert error(chosen) <= min(error(chosen - 1), error(chosen + 1)) * (1 + 1e-9)


def test_a_layer_of_zeros_gets_a_scale():
    weight = torch.zeros(3, 4, dtype=torch.float64)

    assert (weight_scale(weight, 127, True) > 0).all()
    assert (weight_scale(weight, 127, False) == 1).all()
    assert best_exponent(torch.zeros(5), IntType(8)) == -6
    assert int(integer_gain(torch.zeros(2, dtype=torch.float64), 8)[0].sum()) == 0


def test_logits_keep_their_fraction_bits_until_they_would_overflow():
    config = QuantizeConfig(logit_bits=8, logit_fraction_bits=6)

    assert logit_exponent(torch.tensor([-0.9, 1.0]), IntType(8), config) == -6
    assert logit_exponent(torch.tensor([-30.0, 1.0]), IntType(8), config) == -1
    with pytest.raises(ConfigError, match="logits up to 300 do not fit s8"):
        logit_exponent(torch.tensor([200.0]), IntType(8), config)


def test_logits_that_saturate_get_a_wider_scale():
    model, net = calibrated("lenet5")
    images = frames(net.input_shape)
    for unit in net.rounding():
        if unit.step.logits:
            unit.exponent -= 9
            unit.shift -= 9
    assert max(net.saturation(images).values()) > 0

    widen_logits(net, images)

    assert all(share == 0 for name, share in net.saturation(images).items() if net.unit(name).step.logits)
    for codes, scale, want in zip(net.logits(images), net.logit_scales, logits(model, images), strict=True):
        np.testing.assert_allclose(codes * scale, want, atol=0.1 * np.abs(want).max())


def test_wider_logits_leave_the_layers_behind_them_as_they_were():
    _, net = calibrated("behind")
    images, first, relu = frames(net.input_shape), net.unit("first.head.1"), net.unit("second.head.0")
    gain, want = relu.weight_scale, net.logits(images)[1] * net.logit_scales[1]
    first.exponent -= 11
    first.shift -= 11
    relu.shift += 11
    net.connect()
    assert net.saturation(images)["first.head.1"] > 0

    widen_logits(net, images)

    assert net.saturation(images)["first.head.1"] == 0
    torch.testing.assert_close(relu.weight_scale, gain)
    np.testing.assert_allclose(net.logits(images)[1] * net.logit_scales[1], want, atol=0.05)


def test_an_add_of_values_too_far_apart_is_refused():
    model, shape = odd("residual")
    model.a.weight.data *= 1e-9
    model.a.bias.data *= 1e-9

    with pytest.raises(ModelError, match="add adds values whose scales differ") as caught:
        calibrate_net(QuantizedNet(model, shape, QuantizeConfig()), frames(shape))
    assert "batch norm behind both branches" in caught.value.hint


def test_without_validation_frames_the_last_epoch_stays():
    shape = (12, 12, 1)
    data = splits(shape)
    data = replace(data, validation=data.validation.take(np.arange(0)))

    net = quantize(small(shape), data, QuantizeConfig(epochs=1), TrainConfig(batch=16, threads=1), 1, progress=False)

    assert len(net.logits(data.test.images)[0]) == len(data.test)


def test_fine_tuning_recovers_what_few_bits_lose(tmp_path):
    shape, run = (12, 12, 1), RunFolder(tmp_path)
    data, config = splits(shape), TrainConfig(epochs=4, batch=16, threads=1)
    model = small(shape)
    train(model, data, config, 1, run, progress=False)
    few = QuantizeConfig(weight_bits=2, activation_bits=2, epochs=4, lr=2e-3)

    net = quantize(model, data, few, config, 1, run, progress=False)

    metrics = run.read_metrics()["quantize"]
    first, *rest = metrics["history"]
    assert min(record["distance"] for record in rest) < first["distance"]
    assert metrics["quantized"]["validation"]["final"] >= first["validation"]["final"]
    assert set(metrics["float"]) == set(metrics["quantized"]) == {"validation", "test"}
    loaded = load_quantized(small(shape), shape, run.quantized)
    assert_equal(loaded.logits(data.test.images), net.logits(data.test.images))


def test_the_same_seed_gives_the_same_integers():
    shape = (12, 12, 1)
    data, model = splits(shape), small(shape).eval()
    config, train = QuantizeConfig(4, 4, epochs=1), TrainConfig(batch=16, augment=("shift",), threads=1)

    first = quantize(model, data, config, train, 5, progress=False)
    again = quantize(model, data, config, train, 5, progress=False)

    assert_equal(first.logits(data.test.images), again.logits(data.test.images))


def small(shape):
    return build_model(ModelConfig("lenet5", {"stem_channels": 4, "branch_channels": 4}), shape, 4, seed=3)


def assert_equal(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_saved_network_computes_the_same_codes(tmp_path):
    _, net = calibrated("residual", QuantizeConfig(5, 6, layers={"a": LayerBits(3, 0)}))
    save_quantized(net, tmp_path / "quantized.safetensors")

    loaded = load_quantized(odd("residual", 9)[0], net.input_shape, tmp_path / "quantized.safetensors")

    assert loaded.config == net.config
    assert_equal(loaded.logits(frames(net.input_shape)), net.logits(frames(net.input_shape)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "truncated or not a safetensors file"),
        (lambda path: save_quantized(calibrated("flat")[1], path), "weights of another network"),
        (lambda path: spoil_scale(path, "shift", 77), "scales of stem.0 are out of range"),
        (lambda path: spoil_scale(path, "multiplier", 0), "scales of stem.0 are out of range"),
        (lambda path: spoil_scale(path, "weight", float("nan")), "NaN"),
    ],
)
def test_a_damaged_file_is_one_error(tmp_path, spoil, words):
    path = tmp_path / "quantized.safetensors"
    model, net = calibrated("residual")
    save_quantized(net, path)
    spoil(path)

    with pytest.raises(ModelError, match=words):
        load_quantized(model, net.input_shape, path)


def spoil_scale(path, key, value):
    _, net = calibrated("residual")
    with torch.no_grad():
        getattr(net.unit("stem.0"), key).fill_(value)
    save_quantized(net, path)


@pytest.mark.parametrize(
    ("config", "where", "words"),
    [
        (QuantizeConfig(weight_bits=1), "quantize.weight_bits", "must be in 2..16, not 1"),
        (QuantizeConfig(activation_bits=17), "quantize.activation_bits", "must be in 2..16, not 17"),
        (QuantizeConfig(layers={"stem.cnov": LayerBits(4)}), "quantize.layers.stem.cnov", "no layer"),
        (
            QuantizeConfig(layers={"final.head": LayerBits(0, 4)}),
            "quantize.layers.final.head.activation_bits",
            "logits",
        ),
        (QuantizeConfig(layers={"stem.conv": LayerBits(99)}), "quantize.layers.stem.conv.weight_bits", "2..16"),
    ],
)
def test_settings_that_cannot_work_are_named(config, where, words):
    model, shape = zoo("lenet5")

    with pytest.raises(ConfigError, match=words) as caught:
        QuantizedNet(model, shape, config)
    assert caught.value.where == where


def test_a_misspelt_layer_is_answered_with_the_nearest():
    model, shape = zoo("lenet5")

    with pytest.raises(ConfigError) as caught:
        QuantizedNet(model, shape, QuantizeConfig(layers={"stem.cnov": LayerBits(4)}))
    assert caught.value.hint == "did you mean 'stem.conv'?"


def test_weight_bits_of_a_layer_without_weights_are_refused():
    model, shape = odd("residual")

    with pytest.raises(ConfigError, match="has no weights"):
        QuantizedNet(model, shape, QuantizeConfig(layers={"add": LayerBits(4)}))


def test_calibration_needs_frames():
    model, shape = zoo("lenet5")

    with pytest.raises(ConfigError, match="no frames"):
        calibrate_net(QuantizedNet(model, shape, QuantizeConfig()), frames(shape)[:0])


def test_evaluation_leaves_the_mode_and_answers_for_no_frames():
    _, net = calibrated("lenet5")
    net.train()

    assert [codes.shape for codes in net.logits(frames(net.input_shape)[:0])] == [(0, 10), (0, 10)]
    assert net.training
