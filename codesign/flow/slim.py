"""What the steps do more for a slimmable network: quantize all widths together, and evaluate each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codesign.flow.experiment import Experiment
from codesign.flow.quantize import Answers, load_answers, load_samples, record_answers
from codesign.flow.slim_graphs import check_nested, graphs_path, load_graphs, save_graphs, storage_bits
from codesign.ops import OPS

if TYPE_CHECKING:
    from codesign.ir.graph import Graph


def quantize_slim(experiment: Experiment) -> None:
    """Writes graphs.json with every width, graph.json with the widest, and the answers of each."""
    from codesign.ir.graph import identifier
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
    """Every width and exit in float and in integers, held against the golden model on a sample, and the storage."""
    from codesign.flow.evaluate import check_against_golden

    folder, (*narrow, widest) = experiment.folder, experiment.config.slim.widths
    graphs = load_graphs(graphs_path(folder), OPS)
    check_nested(graphs)
    widths: list[dict[str, Any]] = []
    for width in (*narrow, widest):
        answers = load_answers(folder, "test", None if width == widest else width)
        check_against_golden(graphs[width], answers, load_samples(folder))
        widths.append({"width": width, **_accuracies(answers)})
    return {"widths": widths, "storage": storage_bits(graphs)}


def _accuracies(answers: Answers) -> dict[str, dict[str, float]]:
    return {
        kind: {name: float((logits.argmax(axis=1) == answers.labels_N).mean()) for name, logits in table.items()}
        for kind, table in (("float", answers.float_NC), ("quantized", answers.codes_NC))
    }
