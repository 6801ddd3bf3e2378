"""Types of values: integer widths, tensor shapes with a scale, and constant arrays that hash and compare."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Integer codes of a batch, axes (N, H, W, C): frames, rows, columns, channels.
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class IntType:
    """A two's-complement integer of `bits` bits, as `ap_int<bits>` or `ap_uint<bits>`."""

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ValueError(f"bits must be in 1..64, not {self.bits!r}")

    @property
    def min(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}"

    @staticmethod
    def parse(text: str) -> IntType:
        if not (match := re.fullmatch(r"([su])(\d+)", text)):
            raise ValueError(f"{text!r} is not an integer type such as s8 or u4")
        return IntType(int(match[2]), match[1] == "s")

    @staticmethod
    def holding(low: int, high: int) -> IntType:
        """The narrowest type with every integer of [low, high]; signed only when it must be."""
        if low >= 0:
            return IntType(max(1, high.bit_length()), signed=False)
        return IntType(1 + max((-low - 1).bit_length(), high.bit_length() if high > 0 else 0))


@dataclass(frozen=True, slots=True)
class TensorType:
    """One frame's tensor: shape (H, W, C), the type of its codes, and the real value of code 1.

    `scale` is None where codes have no single scale (accumulators with per-channel weight scales).
    """

    shape: tuple[int, int, int]
    dtype: IntType
    scale: float | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape must be three positive sizes (H, W, C), not {self.shape!r}")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be a positive number, not {self.scale!r}")

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def channels(self) -> int:
        return self.shape[2]

    def __str__(self) -> str:
        text = f"{self.dtype}[{'x'.join(map(str, self.shape))}]"
        return text if self.scale is None else f"{text} * {format_scale(self.scale)}"


@dataclass(frozen=True, slots=True)
class Constant:
    """An immutable integer array that compares and hashes by its content, so ops that hold it stay values."""

    shape: tuple[int, ...]
    dtype: IntType
    data: bytes  # little-endian int64, C order

    @staticmethod
    def of(array: Any, dtype: IntType | None = None) -> Constant:
        """A constant of the given integers; without `dtype`, of the narrowest type that holds them."""
        values = np.ascontiguousarray(array, dtype="<i8")
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        kind = dtype or IntType.holding(low, high)
        if low < kind.min or high > kind.max:
            raise ValueError(f"values {low}..{high} do not fit {kind}")
        return Constant(tuple(values.shape), kind, values.tobytes())

    @property
    def array(self) -> npt.NDArray[np.int64]:
        values = np.frombuffer(self.data, dtype="<i8").reshape(self.shape)
        values.flags.writeable = False
        return values

    def __str__(self) -> str:
        return f"{self.dtype}[{'x'.join(map(str, self.shape))}]"


def format_scale(scale: float) -> str:
    """`2^-8` for a power of two, otherwise the shortest decimal that reads back as the same number."""
    mantissa, exponent = math.frexp(scale)
    return f"2^{exponent - 1}" if mantissa == 0.5 else repr(float(scale))


def parse_scale(text: str) -> float:
    """The scale that `format_scale` printed, a power of two such as 2^-6 or a decimal number."""
    return 2.0 ** int(text[2:]) if text.startswith("2^") else float(text)
