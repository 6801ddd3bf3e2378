"""A published synthesis report as a description of a layer, apart from what the report says it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from codesign.cost.layers.loops import Loop, read_loops
from codesign.cost.layers.spec import Layer
from codesign.cost.layers.style import Style

TARGETS = ("dsp", "bram18", "lut", "ff")
# A kind by the first word that a layer type has in it, in this order.
_WORDS = (
    ("depthwise", "depthwise_conv2d"), ("conv", "conv2d"),
    ("dense", "dense"), ("avg", "avg_pool"), ("average", "avg_pool"), ("pool", "max_pool"), ("leaky", "leaky_relu"),
    ("relu", "relu"), ("sigmoid", "sigmoid"), ("tanh", "tanh"), ("softmax", "softmax"), ("pad", "zero_pad"),
    ("resize", "upsample"), ("upsampl", "upsample"), ("norm", "batch_norm"), ("film", "multiply"),
    ("multiply", "multiply"), ("add", "add"), ("sum", "sum"),
    ("fc", "dense"), ("linear", "dense"), ("matmul", "dense"), ("mvau", "dense"), ("matrix", "dense"),
)  # fmt: skip
_NAMES = {  # how the fields of a layer are called, in the configs of hls4ml and elsewhere
    "height": ("in_height", "height", "ih", "h", "rows"),
    "width": ("in_width", "width", "iw", "w", "cols", "columns"),
    "channels": ("n_chan", "n_chan1", "in_channels", "channels", "cin", "c"),
    "outputs": ("n_filt", "n_out", "out_channels", "filters", "cout", "f"),
    "rows": ("filt_height", "pool_height", "kernel_height", "kernel", "k"),
    "columns": ("filt_width", "pool_width", "kernel_width", "kernel", "k"),
    "down": ("stride_height", "stride_width", "stride", "s"),
    "right": ("stride_width", "stride_height", "stride", "s"),
    "reuse": ("reuse_factor", "reuse"),
}
_FIXED = re.compile(r"ap_(u?)(fixed|int)<\s*(\d+)\s*(?:,\s*(-?\d+))?")
_PLAIN = {"float": 32, "double": 64, "half": 16, "int": 32, "short": 16, "char": 8}


@dataclass(frozen=True, slots=True)
class Description:
    """What a layer is and how it is written; nothing of what it takes.

    `lanes` are the channels of an input and an output beat, `fraction_bits` those of a weight (weights are at most about 1,
    so no more bits than these and a sign are kept), `memories` (words, bits) where a report lists them.
    """

    layer: Layer
    style: Style
    loops: tuple[Loop, ...] = ()
    lanes: tuple[int, int] = (1, 1)
    fraction_bits: int = 0
    family: str = ""
    memories: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A description beside what the tool printed; `cycles` is the longest latency, None where it is not known.

    `sized` says whether the report tells the sizes of the layer and not its loops alone.
    """

    name: str
    repository: str
    description: Description
    used: Mapping[str, int] = field(default_factory=dict[str, int])
    cycles: int | None = None
    sized: bool = True


def read_report(entry: Mapping[str, Any]) -> Report:
    """A report of the JSON form of csynth_calibrate.json. Raises KeyError where a figure is missing."""
    latency = entry.get("latency_max")
    return Report(
        name=str(entry["id"]),
        repository=str(entry["source"]["repo"]),
        description=describe(entry),
        used={name: int(entry[name]) for name in TARGETS},
        cycles=int(latency) if isinstance(latency, int | float) else None,
        sized=bool(_config(entry.get("layer"))),
    )


