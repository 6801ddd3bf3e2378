"""requantize: an exact accumulator brought to a narrow type with one multiply, one add, one shift and one clamp."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from codesign.errors import GraphError
from codesign.ir.types import Codes, Constant, IntType, TensorType
from codesign.ops.base import (
    Example,
    Folding,
    Op,
    Rom,
    Schedule,
    Unit,
    Variant,
    Work,
    beat_lanes,
    beat_pixels,
    beat_schedule,
    differing,
    lane_foldings,
    per_width,
)


@dataclass(frozen=True, slots=True)
class Requantize(Op):
    """y[c] = clamp((x[c] * multiplier[c] + bias[c] + half) >> shift, low, high), rounding half up.

    `half` is 2**(shift - 1), or 0 when shift is 0. `multiplier` and `bias` have one value per channel, or one for all.
    `low` and `high` default to the output type's range; a ReLU is low = 0, a ReLU6 a lower high.
    """

    name: ClassVar[str] = "requantize"
    fabric: ClassVar[bool] = True

    multiplier: Constant
    bias: Constant
    shift: int
    out: IntType
    scale: float | None = None
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 48:
            raise ValueError(f"shift must be in 0..48, not {self.shift!r}")
        low, high = self.clamp
        if not self.out.min <= low <= high <= self.out.max:
            raise ValueError(f"clamp {low}..{high} does not fit {self.out}")

    @property
    def clamp(self) -> tuple[int, int]:
        return (self.out.min if self.low is None else self.low, self.out.max if self.high is None else self.high)

    @property
    def half(self) -> int:
        return (1 << self.shift) >> 1

    def infer(self, *x: TensorType) -> TensorType:
        (acc,) = x
        for field, constant in (("multiplier", self.multiplier), ("bias", self.bias)):
            if constant.shape not in ((1,), (acc.channels,)):
                raise GraphError(
                    f"{field} {constant} does not fit {acc.channels} channels",
                    hint="one value per channel, or one for all",
                )
        self.wide(acc)  # raises when the product cannot be held
        return TensorType(acc.shape, self.out, self.scale)

    def golden(self, *x: Codes) -> Codes:
        (acc_NHWC,) = x
        rounded = (acc_NHWC * self.multiplier.array + (self.bias.array + self.half)) >> self.shift
        return np.clip(rounded, *self.clamp)

    def wide(self, acc: TensorType) -> IntType:
        """The type that holds x * multiplier and x * multiplier + bias + half exactly, and has a bit left after the shift."""
        products = [
            int(m) * edge
            for m in (self.multiplier.array.min(), self.multiplier.array.max())
            for edge in (acc.dtype.min, acc.dtype.max)
        ]
        offsets = (int(self.bias.array.min()) + self.half, int(self.bias.array.max()) + self.half)
        low = min(0, min(products), min(products) + min(offsets), min(offsets))
        high = max(0, max(products), max(products) + max(offsets), max(offsets))
        if max(-low, high) >= 1 << 62:
            raise GraphError(f"requantizing {acc.dtype} needs more than 63 bits", hint="use fewer multiplier bits")
        return IntType(max(IntType.holding(low, high).bits + (low >= 0), self.shift + 1))

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return lane_foldings(beat_lanes(x[0]))

    def y_lanes(self, folding: Folding) -> int:
        return folding.pe

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        return beat_schedule(frames * x[0].size // folding.lanes)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        (acc,) = x
        groups = max(1, acc.channels // folding.lanes)
        word = folding.lanes * (self.bias.dtype.bits + (0 if self._unit else self.multiplier.dtype.bits))
        return Work(
            multiplies=() if self._unit else ((folding.lanes, acc.dtype.bits, self.multiplier.dtype.bits),),
            adds=((folding.lanes, self.wide(acc).bits),),
            roms=((groups, word),) if groups > 1 else (),
        )

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        (acc,) = x
        multiplier, offset = self._constants(folding, acc)
        return {
            "turns": acc.pixels // beat_pixels(folding.lanes, acc.channels),
            "groups": len(offset.array),
            "wide_type": self.wide(acc),
            "multiplier_type": self.multiplier.dtype,
            "unit": self._unit,
            "multiplier": multiplier.array,
            "offset_type": offset.dtype,
            "offset": offset.array,
            "shift": self.shift,
            "low": self.clamp[0],
            "high": self.clamp[1],
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        (acc,) = x
        multiplier, offset = self._constants(folding, acc)
        m_bits, o_bits = (0 if self._unit else _signed_bits(multiplier)), _signed_bits(offset)
        words = _words(multiplier, offset, m_bits, o_bits)
        if (words == words[0]).all():
            words = words[:1]
        return Unit(
            "cs_requantize",
            {**self._facts(folding, acc, m_bits, o_bits, self.wide(acc).bits), "GROUPS": len(words)},
            latency=(3 if self._unit else 4) + (len(words) > 1),
            roms=(Rom("constants", words, 1),),
        )

    def slim_rtl(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Unit:
        """One ROM with the constants of every width; what one has whole inside another shares its words."""
        (widest,) = x
        accs = [variant.types[0] for variant in variants]
        ops = [variant.op for variant in variants if isinstance(variant.op, Requantize)]
        if any((op.shift, op.out, op.clamp) != (self.shift, self.out, self.clamp) for op in ops):
            raise GraphError("widths differ in shift, type or clamp", hint="quantize all widths together")
        tables = [op._constants(folding, acc) for op, acc in zip(ops, accs, strict=True)]
        unit = all(op._unit for op in ops)
        m_bits = 0 if unit else max(_signed_bits(multiplier) for multiplier, _ in tables)
        o_bits = max(_signed_bits(offset) for _, offset in tables)
        words, bases = _together([_words(*table, m_bits, o_bits) for table in tables])
        facts = self._facts(folding, widest, m_bits, o_bits, max(op.wide(widest).bits for op in ops))
        return Unit(
            "cs_slim_requantize",
            {
                **facts,
                "WORDS": len(words),
                "TURNS": widest.pixels // beat_pixels(folding.lanes, widest.channels),
                "WIDTHS": len(variants),
                "GROUPS": per_width(max(1, acc.channels // folding.lanes) for acc in accs),
                "BASES": per_width(bases),
            },
            latency=(3 if unit else 4) + (len(words) > 1),
            roms=(Rom("constants", words, 1),),
            widths=len(variants),
        )

    def step_up(self, narrow: Variant, fresh: bool, *x: TensorType) -> tuple[Variant, bool]:
        """The constants of the new channels."""
        if not fresh:
            return Variant(self, x), False
        new = x[0].channels
        multiplier, bias = (
            c if c.shape == (1,) else Constant.of(c.array[-new:], c.dtype) for c in (self.multiplier, self.bias)
        )
        return Variant(replace(self, multiplier=multiplier, bias=bias), x), True

    def slim_hls(self, folding: Folding, variants: tuple[Variant, ...], *x: TensorType) -> Mapping[str, Any]:
        """As in RTL: the constants of every width in one ROM."""
        rows = [variant.op.hls(folding, *variant.types) for variant in variants]
        if (names := differing(rows)) & {"shift", "low", "high"}:
            raise GraphError(f"widths differ in {min(names)}", hint="quantize all widths together")
        words, bases = _together([np.stack([row["multiplier"], row["offset"]], axis=1) for row in rows])
        multiplier, offset = (Constant.of(words[:, index]) for index in (0, 1))
        beats = [row["turns"] * row["groups"] for row in rows]
        return {
            **self.hls(folding, *x),
            "words": len(words),
            "bases": bases,
            "groups": [row["groups"] for row in rows],
            "beats": beats,
            "unit": all(row["unit"] for row in rows),
            "wide_type": max((row["wide_type"] for row in rows), key=lambda kind: kind.bits),
            "multiplier_type": multiplier.dtype,
            "multiplier": multiplier.array,
            "offset_type": offset.dtype,
            "offset": offset.array,
            "largest": max(*beats, len(words)),
        }

    def _facts(self, folding: Folding, acc: TensorType, m_bits: int, o_bits: int, wide_bits: int) -> dict[str, int]:
        """The parameters of every RTL unit."""
        return {
            "X_BITS": acc.dtype.bits,
            "X_SIGNED": int(acc.dtype.signed),
            "Y_BITS": self.out.bits,
            "M_BITS": m_bits,
            "O_BITS": o_bits,
            "WIDE_BITS": wide_bits,
            "SHIFT": self.shift,
            "LOW": self.clamp[0],
            "HIGH": self.clamp[1],
            "LANES": folding.lanes,
        }

    def _constants(self, folding: Folding, acc: TensorType) -> tuple[Constant, Constant]:
        """Multipliers and offsets, which are bias and rounding, (groups, lanes); tiled where a beat has several pixels."""
        shape = (max(1, acc.channels // folding.lanes), folding.lanes)
        tables = (np.broadcast_to(c, (acc.channels,)) for c in (self.multiplier.array, self.bias.array + self.half))
        multiplier, offset = (Constant.of(np.resize(table, shape)) for table in tables)
        return multiplier, offset

    @property
    def _unit(self) -> bool:
        """Whether no multiplication is needed."""
        return bool((self.multiplier.array == 1).all())

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        u8, s4, s16 = IntType(8, signed=False), IntType(4), IntType(16)
        per_channel = cls(Constant.of([300, -75, 4095, 1]), Constant.of([-1000, 500, 0, 7]), 9, u8, 0.25)
        power = cls(Constant.of([1]), Constant.of([3, -3, 100]), 4, s4, 0.5)
        plain = cls(Constant.of([3, -2, 5]), Constant.of([1, -7, 4]), 2, IntType(6), 0.5)  # every last bit shows
        return (
            Example(per_channel, (TensorType((2, 4, 4), IntType(12)),)),
            Example(plain, (TensorType((3, 3, 3), IntType(4)),)),
            Example(power, (TensorType((2, 2, 3), IntType(10)),)),
            Example(cls(Constant.of([1]), Constant.of([0]), 0, u8, 1.0, 0, 96), (TensorType((2, 3, 2), s16, 1.0),)),
            Example(
                cls(Constant.of([1]), Constant.of([5 - (1 << 39)]), 40, u8, 1.0), (TensorType((1, 2, 3), IntType(12)),)
            ),
            Example(
                cls(Constant.of([70000]), Constant.of([-(2**33)]), 20, s16, 1.0), (TensorType((1, 4, 2), IntType(30)),)
            ),
        )


def _signed_bits(constant: Constant) -> int:
    """Bits of the narrowest signed type of all its values."""
    return constant.dtype.bits + (not constant.dtype.signed)


def _words(multiplier: Constant, offset: Constant, m_bits: int, o_bits: int) -> Codes:
    """(groups, bits): a row of bits for a word, since the two constants of a lane differ in width."""
    words = np.concatenate([_bits(offset.array, o_bits), _bits(multiplier.array, m_bits)], axis=-1)
    return words.reshape(len(words), -1)


def _together(tables: Sequence[Codes]) -> tuple[Codes, list[int]]:
    """One table in which every table lies somewhere whole, and where each begins; the longest come first."""
    words, bases = tables[0][:0], [0] * len(tables)
    for index in sorted(range(len(tables)), key=lambda i: (-len(tables[i]), -i)):
        table = tables[index]
        spots = (at for at in range(len(words) - len(table) + 1) if np.array_equal(words[at : at + len(table)], table))
        bases[index] = next(spots, len(words))
        words = np.concatenate([words, table]) if bases[index] == len(words) else words
    return words, bases


def _bits(values: Codes, bits: int) -> Codes:
    """Two's complement along a new last axis, lowest bit first."""
    return values[..., None] >> np.arange(bits) & 1
