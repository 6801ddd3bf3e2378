"""Four ways to train a slimmable network, as recipes of the one training loop.

joint        every width learns the labels in every step; one optimizer step from the sum of the gradients
sandwich     the widest learns the labels; the narrowest and some between learn its answers (in-place distillation)
causal       sandwich for a network in which old channels never read new ones
incremental  the narrowest alone; then width by width, with all that narrower ones use frozen
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from codesign.config import SlimConfig, TrainConfig
from codesign.nn.data.frames import Frames
from codesign.nn.losses import exit_weights, exits_loss
from codesign.nn.predict import accuracy_of
from codesign.nn.slim import Slimmable
from codesign.nn.train import Recipe, score_of


class _Widths(Recipe):
    """What the recipes have in common: a network per width, gradients that add up in the shared weights, and scores."""

    stages = 1

    def __init__(self, model: Slimmable, train: TrainConfig, names: Sequence[str]) -> None:
        self.model, self.train, self.names = model, train, names
        self.slim, self.views = model.config, model.views()
        self.parameters = list(model.parameters())
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)

    def begin(self, epoch: int) -> None:
        self.model.train()
        for view in self.views:
            view.net.train()

    def learn(self, optimizer: Optimizer, x: Tensor, labels: Tensor) -> Tensor:
        for parameter in self.parameters:
            assert parameter.grad is not None
            parameter.grad.zero_()
        loss = self.backward(x, labels)
        for view in self.views:
            view.collect_gradients()
        self.model.mask_gradients()
        optimizer.step()
        return loss

    def backward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Adds the gradients of a batch, and returns its mean loss over the widths that were trained."""
        raise NotImplementedError

    def accuracies(self, frames: Frames) -> dict[str, float]:
        """By `width/exit`."""
        return {
            f"{view.width:g}/{name}": share
            for view in self.views
            for name, share in accuracy_of(view.net, frames, self.names).items()
        }

    def score(self, accuracies: Mapping[str, float]) -> float:
        """The mean of the widths' scores."""
        scores = self.scores(accuracies)
        return sum(scores) / len(scores)

    def scores(self, accuracies: Mapping[str, float]) -> list[float]:
        return [score_of([accuracies[f"{view.width:g}/{name}"] for name in self.names]) for view in self.views]

    def mark(self) -> str:
        return json.dumps(asdict(self.slim))

    def _learn_labels(self, net: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        exits: tuple[Tensor, ...] = net(x)
        loss = exits_loss(exits, labels, self.train)
        loss.backward()
        return loss.detach(), exits


class Joint(_Widths):
    """Every width on every batch."""

    def backward(self, x: Tensor, labels: Tensor) -> Tensor:
        losses = [self._learn_labels(view.net, x, labels)[0] for view in self.views]
        return torch.stack(losses).mean()


class Sandwich(_Widths):
    """The widest, the narrowest and `slim.random` others on every batch; all but the widest learn its final answers."""

    def backward(self, x: Tensor, labels: Tensor) -> Tensor:
        loss, exits = self._learn_labels(self.views[-1].net, x, labels)
        answers = F.softmax(exits[-1].detach(), dim=1)
        losses = [loss]
        for index in (0, *self._others()):
            narrow = self._narrow_loss(self.views[index].net(x), answers, labels)
            narrow.backward()
            losses.append(narrow.detach())
        return torch.stack(losses).mean()

    def _others(self) -> list[int]:
        """Some of the widths between narrowest and widest, each with the same chance."""
        between = max(len(self.views) - 2, 0)
        return [1 + int(index) for index in torch.randperm(between)[: self.slim.random]]

    def _narrow_loss(self, exits: tuple[Tensor, ...], answers: Tensor, labels: Tensor) -> Tensor:
        share = self.slim.distill
        terms = [
            weight * share * F.cross_entropy(logits, answers)
            for weight, logits in zip(exit_weights(self.train, len(exits)), exits, strict=True)
        ]
        if share < 1:
            terms.append((1 - share) * exits_loss(exits, labels, self.train))
        return sum(terms[1:], terms[0])


class Incremental(_Widths):
    """A stage per width. Weights of narrower widths, and weights that no width so far uses, do not change by a bit."""

    def __init__(self, model: Slimmable, train: TrainConfig, names: Sequence[str]) -> None:
        super().__init__(model, train, names)
        self.stages = len(self.views)
        self.stage = 0
        self._kept: list[tuple[nn.Parameter, Tensor, Tensor]] = []

    def begin(self, epoch: int) -> None:
        super().begin(epoch)
        self.stage = epoch // self.train.epochs
        self._kept = [(weight, weight.detach().clone(), mask) for weight, mask in self._new_blocks()]

    def learn(self, optimizer: Optimizer, x: Tensor, labels: Tensor) -> Tensor:
        loss = super().learn(optimizer, x, labels)
        with torch.no_grad():  # weight decay and momentum would move what has no gradient
            for weight, before, new in self._kept:
                weight.copy_(torch.where(new, weight, before))
        return loss

    def backward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self._learn_labels(self.views[self.stage].net, x, labels)[0]

    def score(self, accuracies: Mapping[str, float]) -> float:
        return self.scores(accuracies)[self.stage]

    def _new_blocks(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Every shared weight and where this stage may change it: what its width adds to the one before."""
        widths, step = self.model.widths, self.slim.step
        blocks: list[tuple[nn.Parameter, Tensor]] = []
        for cut, weight in self.model.shared():
            new = torch.zeros_like(weight, dtype=torch.bool)
            new[cut.index(widths[self.stage], step)] = True
            if self.stage:
                new[cut.index(widths[self.stage - 1], step)] = False
            blocks.append((weight, new))
        return blocks


RECIPES = {"joint": Joint, "sandwich": Sandwich, "causal": Sandwich, "incremental": Incremental}


def recipe_of(slim: SlimConfig) -> type[_Widths]:
    """The recipe that a config names, to be given to `train`."""
    return RECIPES[slim.recipe]
