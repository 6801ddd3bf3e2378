"""The command `report`: parse, call the step, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign import console

Answer = tuple[dict[str, Any], bool]
Open = Callable[[argparse.Namespace], Any]


def add_commands(commands: Any, add: Callable[..., argparse.ArgumentParser], open_: Open) -> None:
    """Adds `report`; `add` makes a command that takes a run, `open_` the experiment of its arguments."""

    def run(arguments: argparse.Namespace) -> Answer:
        return _report(arguments, open_)

    report = add(commands, "report", run, "write one HTML page of all that is known of a run: report.html")
    report.add_argument("--output", metavar="FILE", type=Path, help="another place than the run folder")


def _report(arguments: argparse.Namespace, open_: Open) -> Answer:
    from codesign.flow.report import report

    path, page = report(open_(arguments), arguments.output)
    missing = [{"what": need.what, "command": need.command} for need in page.needs]
    missing += [{"what": c.name, "command": c.command} for c in page.checks if c.verdict == "not run"]
    for need in missing:
        console.say(f"not on the page: {need['what']}; `{need['command']}`")
    headline = [
        {"label": f.label, "value": f.text, "unit": f.unit, "kind": f.kind, "source": f.source} for f in page.headline
    ]
    return {"report": str(path), "headline": headline, "missing": missing, "notes": list(page.notes)}, True
