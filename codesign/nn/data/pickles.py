"""Reading a pickle that may only hold arrays, numbers, text, bytes, lists and dicts: nothing in it can run code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from codesign.errors import DataError

try:
    from numpy._core.multiarray import _reconstruct  # pyright: ignore[reportPrivateUsage]
except ImportError:  # numpy 1
    from numpy.core.multiarray import _reconstruct  # type: ignore[no-redef]


def _latin1(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does in pickles that Python 3 writes for Python 2: bytes, spelled as latin-1 text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


ALLOWED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


def read_pickle(data: bytes, where: str) -> Any:
    """The value pickled in `data`, with Python 2 text as bytes; raises DataError for anything but plain data."""
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
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
