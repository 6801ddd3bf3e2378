"""The first slice of weights: what a narrower network uses of a wider one's."""

# Legend: O outputs, P pixels, C channels of a matrix's columns.
from __future__ import annotations

import math

import numpy as np

from codesign.ir.types import Codes, Constant


def first_slice(wide: Constant, shape: tuple[int, ...], pixels: int) -> Codes:
    """The first values of a vector, or of a matrix its first rows and of every one of `pixels` pixels the first columns.

    Columns of a convolution are (inputs, kernel rows, kernel columns): one pixel. Those of a matrix that reads a flattened map
    are (rows, columns, channels): rows times columns pixels.
    """
    if len(shape) == 1:
        return wide.array[: shape[0]]
    O, columns = wide.shape
    w_OPC = wide.array.reshape(O, pixels, columns // pixels)
    return w_OPC[: shape[0], :, : shape[1] // pixels].reshape(shape)


def pixels_of(narrow: Constant, wide: Constant) -> int | None:
    """The pixels with which `narrow` is the first slice of `wide`, or None where it is not, code for code."""
    if len(narrow.shape) != len(wide.shape) or any(a > b for a, b in zip(narrow.shape, wide.shape, strict=True)):
        return None
    columns = math.gcd(narrow.shape[-1], wide.shape[-1]) if len(wide.shape) == 2 else 1
    for pixels in (p for p in range(1, columns + 1) if columns % p == 0):
        if np.array_equal(first_slice(wide, narrow.shape, pixels), narrow.array):
            return pixels
    return None
