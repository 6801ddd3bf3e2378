"""The evaluate step: accuracies in float and in integers, and what the cascade does with the test split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from codesign.errors import VerificationError
from codesign.flow.cascade import Operating, curve_of, exits_in_float, operate, split_for, unit_of
from codesign.flow.experiment import Experiment
from codesign.flow.quantize import SAMPLES, Answers, load_answers, load_samples, need_graph
from codesign.flow.slim_graphs import graphs_path, load_graphs
from codesign.flow.widths import index_of
from codesign.ir.graph import Graph
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.ops.exit_decision import ExitDecision
from codesign.verify import golden


def evaluate(experiment: Experiment, width: str = "") -> dict[str, Any]:
    """Section `evaluate` of the metrics: every exit in float and in integers, the cascade, and the flip rate; of several widths
    that of the widest, with `widths` and what compares them. With a `width`, section `evaluate_WIDTH`: that one alone.

    The threshold is chosen on the calibration split and only then tried on the test split. The logits that the quantized
    network recorded are held against the golden model on a sample; raises VerificationError when they differ.
    """
    folder, widths = experiment.folder, tuple(experiment.config.slim.widths)
    at = widths[index_of(widths, width)] if width else None
    need_graph(experiment)
    if at is not None:
        graphs = load_graphs(graphs_path(folder), OPS)
        metrics = {"width": at, **_of_network(experiment, graphs[at], at), **_costs(experiment, graphs, at)}
    else:
        metrics = _of_network(experiment, load_graph(folder.graph, OPS))
    if widths and at is None:
        from codesign.flow.slim import evaluate_slim

        metrics |= evaluate_slim(experiment)
    with experiment.locked():
        folder.update_metrics("evaluate" if at is None else f"evaluate_{at:g}", metrics)
    return metrics


def _of_network(experiment: Experiment, graph: Graph, width: float | None = None) -> dict[str, Any]:
    """What there is to say of one network, that of a width or the only one."""
    folder, config = experiment.folder, experiment.config
    narrow = None if width is None or width == config.slim.widths[-1] else width
    calibration, test = (load_answers(folder, split, narrow) for split in ("calibration", "test"))
    checked = check_against_golden(graph, test, load_samples(folder))
    cut, final = split_for(graph, config.exit), graph.exits[-1].name
    operating = operate(cut, final, config.exit, calibration)
    return {
        "float": _accuracies(test.float_NC, test),
        "quantized": _accuracies(test.codes_NC, test),
        **_cascade(operating, unit_of(cut.head), final, test),
        "frames": len(test.labels_N),
        "source": f"exact integer model on the test split; {checked} frames checked against the golden model",
    }


def _costs(experiment: Experiment, graphs: Mapping[float, Graph], width: float) -> dict[str, Any]:
    """What every exit of a width costs, in a design with the whole network in hardware."""
    from codesign.flow.policy_costs import costs_of

    costs = costs_of(experiment, graphs)
    return {"costs": {"exits": costs.row(width), "unit": costs.unit, "source": costs.source}}


def check_against_golden(graph: Graph, answers: Answers, images: np.ndarray) -> int:
    """How many frames were compared, once the golden model gives the recorded codes on all of them."""
    logits = golden.run(graph, {"image": images[:SAMPLES]}, keep=[point.logits for point in graph.exits])
    for point in graph.exits:
        want = logits[point.logits].reshape(len(images), -1)
        got = answers.codes_NC[point.name][: len(images)]
        if not np.array_equal(want, got):
            frame = int(np.flatnonzero((want != got).any(axis=1))[0])
            raise VerificationError(
                f"recorded logits of exit {point.name} differ from the golden model, first in frame {frame}",
                where=graph.name,
                hint="run `codesign quantize --force`; if it stays, report it as a bug",
            )
    return len(images)


def _accuracies(logits_NC: Any, answers: Answers) -> dict[str, float]:
    return {name: float((logits.argmax(axis=1) == answers.labels_N).mean()) for name, logits in logits_NC.items()}


def _cascade(operating: Operating, unit: ExitDecision, final: str, test: Answers) -> dict[str, Any]:
    exit_name, above = operating.exit, unit.criterion == "margin"
    curve = curve_of(unit, exit_name, final, test)
    point = curve.at(operating.code, above=above)
    return {
        "cascade": {
            "threshold": operating.value,
            "exit_rate": point.exit_rate,
            "accuracy": point.accuracy,
            "exit_accuracy": point.exit_accuracy,
            "rest_accuracy": point.rest_accuracy,
            "final_alone": curve.final_accuracy,
            **{key: value for key, value in operating.to_json().items() if key != "threshold"},
        },
        "flip_rate": flip_rate(operating, unit, test),
        "curve": [{"threshold": unit.confidence(p.threshold), **p.to_json()} for p in curve.thinned()],
    }


def flip_rate(operating: Operating, unit: ExitDecision, test: Answers) -> float:
    """The share of frames that the integers treat otherwise than float: stop or go on, or the class of those that stop."""
    classes_N, codes_N = unit.evaluate(test.codes_NC[operating.exit])
    exits_N = unit.decide(codes_N, operating.code)
    real_NC = test.float_NC[operating.exit]
    float_exits_N = exits_in_float(unit.criterion, real_NC, operating.value)
    classes_differ_N = exits_N & float_exits_N & (classes_N != real_NC.argmax(axis=1))
    return float(((exits_N != float_exits_N) | classes_differ_N).mean())
