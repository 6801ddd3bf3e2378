"""The report step: report.html, one page of all that is known of a run. It runs nothing but the planner."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codesign.devices import load_device
from codesign.errors import CodesignError
from codesign.files import read_json, write_atomic
from codesign.flow.cascade import MIN_THRESHOLD, split_for
from codesign.flow.dispatch import thresholds_of, tune_key
from codesign.flow.experiment import Experiment
from codesign.flow.hls import load_design
from codesign.flow.plan import plan
from codesign.flow.quantize import answers_path, load_answers, quantize_key
from codesign.flow.records import is_fresh
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.plan.exact import for_rtl
from codesign.report import Design, Frames, Network, Page, Records, page_of, render
from codesign.runtime.stages import stages_of


def report(experiment: Experiment, output: Path | None = None) -> tuple[Path, Page]:
    """Writes the page, report.html in the run folder by default, and returns its place and its content.

    What was not run is said on the page. A plan that is missing is made, which is quick; nothing else is run.
    """
    path = output or experiment.folder.path / "report.html"
    try:
        page = page_of(load_records(experiment))
    except KeyError as error:
        raise CodesignError(
            f"a record has no {error}",
            where=str(experiment.folder.path),
            hint="it is of another version or damaged: run the step that wrote it again",
        ) from error
    write_atomic(path, render(page))
    experiment.say(f"report: {path}")
    return path, page


def load_records(experiment: Experiment) -> Records:
    """What the run folder says, as it lies there."""
    folder, config = experiment.folder, experiment.config
    notes: list[str] = []
    network = _network(experiment, notes)
    design = _design(experiment, notes) if network else None
    tune, curve = _tuned(experiment) if network else (None, [])
    return Records(
        config.name,
        asdict(config),
        load_device(config.plan.device),
        _dates(experiment),
        network,
        design,
        folder.read_metrics(),
        tune,
        curve,
        tuple(notes),
    )


def _network(experiment: Experiment, notes: list[str]) -> Network | None:
    folder, config = experiment.folder, experiment.config
    if not (folder.graph.exists() and answers_path(folder).exists()):
        return None
    if not _as_configured(experiment):
        notes.append("The network is older than the config or the weights; `codesign quantize RUN` makes it anew.")
    graph = load_graph(folder.graph, OPS)
    stages = stages_of(split_for(graph, config.exit), MIN_THRESHOLD)
    values, chosen = thresholds_of(experiment, stages)
    codes = tuple(unit.threshold_code(value) for unit, value in zip(stages.units, values, strict=False))
    test, calibration = (_frames(experiment, split) for split in ("test", "calibration"))
    return Network(graph, stages, test, calibration, codes, chosen)


def _frames(experiment: Experiment, split: str) -> Frames:
    answers = load_answers(experiment.folder, split)
    return Frames(answers.labels_N, answers.codes_NC)


def _as_configured(experiment: Experiment) -> bool:
    """Whether the graph is what the config asks for, or was given instead of made."""
    folder = experiment.folder
    return not folder.weights.exists() or is_fresh(folder, "quantize", quantize_key(experiment), [folder.graph])


def _design(experiment: Experiment, notes: list[str]) -> Design | None:
    """The planned design; planned now where there is no plan and the network needs no step before."""
    try:
        if not experiment.folder.plan.exists():
            if not _as_configured(experiment):
                return None
            plan(experiment)
        design = load_design(experiment)
    except CodesignError as error:
        notes.append(f"The plan cannot be used: {error.what}. `codesign plan RUN` makes another.")
        return None
    return Design(design.plan, design.dataflow, for_rtl(design.dataflow))


def _tuned(experiment: Experiment) -> tuple[Any, list[Any]]:
    """The last tuning and its curve, if it was of this network."""
    folder = experiment.folder.path / "tune"
    if not (folder / "tune.json").exists() or not (folder / "curve.json").exists():
        return None, []
    tuned = read_json(folder / "tune.json")
    if tuned.get("key") != tune_key(experiment):
        return None, []
    return tuned, read_json(folder / "curve.json")["points"]


def _dates(experiment: Experiment) -> tuple[str, str]:
    """First and last day on which a record was written, by the dates of the files."""
    folder = experiment.folder
    paths = [folder.config, folder.graph, answers_path(folder), folder.plan, folder.metrics, folder.design]
    paths += [folder.rtl / "design.json", folder.path / "tune" / "tune.json"]
    times = [path.stat().st_mtime for path in paths if path.exists()]
    first, last = (datetime.fromtimestamp(time, UTC).date().isoformat() for time in (min(times), max(times)))
    return first, last
