"""The only Jinja environment: strict, with typed filters for C++ types, beats and integer arrays."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import jinja2
import numpy as np
import numpy.typing as npt

import codesign
from codesign.errors import CodesignError
from codesign.ir.types import IntType
from codesign.plan.budget import storage
from codesign.plan.dataflow import Channel

_WIDTH = 120


class BeatLike(Protocol):
    @property
    def dtype(self) -> IntType: ...
    @property
    def lanes(self) -> int: ...


def template_folder() -> Path:
    """The folder of templates and C++ headers: inside the installed package, or at the top of a checkout."""
    package = Path(codesign.__file__).parent
    for folder in (package / "hls_templates", package.parent / "hls_templates"):
        if folder.is_dir():
            return folder
    raise CodesignError("the folder hls_templates is missing", where=str(package), hint="install the package again")


def render(template: str, **variables: Any) -> str:
    """The text of a template; a variable it names and does not get is an error."""
    return environment().get_template(template).render(**variables)


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_folder()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    env.filters.update({"ctype": ctype, "beat": beat, "braces": braces, "storage": fifo_storage, "suffix": suffix})
    cast(dict[str, Any], env.globals)["memory_storage"] = storage
    return env


def ctype(dtype: IntType) -> str:
    """The C++ type of a code: `cs::sint<8>::type`."""
    return f"cs::{'sint' if dtype.signed else 'uint'}<{dtype.bits}>::type"


def beat(stream: BeatLike) -> str:
    """The C++ class of a beat: `cs::beat<cs::uint<8>::type, 8, 25>`."""
    return f"cs::beat<{ctype(stream.dtype)}, {stream.dtype.bits}, {stream.lanes}>"


def fifo_storage(channel: Channel) -> str:
    """Where the planner counted on this FIFO: `lutram` or `bram`."""
    return storage(channel.depth, channel.width)


def suffix(text: str, end: str) -> str:
    """For `map`: the text with something behind it."""
    return text + end


def braces(array: npt.NDArray[np.int64], indent: int = 8) -> str:
    """A nested C initialiser of an integer array, the last axis wrapped at 120 columns."""
    if array.ndim == 1:
        text = "{" + ", ".join(map(str, array.tolist())) + "}"
        return text if len(text) + indent <= _WIDTH else _wrapped(text, indent)
    rows = [braces(row, indent + 1) for row in array]
    return "{" + (",\n" + " " * (indent + 1)).join(rows) + "}"


def _wrapped(text: str, indent: int) -> str:
    lines: list[str] = []
    start = 0
    room = _WIDTH - indent
    while len(text) - start > room:
        cut = text.rindex(" ", start, start + room)
        lines.append(text[start:cut])
        start = cut + 1
    return ("\n" + " " * (indent + 1)).join([*lines, text[start:]])
