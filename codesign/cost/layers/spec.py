"""The description of a single layer: `conv2d:28x28x1->6,k5,p2`, and the style in which it is written for HLS.

    KIND:SHAPE[->OUTPUTS][,kK[xK]][,sS[xS]][,pP]

SHAPE is HxWxC, WxC for a row, or N alone for a vector; the kinds with weights need OUTPUTS. `k` is the kernel, `s` the
stride (of a pooling layer the kernel unless given, otherwise 1), `p` the padding on all four sides; of `upsample`, `k` is
the factor. `dense` flattens what it reads.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from codesign.errors import ConfigError, nearest

GRAMMAR = "KIND:HxWxC[->OUTPUTS][,kK[xK]][,sS[xS]][,pP], such as conv2d:28x28x1->6,k5,p2 or dense:256->10"
WINDOWED = ("conv2d", "depthwise_conv2d", "max_pool", "avg_pool")
WEIGHTED = ("conv2d", "depthwise_conv2d", "dense")
ELEMENTWISE = ("relu", "leaky_relu", "sigmoid", "tanh", "softmax", "batch_norm", "add", "multiply")
MOVING = ("zero_pad", "upsample", "copy")
KINDS = (*WINDOWED, "dense", *ELEMENTWISE, *MOVING)

_SIZE = re.compile(r"\d+(x\d+){0,2}")
_OPTION = re.compile(r"([ksp])(\d+)(?:x(\d+))?")
_FIXED = re.compile(r"ap_u?(?:fixed|int)<\s*(\d+)\s*(?:,\s*-?\d+\s*)?(?:,[\w\s,:]*)?>|float|double|half")
_FLOATS = {"float": 32, "double": 64, "half": 16}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a network; sizes of its input, kernels as (rows, columns), `pads` as (top, left, bottom, right)."""

    kind: str
    height: int
    width: int
    channels: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def positions(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns with the padding."""
        top, left, bottom, right = self.pads
        return self.height + top + bottom, self.width + left + right

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the output."""
        if self.kind == "upsample":
            return self.height * self.kernel[0], self.width * self.kernel[1], self.outputs
        rows, columns = self.padded
        if self.kind in WINDOWED:
            rows = (rows - self.kernel[0]) // self.stride[0] + 1
            columns = (columns - self.kernel[1]) // self.stride[1] + 1
        return rows, columns, self.outputs

    @property
    def size(self) -> int:
        """Elements of the input."""
        return self.height * self.width * self.channels

    @property
    def out_size(self) -> int:
        return math.prod(self.out_shape)

    @property
    def inputs(self) -> int:
        """Inputs of one output: the products that are summed up."""
        if self.kind == "conv2d":
            return self.positions * self.channels
        return self.channels if self.kind == "dense" else self.positions if self.kind in WINDOWED else 1

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs if self.kind in WEIGHTED else 0

    @property
    def macs(self) -> int:
        """Multiplications of a frame."""
        return self.out_size * self.inputs if self.kind in WEIGHTED else 0


def parse_layer(text: str) -> Layer:
    """The layer of a spec. Raises ConfigError that says which part is wrong and what it could be."""
    kind, colon, rest = text.partition(":")
    if not colon:
        raise _wrong(text, "has no `:` behind its kind", GRAMMAR)
    if kind not in KINDS:
        raise _wrong(text, f"{kind!r} is no kind of layer", nearest(kind, KINDS))
    shape, *words = rest.replace(" ", "").split(",")
    size, arrow, outputs = shape.partition("->")
    if not _SIZE.fullmatch(size) or (arrow and not outputs.isdigit()):
        raise _wrong(text, f"{shape!r} is no shape", f"write HxWxC, WxC or N, and ->OUTPUTS: {GRAMMAR}")
    return _checked(text, _layer(text, kind, [int(n) for n in size.split("x")], outputs, _options(text, words)))


def type_bits(text: str) -> int:
    """Bits of `ap_fixed<16,6>`, `ap_int<8>` or `float`; raises ConfigError for anything else."""
    match = _FIXED.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"{text!r} is no type", where="--type", hint="write ap_fixed<16,6>, ap_int<8> or float")
    return int(match[1]) if match[1] else _FLOATS[text.strip()]


def fraction_bits(text: str) -> int:
    """Bits behind the point of `ap_fixed<16,6>`: 10; of an integer type all but the sign, as if it were of magnitude 1."""
    match = re.search(r"fixed<\s*(\d+)\s*,\s*(-?\d+)", text)
    return max(0, int(match[1]) - int(match[2])) if match else type_bits(text) - 1


def _options(text: str, words: list[str]) -> dict[str, tuple[int, int]]:
    options: dict[str, tuple[int, int]] = {}
    for word in words:
        match = _OPTION.fullmatch(word)
        if not match:
            raise _wrong(text, f"{word!r} is no option", "write kK or kKxK, sS, pP")
        if match[1] in options:
            raise _wrong(text, f"{match[1]!r} is given twice", "give every option once")
        options[match[1]] = int(match[2]), int(match[3] or match[2])
    return options


def _layer(text: str, kind: str, sizes: list[int], outputs: str, options: dict[str, tuple[int, int]]) -> Layer:
    height, width, channels = [1] * (3 - len(sizes)) + sizes
    if kind == "dense":
        height, width, channels = 1, 1, math.prod(sizes)
    if kind in ("conv2d", "dense") and not outputs:
        raise _wrong(text, f"{kind} needs its outputs", "write ->OUTPUTS behind the shape")
    if outputs and kind not in ("conv2d", "dense") and int(outputs) != channels:
        raise _wrong(text, f"{kind} has as many outputs as channels", "leave ->OUTPUTS out")
    allowed = "ksp" if kind in WINDOWED else "p" if kind == "zero_pad" else "k" if kind == "upsample" else ""
    if unknown := sorted(set(options) - set(allowed)):
        raise _wrong(text, f"{kind} has no option {unknown[0]!r}", f"it has {', '.join(allowed) or 'none'}")
    if kind in WINDOWED and "k" not in options:
        raise _wrong(text, f"{kind} needs its kernel", "write kK, such as k3")
    kernel = options.get("k", (2, 2) if kind == "upsample" else (1, 1))
    rows, columns = options.get("p", (1, 1) if kind == "zero_pad" else (0, 0))
    stride = options.get("s", kernel if kind.endswith("_pool") else (1, 1))
    layer = Layer(kind, height, width, channels, int(outputs or channels), kernel, stride)
    return replace(layer, pads=(rows, columns, rows, columns))


def _checked(text: str, layer: Layer) -> Layer:
    sizes = (layer.height, layer.width, layer.channels, layer.outputs, *layer.kernel, *layer.stride)
    if min(sizes) < 1 or max(sizes) > 1 << 24:
        raise _wrong(text, "sizes are at least 1 and at most 2^24", GRAMMAR)
    if min(layer.out_shape) < 1:
        rows, columns = layer.padded
        raise _wrong(
            text, f"the kernel {layer.kernel} is larger than {rows}x{columns}", "use a smaller kernel or padding"
        )
    return layer


def _wrong(text: str, what: str, hint: str) -> ConfigError:
    return ConfigError(what, where=f"--layer {text}", hint=hint)
