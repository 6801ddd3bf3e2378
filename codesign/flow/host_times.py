"""How long a worker on this machine takes for a frame of the tail, and of the whole network, in integers."""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

from typing import Any

import numpy as np

from codesign.ir.graph import Graph
from codesign.passes.split import Split
from codesign.runtime.stopwatch import rate, window
from codesign.runtime.tails import CppTail, tails

JOB = 32  # frames that a tail typically gets at a time, as in flow/speed.py
WINDOWS, WINDOW_S = 3, 0.1


def measured_times(cut: Split, graph: Graph) -> dict[str, Any]:
    """Arguments for `cost.system.default_host`; random frames do, since integer layers take the same time for all."""
    (tail_us, kind), (software_us, _) = _frame_us(cut.tail), _frame_us(graph)
    source = f"measured: {kind} on this machine, one worker, jobs of {JOB} frames, best of {WINDOWS} windows"
    return {"tail_us": tail_us, "software_us": software_us, "source": source, "name": "this machine"}


def _frame_us(graph: Graph) -> tuple[float, str]:
    """Microseconds of a frame, and what computed it."""
    image = next(value for value in graph.inputs if value.kind == "stream").type
    frames_NHWC = np.random.default_rng(0).integers(image.dtype.min, image.dtype.max + 1, (4 * JOB, *image.shape))
    software = tails(graph)()
    try:
        windows = [window(software.run, frames_NHWC, JOB, WINDOW_S) for _ in range(WINDOWS)]
        return 1e6 / rate(windows).images_per_s, "C++" if isinstance(software, CppTail) else "numpy"
    finally:
        software.close()
