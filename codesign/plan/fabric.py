"""Which products are made in LUTs where the DSPs run short, and which in DSPs where the LUTs do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from codesign.devices import Device
from codesign.ops.base import Folding
from codesign.plan.budget import price, total
from codesign.plan.dataflow import Dataflow, Process

# A node, how much of what is short it would give back, and how much of the other it would take.
_Move = tuple[str, int, int]


def spare_dsps(dataflow: Dataflow, device: Device) -> tuple[str, ...]:
    """The nodes whose multipliers are to go into LUTs, whole processes, so that the DSPs suffice: those with the fewest
    LUTs in all. Empty when the DSPs suffice as it is, or no set makes them."""
    excess = total(dataflow, device).dsp - device.dsp
    return _cheapest(_to_luts(dataflow, device), excess) if excess > 0 else ()


def spare_luts(dataflow: Dataflow, device: Device, fraction: float) -> dict[str, Folding]:
    """New foldings of the nodes that are to make products with constants in DSPs, output by output, so that `fraction` of the
    LUTs suffices: the fewest DSPs in all. Empty when the LUTs suffice as it is, or no set makes them."""
    excess = total(dataflow, device).lut - int(device.lut * fraction)
    outputs = Counter(_cheapest(_to_dsps(dataflow, device), excess)) if excess > 0 else Counter[str]()
    return {p.node: replace(p.folding, dsp_pe=outputs[p.node]) for p in dataflow.processes if p.node in outputs}


def _to_luts(dataflow: Dataflow, device: Device) -> Iterable[_Move]:
    """Every process that has a choice."""
    for p in dataflow.processes:
        if p.op.fabric and p.node and not p.fabric:
            now, then = (price(p.op, p.folding, p.types, device.pads_bram, fabric) for fabric in (False, True))
            if now.dsp > then.dsp:
                yield p.node, now.dsp - then.dsp, then.lut - now.lut


def _to_dsps(dataflow: Dataflow, device: Device) -> Iterable[_Move]:
    """Every output that has a choice, the same as often as the process has outputs."""
    for p in dataflow.processes:
        outputs = p.op.movable(p.folding, *p.types) if p.node and not p.fabric else 0
        if outputs:
            now, then = (_with(p, count, device) for count in (0, 1))
            if now[1] > then[1]:
                yield from [(p.node, now[1] - then[1], then[0] - now[0])] * outputs


def _with(process: Process, outputs: int, device: Device) -> tuple[int, int]:
    """DSPs and LUTs of a process with so many outputs in DSPs."""
    spent = price(process.op, replace(process.folding, dsp_pe=outputs), process.types, device.pads_bram)
    return spent.dsp, spent.lut


def _cheapest(moves: Iterable[_Move], excess: int) -> tuple[str, ...]:
    """The set that gives back at least `excess` for the least of the other, counted up move by move."""
    moves = tuple(moves)
    if sum(given for _, given, _ in moves) < excess:
        return ()
    best: dict[int, tuple[int, tuple[str, ...]]] = {0: (0, ())}  # given back, at most `excess`: spent, nodes
    for node, given, spent in moves:
        for before, (paid, nodes) in sorted(best.items(), reverse=True):
            gain, offer = min(excess, before + given), (paid + spent, (*nodes, node))
            best[gain] = min(best.get(gain, offer), offer)
    return best[excess][1]
