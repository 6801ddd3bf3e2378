"""How fast prices are: designs a second of explore, one by one and by pruned sums, prices of a search, `codesign estimate`.

    python benchmarks/cost_speed.py [--json] [--seconds 2] [--runs 7]

Everything is measured in one run on one core, so the ratios hold whatever else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from codesign.cost.oracle import estimate
from codesign.cost.pareto import Work, within
from codesign.cost.prices import Pricer
from codesign.cost.space import space
from codesign.cost.tables import layer_cost, layer_table
from codesign.devices import load_device
from codesign.flow.estimate import find_network
from codesign.passes.sketch import parse_sketch
from codesign.plan.balance import balance
from codesign.plan.budget import total
from codesign.plan.build import build

BLOCK = "image 16x16x{c}\na = conv2d:->{e},relu\nb = depthwise_conv2d,k{k},p{p},relu\nc = conv2d:->{c}"


def rate(step: Callable[[], int], seconds: float) -> float:
    """Things a second: `step` does some and says how many."""
    step()
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        count += step()
    return count / (time.perf_counter() - begin)


def explore_rates(seconds: float) -> dict[str, float]:
    """Whole designs a second: by the scalar oracle, and in blocks; and partial designs of the exact front."""
    head, device = find_network(None).cut.head, load_device("xc7z020")
    whole = space(head, device, several=False)
    pricer, rng = Pricer(whole), np.random.default_rng(1)
    sizes = [len(choice.options) for choice in whole.choices]
    picks = np.column_stack([rng.integers(0, size, 1 << 15) for size in sizes])
    numbers = iter(range(1 << 60))

    def scalar() -> int:
        foldings, fabric = whole.foldings(picks[next(numbers) % len(picks)].tolist())
        flow = build(head, foldings, fabric)
        return len(str(total(flow, device).lut + flow.bound)) and 1

    def block() -> int:
        return len(pricer.price(picks).interval_N)

    def sums() -> int:
        work = Work()
        within(whole, 1568, work)
        return work.priced

    return {
        "scalar_designs_per_s": rate(scalar, seconds),
        "block_designs_per_s": rate(block, seconds),
        "pruned_sums_per_s": rate(sums, seconds),
        "designs_in_the_space": float(whole.designs),
    }


def search_rates(seconds: float) -> dict[str, float]:
    """Prices a second that a search gets: a layer seen before, blocks never seen, and plans by the whole oracle."""
    device = load_device("zcu104")
    (conv,) = parse_sketch("image 16x16x16\na = conv2d:->32,k3,p1,relu").layers
    numbers = iter(range(1 << 60))

    def known() -> int:
        for _ in range(1000):
            layer_cost(conv, (16, 16, 16), device, 1024)
        return 1000

    def fresh() -> int:
        n = next(numbers)
        c, e, k = 4 * (1 + n % 40), 4 * (1 + n // 40 % 50), (3, 5, 7)[n // 2000 % 3]
        chain = parse_sketch(BLOCK.format(c=c, e=e, k=k, p=k // 2)).layers
        return len(layer_table([chain], (16, 16, c), device, 1024 + n % 7)) * 3

    head = find_network(None).cut.head
    plan = balance(head, device, drains=True)

    def oracle() -> int:
        estimate(head, plan, device)
        return 1

    return {
        "known_layers_per_s": rate(known, seconds),
        "new_layers_per_s": rate(fresh, seconds),
        "whole_estimates_per_s": rate(oracle, seconds),
    }


def estimate_seconds(runs: int) -> dict[str, float]:
    """Wall time of the command from a shell: with nothing remembered, and as answered before."""
    command = [sys.executable, "-m", "codesign", "estimate"]
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, extra in (("all devices", []), ("one device", ["--device", "pynq-z2"])):
            cold = [_wall([*command, *extra], f"{folder}/{name}{run}") for run in range(runs)]
            warm = [_wall([*command, *extra], f"{folder}/{name}0") for _ in range(runs)]
            for kind, times in (("first", cold), ("again", warm)):
                found[f"{name}, {kind}, best s"] = min(times)
                found[f"{name}, {kind}, median s"] = float(np.median(times))
    return found


def _wall(command: list[str], cache: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "XDG_CACHE_HOME": cache})
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    answer: dict[str, Any] = {
        **explore_rates(arguments.seconds),
        **search_rates(arguments.seconds),
        **estimate_seconds(arguments.runs),
    }
    answer["block_over_scalar"] = answer["block_designs_per_s"] / answer["scalar_designs_per_s"]
    answer["known_layer_over_whole_estimate"] = answer["known_layers_per_s"] / answer["whole_estimates_per_s"]
    if arguments.json:
        print(json.dumps(answer))
        return
    for name, value in answer.items():
        print(
            f"{name.replace('_', ' '):40}{value:>16,.3f}"
            if value < 100
            else f"{name.replace('_', ' '):40}{value:>16,.4g}"
        )


if __name__ == "__main__":
    main()
