"""Starts a compiled simulation with the benches in it: cs_run.py SIMULATOR BUILD CASE [WAVE].

A process of its own, so that this folder is where Python in the simulator looks for modules. The verdict is in
CASE/results.xml: cocotb ends well even when its tests fail.
"""

import os
import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

MODULES = ("cs_streams", "cs_registers", "cs_reset", "cs_width")
SEED = 1


def main(simulator: str, build: str, case: str, wave: str = "") -> None:
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # the runner would judge by itself
    words: list[str] = []
    if simulator == "verilator":  # every register that has no value of its own starts with a random one
        words += [f"+verilator+seed+{SEED}", "+verilator+rand+reset+2"]
    if wave:
        words += ["--trace-file", wave] if simulator == "verilator" else [f"+wave={wave}"]
    get_runner(simulator).test(
        test_module=MODULES,
        hdl_toplevel="cosim",
        hdl_toplevel_lang="verilog",
        build_dir=build,
        test_dir=case,
        seed=SEED,
        results_xml=str(Path(case) / "results.xml"),
        extra_env={"CODESIGN_CASE": case, "COCOTB_LOG_LEVEL": "WARNING", "PYTHONDONTWRITEBYTECODE": "1"},
        plusargs=words,
        waves=bool(wave),
        log_file=str(Path(case) / "simulation.log"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
