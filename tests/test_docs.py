"""Pages that must agree with the code: every config key with its type, default and place, every command and its options."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path

import pytest

from codesign import cli
from codesign.config import Config, LayerBits, load_config

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def sections() -> dict[str, type]:
    """Every table of a config, by its heading in docs/config.md."""
    hints = typing.get_type_hints(Config)
    tables = {
        f"[{f.name}]": hints[f.name] for f in dataclasses.fields(Config) if dataclasses.is_dataclass(hints[f.name])
    }
    return {"Top level": Config, **tables, "[quantize.layers.NAME]": LayerBits}


def documented(heading: str) -> dict[str, tuple[str, str]]:
    """Key -> (type, default) of one section of docs/config.md."""
    text = (DOCS / "config.md").read_text()
    body = re.split(r"^## ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$", body, flags=re.MULTILINE)
    return {key: (kind, default) for key, kind, default in rows}


def type_words(kind: object) -> str:
    if typing.get_origin(kind) is typing.Literal:
        choices = [json.dumps(choice) for choice in typing.get_args(kind)]
        return ", ".join(f"`{c}`" for c in choices[:-1]) + f" or `{choices[-1]}`"
    text = str(kind)
    if "Mapping" in text:
        return "table of pairs" if "tuple" in text else "table of tables" if "LayerBits" in text else "table"
    words = {"str": "string", "int": "integer", "float": "float"}
    if "tuple" in text:
        return f"list of {next(word for name, word in words.items() if name in text)}s"
    return words[kind.__name__]  # type: ignore[attr-defined]


def default_words(field: dataclasses.Field) -> str:
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    if isinstance(value, str):
        return f'`"{value}"`'
    return "`[]`" if value == () else f"`{value}`"


@pytest.mark.parametrize("heading", sections())
def test_every_config_key_is_documented_with_its_type_and_default(heading):
    table = sections()[heading]
    hints = typing.get_type_hints(table)
    fields = {f.name: f for f in dataclasses.fields(table) if not dataclasses.is_dataclass(hints[f.name])}
    page = documented(heading)

    assert list(page) == list(fields)
    for name, field in fields.items():
        assert page[name][0] == type_words(hints[name]), name
        if (heading, name) != ("Top level", "name"):
            assert page[name][1] == default_words(field), name


def test_every_command_and_option_is_documented():
    text = (DOCS / "cli.md").read_text()
    commands = cli._parser()._subparsers._group_actions[0].choices
    for name, parser in commands.items():
        assert f"`{name}`" in text
        for action in parser._actions:
            assert any(option.strip("-") in text for option in action.option_strings) or action.dest in {
                "help",
                "target",
            }


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_shipped_configs_load(path):
    assert load_config(path).name == path.stem


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_makefile_and_readme_name_the_same_targets():
    targets = re.findall(r"`?make ([a-z -]+?)(?:`|\s{2,}|$)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    for target in " ".join(targets).split():
        assert re.search(rf"^[a-z ]*\b{target}\b[a-z ]*:", makefile, flags=re.MULTILINE), target
