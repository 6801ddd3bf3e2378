"""Which process, port or resource holds a design back, and the smallest change that relieves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codesign.devices import Device
from codesign.ops.base import Folding
from codesign.plan.budget import Resources
from codesign.plan.dataflow import MAX_BEAT_BITS, Dataflow, Process, cycles, legal

SHOWN = 3  # processes that a sentence names
Price = Callable[[Process], Resources]


@dataclass(frozen=True, slots=True)
class Relief:
    """One process at another folding, with what that adds; `cycles` is its own work a frame then."""

    process: str
    was: Folding
    folding: Folding
    cycles: int
    adds: Resources

    def text(self) -> str:
        steps = [
            f"{name} {old} -> {new}"
            for name, old, new in (
                ("PE", self.was.pe, self.folding.pe),
                ("SIMD", self.was.simd, self.folding.simd),
                ("lanes", self.was.lanes, self.folding.lanes),
            )
            if old != new
        ]
        price = ", ".join(
            f"{count:+d} {kind.upper()}"
            for kind in ("dsp", "lut", "ff", "bram18")
            if (count := getattr(self.adds, kind))
        )
        return f"{self.process}: {', '.join(steps)} ({price or 'for nothing'})"


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """`names` are the processes and ports that take the whole interval. `reliefs` together bring it to `interval_cycles`,
    width converters and FIFOs not counted; 0 where some process has no faster folding."""

    names: tuple[str, ...]
    ports: int  # how many of them are ports
    reliefs: tuple[Relief, ...]
    interval_cycles: int
    scarce: str
    scarce_share: float

    def text(self) -> str:
        """One sentence; of many processes the first few."""
        what = f"{_some(self.names, ' and ')} take{'s' * (len(self.names) < 2)} the whole interval"
        if self.interval_cycles == 0:
            return f"{what}; no folding is faster"
        port = ["the input port: twice the pixels a beat"] if self.ports else []
        changes = _some([*port, *(r.text() for r in self.reliefs)], "; ")
        return f"{what}. {self.interval_cycles} cycles with {changes}"

    def to_json(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "relief": [
                {"process": r.process, "pe": r.folding.pe, "simd": r.folding.simd, "lanes": r.folding.lanes}
                | {"cycles": r.cycles, "adds": {k: getattr(r.adds, k) for k in ("dsp", "lut", "ff", "bram18")}}
                for r in self.reliefs
            ],
            "interval_cycles": self.interval_cycles,
            "scarce": self.scarce,
            "scarce_share": round(self.scarce_share, 4),
            "text": self.text(),
        }


def _some(words: Sequence[str], between: str) -> str:
    shown = between.join(words[:SHOWN])
    return shown + (f"{between}{len(words) - SHOWN} more" if len(words) > SHOWN else "")


def bottleneck(dataflow: Dataflow, device: Device, whole: Resources, price: Price) -> Bottleneck:
    """The processes and ports that are as slow as the design, and the cheapest faster folding of each.

    Beats of several pixels are tried where nothing else is faster; a port takes the lanes of the process behind it.
    """
    bound = dataflow.bound
    ports = {f"input port {name}": dataflow.channel(name).beats for name in dataflow.inputs}
    busy = [p for p in dataflow.processes if p.cycles == bound]
    full = [name for name, beats in ports.items() if beats == bound]
    names = full + [p.name for p in busy]
    reliefs = [_faster(p, bound, device, price) for p in busy]
    found = tuple(r for r in reliefs if r is not None)
    rest = [p.cycles for p in dataflow.processes if p.cycles < bound] + [b for b in ports.values() if b < bound]
    rest += [beats // 2 for beats in ports.values() if beats == bound]  # two pixels a beat
    reached = max([r.cycles for r in found] + rest, default=bound)
    share, scarce = max((getattr(whole, kind) / getattr(device, kind), kind) for kind in ("dsp", "lut", "ff", "bram18"))
    if len(found) < len(reliefs):
        return Bottleneck(tuple(names), len(full), (), 0, scarce, share)
    return Bottleneck(tuple(names), len(full), found, reached, scarce, share)


def _faster(process: Process, bound: int, device: Device, price: Price) -> Relief | None:
    """The cheapest folding that takes fewer cycles than `bound`, at the process's own beats where that can be."""
    op, types, now = process.op, process.types, process.folding
    before = price(process)
    best: tuple[tuple[bool, float], Relief] | None = None
    for folding in legal(op, types):
        work = cycles(op, folding, types)
        if work >= bound or folding.lanes * types[0].dtype.bits > MAX_BEAT_BITS:
            continue
        after = price(replace(process, folding=folding, drain=0))
        adds = Resources(*(getattr(after, k) - getattr(before, k) for k in ("dsp", "lut", "ff", "bram18")))
        key = (folding.lanes != now.lanes, adds.share(device))
        if best is None or key < best[0]:
            best = key, Relief(process.name, now, folding, work, adds)
    return None if best is None else best[1]
