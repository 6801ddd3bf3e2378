"""`load_data`: a configured data set, cut into its four splits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from codesign.config import DataConfig
from codesign.errors import DataError
from codesign.nn.data.cifar import load_cifar10
from codesign.nn.data.frames import Source, Splits, stratified_order
from codesign.nn.data.idx import load_fashion_mnist, load_mnist
from codesign.nn.data.subset import load_mnist_subset
from codesign.nn.data.svhn import load_svhn
from codesign.nn.data.user import load_npz, load_python

FOLDER_LOADERS: Mapping[str, Callable[[Path | None], Source]] = {
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "cifar10": load_cifar10,
    "svhn": load_svhn,
}
DEFAULT_TEST = {"mnist-subset": 1000}  # of sets that have no test split of their own
TEST_SEED = 0  # the test split never depends on the experiment's seed, so no seed ever trains on another's test frames


def load_data(config: DataConfig, seed: int) -> Splits:
    """The splits of the configured data set; the same config and seed give the same frames.

    Calibration and validation frames come out of the train set, stratified by class and drawn by `seed`. The test
    split is the official one; for a set without one it is `config.test` frames (`mnist-subset`: 1,000 unless given),
    stratified too, and the same for every seed. Raises DataError for files that are missing or damaged and for
    splits that the set cannot fill.
    """
    for name in ("validation", "calibration", "test", "limit"):
        if getattr(config, name) < 0:
            raise DataError("cannot be negative", where=f"data.{name}", hint="0 takes the default")
    return _split(_source(config), config, seed)


def _source(config: DataConfig) -> Source:
    if config.dataset == "mnist-subset":
        return load_mnist_subset()
    if config.dataset == "npz":
        return load_npz(config.path)
    if config.dataset == "python":
        return load_python(config.path)
    folder = config.folder or os.environ.get("CODESIGN_DATA", "")
    return FOLDER_LOADERS[config.dataset](Path(folder).expanduser() if folder else None)


def _split(source: Source, config: DataConfig, seed: int) -> Splits:
    train, test = source.train, source.test
    if test is None:
        count = config.test or DEFAULT_TEST.get(config.dataset, 0)
        if not count:
            raise DataError(
                "the set has no test split", where=source.name, hint="set data.test to the frames to keep for testing"
            )
        _check_room(source.name, len(train), test=count)
        order = stratified_order(train.labels, TEST_SEED)
        test, train = train.take(order[:count]), train.take(order[count:])
    first, second = config.validation, config.validation + config.calibration
    _check_room(source.name, len(train), validation=config.validation, calibration=config.calibration)
    order = stratified_order(train.labels, seed)
    last = second + config.limit if config.limit else len(order)
    return Splits(
        train=train.take(order[second:last]),
        validation=train.take(order[:first]),
        calibration=train.take(order[first:second]),
        test=test,
        classes=source.classes,
        name=source.name,
        note=source.note,
    )


def _check_room(name: str, frames: int, **parts: int) -> None:
    if sum(parts.values()) >= frames:
        wanted = " + ".join(f"{count} {part}" for part, count in parts.items())
        raise DataError(
            f"{wanted} frames leave nothing to train on: there are {frames}", where=name, hint="ask for smaller parts"
        )
