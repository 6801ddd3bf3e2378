"""Tuning a slimmable run: which (width, exit) stages with which thresholds, written to policy.json."""

# Legend: N frames; C classes; E stages, J of them but the last.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ConfigError, nearest
from codesign.files import RunFolder, read_json, write_json
from codesign.flow.cascade import MIN_THRESHOLD, split_for
from codesign.flow.experiment import Experiment
from codesign.flow.policy_costs import costs_of
from codesign.flow.quantize import answers_path, load_answers, need_graph
from codesign.flow.records import file_hash
from codesign.flow.slim_graphs import graphs_path, load_graphs
from codesign.ir.graph import Graph
from codesign.ops import OPS
from codesign.ops.exit_decision import ExitDecision
from codesign.runtime.goals import Goals
from codesign.runtime.lines import Points, ease, point
from codesign.runtime.policy import AGAIN, policy_from
from codesign.runtime.policy_search import Choice, Found, Said, recorded_of, search
from codesign.runtime.stage_costs import Basis, ChainPrices, Pair, StageCosts
from codesign.runtime.stages import Stages, stages_of

Units = Mapping[str, ExitDecision]  # by exit: all widths decide alike


def policy_path(folder: RunFolder) -> Path:
    return folder.path / "policy.json"


def policy_key(experiment: Experiment) -> str:
    """What a policy belongs to: the networks, their answers, and how their exits decide."""
    folder, config = experiment.folder, experiment.config
    narrow = (answers_path(folder, width) for width in config.slim.widths[:-1])
    hashes = map(file_hash, (graphs_path(folder), answers_path(folder), *narrow))
    return " ".join([*hashes, config.exit.split, config.exit.criterion])


def load_widths(experiment: Experiment) -> tuple[dict[float, Graph], dict[float, Stages]]:
    """The run's graphs, and each cut at every exit from the one in hardware on; by width, narrow to wide."""
    need_graph(experiment)
    graphs = load_graphs(graphs_path(experiment.folder), OPS)
    cuts = {width: split_for(graph, experiment.config.exit) for width, graph in graphs.items()}
    return graphs, {width: stages_of(cut, MIN_THRESHOLD) for width, cut in cuts.items()}


def said_of(experiment: Experiment, stages: Mapping[float, Stages], split: str) -> dict[Pair, Said]:
    """What every width and exit says of a split's frames, from recorded integer logits."""
    said: dict[Pair, Said] = {}
    for width, cut in stages.items():
        answers = load_answers(experiment.folder, split, None if width == max(stages) else width)
        for name, unit in zip(cut.names, cut.units, strict=True):
            classes_N, codes_N = unit.evaluate(answers.codes_NC[name])
            said[width, name] = Said(ease(codes_N, above=unit.criterion == "margin"), classes_N == answers.labels_N)
    return said


def reference_of(stages: Mapping[float, Stages], name: str = "") -> Pair:
    """The last exit of a width by its name, such as `0.5/final`; the widest one's by default."""
    pairs = {f"{width:g}/{cut.names[-1]}": (width, cut.names[-1]) for width, cut in stages.items()}
    if name and name not in pairs:
        raise ConfigError(f"no width's last exit is {name!r}", where="--reference", hint=nearest(name, pairs))
    return pairs[name] if name else list(pairs.values())[-1]


def tune_policy(
    experiment: Experiment,
    goals: Goals,
    delta: float = 0.05,
    stages: int = 4,
    reference: str = "",
    least: Basis = "cycles",
) -> dict[str, Any]:
    """The best cascade of at most so many stages within the goals on the calibration split; writes policy.json."""
    graphs, cuts = load_widths(experiment)
    costs, said = costs_of(experiment, graphs), said_of(experiment, cuts, "calibration")
    choice = Choice(tuple(said), reference_of(cuts, reference), stages, least)
    experiment.say(f"tune: chains of {len(said)} widths and exits, on {len(said[choice.reference].right_N)} frames")
    found = search(said, costs, goals, choice, delta)
    units = dict(zip(cuts[max(cuts)].names, cuts[max(cuts)].units, strict=True))
    answer = {
        "stages": stage_rows(found, units),
        "criterion": next(iter(units.values())).criterion,
        "unit": next(iter(units.values())).unit,
        "expected": {
            **expected_of(found.prices, found.chosen),
            "reference": reference_alone(said, costs, choice.reference),
        },
        "guarantee": found.guarantee.to_json(),
        "goals": goals.given(),
        "least": costs.unit if least == "cycles" else "energy",
        "cost_unit": costs.unit,
        "source": {"accuracy, rates": "exact integer model on the calibration split", "costs": costs.source},
        "key": policy_key(experiment),
    }
    with experiment.locked():
        write_json(policy_path(experiment.folder), answer)
    experiment.say(f"tune: {policy_path(experiment.folder)}")
    return {name: value for name, value in answer.items() if name != "key"}


