"""A network and data of one's own, from training to a bit-exact C simulation: `python examples/own_model.py [FOLDER]`."""

import sys
from pathlib import Path

import numpy as np
from torch import nn

from codesign import config, flow
from codesign.nn.exits import Exit, MultiExit


class OwnNet(MultiExit):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.exit1 = Exit(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)))
        self.rest = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.final = Exit(nn.Linear(16, classes))

    def forward(self, x):
        x = self.stem(x)
        x = nn.functional.relu(x + self.block(x))
        return self.exit1(x), self.final(self.rest(x))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own_model")
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(1400) % 7  # seven colours, 20 x 14 pixels, in noise
    colours = 40 + 120 * (labels[:, None, None, None] + 1 >> np.arange(3) & 1)
    images = colours + np.random.default_rng(0).integers(0, 90, (1400, 20, 14, 3))
    np.savez(folder / "data.npz", x=images.astype(np.uint8), y=labels)
    data = config.DataConfig("npz", path=str(folder / "data.npz"), validation=140, calibration=140, test=280)
    train, model = config.TrainConfig(epochs=4, lr=0.01), config.ModelConfig("own_model:OwnNet")
    experiment = flow.open_experiment(config.Config("own_model", 1, data, model, train), folder / "run", say=print)
    print(report := flow.csim(experiment))  # trains, quantizes and emits first
    sys.exit(report.mismatched_codes > 0)
