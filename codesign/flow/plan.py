"""The plan step: plan.json, the foldings and FIFO depths of the path to the exit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import codesign
from codesign.config import PlanConfig
from codesign.devices import Device, load_device
from codesign.errors import ConfigError
from codesign.flow.cascade import split_for
from codesign.flow.experiment import Experiment
from codesign.flow.quantize import need_graph
from codesign.flow.records import file_hash, is_fresh, key_of, record, tree_hash
from codesign.flow.widths import Heads, graph_file, heads_of
from codesign.ir.graph import Graph
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.passes.slim import SlimGraphs
from codesign.plan.balance import balance
from codesign.plan.budget import price, total
from codesign.plan.fifos import size_fifos
from codesign.plan.plan import Plan, load_plan, realize, save_plan
from codesign.plan.widths import plan_widths, realize_widths

_PLANNER = ("ir", "ops", "passes", "plan", "devices")  # code that decides a plan


def planned(head: Graph, device: Device, config: PlanConfig, graphs: SlimGraphs | None = None) -> Plan:
    """The head's plan on a device, for the goal and the foldings of a config; its FIFOs are deep enough for all `graphs` of
    the same hardware."""
    plan = balance(
        head,
        device,
        interval_cycles=goal_cycles(config),
        clock_mhz=config.clock_mhz,
        pixels_per_cycle=config.pixels_per_cycle,
        foldings=config.foldings,
        drains=True,  # the HLS templates give such a process a loop of its own per frame
    )
    return plan_widths(graphs, plan, lambda flow: size_fifos(flow, pads=device.pads_bram)) if graphs else plan


def plan(experiment: Experiment, *, force: bool = False) -> dict[str, Any]:
    """Plans the design unless that is up to date; returns its estimate, by process and in all."""
    folder, config = experiment.folder, experiment.config
    need_graph(experiment)
    heads = heads_of(experiment)
    head = heads.graphs.widest if heads else split_for(load_graph(folder.graph, OPS), config.exit).head
    device = load_device(config.plan.device)
    with experiment.locked():
        key = plan_key(experiment)
        if not force and is_fresh(folder, "plan", key, [folder.plan]):
            experiment.say(f"plan: up to date, {folder.plan}")
        else:
            found = planned(head, device, config.plan, heads.graphs if heads else None)
            save_plan(found, folder.plan)
            record(folder, "plan", key)
            experiment.say(f"plan: a frame every {found.interval_cycles} cycles on {device.name} (estimated)")
    made = load_plan(folder.plan)
    dataflow = realize(head, made)
    return {
        "device": made.device,
        "clock_mhz": made.clock_mhz,
        "interval_cycles": made.interval_cycles,
        "latency_cycles": made.latency_cycles,
        "frames_per_second": made.frames_per_second,
        **({"widths": _widths(heads, made)} if heads else {}),
        "resources": asdict(total(dataflow, device)),
        "processes": [
            {
                "name": process.node or process.name,
                "op": process.op.name,
                "lanes": process.folding.lanes,
                "pe": process.folding.pe,
                "simd": process.folding.simd,
                "cycles": process.cycles,
                "multipliers": "lut" if process.fabric else "auto",
                **asdict(price(process.op, process.folding, process.types, device.pads_bram, process.fabric)),
            }
            for process in dataflow.processes
        ],
        "source": "estimated",
    }


def _widths(heads: Heads, made: Plan) -> list[dict[str, float]]:
    flows = realize_widths(heads.graphs, made)
    return [
        {"width": width, "interval_cycles": flow.bound, "frames_per_second": made.clock_mhz * 1e6 / flow.bound}
        for width, flow in zip(heads.widths, flows.widths, strict=True)
    ]


def need_plan(experiment: Experiment) -> None:
    """Plans when there is no plan for this config and graph. A plan edited by hand stays as it is."""
    need_graph(experiment)
    if not is_fresh(experiment.folder, "plan", plan_key(experiment), [experiment.folder.plan]):
        plan(experiment)


def plan_key(experiment: Experiment) -> str:
    """A hash of what the plan depends on, the planner's own code included."""
    config, package = experiment.config, Path(codesign.__file__).parent
    code = tree_hash([package / name for name in _PLANNER], (".py", ".toml"))
    graph = file_hash(graph_file(experiment))
    return key_of("plan", graph=graph, exit=config.exit, plan=config.plan, code=code)


def goal_cycles(config: PlanConfig) -> int:
    """The interval that the config asks for, in cycles; 0 where it leaves the choice to the planner."""
    if config.interval_cycles and config.target_fps:
        raise ConfigError(
            "interval_cycles and target_fps are two ways to say one thing", where="plan", hint="leave one of them out"
        )
    if config.interval_cycles < 0 or config.target_fps < 0:
        raise ConfigError("a goal cannot be negative", where="plan", hint="0 leaves it to the planner")
    if not config.target_fps:
        return config.interval_cycles
    cycles = int(config.clock_mhz * 1e6 / config.target_fps)
    if not cycles:
        raise ConfigError(
            f"{config.target_fps:g} frames a second are more than {config.clock_mhz:g} MHz has cycles",
            where="plan.target_fps",
        )
    return cycles
