"""sliding_window: every kernel window of a feature map, zero-padded, as one long channel vector per output pixel.

The image is one endless stream: windows run across row and frame boundaries, and positions that fall outside the frame
are masked, so padding costs no cycle and the next frame's first rows push out this frame's last windows.
"""

# Legend: N frames; H, W rows and columns; C channels; G groups of `lanes` channels; K kernel positions.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.errors import GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Work, lane_foldings


@dataclass(frozen=True, slots=True)
class SlidingWindow(Op):
    """y[r, c, (i, ky, kx)] = x[r * stride + ky - top, c * stride + kx - left, i], `fill` outside the frame.

    `pads` are (top, left, bottom, right), at most kernel - 1 on each axis together (more goes into a `pad` op).
    The output's channel axis is channel-major, so a group of input channels makes a contiguous run of lanes.
    """

    name: ClassVar[str] = "sliding_window"

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    fill: int = 0

    def infer(self, *x: TensorType) -> TensorType:
        (image,) = x
        rows, columns = self._outputs(image)
        top, left, bottom, right = self.pads
        if top + bottom > self.kernel[0] - 1 or left + right > self.kernel[1] - 1:
            raise GraphError(f"pads {self.pads} exceed kernel {self.kernel} - 1", hint="put the padding into a pad op")
        if rows < 1 or columns < 1:
            raise GraphError(
                f"kernel {self.kernel} is larger than the {image.shape[0]}x{image.shape[1]} image",
                hint="use a smaller kernel or more padding",
            )
        return TensorType((rows, columns, image.channels * self._positions), image.dtype, image.scale)

    def golden(self, *x: Codes) -> Codes:
        (image_NHWC,) = x
        top, left, bottom, right = self.pads
        padded = np.pad(image_NHWC, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=self.fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(1, 2))
        windows_NHWCK = windows[:, :: self.stride[0], :: self.stride[1]]
        frames, rows, columns = windows_NHWCK.shape[:3]
        return windows_NHWCK.reshape(frames, rows, columns, -1)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(x[0].channels)

    def y_lanes(self, folding: Folding) -> int:
        return folding.lanes * self._positions

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        (image,) = x
        groups = image.channels // folding.lanes
        beats = image.pixels * groups
        emits = np.flatnonzero(self._emits(image))
        steps = (emits[:, None] * groups + np.arange(groups)).reshape(-1) + self.lag(image) * groups
        writes = (np.arange(frames)[:, None] * beats + steps).reshape(-1)
        total = frames * beats + self.flush(image) * groups
        return Schedule(total, (np.arange(frames * beats, dtype=np.int64),), writes.astype(np.int64))

    def lag(self, image: TensorType) -> int:
        """Pixels between reading a window's anchor pixel position and having the whole window."""
        top, left = self.pads[:2]
        return (self.kernel[0] - 1 - top) * image.shape[1] + (self.kernel[1] - 1 - left)

    def flush(self, image: TensorType) -> int:
        """Pixels of the next frame, or of nothing after the last, that push out a frame's last window."""
        last = int(np.flatnonzero(self._emits(image))[-1])
        return max(0, last + self.lag(image) - (image.pixels - 1))

    def work(self, folding: Folding, *x: TensorType) -> Work:
        (image,) = x
        groups, bits = image.channels // folding.lanes, folding.lanes * image.dtype.bits
        line = ((image.shape[1] * groups, bits),) * (self.kernel[0] - 1)
        registers = self.kernel[0] * ((self.kernel[1] - 1) * groups + 1) * bits
        return Work(rams=line, register_bits=registers)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (image,) = x
        rows, columns = self._outputs(image)
        return {
            "rows": image.shape[0],
            "columns": image.shape[1],
            "groups": image.channels // folding.lanes,
            "lines": max(1, self.kernel[0] - 1),
            "line_beats": image.shape[1] * (image.channels // folding.lanes),
            "kernel": self.kernel,
            "stride": self.stride,
            "pads": self.pads,
            "fill": self.fill,
            "out_rows": rows,
            "out_columns": columns,
            "lag": self.lag(image),
            "flush": self.flush(image),
        }

    @property
    def _positions(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def _outputs(self, image: TensorType) -> tuple[int, int]:
        top, left, bottom, right = self.pads
        rows = (image.shape[0] + top + bottom - self.kernel[0]) // self.stride[0] + 1
        columns = (image.shape[1] + left + right - self.kernel[1]) // self.stride[1] + 1
        return rows, columns

    def _emits(self, image: TensorType) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """For every anchor position in raster order, whether a window is emitted for it."""
        rows, columns = self._outputs(image)
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[: rows * self.stride[0] : self.stride[0], : columns * self.stride[1] : self.stride[1]] = True
        return mask.reshape(-1)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        u8, s4 = IntType(8, signed=False), IntType(4)
        return (
            Example(cls((3, 3), (1, 1), (1, 1, 1, 1)), (TensorType((5, 6, 2), u8, 1.0),)),
            Example(cls((5, 5), (1, 1), (2, 2, 2, 2)), (TensorType((7, 6, 1), u8, 1.0),)),
            Example(cls((3, 2), (2, 1), (0, 1, 2, 0)), (TensorType((6, 5, 4), s4, 0.5),)),
            Example(cls((3, 3), (2, 2), (1, 1, 1, 1), -8), (TensorType((5, 4, 2), s4, 1.0),)),
            Example(cls((2, 2), (2, 2)), (TensorType((5, 7, 3), s4, 0.5),)),
            Example(cls((1, 1), (3, 2)), (TensorType((4, 5, 2), u8, 1.0),)),
            Example(cls((4, 3), (1, 3), (3, 2, 0, 0)), (TensorType((4, 3, 1), s4, 1.0),)),
            Example(cls((1, 1)), (TensorType((1, 1, 4), u8, 1.0),)),
            Example(cls((3, 3)), (TensorType((3, 3, 1), u8, 1.0),)),
        )
