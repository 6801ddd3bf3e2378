"""Which adders make odd multiples of a number, each one once: of those made before where one adder suffices (multiple constant
multiplication)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Step(NamedTuple):
    """factor = a << a_shift + b << b_shift, or less the second."""

    factor: int
    a: int
    a_shift: int
    b: int
    b_shift: int
    minus: bool

    @property
    def price(self) -> tuple[int, int, int]:
        """Bits of the adder, and an order of those alike."""
        return abs(self.factor).bit_length() - max(0, self.b_shift - self.a_shift), abs(self.a), abs(self.b)


@lru_cache(maxsize=1 << 16)
def steps(targets: tuple[int, ...]) -> tuple[Step, ...]:
    """Adders that make these odd factors from 1, in order: one each where factors made before allow it.

    A factor takes no more adders in a row than a balanced tree of its signed digits, so two where it has up to four.
    """
    made = _Made(max(abs(t) for t in targets).bit_length() + 1)
    steps, missing = list[Step](), set(targets) - {1}
    while missing:
        near = sorted(t for t in missing if made.reaches(t))
        for target in near:
            bases = made.bases(target)
            step = min((s for a in bases for b in bases for s in _ways(target, a, b)), key=lambda s: s.price)
            steps.append(step)
            made.take(target, 1 + max(made.depth[step.a], made.depth[step.b]))
        missing -= set(near)
        if missing and not near:
            missing.add(made.between(missing))
    return tuple(steps)


class _Made:
    """The factors made so far by depth, the adders in a row that each takes, and what one adder more can make of them.

    Sets of factors of less than `bits` bits are numbers with a bit for each.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.depth: dict[int, int] = {}
        self.near = [0] * 6  # [n]: what one adder makes of factors of depths below n
        self.take(1, 0)

    def take(self, factor: int, depth: int) -> None:
        self.depth[factor] = depth
        for most in range(depth + 1, len(self.near)):
            self.near[most] |= self._with(factor, most)

    def bases(self, target: int) -> list[int]:
        """The factors that a target may be made of."""
        most = _levels(target)
        return [f for f, depth in self.depth.items() if depth < most]

    def reaches(self, target: int) -> bool:
        return bool(self.near[_levels(target)] >> target + (1 << self.bits) & 1)

    def between(self, missing: set[int]) -> int:
        """A factor to make first: the one of a single adder that brings the most missing ones near; where none brings any,
        half of the digits of the hardest."""
        wanted = sum(1 << t + (1 << self.bits) for t in missing)
        offers = [(1 << s) + sign for s in range(2, self.bits - 1) for sign in (-1, 1)]
        gains = {f: (self._with(f, 2) & wanted).bit_count() for f in offers if f not in self.depth}
        best = max(gains, key=lambda f: (gains[f], -f), default=0)
        if best and gains[best]:
            return best
        hardest = max(missing, key=lambda t: (_digits(t), t))
        if hardest < 0:
            return -hardest
        upper, lower = _halves(hardest)
        return lower if upper in self.depth else upper

    def _with(self, factor: int, most: int) -> int:
        """What one adder makes of a factor and itself or those of depths below `most`."""
        found = _sums(factor, factor, self.bits)
        for other, depth in self.depth.items():
            if depth < most:
                found |= _sums(*sorted((factor, other)), self.bits)
        return found


@lru_cache(maxsize=1 << 16)
def _sums(a: int, b: int, bits: int) -> int:
    """The odd factors f of less than `bits` bits that one adder makes of a and b, as a number with bits f + 2**bits."""
    found, edge = 0, 1 << bits
    for shift in range(1, bits + 1):
        for one, other in ((a, b << shift), (b, a << shift)):
            for f in (one + other, one - other, other - one):
                found |= 1 << f + edge if abs(f) < edge else 0
    return found


@lru_cache(maxsize=1 << 16)
def _ways(factor: int, a: int, b: int) -> tuple[Step, ...]:
    """The adders of a and b that make the factor: a + (b << n), a - (b << n) and (a << n) - b."""
    found: list[Step] = []
    if (n := _shift(factor - a, b)) > 0:
        found.append(Step(factor, a, 0, b, n, minus=False))
    if (n := _shift(a - factor, b)) > 0:
        found.append(Step(factor, a, 0, b, n, minus=True))
    if (n := _shift(factor + b, a)) > 0:
        found.append(Step(factor, a, n, b, 0, minus=True))
    return tuple(found)


def _shift(value: int, of: int) -> int:
    """The n with value == of << n, or -1."""
    n = zeros(value) if value else -1
    return n if n >= 0 and value == of << n else -1


def _halves(value: int) -> tuple[int, int]:
    """The odd factors that the upper and the lower half of the signed digits are."""
    digits = list(_signed_digits(value))
    half = len(digits) // 2
    lower, upper = sum(digits[:half]), sum(digits[half:])
    return abs(upper) >> zeros(upper), abs(lower) >> zeros(lower)


def _signed_digits(value: int) -> Iterator[int]:
    """Powers of two of either sign, ascending, as few as can be, whose sum is the value."""
    while value:
        digit = value & -value
        if value >> zeros(value) & 3 == 3:
            digit = -digit
        yield digit
        value -= digit


@lru_cache(maxsize=1 << 12)
def _levels(value: int) -> int:
    """Levels of a balanced tree of the signed digits; one more turns the sign over."""
    return (_digits(value) - 1).bit_length() + (value < 0)


def _digits(value: int) -> int:
    return len(tuple(_signed_digits(value)))


def zeros(value: int) -> int:
    """How many bits below the lowest one are 0."""
    return (value & -value).bit_length() - 1
