"""Configs: every default reads back, and a key or value that does not fit is named with the nearest right one."""

import json
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.config import Config, config_from, config_to_dict, load_config
from codesign.errors import ConfigError

SECTIONS = [f.name for f in fields(Config) if is_dataclass(getattr(Config(), f.name))]


def test_an_empty_config_is_all_defaults() -> None:
    assert config_from({}) == Config()


def test_a_config_reads_back_through_json() -> None:
    config = config_from(
        {
            "name": "x",
            "model": {"name": "vgg", "options": {"widths": [8, 16], "residual": True}},
            "train": {"exit_weights": [1, 0.5], "augment": ["shift"]},
            "quantize": {"layers": {"stem.0": {"weight_bits": 4}}},
            "plan": {"foldings": {"stem": [2, 5]}, "target_fps": 2000},
        }
    )
    assert config.train.exit_weights == (1.0, 0.5)
    assert config.quantize.layers["stem.0"].weight_bits == 4
    assert config.plan.foldings["stem"] == (2, 5)
    assert config.plan.target_fps == 2000.0
    assert config_from(json.loads(json.dumps(config_to_dict(config)))) == config


@given(st.sampled_from(SECTIONS), st.data())
def test_any_misspelled_key_is_named_with_the_nearest(section: str, data: st.DataObject) -> None:
    names = [f.name for f in fields(getattr(Config(), section))]
    name = data.draw(st.sampled_from(names))
    wrong = name + "s"
    if wrong in names:
        return
    with pytest.raises(ConfigError, match=f"unknown key '{wrong}'") as raised:
        config_from({section: {wrong: 1}})
    assert raised.value.hint == f"did you mean {name!r}?"
    assert raised.value.where == f"config.{section}"


@pytest.mark.parametrize(
    ("table", "where", "words"),
    [
        ({"traim": {}}, "config", "unknown key 'traim'"),
        ({"train": 3}, "config.train", "3 is not a table"),
        ({"seed": "1"}, "config.seed", "'1' is not of type int"),
        ({"seed": True}, "config.seed", "True is not of type int"),
        ({"seed": 1.5}, "config.seed", "1.5 is not of type int"),
        ({"train": {"lr": "fast"}}, "config.train.lr", "'fast' is not of type float"),
        ({"train": {"lr": True}}, "config.train.lr", "True is not of type float"),
        ({"train": {"optimizer": "adam"}}, "config.train.optimizer", "'adam' is not one of sgd, adamw"),
        ({"train": {"augment": "shift"}}, "config.train.augment", "not a list"),
        ({"train": {"exit_weights": [1, "x"]}}, "config.train.exit_weights[1]", "not of type float"),
        ({"plan": {"foldings": {"stem": [1]}}}, "config.plan.foldings.stem", "right length"),
        ({"plan": {"foldings": {"stem": [1, 2.5]}}}, "config.plan.foldings.stem[1]", "not of type int"),
        ({"seed": -1}, "config.seed", "-1 is no seed"),
        ({"seed": 2**32}, "config.seed", "is no seed"),
        ({"seed": 10**30}, "config.seed", "is too large"),
        ({"name": "a\0b"}, "config.name", "control character"),
        ({"name": "../../x"}, "config.name", "cannot name a run folder"),
        ({"name": ""}, "config.name", "cannot name a run folder"),
        ({"name": "x" * 300}, "config.name", "cannot name a run folder"),
        ({"data": {"path": "a\nb"}}, "config.data.path", "control character"),
        ({"plan": {"foldings": {"a\x1bb": [1, 1]}}}, "config.plan.foldings", "control character"),
        ({"plan": {"clock_mhz": float("inf")}}, "config.plan.clock_mhz", "inf is not a finite number"),
        ({"plan": {"clock_mhz": 0}}, "config.plan.clock_mhz", "0 MHz is no clock"),
        ({"plan": {"clock_mhz": -5.0}}, "config.plan.clock_mhz", "-5 MHz is no clock"),
        ({"exit": {"threshold": float("nan")}}, "config.exit.threshold", "nan is not a finite number"),
        ({"train": {"lr": 10**400}}, "config.train.lr", "is not a finite number"),
        ({"train": {"exit_weights": [0, 0.0]}}, "config.train.exit_weights", "leaves nothing to train"),
        ({"train": {"exit_weights": [1, -1]}}, "config.train.exit_weights", "leaves nothing to train"),
        ({"model": {"options": {"a": [1.0, float("inf")]}}}, "config.model.options.a[1]", "not a finite number"),
        ({"model": {"options": {"a": date(2020, 1, 1)}}}, "config.model.options.a", "is a date"),
        ({"model": {"options": 3}}, "config.model.options", "not a table"),
        ({"quantize": {"layers": {"a": {"weight_bit": 2}}}}, "config.quantize.layers.a", "unknown key 'weight_bit'"),
    ],
)
def test_what_does_not_fit_is_named(table: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config_from(table)
    assert words in raised.value.what
    assert raised.value.where == where
    assert raised.value.hint


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = "mine"\nseed = 7\n[exit]\ncriterion = "margin"\n')
    config = load_config(path)
    assert (config.name, config.seed, config.exit.criterion) == ("mine", 7, "margin")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"name = ", "not valid TOML"), (b"\xff", "cannot read"), (None, "cannot read"), (b"nam = 1", "unknown key")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as raised:
        load_config(path)
    assert raised.value.where == str(path)
    assert raised.value.hint


def test_shipped_configs_load() -> None:
    paths = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))
    assert {load_config(path).name for path in paths} == {path.stem for path in paths}
