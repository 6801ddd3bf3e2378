"""A whole experiment small enough for fast tests: three classes of 12x12 frames, trained once per test session."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

CONFIG = """
name = "tiny"
seed = 1
[data]
dataset = "npz"
path = "{path}"
validation = 30
calibration = 60
test = 60
[model]
name = "lenet5"
options = {{ stem_channels = 2, branch_channels = 4 }}
[train]
epochs = 3
batch = 16
lr = 0.02
threads = 1
device = "cpu"
[quantize]
epochs = 1
"""


def write_bars(path: Path, frames: int = 300, size: tuple[int, int] = (12, 12)) -> Path:
    """Frames with a bright bar in their upper, middle or lower third, in noise, as an .npz file."""
    rng = np.random.default_rng(1)
    labels = np.arange(frames) % 3
    images = rng.integers(0, 150, (frames, *size), np.uint8)
    third = size[0] // 3
    for image, label in zip(images, labels, strict=True):
        image[third * label + 1 : third * label + 3, 2:-2] = 190
    np.savez(path, x=images, y=labels)
    return path


def write_config(folder: Path, text: str = CONFIG) -> Path:
    """`tiny.toml` and its data in `folder`."""
    config = folder / "tiny.toml"
    config.write_text(text.format(path=write_bars(folder / "bars.npz")))
    return config


@lru_cache(maxsize=1)
def stored_run() -> Path:
    """A run folder that has been trained, quantized and emitted; copy it before changing anything in it."""
    from codesign.flow import hls, open_experiment

    folder = Path(tempfile.mkdtemp(prefix="codesign-test-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    hls(open_experiment(write_config(folder), folder / "tiny"))
    return folder / "tiny"


def copy_run(to: Path) -> Path:
    return Path(shutil.copytree(stored_run(), to / "tiny"))
