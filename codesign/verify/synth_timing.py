"""The longest path of a mapped netlist, by Yosys's `sta` with a delay in every net.

Yosys knows the delays inside the cells of an Artix-7, speed grade 1, and none of a net. So a cell of constant delay is put
into every net before `sta` looks for the longest path, but not into the ones that never leave a slice or a column: the
carry from CARRY4 to CARRY4, what feeds an F7 to F9 multiplexer, and the cascade of DSPs. Clock nets stay as they are.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import ToolError
from codesign.verify.yosys import run_yosys

WIRE_PS = 450  # an assumption: abc9 maps with 300 for every net, and routed ones reach 1000
_WIRE = "CS_WIRE"
_CLOCKS = {"C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"}
_DEDICATED = re.compile(r"CARRY[48]\.CI|MUXF[789]\.I[01]|DSP48E[12]\.(PCIN|ACIN|BCIN|CARRYCASCIN|MULTSIGNIN)")
_SCRIPT = "read_json wired.json\nread_verilog -specify -lib +/xilinx/cells_sim.v wire.v\ntee -o sta.txt sta\n"
_ARRIVAL = re.compile(r"Latest arrival time in '.*' is (\d+):")
_HOP = re.compile(r"\s+\d+ \S.* \((\w+)\.[^()]+\) *(\\\S+(?: \[\d+\])?)?")


@dataclass(frozen=True, slots=True)
class LongestPath:
    """The slowest way from a register or a port to the next: cells in the order of the signal, each with the net that
    it drives where that has a name in the source."""

    ns: float
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.ns:.2f} ns: {' > '.join(self.cells)}"


def longest_path(top: str, module: Mapping[str, Any], *, wire_ps: int = WIRE_PS) -> LongestPath:
    """The longest path of a flat module of a netlist that Yosys wrote as JSON, mapped to 7-series cells."""
    with tempfile.TemporaryDirectory(prefix="codesign-sta-") as name:
        folder = Path(name)
        netlist = {"creator": "codesign", "modules": {top: with_wires(module)}}
        (folder / "wired.json").write_text(json.dumps(netlist), encoding="utf-8")
        wire = f"module {_WIRE}(input I, output O); specify (I => O) = {wire_ps}; endspecify endmodule\n"
        run_yosys(_SCRIPT, folder, sources={"wire.v": wire}, where=f"{top}: timing")
        return _read((folder / "sta.txt").read_text(encoding="utf-8"), top)


def with_wires(module: Mapping[str, Any]) -> dict[str, Any]:
    """The module with a cell CS_WIRE in every net that goes through the fabric: one a net, whatever its fan-out."""
    cells = {name: cell for name, cell in module["cells"].items() if cell["type"] != "$scopeinfo"}
    free = 1 + max(
        (bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int)), default=1
    )
    far: dict[int, int] = {}  # net -> its bit behind the wire
    result: dict[str, Any] = {}
    for name, cell in cells.items():
        connections = dict(cell["connections"])
        for port, bits in connections.items():
            if cell["port_directions"][port] != "input" or port in _CLOCKS:
                continue
            if _DEDICATED.fullmatch(f"{cell['type']}.{port}"):
                continue
            connections[port] = [far.setdefault(b, free + len(far)) if isinstance(b, int) else b for b in bits]
        result[name] = {**cell, "connections": connections}
    for index, (near, behind) in enumerate(far.items()):
        result[f"cs_wire_{index}"] = {
            "type": _WIRE,
            "parameters": {},
            "attributes": {},
            "port_directions": {"I": "input", "O": "output"},
            "connections": {"I": [near], "O": [behind]},
        }
    return {**module, "cells": result}


def _read(report: str, top: str) -> LongestPath:
    """The path in the words of `sta`, which prints it from its end, each cell above the net that enters it."""
    arrival = _ARRIVAL.search(report)
    if arrival is None:
        raise ToolError("sta found no path", where=top, hint="is there a register in the design?")
    path = report[arrival.end() :].partition("\n\n")[0].replace("\n           ", " ")
    cells: list[str] = []
    for cell, net in reversed(_HOP.findall(path)):
        if cell != _WIRE:
            cells.append(cell)
        elif net and cells:
            cells[-1] += f" ({net[1:]})"
    return LongestPath(int(arrival[1]) / 1000, tuple(cells))
