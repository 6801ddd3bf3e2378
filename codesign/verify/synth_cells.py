"""What the cells of a netlist mapped to Xilinx parts take: LUT, FF, DSP and BRAM18.

A LUT here is a LUT of a slice, whether it computes, stores or shifts. The LUTs of a memory cell are those of the Xilinx
libraries guides for 7-series (UG953) and UltraScale (UG974) and of UG474, "Distributed RAM"; carry chains and the
multiplexers F7 to F9 come with the slice and count nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codesign.errors import ToolError

# LUTs of a cell that stores, by its name. Two ports double what one port takes.
MEMORY_LUTS = {
    "RAM32X1S": 1, "RAM32X2S": 2, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8,
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8,
    "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM64X8SW": 8,
    "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
}  # fmt: skip
BLOCKS = {"RAMB18E1": 1, "RAMB18E2": 1, "RAMB36E1": 2, "RAMB36E2": 2}  # in halves of 18 kbit
_LOGIC = re.compile(r"LUT[1-6]|INV")
_FLIP_FLOP = re.compile(r"FD[RSCP]E(_1)?")
_DSP = re.compile(r"DSP48E[12]")
_FREE = re.compile(r"CARRY[48]|MUXF[789]|VCC|GND|BUFG|\$scopeinfo")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a netlist takes; `memory_lut` are those of `lut` that store or shift."""

    lut: int
    memory_lut: int
    ff: int
    dsp: int
    bram18: int


def count(cells: Mapping[str, int]) -> Counts:
    """The counts of {cell type: number}. Raises ToolError for a cell that no table has, so that none counts nothing."""
    logic = memory = ff = dsp = blocks = 0
    for kind, number in cells.items():
        if kind in MEMORY_LUTS:
            memory += number * MEMORY_LUTS[kind]
        elif kind in BLOCKS:
            blocks += number * BLOCKS[kind]
        elif _LOGIC.fullmatch(kind):
            logic += number
        elif _FLIP_FLOP.fullmatch(kind):
            ff += number
        elif _DSP.fullmatch(kind):
            dsp += number
        elif not _FREE.fullmatch(kind):
            raise ToolError(
                f"{number} cells {kind} in the netlist", where="synthesis", hint="no table says what such a cell takes"
            )
    return Counts(logic + memory, memory, ff, dsp, blocks)


def cell_types(module: Mapping[str, Any]) -> dict[str, int]:
    """{cell type: number} of one module of a netlist that Yosys wrote as JSON."""
    return dict(sorted(Counter(cell["type"] for cell in module["cells"].values()).items()))
