"""Runs an installed Vivado HLS or Vitis HLS on an emitted folder, and says what went wrong when something did."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.emit.project import COSIM_FRAMES
from codesign.errors import ToolError
from codesign.verify.process import Finished, run
from codesign.verify.tools import VENDOR_HLS

STEPS = ("csim", "csynth", "cosim", "export")
_SCRIPT = "run_hls.tcl"
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class HlsRun:
    """A finished run: the tool and its release as it printed it, the command line, the steps done, CPU seconds, the log."""

    tool: str
    release: str
    command: tuple[str, ...]
    steps: tuple[str, ...]
    cpu_s: float
    log: str


def find_tool(name: str = "") -> str:
    """The HLS tool on PATH: `name`, or the newest kind there is. Raises ToolError when there is none."""
    if name and name not in VENDOR_HLS:
        raise ToolError(f"{name!r} is no HLS tool", where="HLS", hint=f"use one of {', '.join(VENDOR_HLS)}")
    for tool in (name,) if name else VENDOR_HLS:
        if shutil.which(tool):
            return tool
    wanted = name or "vitis-run, vitis_hls or vivado_hls"
    raise ToolError(
        f"{wanted} is not on PATH",
        where="HLS",
        hint="source settings64.sh of Vivado or Vitis; C simulation needs neither",
    )


def command_line(tool: str, steps: Sequence[str], frames: int = COSIM_FRAMES) -> tuple[str, ...]:
    """The command to run in the emitted folder. Steps go through the environment: vitis-run passes no arguments on."""
    for step in steps:
        if step not in STEPS:
            raise ToolError(f"no step is named {step!r}", where=tool, hint=f"use {', '.join(STEPS)}")
    settings = (f"CODESIGN_HLS_STEPS={' '.join(steps)}", f"CODESIGN_HLS_FRAMES={frames}")
    flags = ("--mode", "hls", "--tcl") if tool == "vitis-run" else ("-f",)
    return ("env", *settings, tool, *flags, _SCRIPT)


def run_hls(
    folder: Path,
    steps: Sequence[str] = ("csim", "csynth"),
    *,
    tool: str = "",
    frames: int = COSIM_FRAMES,
    timeout_s: float = 24 * _HOUR_S,
) -> HlsRun:
    """Runs `steps` in an emitted folder. Raises ToolError with the tool's own words when one of them fails."""
    if not (folder / _SCRIPT).is_file():
        raise ToolError(f"there is no {_SCRIPT}", where=str(folder), hint="emit the design first: codesign hls RUN")
    tool = find_tool(tool)
    command = command_line(tool, steps, frames)
    done = run(command, cwd=folder, timeout_s=timeout_s)
    text = done.stdout + done.stderr
    finished = re.search(r"^codesign: done (.+)$", text, flags=re.MULTILINE)
    if done.status or not finished or _errors(text):
        raise _failure(tool, folder, text, done)
    release = re.search(r"\bv(\d{4}\.\d)", text)
    return HlsRun(tool, release[1] if release else "", command, tuple(finished[1].split()), done.cpu_s, text)


def _failure(tool: str, folder: Path, text: str, done: Finished) -> ToolError:
    """The step that failed, our own message and the tool's last error."""
    begun = re.findall(r"^codesign: begin (\w+)$", text, flags=re.MULTILINE)
    errors = _errors(text) or ["it ended before its last step"]
    own = [e for e in errors if "[codesign]" in e]
    theirs = [line for line in text.splitlines() if _is_error(line) and "[codesign]" not in line]
    what = (own or errors)[-1].removeprefix("ERROR: ").removeprefix("[codesign] ")
    detail = f" ({theirs[-1]})" if theirs and theirs[-1] != errors[-1] and own else ""
    return ToolError(
        f"{what}{detail}; status {done.status}",
        where=f"{tool} {begun[-1]}" if begun else tool,
        hint=f"the whole log is in {folder / (tool.replace('-', '_') + '.log')}, or in the output of the same command",
    )


def _errors(text: str) -> list[str]:
    """Lines that say ERROR, less those printed while the script tried a command that not every release has."""
    lines: list[str] = []
    harmless = False
    for line in text.splitlines():
        if line.startswith("codesign: attempt"):
            harmless = line != "codesign: attempt over"
        elif _is_error(line) and not harmless:
            lines.append(line.strip())
    return lines


def _is_error(line: str) -> bool:
    return bool(re.match(r"\s*(?:@E|ERROR:)", line))
