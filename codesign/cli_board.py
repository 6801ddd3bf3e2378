"""The commands that lead to a board: parse, call a step, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from codesign import console

Answer = tuple[dict[str, Any], bool]
Open = Callable[[argparse.Namespace], Any]


def add_commands(commands: Any, add: Callable[..., argparse.ArgumentParser], open_: Open) -> None:
    """Adds `board` and `bitstream`; `add` makes a command that takes a run, `open_` the experiment of its arguments."""

    def board(arguments: argparse.Namespace) -> Answer:
        from codesign.flow.board import board as run

        answer = run(open_(arguments), arguments.board, arguments.backend)
        if not arguments.json:
            console.say(f"copy it with: scp -r {answer['overlay']} xilinx@BOARD:")
        return answer, True

    def bitstream(arguments: argparse.Namespace) -> Answer:
        from codesign.flow.board import bitstream as run

        answer = run(open_(arguments), arguments.board, arguments.backend, force=arguments.force)
        if not arguments.json:
            _reports(answer)
        return answer, True

    texts = {
        "board": "write the Vivado project of a board, and the folder that is copied to it: board/",
        "bitstream": "build the bitstream for a PYNQ board in Vivado, and compare its reports with the estimate",
    }
    for name, run in (("board", board), ("bitstream", bitstream)):
        parser = add(commands, name, run, texts[name])
        parser.add_argument(
            "--board",
            default="",
            metavar="NAME",
            help="pynq-z1, pynq-z2, ultra96-v2, zcu104, kv260; default: the plan's",
        )
        parser.add_argument(
            "--backend", choices=("rtl", "hls"), default="rtl", help="the SystemVerilog, or the exported HLS design"
        )
        if name == "bitstream":
            parser.add_argument("--force", action="store_true", help="build again even if up to date")


def _reports(answer: Mapping[str, Any]) -> None:
    """Reported and estimated resources, slack and power."""
    rows = [
        [part, name.upper(), row["reported"], row["estimated"], "" if row["ratio"] is None else row["ratio"]]
        for part, found in answer["estimate"].items()
        for name, row in found["resources"].items()
    ]
    timing, power = answer["reports"]["timing"], answer["reports"]["power"]
    notes = (
        f"worst slack {timing['wns_ns']} ns (setup), {timing['whs_ns']} ns (hold)",
        f"{power['total_w']} W on the chip, {power['dynamic_w']} W of it dynamic (Vivado, confidence {power['confidence'] or 'unknown'})",
        f"copy it with: scp -r {answer['overlay']} xilinx@BOARD:",
    )
    console.table(
        f"Vivado {answer['vivado']}, {answer['board']}", ("of", "", "reported", "estimated", "ratio"), rows, notes
    )