def describe(entry: Mapping[str, Any]) -> Description:
    """The description alone: none of the keys that hold a latency, an interval or a resource is read."""
    words = str(entry.get("layer_type") or entry.get("top") or "")
    top = str(entry.get("top") or "")
    config = _config(entry.get("layer"))
    layer = _layer(_kind(words, config), config)
    bits, fraction = _type(str(entry.get("datatype") or ""))
    loops = read_loops(entry.get("loops") or ())
    hls4ml: Mapping[str, Any] = entry.get("hls4ml_global") or {}
    reuse: Mapping[str, Any] = entry.get("mult") or config
    strategy = str(config.get("strategy", hls4ml.get("Strategy", ""))).lower()
    of_hls4ml = bool(hls4ml) or "nnet" in str(entry.get("source_file"))
    style = Style(
        name=("hls4ml-latency" if strategy == "latency" else "hls4ml-resource") if of_hls4ml else "loops",
        reuse=_number(reuse, _NAMES["reuse"], 1),
        x_bits=bits,
        w_bits=bits,
        zeros=_number(config, ("n_zeros",), 0),
        clock_ns=float(entry.get("clock_ns") or 10.0),
        part=str(entry.get("part") or ""),
        tool=str(entry.get("tool") or ""),
        floating=str(entry.get("datatype") or "") in ("float", "double", "half"),
    )
    memories = tuple(
        (int(m["words"]), int(m["bits"]), str(m.get("name", "")))
        for m in entry.get("memories") or ()
        if m.get("words") and m.get("bits")
    )
    return Description(layer, style, loops, _lanes(words, top, config, layer), fraction, _family(words), memories)


def _config(value: Any) -> Mapping[str, Any]:
    """The fields of one layer; a network's dict of layers is none."""
    if not isinstance(value, Mapping):
        return {}
    fields = cast(Mapping[str, Any], value)
    return {} if any(isinstance(field, Mapping) for field in fields.values()) else fields


def _kind(words: str, config: Mapping[str, Any]) -> str:
    text = words.lower()
    if text == "network" or text.startswith("myproject"):
        return "network"
    kind = next((kind for word, kind in _WORDS if word in text), "copy")
    return "avg_pool" if kind == "max_pool" and str(config.get("pool_op", "")).lower().startswith("av") else kind


def _layer(kind: str, config: Mapping[str, Any]) -> Layer:
    def number(name: str, default: int) -> int:
        return _number(config, _NAMES[name], default)

    if kind == "dense":
        inputs = _number(config, ("n_in", "in_features", "inputs", "channels"), 1)
        return Layer(kind, 1, 1, inputs, number("outputs", 1))
    channels = max(1, number("channels", number("outputs", 1)))
    height, width = number("height", 1), number("width", 1)
    if "in_height" not in config and "height" not in config:  # a vector, or a map of which only the size is told
        elements = _number(config, ("n_in", "n_elem", "n_inp1"), height * width * channels)
        width = max(width, -(-elements // channels))
    kernel, stride = (number("rows", 1), number("columns", 1)), (number("down", 1), number("right", 1))
    pads = tuple(_number(config, (f"pad_{side}",), 0) for side in ("top", "left", "bottom", "right"))
    if kind == "upsample":
        kernel = (
            max(1, _number(config, ("new_height",), height) // height),
            max(1, _number(config, ("new_width",), width) // width),
        )
    outputs = number("outputs", channels) if kind == "conv2d" else channels
    return Layer(kind, height, width, channels, outputs, kernel, stride, (pads[0], pads[1], pads[2], pads[3]))


def _lanes(words: str, top: str, config: Mapping[str, Any], layer: Layer) -> tuple[int, int]:
    """Channels of a beat in and out: a whole pixel where hls4ml's array type is in the name, else one, or as told."""
    given = _number(config, ("data_transfer_in", "data_transfer_in1"), 0)
    out = _number(config, ("data_transfer_out",), 0)
    if given or out:
        return given or out, out or given
    arrays = [int(n) for n in re.findall(r"(?<![a-z])(\d+)u_", top)]
    if arrays:
        return arrays[0] if len(arrays) > 1 or not config else layer.channels, arrays[-1]
    if "array" in top:
        return layer.channels, 1
    return (1, 1) if "_me" in words or "_switch" in words else (layer.channels, layer.outputs)


def _family(words: str) -> str:
    """The layer type without a number at its end: what an author calls one implementation."""
    return re.sub(r"_?\d+$", "", words)


def _type(text: str) -> tuple[int, int]:
    """Bits of a value, and how many of them are behind the point."""
    if match := _FIXED.search(text):
        bits = int(match[3])
        return bits, max(0, bits - int(match[4])) if match[2] == "fixed" and match[4] else bits - 1
    if match := re.search(r"int(\d+)", text):
        return int(match[1]), int(match[1]) - 1
    bits = next((bits for word, bits in _PLAIN.items() if word in text), 16)
    return bits, bits - 1


def _number(config: Mapping[str, Any], names: Sequence[str], default: int) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
            return max(0, int(value))
    return default
