"""The steps from a config to a checked design, over one run folder: train, quantize, hls, csim, evaluate.

    experiment = open_experiment("configs/default.toml")
    report = csim(experiment)  # runs whatever is missing before it

Each step does what an earlier one has left undone, skips what is up to date, and leaves files that are whole or absent.
"""

from codesign.flow.bench import bench
from codesign.flow.csim import csim
from codesign.flow.dispatch import open_cascade
from codesign.flow.evaluate import evaluate
from codesign.flow.experiment import Experiment, open_experiment
from codesign.flow.hls import hls
from codesign.flow.quantize import quantize
from codesign.flow.train import train
from codesign.flow.tune import tune

__all__ = ["Experiment", "bench", "csim", "evaluate", "hls", "open_cascade", "open_experiment", "quantize", "train", "tune"]
