"""Official files of data sets: every layout, and one clear error for every way a file can be wrong."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codesign.config import DataConfig
from codesign.errors import DataError
from codesign.nn.data import load_data
from codesign.nn.data.idx import IMAGES_MAGIC, LABELS_MAGIC
from codesign.nn.data.pickles import read_pickle

DATA = os.environ.get("CODESIGN_DATA", "")
SHARED = DATA if DATA and (Path(DATA) / "cifar10").is_dir() else ""


@pytest.fixture(autouse=True)
def no_outside_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CODESIGN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# --- idx ----------------------------------------------------------------------------------------------------------


def idx(magic: int, array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


def packed(content: bytes) -> bytes:
    """By gzip, without the time: names of tests have it in them, and workers of one run must find the same."""
    return gzip.compress(content, mtime=0)


def save_mnist(folder: Path, pack: Callable[[bytes], bytes] = packed, end: str = ".gz", frames: int = 30) -> None:
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        images, labels = np.arange(frames * 12).reshape(frames, 4, 3) % 256, np.arange(frames) % 10
        (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(IMAGES_MAGIC, images)))
        (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(LABELS_MAGIC, labels)))


def mnist(folder: Path, name: str = "mnist") -> DataConfig:
    return DataConfig(name, folder=str(folder), validation=10, calibration=10)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "."])
@pytest.mark.parametrize(("pack", "end"), [(packed, ".gz"), (bytes, "")])
def test_mnist_by_any_layout(tmp_path: Path, place: str, pack: Callable[[bytes], bytes], end: str):
    save_mnist(tmp_path / "data" / place, pack, end)
    splits = load_data(mnist(tmp_path / "data"), 1)
    assert (splits.shape, splits.classes, len(splits.train), len(splits.test)) == ((4, 3, 1), 10, 10, 30)
    assert splits.test.images[1, :, :, 0].tolist() == [[12, 13, 14], [15, 16, 17], [18, 19, 20], [21, 22, 23]]
    assert splits.test.labels[:11].tolist() == [*range(10), 0]


def test_fashion_mnist_from_debians_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_mnist(tmp_path / "share")
    monkeypatch.setattr("codesign.nn.data.idx.DEBIAN_FASHION", tmp_path / "share")
    assert load_data(DataConfig("fashion-mnist", validation=5, calibration=5), 1).name == "fashion-mnist"
    monkeypatch.setattr("codesign.nn.data.idx.DEBIAN_FASHION", tmp_path / "none")
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        load_data(DataConfig("fashion-mnist"), 1)


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
ONE = idx(IMAGES_MAGIC, np.zeros((1, 2, 2)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (IMAGES, packed(ONE * 400)[:-40], "is truncated or not gzip"),
        (IMAGES, b"<html>not found</html>", "is truncated or not gzip"),
        (
            IMAGES,
            packed(idx(0x801, np.zeros(3))),
            "starts with 0x00000801, not 0x00000803: not an idx file of images",
        ),
        (LABELS, packed(ONE), "starts with 0x00000803, not 0x00000801: not an idx file of labels"),
        (IMAGES, packed(b"\0"), "starts with 0x00000000"),
        (IMAGES, packed(ONE[:6]), "its header says no size bytes but 0 follow"),
        (IMAGES, packed(ONE[:-1]), "its header says 1 x 2 x 2 bytes but 3 follow"),
        (IMAGES, packed(struct.pack(">4I", 0x803, 2**31, 2**31, 9)), "header says 2147483648 x 2147483648 x 9"),
        (LABELS, packed(idx(0x801, np.zeros(29))), "30 images but 29 labels"),
        (LABELS, packed(idx(0x801, np.full(30, 11))), "labels run from 11 to 11, outside 0..9"),
        (LABELS, None, "train-labels-idx1-ubyte.gz is missing"),
    ],
)
def test_idx_files_that_are_wrong(tmp_path: Path, name: str, content: bytes | None, words: str):
    save_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_data(mnist(tmp_path), 1)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "svhn"])
def test_a_missing_folder_says_how_to_name_one(tmp_path: Path, name: str):
    with pytest.raises(
        DataError, match=r"cannot find the files of(.|\n)*no data folder is set(.|\n)*set CODESIGN_DATA"
    ):
        load_data(DataConfig(name), 1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"looked in {tmp_path}/"):
        load_data(mnist(tmp_path, name), 1)


def test_the_environment_names_the_folder_unless_the_config_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_mnist(tmp_path / "a" / "mnist", frames=40)
    save_mnist(tmp_path / "b" / "mnist", frames=30)
    monkeypatch.setenv("CODESIGN_DATA", str(tmp_path / "a"))
    assert len(load_data(DataConfig("mnist", validation=5, calibration=5), 1).test) == 40
    assert len(load_data(mnist(tmp_path / "b"), 1).test) == 30


# --- CIFAR-10 -----------------------------------------------------------------------------------------------------


def cifar_batch(frames: int = 20, first: int = 0) -> bytes:
    """A batch as Python 2 pickled it: byte strings for keys, one row of 3072 pixels per frame."""
    data = np.full((frames, 3072), first, np.uint8)
    data[:, 1024] = 7  # the green of the first pixel
    return pickle.dumps({b"data": data, b"labels": [i % 10 for i in range(frames)]}, protocol=2)


def tar(path: Path, members: dict[str, bytes], mode: str = "w:xz") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def part(*names: str, **more: bytes) -> dict[str, bytes]:
    return {f"cifar-10-batches-py/{name}": cifar_batch() for name in names} | more


def cifar(folder: Path) -> DataConfig:
    return DataConfig("cifar10", folder=str(folder), validation=5, calibration=5)


ALL = ("test_batch", *(f"data_batch_{k}" for k in range(1, 6)))
PART_A, PART_B = (f"cifar10/cifar-10-batches-py.part-{x}.tar.xz" for x in "ab")


def test_cifar10_from_parts_from_the_archive_and_unpacked(tmp_path: Path):
    tar(tmp_path / "parts" / PART_A, part("test_batch", "data_batch_1"))
    tar(tmp_path / "parts" / PART_B, part(*ALL[2:]))
    tar(tmp_path / "official" / "cifar-10-python.tar.gz", part(*ALL), "w:gz")
    for name, content in part(*ALL).items():
        (tmp_path / "unpacked" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "unpacked" / name).write_bytes(content)
    for place in ("parts", "official", "unpacked"):
        splits = load_data(cifar(tmp_path / place), 1)
        assert (splits.shape, len(splits.train), len(splits.test), splits.note) == ((32, 32, 3), 90, 20, "")
        assert splits.test.images[3, 0, 0].tolist() == [0, 7, 0]


def test_cifar10_with_some_batches_says_which(tmp_path: Path):
    tar(tmp_path / PART_A, part("test_batch", "data_batch_1"))
    splits = load_data(cifar(tmp_path), 1)
    assert len(splits.train) == 10
    assert splits.note == "20 frames to train on: data_batch_2, data_batch_3, data_batch_4, data_batch_5 missing"


def test_an_archive_is_unpacked_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tar(tmp_path / PART_A, part("test_batch", "data_batch_1"))
    load_data(cifar(tmp_path), 1)
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", None)
        load_data(cifar(tmp_path), 1)
    tar(tmp_path / PART_A, part("test_batch", "data_batch_1", "data_batch_2"))
    assert load_data(cifar(tmp_path), 1).note.startswith("40 frames to train on: data_batch_3, ")


def test_nothing_but_expected_files_leaves_an_archive(tmp_path: Path):
    escapes = {"../../evil": b"x", "/tmp/evil": b"x", "cifar-10-batches-py/../../../data_batch_2": b"x"}
    tar(tmp_path / PART_A, part("test_batch", "data_batch_1", "readme.html") | escapes)
    load_data(cifar(tmp_path), 1)
    files = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(files) == ["data_batch_1", "test_batch"]
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_an_archive_is_refused_and_leaves_nothing(tmp_path: Path):
    (tmp_path / "cifar10").mkdir()
    with tarfile.open(tmp_path / PART_A, "w:xz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="data_batch_1 is not a plain file of a batch's size"):
        load_data(cifar(tmp_path), 1)
    assert list((tmp_path / "cache" / "codesign").iterdir()) == []


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/codesign-evil",)


def bare(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bare({b"data": Evil()}), r"the pickle asks for posix.system(.|\n)*it was not loaded(.|\n)*fetch the official"),
        (bare(getattr), r"the pickle asks for __builtin__.getattr"),
        (cifar_batch()[:-100], "is truncated or not a pickle of plain data"),
        (b"", "is truncated or not a pickle of plain data"),
        (bare([1, 2]), "has no `data` of rows of 3072 bytes"),
        (bare({b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]}), "has no `data` of rows of 3072 bytes"),
        (bare({b"data": np.zeros((2, 3072), np.uint8), b"labels": ["a", "b"]}), "has no `labels` list of integers"),
        (bare({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}), "2 images but 1 labels"),
        (bare({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}), "labels run from 1 to 10"),
    ],
)
def test_batches_that_are_wrong(tmp_path: Path, content: bytes, words: str):
    tar(tmp_path / PART_A, part("test_batch") | {"cifar-10-batches-py/data_batch_1": content})
    with pytest.raises(DataError, match=words):
        load_data(cifar(tmp_path), 1)
    assert not Path("/tmp/codesign-evil").exists()


class Call:
    """Pickles to `function(*arguments)`, and to a state that is set on what it returns."""

    def __init__(self, function: object, *arguments: object, state: object = None):
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.made


BYTE, OBJECT = np.dtype("u1"), np.dtype("O")
RECONSTRUCT = np.zeros(1).__reduce__()[0]
ATTACKS = {
    "an array of objects at an address": Call(np.ndarray, (1,), OBJECT, b"A" * 8),
    "a shape that is such an array": Call(np.ndarray, Call(np.ndarray, (1,), OBJECT, b"A" * 8), BYTE),
    "an array of objects": np.array([None, "x"], dtype=object),
    "a type of objects": OBJECT,
    "a type with fields": np.zeros(2, [("a", "u1"), ("b", "O")]),
    "a type with a state": Call(np.dtype, "u1", False, True, state=(3, "|", (OBJECT, (2,)), None, None, 8, 8, 63)),
    "text as numbers": np.array(["abc"]),
    "an array by call": Call(np.ndarray, (2, 3072), BYTE),
    "an array that is a type": Call(RECONSTRUCT, np.dtype, (0,), b"b"),
    "too few bytes": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2, 3072), BYTE, False, b"123")),
    "a negative size": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (-1, -3), BYTE, False, b"123")),
    "a state for a function": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state={"array": 1}),
}


READ_ALL = """
import sys
from pathlib import Path
from codesign.errors import DataError
from codesign.nn.data.pickles import read_pickle
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(path.name, type(read_pickle(path.read_bytes(), "batch")[b"data"]), flush=True)
    except DataError:
        print(path.name, "refused", flush=True)
