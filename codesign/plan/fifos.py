"""FIFO depths at which a design neither deadlocks nor loses speed.

Why one schedule is proof enough. A process is deterministic and blocks on one thing at a time: an empty input or a full
output. With a credit for every free place sent backwards, a network with bounded FIFOs is again a Kahn network, and in
a Kahn network a step that can be taken stays possible until it is taken. So if *one* order of steps gets through the
whole batch within the depths, no order, no timing and no stall at a port can end in a deadlock, as long as every port is
served eventually. The most beats that any one schedule keeps in each channel are therefore safe depths.

Which schedule. HLS pipelines stall as a whole when an input is empty: what step s computed leaves only when step
s + D can start, so on the way to the decision every process keeps D steps back, and a padded window waits for rows of
the next frame. The schedule is the steady state of such pipelines (`timing.steady`, stalling rule) when frames come at
the interval that the busiest process needs anyway: the conditional buffer then holds just the beats that enter while the
head cannot yet deliver, whole frames of them where a process of few steps a frame keeps its results back. A batch
is a piece of the steady state with fewer things to wait for, so the schedule stands for every batch, of one frame or
many.

Why no speed is lost. Steps in a bounded network, taken as early as possible, come no later than in any schedule that
respects the bounds. The free-running steady state is one, since the depths hold it too, and it finishes a frame per
interval of the busiest process. One place more is for FIFOs whose full flag lags a cycle.
"""

from __future__ import annotations

from codesign.plan.budget import bram18, storage
from codesign.plan.dataflow import MIN_DEPTH, Channel, Dataflow
from codesign.plan.timing import steady


def size_fifos(dataflow: Dataflow, *, pipeline: int | None = None, pads: bool = True) -> Dataflow:
    """The dataflow with safe depths. `pipeline` is the depth of every process's pipeline (None: estimated for each).

    Deep FIFOs fill up the block RAMs that they take; `pads` says that their depth is rounded up there (7-series).
    """
    free = steady(dataflow, dataflow.bound, pipeline=pipeline)
    stalled = steady(dataflow, dataflow.bound, pipeline=pipeline, stalling=True)
    depths = {
        c.name: _rounded(c, max(MIN_DEPTH, free[c.name] + 1, stalled[c.name] + 1), pads) for c in dataflow.channels
    }
    return dataflow.with_depths(depths)


def fifo_bits(dataflow: Dataflow) -> int:
    """Bits of all FIFOs together."""
    return sum(channel.bits for channel in dataflow.channels)


def _rounded(channel: Channel, depth: int, pads: bool) -> int:
    """A power of two where the block RAM that the FIFO takes anyway has that much room."""
    power = 1 << (depth - 1).bit_length()
    free = storage(depth, channel.width) == "bram" and bram18(depth, channel.width, pads) == bram18(
        power, channel.width, pads
    )
    return power if free else depth
