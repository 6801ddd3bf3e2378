"""How fast the accelerator and the whole cascade are on this board, and what the board draws meanwhile.

    python3 benchmark.py --json

"accelerator" counts from its registers, cycles from start to done; "call" is Branch.run with packing, both transfers and
checks; "cascade" has the software behind the exit too. Standard library, numpy and pynq; Python 3.8.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

import numpy as np
from classify import Cascade
from driver import Branch
from power import NONE, Recorder


def measure(branch: Branch, images_NHWC: np.ndarray, batch: int, repeats: int) -> dict[str, Any]:
    """Times of one batch size: medians over `repeats` runs, the 99th percentile of the call."""
    frames = np.resize(images_NHWC, (batch, *images_NHWC.shape[1:]))
    runs = [branch.run(frames) for _ in range(repeats + 1)][1:]  # the first warms the caches
    calls_us = np.array([run.seconds for run in runs]) * 1e6
    told = {
        "batch": batch,
        "call_us": float(np.median(calls_us)),
        "call_us_p99": float(np.percentile(calls_us, 99)),
        "frames_per_second": batch / (float(np.median(calls_us)) * 1e-6),
        "source": "measured on a board",
    }
    cycles = float(np.median([run.cycles for run in runs]))
    if cycles:
        told["accelerator_cycles"] = cycles
        told["accelerator_us"] = cycles / clock_mhz(branch)
        told["cycles_per_frame"] = cycles / batch
    return told


def clock_mhz(branch: Branch) -> float:
    """The clock that the board runs the accelerator at, or the planned one where PYNQ does not say."""
    try:
        from pynq import Clocks

        return float(Clocks.fclk0_mhz)
    except (ImportError, AttributeError):
        return float(branch.design["clock_mhz"])


def measure_cascade(cascade: Cascade, images_NHWC: np.ndarray, seconds: float) -> dict[str, Any]:
    """Frames a second of accelerator and software together, for at least so many seconds, with the power."""
    count, exits, begin = 0, 0, time.monotonic()
    with Recorder() as recorder:
        while time.monotonic() - begin < seconds:
            answers = cascade.classify(images_NHWC)
            count, exits = count + len(images_NHWC), exits + int((answers.exit_N == 0).sum())
    spent = time.monotonic() - begin
    told = {"frames": count, "frames_per_second": count / spent, "exit_rate": exits / count, "watts": recorder.watts}
    if recorder.watts is not None:
        told["joules_per_frame"] = recorder.watts["mean_w"] * spent / count
    return {**told, "source": "measured on a board"}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the accelerator and the cascade on this board.")
    parser.add_argument("--folder", default=os.path.dirname(os.path.abspath(__file__)), help="the overlay folder")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 256], metavar="N", help="batch sizes")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="runs of every batch size")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="how long the cascade runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    with np.load(os.path.join(arguments.folder, "frames.npz"), allow_pickle=False) as loaded:
        images_NHWC = loaded["images"]
    with Branch(arguments.folder, max(arguments.batches)) as branch:
        sizes = [min(size, branch.batch) for size in arguments.batches]
        told = {
            "board": branch.board["board"],
            "clock_mhz": clock_mhz(branch),
            "accelerator": [measure(branch, images_NHWC, size, arguments.repeats) for size in sizes],
            "estimate": branch.design["estimate"],
            "cascade": measure_cascade(Cascade(branch), images_NHWC, arguments.seconds),
        }
    if arguments.json:
        print(json.dumps(told))
        return 0
    for row in told["accelerator"]:
        print("batch {batch:5}: {call_us:10.1f} us a call, {frames_per_second:10.0f} frames/s".format(**row))
    print(
        "cascade: {frames_per_second:.0f} frames/s, {0:.1f} % exit".format(
            100 * told["cascade"]["exit_rate"], **told["cascade"]
        )
    )
    print("power: {}".format(told["cascade"]["watts"] or NONE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
