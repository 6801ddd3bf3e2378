"""TOML experiments as frozen dataclasses; an unknown key is named with the nearest right one."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codesign.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where frames come from and how they are split; the test split is never used to choose anything."""

    dataset: Literal["mnist-subset", "mnist", "fashion-mnist", "cifar10", "svhn", "npz", "python"] = "mnist-subset"
    folder: str = ""  # overrides CODESIGN_DATA
    path: str = ""  # the .npz file, or package.module:function for dataset = "python"
    validation: int = 500  # frames taken from the train set to pick the best epoch
    calibration: int = 500  # frames taken from the train set to choose scales and thresholds
    test: int = 0  # frames kept for testing when the set has no test split of its own
    limit: int = 0  # use at most this many train frames (0: all)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A network of the zoo by name, or `package.module:Class` of the user's own."""

    name: str = "lenet5"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Float training: weighted sum of exit losses."""

    epochs: int = 12
    batch: int = 64
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 1e-4
    schedule: Literal["cosine", "onecycle", "constant"] = "onecycle"
    exit_weights: tuple[float, ...] = ()  # one per exit; empty: all 1
    label_smoothing: float = 0.0
    distill: float = 0.0  # weight of distilling the final exit into the earlier ones
    augment: tuple[str, ...] = ()  # "shift", "rotate", "flip", "crop", "erase"
    threads: int = 0  # torch threads; 0: one
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True, slots=True)
class LayerBits:
    """Bits of one layer that differ from the rest; 0 keeps the default."""

    weight_bits: int = 0
    activation_bits: int = 0


@dataclass(frozen=True, slots=True)
class QuantizeConfig:
    """Integers for weights and activations, then quantization-aware fine-tuning."""

    weight_bits: int = 8
    activation_bits: int = 8
    scales: Literal["power-of-two", "per-channel"] = "per-channel"
    multiplier_bits: int = 12  # of per-channel requantize multipliers
    logit_fraction_bits: int = 6
    logit_bits: int = 16
    epochs: int = 3
    lr: float = 1e-3
    layers: Mapping[str, LayerBits] = field(default_factory=dict[str, LayerBits])


@dataclass(frozen=True, slots=True)
class ExitConfig:
    """Which exit goes into hardware and how it decides."""

    split: str = ""  # exit name; empty: the first
    criterion: Literal["entropy", "max-probability", "margin"] = "entropy"
    threshold: float = -1.0  # negative: chosen on the calibration split
    max_accuracy_drop: float = 0.0  # allowed on the calibration split when the threshold is chosen


@dataclass(frozen=True, slots=True)
class PlanConfig:
    """Device, clock and folding goal of the hardware."""

    device: str = "xc7z020"
    clock_mhz: float = 100.0
    interval_cycles: int = 0  # goal; 0: one input beat a cycle, relaxed to what the device can hold
    target_fps: float = 0.0  # another way to give the goal
    foldings: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, "tuple[int, int]"])  # node: [pe, simd]


@dataclass(frozen=True, slots=True)
class Config:
    """One experiment. `load_config` reads it from TOML; every section and key is optional."""

    name: str = "default"
    seed: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    exit: ExitConfig = field(default_factory=ExitConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)


def load_config(path: Path) -> Config:
    """The experiment in a TOML file. Raises ConfigError naming the file, the key and the nearest right key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read this config: {error}", where=str(path), hint="name a TOML file, such as configs/default.toml") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), hint="see configs/ for working examples") from error
    return config_from(table, where=str(path))


def config_from(table: Mapping[str, Any], *, where: str = "config") -> Config:
    """The experiment that a nested mapping describes; raises ConfigError for an unknown key or a wrong type."""
    return _convert(Config, table, where)


def config_to_dict(config: Config) -> dict[str, Any]:
    """A plain nested dict, as JSON can hold it; `config_from` turns it back."""
    return dataclasses.asdict(config)


def _convert(kind: Any, value: Any, where: str) -> Any:
    """`value` checked and converted to the annotated type `kind`."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _convert_table(typing.cast(type, kind), value, where)
    if origin is Literal:
        choices = typing.get_args(kind)
        if value in choices:
            return value
        raise ConfigError(f"{value!r} is not one of {', '.join(map(str, choices))}", where=where, hint=_nearest(str(value), choices))
    if origin is tuple:
        items = typing.get_args(kind)
        if isinstance(value, list | tuple):
            if items[-1] is Ellipsis:
                return tuple(_convert(items[0], v, f"{where}[{i}]") for i, v in enumerate(value))
            if len(items) == len(value):
                return tuple(_convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(items, value, strict=True)))
        raise ConfigError(f"{value!r} is not a list of the right length", where=where, hint=f"it must look like {kind}")
    if origin in (Mapping, dict) or isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{value!r} is not a table", where=where, hint="write it as a [section]")
        return {str(k): _convert(typing.get_args(kind)[1], v, f"{where}.{k}") for k, v in value.items()}
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{value!r} is not of type {getattr(kind, '__name__', kind)}", where=where, hint="see docs/config.md for the type of every key")


def _convert_table(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{value!r} is not a table", where=where, hint="write it as a [section]")
    hints = typing.get_type_hints(kind, include_extras=False, localns={"types": types})
    for key in value:
        if key not in hints:
            raise ConfigError(f"unknown key {key!r}", where=where, hint=_nearest(key, hints))
    return kind(**{key: _convert(hints[key], v, f"{where}: {key}" if where.endswith(".toml") else f"{where}.{key}") for key, v in value.items()})


def _nearest(word: str, choices: typing.Iterable[Any]) -> str:
    names = [str(c) for c in choices]
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(names)}"
