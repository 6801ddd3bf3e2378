"""The rules that a network with exits keeps, and what is said when one is broken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from codesign.errors import ModelError
from codesign.nn.exits import Cascade, Exit, MultiExit, check_model, default_names, exits_of

torch.set_num_threads(1)

SHAPE = (6, 6, 1)


class TwoExits(MultiExit):
    def __init__(self, names: tuple[str, str] = ("", ""), classes: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3)
        self.first = Exit(nn.Sequential(nn.Flatten(), nn.Linear(32, classes[0])), names[0])
        self.last = Exit(nn.Sequential(nn.Flatten(), nn.Linear(32, classes[1])), names[1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        return self.first(x), self.last(x)


def test_names_default_to_their_place_and_the_last_is_final():
    assert default_names(1) == ("final",)
    assert default_names(3) == ("exit1", "exit2", "final")
    assert exits_of(TwoExits()) == TwoExits().exit_names == ("exit1", "final")
    assert exits_of(TwoExits(("quick", ""))) == ("quick", "final")


def test_exit_computes_nothing_of_its_own():
    inner, x = nn.Linear(4, 3), torch.randn(2, 4)
    assert torch.equal(Exit(inner)(x), inner(x))


def test_cascade_runs_each_stage_on_the_one_before():
    stages = [nn.Linear(4, 4), nn.Linear(4, 5)]
    heads = [nn.Linear(4, 3), nn.Linear(5, 3)]
    model, x = Cascade(stages, heads), torch.randn(2, 4)
    first, last = model(x)
    assert torch.equal(first, heads[0](stages[0](x)))
    assert torch.equal(last, heads[1](stages[1](stages[0](x))))
    assert [name for name, _ in model.named_children()] == ["stage1", "exit1", "stage2", "final"]


def test_cascade_needs_a_head_per_stage():
    with pytest.raises(ModelError, match="2 stages need as many heads, not 1"):
        Cascade([nn.Identity(), nn.Identity()], [nn.Identity()])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Linear(2, 2), "the model has no exit"),
        (TwoExits(("a", "a")), "two exits are named 'a'"),
        (TwoExits(("final", "")), "two exits are named 'final'"),
        (TwoExits(("exit 1", "")), "exit name 'exit 1' is not an identifier"),
    ],
)
def test_names_that_cannot_be_used(model: nn.Module, words: str):
    with pytest.raises(ModelError, match=words):
        exits_of(model)


def test_check_returns_the_names_and_leaves_the_model_as_it_was():
    model = TwoExits()
    model.stem.eval()
    assert check_model(model, SHAPE, 3) == check_model(model, SHAPE) == ("exit1", "final")
    assert model.training
    assert not model.stem.training
    assert not model.first._forward_hooks


class Returns(TwoExits):
    """Two exits whose forward returns what `change` makes of their logits."""

    def __init__(self, change, **options) -> None:
        super().__init__(**options)
        self.change = change

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.change(*super().forward(x))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Returns(lambda a, b: b), "returns a Tensor, not a tuple"),
        (Returns(lambda a, b: [a, b]), "returns a list, not a tuple"),
        (Returns(lambda a, b: (a,)), "returns 1 outputs but the model defines 2 exits: exit1, final"),
        (Returns(lambda a, b: (b, a)), "output 0 of forward is not what exit 'exit1' computed"),
        (Returns(lambda a, b: (a.softmax(1), b)), "output 0 of forward is not what exit 'exit1' computed"),
        (Returns(lambda a, b: (a, b.argmax(1))), "must return a float tensor"),
        (TwoExits(classes=(4, 4)), r"shape \(2, 4\), not \(2, 3\)"),
        (TwoExits(classes=(4, 3)), r"exit1: logits of 2 frames have shape \(2, 4\)"),
        (MultiExit(), "the model has no exit"),
    ],
)
def test_a_forward_that_breaks_the_rules(model: nn.Module, words: str):
    with pytest.raises(ModelError, match=words):
        check_model(model, SHAPE, 3)


def test_frames_of_the_wrong_size_are_named():
    with pytest.raises(ModelError, match="forward fails on frames of 9x9x1"):
        check_model(TwoExits(), (9, 9, 1), 3)
