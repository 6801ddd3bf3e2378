"""The quantize step: quantized.safetensors, graph.json, and the logits of every split that later steps decide on."""

# Legend: N frames; C classes; H, W rows and columns.
from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from codesign.errors import DataError
from codesign.files import RunFolder, write_atomic
from codesign.flow.experiment import Experiment
from codesign.flow.records import file_hash, is_fresh, key_of, record
from codesign.flow.train import SAME_RESULT, need_weights

if TYPE_CHECKING:
    from torch import nn

    from codesign.nn.integer_net import QuantizedNet

SAMPLES = 64  # test frames kept in the run folder, for the testbench and for checks without the data set
SPLITS = ("calibration", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the network answers on one split: labels (N,), and logits (N, C) by exit, real and as integer codes."""

    labels_N: npt.NDArray[np.int64]
    float_NC: Mapping[str, npt.NDArray[np.float32]]
    codes_NC: Mapping[str, npt.NDArray[np.int64]]


def quantize(experiment: Experiment, *, force: bool = False) -> dict[str, Any]:
    """Quantizes the trained network unless that is up to date, and returns section `quantize` of the metrics."""
    folder, config = experiment.folder, experiment.config
    need_weights(experiment)
    with experiment.locked():
        key = quantize_key(experiment)
        if not force and is_fresh(folder, "quantize", key, _outputs(experiment)):
            experiment.say(f"quantize: up to date, {folder.graph}")
            return folder.read_metrics().get("quantize", {})
        if config.slim.widths:
            from codesign.flow.slim import quantize_slim

            quantize_slim(experiment)
        else:
            _quantize(experiment)
        record(folder, "quantize", key)
        metrics = folder.read_metrics()["quantize"]
        shares = metrics["quantized"]["test"]
        experiment.say(
            "quantize: test accuracy " + ", ".join(f"{n} {100 * share:.2f} %" for n, share in shares.items())
        )
        return metrics


def need_graph(experiment: Experiment) -> None:
    """Quantizes when there is no graph for this config. One that codesign did not make is taken as it is."""
    folder = experiment.folder
    if folder.graph.exists() and answers_path(folder).exists() and not folder.weights.exists():
        experiment.say(f"quantize: skipped, using the graph given in {folder.graph}")
        return
    need_weights(experiment)
    if not is_fresh(folder, "quantize", quantize_key(experiment), _outputs(experiment)):
        quantize(experiment)


def quantize_key(experiment: Experiment) -> str:
    """A hash of what the integer network and its answers depend on."""
    config = experiment.config
    settings = {name: value for name, value in asdict(config.train).items() if name not in SAME_RESULT}
    weights = file_hash(experiment.folder.weights)
    inputs = {"train": settings, "quantize": config.quantize, "weights": weights}
    return key_of("quantize", **experiment.data_key, **experiment.model_key, **inputs)


def answers_path(folder: RunFolder, width: float | None = None) -> Path:
    """Where the answers of every split are recorded; those of a slimmable network's narrower widths by their width."""
    return folder.path / ("answers.npz" if width is None else f"answers_{width:g}.npz")


def load_answers(folder: RunFolder, split: str, width: float | None = None) -> Answers:
    """The recorded answers on one split; raises DataError for a file that is missing or damaged."""
    arrays = _read(folder, width)
    try:
        real, codes = (
            {k.split("/")[2]: a for k, a in arrays.items() if k.startswith(f"{split}/{kind}/")}
            for kind in ("float", "codes")
        )
        return Answers(arrays[f"{split}/labels"], real, {name: array.astype(np.int64) for name, array in codes.items()})
    except KeyError as error:
        raise DataError(
            f"has no {error}", where=str(answers_path(folder, width)), hint="run `codesign quantize --force`"
        ) from error


def load_samples(folder: RunFolder) -> npt.NDArray[np.uint8]:
    """The first test frames (N, H, W, C)."""
    return _read(folder)["samples"]


def record_answers(experiment: Experiment, model: nn.Module, net: QuantizedNet, width: float | None = None) -> None:
    """Writes what the float network and the integers answer on every split."""
    from codesign.nn.predict import logits

    splits = experiment.splits
    arrays: dict[str, Any] = {"samples": splits.test.images[:SAMPLES]}
    for split in SPLITS:
        frames = getattr(splits, split)
        arrays[f"{split}/labels"] = frames.labels
        pairs = zip(net.exit_names, logits(model, frames.images), net.logits(frames.images), strict=True)
        for name, real, codes in pairs:
            arrays[f"{split}/float/{name}"] = real
            arrays[f"{split}/codes/{name}"] = codes.astype(np.int32)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomic(answers_path(experiment.folder, width), content.getvalue())


def _quantize(experiment: Experiment) -> None:
    from codesign.ir.store import save_graph
    from codesign.nn.export import export
    from codesign.nn.quantize import quantize as quantize_network

    folder, config, splits = experiment.folder, experiment.config, experiment.splits
    model = experiment.model
    experiment.say(
        f"quantize: {config.quantize.weight_bits}-bit weights, {config.quantize.activation_bits}-bit activations, "
        f"{config.quantize.epochs} epochs of fine-tuning"
    )
    net = quantize_network(
        model, splits, config.quantize, config.train, config.seed, folder, progress=experiment.progress
    )
    save_graph(export(net, config.name), folder.graph)
    record_answers(experiment, model, net)


def _outputs(experiment: Experiment) -> list[Path]:
    folder, narrow = experiment.folder, experiment.config.slim.widths[:-1]
    slim = [folder.path / "graphs.json", *(answers_path(folder, width) for width in narrow)] if narrow else []
    return [folder.quantized, folder.graph, answers_path(folder), *slim]


def _read(folder: RunFolder, width: float | None = None) -> dict[str, npt.NDArray[Any]]:
    path = answers_path(folder, width)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), hint="run `codesign quantize --force`") from error
