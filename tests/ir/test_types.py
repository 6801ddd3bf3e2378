"""Integer types, tensor types, constants and scales: what they hold and how they read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import constants, int_types, tensor_types

from codesign.ir import Constant, IntType, TensorType
from codesign.ir.types import format_scale, parse_scale

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(int_types)
def test_a_type_reads_back(kind: IntType) -> None:
    assert IntType.parse(str(kind)) == kind
    assert kind.max - kind.min == 2**kind.bits - 1


@given(INT64, INT64)
def test_holding_is_the_narrowest(a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    kind = IntType.holding(low, high)
    assert kind.min <= low
    assert high <= kind.max
    assert kind.signed == (low < 0)
    if kind.bits > 1:
        narrower = IntType(kind.bits - 1, kind.signed)
        assert low < narrower.min or narrower.max < high


@pytest.mark.parametrize("text", ["", "8", "i8", "s", "s0", "u65", "s8 ", "S8", "s-1"])
def test_bad_types_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"bits must be|is not an integer type"):
        IntType.parse(text)


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.integers(-1074, 1023).map(lambda e: 2.0**e))
def test_a_scale_reads_back(scale: float) -> None:
    assert parse_scale(format_scale(scale)) == scale


@given(st.integers(-1022, 1023))
def test_powers_of_two_read_as_such(exponent: int) -> None:
    assert format_scale(2.0**exponent) == f"2^{exponent}"


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((1, 1), None), ((0, 1, 1), None), ((1, 1, 1), 0.0), ((1, 1, 1), -1.0), ((1, 1, 1), float("nan"))],
)
def test_bad_tensor_types_are_refused(shape: tuple[int, int, int], scale: float | None) -> None:
    with pytest.raises(ValueError, match=r"shape must be|scale must be"):
        TensorType(shape, IntType(8), scale)


@given(tensor_types)
def test_sizes_of_a_tensor(kind: TensorType) -> None:
    assert kind.size == kind.pixels * kind.channels == int(np.prod(kind.shape))


@given(constants())
def test_constants_compare_by_content(constant: Constant) -> None:
    again = Constant.of(constant.array.copy(), constant.dtype)
    assert again == constant
    assert hash(again) == hash(constant)
    assert not constant.array.flags.writeable
    if constant.array.size:
        changed = constant.array.copy()
        changed.reshape(-1)[0] = 0 if changed.reshape(-1)[0] else constant.dtype.max if constant.dtype.bits < 64 else 1
        if constant.dtype.max > 0:
            assert Constant.of(changed, constant.dtype) != constant


def test_a_constant_out_of_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values -1\.\.3 do not fit u2"):
        Constant.of([-1, 3], IntType(2, signed=False))
    assert Constant.of([-1, 3]).dtype == IntType(3)
