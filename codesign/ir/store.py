"""The file form of a graph: JSON with its text and its constants as base64; loading it runs no code."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from codesign.errors import CodesignError, GraphError
from codesign.files import read_json, write_json
from codesign.ir.graph import Graph
from codesign.ir.text import constants_of, parse_graph, print_graph
from codesign.ir.types import Constant, IntType

FORMAT, VERSION = "codesign-graph", 1
_AGAIN = "the file is damaged; export the graph again"


def save_graph(graph: Graph, path: Path) -> None:
    """Writes the graph to `path`, whole or not at all."""
    write_json(path, graph_to_json(graph))


def load_graph(path: Path, ops: Mapping[str, type]) -> Graph:
    """The graph in `path`; raises GraphError, with the file's name, for one that is missing, damaged or too new."""
    try:
        value = read_json(path, hint=_AGAIN)
    except (CodesignError, RecursionError) as error:
        what = error.what if isinstance(error, CodesignError) else "nested too deeply"
        raise GraphError(what, where=str(path), hint=_AGAIN) from error
    return graph_from_json(value, ops, where=str(path))


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """The graph as JSON can hold it; `graph_from_json` turns it back."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "text": print_graph(graph).splitlines(),
        "constants": {name: constant_to_json(constant) for name, constant in constants_of(graph).items()},
    }


def graph_from_json(value: Any, ops: Mapping[str, type], *, where: str = "graph") -> Graph:
    """The graph that a JSON value describes; raises GraphError saying where it is damaged."""
    table = _table(value, where)
    if table.get("format") != FORMAT:
        raise GraphError(
            f"not a graph: format is {table.get('format')!r}, not {FORMAT!r}", where=where, hint="name a graph.json"
        )
    if table.get("version") != VERSION:
        raise GraphError(
            f"version {table.get('version')!r} is unknown",
            where=where,
            hint=f"this codesign reads version {VERSION}; export the graph again or update codesign",
        )
    lines = table.get("text")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in cast(list[Any], lines)):
        raise GraphError("'text' is not a list of lines", where=where, hint=_AGAIN)
    constants = _table(table.get("constants"), f"{where}: constants")
    read = {name: constant_from_json(item, f"{where}: constant @{name}") for name, item in constants.items()}
    return parse_graph("\n".join(cast(list[str], lines)), ops, read, where=where)


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GraphError(f"expected a table, found {type(value).__name__}", where=where, hint=_AGAIN)
    return cast(dict[str, Any], value)


def _stored(dtype: IntType) -> np.dtype[Any]:
    """The narrowest little-endian numpy type that holds the codes."""
    size = next(size for size in (1, 2, 4, 8) if dtype.bits <= 8 * size)
    return np.dtype(f"<{'i' if dtype.signed else 'u'}{size}")


def constant_to_json(constant: Constant) -> dict[str, Any]:
    """The constant as JSON can hold it; `constant_from_json` turns it back."""
    data = constant.array.astype(_stored(constant.dtype)).tobytes()
    return {"type": str(constant.dtype), "shape": list(constant.shape), "data": base64.b64encode(data).decode("ascii")}


def constant_from_json(value: Any, where: str) -> Constant:
    """The constant that a JSON value describes; raises GraphError saying where it is damaged."""
    table = _table(value, where)
    dtype, shape = _dtype(table.get("type"), where), _shape(table.get("shape"), where)
    try:
        data = base64.b64decode(table["data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise GraphError(f"data is not base64: {error}", where=where, hint=_AGAIN) from error
    stored = _stored(dtype)
    if len(data) != math.prod(shape) * stored.itemsize:
        raise GraphError(
            f"{len(data)} bytes of data, but {dtype}{list(shape)} takes {math.prod(shape) * stored.itemsize}",
            where=where,
            hint=_AGAIN,
        )
    codes = np.frombuffer(data, stored)
    limit = min(dtype.max, int(np.iinfo(np.int64).max))
    if codes.size and not dtype.min <= int(codes.min()) <= int(codes.max()) <= limit:
        raise GraphError(f"values {codes.min()}..{codes.max()} are not all in {dtype}", where=where, hint=_AGAIN)
    return Constant.of(codes.astype(np.int64).reshape(shape), dtype)


def _dtype(value: Any, where: str) -> IntType:
    try:
        return IntType.parse(value)
    except (TypeError, ValueError) as error:
        raise GraphError(f"type {value!r} is not an integer type", where=where, hint=_AGAIN) from error


def _shape(value: Any, where: str) -> tuple[int, ...]:
    sizes = cast(list[Any], value) if isinstance(value, list) else [None]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise GraphError(f"shape {value!r} is not a list of sizes", where=where, hint=_AGAIN)
    return tuple(cast(list[int], sizes))
