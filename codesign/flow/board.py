"""The board and bitstream steps: the Vivado project, the folder that goes to the board, and the bitstream in it.

board/NAME/            build.tcl, design.tcl, src/, and after a build reports/ and work/
board/NAME/overlay/    all that goes to the board: `scp -r` it and run classify.py there
"""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from codesign.cost.rtl import rtl_resources
from codesign.devices import load_device
from codesign.emit.board import Backend, Site, emit_board, load_site
from codesign.emit.overlay import (
    SoftStage,
    as_json,
    board_info,
    exit_tables,
    host_scripts,
    npz,
    overlay_design,
    tail_files,
)
from codesign.errors import CodesignError, ConfigError
from codesign.files import read_json, write_json, write_tree
from codesign.flow.board_policy import POLICY, policy_part
from codesign.flow.dispatch import load_stages, thresholds_of
from codesign.flow.experiment import Experiment
from codesign.flow.hls import load_design, need_hls
from codesign.flow.policy import load_widths
from codesign.flow.quantize import load_samples
from codesign.flow.records import file_hash
from codesign.flow.rtl import load_rtl_design, load_sources, need_rtl, rtl_info
from codesign.plan.budget import SHELL, Resources, total
from codesign.runtime.stages import Stages, host_maker
from codesign.verify.reports import compare, read_csynth
from codesign.verify.vivado import demand_vivado, run_vivado


def board(experiment: Experiment, name: str = "", backend: Backend = "rtl") -> dict[str, Any]:
    """Writes the Vivado project and the overlay folder; what is up to date stays, a bitstream of another design goes.

    `name` is a board, by default that of the plan. Raises ConfigError for a board that cannot run PYNQ.
    """
    site = load_site(name or _planned_board(experiment))
    info, sources = _design(experiment, backend)
    _check_part(experiment, site, backend)
    folder = project_folder(experiment, site)
    overlay = folder / "overlay"
    project = {**emit_board(info, site, backend), **{f"src/{n}": text for n, text in sources.items()}}
    facts, content = _overlay(experiment, info, site, backend)
    with experiment.locked():
        key = _key(project, content)
        fresh = _packed_key(overlay) == key
        if not fresh:
            _forget(folder, overlay)
        write_tree(project, folder)
        write_tree(content, overlay)
        _drop_strangers(folder / "src", {Path(n).name for n in project if n.startswith("src/")})
        if POLICY not in content:
            (overlay / POLICY).unlink(missing_ok=True)
        _seal(overlay, {**facts, "key": key}, content.keys() - {POLICY})
    built = (overlay / f"{info['top']}.bit").is_file()
    experiment.say(f"board: {folder}{'' if built else ', no bitstream yet'}")
    return {
        "board": site.board.name,
        "part": site.part,
        "backend": backend,
        "project": str(folder),
        "overlay": str(overlay),
        "files": len(project) + len(content) + 1,
        "bitstream": str(overlay / f"{info['top']}.bit") if built else None,
    }


def bitstream(
    experiment: Experiment, name: str = "", backend: Backend = "rtl", *, force: bool = False
) -> dict[str, Any]:
    """Builds the bitstream in Vivado unless there is one of this very design; returns its reports beside the estimate.

    Raises ToolError without Vivado or when it fails, VerificationError when the timing is not met.
    """
    made = board(experiment, name, backend)
    folder, overlay = Path(made["project"]), Path(made["overlay"])
    section = f"bitstream_{made['board']}"
    kept = experiment.folder.read_metrics().get(section)
    if made["bitstream"] and kept and not force:
        experiment.say(f"bitstream: up to date, {made['bitstream']}")
        return {**made, **kept}
    demand_vivado(folder)
    with experiment.locked():
        experiment.say(f"bitstream: Vivado is at work; {folder / 'vivado.log'} says how far it is")
        try:
            done = run_vivado(folder)
        except CodesignError:
            _forget_bitstream(overlay)  # one with a negative slack works now and then
            raise
        facts = read_json(overlay / "board.json")
        _seal(overlay, facts, facts["sha256"])
        answer = {
            "vivado": done.release,
            "backend": backend,
            "clock_mhz": done.clock_mhz,
            "reports": done.reports,
            "estimate": _estimates(experiment, backend, done.reports),
            "source": f"Vivado {done.release}, after routing",
        }
        experiment.folder.update_metrics(section, answer)
    return {**made, "bitstream": str(overlay / facts["bitstream"]), **answer}


def project_folder(experiment: Experiment, site: Site) -> Path:
    """Where everything of one board lies."""
    return experiment.folder.path / "board" / site.board.name


def soft_stages(stages: Stages, width: float | None = None) -> list[SoftStage]:
    """The stages behind the accelerator, which is number 0; those of one width where there are several."""
    rows = enumerate(zip(stages.names[1:], stages.stages[1:], strict=True), 1)
    return [SoftStage(n, name, s.graph, s.outputs, s.logits, s.feature, width) for n, (name, s) in rows]


def _planned_board(experiment: Experiment) -> str:
    """The board that the plan names; of a part, the newest of its boards."""
    name = experiment.config.plan.device
    device = load_device(name)
    if device.processor and name.lower() not in {b.name for b in device.boards}:
        return device.boards[-1].name
    return name


