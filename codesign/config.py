"""TOML experiments as frozen dataclasses; an unknown key is named with the nearest right one."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
import tomllib
import typing
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codesign.errors import ConfigError, nearest

NAME_BYTES = 120  # of a run folder, which also names files


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
class SlimConfig:
    """Several widths over one set of weights; without widths, the network is an ordinary one."""

    widths: tuple[float, ...] = ()  # shares of the channels, narrow to wide, the last 1
    recipe: Literal["sandwich", "joint", "incremental", "causal"] = "sandwich"
    step: int = 4  # every width's channels are a multiple of it
    random: int = 2  # widths between the narrowest and the widest that a step of sandwich or causal trains
    distill: float = 0.5  # share of the widest network's answers, beside the labels, in what they learn from


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
    pixels_per_cycle: Literal[1, 2, 4] = 1  # what the default goal takes in
    interval_cycles: int = 0  # goal; 0: pixels_per_cycle, relaxed to what the device can hold
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
    slim: SlimConfig = field(default_factory=SlimConfig)
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    exit: ExitConfig = field(default_factory=ExitConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)


def load_config(path: Path) -> Config:
    """The experiment in a TOML file. Raises ConfigError naming the file, the key and the nearest right key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "name a TOML file, such as configs/default.toml"
        raise ConfigError(f"cannot read this config: {error}", where=str(path), hint=hint) from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = "see configs/ for working examples"
        raise ConfigError(f"not valid TOML: {error}", where=str(path), hint=hint) from error
    return config_from(table, where=str(path))


def config_from(table: Mapping[str, Any], *, where: str = "config") -> Config:
    """The experiment that a nested mapping describes; raises ConfigError for an unknown key, a wrong type or a value
    that no experiment can have."""
    config = typing.cast(Config, _convert(Config, table, where))
    check_name(config.name, _inside(where, "name"))
    _check_values(config, where)
    return config


def config_to_dict(config: Config) -> dict[str, Any]:
    """A plain nested dict, as JSON can hold it; `config_from` turns it back."""
    return dataclasses.asdict(config)


def shipped_configs() -> dict[str, Path]:
    """The working examples by name: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    for folder in (package / "configs", package.parent / "configs"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def check_name(name: str, where: str) -> None:
    """Raises ConfigError unless `name` can name a run folder: one plain part of a path."""
    plain = name and "/" not in name and not name.startswith(".") and _is_text(name)
    if not plain or len(name.encode()) > NAME_BYTES:
        hint = f"use a plain word of at most {NAME_BYTES} bytes, without / and not beginning with a dot"
        raise ConfigError(f"{name!r} cannot name a run folder", where=where, hint=hint)


def _check_values(config: Config, where: str) -> None:
    if not 0 <= config.seed < 2**32:
        raise ConfigError(f"{config.seed} is no seed", where=_inside(where, "seed"), hint="use one in 0..4294967295")
    if config.plan.clock_mhz <= 0:
        place = _inside(_inside(where, "plan"), "clock_mhz")
        raise ConfigError(
            f"{config.plan.clock_mhz:g} MHz is no clock", where=place, hint="use one above 0, such as 100"
        )
    weights = config.train.exit_weights
    if weights and (min(weights) < 0 or not any(weights)):
        place = _inside(_inside(where, "train"), "exit_weights")
        raise ConfigError(
            f"{list(weights)} leaves nothing to train",
            where=place,
            hint="use weights of 0 or more, one of them above 0",
        )
    _check_slim(config.slim, _inside(where, "slim"))


def _check_slim(slim: SlimConfig, where: str) -> None:
    widths = slim.widths
    rising = all(a < b for a, b in itertools.pairwise(widths))
    if widths and not (rising and widths[0] > 0 and widths[-1] == 1 and len(widths) > 1):
        what = f"{list(widths)} are no widths to slim to"
        raise ConfigError(
            what, where=_inside(where, "widths"), hint="give two or more, rising, the last 1, such as [0.5, 1.0]"
        )
    if slim.step < 1 or slim.random < 0 or not 0 <= slim.distill <= 1:
        key = "step" if slim.step < 1 else "random" if slim.random < 0 else "distill"
        hint = "use a step of at least 1, random of at least 0, and distill in 0..1"
        raise ConfigError(f"{getattr(slim, key)} is out of range", where=_inside(where, key), hint=hint)


def _convert(kind: Any, value: Any, where: str) -> Any:
    """`value` checked and converted to the annotated type `kind`."""
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _convert_table(typing.cast(type, kind), value, where)
    if origin is Literal:
        choices = typing.get_args(kind)
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return value
        what = f"{value!r} is not one of {', '.join(map(str, choices))}"
        raise ConfigError(what, where=where, hint=nearest(str(value), map(str, choices)))
    if origin is tuple:
        return _convert_list(kind, value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        items = _demand_table(value, where).items()
        return {_convert(str, k, where): _convert(typing.get_args(kind)[1], v, f"{where}.{k}") for k, v in items}
    return _plain(value, where) if kind is Any else _convert_scalar(kind, value, where)


def _convert_scalar(kind: type, value: Any, where: str) -> Any:
    """An int, a float or a string; True is no number, and no number is too large for any use."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number:
        if abs(value) < math.inf and abs(value) <= sys.float_info.max:
            return float(value)
        raise ConfigError(f"{value} is not a finite number", where=where, hint="use a finite number")
    if isinstance(value, kind) and not isinstance(value, bool):
        if kind is int and abs(value) > 2**32:
            raise ConfigError(f"{value} is too large", where=where, hint=f"use at most {2**32}")
        if isinstance(value, str) and not _is_text(value):
            raise ConfigError(f"{value!r} holds a control character", where=where, hint="use printable text")
        return value
    hint = "see docs/config.md for the type of every key"
    raise ConfigError(f"{value!r} is not of type {kind.__name__}", where=where, hint=hint)


def _convert_list(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    kinds = typing.get_args(kind)
    if isinstance(value, list | tuple):
        items = typing.cast(Sequence[Any], value)
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(items)
        if len(kinds) == len(items):
            return tuple(_convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, items, strict=True)))
    raise ConfigError(f"{value!r} is not a list of the right length", where=where, hint=f"it must look like {kind}")


def _convert_table(kind: type, value: Any, where: str) -> Any:
    table, hints = _demand_table(value, where), typing.get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise ConfigError(f"unknown key {key!r}", where=where, hint=nearest(key, hints))
    return kind(**{key: _convert(hints[key], v, _inside(where, key)) for key, v in table.items()})


def _plain(value: Any, where: str) -> Any:
    """A value of any type that JSON has, every number and text in it checked."""
    if isinstance(value, Mapping):
        return {k: _plain(v, f"{where}.{k}") for k, v in typing.cast(Mapping[str, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{where}[{i}]") for i, v in enumerate(typing.cast(Sequence[Any], value))]
    if value is None or isinstance(value, bool):
        return value
    kind = next((kind for kind in (int, float, str) if isinstance(value, kind)), None)
    if kind is None:
        raise ConfigError(f"{value!r} is a {type(value).__name__}", where=where, hint="use numbers, text and lists")
    return _convert_scalar(kind, value, where)


def _demand_table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{value!r} is not a table", where=where, hint="write it as a [section]")
    return typing.cast(Mapping[str, Any], value)


def _inside(where: str, key: str) -> str:
    """The place of a key: `x.toml: train`, `x.toml: train.lr`."""
    return f"{where}: {key}" if where.endswith((".toml", ".json")) else f"{where}.{key}"


def _is_text(text: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