def stage_rows(found: Found, units: Units) -> list[dict[str, Any]]:
    """Every stage with its threshold, what it adds for a frame that comes to it, and the share of frames it stops."""
    rates_E = found.chosen.stops_KE[0] / found.chosen.stops_KE[0].sum()
    energy_E = found.prices.energy_j_E
    rows: list[dict[str, Any]] = []
    for index, (width, exit_) in enumerate(found.chain):
        code = _code(found, units, index)
        rows.append(
            {
                "width": width,
                "exit": exit_,
                "threshold": None if code is None else units[exit_].threshold_value(code),
                "threshold_code": code,
                "cycles": float(found.prices.cycles_E[index]),
                "energy_j": None if energy_E is None else float(energy_E[index]),
                "rate": float(rates_E[index]),
            }
        )
    return rows


def expected_of(prices: ChainPrices, chosen: Points) -> dict[str, Any]:
    """Accuracy and mean costs of a frame at one operating point of a chain, on whatever frames the point was counted."""
    stops_KE = chosen.stops_KE
    return {
        "accuracy": int(chosen.right_K[0]) / int(stops_KE.sum()),
        "cycles": float(prices.cycles(stops_KE)[0]),
        "energy_j": None if prices.energy_j_E is None else float(prices.energy_uj(stops_KE)[0]) / 1e6,
    }


def tried_on(chain: Sequence[Pair], thresholds_J: Sequence[int], said: Mapping[Pair, Said]) -> Points:
    """A chain at thresholds on the ease, on other frames than those that it was chosen on."""
    if len(chain) > 1:
        return point(recorded_of(said, chain), thresholds_J)
    right_N, none = said[chain[0]].right_N, np.zeros((1, 0), np.int64)
    return Points(none, np.array([[len(right_N)]]), np.array([right_N.sum()]), none)


def judged(experiment: Experiment) -> dict[str, Any] | None:
    """What the run's policy does with the test split, at the costs it was tuned with; None without one of these networks."""
    path = policy_path(experiment.folder)
    if not path.exists() or (table := read_json(path, hint=AGAIN)).get("key") != policy_key(experiment):
        return None
    policy, said = policy_from(table, str(path)), said_of(experiment, load_widths(experiment)[1], "test")
    chain, above = [(stage.width, stage.exit) for stage in policy.stages], policy.criterion == "margin"
    codes = [stage.threshold_code for stage in policy.stages if stage.threshold_code is not None]
    tried = tried_on(chain, [int(ease(np.asarray(code), above=above)) for code in codes], said)
    rates = (tried.stops_KE[0] / tried.stops_KE[0].sum()).tolist()
    cycles_E, energy_E = ([row[name] for row in table["stages"]] for name in ("cycles", "energy_j"))
    prices = ChainPrices(
        np.array(cycles_E), None if None in energy_E else np.array(energy_E), None, "cycles", table["source"]["costs"]
    )
    return {
        "stages": [{"width": w, "exit": name, "rate": rate} for (w, name), rate in zip(chain, rates, strict=True)],
        **expected_of(prices, tried),
        "reference": {**table["expected"]["reference"], "accuracy": float(said[chain[-1]].right_N.mean())},
        **{name: table[name] for name in ("cost_unit", "goals", "guarantee")},
    }


def reference_alone(said: Mapping[Pair, Said], costs: StageCosts, reference: Pair) -> dict[str, Any]:
    """One pair for every frame."""
    return expected_of(costs.prices([reference], "cycles"), tried_on([reference], [], said))


def _code(found: Found, units: Units, index: int) -> int | None:
    """A stage's register value."""
    if index == len(found.chain) - 1:
        return None
    threshold, above = found.chosen.thresholds_KJ[0, index], units[found.chain[index][1]].criterion == "margin"
    return int(ease(np.asarray(threshold), above=above))
