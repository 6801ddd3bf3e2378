"""Bus words of the AXI4-Stream ports: how many bits, and where the codes lie in them."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.errors import FoldingError, GraphError
from codesign.ir.types import IntType
from codesign.plan.dataflow import MAX_BEAT_BITS, Channel, Dataflow

RESULT_BITS = 64
MIN_FEATURE_BITS = 64  # the header beat carries a 32-bit frame number

# In a design with several widths the result word says in bits 46..44 which one a frame had, below it the class in 43..32,
# and the header of a feature map says it in bits 39..32.
RESULT_WIDTH_LOW = 44
HEADER_WIDTH_LOW = 32
MAX_WIDTHS = 8
MAX_CLASSES = 4096


@dataclass(frozen=True, slots=True)
class PortWord:
    """A bus word of `bits` bits with `lanes` codes, lane i in container i from the low end; `beats` words a frame."""

    bits: int
    container: int
    lanes: int
    beats: int
    dtype: IntType


def image_word(dataflow: Dataflow) -> PortWord:
    """The word of `s_axis_image`: one beat of the image."""
    (name,) = dataflow.inputs
    return _word(dataflow.channel(name), 8)


def feature_word(dataflow: Dataflow) -> PortWord:
    """The word of `m_axis_feature`: one beat of the feature map at the branch point."""
    process = next(p for p in dataflow.processes if p.op.port)
    return _word(dataflow.channel(process.inputs[0]), MIN_FEATURE_BITS)


def check_widths(dataflow: Dataflow, widths: int) -> None:
    """Raises GraphError for more widths than the result word can name, or more classes than it then has room for."""
    if widths > MAX_WIDTHS:
        raise GraphError(f"{widths} widths", where=dataflow.name, hint=f"a design has at most {MAX_WIDTHS}")
    classes = max((p.types[0].channels for p in dataflow.processes if hasattr(p.op, "criterion")), default=0)
    if widths > 1 and classes > MAX_CLASSES:
        raise GraphError(
            f"{classes} classes at {widths} widths",
            where=dataflow.name,
            hint=f"a design with several widths has at most {MAX_CLASSES}",
        )


def _word(channel: Channel, least: int) -> PortWord:
    container = next(size for size in (8, 16, 32, 64) if size >= channel.dtype.bits)
    bits = max(least, 1 << (channel.lanes * container - 1).bit_length())
    if bits > MAX_BEAT_BITS:
        what = f"a port word of {channel.lanes} codes has {bits} bits, more than {MAX_BEAT_BITS}"
        raise FoldingError(what, where=channel.name, hint=f"use at most {MAX_BEAT_BITS // container} lanes")
    return PortWord(bits, container, channel.lanes, channel.beats, channel.dtype)
