"""The resource estimate of RTL designs against Yosys, on designs that no coefficient was fitted to.

    .venv/bin/python benchmarks/rtl_resources.py [--cache FOLDER] [--first N] [--json]

Random networks at random foldings (seeds from 2089 on), and exit branches with all their ports at the planner's foldings
for several intervals and widths of codes and weights. Ends with status 1 when an estimate is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtl_designs import (
    ROOT,
    branch_flow,
    depthwise,
    depthwise_branch,
    lenet,
    lenet_branch,
    random_flow,
    residual,
    residual_branch,
)
from strategies import random_graph

from codesign.cost.rtl import rtl_resources
from codesign.emit.rtl import RtlDesign, emit_rtl, emit_rtl_core
from codesign.plan.budget import Resources
from codesign.plan.dataflow import Dataflow
from codesign.verify.synth import synthesize

LIMIT = 0.15
RANDOM_FROM, RANDOM = 2089, 30
MOST_LUT = 6000  # of a random network, by the estimate, so that a design takes a minute at most
KINDS = ("lut", "ff", "dsp", "bram18")


@dataclass(frozen=True)
class Case:
    """A design and the text to synthesize it from."""

    name: str
    flow: Dataflow
    design: RtlDesign


def cases() -> Iterator[Case]:
    yield from random_cases()
    yield from branch_cases()


def random_cases() -> Iterator[Case]:
    seed = RANDOM_FROM
    for _ in range(RANDOM):
        while (flow := random_flow(random_graph(seed), seed)) is None or rtl_resources(flow).lut > MOST_LUT:
            seed += 1
        yield Case(f"random {seed}", flow, emit_rtl_core(flow, top="core"))
        seed += 1


def branch_cases() -> Iterator[Case]:
    """Networks, widths and intervals; the branches of the tests have 8 bits."""
    rows = [
        *(
            (f"lenet {b}b w{w}", lenet(b, w), goals)
            for b, w, goals in ((8, 8, (144, 600)), (4, 4, (144, 1200)), (6, 5, (288,)), (12, 10, (300,)))
        ),
        *(
            (f"residual {b}b w{w}", residual(b, w), goals)
            for b, w, goals in ((8, 8, (150, 400)), (5, 4, (128,)), (4, 8, (800,)))
        ),
        *(
            (f"depthwise {b}b w{w}", depthwise(b, w), goals)
            for b, w, goals in ((8, 8, (100,)), (4, 4, (100, 500)), (6, 8, (250,)))
        ),
        ("lenet 28x28", lenet_branch(), (3136,)),
        ("residual of the tests", residual_branch(), (300, 1000)),
        ("depthwise of the tests", depthwise_branch(), (100, 300)),
    ]
    for name, graph, goals in rows:
        for goal in goals:
            flow = branch_flow(graph, goal)
            yield Case(f"{name}, {goal} cycles", flow, emit_rtl(flow, top="design", exit_name="exit1"))


def judge(case: Case, cache: Path) -> dict[str, Any]:
    """Estimate and synthesis of a design, and the worst error as a fraction."""
    found = synthesize(case.design.files, case.design.top, cache=cache, timing=False)
    truth = Resources(dsp=found.dsp, lut=found.lut, ff=found.ff, bram18=found.bram18)
    estimate = rtl_resources(case.flow)
    errors = {kind: error(getattr(estimate, kind), getattr(truth, kind)) for kind in KINDS}
    return {
        "name": case.name,
        "estimate": asdict(estimate),
        "yosys": asdict(truth),
        "errors": errors,
        "cpu_s": found.cpu_s,
    }


def error(estimate: int, truth: int) -> float:
    """Of the truth; of nothing, any estimate is off by its whole self."""
    return estimate / truth - 1 if truth else float(estimate > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "rtl_designs", help="keeps every synthesis")
    parser.add_argument("--first", type=int, default=0, help="only the first N designs")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    say = sys.stderr if arguments.json else sys.stdout
    rows: list[dict[str, Any]] = []
    print(f"{'design':36}" + "".join(f"{kind:>9} Yosys   off" for kind in KINDS), file=say)
    for case in cases():
        row = judge(case, arguments.cache)
        rows.append(row)
        cells = (f"{row['estimate'][k]:9} {row['yosys'][k]:5} {row['errors'][k]:+5.0%}" for k in KINDS)
        print(f"{row['name']:36}" + "".join(cells), file=say, flush=True)
        if len(rows) == arguments.first:
            break
    bad = [row["name"] for row in rows if max(map(abs, row["errors"].values())) > LIMIT]
    print(f"{len(rows)} designs, {len(bad)} off by more than {LIMIT:.0%} {', '.join(bad)}", file=say)
    if arguments.json:
        print(json.dumps({"designs": rows, "beyond": bad}, indent=2))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
