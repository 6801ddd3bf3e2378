"""What a policy over widths and exits saves, beside the best that exits alone and widths alone can do.

    .venv/bin/python benchmarks/width_policy.py RUN [--stages N] [--products] [--json]

RUN is a slimmable run. Policies are chosen on the calibration split, the cheapest within several limits on the drop in accuracy and the
most accurate within several limits on the cost, and then tried on the test split; the base is the widest network's last exit for every frame. Each figure is on one basis for both sides, the stage
costs of `codesign tune` (`flow/policy_costs.py`), or with --products what no folding changes. "At equal accuracy" is the cheapest of the tried policies that are at least
so accurate on the test split.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codesign import console
from codesign.errors import ConfigError
from codesign.flow.experiment import open_experiment
from codesign.flow.policy import expected_of, load_widths, reference_alone, reference_of, said_of, tried_on
from codesign.flow.policy_costs import costs_of, product_costs
from codesign.runtime.goals import Goals
from codesign.runtime.policy_search import Choice, Said, search
from codesign.runtime.stage_costs import Basis, Pair, StageCosts

DROPS = (0.0, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015)  # allowed on the calibration split: the cheapest
CAPS = (0.15, 0.2, 0.65)  # of what the base costs: the most accurate, which may be more so than the base
BELOW = (0.0, 0.001, 0.0025, 0.005, 0.01)  # accuracies on the test split to compare at, below the base's
PROMISED, POINT = 0.9, 0.01  # of the energy, at less than a point
DELTA = 0.05

# A policy that was tried: accuracy and costs on the test split, the limit it was chosen for, and its stages.
Tried = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a slimmable run, or an experiment to make one of")
    parser.add_argument("--stages", type=int, default=4, help="of a policy, at most")
    parser.add_argument("--products", action="store_true", help="count products of weights and activations instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    experiment = open_experiment(Path(arguments.run))
    graphs, cuts = load_widths(experiment)
    causal, reference = experiment.config.slim.recipe == "causal", reference_of(cuts)
    costs = product_costs(graphs, causal=causal) if arguments.products else costs_of(experiment, graphs)
    calibration, test = (said_of(experiment, cuts, split) for split in ("calibration", "test"))
    base = reference_alone(test, costs, reference)
    bases: list[Basis] = ["cycles", "energy"] if costs.energy_j else ["cycles"]
    answer: dict[str, Any] = {
        "run": str(experiment.folder.path),
        "frames": {"calibration": len(calibration[reference].right_N), "test": len(test[reference].right_N)},
        "unit": costs.unit,
        "base": base,
        "source": {"accuracy": "exact integers on the test split", "costs": costs.source},
    }
    for basis in bases:
        tried = {
            family: list(tries(calibration, test, costs, Choice(pairs, reference, arguments.stages, basis)))
            for family, pairs in families(list(test), reference).items()
        }
        answer[basis] = {"tried": tried, "equal_accuracy": compared(tried, base, basis)}
    print(json.dumps(answer) if arguments.json else text(answer, bases))
    return 0


def families(pairs: Sequence[Pair], reference: Pair) -> dict[str, tuple[Pair, ...]]:
    """Which pairs may be stages: exits of the widest network, last exits of all widths, or both."""
    return {
        "exits": tuple(pair for pair in pairs if pair[0] == reference[0]),
        "widths": tuple(pair for pair in pairs if pair[1] == reference[1]),
        "both": tuple(pairs),
    }


def tries(
    calibration: Mapping[Pair, Said], test: Mapping[Pair, Said], costs: StageCosts, choice: Choice
) -> Iterator[dict[str, Any]]:
    """Policies of one family, each for a goal on the calibration split, as they do on the test split."""
    costs = replace(costs, clock_hz=1e6)  # a cycle a microsecond: a limit on latency is one on cycles
    base = float(costs.of([choice.reference], choice.basis)[0])
    name, scale = ("max_latency", 1.0) if choice.basis == "cycles" else ("max_energy", 1e6)
    goals = [*({"max_accuracy_drop": drop} for drop in DROPS), *({name: cap * base * scale} for cap in CAPS)]
    for goal in goals:
        console.say(f"{len(choice.pairs)} pairs, least {choice.basis}, {goal}")
        try:
            found = search(calibration, costs, Goals(**goal), choice, DELTA)
        except ConfigError:
            continue  # no policy of this family is so cheap
        point = tried_on(found.chain, found.chosen.thresholds_KJ[0].tolist(), test)
        rates = (point.stops_KE[0] / point.stops_KE[0].sum()).tolist()
        stages = [
            {"width": w, "exit": exit_, "rate": rate} for (w, exit_), rate in zip(found.chain, rates, strict=True)
        ]
        yield {"goal": goal, **expected_of(found.prices, point), "epsilon": found.guarantee.epsilon, "stages": stages}


def compared(tried: Mapping[str, Sequence[Tried]], base: Tried, basis: Basis) -> list[dict[str, Any]]:
    """For each accuracy the cheapest policy of every family that reaches it on the test split, as a share of the base."""
    key = "cycles" if basis == "cycles" else "energy_j"
    rows: list[dict[str, Any]] = []
    for below in BELOW:
        enough = base["accuracy"] - below - 1e-12
        row: dict[str, Any] = {"below": below, "accuracy": base["accuracy"] - below}
        for family, points in tried.items():
            found = [point for point in (*points, base) if point["accuracy"] >= enough]
            row[family] = min(point[key] for point in found) / base[key]  # the base itself is always one
        rows.append(row)
    return rows


def text(answer: Mapping[str, Any], bases: Sequence[Basis]) -> str:
    """The comparison as Markdown."""
    base, lines = answer["base"], list[str]()
    frames = answer["frames"]["test"]
    for basis in bases:
        what = answer["unit"] if basis == "cycles" else "joules"
        amount = f"{base['cycles']:,.0f}" if basis == "cycles" else f"{base['energy_j']:.3g}"
        lines += [
            f"Expected {what} a frame on {frames} test frames; 100 % is the widest network alone, {amount} at "
            f"{100 * base['accuracy']:.2f} % accuracy. Thresholds are chosen on {answer['frames']['calibration']} other frames.",
            "",
            "| accuracy, at least | exits alone | widths alone | widths and exits |",
            "|---:|---:|---:|---:|",
        ]
        for row in answer[basis]["equal_accuracy"]:
            cells = " | ".join(f"{100 * row[family]:.1f} %" for family in ("exits", "widths", "both"))
            lines.append(f"| {100 * row['accuracy']:.2f} % | {cells} |")
        lines += ["", *(f"- {line}" for line in claims(answer[basis], base, basis)), ""]
    return "\n".join([*lines, f"Costs: {answer['source']['costs']}."])


def claims(found: Mapping[str, Any], base: Tried, basis: Basis) -> list[str]:
    """What was promised of policies, and whether it is so."""
    key, what = ("cycles", "work") if basis == "cycles" else ("energy_j", "energy")
    within = [p for p in found["tried"]["both"] if p["accuracy"] > base["accuracy"] - POINT] or [base]
    best = min(within, key=lambda point: point[key])
    saved, lost = 1 - best[key] / base[key], 100 * (base["accuracy"] - best["accuracy"])
    chain = ", ".join(f"{s['width']:g}/{s['exit']} {100 * s['rate']:.1f} %" for s in best.get("stages", []))
    kept = "as promised" if saved >= PROMISED else f"less than the promised {100 * PROMISED:g} %"
    lines = [
        f"at less than a point a policy saves {100 * saved:.1f} % of the {what}, {kept}: {lost:.2f} points, {chain}"
    ]
    beaten: list[str] = []
    for row in found["equal_accuracy"]:
        rival = min(row[family] for family in ("exits", "widths"))
        if row["both"] < rival * (1 - 1e-9):
            beaten.append(f"{100 * row['accuracy']:.2f} % (by {100 * (1 - row['both'] / rival):.1f} %)")
        elif row["both"] > rival * (1 + 1e-9):
            by = 100 * (row["both"] / rival - 1)
            lines.append(f"at {100 * row['accuracy']:.2f} % widths and exits together lose by {by:.1f} %")
    return [
        *lines,
        f"widths and exits together beat both, widths alone and exits alone, at {', '.join(beaten) or 'none'}",
    ]


if __name__ == "__main__":
    sys.exit(main())
