"""Estimates of a slimmable run: one piece of hardware, priced at each of its widths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from codesign.config import Config
from codesign.cost.oracle import Backend, estimate
from codesign.devices import Device
from codesign.errors import ConfigError
from codesign.files import RunFolder
from codesign.flow.slim_graphs import graphs_path, load_graphs
from codesign.ir.graph import Graph
from codesign.ops import OPS
from codesign.passes.slim import slim
from codesign.passes.split import Split
from codesign.plan.plan import Plan

Rows = list[dict[str, Any]]
Cut = Callable[[Graph, Config], Split]


def slim_cuts(folder: RunFolder, config: Config, cut: Cut) -> dict[float, Split]:
    """The cut of every width, narrow to wide; heads are those of the hardware that runs them all."""
    graphs = load_graphs(graphs_path(folder), OPS)
    cuts = [cut(graph, config) for graph in graphs.values()]
    heads = slim([c.head for c in cuts], step_up=config.slim.recipe == "causal").widths
    return {width: replace(c, head=head) for width, c, head in zip(graphs, cuts, heads, strict=True)}


def width_named(cuts: dict[float, Split], text: str) -> float:
    """The width that somebody names, the widest for ""; raises ConfigError for one that the network does not have."""
    if not text:
        return max(cuts)
    try:
        width = float(text)
    except ValueError:
        width = -1.0
    if width not in cuts:
        names = ", ".join(f"{width:g}" for width in cuts) or "no [slim] widths here"
        raise ConfigError(f"{text!r} is not a width of this network", where="--width", hint=f"widths: {names}")
    return width


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
