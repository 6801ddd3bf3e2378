#!/usr/bin/env python3
"""Stands in for vivado on a board project: checks its command line, then runs build.tcl in tclsh with every command of
Vivado replaced by one that checks its arguments. What was called goes to the file STANDIN_LOG.

STANDIN_FAULT makes it go wrong: slack, hold, unrouted (a run's figures); slack-report, unrouted-report (only the report says
it); no-report_power and the like (a report is not written); no-part, no-board; package, validate, synth_1, impl_1 (a step
fails); silent ends before the script is done. STANDIN_RELEASE is the release it claims to be (2022.2), STANDIN_HLS_TOP the
name of an exported HLS IP.
"""

import os
import sys
from pathlib import Path

WORDS = ["-mode", "batch", "-source", "build.tcl", "-notrace", "-nojournal", "-log", "vivado.log"]


def main() -> None:
    words = sys.argv[1:]
    if words != WORDS:
        sys.exit(f"ERROR: vivado does not take {words}")
    with open(os.environ["STANDIN_LOG"], "a", encoding="utf-8") as log:
        log.write("\t".join(["vivado", *words]) + "\n")
    os.environ.setdefault("STANDIN_FAULT", "")
    if os.environ["STANDIN_FAULT"] == "silent":
        return
    stubs = Path(__file__).resolve().parent / "vivado_build.tcl"
    os.execvp("tclsh", ["tclsh", str(stubs), "build.tcl"])


main()
