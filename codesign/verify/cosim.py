"""Cosimulation: cocotb drives a design through its AXI ports under stress, and every beat is held against the golden model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from codesign.errors import ToolError
from codesign.files import read_json
from codesign.plan.dataflow import Dataflow
from codesign.verify.cosim_build import TOP, Built, bench_folder, build, demand_cocotb
from codesign.verify.cosim_case import Batch, Oracle, write_case
from codesign.verify.cosim_ports import Target, wrapper
from codesign.verify.process import Finished, run

_HOURS_S = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What one bench found in one simulator; `first_difference` is empty when it passed."""

    frames: int
    mismatched_beats: int
    simulator: str
    passed: bool
    seconds: float
    first_difference: str = ""

    def to_json(self) -> dict[str, Any]:
        row = {
            "frames": self.frames,
            "mismatched_beats": self.mismatched_beats,
            "simulator": self.simulator,
            "passed": self.passed,
            "seconds": self.seconds,
        }
        return row if self.passed else {**row, "first_difference": self.first_difference}


@dataclass(frozen=True, slots=True)
class CosimReport:
    """Every bench by `simulator/bench`."""

    benches: Mapping[str, BenchReport]

    @property
    def passed(self) -> bool:
        """Whether there are benches, and each is green."""
        return bool(self.benches) and all(bench.passed for bench in self.benches.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "benches": {name: bench.to_json() for name, bench in self.benches.items()},
            "frames": sum(bench.frames for bench in self.benches.values()),
            "mismatched_beats": sum(bench.mismatched_beats for bench in self.benches.values()),
            "simulators": list(dict.fromkeys(bench.simulator for bench in self.benches.values())),
            "source": "RTL simulation with cocotb",
        }


def compile_target(simulator: str, target: Target, dataflow: Dataflow, folder: Path, *, wave: bool = False) -> Built:
    """The simulation of a design between the wrapper's ports."""
    demand_cocotb()
    files = {**target.design.files, f"{TOP}.sv": wrapper(target, dataflow)}
    return build(simulator, files, target.data, folder, wave=wave)


def cosimulate(
    built: Built,
    target: Target,
    oracle: Oracle,
    benches: Mapping[str, Sequence[Batch]],
    *,
    wave: Path | None = None,
) -> dict[str, BenchReport]:
    """Runs the benches in a compiled simulation. Raises ToolError when it dies without a verdict.

    `wave` records every signal: VCD from Verilator, FST from Icarus.
    """
    case = built.folder / "case"
    shutil.rmtree(case, ignore_errors=True)
    write_case(case, oracle, benches, kind=target.kind, registers=target.registers)
    for name in target.data:
        shutil.copyfile(built.folder / name, case / name)
    results, log = case / "results.xml", case / "simulation.log"
    done = _simulate(built, case, wave)
    if not results.is_file():
        last = (log.read_text(errors="replace") if log.is_file() else done.stderr).strip().splitlines()[-1:]
        raise ToolError(f"the simulation died: {''.join(last)}", where=built.tool, hint=f"its output is in {log}")
    return {
        f"{built.simulator}/{name}": report(case, name, built.tool, verdicts(results).get(name, "no verdict"))
        for name in benches
    }


def report(case: Path, name: str, tool: str, failure: str) -> BenchReport:
    """What a bench left in its file, and the verdict of cocotb, `failure`: empty when the test passed."""
    path = case / f"{name}.result.json"
    facts: dict[str, Any] = read_json(path) if path.is_file() else {}
    notes = [*facts.get("notes", []), *([failure] if failure else [])]
    wrong = int(facts.get("mismatched_beats", 0))
    passed = bool(facts) and not notes and not wrong
    return BenchReport(
        int(facts.get("frames", 0)), wrong, tool, passed, float(facts.get("seconds", 0.0)), notes[0] if notes else ""
    )


def verdicts(results: Path) -> dict[str, str]:
    """{test: what failed, or nothing} from a results.xml: cocotb ends well even when its tests fail."""
    found: dict[str, str] = {}
    for test in ElementTree.parse(results).getroot().iter("testcase"):
        bad = next((child for child in test if child.tag in ("failure", "error")), None)
        text = "" if bad is None else bad.get("error_msg") or bad.get("message") or bad.text or "failed"
        skipped = any(child.tag == "skipped" for child in test)
        found[test.get("name", "")] = "skipped" if skipped else text.strip()
    return found


def _simulate(built: Built, case: Path, wave: Path | None) -> Finished:
    """Starts the compiled simulation with the benches in it; its output goes to simulation.log."""
    words = [built.simulator, built.folder.resolve(), case.resolve(), *([wave.resolve()] if wave else [])]
    return run([sys.executable, bench_folder() / "cs_run.py", *words], timeout_s=_HOURS_S)
