"""FIFO depths at which a design neither deadlocks nor loses speed.

Why one schedule is proof enough. A process is deterministic and blocks on one thing at a time: an empty input or a full
output. With a credit for every free place sent backwards, a network with bounded FIFOs is again a Kahn network, and in
a Kahn network a step that can be taken stays possible until it is taken. So if *one* order of steps gets through the
whole batch within the depths, no order, no timing and no stall at a port can end in a deadlock, as long as every port is
served eventually. The most beats that any one schedule keeps in each channel are therefore safe depths.

What is assumed. The tool decides how deep a pipeline gets; before synthesis there is only the estimate D of
`timing.pipeline_depth`. The depths are safe as long as no pipeline is deeper than 2 D + 16 (`deepest`), which the synthesis
report shows, however unequal they are: where paths meet, a channel also holds what comes early when pipelines on its
path are shorter and those on the others are not. The margin costs places in FIFOs, most of them in the conditional buffer; speed is still counted with D.

Which schedule. HLS pipelines stall as a whole when an input is empty: what step s computed leaves only when step
s + D can start, so on the way to the decision every process keeps D steps back, and a padded window waits for rows of
the next frame. The schedule is the steady state of such pipelines (`timing.steady`, stalling rule) when frames come at
the interval that the busiest process needs anyway, once with pipelines as estimated and once as deep as assumed at most, and
the larger count is taken. The conditional buffer then holds just the beats that enter while the
head cannot yet deliver, whole frames of them where a process of few steps a frame keeps its results back. A batch
is a piece of the steady state with fewer things to wait for, so the schedule stands for every batch, of one frame or
many.

Why no speed is lost. Steps in a bounded network, taken as early as possible, come no later than in any schedule that
respects the bounds. The free-running steady state is one, since the depths hold it too, and it finishes a frame per
interval of the busiest process. One place more is for FIFOs whose full flag lags a cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from codesign.plan.budget import bram18, storage
from codesign.plan.dataflow import MIN_DEPTH, Channel, Dataflow
from codesign.plan.timing import Depths, depth_of, steady

MARGIN_CYCLES = 16  # beyond twice the estimate; the deepest pipeline that a report may show


def size_fifos(dataflow: Dataflow, *, pipeline: Depths = None, pads: bool = True) -> Dataflow:
    """The dataflow with depths that are safe for pipelines up to `deepest`.

    `pipeline` is the depth that is expected of every process's pipeline (None: estimated for each). Deep FIFOs fill up
    the block RAMs that they take; `pads` says that their depth is rounded up there (7-series).
    """
    depths = _least(dataflow, tuple(pipeline.items()) if isinstance(pipeline, Mapping) else pipeline)
    return dataflow.with_depths({c.name: _rounded(c, depths[c.name], pads) for c in dataflow.channels})


@lru_cache(maxsize=64)  # devices often share a dataflow
def _least(dataflow: Dataflow, pipeline: tuple[tuple[str, int], ...] | int | None) -> dict[str, int]:
    """The least safe depth of every channel."""
    expected = dict(pipeline) if isinstance(pipeline, tuple) else pipeline
    counts = (
        steady(dataflow, dataflow.bound, pipeline=expected),
        steady(dataflow, dataflow.bound, pipeline=expected, stalling=True),
        steady(dataflow, dataflow.bound, pipeline=deepest(dataflow, expected), stalling=True, uneven=True),
    )
    return {c.name: max(MIN_DEPTH, 1 + max(count[c.name] for count in counts)) for c in dataflow.channels}


def deepest(dataflow: Dataflow, pipeline: Depths = None) -> dict[str, int]:
    """The depth, by process, up to which a pipeline may be deeper than expected without harm."""
    return {p.name: 2 * depth_of(p, pipeline) + MARGIN_CYCLES for p in dataflow.processes}


def _rounded(channel: Channel, depth: int, pads: bool) -> int:
    """A power of two where the block RAM that the FIFO takes anyway has that much room."""
    power = 1 << (depth - 1).bit_length()
    free = storage(depth, channel.width) == "bram" and bram18(depth, channel.width, pads) == bram18(
        power, channel.width, pads
    )
    return power if free else depth
