"""Networks with exits: the marker of an exit, the base class, and the check that a module keeps the rules.

A network with exits returns one tuple of logits, from the earliest exit to the final one. Any module may do so; the
documented way is to subclass `MultiExit`, or to chain stages with `Cascade`. The exits' order is the order in which
the `Exit` modules are defined, and `check_model` makes sure that `forward` returns them in that order.
"""

# Legend: N frames; C, H, W channels, rows, columns.

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from codesign.errors import ModelError

FINAL = "final"


class Exit(nn.Module):
    """Marks the logits that `head` computes as an exit of the network; computes nothing of its own."""

    def __init__(self, head: nn.Module, name: str = "") -> None:
        super().__init__()
        self.head = head
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)

    def extra_repr(self) -> str:
        return f"name={self.name!r}" if self.name else ""


class MultiExit(nn.Module):
    """Base of networks with exits: `forward` returns the logits of every exit, early to final.

    class Tiny(MultiExit):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
            self.exit1 = Exit(nn.Sequential(nn.Flatten(), nn.Linear(4 * 26 * 26, 10)))
            self.rest = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.final = Exit(nn.Linear(8, 10))

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            x = self.stem(x)
            return self.exit1(x), self.final(self.rest(x))

    `forward` must be plain: torch.fx traces it, so no branch may depend on the data.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError(f"{type(self).__name__}.forward must return a tuple of logits, one per exit")

    @property
    def exit_names(self) -> tuple[str, ...]:
        return exits_of(self)


class Cascade(MultiExit):
    """Stages in a row with an exit after each: `stage1, exit1, stage2, exit2, ..., final`, under those names."""

    def __init__(self, stages: Sequence[nn.Module], heads: Sequence[nn.Module]) -> None:
        super().__init__()
        if not stages or len(stages) != len(heads):
            raise ModelError(f"{len(stages)} stages need as many heads, not {len(heads)}", where=type(self).__name__)
        names = default_names(len(heads))
        self._chain = tuple((f"stage{k}", name) for k, name in enumerate(names, 1))
        for (stage_name, exit_name), stage, head in zip(self._chain, stages, heads, strict=True):
            self.add_module(stage_name, stage)
            self.add_module(exit_name, Exit(head))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        logits: list[Tensor] = []
        for stage_name, exit_name in self._chain:
            x = getattr(self, stage_name)(x)
            logits.append(getattr(self, exit_name)(x))
        return tuple(logits)


def default_names(exits: int) -> tuple[str, ...]:
    """`exit1`, `exit2`, ..., and `final` for the last."""
    return (*(f"exit{k}" for k in range(1, exits)), FINAL)


def exits_of(model: nn.Module) -> tuple[str, ...]:
    """The names of the model's exits in the order of definition; an exit without a name gets its default name.

    Raises ModelError for a model without exits, a name used twice, or one that is not an identifier.
    """
    where = type(model).__name__
    exits = _exit_modules(model)
    if not exits:
        raise ModelError(
            "the model has no exit",
            where=where,
            hint="wrap the module that computes logits in codesign.nn.exits.Exit, the final one too",
        )
    names = tuple(e.name or default for e, default in zip(exits, default_names(len(exits)), strict=True))
    for name in names:
        if not name.isidentifier():
            raise ModelError(
                f"exit name {name!r} is not an identifier", where=where, hint="use letters, digits and underscores"
            )
        if names.count(name) > 1:
            raise ModelError(f"two exits are named {name!r}", where=where, hint="give every Exit a name of its own")
    return names


def check_model(model: nn.Module, input_shape: tuple[int, int, int], classes: int = 0) -> tuple[str, ...]:
    """The exits' names, once a run on two blank frames of `input_shape` (H, W, C) shows the model keeps the rules.

    The rules: `forward` returns a tuple with one (N, classes) float tensor per exit, each the output of the `Exit`
    at its place. `classes` 0 accepts any count that all exits share. Raises ModelError for a model that breaks one.
    """
    names = exits_of(model)
    where = type(model).__name__
    seen, result = _run_blank(model, input_shape)
    if not isinstance(result, tuple):
        raise ModelError(
            f"forward returns a {type(result).__name__}, not a tuple of logits",
            where=where,
            hint="return (exit1_logits, ..., final_logits), or (logits,) for a single exit",
        )
    outputs = cast(tuple[object, ...], result)
    if len(outputs) != len(names):
        raise ModelError(
            f"forward returns {len(outputs)} outputs but the model defines {len(names)} exits: {', '.join(names)}",
            where=where,
            hint="return the output of every Exit once, early to final",
        )
    for index, (name, logits) in enumerate(zip(names, outputs, strict=True)):
        _check_logits(f"{where}.{name}", logits, classes or _width(outputs[-1]))
        if seen[index] is not logits:
            raise ModelError(
                f"output {index} of forward is not what exit {name!r} computed",
                where=where,
                hint="define the Exit modules in the order in which forward returns them, and return them unchanged",
            )
    return names


def _exit_modules(model: nn.Module) -> list[Exit]:
    return [module for module in model.modules() if isinstance(module, Exit)]


def _run_blank(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[list[Tensor | None], object]:
    """What every exit computed for two blank frames, and what `forward` returned; leaves the model as it was."""
    H, W, C = input_shape
    exits: list[nn.Module] = [*_exit_modules(model)]
    seen: list[Tensor | None] = [None] * len(exits)

    def remember(module: nn.Module, _args: object, output: Tensor) -> None:
        seen[exits.index(module)] = output

    hooks = [module.register_forward_hook(remember) for module in exits]
    training = {module: module.training for module in model.modules()}
    parameter = next(model.parameters(), torch.zeros(0))
    try:
        model.eval()
        with torch.no_grad():
            return seen, model(torch.zeros(2, C, H, W, device=parameter.device))
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise ModelError(
            f"forward fails on frames of {H}x{W}x{C}: {error}",
            where=type(model).__name__,
            hint="check the layers' sizes against the data set's frames",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in training.items():
            module.training = mode


def _check_logits(where: str, logits: object, classes: int) -> None:
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise ModelError(f"an exit must return a float tensor, not {type(logits).__name__}", where=where)
    if tuple(logits.shape) != (2, classes):
        raise ModelError(
            f"logits of 2 frames have shape {tuple(logits.shape)}, not (2, {classes})",
            where=where,
            hint=f"end the head in nn.Flatten() and nn.Linear(..., {classes})",
        )


def _width(logits: object) -> int:
    return int(logits.shape[-1]) if isinstance(logits, Tensor) and logits.ndim else 0
