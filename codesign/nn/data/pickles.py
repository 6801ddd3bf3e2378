"""Reading a pickle that may only hold arrays, numbers, text, bytes, lists and dicts: nothing in it can run code.

A pickle calls what it names. So it gets no name of numpy's: an array arrives as an inert `_Array` that keeps checked
shape, type and bytes, and becomes a numpy array once the pickle has ended.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

MAX_TUPLES = 1000  # an array has four; Python crashes on the hash of tuples nested deeper than its stack
_CODE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")


class _Inert:
    """What a pickle can name, but neither call, instantiate nor write to."""

    __slots__ = ()

    def __setstate__(self, state: object) -> NoReturn:
        raise pickle.UnpicklingError(f"a state for {type(self).__name__}")


class _Dtype(_Inert):
    """The type of an array's numbers; a pickle may set its byte order and nothing else."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        match state:
            case (int(), (str() | bytes()) as order, None, None, None, int(), int(), int()) if _text(order) in "|<>=":
                self.order = _text(order)
            case _:
                raise pickle.UnpicklingError(f"a type of numbers with the state {state!r}")

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(cast(Any, self.order))


class _Array(_Inert):
    """An array to be: `_Reconstruct` makes it empty, its state fills it."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.zeros(0, np.uint8)

    def __setstate__(self, state: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        match state:
            case (int(), tuple(), _Dtype() as kind, (bool() | int()) as fortran, bytes() as data):
                shape = cast(tuple[Any, ...], cast(tuple[Any, ...], state)[1])
                self.array = _array(shape, kind.dtype(), bool(fortran), data)
            case _:
                raise pickle.UnpicklingError("an array of anything but plain numbers")


class _NdarrayName(_Inert):
    """`numpy.ndarray`, which a pickle only hands on to `_reconstruct`."""

    __slots__ = ()


class _DtypeName(_Inert):
    """`numpy.dtype(code, align, copy)` for booleans, integers and floats."""

    __slots__ = ()

    def __call__(self, code: str | bytes, align: int = 0, copy: int = 0) -> _Dtype:
        del align, copy
        if not _CODE.fullmatch(_text(code)):
            raise pickle.UnpicklingError(f"numbers of type {code!r}")
        return _Dtype(_text(code))


class _Reconstruct(_Inert):
    """`_reconstruct(ndarray, shape, code)`: an array whose contents follow."""

    __slots__ = ()

    def __call__(self, kind: object, shape: object, code: object) -> _Array:
        del shape, code
        if not isinstance(kind, _NdarrayName):
            raise pickle.UnpicklingError(f"an array that is a {type(kind).__name__}")
        return _Array()


class _Encode(_Inert):
    """`_codecs.encode` as Python 3 writes it for Python 2: bytes, spelled as latin-1 text."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
        return text.encode("latin1")


ALLOWED: Mapping[tuple[str, str], _Inert] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy", "ndarray"): _NdarrayName(),
    ("numpy", "dtype"): _DtypeName(),
    ("_codecs", "encode"): _Encode(),
}


def read_pickle(data: bytes, where: str) -> Any:
    """The value pickled in `data`, with Python 2 text as bytes; raises DataError for anything but plain data.

    Arrays are the value itself or values of a dict that is.
    """
    try:
        if sum(op.name.startswith("TUPLE") for op, _, _ in pickletools.genops(data)) > MAX_TUPLES:
            raise pickle.UnpicklingError(f"more than {MAX_TUPLES} tuples")
        return _finished(_PlainUnpickler(io.BytesIO(data), encoding="bytes").load())
    except DataError as error:
        raise DataError(error.what, where=where, hint=error.hint) from None
    except Exception as error:
        raise DataError(
            f"is truncated or not a pickle of plain data: {error}", where=where, hint="fetch the official file again"
        ) from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return ALLOWED[module_name, global_name]
        except KeyError:
            raise DataError(
                f"the pickle asks for {module_name}.{global_name}, which data has no use for: it was not loaded",
                hint="do not trust this file; fetch the official one",
            ) from None


def _finished(value: Any) -> Any:
    """`value` with numpy arrays for `_Array`s."""
    if isinstance(value, dict):
        table = cast(dict[Any, Any], value)
        return {key: item.array if isinstance(item, _Array) else item for key, item in table.items()}
    return value.array if isinstance(value, _Array) else value


def _array(shape: tuple[Any, ...], dtype: np.dtype[Any], fortran: bool, data: bytes) -> NDArray[Any]:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise pickle.UnpicklingError(f"an array of shape {shape!r}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f"{len(data)} bytes for an array of {shape} {dtype}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _text(word: str | bytes) -> str:
    return word.decode("ascii") if isinstance(word, bytes) else word
