"""What a network answers: logits of every exit for frames of 8-bit pixels, and the share that is right."""

# Legend: N frames.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from codesign.nn.data.frames import Frames, to_tensor

BATCH = 500  # frames; larger ones fall out of the CPU's caches


def logits(model: nn.Module, images: NDArray[np.uint8], batch: int = BATCH) -> list[NDArray[np.float32]]:
    """The float32 logits (N, classes) of every exit, early to final, for uint8 images (N, H, W, C).

    The model runs in evaluation mode on the device where its weights are, and is left in the mode it was in.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            starts = range(0, max(len(images), 1), batch)
            parts: list[tuple[torch.Tensor, ...]] = [model(to_tensor(images[i : i + batch]).to(device)) for i in starts]
    finally:
        for module, training in modes:
            module.training = training
    return [torch.cat(exit_parts).float().cpu().numpy() for exit_parts in zip(*parts, strict=True)]


def accuracy(logits_of_exits: Sequence[NDArray[np.float32]], labels: NDArray[np.int64]) -> list[float]:
    """The share of frames, 0..1, that each exit classifies as labelled; 0 for no frames."""
    right = [int(np.count_nonzero(exit_logits.argmax(1) == labels)) for exit_logits in logits_of_exits]
    return [count / max(len(labels), 1) for count in right]


def accuracy_of(model: nn.Module, frames: Frames, names: Sequence[str]) -> dict[str, float]:
    """The accuracy of every exit on `frames`, by the exits' names."""
    return dict(zip(names, accuracy(logits(model, frames.images), frames.labels), strict=True))
