"""sliding_window: every kernel window of a feature map, zero-padded, as one long channel vector per output pixel.

The image is one endless stream: windows run across row and frame boundaries, and positions that fall outside the frame
are masked, so padding costs no cycle and the next frame's first rows push out this frame's last windows.
"""

# Legend: N frames; H, W rows and columns; C channels; G groups of `lanes` channels; K kernel positions.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from codesign.errors import FoldingError, GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import (
    BEAT_PIXELS,
    Example,
    Folding,
    Op,
    Schedule,
    Unit,
    Variant,
    Work,
    beat_pixels,
    differing,
    divisors,
    lane_foldings,
    per_width,
)


@dataclass(frozen=True, slots=True)
class SlidingWindow(Op):
    """y[r, c, (i, ky, kx)] = x[r * stride + ky - top, c * stride + kx - left, i], `fill` outside the frame.

    `pads` are (top, left, bottom, right), at most kernel - 1 on each axis together (more goes into a `pad` op).
    The output's channel axis is channel-major, so a group of input channels makes a contiguous run of lanes.
    """

    name: ClassVar[str] = "sliding_window"
    gathers: ClassVar[bool] = True

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
        """`pe` channels' windows leave a step. A beat holds several pixels where all its anchors emit or none does."""
        (image,) = x
        stride, reached = self.stride[1], self._outputs(image)[1] * self.stride[1]
        several = (p for p in BEAT_PIXELS if p % stride == 0 and image.shape[1] % p == 0 and reached % p == 0)
        return lane_foldings(divisors(image.channels)) + tuple(
            Folding(p * image.channels, p // stride * image.channels) for p in several
        )

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe * self._positions

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        (image,) = x
        beats = image.size // folding.lanes
        steps = np.flatnonzero(self._emits(folding, image)) + self.lag_beats(folding, image)
        writes = (np.arange(frames)[:, None] * beats + steps).reshape(-1)
        total = frames * beats + self.flush_beats(folding, image)
        return Schedule(total, (np.arange(frames * beats, dtype=np.int64),), writes.astype(np.int64))

    def lag_beats(self, folding: Folding, image: TensorType) -> int:
        """Beats from the one at the windows' anchors, counted as if it were the image's, to their last."""
        below = self.kernel[0] - 1 - self.pads[0]
        return below * self._line_beats(folding, image) + self._reach(folding, image)[1] * self._groups(folding, image)

    def flush_beats(self, folding: Folding, image: TensorType) -> int:
        """Beats of the next frame, or of nothing after the last, that push out a frame's last window."""
        last = int(np.flatnonzero(self._emits(folding, image))[-1])
        return max(0, last + self.lag_beats(folding, image) - (image.size // folding.lanes - 1))

    def work(self, folding: Folding, *x: TensorType) -> Work:
        (image,) = x
        bits = folding.lanes * image.dtype.bits
        line = ((self._line_beats(folding, image), bits),) * (self.kernel[0] - 1)
        return Work(rams=line, register_bits=self.kernel[0] * self._span_beats(folding, image) * bits)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (image,) = x
        rows, columns = self._outputs(image)
        pixels, channels = beat_pixels(folding.lanes, image.channels), min(folding.lanes, image.channels)
        return {
            "rows": image.shape[0],
            "columns": image.shape[1],
            "groups": self._groups(folding, image),
            "pixels": pixels,
            "channels": channels,
            "windows": folding.pe // channels,
            "lines": max(1, self.kernel[0] - 1),
            "line_beats": self._line_beats(folding, image),
            "span_beats": self._span_beats(folding, image),
            "spare_pixels": self._reach(folding, image)[0] * pixels - self.pads[1],
            "kernel": self.kernel,
            "stride": self.stride,
            "pads": self.pads,
            "fill": self.fill,
            "out_rows": rows,
            "out_columns": columns,
            "lag": self.lag_beats(folding, image),
            "flush": self.flush_beats(folding, image),
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        (image,) = x
        rows, columns = self._outputs(image)
        line = self._line_beats(folding, image)
        lines = (line, (self.kernel[0] - 1) * folding.lanes * image.dtype.bits)
        return Unit(
            "cs_sliding_window",
            {
                "X_BITS": image.dtype.bits,
                "CHANNELS": min(folding.lanes, image.channels),
                "PIXELS": beat_pixels(folding.lanes, image.channels),
                "GROUPS": self._groups(folding, image),
                "ROWS": image.shape[0],
                "COLUMNS": image.shape[1],
                "OUT_ROWS": rows,
                "OUT_COLUMNS": columns,
                "KERNEL_ROWS": self.kernel[0],
                "KERNEL_COLUMNS": self.kernel[1],
                "STRIDE_ROWS": self.stride[0],
                "STRIDE_COLUMNS": self.stride[1],
                "TOP": self.pads[0],
                "LEFT": self.pads[1],
                "PADDED": int(max(self.pads) > 0),
                "FILL": self.fill,
                "LAG": self.lag_beats(folding, image),
                "FLUSH": self.flush_beats(folding, image),
            },
            latency=1,
            batch=True,
            memory=lines if self.kernel[0] > 1 and line > 1 else None,
        )

    def slim_foldings(self, common: tuple[Folding, ...], variants: tuple[Variant, ...]) -> tuple[Folding, ...]:
        """Widths with other groups of channels have to leave the frame before the last alone: maps of less than a window
        cannot."""
        return tuple(f for f in common if self._same(f, variants) or self._apart(f, variants))

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """Lines as long as the width has beats. Between frames of as many groups nothing waits; a change costs a frame's lag."""
        (image,) = x
        unit = self.rtl(folding, image)
        if self._same(folding, variants):
            return unit
        facts = {n: v for n, v in unit.parameters.items() if n not in ("GROUPS", "LAG", "FLUSH", "PIXELS")}
        groups = [self._groups(folding, variant.types[0]) for variant in variants]
        lags = [self.lag_beats(folding, variant.types[0]) for variant in variants]
        lines = [self._line_beats(folding, variant.types[0]) for variant in variants]
        beats = [image.shape[0] * line for line in lines]
        tables = {"GROUPS": groups, "LINES": lines, "BEATS": beats, "LAGS": lags}
        sizes = {"MAX_GROUPS": max(groups), "MAX_LAG": max(lags), "WIDTHS": len(variants)}
        return replace(
            unit,
            module="cs_slim_sliding_window",
            parameters={**facts, **sizes, **{name: per_width(table) for name, table in tables.items()}},
            widths=len(variants),
        )

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        """What is counted in pixels is the same at every width; rows and taps lie as far apart as a pixel has groups."""
        rows = [variant.op.hls(folding, *variant.types) for variant in variants]
        if differing(rows) - {"groups", "line_beats", "span_beats", "lag", "flush"}:
            raise FoldingError("a beat has other pixels at another width", hint="use lanes that divide all channels")
        widest, groups, lines = (
            self.hls(folding, *x),
            [row["groups"] for row in rows],
            [row["line_beats"] for row in rows],
        )
        return {
            **widest,
            "groups": groups,
            "line_beats": lines,
            "lag_pixels": widest["lag"] // widest["groups"],
            "flush_pixels": widest["flush"] // widest["groups"],
            "largest": max(*lines, widest["rows"] * widest["columns"]),
        }

    def _same(self, folding: Folding, variants: tuple[Variant, ...]) -> bool:
        return len({self._groups(folding, variant.types[0]) for variant in variants}) == 1

    def _apart(self, folding: Folding, variants: tuple[Variant, ...]) -> bool:
        """Whether, at every width, a frame's last windows need none but the next frame, and a row is more than a beat."""
        images = [variant.types[0] for variant in variants]
        return all(
            self.lag_beats(folding, image) < image.size // folding.lanes and self._line_beats(folding, image) > 1
            for image in images
        )

    @property
    def _positions(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def _outputs(self, image: TensorType) -> tuple[int, int]:
        top, left, bottom, right = self.pads
        rows = (image.shape[0] + top + bottom - self.kernel[0]) // self.stride[0] + 1
        columns = (image.shape[1] + left + right - self.kernel[1]) // self.stride[1] + 1
        return rows, columns

    def _groups(self, folding: Folding, image: TensorType) -> int:
        """Beats of a pixel, 1 where a beat holds a whole one or several."""
        return max(1, image.channels // folding.lanes)

    def _line_beats(self, folding: Folding, image: TensorType) -> int:
        """Beats of a row."""
        return image.shape[1] * image.channels // folding.lanes

    def _reach(self, folding: Folding, image: TensorType) -> tuple[int, int]:
        """How many beats (of pixels) left and right of an anchor's own its window can reach."""
        pixels, left = beat_pixels(folding.lanes, image.channels), self.pads[1]
        return -(-left // pixels), -(-(self.kernel[1] - 1 - left) // pixels)

    def _span_beats(self, folding: Folding, image: TensorType) -> int:
        """Beats of a kernel row that are held, from the first to the last that a window can reach."""
        return sum(self._reach(folding, image)) * self._groups(folding, image) + 1

    def _emits(self, folding: Folding, image: TensorType) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """For every anchor beat in raster order, whether its windows are emitted."""
        rows, columns = self._outputs(image)
        mask = np.zeros(image.shape[:2], dtype=bool)
        mask[: rows * self.stride[0] : self.stride[0], : columns * self.stride[1] : self.stride[1]] = True
        beats = mask.reshape(-1, beat_pixels(folding.lanes, image.channels)).any(axis=1)
        return np.repeat(beats, self._groups(folding, image))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        u8, s4 = IntType(8, signed=False), IntType(4)
        return (
            Example(cls((3, 3), (1, 1), (1, 1, 1, 1)), (TensorType((5, 6, 2), u8, 1.0),)),
            Example(cls((5, 5), (1, 1), (2, 2, 2, 2)), (TensorType((7, 8, 1), u8, 1.0),)),
            Example(cls((3, 2), (2, 1), (0, 1, 2, 0)), (TensorType((6, 5, 4), s4, 0.5),)),
            Example(cls((3, 3), (2, 2), (1, 1, 1, 1), -8), (TensorType((5, 4, 2), s4, 1.0),)),
            Example(cls((2, 2), (2, 2)), (TensorType((5, 7, 3), s4, 0.5),)),
            Example(cls((1, 1), (3, 2)), (TensorType((4, 8, 2), u8, 1.0),)),
            Example(cls((4, 3), (1, 3), (3, 2, 0, 0)), (TensorType((4, 3, 1), s4, 1.0),)),
            Example(cls((1, 1)), (TensorType((1, 1, 4), u8, 1.0),)),
            Example(cls((3, 3)), (TensorType((3, 3, 1), u8, 1.0),)),
            Example(cls((2, 5)), (TensorType((3, 8, 2), u8, 1.0),)),
            Example(cls((2, 3), (2, 4), (0, 1, 0, 1)), (TensorType((4, 8, 1), s4, 1.0),)),
            Example(cls((2, 6), (1, 1), (1, 5, 0, 0)), (TensorType((3, 4, 2), s4, 1.0),)),
        )
