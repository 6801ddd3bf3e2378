"""Run folders that nobody trained: a small network with exits, made-up answers, and the records that steps would leave."""

# Legend: N frames; C classes.
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from graphs import S16, U8, Sketch

from codesign.config import config_from
from codesign.flow.experiment import Experiment, open_experiment
from codesign.flow.tune import TuneOptions, tune
from codesign.ir.graph import ExitPoint, Graph, GraphInput
from codesign.ir.store import save_graph
from codesign.ir.types import TensorType
from codesign.runtime.goals import Goals

CLASSES, FRAMES, CALIBRATION = 5, 400, 300
TAIL_US = 40.0


def network(exits: int) -> Graph:
    """A convolution and an exit, again and again."""
    net = Sketch("made", TensorType((8, 8, 1), U8, 2.0**-8))
    value, points = "image", list[ExitPoint]()
    for number in range(1, exits + 1):
        name = f"exit{number}" if number < exits else "final"
        value = net.conv(f"block{number}", value, 4, 3, pad=1)
        logits = net.dense(f"{name}.dense", net.flatten(f"{name}.flatten", value), CLASSES, S16)
        points.append(ExitPoint(name, logits))
    outputs = tuple(point.logits for point in points)
    return Graph("made", (GraphInput("image", net.image),), tuple(net.nodes), outputs, tuple(points))


def answers(exits: int, seed: int = 1) -> dict[str, Any]:
    """Labels and logits of both splits; later exits know better."""
    rng, arrays = np.random.default_rng(seed), dict[str, Any]()
    for split, frames in (("calibration", CALIBRATION), ("test", FRAMES)):
        labels_N = rng.integers(0, CLASSES, frames)
        arrays[f"{split}/labels"] = labels_N
        for number in range(1, exits + 1):
            name = f"exit{number}" if number < exits else "final"
            logits_NC = rng.normal(0, 12, (frames, CLASSES))
            logits_NC[np.arange(frames), labels_N] += 12 + 12 * number
            arrays[f"{split}/codes/{name}"] = logits_NC.round().astype(np.int32)
    return {**arrays, "samples": rng.integers(0, 256, (8, 8, 8, 1), np.uint8)}


def run(folder: Path, exits: int = 2, name: str = "made", **sections: Any) -> Experiment:
    """A run with a network and its answers, and nothing else."""
    experiment = open_experiment(config_from({"name": name, **sections}), folder)
    save_graph(network(exits), experiment.folder.graph)
    np.savez(folder / "answers.npz", **answers(exits))
    return experiment


def tuned(folder: Path, exits: int = 2) -> Experiment:
    """A run with thresholds of `codesign tune`, the host's time given instead of measured."""
    experiment = run(folder, exits)
    tune(experiment, Goals(max_accuracy_drop=0.05), TuneOptions(tail_us=TAIL_US, tail="numpy"))
    return experiment


def metrics(**changes: Any) -> dict[str, Any]:
    """Sections as every step writes them."""
    simulated = {"frames": 123, "mismatched_codes": 0, "mismatched_frames": 0, "first_difference": None}
    bench = {"frames": 40, "mismatched_beats": 0, "simulator": "Verilator", "passed": True, "seconds": 1.0}
    speed = {"name": "torch eager", "early_exits": False, "batch": 1, "images_per_s": 2000.0, "ratio": 3.5}
    return {
        "evaluate": {"source": "exact integer model"},
        "csim_native": {**simulated, "headers": "native", "source": "C simulation"},
        "csim_vendor": {**simulated, "headers": "vendor", "source": "C simulation"},
        "rtlsim": {
            **simulated, "interval_cycles": 64, "latency_cycles": 99, "estimated_interval_cycles": 64,
            "estimated_latency_cycles": 99, "tool": "Verilator 5", "source": "RTL simulation",
        },
        "cosim": {
            "benches": {"verilator/stalls": bench}, "frames": 40, "mismatched_beats": 0, "simulators": ["Verilator"],
            "source": "RTL simulation with cocotb",
        },
        "synth_xc7": {
            "tool": "Yosys", "lut": 1000, "ff": 900, "dsp": 10, "bram18": 2, "critical_path_ns": 6.5, "units": {},
            "estimate": {"lut": 1100, "ff": 900, "dsp": 10, "bram18": 2}, "source": "synthesized",
        },
        "tail": {"frames": 321, "exit": "final", "different_frames": {"numpy": 0}, "images_per_s": {"numpy": 5e3}, "source": "measured"},
        "bench": {
            "frames": 222, "batch": 64, "workers": 1, "exit_rate": 0.9, "thresholds_from": "config",
            "cascade_images_per_s": 7000.0, "software": [speed], "notes": ["no ONNX"], "model": {"tail_us": 25.0},
            "source": {"software": "measured here"},
        },
        "bitstream_pynq-z2": {
            "clock_mhz": 100.0, "source": "Vivado 2020.1, after routing",
            "estimate": {"design": {"resources": {"lut": {"reported": 5000, "estimated": 5500}}, "source": "budget"}},
        },
        **changes,
    }  # fmt: skip


def give(experiment: Experiment, sections: dict[str, Any]) -> None:
    experiment.folder.metrics.write_text(json.dumps(sections))
