"""Speed of C simulation: ours in both type systems, and hls4ml on the same exit branch where it can be imported.

    .venv/bin/python benchmarks/csim_speed.py configs/default.toml [--json] [--frames N] [--repeat N]

CPU seconds, not wall-clock seconds, so a busy machine disturbs little. Of several repeats the fastest counts. Ends with
status 1 when a promise (FLOORS, CEILINGS) is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codesign import console
from codesign.files import read_json
from codesign.flow.experiment import Experiment, open_experiment
from codesign.flow.hls import Design, load_design, need_hls, sources
from codesign.verify.builds import Build, compile_csim
from codesign.verify.csim import simulate

TYPES = ("native", "vendor")
# What the project promises on one core of a machine of today: at least, and at most.
FLOORS = {"native.images_per_cpu_s": 10_000, "vendor.images_per_cpu_s": 185}
CEILINGS = {"native.compile_cpu_s": 2.0, "emit_cpu_s": 0.5}
COMPILES = {"native": 3, "vendor": 1}  # the vendor's headers take long to compile, and nothing is promised for them


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", default="configs/default.toml", help="a config or a run folder")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    experiment = open_experiment(arguments.target, say=console.say)
    need_hls(experiment)
    design, images = load_design(experiment), experiment.splits.test.images[: arguments.frames]
    result: dict[str, Any] = {
        "frames": len(images),
        "emit_cpu_s": min(cpu(lambda: sources(design)) for _ in range(arguments.repeat)),
        **{types: ours(experiment, design, images, types, arguments.repeat) for types in TYPES},
        "source": "measured, CPU seconds of this machine",
    }
    try:
        with contextlib.redirect_stdout(sys.stderr):  # hls4ml tells a lot
            result["hls4ml"] = peer(experiment, images, arguments.repeat)
    except ImportError as error:
        result["hls4ml"] = {"skipped": f"{error}; pip install 'codesign[bench]'"}
    add_ratios(result)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    broken = broken_promises(result)
    for line in broken:
        console.say(f"error: {line}")
    return 1 if broken else 0


def broken_promises(result: dict[str, Any]) -> list[str]:
    """One line for each figure below its floor or above its ceiling."""
    low = [f"{key} is {v:,.1f}, below {b:,}" for key, b in FLOORS.items() if (v := figure(result, key)) < b]
    high = [f"{key} is {v:.3f}, above {b}" for key, b in CEILINGS.items() if (v := figure(result, key)) > b]
    return low + high


def figure(result: dict[str, Any], key: str) -> float:
    """The figure at `types.name` or `name`."""
    types, _, name = key.rpartition(".")
    return (result[types] if types else result)[name]


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process and its children."""
    start = _cpu_now()
    work()
    return _cpu_now() - start


def _cpu_now() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def ours(experiment: Experiment, design: Design, images: np.ndarray, types: Any, repeat: int) -> dict[str, float]:
    """Compile seconds from an empty cache, and images per CPU second at the chosen threshold, without comparing them."""
    compiles: list[Build] = []
    for _ in range(min(repeat, COMPILES[types])):
        shutil.rmtree(experiment.folder.hls / "build", ignore_errors=True)
        compiles.append(compile_csim(experiment.folder.hls, design.top, types=types))
    build = compiles[-1]
    codes, threshold = images.astype(np.int64), read_json(experiment.folder.design)["operating"]["threshold_code"]
    fastest = min(simulate(build, design.dataflow, codes, threshold).cpu_s for _ in range(repeat))
    return {"compile_cpu_s": min(b.compile_cpu_s for b in compiles), "images_per_cpu_s": len(images) / fastest}


def peer(experiment: Experiment, images: np.ndarray, repeat: int) -> dict[str, Any]:
    """hls4ml's C simulation of the stem and the first exit's head: io_stream, 8-bit fixed point, no exit decision."""
    import hls4ml
    from hls4ml.converters import convert_from_pytorch_model
    from hls4ml.utils.config import config_from_pytorch_model

    branch = first_branch(experiment)
    H, W, C = images.shape[1:]
    config = config_from_pytorch_model(
        branch, input_shape=(C, H, W), default_precision="fixed<8,4>", channels_last_conversion="internal"
    )
    with tempfile.TemporaryDirectory() as folder:
        options = {"output_dir": folder, "io_type": "io_stream", "backend": "Vivado", "part": "xc7z020clg400-1"}
        model = convert_from_pytorch_model(branch, hls_config=config, **options)
        emit_s = cpu(model.write)
        compile_s = cpu(model._compile if hasattr(model, "_compile") else model.compile)
        x = np.ascontiguousarray(images.astype(np.float32) / 256)
        fastest = min(cpu(lambda: model.predict(x)) for _ in range(repeat))
    return {
        "version": hls4ml.__version__,
        "emit_cpu_s": emit_s,
        "compile_cpu_s": compile_s,
        "images_per_cpu_s": len(images) / fastest,
    }


def first_branch(experiment: Experiment) -> Any:
    """The layers up to the first exit of a LeNet-5, as one flat nn.Sequential in evaluation mode."""
    from torch import nn

    from codesign.nn.exits import Exit

    model = experiment.model.eval()
    children = list(model.children())
    stop = next(i for i, child in enumerate(children) if isinstance(child, Exit))
    leaves = [m for child in children[: stop + 1] for m in child.modules() if not list(m.children())]
    return nn.Sequential(*leaves).eval()


def add_ratios(result: dict[str, Any]) -> None:
    theirs = result["hls4ml"]
    if "skipped" in theirs:
        return
    for types in TYPES:
        mine = result[types]
        mine["times_hls4ml_speed"] = mine["images_per_cpu_s"] / theirs["images_per_cpu_s"]
        mine["times_hls4ml_compile"] = mine["compile_cpu_s"] / theirs["compile_cpu_s"]


def show(result: dict[str, Any]) -> None:
    rows = []
    for name in ("native", "vendor", "hls4ml"):
        row = result[name]
        if "skipped" in row:
            rows.append([name, row["skipped"], "", ""])
            continue
        ratio = f"{row['times_hls4ml_speed']:.1f}x" if "times_hls4ml_speed" in row else ""
        rows.append([name, f"{row['images_per_cpu_s']:,.0f}", f"{row['compile_cpu_s']:.2f}", ratio])
    columns = ("C simulation", "images per CPU s", "compile, CPU s", "speed against hls4ml")
    notes = [f"emission {result['emit_cpu_s']:.3f} CPU s; {result['frames']} frames; {Path(sys.argv[0]).name}"]
    console.table("Exit branch", columns, rows, notes)


if __name__ == "__main__":
    sys.exit(main())
