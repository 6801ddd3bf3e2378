"""The port-name map of cosimulation: our RTL and what HLS exports between the same wrapper."""

from __future__ import annotations

from pathlib import Path

import pytest
from cosim_tools import small_design
from standins.hls_export import ADDRESSES, header, write_export

from codesign.emit.rtl import CONTROL, emit_rtl
from codesign.errors import ConfigError, VerificationError
from codesign.verify import cosim_build
from codesign.verify.cosim_ports import STREAMS, connections, emitted, hls_export, ports_of, read_header, wrapper

FLOW = small_design()[1]


def test_the_register_header_of_hls_gives_the_addresses_of_our_own_registers(tmp_path: Path) -> None:
    path = tmp_path / "xlenet_exit1_hw.h"
    path.write_text(header("lenet_exit1"))

    registers = read_header(path)

    assert registers == {name: address for name, address in CONTROL.items() if name in registers}
    assert set(registers) >= {"control", "interrupt_status", "frames", "threshold", "frames_done", "exits"}


def test_a_header_without_a_register_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "x_hw.h"
    path.write_text(header("other").replace("EXITS_DATA", "EXIT_DATA"))

    with pytest.raises(ConfigError, match="no address of the register exits") as raised:
        read_header(path)
    assert "EXIT_DATA" in raised.value.hint


def test_ports_are_read_from_both_styles_of_header() -> None:
    old = """module top (\n  ap_clk,\n  x_TDATA, y\n);\nparameter N = 3;\ninput   ap_clk;\ninput  [N - 1:0] x_TDATA;
output  y; // input z;\nreg y;\nfunction f; input a; f = a; endfunction\nendmodule\nmodule sub (input q); endmodule"""
    new = (
        "module top #(parameter N = 3) (\n input wire ap_clk, input wire [N-1:0] x_TDATA, output logic y\n);\nendmodule"
    )

    want = {"ap_clk": "input", "x_TDATA": "input", "y": "output"}
    assert ports_of(old, "top") == want
    assert ports_of(new, "top") == want


def test_side_channels_are_tied_off_and_missing_ports_named(tmp_path: Path) -> None:
    target = hls_export(write_export(tmp_path, FLOW, "lenet_exit1"), "lenet_exit1")
    ports = ports_of(target.design.files["lenet_exit1.v"], "lenet_exit1")

    wires = connections(ports, "lenet_exit1")

    assert wires["ap_clk"] == "aclk" and wires["s_axis_image_TDATA"] == "s_axis_image_tdata"
    assert wires["s_axis_image_TSTRB"] == "'1" and wires["s_axis_image_TID"] == "'0"
    assert "m_axis_result_TUSER" not in wires
    assert target.kind == "hls" and target.registers["exits"] == ADDRESSES["EXITS_DATA"]
    assert set(target.data) == {"lenet_exit1_table.dat"} and "lenet_exit1.autotb.v" not in target.design.files
    with pytest.raises(VerificationError, match="no port for m_axis_feature_tvalid"):
        connections({port: way for port, way in ports.items() if port != "m_axis_feature_TVALID"}, "lenet_exit1")


def test_both_designs_get_the_same_wrapper(tmp_path: Path) -> None:
    ours = wrapper(emitted(emit_rtl(FLOW, top="lenet_exit1", exit_name="exit1")), FLOW)
    theirs = wrapper(hls_export(write_export(tmp_path, FLOW, "lenet_exit1"), "lenet_exit1"), FLOW)

    assert ours.partition("lenet_exit1 dut (")[0] == theirs.partition("lenet_exit1 dut (")[0]
    assert ".aclk(aclk)" in ours and ".ap_clk(aclk)" in theirs


def test_an_export_of_another_design_is_an_error(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "solution", FLOW, "other")

    with pytest.raises(ConfigError, match=r"no lenet_exit1\.v"):
        hls_export(folder, "lenet_exit1")
    with pytest.raises(ConfigError, match="no register header"):
        hls_export(tmp_path / "solution" / "sim", "other")


def test_streams_of_the_map_are_those_of_the_benches() -> None:
    text = (cosim_build.bench_folder() / "cs_bench.py").read_text()

    assert f"PORTS = {STREAMS!r}".replace("'", '"') in text