def _check_part(experiment: Experiment, site: Site, backend: Backend) -> None:
    planned = load_device(experiment.config.plan.device)
    if planned.name == site.device.name:
        return
    if backend == "hls":
        raise ConfigError(
            f"the design is planned for {planned.name}, and {site.board.name} carries {site.device.name}",
            where="--board",
            hint="an HLS export is for one part: set plan.device to the board, or take --backend rtl",
        )
    experiment.say(f"board: planned for {planned.name}, built for {site.device.name}; plan.device would use all of it")


def _design(experiment: Experiment, backend: Backend) -> tuple[dict[str, Any], Mapping[str, str]]:
    """design.json, and the SystemVerilog as it lies in rtl/src, edited by hand or not."""
    if backend == "rtl":
        need_rtl(experiment)
        info = rtl_info(experiment)
        return info, load_sources(experiment.folder.rtl / "src", info["top"]).files
    need_hls(experiment)
    return read_json(experiment.folder.design), {}


def _overlay(
    experiment: Experiment, info: Mapping[str, Any], site: Site, backend: Backend
) -> tuple[dict[str, Any], dict[str, str | bytes]]:
    """What board.json says of the design, and {path: content} of all else that goes to the board but the bitstream."""
    cuts = load_widths(experiment)[1] if experiment.config.slim.widths else {None: load_stages(experiment)}
    soft = {width: soft_stages(cut, width) for width, cut in cuts.items()}
    widest, stages = list(cuts.items())[-1]
    units = dict(zip(stages.names, stages.units, strict=True))
    assert all(cut.units == stages.units for cut in cuts.values()), "exits of all widths decide alike"
    values, _ = thresholds_of(experiment, stages)
    codes = [unit.threshold_code(value) for unit, value in zip(stages.units, values, strict=False)]
    images_NHWC = load_samples(experiment.folder)
    answers = host_maker(stages, "numpy")().answer(images_NHWC.astype(np.int64), codes)
    frames = {"images": images_NHWC, "class": answers.class_N, "exit": answers.exit_N, "code": answers.code_N}
    policy = policy_part(experiment, {w: s for w, s in soft.items() if w is not None}, images_NHWC)
    return {**board_info(info, site, backend, soft[widest], units, codes), **policy.facts}, {
        **host_scripts(),
        **tail_files(list(chain(*soft.values()))),
        **policy.files,
        "design.json": as_json(overlay_design(info)),
        "exits.npz": exit_tables(stages.units),
        "frames.npz": npz({**frames, **policy.frames}),
    }


def _seal(overlay: Path, facts: Mapping[str, Any], names: Iterable[str]) -> None:
    """board.json: facts, and the hash of every file, the bitstream's too where it is there."""
    stem = Path(facts["bitstream"]).stem
    built = (name for name in (f"{stem}.bit", f"{stem}.hwh") if (overlay / name).is_file())
    hashes = {name: file_hash(overlay / name) for name in sorted({*names, *built})}
    write_json(overlay / "board.json", {**facts, "sha256": hashes})


def _key(project: Mapping[str, str], content: Mapping[str, str | bytes]) -> str:
    """A hash of the project and of what describes it: a bitstream belongs to one of these."""
    digest = hashlib.sha256()
    for name, text in sorted({**project, "design.json": str(content["design.json"])}.items()):
        digest.update(f"{name}\0{len(text)}\0{text}".encode())
    return digest.hexdigest()


def _packed_key(overlay: Path) -> str:
    path = overlay / "board.json"
    return read_json(path, hint="delete it").get("key", "") if path.is_file() else ""


def _forget(folder: Path, overlay: Path) -> None:
    """Takes away a bitstream, reports and a tail that are of another design."""
    shutil.rmtree(overlay / "tail", ignore_errors=True)
    shutil.rmtree(folder / "reports", ignore_errors=True)
    _forget_bitstream(overlay)


def _forget_bitstream(overlay: Path) -> None:
    for path in (*overlay.glob("*.bit"), *overlay.glob("*.hwh")):
        path.unlink()


def _drop_strangers(folder: Path, names: set[str]) -> None:
    """Takes away sources that an earlier emission left and this one has not."""
    for path in folder.glob("*.*v"):
        if path.name not in names:
            path.unlink()


def _estimates(experiment: Experiment, backend: Backend, reports: Mapping[str, Any]) -> dict[str, Any]:
    """Reported over estimated, of the accelerator alone and of the whole design with its DMA."""
    device = load_device(experiment.config.plan.device)
    if backend == "rtl":
        alone = rtl_resources(load_rtl_design(experiment).dataflow)
        source = "codesign.cost, counted from the units"
    else:
        whole = total(load_design(experiment).dataflow, device)
        alone = Resources(*(getattr(whole, n) - getattr(SHELL, n) for n in ("dsp", "lut", "ff", "bram18")))
        source = "codesign.plan.budget"
    found = {
        "accelerator": compare(reports["accelerator"]["used"], asdict(alone), source),
        "design": compare(reports["utilization"]["used"], asdict(alone + SHELL), source),
    }
    top = rtl_info(experiment)["top"] if backend == "rtl" else read_json(experiment.folder.design)["top"]
    csynth = experiment.folder.hls / f"{top}_prj" / "solution1" / "syn" / "report" / f"{top}_csynth.xml"
    if backend == "hls" and csynth.is_file():
        found["csynth"] = compare(read_csynth(csynth)["used"], asdict(alone), source)
    return found
