"""A trained slimmable network as integers: one set of integer weights, a requantizer per width.

The scale of every activation and the shift of every layer are chosen once, on the values of all widths together. So the
widths' networks differ in their sizes and in the multipliers and biases of their requantizers, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codesign.config import QuantizeConfig
from codesign.errors import ConfigError
from codesign.files import RunFolder
from codesign.nn import calibrate
from codesign.nn.data.frames import Splits
from codesign.nn.integer_net import PIXELS, QuantizedNet, pixel_codes
from codesign.nn.predict import accuracy_of
from codesign.nn.quantize import CALIBRATION, double_logits, quantized_accuracy, save_quantized
from codesign.nn.slim import Slimmable
from codesign.nn.slim_units import SharedUnit
from codesign.nn.units import Unit


def quantize_widths(
    model: Slimmable, splits: Splits, config: QuantizeConfig, seed: int, run: RunFolder | None = None
) -> dict[float, QuantizedNet]:
    """Every width of the trained `model` as integers, narrow to wide; scales come from the calibration split.

    With a run folder, writes the widest to `run.quantized` and section `quantize` of the metrics. Raises ConfigError for
    settings that one set of weights cannot have: fine-tuning, and scales without a multiplier.
    """
    _check(config)
    model.eval()
    nets = {
        width: QuantizedNet(model.at(width).eval(), splits.shape, config, SharedUnit).eval() for width in model.widths
    }
    calibrate_widths(list(nets.values()), splits.calibration.images)
    if run is not None:
        save_quantized(nets[model.widths[-1]], run.quantized)
        run.update_metrics("quantize", measure_widths(nets, model, splits, seed))
    return nets


def calibrate_widths(nets: Sequence[QuantizedNet], images: NDArray[np.uint8]) -> None:
    """Chooses every scale of `nets`, narrow to wide, from uint8 images (N, H, W, C)."""
    if not len(images):
        raise ConfigError("no frames to choose scales on", where="data.calibration", hint="ask for at least one")
    values = _real_values(nets, images)
    for name in [unit.step.name for unit in nets[-1].rounding()]:
        widest = nets[-1].unit(name)
        calibrate.calibrate_output(widest, torch.cat(values[name]), nets[-1].config)
        for net in nets:
            net.unit(name).exponent.copy_(widest.exponent)
            net.connect()
    for name in [unit.step.name for unit in nets[-1].rounding()]:
        _share_gain([net.unit(name) for net in nets], nets[-1].config)
    while clipped := _clipped_logits(nets, images):
        for net in nets:
            double_logits(net, clipped)


def measure_widths(nets: dict[float, QuantizedNet], model: Slimmable, splits: Splits, seed: int) -> dict[str, Any]:
    """What every width is worth, by `width/exit`: accuracies as shares of 1."""

    def named(width: float, shares: dict[str, float]) -> dict[str, float]:
        return {f"{width:g}/{name}": share for name, share in shares.items()}

    real, codes = ({part: dict[str, float]() for part in ("validation", "test")} for _ in range(2))
    for part, shares in real.items():
        frames = getattr(splits, part)
        for width, net in nets.items():
            shares.update(named(width, accuracy_of(model.at(width), frames, net.exit_names)))
            codes[part].update(named(width, quantized_accuracy(net, frames)))
    widest = nets[model.widths[-1]]
    return {
        "source": f"measured: exact integers, torch {torch.__version__}",
        "data": splits.name,
        "seed": seed,
        "config": asdict(widest.config),
        "logit_scales": dict(zip(widest.exit_names, widest.logit_scales, strict=True)),
        "float": real,
        "quantized": codes,
    }


def _real_values(nets: Sequence[QuantizedNet], images: NDArray[np.uint8]) -> dict[str, list[Tensor]]:
    """A sample of what every step computes in real numbers, one tensor a width."""
    values: dict[str, list[Tensor]] = {unit.step.name: [] for unit in nets[-1].rounding()}

    def compute(unit: Unit, x: list[Tensor]) -> Tensor:
        y = unit.real(*x)
        values[unit.step.name].append(calibrate.sample(y))
        return y

    with torch.no_grad():
        for net in nets:
            net.run(pixel_codes(images[:CALIBRATION]).float() * PIXELS.scale, compute)
    return values


def _share_gain(units: Sequence[Unit], config: QuantizeConfig) -> None:
    """Sets the weights' grid and the shift of one step at all widths, and each width's multipliers."""
    widest = units[-1]
    calibrate.check_factors(widest, widest.step.name)
    ratios = [unit.gain * 2.0 ** (unit.acc_exponent - unit.grid.exponent) for unit in units]
    if widest.weight is not None:
        grid = calibrate.weight_scale(widest.weight.detach().double().flatten(1), widest.weight_top, per_output=True)
        for index, unit in enumerate(units):
            assert isinstance(unit, SharedUnit)
            unit.weight_grid.copy_(grid[: len(unit.gain)])
            ratios[index] = ratios[index] * unit.weight_grid
    multipliers, shift = calibrate.integer_gain(torch.cat(ratios), calibrate.multiplier_bits(widest, config))
    parts: Sequence[Tensor] = torch.split(multipliers, [len(ratio) for ratio in ratios])
    for unit, multiplier in zip(units, parts, strict=True):
        unit.multiplier.copy_(multiplier)
        unit.shift.fill_(shift)


def _clipped_logits(nets: Sequence[QuantizedNet], images: NDArray[np.uint8]) -> set[str]:
    """The exits whose logits saturate at some width."""
    return {
        name
        for net in nets
        for name, share in net.saturation(images[:CALIBRATION]).items()
        if share and net.unit(name).step.logits
    }


def _check(config: QuantizeConfig) -> None:
    if config.epochs:
        raise ConfigError(
            "a slimmable network is not fine-tuned", where="quantize.epochs", hint="set it to 0: calibration only"
        )
    if config.scales != "per-channel":
        raise ConfigError(
            "one set of weights needs a multiplier for every width", where="quantize.scales", hint='use "per-channel"'
        )
