"""Quantization: a trained network with exits as exact integers, calibrated, fine-tuned, saved and measured."""

# Legend: N frames; H, W, C rows, columns, channels.

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codesign.config import QuantizeConfig, TrainConfig, config_from
from codesign.errors import CodesignError, ConfigError, ModelError
from codesign.files import RunFolder
from codesign.nn import calibrate
from codesign.nn.data.frames import Frames, Splits
from codesign.nn.integer_net import PIXELS, QuantizedNet, pixel_codes
from codesign.nn.predict import accuracy, accuracy_of
from codesign.nn.qat import fine_tune
from codesign.nn.slim_units import SharedUnit
from codesign.nn.units import MAX_EXPONENT, MAX_SHIFT, Unit
from codesign.nn.weights import HINT, check_tensors, read_tensors, write_tensors

__all__ = [
    "QuantizedNet",
    "calibrate_net",
    "load_quantized",
    "measure",
    "quantize",
    "quantized_accuracy",
    "save_quantized",
    "widen_logits",
]

CALIBRATION = 1000  # frames that scales are chosen on; the split is in random order


def quantize(
    model: nn.Module,
    splits: Splits,
    config: QuantizeConfig,
    train: TrainConfig,
    seed: int,
    run: RunFolder | None = None,
    progress: bool = True,
) -> QuantizedNet:
    """The trained `model` as integers, fine-tuned for `config.epochs`, best epoch by the validation split.

    Scales come from the calibration split. With a run folder, writes `run.quantized` and section `quantize` of the
    metrics: every exit's accuracy in float and in integers, and the share of codes that saturate. Raises ModelError
    for a network that cannot become integers and ConfigError for settings that cannot work.
    """
    net = QuantizedNet(model, splits.shape, config)
    calibrate_net(net, splits.calibration.images)
    history = fine_tune(net, model, splits, config, train, seed, progress=progress)
    widen_logits(net, splits.calibration.images)
    if run is not None:
        save_quantized(net, run.quantized)
        run.update_metrics("quantize", measure(net, model, splits, seed) | {"history": history})
    return net


def calibrate_net(net: QuantizedNet, images: NDArray[np.uint8]) -> None:
    """Chooses every scale of `net` from uint8 images (N, H, W, C), at most 1,000, on the network's real values."""
    if not len(images):
        raise ConfigError("no frames to choose scales on", where="data.calibration", hint="ask for at least one")

    def compute(unit: Unit, x: list[Tensor]) -> Tensor:
        y = unit.real(*x)
        net.connect()
        calibrate.calibrate_output(unit, y, net.config)
        return y

    with torch.no_grad():
        net.run(pixel_codes(images[:CALIBRATION]).float() * PIXELS.scale, compute)
        net.connect()
        for unit in net.rounding():
            calibrate.calibrate_gain(unit, net.config)


def widen_logits(net: QuantizedNet, images: NDArray[np.uint8]) -> None:
    """Doubles the scale of every exit's logits until none of these frames' logits saturate."""
    while clipped := [name for name, share in net.saturation(images).items() if share and net.unit(name).step.logits]:
        double_logits(net, clipped)


def double_logits(net: QuantizedNet, names: Iterable[str]) -> None:
    """Doubles the scale of these units, which compute logits; raises ConfigError where whole logits do not fit."""
    for name in names:
        unit = net.unit(name)
        if int(unit.shift) >= MAX_SHIFT or unit.grid.exponent >= 0:
            raise ConfigError(
                f"logits of {name} do not fit {unit.y_dtype}", where="quantize.logit_bits", hint="use more bits"
            )
        unit.exponent += 1
        unit.shift += 1
    _follow_inputs(net)


def _follow_inputs(net: QuantizedNet) -> None:
    """Connects the units again, and keeps the weight scales of those whose inputs have a new scale."""
    before = {unit.step.name: unit.acc_exponent for unit in net.rounding()}
    net.connect()
    for unit in net.rounding():
        doublings = unit.acc_exponent - before[unit.step.name]
        fewer = min(doublings, int(unit.shift))
        unit.shift -= fewer
        unit.multiplier <<= doublings - fewer


def measure(net: QuantizedNet, model: nn.Module, splits: Splits, seed: int) -> dict[str, Any]:
    """What the quantized network is worth: accuracies as shares of 1, saturation as shares of a value's codes."""
    names = net.exit_names
    saturation = net.saturation(splits.calibration.images)
    return {
        "source": f"measured: exact integers, torch {torch.__version__}",
        "data": splits.name,
        "seed": seed,
        "config": asdict(net.config),
        "logit_scales": dict(zip(names, net.logit_scales, strict=True)),
        "float": {part: accuracy_of(model, getattr(splits, part), names) for part in ("validation", "test")},
        "quantized": {part: quantized_accuracy(net, getattr(splits, part)) for part in ("validation", "test")},
        "saturation": {name: round(share, 8) for name, share in saturation.items() if share},
    }


def quantized_accuracy(net: QuantizedNet, frames: Frames) -> dict[str, float]:
    """The accuracy of every exit on `frames`, by the exits' names."""
    codes = net.logits(frames.images) if len(frames) else [np.zeros((0, 1)) for _ in net.exit_names]
    return dict(zip(net.exit_names, accuracy(codes, frames.labels), strict=True))  # type: ignore[arg-type]


def save_quantized(net: QuantizedNet, path: Path) -> None:
    """Writes the real weights, scales and settings; loading needs the same network and no data."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in _tensors(net).items()}
    shared = any(isinstance(unit, SharedUnit) for unit in net.rounding())
    write_tensors(tensors, path, {"quantize": json.dumps(asdict(net.config))} | ({"units": "shared"} if shared else {}))


def load_quantized(model: nn.Module, input_shape: tuple[int, int, int], path: Path) -> QuantizedNet:
    """The network that `save_quantized` wrote; of `model` only the structure counts.

    Raises ModelError for a file that is missing, damaged, of another network, or with scales out of range.
    """
    tensors, metadata = read_tensors(path)
    try:
        config = config_from({"quantize": json.loads(metadata["quantize"])}, where=str(path)).quantize
    except (CodesignError, ValueError, KeyError) as error:
        raise ModelError(f"was not written by quantize: {error}", where=str(path), hint=HINT) from error
    net = QuantizedNet(model, input_shape, config, SharedUnit if metadata.get("units") == "shared" else Unit)
    wanted = _tensors(net)
    check_tensors(tensors, wanted, str(path))
    for name, value in wanted.items():
        value.data.copy_(tensors[name])
    net.connect()
    _check_scales(net, str(path))
    return net


def _tensors(net: QuantizedNet) -> dict[str, Tensor]:
    return {f"{unit.step.name}:{key}": value for unit in net.rounding() for key, value in unit.state_dict().items()}


def _check_scales(net: QuantizedNet, where: str) -> None:
    for unit in net.rounding():
        multiplier, shift, exponent = unit.multiplier, int(unit.shift), int(unit.exponent)
        fits = 0 <= shift <= MAX_SHIFT and abs(exponent) <= MAX_EXPONENT and int(multiplier.abs().max()) < 1 << 32
        free = unit.weight is None or isinstance(unit, SharedUnit)
        if not fits or (not free and int(multiplier.min()) < 1):
            raise ModelError(f"scales of {unit.step.name} are out of range", where=where, hint=HINT)
        calibrate.check_factors(unit, where)
