"""graphs.json: the graphs of every width of a slimmable network, with their weights once.

The widest graph is stored whole. A constant of a narrower one that is the first slice of the widest's is a reference:

    {"first": true, "type": "s8", "shape": [4, 50], "pixels": 1}    array.reshape(O, pixels, -1)[:4, :, :50 // pixels]

`pixels` is above 1 for matrices that read a flattened map, whose columns are (rows, columns, channels): there, the first
channels of every pixel are the slice. All weights must be such slices; multipliers and biases of requantizers need not be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from codesign.errors import CodesignError, GraphError, VerificationError
from codesign.files import RunFolder, read_json, write_json
from codesign.ir.graph import Graph
from codesign.ir.slices import first_slice, pixels_of
from codesign.ir.store import constant_from_json, constant_to_json, graph_from_json, graph_to_json
from codesign.ir.text import constants_of, parse_graph, print_graph
from codesign.ir.types import Constant, IntType

FORMAT, VERSION = "codesign-graphs", 1
AGAIN = "the file is damaged; run `codesign quantize --force`"


def graphs_path(folder: RunFolder) -> Path:
    return folder.path / "graphs.json"


def save_graphs(graphs: Mapping[float, Graph], path: Path) -> None:
    """Writes the graphs, by width, narrow to wide; raises VerificationError unless their weights are slices."""
    *narrow, widest = graphs.values()
    whole = constants_of(widest)
    table = {
        "format": FORMAT,
        "version": VERSION,
        "widths": list(graphs),
        "widest": graph_to_json(widest),
        "narrow": [{"text": print_graph(g).splitlines(), "constants": _references(g, whole)} for g in narrow],
    }
    write_json(path, table)


def load_graphs(path: Path, ops: Mapping[str, type]) -> dict[float, Graph]:
    """The graphs by width, narrow to wide; raises GraphError for a file that is missing or damaged."""
    try:
        table = read_json(path, hint=AGAIN)
        if table["format"] != FORMAT or table["version"] != VERSION:
            raise GraphError(f"not {FORMAT} of version {VERSION}", where=str(path), hint=AGAIN)
        widest = graph_from_json(table["widest"], ops, where=str(path))
        whole = constants_of(widest)
        narrow = [_narrow_graph(entry, whole, ops, str(path)) for entry in table["narrow"]]
        return dict(zip((float(width) for width in table["widths"]), (*narrow, widest), strict=True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GraphError(f"cannot be read: {error}", where=str(path), hint=AGAIN) from error
    except CodesignError as error:
        raise GraphError(error.what, where=error.where or str(path), hint=error.hint or AGAIN) from error


def check_nested(graphs: Mapping[float, Graph]) -> None:
    """Raises VerificationError unless all weights of every width are the first slice of those of the next."""
    found = list(graphs.items())
    for (width, narrow), (_, wide) in itertools.pairwise(found):
        others = constants_of(wide)
        for name, constant in constants_of(narrow).items():
            if _is_weights(name) and (
                constant.dtype != others[name].dtype or pixels_of(constant, others[name]) is None
            ):
                raise VerificationError(
                    f"weights of width {width:g} are not the first slice of the next width's",
                    where=f"{narrow.name}.{name}",
                    hint="run `codesign quantize --force`; if it stays, report it as a bug",
                )


def storage_bits(graphs: Mapping[float, Graph]) -> dict[str, Any]:
    """Bits of weights and of requantize constants: of the widest graph alone, and of all together.

    What is a slice of the widest's constants is stored once.
    """
    *narrow, widest = graphs.values()
    whole = constants_of(widest)
    bits = {"weights": [0, 0], "requantize": [0, 0]}
    for name, constant in whole.items():
        for index in (0, 1):
            bits[_kind(name)][index] += _bits(constant)
    for graph in narrow:
        for name, constant in constants_of(graph).items():
            if pixels_of(constant, whole[name]) is None:
                bits[_kind(name)][1] += _bits(constant)
    alone, together = (sum(pair[index] for pair in bits.values()) for index in (0, 1))
    tables = {kind: {"widest": pair[0], "all": pair[1]} for kind, pair in bits.items()}
    return {**tables, "weights_ratio": bits["weights"][1] / bits["weights"][0], "ratio": together / alone}


def _references(graph: Graph, whole: Mapping[str, Constant]) -> dict[str, Any]:
    """A graph's constants as JSON, by reference where they are slices."""
    table: dict[str, Any] = {}
    for name, constant in constants_of(graph).items():
        pixels = pixels_of(constant, whole[name]) if name in whole else None
        if pixels is None and _is_weights(name):
            raise VerificationError(
                "not the first slice of the widest network's weights",
                where=f"{graph.name}.{name}",
                hint="quantize all widths together",
            )
        reference = {"first": True, "type": str(constant.dtype), "shape": list(constant.shape), "pixels": pixels}
        table[name] = constant_to_json(constant) if pixels is None else reference
    return table


def _narrow_graph(entry: Any, whole: Mapping[str, Constant], ops: Mapping[str, type], where: str) -> Graph:
    constants: dict[str, Constant] = {}
    for name, value in entry["constants"].items():
        if value.get("first"):
            part = first_slice(whole[name], tuple(value["shape"]), value["pixels"])
            constants[name] = Constant.of(part, IntType.parse(value["type"]))
        else:
            constants[name] = constant_from_json(value, f"{where}: constant @{name}")
    return parse_graph("\n".join(cast(list[str], entry["text"])), ops, constants, where=where)


def _kind(name: str) -> str:
    return "weights" if _is_weights(name) else "requantize"


def _is_weights(name: str) -> bool:
    return name.endswith(".weights")


def _bits(constant: Constant) -> int:
    return math.prod(constant.shape) * constant.dtype.bits
