"""SVHN (cropped digits) in its official MATLAB files; scipy is needed for these and for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from codesign.errors import DataError
from codesign.nn.data.frames import Frames, Source, check_frames, is_bytes

HINT = "set CODESIGN_DATA to a folder that holds svhn/train_32x32.mat and svhn/test_32x32.mat"


def load_svhn(folder: Path | None) -> Source:
    """SVHN from `folder` or its `svhn`; the files' label 10 is the digit 0."""
    places = [folder / "svhn", folder / "SVHN", folder] if folder else []
    place = next((p for p in places if (p / "train_32x32.mat").is_file() and (p / "test_32x32.mat").is_file()), None)
    if place is None:
        looked = f"looked in {', '.join(map(str, places))}" if places else "no data folder is set"
        raise DataError(f"cannot find the files of svhn: {looked}", where="data.folder", hint=HINT)
    return Source("svhn", _read(place / "train_32x32.mat"), _read(place / "test_32x32.mat"), classes=10)


def _read(path: Path) -> Frames:
    table = _load_mat(path)
    images_HWCN, labels = table.get("X"), table.get("y")
    if not is_bytes(images_HWCN) or images_HWCN.ndim != 4:
        raise DataError("has no `X` of bytes (32, 32, 3, N)", where=str(path), hint="fetch the official file again")
    if labels is None or np.asarray(labels).dtype.kind not in "ui":
        raise DataError("has no `y` of integer labels", where=str(path), hint="fetch the official file again")
    digits = np.asarray(labels).reshape(-1).astype(np.int64)
    digits[digits == 10] = 0
    return check_frames(images_HWCN.transpose(3, 0, 1, 2), digits, 10, str(path))


def _load_mat(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError("its .mat files need scipy", where="svhn", hint="pip install scipy") from error
    try:
        return cast(dict[str, Any], loadmat(path, variable_names=["X", "y"]))
    except Exception as error:
        raise DataError(
            f"is truncated or not a MATLAB 5 file: {error}", where=str(path), hint="fetch the official file again"
        ) from error
