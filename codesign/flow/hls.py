"""The hls step: the design's C++ sources, testbench and project files, and design.json for the host."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import codesign
from codesign.devices import load_board
from codesign.files import RunFolder, read_json, write_json, write_tree
from codesign.flow.cascade import Operating, operate, split_for
from codesign.flow.experiment import Experiment
from codesign.flow.plan import need_plan
from codesign.flow.quantize import answers_path, load_answers, load_samples
from codesign.flow.records import file_hash, is_fresh, key_of, read_records, record, tree_hash
from codesign.flow.widths import graph_file, heads_of
from codesign.ir.graph import Graph
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.plan.dataflow import Dataflow
from codesign.plan.names import Names
from codesign.plan.plan import Plan, load_plan, realize
from codesign.plan.ports import feature_word
from codesign.plan.widths import first_sent, realize_widths
from codesign.verify import golden

TESTBENCH_FRAMES = 8  # enough for several batches, few enough for RTL cosimulation

GENERATOR = ("ir", "ops", "passes", "plan", "emit", "devices")  # code that decides what is emitted


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """What the sources in hls/ are an image of: the hardware's graph, its plan and dataflow, and the name of its top.

    Of several `widths`, narrow to wide, these are the widest's. `steps` are of frames that step up from one to the next. The
    index of a frame's kind counts both.
    """

    head: Graph
    plan: Plan
    dataflow: Dataflow
    top: str
    exit: str
    widths: tuple[View, ...] = ()
    steps: tuple[View, ...] = ()

    @property
    def kinds(self) -> tuple[View, ...]:
        return self.widths + self.steps


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A design at one of its widths, or stepping up to it from a narrower one: the golden head of the width, and the dataflow
    with its loops. Channels of the feature map that come are those from `first` on."""

    width: float
    head: Graph
    dataflow: Dataflow
    base: float | None = None
    first: int = 0


def hls(experiment: Experiment, *, force: bool = False) -> dict[str, Any]:
    """Emits the design unless that is up to date, and returns what a person wants to know of it."""
    folder = experiment.folder
    need_plan(experiment)
    with experiment.locked():
        key = hls_key(experiment)
        if not force and is_fresh(folder, "hls", key, [folder.hls / "src", folder.design]):
            experiment.say(f"hls: up to date, {folder.hls}")
        else:
            _emit(experiment, key)
    info = read_json(folder.design)
    return {"hls": str(folder.hls), "files": len(read_records(folder)["hls"]["files"]), **info}


def need_hls(experiment: Experiment) -> None:
    """Emits the design when there is none for this config, graph and generator. Sources edited by hand stay."""
    need_plan(experiment)
    if not is_fresh(
        experiment.folder, "hls", hls_key(experiment), [experiment.folder.hls / "src", experiment.folder.design]
    ):
        hls(experiment)


def hls_key(experiment: Experiment) -> str:
    """A hash of what the emitted files depend on, templates and the generator's own code included."""
    from codesign.emit.templates import template_folder

    folder, package = experiment.folder, Path(codesign.__file__).parent
    code = tree_hash([package / name for name in GENERATOR], (".py", ".toml"))
    templates = tree_hash(
        [template_folder() / name for name in ("hls", "lib", "compat")], (".j2", ".h", ".cpp", ".tcl")
    )
    inputs = {
        "graph": file_hash(graph_file(experiment)),
        "answers": file_hash(answers_path(folder)),
        "plan": file_hash(folder.plan),
    }
    return key_of(
        "hls", **inputs, name=experiment.config.name, exit=experiment.config.exit, code=code, templates=templates
    )


def load_design(experiment: Experiment) -> Design:
    """The design that the run folder's graph and plan describe."""
    folder, config = experiment.folder, experiment.config
    heads, made = heads_of(experiment), load_plan(folder.plan)
    cut = heads.cuts[-1] if heads else split_for(load_graph(folder.graph, OPS), config.exit)
    top = Names().take(f"{config.name}_{cut.exit.name}")
    if heads is None:
        return Design(cut.head, made, realize(cut.head, made), top, cut.exit.name)
    flows = realize_widths(heads.graphs, made)
    views = tuple(View(w, c.head, flow) for w, c, flow in zip(heads.widths, heads.cuts, flows.widths, strict=True))
    steps = tuple(_step(*pair, flow) for pair, flow in zip(pairwise(views), flows.steps, strict=False))
    return Design(cut.head, made, flows.widest, top, cut.exit.name, views, steps)