"""


def test_no_pickle_reaches_numpy(tmp_path: Path):
    """In a process of its own: what used to go wrong here was a crash."""
    for name, value in ATTACKS.items():
        (tmp_path / name).write_bytes(bare({b"data": value, b"labels": [0, 1]}))
    (tmp_path / "tuples in tuples as a key").write_bytes(b"\x80\x02}N" + b"\x85" * 3_000_000 + b"Ns.")
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.splitlines() == [
        f"{name} refused" for name in sorted([*ATTACKS, "tuples in tuples as a key"])
    ], done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["numpy._core.multiarray\n_reconstruct", "numpy\ndtype", "_codecs\nencode"])
@pytest.mark.parametrize("state", [{"x": 1}, (None, {"__defaults__": ("latin1",)})])
def test_no_pickle_writes_to_what_it_names(name: str, state: object):
    with pytest.raises(DataError, match="not a pickle of plain data"):
        read_pickle(b"c" + name.encode() + b"\n" + bare(state)[2:-1] + b"b.", "x")


@pytest.mark.parametrize(
    "array",
    [np.arange(12, dtype=">i4").reshape(3, 4), np.asfortranarray(np.eye(3, 4)), np.array(True), np.ones((1, 3), "f2")],
    ids=lambda array: str(array.dtype),
)
def test_plain_arrays_arrive_as_they_were(array: np.ndarray):
    got = read_pickle(bare({b"data": array}), "x")[b"data"]
    assert (got.dtype, got.shape) == (array.dtype, array.shape) and np.array_equal(got, array)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED, reason="needs CODESIGN_DATA with cifar10/")
def test_the_official_batches_are_read():
    splits = load_data(DataConfig("cifar10", folder=SHARED), 1)
    assert (splits.shape, len(splits.test)) == ((32, 32, 3), 10_000)
    assert splits.test.images[0, 0, 0].tolist() == [158, 112, 49] and splits.test.labels[:4].tolist() == [3, 8, 8, 0]


@pytest.mark.parametrize("name", [PART_A, "cifar-10-python.tar.gz"])
def test_a_truncated_archive(tmp_path: Path, name: str):
    tar(tmp_path / name, part("test_batch", "data_batch_1"), "w:gz" if name.endswith("gz") else "w:xz")
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-60])
    with pytest.raises(DataError, match="is truncated or not an archive"):
        load_data(cifar(tmp_path), 1)
    assert list((tmp_path / "cache" / "codesign").iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tar(tmp_path / PART_A, part("test_batch", "data_batch_1"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / PART_A))
    with pytest.raises(DataError, match=r"cannot be written(.|\n)*set XDG_CACHE_HOME"):
        load_data(cifar(tmp_path), 1)


def test_a_missing_test_batch(tmp_path: Path):
    tar(tmp_path / PART_A, part("data_batch_1"))
    with pytest.raises(DataError, match="test_batch is missing"):
        load_data(cifar(tmp_path), 1)


# --- SVHN ---------------------------------------------------------------------------------------------------------


def test_svhn_label_10_is_the_digit_0(tmp_path: Path):
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy")
    X = np.random.default_rng(1).integers(0, 256, (32, 32, 3, 40), np.uint8)
    y = (np.arange(40, dtype=np.uint8) % 10 + 1)[:, None]
    for name in ("train", "test"):
        scipy_io.savemat(tmp_path / f"{name}_32x32.mat", {"X": X, "y": y})
    splits = load_data(DataConfig("svhn", folder=str(tmp_path), validation=5, calibration=5), 1)
    assert splits.test.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert np.array_equal(splits.test.images[4], X[..., 4])
    scipy_io.savemat(tmp_path / "train_32x32.mat", {"X": X.astype(float), "y": y})
    with pytest.raises(DataError, match="has no `X` of bytes"):
        load_data(DataConfig("svhn", folder=str(tmp_path)), 1)
    (tmp_path / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(DataError, match="is truncated or not a MATLAB 5 file"):
        load_data(DataConfig("svhn", folder=str(tmp_path)), 1)


def test_svhn_without_scipy_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    for name in ("train", "test"):
        (tmp_path / f"{name}_32x32.mat").touch()
    with pytest.raises(DataError, match=r"need scipy(.|\n)*pip install scipy"):
        load_data(DataConfig("svhn", folder=str(tmp_path)), 1)
