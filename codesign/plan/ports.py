"""Bus words of the AXI4-Stream ports: how many bits, and where the codes lie in them."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.errors import FoldingError
from codesign.ir.types import IntType
from codesign.plan.dataflow import MAX_BEAT_BITS, Channel, Dataflow

RESULT_BITS = 64
MIN_FEATURE_BITS = 64  # the header beat carries a 32-bit frame number


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


def _word(channel: Channel, least: int) -> PortWord:
    container = next(size for size in (8, 16, 32, 64) if size >= channel.dtype.bits)
    bits = max(least, 1 << (channel.lanes * container - 1).bit_length())
    if bits > MAX_BEAT_BITS:
        what = f"a port word of {channel.lanes} codes has {bits} bits, more than {MAX_BEAT_BITS}"
        raise FoldingError(what, where=channel.name, hint=f"use at most {MAX_BEAT_BITS // container} lanes")
    return PortWord(bits, container, channel.lanes, channel.beats, channel.dtype)
