"""Weights as safetensors files: written whole, and read with every way a file can be wrong named.

There is no pickle here and no `torch.load`: reading a stranger's weights cannot run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from codesign.errors import ModelError
from codesign.files import write_atomic

HINT = "delete it and train again, or name the .safetensors file of this network"


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes every parameter and buffer of the model, whole or not at all."""
    write_tensors(state_of(model), path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Fills the model from a file that `save_weights` wrote.

    Raises ModelError, leaving the model as it was, for a file that is missing, truncated or not safetensors, names
    that are missing or left over, a shape or kind of number that differs, and weights that are NaN or infinite.
    """
    tensors, _ = read_tensors(path)
    check_tensors(tensors, model.state_dict(), str(path))
    model.load_state_dict(tensors)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's parameters and buffers on the CPU, which later training leaves alone."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file, whole or not at all."""
    write_atomic(path, safetensors.torch.save(dict(tensors), dict(metadata) if metadata else None))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata in a safetensors file; raises ModelError when it is missing or damaged."""
    if not path.is_file():
        raise ModelError("no such file", where=str(path), hint="train first: this step needs its weights")
    try:
        opened: Any = safe_open(path, framework="pt")
        with opened as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"is truncated or not a safetensors file: {error}", where=str(path), hint=HINT) from error


def check_tensors(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    """Raises ModelError unless `tensors` has the names, shapes and kinds of `wanted` and finite values."""
    missing = [name for name in wanted if name not in tensors]
    extra = [name for name in tensors if name not in wanted]
    if missing or extra:
        parts = [f"misses {_some(missing)}"] * bool(missing) + [f"has the unknown {_some(extra)}"] * bool(extra)
        raise ModelError(
            f"{' and '.join(parts)}: these are the weights of another network",
            where=where,
            hint="use the model name and options that it was trained with, or `codesign train --force`",
        )
    for name, value in tensors.items():
        expected = wanted[name]
        if value.shape != expected.shape:
            raise ModelError(
                f"{name} has shape {tuple(value.shape)}, not {tuple(expected.shape)}",
                where=where,
                hint="use the model name and options that it was trained with",
            )
        if value.is_floating_point() != expected.is_floating_point():
            raise ModelError(f"{name} is {value.dtype}, not {expected.dtype}", where=where, hint=HINT)
        if not torch.isfinite(value).all():
            raise ModelError(
                f"{name} holds NaN or infinity", where=where, hint="train again with a lower learning rate"
            )


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
