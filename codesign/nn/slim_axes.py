"""Which axes of a network's tensors shrink with its width: groups of values whose channels stand or fall together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codesign.errors import ModelError
from codesign.nn.layers import IMAGE, BatchNorm, Conv, Flatten, Layer, Linear, Network


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a tensor: `channels` in order, each `span` values long (1, or the pixels of a flattened map)."""

    channels: int
    span: int
    slim: bool  # whether a narrower network has fewer of the channels

    def kept(self, width: float, step: int) -> int:
        """How many channels a network of `width` keeps: a multiple of `step`."""
        if not self.slim:
            return self.channels
        return min(self.channels, step * math.ceil(self.channels * width / step - 1e-9))

    def cut(self, width: float, step: int) -> slice:
        return slice(0, self.kept(width, step) * self.span)


@dataclass(frozen=True, slots=True)
class Cut:
    """How the tensors of one torch module shrink; `logits` where its outputs are an exit's."""

    path: str
    outputs: Axis
    inputs: Axis | None  # of the weights' second axis; None where there is none that shrinks
    norm: bool
    logits: bool

    def index(self, width: float, step: int) -> tuple[slice, ...]:
        """The part of the weights that a network of `width` uses."""
        cuts = (self.outputs.cut(width, step),)
        return cuts if self.inputs is None else (*cuts, self.inputs.cut(width, step))


def cuts_of(network: Network, step: int, *, causal: bool = False) -> tuple[Cut, ...]:
    """How every module with weights shrinks. The image and the logits keep their channels.

    Values are tied that must have the same channels: both inputs of an add and its sum, and what goes into and comes out
    of a batch norm, a pool or a depthwise convolution. What is tied to the image or to logits keeps its channels too.
    Raises ModelError for grouped convolutions, modules that are used twice, and channels that are no multiple of `step`;
    when `causal`, also for a layer that would let new channels change old ones.
    """
    groups, spans, shapes = _groups(network), _spans(network), network.shapes
    kept = {groups[IMAGE]} | {groups[point.logits] for point in network.exits}
    logits = {groups[point.logits] for point in network.exits}

    def axis(value: str) -> Axis:
        return Axis(shapes[value][0] // spans[value], spans[value], groups[value] not in kept)

    cuts: dict[str, Cut] = {}
    for layer in network.layers:
        where = f"{network.name}.{layer.name}"
        _check_tied([axis(source) for source in layer.inputs], where)
        if not isinstance(layer, Conv | Linear | BatchNorm):
            continue
        if layer.module in cuts:
            raise ModelError(
                "is used twice", where=f"{network.name}.{layer.module}", hint="give each use a module of its own"
            )
        outputs = axis(layer.name)
        inputs = None if isinstance(layer, BatchNorm) or _depthwise(layer) else axis(layer.inputs[0])
        if outputs.slim and outputs.channels % step:
            raise ModelError(
                f"{outputs.channels} channels are no multiple of slim.step = {step}",
                where=where,
                hint="change the network's channels in [model.options], or take another step",
            )
        is_logits = groups[layer.name] in logits
        if causal:
            _check_causal(inputs, outputs, is_logits, groups[layer.inputs[0]] in logits, where)
        cuts[layer.module] = Cut(layer.module, outputs, inputs, isinstance(layer, BatchNorm), is_logits)
    return tuple(cuts.values())


def _groups(network: Network) -> dict[str, str]:
    """A value's name -> the name of the first value of its group."""
    first = {IMAGE: IMAGE}

    def root(value: str) -> str:
        while first[value] != value:
            value = first[value]
        return value

    for layer in network.layers:
        first[layer.name] = layer.name
        if isinstance(layer, Conv) and layer.groups > 1 and not _depthwise(layer):
            raise ModelError(
                f"a convolution of {layer.groups} groups cannot be slimmed",
                where=f"{network.name}.{layer.name}",
                hint="use groups=1, or a depthwise convolution with as many outputs as inputs",
            )
        if not isinstance(layer, Conv | Linear) or _depthwise(layer):
            for source in layer.inputs:
                first[root(layer.name)] = root(source)
    return {value: root(value) for value in first}


def _spans(network: Network) -> dict[str, int]:
    """The values per channel of every value's first axis: 1 but behind a flatten."""
    spans, shapes = {IMAGE: 1}, network.shapes
    for layer in network.layers:
        source = layer.inputs[0]
        if isinstance(layer, Flatten):
            spans[layer.name] = spans[source] * math.prod(shapes[source][1:])
        else:
            spans[layer.name] = 1 if isinstance(layer, Conv | Linear) else spans[source]
    return spans


def _depthwise(layer: Layer) -> bool:
    return isinstance(layer, Conv) and 1 < layer.groups == layer.in_channels == layer.out_channels


def _check_tied(inputs: Sequence[Axis], where: str) -> None:
    """Raises ModelError for an add of two values with different channels behind one size."""
    for other in inputs[1:]:
        if other != inputs[0]:
            raise ModelError(
                f"adds values of {inputs[0].channels} channels of {inputs[0].span} and {other.channels} of {other.span}",
                where=where,
                hint="add maps before they are flattened",
            )


def _check_causal(inputs: Axis | None, outputs: Axis, is_logits: bool, reads_logits: bool, where: str) -> None:
    if inputs is not None and inputs.slim and not outputs.slim and not is_logits:
        raise ModelError(
            "keeps all its outputs at every width, so new channels would change old ones",
            where=where,
            hint='take another slim.recipe than "causal", or do not add the image to it',
        )
    if reads_logits and not is_logits:
        raise ModelError(
            "reads logits, which every width has of its own", where=where, hint='take another slim.recipe than "causal"'
        )
