"""Host C++ of a graph: its layers as one self-contained C++11 source with a C interface, exact as the golden model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import codesign
from codesign.emit.host_layers import Ints, Layer, Map, Network, lower
from codesign.emit.templates import render, template_folder
from codesign.errors import GraphError
from codesign.ir.graph import Graph
from codesign.ir.types import Codes, IntType, TensorType
from codesign.plan.names import Names

LIBRARY = ("cs_lanes.h", "cs_bytes.h", "cs_words.h", "cs_map.h", "cs_matrix.h", "cs_channelwise.h")
LANES = 16  # outputs that are worked on together; cs::LANES
TAPS = {"Bytes": 4, "Words": 2, "Longs": 1}
MAX_BLOCK = 8  # frames worked on together, so that dense layers read their weights once for all of them
WORKSPACE_BYTES = 1 << 18  # what a block's values may take, so that they stay near the processor
BYTE, INT8, INT16, INT32, INT64 = IntType(8, signed=False), IntType(8), IntType(16), IntType(32), IntType(64)
C_TYPES = {BYTE: "uint8_t", INT8: "int8_t", IntType(16, signed=False): "uint16_t", INT16: "int16_t"} | {
    IntType(32, signed=False): "uint32_t",
    INT32: "int32_t",
    INT64: "int64_t",
}


@dataclass(frozen=True)
class Interface:
    """How an emitted network is called: `name` begins its C functions; a frame of codes in, every output's codes out."""

    name: str
    input: str
    x: TensorType
    outputs: Mapping[str, TensorType]

    @cached_property
    def code(self) -> IntType:
        """The C integer that holds a code of the input."""
        return next(kind for kind in C_TYPES if _holds(kind, self.x.dtype))

    @cached_property
    def logit(self) -> IntType:
        """The C integer that holds a code of any output."""
        return INT32 if all(_holds(INT32, t.dtype) for t in self.outputs.values()) else INT64

    @property
    def output_codes(self) -> int:
        return sum(t.size for t in self.outputs.values())

    def to_json(self) -> dict[str, Any]:
        """The content of host.json, for whoever loads the library."""
        starts = np.cumsum([0, *(t.size for t in self.outputs.values())]).tolist()
        outputs = [
            {"name": name, "start": start, **_described(kind)}
            for (name, kind), start in zip(self.outputs.items(), starts, strict=False)
        ]
        return {"name": self.name, "input": {"name": self.input, **_described(self.x)}, "outputs": outputs}


def interface(graph: Graph, name: str, outputs: Sequence[str] = ()) -> Interface:
    """The interface to the layers that compute `outputs`; by default the graph's outputs and its exits' logits, each once.

    Raises GraphError where these need anything but one stream input.
    """
    wanted = tuple(dict.fromkeys(outputs or (*graph.outputs, *(point.logits for point in graph.exits))))
    needed = graph.ancestors(*wanted)
    inputs = [value for value in graph.inputs if value.name in needed]
    if [value.kind for value in inputs] != ["stream"]:
        kinds = " and ".join(f"{value.kind} {value.name}" for value in inputs) or "nothing"
        raise GraphError(f"its outputs need {kinds}", where=graph.name, hint="the host runs layers on one stream")
    return Interface(
        Names().take(name), inputs[0].name, inputs[0].type, {value: graph.types[value] for value in wanted}
    )


def emit_host(graph: Graph, *, name: str, outputs: Sequence[str] = ()) -> dict[str, str]:
    """{path: text} of `NAME.cpp`, which needs only the standard library, its header, and host.json for who loads it.

    `outputs` as for `interface`. Raises GraphError for what the host cannot run.
    """
    face = interface(graph, name, outputs)
    network = lower(graph, tuple(face.outputs))
    writer = _Writer(graph, network)
    variables = {
        "name": face.name,
        "graph": graph.name,
        "version": codesign.__version__,
        "face": face,
        "code": C_TYPES[face.code],
        "logit": C_TYPES[face.logit],
        "outputs": writer.outputs(face),
        "products": writer.products(),
    }
    source = render(
        "host/network.cpp.j2",
        **variables,
        library=library_text(),
        block=writer.block,
        maps=writer.maps(),
        layers=[writer.layer(layer) for layer in network.layers],
        x=writer.map_name(face.input),
    )
    return {
        f"{face.name}.cpp": source,
        f"{face.name}.h": render("host/network.h.j2", **variables),
        "host.json": json.dumps(face.to_json(), indent=2) + "\n",
    }


