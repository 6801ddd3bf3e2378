"""slim: one op at several widths on the same hardware, whose loops end earlier in the narrower ones.

Which width a frame has comes as a token of its own, in front of the frame: an index, narrow to wide. How an op's hardware
does it says the op's own file (`Op.slim_foldings`, `Op.slim_rtl`); here is what all share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codesign.errors import FoldingError
from codesign.ir.types import Codes, TensorType
from codesign.ops.base import Example, Folding, Op, Schedule, Unit, Variant, Work, beat_pixels


@dataclass(frozen=True, slots=True)
class Slim(Op):
    """`variants` are the op and its input types at each of `widths` widths, narrow to wide, and behind them when it steps up
    from each to the next, if the hardware can; this one stands for variant `at`.

    Shapes, golden codes and steps are those of variant `at`; types of codes, legal foldings and hardware are those of all.
    """

    variants: tuple[Variant, ...]
    widths: int
    at: int

    @property
    def variant(self) -> Variant:
        return self.variants[self.at]

    @property
    def widest(self) -> Op:
        return self.variants[self.widths - 1].op

    @property
    def widest_types(self) -> tuple[TensorType, ...]:
        return self.variants[self.widths - 1].types

    # What the contract has as facts of a class is here one of an op.
    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.widest.name

    @property
    def registers(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.widest.registers

    @property
    def port(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.widest.port

    @property
    def fabric(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.widest.fabric

    def infer(self, *x: TensorType) -> TensorType:
        del x
        return self._out(self.at)

    def golden(self, *x: Codes) -> Codes:
        return self.variant.op.golden(*x)

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        """Those that are legal at every width, with beats of as many pixels. Raises FoldingError where there are none."""
        del x
        sets = [frozenset(variant.op.foldings(*variant.types)) for variant in self.variants]
        widest = self.widest.foldings(*self.widest_types)
        common = tuple(f for f in widest if all(f in legal for legal in sets) and len(self._pixels(f)) == 1)
        found = self.widest.slim_foldings(common, self.variants)
        if not found:
            what = f"{self.name} has no folding that all widths can have"
            raise FoldingError(what, hint="use channels with a common divisor, a larger slim.step, or a larger map")
        return found

    def _pixels(self, folding: Folding) -> set[int]:
        """The pixels in a beat, at every width."""
        return {beat_pixels(folding.lanes, variant.types[0].channels) for variant in self.variants}

    def y_lanes(self, folding: Folding) -> int:
        return self.widest.y_lanes(folding)

    def cycles(self, folding: Folding, *x: TensorType) -> int:
        del x
        return self.variant.op.cycles(folding, *self.variant.types)

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        del x
        return self.variant.op.schedule(folding, frames, *self.variant.types)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        del x
        return self.widest.work(folding, *self.widest_types)

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        """The variables of width `at`."""
        del x
        return self.variant.op.hls(folding, *self.variant.types)

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        del x
        return self.widest.slim_rtl(folding, self.variants, *self.widest_types)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """None: what there is to try are networks, in tests/ops/test_slim.py."""
        return ()

    def _out(self, at: int) -> TensorType:
        """The type that the hardware has at a variant: the narrow one's shape in the widest one's codes."""
        variant = self.variants[at]
        out, widest = variant.op.infer(*variant.types), self.widest.infer(*self.widest_types)
        return TensorType(out.shape, widest.dtype, widest.scale)
