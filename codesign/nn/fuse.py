"""Layers -> steps: batch norm and ReLU folded into the layer before them, so that every step rounds once.

%c = conv(%image)         %c = step(conv, norm, relu)(%image)
%n = norm(%c)             %p = step(max_pool)(%c)
%p = max_pool(%n)
%r = relu(%p)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from codesign.nn.layers import (
    BatchNorm,
    ExitLogits,
    Flatten,
    Identity,
    Layer,
    Linear,
    MaxPool,
    Network,
    Relu,
    Shape,
)

MOVES = (MaxPool, Flatten)  # codes are only chosen or renamed: nothing is rounded


@dataclass(frozen=True, slots=True)
class Step:
    """One layer with what is folded into it: batch norms in order, then a clamp to 0..high when `relu`."""

    layer: Layer
    norms: tuple[str, ...] = ()
    relu: bool = False
    high: float = math.inf
    logits: bool = False  # its result is an exit's logits

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.layer.inputs

    @property
    def rounds(self) -> bool:
        return not isinstance(self.layer, MOVES)


@dataclass(frozen=True, slots=True)
class Steps:
    """A network as steps in topological order, with the shape of every value and where vectors come from.

    `origins` gives for every vector the (C, H, W) of the map it was flattened from; of a linear layer's, (F, 1, 1).
    """

    name: str
    steps: tuple[Step, ...]
    exits: tuple[ExitLogits, ...]
    shapes: Mapping[str, Shape]
    origins: Mapping[str, Shape]


def fuse(network: Network) -> Steps:
    """The network as steps: ReLUs moved in front of max pools and flattens, then all that can be is folded."""
    network = with_own_logits(raise_relus(network))
    steps: list[Step] = []
    renamed: dict[str, str] = {}
    folded: set[str] = set()
    for layer in network.layers:
        if layer.name in folded:
            continue
        chain = [] if isinstance(layer, MOVES) else _chain(network, layer)
        step = _fold(layer, chain)
        step = replace(step, layer=replace(step.layer, inputs=tuple(renamed.get(i, i) for i in layer.inputs)))
        last = chain[-1].name if chain else layer.name
        steps.append(replace(step, logits=_feeds_exit(network, last)))
        folded.update(link.name for link in chain)
        renamed[last] = layer.name
    exits = tuple(replace(e, logits=renamed.get(e.logits, e.logits)) for e in network.exits)
    shapes = network.shapes
    return Steps(network.name, tuple(steps), exits, shapes, _origins(steps, shapes))


def raise_relus(network: Network) -> Network:
    """`relu(max_pool(x))` -> `max_pool(relu(x))`, and the same for flatten: the order does not change the result.

    %p = max_pool(%x)                  %r = relu(%x)
    %r = relu(%p)                      %p = max_pool(%r)
    """
    layers = list(network.layers)
    for index in range(len(layers)):
        relu = layers[index]
        if not isinstance(relu, Relu):
            continue
        while isinstance(move := _layer(layers, relu.inputs[0]), MOVES) and _only_reader(network, layers, move, relu):
            layers = _swap(layers, move, relu)
            network = replace(
                network,
                layers=tuple(layers),
                exits=tuple(replace(e, logits=_renamed(e.logits, relu.name, move.name)) for e in network.exits),
            )
            relu = _layer(layers, relu.name)
            assert relu is not None
    return network


def with_own_logits(network: Network) -> Network:
    """The network with an identity where an exit's logits come straight from a max pool, the image or another exit."""
    layers, exits = list(network.layers), list[ExitLogits]()
    used = {layer.name for layer in layers}
    sources: set[str] = set()
    for point in network.exits:
        source = _rounding_source(layers, point.logits)
        if source is None or source in sources:
            name = f"{point.name}.logits"
            while name in used:
                name += "_"
            at = 1 + max((i for i, layer in enumerate(layers) if layer.name == point.logits), default=-1)
            layers.insert(at, Identity(name, (point.logits,)))
            used.add(name)
            source, point = name, replace(point, logits=name)
        sources.add(source)
        exits.append(point)
    return replace(network, layers=tuple(layers), exits=tuple(exits))


def _rounding_source(layers: Sequence[Layer], value: str) -> str | None:
    """The value that `value` is after flattening, or None where that is nothing that rounds."""
    layer = _layer(layers, value)
    while isinstance(layer, Flatten):
        value = layer.inputs[0]
        layer = _layer(layers, value)
    return None if layer is None or isinstance(layer, MOVES) else value


def _chain(network: Network, layer: Layer) -> list[Layer]:
    """The batch norms and then the ReLUs behind `layer` that nothing else reads between."""
    chain: list[Layer] = []
    value, allowed = layer.name, (BatchNorm, Relu)
    if isinstance(layer, BatchNorm | Relu):
        allowed = (Relu,) if isinstance(layer, Relu) else allowed
    while not network.is_logits(value) and len(readers := network.readers(value)) == 1:
        if not isinstance(readers[0], allowed):
            break
        chain.append(readers[0])
        value = readers[0].name
        allowed = (Relu,) if isinstance(readers[0], Relu) else allowed
    return chain


def _fold(layer: Layer, chain: Sequence[Layer]) -> Step:
    """`layer` with `chain` folded in; a batch norm or ReLU that has no layer of its own becomes an identity's."""
    links = [layer, *chain] if isinstance(layer, BatchNorm | Relu) else chain
    base = Identity(layer.name, layer.inputs) if isinstance(layer, BatchNorm | Relu) else layer
    relus = [link for link in links if isinstance(link, Relu)]
    norms = tuple(link.module for link in links if isinstance(link, BatchNorm))
    return Step(base, norms, bool(relus), min((link.high for link in relus), default=math.inf))


def _feeds_exit(network: Network, value: str) -> bool:
    """Whether an exit's logits are this value, or it flattened."""
    return any(_rounding_source(network.layers, point.logits) == value for point in network.exits)


def _origins(steps: Sequence[Step], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    origins: dict[str, Shape] = {}
    for step in steps:
        source = step.inputs[0]
        if len(shapes[step.name]) != 1:
            continue
        if isinstance(step.layer, Linear):
            origins[step.name] = (*shapes[step.name], 1, 1)
        elif isinstance(step.layer, Flatten) and len(shapes[source]) == 3:
            origins[step.name] = shapes[source]
        else:
            origins[step.name] = origins[source]
    return origins


def _layer(layers: Sequence[Layer], name: str) -> Layer | None:
    return next((layer for layer in layers if layer.name == name), None)


def _only_reader(network: Network, layers: Sequence[Layer], move: Layer, relu: Layer) -> bool:
    return not network.is_logits(move.name) and [r for r in layers if move.name in r.inputs] == [relu]


def _swap(layers: Sequence[Layer], move: Layer, relu: Layer) -> list[Layer]:
    """The layers with `relu` in front of `move`, which now has relu's readers."""
    first, second = replace(relu, inputs=move.inputs), replace(move, inputs=(relu.name,))
    swapped: list[Layer] = []
    for layer in layers:
        if layer is move:
            swapped.append(first)
        elif layer is relu:
            swapped.append(second)
        else:
            swapped.append(replace(layer, inputs=tuple(_renamed(i, relu.name, move.name) for i in layer.inputs)))
    return swapped


def _renamed(name: str, old: str, new: str) -> str:
    return new if name == old else name