def emit_check(face: Interface, x: Codes, outputs: Mapping[str, Codes]) -> dict[str, str]:
    """{path: text} of a program that runs golden frames through the network, and of the Makefile for both.

    `x` and `outputs` are codes (N, H, W, C), those of the outputs by value.
    """
    frames = len(x)
    y = np.concatenate([outputs[value].reshape(frames, -1) for value in face.outputs], axis=1)
    variables = {"name": face.name, "face": face, "code": C_TYPES[face.code], "logit": C_TYPES[face.logit]}
    check = render(
        "host/check.cpp.j2", **variables, frames=frames, x=x.reshape(frames, -1).astype(np.int64), y=y.reshape(-1)
    )
    return {"check.cpp": check, "Makefile": render("host/Makefile.j2", **variables)}


class _Writer:
    """Template variables of a network: C++ names, types that memory has, and weights in the order of use."""

    def __init__(self, graph: Graph, network: Network) -> None:
        self._graph, self._network = graph, network
        names = Names()
        self._names = {value: names.take(value) for value in network.maps}
        self._layers = Names()
        self._words = {
            layer.x[0].x for layer in network.layers if layer.kind == "matrix" and _needs_words(network, layer)
        }
        self._storage = {value: self._stored(value, place) for value, place in network.maps.items()}
        frame_bytes = sum(place.type.size * self._storage[value].bits // 8 for value, place in network.maps.items())
        self.block = max(1, min(MAX_BLOCK, WORKSPACE_BYTES // frame_bytes))

    def map_name(self, value: str) -> str:
        return self._names[value]

    def maps(self) -> list[dict[str, Any]]:
        """Every value in memory: its C++ name and type, its border."""
        return [
            {
                "name": self._names[value],
                "value": value,
                "code": C_TYPES[self._storage[value]],
                "type": place.type,
                "border": place.border,
                "fill": place.fill,
            }
            for value, place in self._network.maps.items()
        ]

    def outputs(self, face: Interface) -> list[dict[str, Any]]:
        """Every output with the place of its first code in a frame's output."""
        starts = np.cumsum([0, *(t.size for t in face.outputs.values())]).tolist()
        return [
            {"value": value, "map": self._names[value], "type": kind, "start": start}
            for (value, kind), start in zip(face.outputs.items(), starts, strict=False)
        ]

    def products(self) -> int:
        """Multiplications that a frame takes."""
        return sum(
            layer.weights.size * layer.sums.pixels for layer in self._network.layers if layer.weights is not None
        )

    def layer(self, layer: Layer) -> dict[str, Any]:
        """The variables of one layer in host/layers.cpp.j2."""
        sums = self._sum_type(layer)
        variables: dict[str, Any] = {
            "layer": layer,
            "name": self._layers.take(layer.nodes[0]),
            "y": self._names[layer.y],
            "x": [self._names[window.x] for window in layer.x],
            "title": self._title(layer),
            "sum": C_TYPES[sums],
            "low": self._network.maps[layer.x[0].x].type.dtype.min,
            "rounding": self._rounding(layer, sums),
        }
        if layer.kind == "matrix":
            variables |= self._matrix(layer, sums)
        elif layer.weights is not None:
            variables |= {"weight": C_TYPES[_narrowest(layer.weights)], "weights": layer.weights}
        return variables

    def _matrix(self, layer: Layer, sums: IntType) -> dict[str, Any]:
        assert layer.weights is not None
        storage = self._storage[layer.x[0].x]
        unit = "Longs" if sums == INT64 else "Bytes" if storage == BYTE else "Words"
        weight = {"Bytes": INT8, "Words": INT16, "Longs": _narrowest(layer.weights)}[unit]
        longs = f"Longs<{C_TYPES[storage]}, {C_TYPES[weight]}>"
        outputs, rows, run = layer.weights.shape
        return {
            "unit": longs if unit == "Longs" else unit,
            "weight": C_TYPES[weight],
            "weights": pack(layer.weights, TAPS[unit]),
            "outputs": outputs,
            "kernel_rows": rows,
            "run": run,
        }

    def _sum_type(self, layer: Layer) -> IntType:
        """The C integer that a layer's sums are made in."""
        x = self._network.maps[layer.x[0].x].type.dtype
        if layer.kind == "max_pool":
            return self._storage[layer.x[0].x]
        if not _holds(INT64, layer.sums.dtype):
            raise GraphError(
                f"{layer.sums} needs more than 64 bits", where=f"{self._graph.name}.{layer.nodes[0]}", hint="use fewer"
            )
        narrow = _holds(INT32, layer.sums.dtype)
        if layer.kind == "matrix":
            assert layer.weights is not None
            narrow = narrow and _holds(INT16, x) and _holds(INT16, _narrowest(layer.weights))
        return INT32 if narrow else INT64

    def _rounding(self, layer: Layer, sums: IntType) -> dict[str, Any] | None:
        """What a requantize multiplies, adds, shifts and clamps with; arrays where channels differ."""
        op = layer.rounding
        if op is None:
            return None
        exact, multiplier = op.wide(layer.sums), _narrowest(op.multiplier.array)
        factor = INT32 if sums.bits <= 32 and multiplier.bits <= 32 else INT64
        wide = INT32 if factor == INT32 and exact.bits <= 32 else INT64
        narrow = INT32 if exact.bits - op.shift <= 32 else INT64
        room = -(-layer.sums.channels // LANES) * LANES  # finish() works on whole vectors
        tables: dict[str, Any] = {}
        for name, values in (("multiplier", op.multiplier.array), ("offset", op.bias.array + op.half)):
            same = bool((values == values[0]).all())
            tables[name] = int(values[0]) if same else np.pad(values, (0, room - len(values)))
        types = {"factor": C_TYPES[factor], "wide": C_TYPES[wide], "narrow": C_TYPES[narrow]}
        return {**types, **tables, "shift": op.shift, "low": op.clamp[0], "high": op.clamp[1]}

    def _stored(self, value: str, place: Map) -> IntType:
        if _holds(BYTE, place.type.dtype) and value not in self._words:
            return BYTE
        for kind in (INT16, INT32, INT64):
            if _holds(kind, place.type.dtype):
                return kind
        raise GraphError(f"{place.type} needs more than 64 bits", where=f"{self._graph.name}.{value}", hint="use fewer")

    def _title(self, layer: Layer) -> str:
        names = [self._graph.node(name).op.name if name not in _inputs(self._graph) else "copy" for name in layer.nodes]
        x, y = self._network.maps[layer.x[0].x].type, self._network.maps[layer.y].type
        return f"{layer.nodes[0]}: {', '.join(names)}; {x} -> {y}"


def pack(weights: Ints, taps: int) -> Ints:
    """Weights (outputs, rows, run) as the host reads them: (output / 16, row, group, 16, taps), zeros where they end."""
    outputs, rows, run = weights.shape
    vectors, groups = -(-outputs // LANES), -(-run // taps)
    padded = np.pad(weights, ((0, vectors * LANES - outputs), (0, 0), (0, groups * taps - run)))
    tiles = padded.reshape(vectors, LANES, rows, groups, taps).transpose(0, 2, 3, 1, 4)
    return tiles.reshape(-1, LANES * taps)


def _needs_words(network: Network, layer: Layer) -> bool:
    """Whether a matrix cannot work on bytes, as far as its input and weights go."""
    assert layer.weights is not None
    x = network.maps[layer.x[0].x].type.dtype
    return not (_holds(BYTE, x) and _holds(INT8, _narrowest(layer.weights)))


def library_text() -> str:
    """The hand-written headers as one text, without what includes them in each other."""
    texts = [(template_folder() / "host" / name).read_text(encoding="utf-8") for name in LIBRARY]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith('#include "')]
    return "\n".join(lines)


def _holds(kind: IntType, dtype: IntType) -> bool:
    return kind.min <= dtype.min and dtype.max <= kind.max


def _narrowest(array: Ints) -> IntType:
    """The narrowest signed C integer of all values."""
    values = IntType.holding(int(array.min(initial=0)), int(array.max(initial=0)))
    return next(kind for kind in (INT8, INT16, INT32, INT64) if _holds(kind, values))


def _described(kind: TensorType) -> dict[str, Any]:
    return {"shape": list(kind.shape), "min": kind.dtype.min, "max": kind.dtype.max, "scale": kind.scale}


def _inputs(graph: Graph) -> frozenset[str]:
    return frozenset(value.name for value in graph.inputs)
