"""CIFAR-10 in its official pickles: an unpacked folder, the official archive, or an archive in parts."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np

from codesign.errors import DataError
from codesign.files import cache_folder
from codesign.nn.data.frames import Frames, Source, check_frames, is_bytes
from codesign.nn.data.pickles import read_pickle

INNER = "cifar-10-batches-py"
TRAIN_NAMES = tuple(f"data_batch_{k}" for k in range(1, 6))
EXPECTED = {f"{INNER}/{name}" for name in (*TRAIN_NAMES, "test_batch", "batches.meta")}
MEMBER_LIMIT = 64 << 20  # bytes; an official batch has 31 million
HINT = "set CODESIGN_DATA to a folder that holds cifar10/ with cifar-10-python.tar.gz or cifar-10-batches-py/"


def load_cifar10(folder: Path | None) -> Source:
    """CIFAR-10 from `folder`, its `cifar10` or its `cifar-10`; archives are unpacked once into the cache.

    When some train batches are missing it takes those there are, and `Source.note` says which.
    """
    files = _batch_files(folder)
    batches = {name: _read_batch(files[name]) for name in TRAIN_NAMES if name in files}
    if not batches or "test_batch" not in files:
        missing = "test_batch" if batches else TRAIN_NAMES[0]
        raise DataError(f"{missing} is missing", where=str(folder), hint=HINT)
    train = Frames(
        np.concatenate([batch.images for batch in batches.values()]),
        np.concatenate([batch.labels for batch in batches.values()]),
    )
    missing = [name for name in TRAIN_NAMES if name not in batches]
    note = f"{len(train)} frames to train on: {', '.join(missing)} missing" if missing else ""
    return Source("cifar10", train, _read_batch(files["test_batch"]), classes=10, note=note)


def unpack(archive: Path) -> Path:
    """The folder with the archive's batches, unpacked into the cache on the first call.

    Only members with an expected name are read, as bytes, and written under that name: nothing else in the archive,
    no link and no path can reach the disk. The folder appears whole or not at all.
    """
    about = archive.stat()
    key = hashlib.sha256(f"{archive.resolve()} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()[:16]
    target = cache_folder() / f"cifar10-{key}"
    if target.is_dir():
        return target
    partial = _partial_folder(target)
    try:
        _unpack_into(archive, partial)
        os.replace(partial, target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same files
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _batch_files(folder: Path | None) -> dict[str, Path]:
    """The pickles by name, from the first place that has any: unpacked, the official archive, its parts."""
    places = [folder / "cifar10", folder / "cifar-10", folder] if folder else []
    for place in places:
        if (place / INNER).is_dir():
            return _files_in([place / INNER])
        official = place / "cifar-10-python.tar.gz"
        archives = [official] if official.is_file() else sorted(place.glob(f"{INNER}.part-*.tar.xz"))
        if archives:
            return _files_in([unpack(archive) for archive in archives])
    looked = f"looked in {', '.join(map(str, places))}" if places else "no data folder is set"
    raise DataError(f"cannot find the files of cifar10: {looked}", where="data.folder", hint=HINT)


def _files_in(folders: list[Path]) -> dict[str, Path]:
    return {path.name: path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()}


def _partial_folder(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise DataError(
            f"cannot be written: {error}", where=str(target.parent), hint="set XDG_CACHE_HOME to a folder that can"
        ) from error


def _unpack_into(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name not in EXPECTED:
                    continue
                stream = tar.extractfile(member) if member.isreg() and member.size <= MEMBER_LIMIT else None
                if stream is None:
                    raise DataError(f"{member.name} is not a plain file of a batch's size", where=str(archive))
                (folder / Path(member.name).name).write_bytes(stream.read())
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise _bad_archive(archive, error) from error
    except Exception as error:
        if type(error).__name__ in ("LZMAError", "error"):  # lzma.LZMAError, zlib.error
            raise _bad_archive(archive, error) from error
        raise


def _bad_archive(archive: Path, error: Exception) -> DataError:
    return DataError(f"is truncated or not an archive: {error}", where=str(archive), hint="fetch the file again")


def _read_batch(path: Path) -> Frames:
    batch = read_pickle(path.read_bytes(), str(path))
    table = cast(dict[bytes, Any], batch) if isinstance(batch, dict) else {}
    pixels, labels = table.get(b"data"), table.get(b"labels")
    if not is_bytes(pixels) or pixels.ndim != 2 or pixels.shape[1] != 3072:
        raise DataError("has no `data` of rows of 3072 bytes", where=str(path), hint="fetch the official file again")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in cast(list[Any], labels)):
        raise DataError("has no `labels` list of integers", where=str(path), hint="fetch the official file again")
    images_NHWC = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return check_frames(images_NHWC, np.array(labels, np.int64), 10, str(path))
