"""Costs of single layers that add up: what a search over networks looks up a thousand times a second.

A layer is priced as the cheapest processes that keep within an interval, by the share of the device that they take. Resources
and dynamic energy of a network are about the sums over its layers, its interval the largest of their cycles; what is left
out is what lies between layers, converters and FIFOs, and the ports, which `cost.oracle.estimate` has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from codesign.cost.oracle import Backend
from codesign.cost.power import coefficients
from codesign.devices import Device
from codesign.ir.types import IntType, TensorType
from codesign.ops.base import Folding, Op
from codesign.passes.sketch import Layer, Sketch
from codesign.passes.sketch_graph import PIXELS, Precision, sketch_graph
from codesign.plan.budget import Resources, price
from codesign.plan.dataflow import cycles
from codesign.plan.options import NEVER, op_of, options

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer within an interval: cycles of its slowest process, resources, their share of the device added up,
    dynamic energy in microjoules a frame, and the shape of its output. `met` says whether the interval is kept."""

    cycles: int
    resources: Resources
    share: float
    dynamic_uj: float
    shape: Shape
    met: bool


def layer_cost(
    layer: Layer,
    x: Shape,
    device: Device,
    interval_cycles: int,
    backend: Backend = "hls",
    *,
    precision: Precision | None = None,
    x_type: IntType = PIXELS.dtype,
) -> LayerCost:
    """The cost of a layer that reads a map of (rows, columns, channels). Raises ConfigError where it does not fit the map."""
    alone = replace(layer, name="layer", inputs=("image",) * (2 if layer.kind == "add" else 1), shape=())
    key = _Key(precision or Precision())
    return _layer_cost(alone, x, x_type, device, interval_cycles, backend, key)


def layer_table(
    candidates: Sequence[Sequence[Layer]],
    x: Shape,
    device: Device,
    interval_cycles: int,
    backend: Backend = "hls",
    *,
    precision: Precision | None = None,
) -> list[LayerCost]:
    """For every candidate, a chain of layers, the sum over its layers: one row of a differentiable search's table."""
    rows: list[LayerCost] = []
    for chain in candidates:
        shape, costs = x, list[LayerCost]()
        for layer in chain:
            costs.append(layer_cost(layer, shape, device, interval_cycles, backend, precision=precision))
            shape = costs[-1].shape
        rows.append(added(costs, shape))
    return rows


def added(costs: Sequence[LayerCost], shape: Shape) -> LayerCost:
    """Layers behind each other: resources and energy add up, of cycles the most count."""
    return LayerCost(
        max((cost.cycles for cost in costs), default=0),
        sum((cost.resources for cost in costs), Resources()),
        sum(cost.share for cost in costs),
        sum(cost.dynamic_uj for cost in costs),
        shape,
        all(cost.met for cost in costs),
    )


class _Key:
    """A precision that hashes by what it says, its layers included."""

    __slots__ = ("_hash", "_text", "precision")

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        layers: Mapping[str, tuple[int, int]] = precision.layers
        self._text = (*(getattr(precision, name) for name in _FIELDS), tuple(sorted(layers.items())))
        self._hash = hash(self._text)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._text == other._text


_FIELDS = ("weight_bits", "activation_bits", "scales", "multiplier_bits", "logit_bits", "logit_fraction_bits")


@lru_cache(maxsize=1 << 18)
def _layer_cost(
    layer: Layer, x: Shape, x_type: IntType, device: Device, interval: int, backend: Backend, key: _Key
) -> LayerCost:
    graph = sketch_graph(Sketch(x, (layer,), ()), "layer", key.precision, pixels=TensorType((1, 1, 1), x_type, 2.0**-8))
    slowest, whole, met = 0, Resources(), True
    for node in graph.nodes:
        op = op_of(node)
        if op.view:
            continue
        types = tuple(graph.types[source] for source in node.inputs)
        within = options(op, types, interval, False)
        ways = within or options(op, types, NEVER, False)
        best = min(ways, key=lambda f: (_share(op, f, types, device, backend) if within else 0, cycles(op, f, types)))
        slowest, met = max(slowest, cycles(op, best, types)), met and bool(within)
        whole += _taken(op, best, types, device, backend)
    at = max(interval, slowest)
    microwatts_per_mhz = coefficients(device.family).watts(whole, 1.0) * 1e6
    shape = graph.types[graph.nodes[-1].name].shape if graph.nodes else x
    return LayerCost(slowest, whole, whole.share(device), microwatts_per_mhz * at * 1e-6, shape, met)


def _share(op: Op, folding: Folding, types: tuple[TensorType, ...], device: Device, backend: Backend) -> float:
    return _taken(op, folding, types, device, backend).share(device)


def _taken(op: Op, folding: Folding, types: tuple[TensorType, ...], device: Device, backend: Backend) -> Resources:
    if backend == "rtl":
        from codesign.cost.rtl import unit_price

        return unit_price(op, folding, types)
    return price(op, folding, types, device.pads_bram)
