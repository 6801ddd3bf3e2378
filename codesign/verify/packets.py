"""Bus words of the AXI4-Stream ports: what the host sends, and every word and TLAST that must come back."""

# Legend: N frames; H, W rows and columns; C channels; B beats; K 32-bit words of a beat.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.ir import Codes
from codesign.plan.design import TRAILER_FRAME
from codesign.plan.ports import HEADER_WIDTH_LOW, RESULT_BITS, RESULT_WIDTH_LOW, PortWord

Words = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """The words of one batch on a port, (B, K) uint32 with the lowest first, and TLAST of each."""

    words_BK: Words
    last_B: npt.NDArray[np.uint8]


def pack_image(image_NHWC: Codes, word: PortWord) -> bytes:
    """The bytes the host sends: lane i of a beat in the i-th container of its bus word."""
    return _pack(image_NHWC, word).tobytes()


def image_words(image_NHWC: Codes, word: PortWord) -> Words:
    """The same as (B, K) uint32, a word narrower than that alone in its own."""
    return as_words(_pack(image_NHWC, word))


def with_widths(decisions_N: Ints, widths_N: npt.NDArray[np.integer[Any]]) -> Ints:
    """Decision words as the result port of a design with several widths sends them: the width's index in bits 46..44."""
    return decisions_N | widths_N.astype(np.int64) << RESULT_WIDTH_LOW


def result_packet(decisions_N: Ints, widths_N: npt.NDArray[np.integer[Any]] | None = None) -> Packet:
    """One word a frame: the decision below, the frame number above; TLAST on the batch's last.

    `widths_N` are the frames' widths, as indices from narrow to wide, in a design with several.
    """
    frames_N = np.arange(len(decisions_N), dtype=np.uint64)
    told_N = decisions_N if widths_N is None else with_widths(decisions_N, widths_N)
    words_N = told_N.astype(np.uint64) | frames_N << np.uint64(48)
    last_N = np.zeros(len(words_N), np.uint8)
    last_N[-1:] = 1
    return Packet(words_N.astype("<u8").view(np.uint32).reshape(-1, RESULT_BITS // 32), last_N)


def feature_packet(
    maps_NHWC: Codes,
    exited_N: npt.NDArray[np.bool_],
    word: PortWord,
    widths_N: npt.NDArray[np.integer[Any]] | None = None,
    narrow: Sequence[PortWord] = (),
) -> Packet:
    """For every frame that goes on a header and its map, then the trailer with TLAST.

    In a design with several widths `word` is the widest's, `narrow` are those of the others, narrow to wide, and `widths_N`
    the frames' widths as indices; of the map of a narrow frame only the first channels are looked at
    (`golden.run_widths` gives such maps).
    """
    sent = np.flatnonzero(~exited_N)
    frame_words = word.bits // 32
    if widths_N is None:
        packet = np.zeros((len(sent), 1 + word.beats, frame_words), np.uint32)
        packet[:, 0, 0] = sent
        packet[:, 1:] = as_words(_pack(maps_NHWC[sent], word)).reshape(len(sent), word.beats, frame_words)
        frames = [packet.reshape(-1, frame_words)]
    else:
        words = (*narrow, word)
        frames = [_slim_map(maps_NHWC[n], int(n), int(widths_N[n]), words[int(widths_N[n])], frame_words) for n in sent]
    trailer = np.zeros((1, frame_words), np.uint32)
    trailer[0, 0] = TRAILER_FRAME
    words_BK = np.concatenate([*frames, trailer])
    last_B = np.zeros(len(words_BK), np.uint8)
    last_B[-1] = 1
    return Packet(words_BK, last_B)


def _slim_map(map_HWC: Codes, frame: int, width: int, word: PortWord, frame_words: int) -> Words:
    """A header that says frame and width, and the map of that width."""
    H, W, _ = map_HWC.shape
    packet = np.zeros((1 + word.beats, frame_words), np.uint32)
    packet[0, :2] = frame, width << HEADER_WIDTH_LOW - 32
    packet[1:] = as_words(_pack(map_HWC[:, :, : word.beats * word.lanes // (H * W)], word))
    return packet


def unpack_maps(words_BK: Words, word: PortWord) -> Codes:
    """(frames, codes of a map) in raster order, from whole maps without their headers."""
    kind = _kind(word)
    return words_BK.view(kind).reshape(-1, word.beats, word.bits // word.container)[:, :, : word.lanes].astype(np.int64)


def as_words(lanes: npt.NDArray[Any]) -> Words:
    """Rows of containers as rows of 32-bit words."""
    rows = np.ascontiguousarray(lanes).view(np.uint8)
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))).view(np.uint32)


def _pack(codes: Codes, word: PortWord) -> npt.NDArray[Any]:
    """(B, containers of a bus word)"""
    padded = np.zeros((codes.size // word.lanes, word.bits // word.container), dtype=_kind(word))
    padded[:, : word.lanes] = codes.reshape(-1, word.lanes)
    return padded


def _kind(word: PortWord) -> str:
    return f"<i{word.container // 8}" if word.dtype.signed else f"<u{word.container // 8}"
