"""Synthesis with Yosys: counts of modules whose answer is known, errors in words, the cache; slow: the issue's budgets."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from graphs import lenet_branch

from codesign.cost.units import unit_parts
from codesign.devices import load_device
from codesign.emit.rtl import emit_rtl, library, unit_modules
from codesign.emit.rtl_text import instance, rom_module, rom_ports, wire
from codesign.errors import ToolError
from codesign.ir.types import Constant, IntType, TensorType
from codesign.ops.base import Folding
from codesign.ops.exit_decision import ExitDecision
from codesign.ops.matrix_vector import MatrixVector
from codesign.plan.balance import balance
from codesign.plan.exact import for_rtl
from codesign.plan.plan import realize
from codesign.verify.synth import synthesize

needs_pyosys = pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="needs pyosys")

MULTIPLIER = """module m (input wire c, input wire signed [7:0] a, b, output logic signed [15:0] p);
    logic signed [7:0] ra, rb;
    always_ff @(posedge c) begin ra <= a; rb <= b; p <= ra * rb; end
endmodule
"""
MEMORY = """module m (input wire c, w, input wire [8:0] a, b, input wire [35:0] d, output logic [35:0] q);
    (* ram_style = "block" *) logic [35:0] words[512];
    always_ff @(posedge c) begin if (w) words[a] <= d; q <= words[b]; end
endmodule
"""
SHIFTER = """module m (input wire c, d, output wire q);
    logic [19:0] s;
    always_ff @(posedge c) s <= {s[18:0], d};
    assign q = s[19];
endmodule
"""


@needs_pyosys
@pytest.mark.parametrize(
    ("text", "want"),
    [
        (MULTIPLIER, {"dsp": 1, "lut": 0, "bram18": 0}),
        (MEMORY, {"dsp": 0, "bram18": 1, "ff": 0}),
        (SHIFTER, {"dsp": 0, "bram18": 0, "lut": 1}),
    ],
)
def test_counts_that_are_known(text: str, want: dict[str, int]) -> None:
    found = synthesize({"m.sv": text}, "m", timing=False).to_json()

    assert {name: found[name] for name in want} == want


@needs_pyosys
def test_a_result_is_kept_and_an_error_is_told(tmp_path: Path) -> None:
    first, second = (synthesize({"m.sv": SHIFTER}, "m", cache=tmp_path) for _ in range(2))

    assert (first.cached, second.cached) == (False, True)
    assert first.critical_path_ns == second.critical_path_ns > 0
    with pytest.raises(ToolError, match="nowhere"):
        synthesize({"m.sv": "module m; nowhere x (); endmodule\n"}, "m")


@pytest.mark.slow
@needs_pyosys
@pytest.mark.parametrize(("in_dsps", "want"), [(0, 0), (1, 4), (3, 10)])
def test_constants_take_no_dsps_but_those_that_they_are_told_to(in_dsps: int, want: int) -> None:
    """Three outputs of four inputs; a zero takes none, and 37 times the first is made once."""
    op = MatrixVector(Constant.of([[37, -74, 55, 99], [-101, 0, 43, 87], [37, 115, -91, 105]], IntType(8)))
    unit = op.rtl(Folding(4, 3, 4, in_dsps), TensorType((1, 1, 4), IntType(8, signed=False), 1.0))

    found, parts = synthesize(unit_modules("dut", unit), "dut_sums", timing=False), unit_parts(unit)

    assert found.dsp == parts.dsp == want
    assert abs(parts.lut - found.lut) <= max(16, 0.05 * found.lut)  # which sums lie in a DSP is not always known


@pytest.mark.slow
@needs_pyosys
def test_the_lenet_branch_is_within_its_budget() -> None:
    graph = lenet_branch()
    flow = for_rtl(realize(graph, balance(graph, load_device("xc7vx690t"), interval_cycles=784)))
    found = synthesize(emit_rtl(flow, top="dut", exit_name="exit1").files, "dut")

    assert flow.bound == 784
    assert (found.lut <= 25_000, found.ff <= 30_000, found.dsp <= 220, found.bram18 <= 100) == (True,) * 4, found
    assert 0 < found.critical_path_ns < 10


@pytest.mark.slow
@needs_pyosys
@pytest.mark.parametrize("bits", [12, 16])
def test_the_exit_unit_is_within_its_budget(bits: int) -> None:
    logits = TensorType((1, 1, 10), IntType(bits), 2.0**-6)
    op = ExitDecision.for_logits(logits)
    types = (logits, TensorType((1, 1, 1), IntType(32, signed=False)))
    unit = op.rtl(op.foldings(*types)[0], *types)
    ports = {"aclk": "aclk", "aresetn": "aresetn", "threshold": "threshold"}
    ports |= {name: name for name in ("x_data", "x_valid", "x_ready", "y_room", "y_claim", "y_valid", "y_data")}
    text, files = "", library()
    for rom in unit.roms:
        links = {"data": f"{rom.port}_data"} | ({} if rom.fixed else {"address": f"{rom.port}_address"})
        text += wire(rom.width, links["data"]) + ("" if rom.fixed else wire(16, links["address"]))
        text += instance(f"rom_{rom.port}", rom.port, {}, rom_ports(rom, f"{rom.port}_address", links["data"]))
        files[f"rom_{rom.port}.sv"] = rom_module(f"rom_{rom.port}", rom)
        ports |= {name: name for name in links.values()}
    text += instance(unit.module, "unit", unit.parameters, ports)
    head = f"input wire aclk, aresetn, x_valid, y_room, input wire [{bits - 1}:0] x_data, input wire [31:0] threshold"
    files["dut.sv"] = (
        f"module dut ({head}, output wire x_ready, y_claim, y_valid, output wire [47:0] y_data);\n{text}endmodule\n"
    )
    found = synthesize(files, "dut", timing=False)

    assert (found.lut <= 300, found.dsp <= 3, found.bram18 <= 2) == (True,) * 3, found