def _step(narrow: View, wide: View, flow: Dataflow) -> View:
    first = first_sent(*(view.head.types[view.head.node("features").inputs[0]].channels for view in (narrow, wide)))
    return View(wide.width, wide.head, flow, narrow.width, first)


def _emit(experiment: Experiment, key: str) -> None:
    from codesign.emit.lint import demand_clean
    from codesign.emit.project import emit_project
    from codesign.plan.design import design_info

    folder = experiment.folder
    design, operating = load_design(experiment), operating_of(experiment)
    device, board = load_board(experiment.config.plan.device)
    part = board.speed_part if board and board.speed_part else device.part
    files = {
        **sources(design),
        **testbench(design, load_samples(folder)[:TESTBENCH_FRAMES], operating.code),
        **emit_project(top=design.top, part=part, clock_mhz=design.plan.clock_mhz),
    }
    narrow, steps = ([v.dataflow for v in views] for views in (design.widths[:-1], design.steps))
    demand_clean(files, design.dataflow, narrow, steps)
    _replace_tree(folder, files)
    info = design_info(design.head, design.dataflow, design.plan)
    if design.widths:
        info["widths"] = [_speed(v, design.plan, width=v.width) for v in design.widths]
        info["steps"] = [_speed(v, design.plan, **{"from": v.base, "to": v.width}) for v in design.steps]
    write_json(folder.design, {**info, "top": design.top, "operating": operating.to_json()})
    record(folder, "hls", key, files=sorted(files))
    experiment.say(f"hls: {len(files)} files in {folder.hls}, top {design.top}")


def sources(design: Design) -> dict[str, str]:
    """{path: text} of the design's C++ sources."""
    from codesign.emit.hls import emit_hls

    device, clock_mhz = design.plan.device, design.plan.clock_mhz
    return emit_hls(
        design.dataflow,
        top=design.top,
        exit_name=design.exit,
        device=device,
        clock_mhz=clock_mhz,
        narrow=[view.dataflow for view in design.widths[:-1]],
        steps=[view.dataflow for view in design.steps],
    )


def testbench(design: Design, images: npt.NDArray[np.uint8], threshold: int) -> dict[str, str]:
    """{path: text} of the self-checking testbench, with these frames and what the golden model says of them."""
    from codesign.emit.testbench import Answers, emit_testbench

    image = images.astype(np.int64)
    feature = design.head.node("features").inputs[0]

    def answers(head: Graph, dataflow: Dataflow) -> Answers:
        want = golden.run(head, {"image": image, "threshold": threshold}, keep=["decision", feature])
        return Answers(dataflow, want["decision"], want[feature])

    own = answers(design.head, design.dataflow)
    return emit_testbench(
        design.dataflow,
        top=design.top,
        image=image,
        decisions=own.decisions,
        features=own.features,
        threshold=threshold,
        narrow=[answers(view.head, view.dataflow) for view in design.widths[:-1]],
    )


def _speed(view: View, plan: Plan, **names: float | None) -> dict[str, Any]:
    bound = view.dataflow.bound
    rate = plan.clock_mhz * 1e6 / bound
    return {**names, "interval_cycles": bound, "frames_per_second": rate, "source": "estimated", **feature_of(view)}


def feature_of(view: View) -> dict[str, Any]:
    """The feature map that the port sends of a frame of a width."""
    x, word = view.head.types[view.head.node("features").inputs[0]], feature_word(view.dataflow)
    rows, columns, channels = x.shape
    return {"feature": {"shape": [rows, columns, channels - view.first], "beats": word.beats}}


def operating_of(experiment: Experiment) -> Operating:
    """The operating point that the run's calibration split, or its config, gives."""
    graph = load_graph(experiment.folder.graph, OPS)
    cut = split_for(graph, experiment.config.exit)
    return operate(cut, graph.exits[-1].name, experiment.config.exit, load_answers(experiment.folder, "calibration"))


def _replace_tree(folder: RunFolder, files: dict[str, str]) -> None:
    """Writes the files, and takes away those that an earlier emission left and this one has not."""
    for name in read_records(folder).get("hls", {}).get("files", []):
        if name not in files:
            (folder.hls / name).unlink(missing_ok=True)
    write_tree(files, folder.hls)
