"""Which processes multiply in LUTs where the DSPs run short."""

from __future__ import annotations

from collections.abc import Iterable

from codesign.devices import Device
from codesign.plan.budget import price, total
from codesign.plan.dataflow import Dataflow


def spare_dsps(dataflow: Dataflow, device: Device) -> tuple[str, ...]:
    """The nodes whose multipliers are to go into LUTs, whole processes, so that the DSPs suffice: those with the fewest
    LUTs in all. Empty when the DSPs suffice as it is, or no set makes them."""
    excess = total(dataflow, device).dsp - device.dsp
    return _cheapest(_moves(dataflow, device), excess) if excess > 0 else ()


def _moves(dataflow: Dataflow, device: Device) -> Iterable[tuple[str, int, int]]:
    """Every process that has a choice: its node, the DSPs it would give back, the LUTs it would take."""
    for p in dataflow.processes:
        if p.op.fabric and p.node and not p.fabric:
            now, then = (price(p.op, p.folding, p.types, device.pads_bram, fabric) for fabric in (False, True))
            if now.dsp > then.dsp:
                yield p.node, now.dsp - then.dsp, then.lut - now.lut


def _cheapest(moves: Iterable[tuple[str, int, int]], excess: int) -> tuple[str, ...]:
    """The set that gives back at least `excess` DSPs for the fewest LUTs, counted up process by process."""
    best: dict[int, tuple[int, tuple[str, ...]]] = {0: (0, ())}  # DSPs given back, at most `excess`: LUTs, nodes
    for node, dsp, lut in moves:
        for given, (spent, nodes) in sorted(best.items(), reverse=True):
            gain, offer = min(excess, given + dsp), (spent + lut, (*nodes, node))
            best[gain] = min(best.get(gain, offer), offer)
    return best[excess][1] if excess in best else ()
