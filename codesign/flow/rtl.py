"""The rtl step: the design as SystemVerilog, with the cycles that it takes, exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import codesign
from codesign.emit.rtl import CONTROL, RtlDesign, emit_rtl, library_folder
from codesign.emit.templates import template_folder
from codesign.errors import VerificationError
from codesign.files import read_json, write_json, write_tree
from codesign.flow.experiment import Experiment
from codesign.flow.hls import GENERATOR, Design, feature_of, load_design, operating_of
from codesign.flow.plan import need_plan
from codesign.flow.quantize import answers_path
from codesign.flow.records import file_hash, is_fresh, key_of, read_records, record, tree_hash
from codesign.flow.widths import graph_file
from codesign.plan.dataflow import Dataflow
from codesign.plan.design import design_info
from codesign.plan.exact import for_rtl, rtl_timing
from codesign.plan.plan import Plan
from codesign.plan.widths import SlimFlows

STEADY_FRAMES = 6  # enough for the pipeline to fill and repeat


def rtl(experiment: Experiment, *, force: bool = False) -> dict[str, Any]:
    """Emits the design unless that is up to date, and returns what a person wants to know of it."""
    folder = experiment.folder
    need_plan(experiment)
    with experiment.locked():
        key = rtl_key(experiment)
        if not force and is_fresh(folder, "rtl", key, [folder.rtl / "src", folder.rtl / "design.json"]):
            experiment.say(f"rtl: up to date, {folder.rtl}")
        else:
            _emit(experiment, key)
    return {"rtl": str(folder.rtl), "files": len(read_records(folder)["rtl"]["files"]), **rtl_info(experiment)}


def need_rtl(experiment: Experiment) -> None:
    """Emits the design when there is none for this config, graph and generator. Sources edited by hand stay."""
    need_plan(experiment)
    folder = experiment.folder
    if not is_fresh(folder, "rtl", rtl_key(experiment), [folder.rtl / "src", folder.rtl / "design.json"]):
        rtl(experiment)


def rtl_info(experiment: Experiment) -> dict[str, Any]:
    """rtl/design.json: what the host must know, with addresses and estimates of this backend."""
    return read_json(experiment.folder.rtl / "design.json")


def load_rtl_design(experiment: Experiment) -> Design:
    """The design with the dataflow as RTL runs it."""
    design = load_design(experiment)
    if not design.widths:
        return replace(design, dataflow=for_rtl(design.dataflow))
    flows = SlimFlows(tuple(v.dataflow for v in design.widths), tuple(v.dataflow for v in design.steps)).sized(for_rtl)
    widths = tuple(replace(v, dataflow=flow) for v, flow in zip(design.widths, flows.widths, strict=True))
    steps = tuple(replace(v, dataflow=flow) for v, flow in zip(design.steps, flows.steps, strict=True))
    return replace(design, dataflow=flows.widest, widths=widths, steps=steps)


def load_sources(folder: Path, top: str) -> RtlDesign:
    """The sources as they lie in a folder, edited by hand or not."""
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sv"))}
    if f"{top}.sv" not in files:
        raise VerificationError(f"there is no {top}.sv", where=str(folder), hint="`codesign rtl RUN --force` emits it")
    return RtlDesign(top, files)


def rtl_key(experiment: Experiment) -> str:
    """A hash of what the emitted files depend on, templates, units and the generator's own code included."""
    folder, package, config = experiment.folder, Path(codesign.__file__).parent, experiment.config
    code = tree_hash([package / name for name in GENERATOR], (".py", ".toml"))
    templates = tree_hash([template_folder() / "rtl", library_folder()], (".j2", ".sv"))
    inputs = {
        "graph": file_hash(graph_file(experiment)),
        "answers": file_hash(answers_path(folder)),
        "plan": file_hash(folder.plan),
    }
    return key_of("rtl", **inputs, name=config.name, exit=config.exit, code=code, templates=templates)


def _emit(experiment: Experiment, key: str) -> None:
    folder = experiment.folder
    design, operating = load_rtl_design(experiment), operating_of(experiment)
    emitted = emit_rtl(design.dataflow, top=design.top, exit_name=design.exit)
    files = {f"src/{name}": text for name, text in emitted.files.items()}
    files["design.f"] = "".join(f"src/{name}\n" for name in sorted(emitted.files))
    for name in read_records(folder).get("rtl", {}).get("files", []):
        if name not in files:
            (folder.rtl / name).unlink(missing_ok=True)
    write_tree(files, folder.rtl)
    source = {"source": "computed from the schedule, to the cycle"}
    estimate = {**_speed(design.dataflow, design.plan), **source}
    info = design_info(design.head, design.dataflow, design.plan)
    if design.widths:
        info["widths"] = [
            {"width": v.width, **_speed(v.dataflow, design.plan), **source, **feature_of(v)} for v in design.widths
        ]
    if design.steps:
        info["steps"] = [
            {"from": v.base, "to": v.width, **_speed(v.dataflow, design.plan), **source, **feature_of(v)}
            for v in design.steps
        ]
    info["registers"] = [{**r, "address": CONTROL[r["name"]]} for r in info["registers"]]
    depths = {channel.name: channel.depth for channel in design.dataflow.channels}
    more = {"top": design.top, "operating": operating.to_json(), "estimate": estimate, "depths": depths}
    write_json(folder.rtl / "design.json", {**info, **more})
    record(folder, "rtl", key, files=sorted(files))
    experiment.say(f"rtl: {len(files)} files in {folder.rtl}, top {design.top}")


def _speed(dataflow: Dataflow, plan: Plan) -> dict[str, float]:
    timing = rtl_timing(dataflow, STEADY_FRAMES)
    return {
        "interval_cycles": timing.bound,
        "latency_cycles": timing.latency_cycles,
        "frames_per_second": plan.clock_mhz * 1e6 / timing.bound,
    }
