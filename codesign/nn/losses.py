"""The loss of a network with exits, and the learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from codesign.config import TrainConfig
from codesign.errors import ConfigError

DISTILL_TEMPERATURE = 3.0
WARM_UP = 0.25  # share of a onecycle run in which the learning rate rises
START = 1 / 25  # of the peak learning rate, where onecycle starts


def exits_loss(exits: Sequence[Tensor], labels: Tensor, config: TrainConfig) -> Tensor:
    """`sum_n weight_n * (CE(logits_n, labels) + distill * T^2 * KL(final / T, logits_n / T))`, averaged over frames.

    `weight_n` is `config.exit_weights`, by default 1. The second term pulls every exit but the final one towards
    the final exit's softened probabilities, through which no gradient flows; T is 3.
    """
    weights = exit_weights(config, len(exits))
    terms = [
        weight * F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        for weight, logits in zip(weights, exits, strict=True)
    ]
    if config.distill and len(exits) > 1:
        target = F.softmax(exits[-1].detach() / DISTILL_TEMPERATURE, dim=1)
        scale = config.distill * DISTILL_TEMPERATURE**2
        for weight, logits in zip(weights[:-1], exits[:-1], strict=True):
            soft = F.log_softmax(logits / DISTILL_TEMPERATURE, dim=1)
            terms.append(weight * scale * F.kl_div(soft, target, reduction="batchmean"))
    return sum(terms[1:], terms[0])


def exit_weights(config: TrainConfig, exits: int) -> tuple[float, ...]:
    """One weight per exit; raises ConfigError when the config gives another number of them."""
    if config.exit_weights and len(config.exit_weights) != exits:
        raise ConfigError(
            f"{len(config.exit_weights)} weights for {exits} exits",
            where="train.exit_weights",
            hint="give one per exit, early to final, or none",
        )
    return config.exit_weights or (1.0,) * exits


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The learning rate of one of `steps` optimizer steps; a function of nothing else, so a resumed run agrees.

    `cosine` falls from `config.lr` to 0; `onecycle` first rises to it from a 25th over a quarter of the run.
    """
    done = step / max(steps, 1)
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "onecycle" and done < WARM_UP:
        return config.lr * (START + (1 - START) * _half_wave(1 - done / WARM_UP))
    if config.schedule == "onecycle":
        done = (done - WARM_UP) / (1 - WARM_UP)
    return config.lr * _half_wave(done)


def _half_wave(t: float) -> float:
    """From 1 at t = 0 down to 0 at t = 1, along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * t))
