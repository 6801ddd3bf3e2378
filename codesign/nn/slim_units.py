"""Integer steps of a slimmable network: one grid of weights for all widths, what differs in the requantizer.

An ordinary unit folds batch norm into its weights, but every width has batch norms of its own. Here the weights stay as they
are, with a scale per output that all widths share, and a width's batch norm is in its multipliers:

    multiplier[c] * 2**-shift = weight_scale[c] * norm_gain[c] * x_scale / y_scale

A multiplier is as negative as the batch norm's gain.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codesign.ir.types import IntType
from codesign.nn.fuse import Step
from codesign.nn.layers import Shape
from codesign.nn.units import Unit, unfolded


class SharedUnit(Unit):
    """A unit whose weights every width uses: `weight_grid` is their scale, `gain` that of the width's batch norms."""

    weight_grid: Tensor

    def __init__(self, step: Step, model: nn.Module, x: Shape, y: Shape, weight_bits: int, y_dtype: IntType) -> None:
        super().__init__(step, model, x, y, weight_bits, y_dtype)
        self.register_buffer("weight_grid", torch.ones(y[0], dtype=torch.float64))
        if self.weight is not None:
            weight, _, gain = unfolded(step, model, y[0])
            assert weight is not None
            self.weight = nn.Parameter(weight.float())
            self.gain = gain

    @property
    def weight_scale(self) -> Tensor:
        return self.weight_grid
