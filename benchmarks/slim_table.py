"""Accuracy of every width of a slimmable network, for all four recipes, beside networks trained alone, over random starts.

    .venv/bin/python benchmarks/slim_table.py [CONFIG] [--starts N] [--epochs N] [--limit N] [--runs DIR] [--doc FILE] [--json]

CONFIG is a slimmable experiment (default: slim_lenet5_mnist). Every network is trained with the same epochs, batches, learning
rate and augmentation: a recipe for `train.epochs` (incremental: as many for each width), and for each width a network alone. The first
start of each recipe is also quantized. A run that was killed goes on where it was. With --doc, the table replaces the region of that
file between `<!-- slim-table CONFIG -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codesign import console
from codesign.config import Config
from codesign.files import RunFolder, read_json, write_atomic, write_json
from codesign.flow.experiment import Experiment, find_config, open_experiment
from codesign.flow.train import train

RECIPES = ("incremental", "joint", "sandwich", "causal")
ALONE = "alone"
INTEGERS_OF = 1  # the start that is also quantized: exact integers of all widths take as long as training
CAUSAL_POINTS = 0.5  # of accuracy that causal may be below sandwich

# What a run gives: accuracy by "float" or "integers", then by `width/exit`.
Result = Mapping[str, Mapping[str, float]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", default="slim_lenet5_mnist", help="a slimmable experiment")
    parser.add_argument("--starts", type=int, default=3, help="random starts: seeds 1, 2, ...")
    parser.add_argument("--epochs", type=int, default=0, help="instead of train.epochs")
    parser.add_argument("--limit", type=int, default=0, help="frames taken from the train set, by default data.limit")
    parser.add_argument("--runs", type=Path, default=None, help="folder of the runs, by default runs/slim_table_NAME")
    parser.add_argument("--doc", type=Path, help="file whose table is replaced")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    config = find_config(Path(arguments.config))
    if arguments.epochs:
        config = replace(config, train=replace(config.train, epochs=arguments.epochs))
    if config.train.threads > 1:
        config = replace(config, train=replace(config.train, threads=1))  # CPU time is of one core
    if arguments.limit:
        config = replace(config, data=replace(config.data, limit=arguments.limit))
    folder = arguments.runs or Path("runs") / f"slim_table_{config.name}"
    found: dict[str, list[Result]] = {way: [] for way in (ALONE, *RECIPES)}
    seconds = 0.0
    for seed in range(1, arguments.starts + 1):
        for way, results in found.items():
            result, cpu_s = run(replace(config, seed=seed), way, folder / f"{way}_{seed}")
            results.append(result)
            seconds += cpu_s
            console.say(f"seed {seed}, {way}: " + ", ".join(f"{k} {100 * v:.2f}" for k, v in result["float"].items()))
    answer = {"config": config.name, "epochs": config.train.epochs, "cpu_s": round(seconds), "accuracy": found}
    write_json(folder / "table.json", answer)
    text = table(config, found, seconds)
    if arguments.doc:
        place(arguments.doc, config.name, text)
    print(json.dumps(answer) if arguments.json else text)
    return 0


def run(config: Config, way: str, folder: Path) -> tuple[Result, float]:
    """What one way of training gives from one start, and the CPU seconds it took; from the folder where it is done."""
    kept = folder / "result.json"
    key = {"train": config.train, "slim": config.slim, "model": config.model, "data": config.data}
    key = json.loads(json.dumps(key, default=lambda value: value.__class__.__name__ + repr(value)))
    if kept.exists() and read_json(kept)["key"] == key:
        return read_json(kept)["result"], read_json(kept)["cpu_s"]
    start = time.process_time()
    result = run_alone(config, folder) if way == ALONE else run_recipe(config, way, folder)
    cpu_s = time.process_time() - start
    write_json(kept, {"key": key, "result": result, "cpu_s": cpu_s})
    return result, cpu_s


def run_recipe(config: Config, recipe: Any, folder: Path) -> Result:
    """All widths in one network, in float and, calibrated, in integers."""
    from codesign.nn.quantize import quantized_accuracy
    from codesign.nn.slim_quantize import quantize_widths

    experiment = open_experiment(replace(config, slim=replace(config.slim, recipe=recipe)), folder)
    real = train(experiment)["test"]
    if config.seed != INTEGERS_OF:
        return {"float": real}
    nets = quantize_widths(experiment.slimmable, experiment.splits, config.quantize, config.seed)
    integers = {
        f"{width:g}/{name}": share
        for width, net in nets.items()
        for name, share in quantized_accuracy(net, experiment.splits.test).items()
    }
    return {"float": real, "integers": integers}


def run_alone(config: Config, folder: Path) -> Result:
    """A network of its own for every width."""
    from codesign.nn.train import train as train_network

    experiment = Experiment(RunFolder(folder), config, lambda text: None)
    slimmable, splits = experiment.fresh_slimmable(), experiment.splits
    accuracies: dict[str, float] = {}
    for width in config.slim.widths:
        network = slimmable.alone(width, config.seed)
        metrics = train_network(
            network, splits, config.train, config.seed, RunFolder(folder / f"{width:g}"), progress=False
        )
        accuracies |= {f"{width:g}/{name}": share for name, share in metrics["test"].items()}
    return {"float": accuracies}


def table(config: Config, found: Mapping[str, Sequence[Result]], seconds: float) -> str:
    """The table as Markdown: per way and width the mean over starts, and half the distance of best and worst."""
    widths = [f"{width:g}" for width in config.slim.widths]
    exits = list(dict.fromkeys(key.partition("/")[2] for key in next(iter(found.values()))[0]["float"]))
    starts = len(next(iter(found.values())))
    frames = f" of {config.data.limit:,} train frames, a part of the set" if config.data.limit else ""
    over = f"mean over {starts} random starts ± half the range" if starts > 1 else "one random start"
    epochs = f"{config.train.epochs} epochs{frames} (`incremental`: for each width)"
    lines = [f"Test accuracy in percent, float32, {over}; {epochs}.", ""]
    for exit_name in reversed(exits):
        lines += [f"Exit `{exit_name}`:", ""]
        lines += [*_rows(found, widths, exit_name, "float"), ""]
    lines += [f"Exit `{exits[-1]}` in integers (calibrated, not fine-tuned), start {INTEGERS_OF} only:", ""]
    lines += [*_rows({way: found[way] for way in RECIPES}, widths, exits[-1], "integers"), ""]
    lines += [f"- {line}" for line in claims(found, widths, exits[-1])]
    lines += ["", f"All of it took {seconds / 60:.0f} CPU minutes on one core."]
    return "\n".join(lines)


def claims(found: Mapping[str, Sequence[Result]], widths: Sequence[str], exit_name: str) -> list[str]:
    """What was promised of the recipes, and whether it is so."""
    mean = {way: {w: _mean(found[way], f"{w}/{exit_name}", "float") for w in widths} for way in found}
    worse = [w for w in widths if mean["sandwich"][w] < mean["incremental"][w]]
    below = max(mean["sandwich"][w] - mean["causal"][w] for w in widths)
    first = "sandwich is at least as good as incremental at every width"
    if worse:
        gaps = ", ".join(f"{w} ({mean['sandwich'][w] - mean['incremental'][w]:+.2f})" for w in worse)
        first = f"sandwich is worse than incremental at {gaps}, at least as good at the others"
    kept = "within" if below <= CAUSAL_POINTS else "not within"
    return [first, f"causal is {kept} {CAUSAL_POINTS} points of sandwich: at most {max(below, 0.0):.2f} below"]


def place(path: Path, name: str, text: str) -> None:
    """Puts `text` into the region of the file that is marked for `name`."""
    page = path.read_text(encoding="utf-8")
    begin, end = f"<!-- slim-table {name} -->", "<!-- end -->"
    if begin not in page:
        sys.exit(f"{path} has no line {begin}")
    before, _, rest = page.partition(begin)
    write_atomic(path, f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def _rows(found: Mapping[str, Sequence[Result]], widths: Sequence[str], exit_name: str, kind: str) -> list[str]:
    lines = ["| recipe | " + " | ".join(widths) + " |", "|---|" + "---:|" * len(widths)]
    for way, results in found.items():
        shares = [[100 * r[kind][f"{w}/{exit_name}"] for r in results if kind in r] for w in widths]
        cells = [_cell(percents) for percents in shares]
        lines.append(f"| {'each width alone' if way == ALONE else way} | " + " | ".join(cells) + " |")
    return lines


def _cell(percents: Sequence[float]) -> str:
    spread = f" ± {(max(percents) - min(percents)) / 2:.2f}" if len(percents) > 1 else ""
    return f"{statistics.mean(percents):.2f}{spread}"


def _mean(results: Sequence[Result], key: str, kind: str) -> float:
    return 100 * statistics.mean(result[kind][key] for result in results)


if __name__ == "__main__":
    sys.exit(main())
