#!/usr/bin/env python3
"""Stands in for vivado_hls, vitis_hls, vitis-run and vivado: checks its command line, then runs the script in tclsh with
every HLS command replaced by a check of its arguments. What was called goes to the file STANDIN_LOG.

STANDIN_FAULT makes it go wrong: csim, csynth, cosim or export fail; y2k22 breaks packing as releases up to 2021.2 do;
y2k22-always breaks it for good; no-part has no such part; silent ends before the script is done.
STANDIN_CXXFLAGS compiles and runs the testbench in csim_design with these flags.
"""

import os
import sys
from pathlib import Path

FORMS = {
    "vivado_hls": ["-f", "run_hls.tcl"],
    "vitis_hls": ["-f", "run_hls.tcl"],
    "vitis-run": ["--mode", "hls", "--tcl", "run_hls.tcl"],
    "vivado": ["-notrace", "-mode", "batch", "-source", "run_ippack.tcl"],
}


def main() -> None:
    tool, words = Path(sys.argv[0]).name, sys.argv[1:]
    if words != FORMS[tool]:
        sys.exit(f"ERROR: {tool} does not take {words}")
    with open(os.environ["STANDIN_LOG"], "a", encoding="utf-8") as log:
        log.write("\t".join([tool, *words]) + "\n")
    if os.environ.get("STANDIN_FAULT") == "silent":
        return
    stubs = Path(__file__).resolve().parent / ("vivado.tcl" if tool == "vivado" else "hls.tcl")
    os.environ["STANDIN_TOOL"] = tool
    os.execvp("tclsh", ["tclsh", str(stubs), *words])


main()
