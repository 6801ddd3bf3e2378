"""The steps from a config to a checked design, over one run folder: train, quantize, hls, csim, evaluate.

    experiment = open_experiment("configs/default.toml")
    report = csim(experiment)  # runs whatever is missing before it

Each step does what an earlier one has left undone, skips what is up to date, and leaves files that are whole or absent.
A step is imported when it is first used, so that `codesign estimate` does not wait for the others.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.flow.bench import bench
    from codesign.flow.csim import csim
    from codesign.flow.dispatch import open_cascade
    from codesign.flow.evaluate import evaluate
    from codesign.flow.experiment import Experiment, open_experiment
    from codesign.flow.hls import hls
    from codesign.flow.quantize import quantize
    from codesign.flow.train import train
    from codesign.flow.tune import tune

__all__ = [
    "Experiment",
    "bench",
    "csim",
    "evaluate",
    "hls",
    "open_cascade",
    "open_experiment",
    "quantize",
    "train",
    "tune",
]

_HOMES = {"Experiment": "experiment", "open_cascade": "dispatch", "open_experiment": "experiment"}


class _Flow(ModuleType):
    """Most steps have the name of their module: the package's attribute is the step, however the module came in."""

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{self.__name__}.{_HOMES.get(name, name)}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        step = name in __all__ and isinstance(value, ModuleType)
        super().__setattr__(name, getattr(value, name) if step else value)


sys.modules[__name__].__class__ = _Flow
