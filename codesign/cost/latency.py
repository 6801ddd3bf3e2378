"""The latency of RTL: exactly, which can take long, or at once with a band that is sure to hold it.

At least it is that of FIFOs which are never full. At most it is that of the steady state in which frames come evenly for
ever: the FIFOs hold that schedule too, and steps taken as early as possible, as RTL takes them, come no later than in any
schedule that the FIFOs hold.
"""

from __future__ import annotations

import numpy as np

from codesign.cost.figures import Figure
from codesign.plan.dataflow import Dataflow
from codesign.plan.exact import latency, rtl_timing
from codesign.plan.timing import SteadyStarts, Steps, op_schedule, simulate

FRAMES = 6  # of the batch whose first latency is computed, as `codesign rtl` does
PORTS = 2  # registers of the ports, which `simulate` does not know
EXACT = "computed from the schedule, to the cycle; RTL simulation counts the same"


def rtl_latency(dataflow: Dataflow, *, quick: bool) -> Figure:
    """Cycles from the first word in to the first result out, of a dataflow as `plan.exact.for_rtl` makes it."""
    if not quick:
        return Figure.exact(rtl_timing(dataflow, FRAMES).latency_cycles, "cycles", EXACT)
    depths = {p.name: latency(p.op, p.folding, p.types) for p in dataflow.processes}
    low = PORTS + simulate(dataflow, 2, pipeline=depths).latency_cycles
    source = "computed: FIFOs that are never full, to frames that come evenly for ever"
    return Figure(low, low, max(low, PORTS + _steady(dataflow)), "cycles", source)


def _steady(dataflow: Dataflow) -> int:
    """When the last beat of a frame's result can leave in the steady state, its first word coming at 0."""
    pace = dataflow.bound
    visible: dict[str, Steps] = {}
    for name in dataflow.inputs:
        beats = dataflow.channel(name).beats
        visible[name] = np.arange(beats, dtype=np.int64) * pace // beats + 1
    for process in dataflow.processes:
        frame = op_schedule(process.op, process.folding, process.types, 1)
        starts = SteadyStarts(frame, [visible[name] for name in process.streams], process.cycles, pace)
        depth = latency(process.op, process.folding, process.types)
        visible |= dict.fromkeys(process.outputs, starts.at(frame.writes) + depth + 1)
    return int(visible[dataflow.outputs[0]][-1])
