"""Runs an installed Vivado on an emitted board project, and says what went wrong when something did."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import ToolError, VerificationError
from codesign.verify.process import Finished, run
from codesign.verify.reports import read_reports

LOG = "vivado.log"
COMMAND = ("vivado", "-mode", "batch", "-source", "build.tcl", "-notrace", "-nojournal", "-log", LOG)
_DAY_S = 24 * 3600.0
_NOT_MET = r"timing is not met|have no route"


@dataclass(frozen=True, slots=True)
class VivadoRun:
    """A finished build: the release as Vivado printed it, the clock that the processor gives, all reports, CPU seconds."""

    release: str
    clock_mhz: float | None
    reports: dict[str, Any]
    cpu_s: float


def demand_vivado(folder: Path) -> None:
    """Raises ToolError, with what to do, when no vivado is on PATH."""
    if not shutil.which(COMMAND[0]):
        raise ToolError(
            f"Vivado 2018.3 or newer must be on PATH to build a bitstream; the project is ready in {folder}",
            where="vivado",
            hint=f"source its settings64.sh, or copy the run folder to where it is installed and run `{' '.join(COMMAND)}` there",
        )


def run_vivado(folder: Path, *, timeout_s: float = _DAY_S) -> VivadoRun:
    """Builds the project in `folder` and reads its reports.

    Raises ToolError with the tool's own words when a step fails or a report is missing, and VerificationError when the
    timing is not met or a net has no route.
    """
    demand_vivado(folder)
    shutil.rmtree(folder / "reports", ignore_errors=True)  # those of an earlier run say nothing of this one
    done = run(COMMAND, cwd=folder, timeout_s=timeout_s)
    text = done.stdout + done.stderr
    errors = [line.strip() for line in text.splitlines() if re.match(r"\s*ERROR:", line)]
    if done.status or errors or not re.search(r"^codesign: done$", text, flags=re.MULTILINE):
        raise _failure(folder, text, errors, done)
    reports = read_reports(folder / "reports")
    demand_good(reports, folder)
    release = re.search(r"Vivado v(\d{4}\.\d)", text)
    clock = re.search(r"^codesign: clock (\d+(?:\.\d+)?) MHz", text, flags=re.MULTILINE)
    return VivadoRun(release[1] if release else "", float(clock[1]) if clock else None, reports, done.cpu_s)


def demand_good(reports: dict[str, Any], folder: Path) -> None:
    """Raises VerificationError for a negative slack or a net without a route, whatever the tool made of it."""
    timing, route = reports["timing"], reports["route"]
    if not timing["met"]:
        raise VerificationError(
            f"timing is not met: worst setup slack {timing['wns_ns']} ns, worst hold slack {timing['whs_ns']} ns",
            where=str(folder / "reports" / timing["source"]),
            hint="lower plan.clock_mhz, or give the plan a larger part",
        )
    if not route["complete"]:
        raise VerificationError(
            f"{route['errors']} nets with routing errors, {route['routed']} of {route['routable']} routed",
            where=str(folder / "reports" / route["source"]),
            hint="plan a smaller design, or a larger part",
        )


def _failure(folder: Path, text: str, errors: list[str], done: Finished) -> ToolError | VerificationError:
    """The step that failed, our own message and the tool's last error."""
    begun = re.findall(r"^codesign: begin (\w+)$", text, flags=re.MULTILINE)
    own = [line for line in errors if "[codesign]" in line]
    theirs = [line for line in errors if "[codesign]" not in line]
    words = (own or theirs or ["it ended before its last step"])[-1].removeprefix("ERROR: ").removeprefix("[codesign] ")
    words = re.sub(r"^\w+ failed: ", "", words)  # `where` names the step
    detail = f" ({theirs[-1].removeprefix('ERROR: ')})" if own and theirs else ""
    where = f"vivado {begun[-1]}" if begun else "vivado"
    hint = f"the whole log is {folder / LOG}"
    if re.search(_NOT_MET, words):
        return VerificationError(words, where=where, hint=hint)
    return ToolError(f"{words}{detail}; status {done.status}", where=where, hint=hint)
