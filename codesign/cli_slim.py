"""What the commands print of a slimmable run: its widths, and its policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codesign import console


def widths_table(answer: Mapping[str, Any]) -> None:
    rows: list[list[object]] = []
    for entry in answer["widths"]:
        for name, share in entry["float"].items():
            costs = _costs(entry["costs"].get(name, {}))
            rows.append([f"{entry['width']:g}", name, 100 * share, 100 * entry["quantized"][name], *costs])
    storage = answer["storage"]
    note = (
        f"bits of weights for all widths {storage['weights_ratio']:.3f} times those of the widest, "
        f"with requantizers {storage['ratio']:.3f} times"
    )
    heads = ("width", "exit", "float", "integers", answer["costs"]["unit"], "uJ")
    console.table("Accuracy of every width, %", heads, rows, (note, *_steps_up(answer), *_policy(answer["policy"])))


def width_table(answer: Mapping[str, Any], notes: Sequence[str]) -> None:
    """One width alone."""
    costs = answer["costs"]
    rows = [
        [name, 100 * share, 100 * answer["quantized"][name], *_costs(costs["exits"].get(name, {}))]
        for name, share in answer["float"].items()
    ]
    title = f"Accuracy of width {answer['width']:g} on {answer['frames']} test frames, %"
    console.table(title, ("exit", "float", "integers", costs["unit"], "uJ"), rows, notes)


def _costs(cost: Mapping[str, Any]) -> tuple[str, str]:
    """Cycles and microjoules of an exit, empty where nobody knows them."""
    cycles, joules = cost.get("cycles"), cost.get("energy_j")
    return "" if cycles is None else f"{cycles:,.0f}", "" if joules is None else f"{1e6 * joules:.3g}"


def policy_table(answer: dict[str, Any]) -> None:
    unit, promised, expected = answer["cost_unit"], answer["guarantee"], answer["expected"]
    reference = expected["reference"]
    rows: list[list[object]] = [
        [
            f"{stage['width']:g}",
            stage["exit"],
            "" if stage["threshold"] is None else f"{stage['threshold']:.4g}",
            f"{stage['cycles']:,.0f}",
            "" if stage["energy_j"] is None else f"{1e6 * stage['energy_j']:.3g}",
            f"{100 * stage['rate']:.2f} %",
        ]
        for stage in answer["stages"]
    ]
    energy = ""
    if expected["energy_j"] is not None:
        saved = 1 - expected["energy_j"] / reference["energy_j"]
        energy = f"; {1e6 * expected['energy_j']:.3g} uJ, {100 * saved:.1f} % less"
    console.table(
        f"Policy: the least {answer['least']} within the goals"
        if {"max_accuracy_drop", "max_risk"} & answer["goals"].keys()
        else "Policy: the most accurate within the goals",
        ("width", "exit", f"threshold, {answer['unit']}", f"{unit} it adds", "uJ", "stop here"),
        rows,
        (
            f"accuracy {100 * expected['accuracy']:.2f} %, the last stage alone {100 * reference['accuracy']:.2f} % "
            f"({promised['n']} calibration frames)",
            f"guarantee: at most {100 * promised['epsilon']:.3g} % of unseen frames are spoiled by stopping early, "
            f"with {100 * (1 - promised['delta']):g} % confidence",
            f"a frame: {expected['cycles']:,.0f} {unit} instead of {reference['cycles']:,.0f}, "
            f"{100 * (1 - expected['cycles'] / reference['cycles']):.1f} % less{energy}",
            f"costs: {answer['source']['costs']}",
        ),
    )


def _steps_up(answer: Mapping[str, Any]) -> list[str]:
    """One line for each cascade from width to width."""
    return [
        "stepping up "
        + ", ".join(f"{s['width']:g}/{s['exit']} ({100 * s['rate']:.1f} %)" for s in cascade["stages"])
        + f": accuracy {100 * cascade['accuracy']:.2f} %, {100 * cascade['products'] / cascade['products_last_alone']:.0f} % "
        f"of the last stage's products, which alone has {100 * cascade['last_alone']:.2f} %"
        for cascade in answer["step_up"]
    ]


def _policy(policy: Mapping[str, Any] | None) -> list[str]:
    """What the tuned policy does with the test frames."""
    if policy is None:
        return []
    reference = policy["reference"]
    stages = ", ".join(f"{s['width']:g}/{s['exit']} ({100 * s['rate']:.1f} %)" for s in policy["stages"])
    saved = f"{100 * (1 - policy['cycles'] / reference['cycles']):.1f} % fewer {policy['cost_unit']}"
    if policy["energy_j"] is not None:
        saved += f", {100 * (1 - policy['energy_j'] / reference['energy_j']):.1f} % less energy"
    return [
        f"policy {stages}: accuracy {100 * policy['accuracy']:.2f} %, {saved} than its last stage alone, which has "
        f"{100 * reference['accuracy']:.2f} %"
    ]
