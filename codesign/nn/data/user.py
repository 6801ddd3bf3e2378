"""A user's own frames: an .npz file, or a Python function that returns arrays or a torch Dataset."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.nn.data.frames import Source, check_frames
from codesign.nn.objects import load_object

NPZ_HINT = "save it with numpy.savez(path, x=images, y=labels), and x_test, y_test for a test split"
PYTHON_HINT = "return (images, labels), a (train, test) pair of those, or a torch Dataset of (image, label)"
NAMES = (("x", "y", "x_test", "y_test"), ("images", "labels", "images_test", "labels_test"))


def load_npz(path_text: str) -> Source:
    """The frames in an .npz file: `x` and `y`, or `images` and `labels`, each also with `_test` for a test split.

    Images are (N, H, W) or (N, H, W, C), of uint8 or of floats in 0..1, which become `round(255 * x)`.
    """
    if not path_text:
        raise DataError('dataset "npz" needs the path of a file', where="data.path", hint=NPZ_HINT)
    path = Path(path_text).expanduser()
    arrays = _read_npz(path)
    names = next((names for names in NAMES if names[0] in arrays and names[1] in arrays), None)
    if names is None:
        raise DataError(f"holds {', '.join(arrays) or 'nothing'}, not x and y", where=str(path), hint=NPZ_HINT)
    x, y, x_test, y_test = (arrays.get(name) for name in names)
    if (x_test is None) != (y_test is None):
        raise DataError(f"holds only one of {names[2]} and {names[3]}", where=str(path), hint=NPZ_HINT)
    return _source(path.stem, (x, y), None if x_test is None else (x_test, y_test), where=str(path))


def load_python(name: str) -> Source:
    """The frames that the function `package.module:function` returns when called with no arguments.

    It returns (images, labels), a (train, test) pair of such, or a torch Dataset of (image, label), or a pair of
    Datasets. Arrays and PIL images have their channels last; torch tensors have them first, as torch's always do.
    """
    function = load_object(name, DataError, kind="function")
    try:
        result = function()
    except Exception as error:
        raise DataError(f"the function fails: {error!r}", where=name, hint=PYTHON_HINT) from error
    pair = _pair(result)
    if pair and not _is_array(pair[0]):
        return _source(name, _arrays(pair[0], name), _arrays(pair[1], name), where=name)
    return _source(name, _arrays(result, name), None, where=name)


def as_pixels(images: Any, where: str) -> NDArray[np.uint8]:
    """Images as uint8 (N, H, W, C): bytes as they are, floats in 0..1 as `round(255 * x)`; else DataError."""
    array = np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(f"images have shape {array.shape}, not (N, H, W) or (N, H, W, C)", where=where)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise DataError(f"images are {array.dtype}", where=where, hint="use uint8 pixels, or floats in 0..1")
    if not np.isfinite(array).all():
        raise DataError("images hold NaN or infinity", where=where, hint="clean the frames first")
    if array.min() < 0 or array.max() > 1:
        raise DataError(
            f"float images run from {array.min():g} to {array.max():g}, outside 0..1",
            where=where,
            hint="scale them to 0..1, or store the uint8 pixels",
        )
    return np.rint(array.astype(np.float64) * 255).astype(np.uint8)


def _read_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError("is one array, not an .npz file", where=str(path), hint=NPZ_HINT)
        with archive:
            return {name: archive[name] for name in archive}
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path), hint="set data.path to an .npz file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot be read as .npz without pickles: {error}", where=str(path), hint=NPZ_HINT) from error


def _source(name: str, train: tuple[Any, Any], test: tuple[Any, Any] | None, *, where: str) -> Source:
    parts = [part for part in (train, test) if part is not None]
    labels = [_as_labels(part[1], where) for part in parts]
    images = [as_pixels(part[0], where) for part in parts]
    if len({array.shape[1:] for array in images}) > 1:
        raise DataError(f"train frames are {images[0].shape[1:]} but test frames {images[1].shape[1:]}", where=where)
    classes = max(2, 1 + max(int(array.max(initial=0)) for array in labels))
    frames = [check_frames(x, y, classes, where) for x, y in zip(images, labels, strict=True)]
    return Source(name, frames[0], frames[1] if len(frames) > 1 else None, classes)


def _as_labels(labels: Any, where: str) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise DataError(
            f"labels are {array.dtype} {array.shape}, not integers (N,)", where=where, hint="give one class per frame"
        )
    return array.astype(np.int64)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _pair(value: Any) -> tuple[Any, Any] | None:
    """`value` when it is a tuple of two."""
    return cast(tuple[Any, Any], value) if isinstance(value, tuple) and len(cast(Any, value)) == 2 else None


def _arrays(value: Any, where: str) -> tuple[Any, Any]:
    """(images, labels) of a pair of arrays or of a Dataset."""
    pair = _pair(value)
    if pair and _is_array(pair[0]):
        return _channels_last(pair[0], axes=4), _channels_last(pair[1], axes=4)
    if not (hasattr(value, "__getitem__") and hasattr(value, "__len__")):
        raise DataError(f"the function returns a {type(value).__name__}", where=where, hint=PYTHON_HINT)
    try:
        pairs: list[tuple[Any, Any]] = [value[index] for index in range(len(value))]
        images = np.stack([_channels_last(image, axes=3) for image, _ in pairs])
        return images, np.array([int(label) for _, label in pairs], np.int64)
    except Exception as error:
        raise DataError(f"its frames cannot be stacked: {error}", where=where, hint=PYTHON_HINT) from error


def _channels_last(images: Any, *, axes: int) -> NDArray[Any]:
    """An array as it is; a torch tensor as an array, with its channels moved last when it has that many `axes`."""
    if not type(images).__module__.startswith("torch"):
        return np.asarray(images)
    array = images.detach().cpu().numpy()
    return np.moveaxis(array, -3, -1) if array.ndim == axes else array
