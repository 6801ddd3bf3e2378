"""Bus words of an accelerator's ports as numpy arrays: images to bytes, bytes to decisions and feature maps.

`port` is the section `image` or `feature` of design.json; docs/streams.md has the rules. Standard library and numpy.
"""

# Legend: N frames; M frames that go on; H, W, C rows, columns, channels; B bus words; L lanes.
from __future__ import annotations

from typing import Any

import numpy as np

TRAILER = 0xFFFFFFFF  # the frame number in the word that ends a batch's maps
FRAME, EXITED, CLASS = 48, 47, 32  # first bits of the fields of a result word; the confidence code is in 31..0
WIDTH = 44  # first of three bits that say a frame's width, in a design that has several; the class has 12 bits then


class PacketError(Exception):
    """Words that cannot be the answer to a batch; `kind` is "short", "out of order" or "corrupt"."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind


def word_bytes(port: dict[str, Any]) -> int:
    """Bytes of one bus word."""
    return port["tdata_bits"] // 8


def container(port: dict[str, Any]) -> np.dtype:
    """The numpy type of one code in a bus word."""
    return np.dtype("<{}{}".format("i" if port["type"].startswith("s") else "u", port["container_bits"] // 8))


def limits(port: dict[str, Any]) -> tuple[int, int]:
    """The least and the largest code."""
    bits = int(port["type"][1:])
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if port["type"].startswith("s") else (0, (1 << bits) - 1)


def image_bytes(port: dict[str, Any], frames: int) -> int:
    """Bytes that so many images take."""
    return frames * port["beats"] * word_bytes(port)


def feature_bytes(port: dict[str, Any], maps: int) -> int:
    """Bytes that so many maps take, each behind its header, and the trailer."""
    return (maps * (port["beats"] + 1) + 1) * word_bytes(port)


def pack_images(images_NHWC: np.ndarray, port: dict[str, Any], out: np.ndarray) -> None:
    """Writes images into the bytes `out`; what is there for lanes that a word does not have is left as it is.

    Raises ValueError for images of another shape, and for codes that the port does not hold.
    """
    if images_NHWC.ndim != 4 or images_NHWC.shape[1:] != tuple(port["shape"]) or images_NHWC.dtype.kind not in "iu":
        kind = f"{images_NHWC.dtype} of shape {images_NHWC.shape}"
        raise ValueError("images are integer codes (N, {}, {}, {}), not {}".format(*port["shape"], kind))
    low, high = limits(port)
    if images_NHWC.size and not low <= images_NHWC.min() <= images_NHWC.max() <= high:
        raise ValueError(f"an image has a code that is not in {low}..{high}")
    used = out[: image_bytes(port, len(images_NHWC))].view(container(port))
    used.reshape(-1, word_bytes(port) // container(port).itemsize)[:, : port["lanes"]] = images_NHWC.reshape(
        -1, port["lanes"]
    )


def unpack_results(
    words_N: np.ndarray, classes: int, width: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(class, exited, confidence code) of every frame, each (N,); raises PacketError unless all frames are there in order,
    and of the `width` that they were asked for at, an index, in a design with several."""
    words_N = np.asarray(words_N, np.uint64).astype(np.int64)
    if not np.array_equal(words_N >> FRAME & 0xFFFF, np.arange(len(words_N))):
        raise PacketError("out of order", f"result words are not those of frames 0 to {len(words_N) - 1}")
    class_N, exited_N = words_N >> CLASS & 0x7FFF, (words_N >> EXITED & 1).astype(bool)
    if width is not None:
        if (words_N >> WIDTH & 7 != width).any():
            raise PacketError("corrupt", f"frames are not all of width {width}")
        class_N = class_N & 0xFFF
    if len(class_N) and class_N.max() >= classes:
        raise PacketError("corrupt", f"class {class_N.max()} of {classes}")
    return class_N, exited_N, words_N & 0xFFFFFFFF


def unpack_features(raw: np.ndarray, port: dict[str, Any], sent_M: np.ndarray) -> np.ndarray:
    """The maps (M, H, W, C) of frames `sent_M` from the bytes of a feature packet; raises PacketError for any other packet."""
    words_BY = np.asarray(raw).reshape(-1, word_bytes(port))
    want = len(sent_M) * (port["beats"] + 1) + 1
    if len(words_BY) != want:
        raise PacketError("short", f"{len(words_BY)} words of maps came, {want} must")
    if numbers(words_BY[-1:])[0] != TRAILER:
        raise PacketError("corrupt", "there is no trailer behind the maps")
    frames = words_BY[:-1].reshape(len(sent_M), port["beats"] + 1, word_bytes(port))
    if not np.array_equal(numbers(frames[:, 0]), sent_M):
        raise PacketError("out of order", "maps are not those of the frames that go on")
    words = np.array(frames[:, 1:], order="C")  # a copy in any case: the next batch overwrites the bytes
    return words.view(container(port))[:, :, : port["lanes"]].reshape((len(sent_M), *port["shape"]))


def numbers(words_BY: np.ndarray) -> np.ndarray:
    """Frame numbers in header words."""
    return np.ascontiguousarray(words_BY[:, :4]).view("<u4").reshape(-1)
