"""Estimates of a slimmable run: one piece of hardware, priced at each of its widths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codesign.config import Config
from codesign.cost.oracle import Backend, estimate
from codesign.devices import Device
from codesign.files import RunFolder
from codesign.flow.widths import heads_in
from codesign.passes.split import Split
from codesign.plan.plan import Plan

Rows = list[dict[str, Any]]


def slim_cuts(folder: RunFolder, config: Config) -> dict[float, Split]:
    """The cut of every width, narrow to wide; heads are those of the hardware that runs them all."""
    heads = heads_in(folder, config)
    rows = zip(heads.widths, heads.cuts, heads.graphs.widths, strict=True)
    return {width: replace(cut, head=head) for width, cut, head in rows}


def width_rows(
    cuts: Mapping[float, Split], plan: Plan, device: Device, backend: Backend, clock_mhz: float | None
) -> Rows:
    """What a frame of every width takes: cycles and energy, of the same hardware."""
    rows: Rows = []
    for width, cut in cuts.items():
        found = estimate(cut.head, plan, device, backend, clock_mhz=clock_mhz, quick=True).to_json()
        names = ("interval_cycles", "frames_per_second", "energy_uj")
        rows.append({"width": width, "device": device.name, **{name: found[name] for name in names}})
    return rows
