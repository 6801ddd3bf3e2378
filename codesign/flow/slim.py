"""What the steps do more for a slimmable network: quantize all widths together, and evaluate each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codesign.flow.experiment import Experiment
from codesign.flow.policy_costs import costs_of
from codesign.flow.quantize import SPLITS, Answers, load_answers, load_samples, record_answers
from codesign.flow.slim_cascade import step_up
from codesign.flow.slim_graphs import check_nested, graphs_path, load_graphs, save_graphs, storage_bits
from codesign.ir.graph import Graph, identifier
from codesign.ops import OPS


def quantize_slim(experiment: Experiment) -> None:
    """Writes graphs.json with every width, graph.json with the widest, and the answers of each."""
    from codesign.ir.store import save_graph
    from codesign.nn.export import export
    from codesign.nn.slim_quantize import quantize_widths

    folder, config, model = experiment.folder, experiment.config, experiment.slimmable
    experiment.say(f"quantize: {len(model.widths)} widths over one set of {config.quantize.weight_bits}-bit weights")
    nets = quantize_widths(model, experiment.splits, config.quantize, config.seed, folder)
    widest = model.widths[-1]
    graphs: dict[float, Graph] = {
        width: export(net, identifier(config.name if width == widest else f"{config.name}_{round(100 * width)}"))
        for width, net in nets.items()
    }
    check_nested(graphs)
    save_graphs(graphs, graphs_path(folder))
    save_graph(graphs[widest], folder.graph)
    for width, net in nets.items():
        record_answers(experiment, model.at(width), net, None if width == widest else width)
    folder.update_metrics("storage", {**storage_bits(graphs), "source": "counted: the constants of all graphs"})


def evaluate_slim(experiment: Experiment) -> dict[str, Any]:
    """Every width and exit in float and in integers, held against the golden model on a sample, and what it costs; cascades
    that step up from width to width; the tuned policy; and the storage."""
    from codesign.flow.evaluate import check_against_golden
    from codesign.flow.policy import judged

    folder, config = experiment.folder, experiment.config
    graphs = load_graphs(graphs_path(folder), OPS)
    check_nested(graphs)
    answers = {
        split: {w: load_answers(folder, split, None if w == max(graphs) else w) for w in graphs} for split in SPLITS
    }
    for width, graph in graphs.items():
        check_against_golden(graph, answers["test"][width], load_samples(folder))
    causal, costs = config.slim.recipe == "causal", costs_of(experiment, graphs)
    return {
        "widths": [{"width": w, **_accuracies(answers["test"][w]), "costs": costs.row(w)} for w in graphs],
        "costs": {"unit": costs.unit, "source": costs.source},
        "policy": judged(experiment),
        "step_up": [step_up(graphs, answers, chain, config.exit, causal=causal) for chain in chains_of(graphs)],
        "storage": storage_bits(graphs),
    }


def chains_of(graphs: Mapping[float, Graph]) -> list[list[tuple[float, str]]]:
    """Cascades worth a look: the final exit of every width, and the first exit of every width before the last final one."""
    widest = max(graphs)
    first, final = graphs[widest].exits[0].name, graphs[widest].exits[-1].name
    chains = [[(width, final) for width in graphs]]
    if first != final:
        chains.append([*((width, first) for width in graphs), (widest, final)])
    return chains


def _accuracies(answers: Answers) -> dict[str, dict[str, float]]:
    return {
        kind: {name: float((logits.argmax(axis=1) == answers.labels_N).mean()) for name, logits in table.items()}
        for kind, table in (("float", answers.float_NC), ("quantized", answers.codes_NC))
    }
