"""A network as a short text of layers, and the graph that training it and exporting it would give, weights aside.

    image 28x28x1
    stem.conv = conv2d:28x28x1->6,k5,p2,relu
    stem.pool = max_pool,k2
    exit1.conv = conv2d:->16,k3,relu
    exit1.flatten = flatten
    exit1.linear = dense:->10
    rest.conv = conv2d:->16,k5,relu @ stem.pool
    rest.flatten = flatten
    final.linear = dense:->10
    exit exit1 = exit1.linear
    exit final = final.linear

A layer reads the one above it, or those behind `@`. `KIND[:SHAPE][->OUTPUTS]` as in `codesign estimate --layer`; a SHAPE is only
checked; a dense layer flattens what it reads. Options: `kROWS[xCOLUMNS]`, `s` stride, `p` padding, `g` groups, `relu`, `relu6`. Kinds: conv2d, depthwise_conv2d,
dense, max_pool, avg_pool, mean (over all pixels), add, flatten.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from codesign.errors import ConfigError, nearest

KINDS = ("conv2d", "depthwise_conv2d", "dense", "max_pool", "avg_pool", "mean", "add", "flatten")
WEIGHTED = ("conv2d", "depthwise_conv2d", "dense")
_OPTION = re.compile(r"([kspg])(\d+)(?:x(\d+))?")

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `outputs` 0 keeps the channels, `shape` () is not checked, `high` is where a ReLU ends (0: nowhere)."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: int = 0
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    groups: int = 1
    relu: bool = False
    high: float = 0.0
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """A network: its image (rows, columns, channels), layers in order, and exits as (name, the layer of its logits)."""

    image: tuple[int, int, int]
    layers: tuple[Layer, ...]
    exits: tuple[tuple[str, str], ...]


def parse_sketch(text: str, where: str = "sketch") -> Sketch:
    """The network that a text describes; raises ConfigError that names the line."""
    image: tuple[int, int, int] | None = None
    layers: list[Layer] = []
    exits: list[tuple[str, str]] = []
    for number, line in _lines(text):
        place = f"{where}:{number}"
        words = line.split()
        if words[0] == "image":
            image = _image(words, place)
        elif words[0] == "exit" and "=" in line:
            exits.append((words[1], _known(words[-1], layers, place)))
        else:
            layers.append(_layer(line, layers, place))
    if image is None or not layers:
        raise ConfigError("no image or no layers", where=where, hint="begin with a line such as `image 28x28x1`")
    return Sketch(image, tuple(layers), tuple(exits) or (("final", layers[-1].name),))


def _lines(text: str) -> Iterable[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line := line.partition("#")[0].strip():
            yield number, " ".join(line.split())


def _image(words: list[str], place: str) -> tuple[int, int, int]:
    sizes = [int(n) for n in words[-1].split("x") if n.isdigit()]
    if len(words) != 2 or len(sizes) != 3 or min(sizes) < 1:
        raise ConfigError(f"{' '.join(words)!r} is no image", where=place, hint="write ROWSxCOLUMNSxCHANNELS")
    return sizes[0], sizes[1], sizes[2]


def _layer(line: str, layers: list[Layer], place: str) -> Layer:
    what, _, sources = line.partition(" @ ")
    name, equals, spec = what.partition(" = ")
    head, *words = spec.split(",")
    front, arrow, outputs = head.partition("->")
    kind, _, shape = front.partition(":")
    sizes = shape.split("x") if shape else []
    if not (equals and name and spec) or (arrow and not outputs.isdigit()) or not all(n.isdigit() for n in sizes):
        raise ConfigError(
            f"{line!r} is no layer", where=place, hint="write NAME = KIND:->OUTPUTS,k3,p1,relu, or `exit NAME = LAYER`"
        )
    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is no kind of layer", where=place, hint=nearest(kind, KINDS))
    inputs = tuple(_known(word.strip(), layers, place) for word in sources.split(",")) if sources else ()
    inputs = inputs or ((layers[-1].name if layers else "image"),)
    if (len(inputs) == 2) != (kind == "add") or len(inputs) > 2:
        raise ConfigError(f"{kind} reads {len(inputs)} values", where=place, hint="an add reads two, others one")
    if any(layer.name == name for layer in layers):
        raise ConfigError(f"the name {name!r} is used twice", where=place, hint="give every layer its own name")
    if not arrow and kind in ("conv2d", "dense"):
        raise ConfigError(f"{kind} has no outputs", where=place, hint="write ->OUTPUTS behind the kind")
    options, flags = _options(words, place)
    kernel = options.get("k", (1, 1))
    pooled = kind in ("max_pool", "avg_pool")
    return Layer(
        name,
        kind,
        inputs,
        int(outputs or 0),
        kernel,
        options.get("s", kernel if pooled else (1, 1)),
        options.get("p", (0, 0)),
        options.get("g", (1, 1))[0],
        bool(flags),
        6.0 if "relu6" in flags else 0.0,
        tuple(map(int, sizes)),
    )


def _options(words: list[str], place: str) -> tuple[Mapping[str, Pair], set[str]]:
    options: dict[str, Pair] = {}
    flags: set[str] = set()
    for word in words:
        if word in ("relu", "relu6"):
            flags.add(word)
        elif match := _OPTION.fullmatch(word):
            options[match[1]] = (int(match[2]), int(match[3] or match[2]))
        else:
            raise ConfigError(f"{word!r} is no option", where=place, hint="use kN, sN, pN, gN, relu or relu6")
    return options, flags


def _known(name: str, layers: list[Layer], place: str) -> str:
    names = ["image", *(layer.name for layer in layers)]
    if name not in names:
        raise ConfigError(f"{name!r} is no layer above", where=place, hint=nearest(name, names))
    return name
