"""The networks of the zoo (`codesign/nn/models`) as sketches, by name and options, without torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from codesign.errors import ModelError, nearest
from codesign.passes.sketch import Sketch, parse_sketch

Shape = tuple[int, int, int]
Lines = Iterator[str]


def zoo_sketch(name: str, image: Shape, classes: int, options: Mapping[str, Any]) -> Sketch:
    """The sketch of a network of the zoo; raises ModelError for one that is not there, or an option that it has not."""
    if name not in ZOO:
        raise ModelError(
            f"{name!r} has no sketch",
            where="model.name",
            hint=f"a network of the zoo has one ({', '.join(ZOO)}); of your own, `codesign quantize` makes the graph first",
        )
    known = [option for option in inspect.signature(ZOO[name]).parameters if option != "classes"]
    for option in options:
        if option not in known:
            raise ModelError(f"unknown option {option!r}", where=f"model {name}", hint=nearest(option, known))
    text = "\n".join([f"image {'x'.join(map(str, image))}", *ZOO[name](classes, **options)])
    return parse_sketch(text, where=name)


def lenet5(
    classes: int,
    stem_channels: int = 6,
    branch_channels: int = 16,
    branch_stride: int = 1,
    linear_norm: bool = False,  # changes no op: a norm is folded at export
) -> Lines:
    yield f"stem.conv = conv2d:->{stem_channels},k5,p2,relu"
    yield "stem.pool = max_pool,k2"
    yield f"exit1.head.conv.conv = conv2d:->{branch_channels},k3,s{branch_stride},relu"
    yield "exit1.head.conv.pool = max_pool,k2"
    yield from _flat_linear("exit1.head", classes)
    yield "rest.conv.conv = conv2d:->16,k5,relu @ stem.pool"
    yield "rest.conv.pool = max_pool,k2"
    yield "rest.flatten = flatten"
    yield "rest.linear1 = dense:->120,relu"
    yield "rest.linear2 = dense:->84,relu"
    yield f"final.head = dense:->{classes}"
    yield from _exits(["exit1.head.linear", "final.head"])


def vgg_cifar(classes: int, width: float = 1.0) -> Lines:
    c16, c32, c64, c128 = _scaled(width, 16, 32, 64, 128)
    yield f"stage1.conv = conv2d:->{c16},k3,p1,relu"
    yield "stage1.pool = max_pool,k2"
    yield f"exit1.head.conv.conv = conv2d:->{c16},k3,s2,p1,relu"
    yield "exit1.head.conv.pool = max_pool,k2"
    yield from _flat_linear("exit1.head", classes)
    yield f"stage2.0.conv = conv2d:->{c32},k3,p1,relu @ stage1.pool"
    yield f"stage2.1.conv = conv2d:->{c32},k3,p1,relu"
    yield "stage2.1.pool = max_pool,k2"
    yield f"exit2.head.conv.conv = conv2d:->{c32},k3,s2,p1,relu"
    yield from _flat_linear("exit2.head", classes)
    yield f"stage3.0.conv = conv2d:->{c64},k3,p1,relu @ stage2.1.pool"
    yield f"stage3.1.conv = conv2d:->{c64},k3,p1,relu"
    yield "stage3.1.pool = max_pool,k2"
    yield f"stage3.2.conv = conv2d:->{c128},k3,p1,relu"
    yield "stage3.2.pool = max_pool,k2"
    yield "final.head.flatten = flatten"
    yield f"final.head.linear1 = dense:->{c128},relu"
    yield f"final.head.linear2 = dense:->{classes}"
    yield from _exits(["exit1.head.linear", "exit2.head.linear", "final.head.linear2"])


def resnet_cifar(classes: int, width: float = 1.0, blocks: int = 1) -> Lines:
    c16, c32, c64, c128 = _scaled(width, 16, 32, 64, 128)
    yield f"stage1.conv = conv2d:->{c16},k3,p1,relu"
    yield "stage1.pool = max_pool,k2"
    yield from _mean_head("exit1", [f"conv = conv2d:->{c32},k3,s2,p1,relu"], classes)
    x = "stage1.pool"
    for index in range(blocks):
        yield from _block(f"stage2.{index}", x, c16 if index == 0 else c32, c32, 1)
        x = f"stage2.{index}.add"
    yield from _mean_head("exit2", [f"conv = conv2d:->{c64},k3,s2,p1,relu"], classes)
    sizes = [c32, *[c64] * blocks, *[c128] * blocks]
    for index in range(2 * blocks):
        yield from _block(f"stage3.{index}", x, sizes[index], sizes[index + 1], 2 if index % blocks == 0 else 1)
        x = f"stage3.{index}.add"
    yield from _mean_head("final", [], classes)
    yield from _exits(["exit1.head.linear", "exit2.head.linear", "final.head.linear"])


def mobile_cifar(classes: int, width: float = 1.0, exits: int = 3) -> Lines:
    c16, c32, c64, c128, c256 = _scaled(width, 16, 32, 64, 128, 256)
    if exits not in (2, 3):
        raise ModelError(f"exits must be 2 or 3, not {exits!r}", where="model.options")
    yield f"stage1.conv = conv2d:->{c16},k3,s2,p1,relu6"
    yield from _mean_head("exit1", _separable("", c32, 2), classes)
    middle, rest = ("stage2", "stage3") if exits == 3 else ("stage2.0", "stage2.1")
    first, *others = [*_separable(f"{middle}.0.", c32), *_separable(f"{middle}.1.", c64, 2)]
    yield f"{first} @ stage1.conv"
    yield from others
    x = f"{middle}.1.pointwise.conv"
    if exits == 3:
        yield from _mean_head("exit2", _separable("", c64, 2), classes)
    first, *others = [
        *_separable(f"{rest}.0.", c128),
        *_separable(f"{rest}.1.", c128),
        *_separable(f"{rest}.2.", c256, 2),
    ]
    yield f"{first} @ {x}"
    yield from others
    yield from _mean_head("final", [], classes)
    heads = ("exit1", "exit2", "final") if exits == 3 else ("exit1", "final")
    yield from _exits([f"{head}.head.linear" for head in heads])


ZOO: Mapping[str, Callable[..., Lines]] = {
    "lenet5": lenet5,
    "vgg_cifar": vgg_cifar,
    "resnet_cifar": resnet_cifar,
    "mobile_cifar": mobile_cifar,
}


def _exits(logits: list[str]) -> Lines:
    for index, value in enumerate(logits, 1):
        yield f"exit {'final' if index == len(logits) else f'exit{index}'} = {value}"


def _flat_linear(head: str, classes: int) -> Lines:
    yield f"{head}.flatten = flatten"
    yield f"{head}.linear = dense:->{classes}"


def _mean_head(exit_: str, features: list[str], classes: int) -> Lines:
    """Features, the mean over all pixels, and a linear layer."""
    yield from (f"{exit_}.head.features.{line}" for line in features)
    yield f"{exit_}.head.mean = mean"
    yield f"{exit_}.head.flatten = flatten"
    yield f"{exit_}.head.linear = dense:->{classes}"


def _separable(prefix: str, outputs: int, stride: int = 1) -> list[str]:
    return [
        f"{prefix}depthwise.conv = depthwise_conv2d,k3,s{stride},p1,relu6",
        f"{prefix}pointwise.conv = conv2d:->{outputs},relu6",
    ]


def _block(name: str, x: str, inputs: int, outputs: int, stride: int) -> Lines:
    """relu(conv(conv(x)) + shortcut(x)); the shortcut is a 1x1 convolution where the shape changes."""
    yield f"{name}.conv1.conv = conv2d:->{outputs},k3,s{stride},p1,relu @ {x}"
    yield f"{name}.conv2.conv = conv2d:->{outputs},k3,p1"
    shortcut = x
    if inputs != outputs or stride != 1:
        shortcut = f"{name}.shortcut.conv"
        yield f"{shortcut} = conv2d:->{outputs},s{stride} @ {x}"
    yield f"{name}.add = add,relu @ {name}.conv2.conv, {shortcut}"


def _scaled(width: float, *channels: int) -> tuple[int, ...]:
    """Channels times `width`, each rounded to a multiple of 4, as `nn/models/blocks.py` does."""
    if isinstance(width, bool) or not 0 < width <= 64:
        raise ModelError(f"width must be a number in 0..64, not {width!r}", where="model.options")
    return tuple(max(4, 4 * round(c * width / 4)) for c in channels)
