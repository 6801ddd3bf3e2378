"""Runs Yosys, as the package `pyosys`, in a process of its own: its log is C output, it may abort, and it holds memory."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from codesign.errors import ToolError
from codesign.files import write_tree
from codesign.verify.process import Finished, run

_CHILD = "import sys; from pyosys import libyosys; libyosys.run_pass('script ' + sys.argv[1], libyosys.Design())"
_HINT = "pip install 'codesign[synth]'"


def yosys_version() -> str:
    """`Yosys 0.70 (pyosys)`; raises ToolError when the package is not installed."""
    try:
        return f"Yosys {importlib.metadata.version('pyosys')} (pyosys)"
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError("pyosys is not installed", where="synthesis", hint=_HINT) from error


def run_yosys(
    script: str, folder: Path, *, sources: Mapping[str, str] | None = None, where: str, timeout_s: float = 1800.0
) -> Finished:
    """Runs a script in `folder` on the `sources` that are written there; its log is the result's `stdout`.

    The script names files relative to the folder, so no path of the user's ever gets into a command. Raises ToolError
    with Yosys's own message when it fails.
    """
    yosys_version()
    write_tree({"run.ys": script, **(sources or {})}, folder)
    done = run([sys.executable, "-P", "-c", _CHILD, "run.ys"], cwd=folder, timeout_s=timeout_s)
    if done.status:
        raise ToolError(_message(done), where=where, hint="the log of Yosys ends with this message")
    return done


def _message(done: Finished) -> str:
    """What Yosys says is wrong, or how it ended when it says nothing."""
    for line in (done.stdout + "\n" + done.stderr).splitlines():
        if match := re.match(r"(?:\S+:\d+: )?ERROR: .*", line):
            return match[0].replace("ERROR: ", "", 1)
    how = f"was killed by signal {-done.status}" if done.status < 0 else f"ended with status {done.status}"
    last = done.stderr.strip().splitlines()
    return f"Yosys {how}{': ' + last[-1] if last else ''}"
