"""The heads of a slimmable network's widths: the cut of every width, and all of them as one piece of hardware."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codesign.config import Config
from codesign.errors import ConfigError
from codesign.files import RunFolder
from codesign.flow.cascade import split_for
from codesign.flow.experiment import Experiment
from codesign.flow.slim_graphs import graphs_path, load_graphs
from codesign.ops import OPS
from codesign.passes.slim import SlimGraphs, slim
from codesign.passes.split import Split


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """Narrow to wide: the widths, their networks cut at the exit, and the heads as `passes.slim` makes them. Those of a causal
    network step up."""

    widths: tuple[float, ...]
    cuts: tuple[Split, ...]
    graphs: SlimGraphs


def graph_file(experiment: Experiment) -> Path:
    """The file that holds all graphs of the network."""
    folder = experiment.folder
    return graphs_path(folder) if experiment.config.slim.widths else folder.graph


def heads_of(experiment: Experiment) -> Heads | None:
    """The heads of all widths; None for a network of one width."""
    return heads_in(experiment.folder, experiment.config) if experiment.config.slim.widths else None


def heads_in(folder: RunFolder, config: Config) -> Heads:
    """The heads of all widths of a slimmable run. Raises GraphError where it has no graphs yet."""
    graphs = load_graphs(graphs_path(folder), OPS)
    cuts = tuple(split_for(graph, config.exit) for graph in graphs.values())
    causal = config.slim.recipe == "causal"
    return Heads(tuple(graphs), cuts, slim([cut.head for cut in cuts], step_up=causal))


def index_of(widths: tuple[float, ...], text: str) -> int:
    """The index of a width that somebody names; raises ConfigError for one that the network does not have."""
    names = ", ".join(f"{width:g}" for width in widths)
    if not widths:
        raise ConfigError("this network has one width", where="--width", hint="train one with [slim] widths")
    try:
        return widths.index(float(text))
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a width of this network", where="--width", hint=f"use {names}") from error
