"""MNIST and Fashion-MNIST in their official idx files, plain or gzipped."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.nn.data.frames import Frames, Source, check_frames

IMAGES_MAGIC = 0x00000803  # unsigned bytes, three axes
LABELS_MAGIC = 0x00000801  # unsigned bytes, one axis
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


def load_mnist(folder: Path | None) -> Source:
    """MNIST from `folder` itself, or from its `mnist` or torchvision's `MNIST/raw`."""
    places = [folder / "mnist", folder / "MNIST" / "raw", folder] if folder else []
    return _load("mnist", places, "set CODESIGN_DATA to a folder that holds mnist/train-images-idx3-ubyte.gz")


def load_fashion_mnist(folder: Path | None) -> Source:
    """Fashion-MNIST from `folder`, its `fashion-mnist` or `FashionMNIST/raw`, or Debian's dataset-fashion-mnist."""
    places = [folder / "fashion-mnist", folder / "FashionMNIST" / "raw", folder] if folder else []
    hint = "apt-get install dataset-fashion-mnist, or set CODESIGN_DATA to a folder that holds fashion-mnist/"
    return _load("fashion-mnist", [*places, DEBIAN_FASHION], hint)


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """The array in one idx file of bytes whose first word is `magic`; raises DataError for any other file."""
    data = _read(path)
    found = int.from_bytes(data[:4], "big")
    if len(data) < 4 or found != magic:
        raise DataError(
            f"starts with 0x{found:08x}, not 0x{magic:08x}: not an idx file of {'images' if magic & 2 else 'labels'}",
            where=str(path),
            hint="fetch the official file again",
        )
    axes = magic & 0xFF
    header = 4 + 4 * axes
    shape = struct.unpack_from(f">{axes}I", data, 4) if len(data) >= header else ()
    held = len(data) - header
    if not shape or held != _product(shape):
        size = " x ".join(map(str, shape)) or "no size"
        raise DataError(
            f"its header says {size} bytes but {max(held, 0)} follow", where=str(path), hint="fetch the file again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _load(name: str, places: list[Path], hint: str) -> Source:
    folder = next((place for place in places if _find(place, "train-images-idx3-ubyte")), None)
    if folder is None:
        looked = f"looked in {', '.join(map(str, places))}" if places else "no data folder is set"
        raise DataError(f"cannot find the files of {name}: {looked}", where="data.folder", hint=hint)
    return Source(name, _pair(folder, "train", hint), _pair(folder, "t10k", hint), classes=10)


def _pair(folder: Path, part: str, hint: str) -> Frames:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    if images_path is None or labels_path is None:
        missing = "images-idx3" if images_path is None else "labels-idx1"
        raise DataError(f"{part}-{missing}-ubyte.gz is missing", where=str(folder), hint=hint)
    images_NHW = read_idx(images_path, IMAGES_MAGIC)
    return check_frames(images_NHW[..., None], read_idx(labels_path, LABELS_MAGIC).astype(np.int64), 10, str(folder))


def _find(folder: Path, stem: str) -> Path | None:
    """The idx file by any of the names it goes by: gzipped or plain, with a dash or a dot before `idx`."""
    stems = (stem, stem.replace("-idx", ".idx"))
    paths = [folder / f"{name}{end}" for name in stems for end in (".gz", "")]
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"is truncated or not gzip: {error}", where=str(path), hint="fetch the official file again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from error


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for axis in shape:
        size *= axis
    return size
