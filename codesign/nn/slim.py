"""Slimmable networks: one set of weights, several widths, each of them an ordinary network with exits.

Every matrix and kernel is shared: a narrower network uses its first outputs and inputs. Every tensor with one axis (biases,
batch norms and their statistics) belongs to one width, because a requantizer holds it in hardware and that costs no weights.

When `causal`, old channels never read new ones, so a wider network computes the narrower one's activations again, bit for
bit. Then one batch norm and one bias serve all widths, and only what makes logits belongs to a width.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from codesign.config import SlimConfig
from codesign.errors import ModelError
from codesign.nn.exits import check_model, exits_of
from codesign.nn.slim_axes import Cut, cuts_of
from codesign.nn.trace import trace

Index = tuple[slice, ...]


@dataclass(slots=True)
class View:
    """One width as an ordinary network. `shared` pairs each of its sliced parameters with the whole one."""

    width: float
    net: nn.Module
    shared: list[tuple[nn.Parameter, nn.Parameter, Index]] = field(
        default_factory=list[tuple[nn.Parameter, nn.Parameter, Index]]
    )

    def collect_gradients(self) -> None:
        """Adds the slices' gradients to the whole ones', which must be there, and forgets them."""
        for part, whole, index in self.shared:
            assert whole.grad is not None
            if part.grad is not None:
                whole.grad[index] += part.grad
                part.grad = None


class Slimmable(nn.Module):
    """`model` at several widths; `at(width)` is an ordinary network over the same weights.

    Raises ModelError for a network that cannot be slimmed, and for widths that are the same after rounding to `step`.
    """

    def __init__(self, model: nn.Module, input_shape: tuple[int, int, int], config: SlimConfig) -> None:
        super().__init__()
        self.widest, self.config, self.widths = model, config, config.widths
        self.input_shape, self.causal = input_shape, config.recipe == "causal"
        self.cuts = cuts_of(trace(model, input_shape), config.step, causal=self.causal)
        _check_widths(self)
        self.norms, self.biases = nn.ModuleList(), nn.ModuleList()
        for width in self.widths[:-1]:
            own = [cut for cut in self.cuts if self.owns(cut)]
            self.norms.append(nn.ModuleDict({_key(c): self._own_norm(c, width) for c in own if c.norm}))
            biases = {_key(c): self._own_bias(c, width) for c in own if not c.norm and self._module(c).bias is not None}
            self.biases.append(nn.ParameterDict(biases))
        if self.causal:
            for index, mask in enumerate(self._masks()):
                self.register_buffer(f"mask{index}", mask, persistent=False)
            self.mask_weights()
        for width in self.widths:
            check_model(self.at(width), input_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.widest(x)

    @property
    def exit_names(self) -> tuple[str, ...]:
        return exits_of(self.widest)

    def owns(self, cut: Cut) -> bool:
        """Whether a module's biases and statistics belong to one width."""
        return cut.logits or not self.causal

    def at(self, width: float) -> nn.Module:
        """The network of one of the widths: ordinary layers whose parameters are slices of the shared ones.

        It sees every later change of the weights, but not a move to another device.
        """
        return self.view(width).net

    def view(self, width: float) -> View:
        if width not in self.widths:
            raise ModelError(f"no network of width {width:g}", hint=f"use one of {', '.join(map(str, self.widths))}")
        if width == self.widths[-1]:
            return View(width, self.widest)
        net = copy.deepcopy(self.widest)
        view = View(width, net)
        for cut in self.cuts:
            if cut.norm:
                self._put_norm(view, cut)
            else:
                self._put_weights(view, cut)
        return view

    def views(self) -> tuple[View, ...]:
        """Every width, narrow to wide."""
        return tuple(self.view(width) for width in self.widths)

    def alone(self, width: float, seed: int) -> nn.Module:
        """A network of the same shape as `at(width)` with weights of its own, drawn from `seed`."""
        net = copy.deepcopy(self.at(width))
        for cut in self.cuts:
            if cut.norm:
                _submodule(net, cut).momentum = self._module(cut).momentum
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for module in net.modules():
                reset: Any = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()
        return net

    def shared(self) -> Iterator[tuple[Cut, nn.Parameter]]:
        """The weights that all widths share."""
        for cut in self.cuts:
            if not cut.norm:
                yield cut, self._module(cut).weight

    def mask_weights(self) -> None:
        """Causal networks: sets what would let an old channel read a new one to zero."""
        with torch.no_grad():
            for weight, mask in self._masked():
                weight.mul_(mask)

    def mask_gradients(self) -> None:
        """Causal networks: keeps those weights at zero."""
        for weight, mask in self._masked():
            if weight.grad is not None:
                weight.grad.mul_(mask)

    def _masked(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        if self.causal:
            for index, (_, weight) in enumerate(self.shared()):
                yield weight, getattr(self, f"mask{index}")

    def _masks(self) -> Iterator[Tensor]:
        """For all shared weights 1 where an output may read an input: the inputs of the first width that has the output."""
        for cut, weight in self.shared():
            mask = torch.ones_like(weight)
            if cut.inputs is not None and cut.inputs.slim and cut.outputs.slim:
                mask.zero_()
                for width in reversed(self.widths):
                    rows, columns = cut.index(width, self.config.step)
                    mask[rows] = 0
                    mask[rows, columns] = 1
            yield mask

    def _module(self, cut: Cut) -> Any:
        return self.widest.get_submodule(cut.path)

    def _own_norm(self, cut: Cut, width: float) -> nn.Module:
        """A batch norm of the width's own, as new."""
        whole = self._module(cut)
        count = len(range(whole.num_features)[cut.outputs.cut(width, self.config.step)])
        return type(whole)(count, whole.eps, whole.momentum, whole.affine)

    def _own_bias(self, cut: Cut, width: float) -> nn.Parameter:
        return nn.Parameter(self._module(cut).bias.detach()[cut.outputs.cut(width, self.config.step)].clone())

    def _put_norm(self, view: View, cut: Cut) -> None:
        if self.owns(cut):
            own = self.norms[self.widths.index(view.width)]
            assert isinstance(own, nn.ModuleDict)
            parent, _, name = cut.path.rpartition(".")
            setattr(view.net.get_submodule(parent), name, own[_key(cut)])
            return
        whole, part = self._module(cut), _submodule(view.net, cut)
        index = cut.index(view.width, self.config.step)
        part.num_features = len(range(whole.num_features)[index[0]])
        part.momentum = 0.0  # the widest network sees the same values of these channels, and keeps the statistics
        for name in ("running_mean", "running_var"):
            setattr(part, name, getattr(whole, name)[index])
        for name in ("weight", "bias") if whole.affine else ():
            _share(view, part, whole, name, index)

    def _put_weights(self, view: View, cut: Cut) -> None:
        whole, part = self._module(cut), _submodule(view.net, cut)
        index = cut.index(view.width, self.config.step)
        _share(view, part, whole, "weight", index)
        outputs = part.weight.shape[0]
        if isinstance(part, nn.Linear):
            part.out_features, part.in_features = part.weight.shape
        else:
            part.out_channels = outputs
            part.in_channels = outputs if cut.inputs is None else part.weight.shape[1]
            part.groups = outputs if cut.inputs is None else 1
        if whole.bias is not None and self.owns(cut):
            own: Any = self.biases[self.widths.index(view.width)]
            part.bias = own[_key(cut)]
        elif whole.bias is not None:
            _share(view, part, whole, "bias", index[:1])


def _share(view: View, part: Any, whole: Any, name: str, index: Index) -> None:
    """Makes a parameter of `part` a slice of that of `whole`."""
    base: nn.Parameter = getattr(whole, name)
    setattr(part, name, nn.Parameter(base.detach()[index], requires_grad=base.requires_grad))
    view.shared.append((getattr(part, name), base, index))


def _submodule(net: nn.Module, cut: Cut) -> Any:
    return net.get_submodule(cut.path)


def _key(cut: Cut) -> str:
    return cut.path.replace(".", "/")  # torch's names hold no dots


def _check_widths(model: Slimmable) -> None:
    step = model.config.step
    sizes = [[cut.outputs.kept(width, step) for cut in model.cuts] for width in model.widths]
    for index, (narrow, wide) in enumerate(itertools.pairwise(sizes)):
        if narrow == wide:
            raise ModelError(
                f"widths {model.widths[index]:g} and {model.widths[index + 1]:g} give the same channels in steps of {step}",
                where="slim.widths",
                hint="use widths farther apart, a smaller slim.step, or a network with more channels",
            )
