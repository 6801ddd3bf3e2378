"""The train step: weights.safetensors, and how good they are in floating point."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from codesign.flow.experiment import Experiment
from codesign.flow.records import is_fresh, key_of, read_records, record

SAME_RESULT = ("threads", "device")  # keys of [train] that say where to compute, not what


def train(experiment: Experiment, *, force: bool = False) -> dict[str, Any]:
    """Trains the network unless the run folder has its weights, and returns section `train` of the metrics.

    A run that was killed goes on where it was.
    """
    folder, config = experiment.folder, experiment.config
    key = train_key(experiment)
    with experiment.locked():
        if force:
            folder.checkpoint.unlink(missing_ok=True)
        elif is_fresh(folder, "train", key, [folder.weights]):
            experiment.say(f"train: up to date, {folder.weights}")
            return folder.read_metrics().get("train", {})
        from codesign.nn.train import train as train_network

        code = _own_code(experiment)
        splits = experiment.splits
        experiment.say(
            f"train: {config.model.name} on {len(splits.train)} frames of {splits.name}, {config.train.epochs} epochs"
        )
        settings = config.train, config.seed, folder, experiment.progress
        if config.slim.widths:
            from codesign.nn.slim_recipes import recipe_of

            metrics = train_network(experiment.fresh_slimmable(), splits, *settings, recipe=recipe_of(config.slim))
        else:
            metrics = train_network(experiment.fresh_model(), splits, *settings)
        record(folder, "train", key, **code)
        for name in ("model", "slimmable"):
            vars(experiment).pop(name, None)
        experiment.say(f"train: test accuracy {_percent(metrics['test'])}, {metrics['seconds']:.0f} s")
        return metrics


def need_weights(experiment: Experiment) -> None:
    """Trains when there are no weights for this config. Weights that codesign did not train are taken as they are."""
    folder = experiment.folder
    given = folder.weights.exists() and not folder.checkpoint.exists() and "train" not in read_records(folder)
    if given:
        experiment.say(f"train: skipped, using the weights given in {folder.weights}")
    elif not is_fresh(folder, "train", train_key(experiment), [folder.weights]):
        train(experiment)


def train_key(experiment: Experiment) -> str:
    """A hash of what the weights depend on."""
    config = experiment.config
    settings = {name: value for name, value in asdict(config.train).items() if name not in SAME_RESULT}
    return key_of("train", **experiment.data_key, **experiment.model_key, train=settings)


def _own_code(experiment: Experiment) -> dict[str, str]:
    """The hash of the user's own network, recorded from the start: an interrupted run goes on only with that code."""
    folder, code = experiment.folder, experiment.model_key.get("code")
    if code is None:
        return {}
    begun = read_records(folder).get("train")
    if begun is not None and begun.get("code") != code:
        folder.checkpoint.unlink(missing_ok=True)
    record(folder, "train", "", code=code)
    return {"code": code}


def _percent(accuracies: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.2f} %" for name, share in accuracies.items())
