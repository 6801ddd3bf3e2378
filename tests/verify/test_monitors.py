"""The monitors of cosimulation see every breach of protocol that they are there for, and none where there is none."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from rtl_bench import needs_iverilog

from codesign.verify.cosim_build import bench_folder

# Cycles of a stream as `aresetn tvalid tready tdata tlast tkeep`, and the fault that must come of them.
QUIET, TAKEN, OFFERED = "1 0 1 00 0 f", "1 1 1 5a 0 f", "1 1 0 5a 0 f"
RESET = "0 0 x xx x f"
STREAM = {
    "nothing wrong": (0, [RESET, RESET, QUIET, TAKEN, OFFERED, OFFERED, TAKEN, "1 0 0 xx x f", QUIET]),
    "reset takes a waiting beat away": (0, [RESET, QUIET, OFFERED, "0 1 0 5a 0 f", RESET, QUIET, QUIET]),
    "tvalid falls": (1, [RESET, QUIET, OFFERED, QUIET]),
    "tdata moves": (2, [RESET, QUIET, OFFERED, "1 1 1 5b 0 f"]),
    "tlast moves": (3, [RESET, QUIET, OFFERED, "1 1 1 5a 1 f"]),
    "tready is X": (4, [RESET, QUIET, "1 0 x 00 0 f"]),
    "tvalid is X": (4, [RESET, QUIET, "1 x 1 00 0 f"]),
    "tdata is X": (5, [RESET, QUIET, "1 1 1 5x 0 f"]),
    "tlast is X": (5, [RESET, QUIET, "1 1 1 5a x f"]),
    "a byte is left out": (6, [RESET, QUIET, "1 1 1 5a 0 7"]),
    "valid in reset": (7, [RESET, "0 1 0 00 0 f", QUIET]),
    "valid in the cycle behind reset": (7, [RESET, RESET, TAKEN]),
    "the first breach is kept": (1, [RESET, QUIET, OFFERED, QUIET, "1 1 1 5x 0 f"]),
}

# Cycles of an AXI4-Lite port as `aresetn awvalid,awready wvalid,wready bvalid,bready bresp arvalid,arready rvalid,rready rdata`.
CALM, OFF = "1 00 00 00 0 00 00 00", "0 00 00 00 0 00 00 00"
LITE = {
    "nothing wrong": (0, [OFF, CALM, "1 11 00 00 0 00 00 00", "1 00 11 00 0 11 00 00", "1 00 00 10 0 00 10 42", "1 00 00 11 0 00 11 42", CALM]),
    "bvalid falls": (1, [OFF, CALM, "1 11 11 00 0 00 00 00", "1 00 00 10 0 00 00 00", CALM]),
    "rvalid falls": (1, [OFF, CALM, "1 00 00 00 0 11 00 00", "1 00 00 00 0 00 10 42", CALM]),
    "rdata moves": (2, [OFF, CALM, "1 00 00 00 0 11 00 00", "1 00 00 00 0 00 10 42", "1 00 00 00 0 00 11 43"]),
    "bresp moves": (2, [OFF, CALM, "1 11 11 00 0 00 00 00", "1 00 00 10 0 00 00 00", "1 00 00 11 2 00 00 00"]),
    "answer without data": (3, [OFF, CALM, "1 11 00 00 0 00 00 00", "1 00 00 10 0 00 00 00"]),
    "answer in the cycle of the address": (3, [OFF, CALM, "1 00 00 00 0 11 11 42"]),
    "two answers": (3, [OFF, CALM, "1 00 00 00 0 11 00 00", "1 00 00 00 0 00 11 42", "1 00 00 00 0 00 11 42"]),
    "arready is X": (4, [OFF, CALM, "1 00 00 00 0 0x 00 00"]),
    "rdata is X": (5, [OFF, CALM, "1 00 00 00 0 11 00 00", "1 00 00 00 0 00 11 4x"]),
    "valid in reset": (7, [OFF, "0 00 00 10 0 00 00 00"]),
}  # fmt: skip

STREAM_PORTS = "aresetn 1 tvalid 1 tready 1 tdata 32 tlast 1 tkeep 4"
LITE_PORTS = (
    "aresetn 1 awvalid,awready 2 wvalid,wready 2 bvalid,bready 2 bresp 2 arvalid,arready 2 rvalid,rready 2 rdata 32"
)


@needs_iverilog
def test_the_stream_monitor(tmp_path: Path) -> None:
    assert faults("cs_stream_monitor #(.BITS(32))", STREAM_PORTS, STREAM, tmp_path) == wanted(STREAM)


@needs_iverilog
def test_the_lite_monitor(tmp_path: Path) -> None:
    assert faults("cs_lite_monitor", LITE_PORTS, LITE, tmp_path) == wanted(LITE)


@needs_iverilog
def test_beats_and_packets_are_counted_from_reset(tmp_path: Path) -> None:
    last = "1 1 1 5a 1 f"
    rows = {
        "before": (0, [RESET, QUIET, TAKEN, OFFERED, TAKEN, last]),
        "behind": (0, [RESET, QUIET, TAKEN, last, TAKEN, last, QUIET]),
    }

    text = simulate("cs_stream_monitor #(.BITS(32))", STREAM_PORTS, rows, tmp_path, "monitor.beats, monitor.packets")

    assert re.findall(r"fault 0 +(\d+) +(\d+)", text) == [("3", "1"), ("4", "2")]


def wanted(rows: dict[str, tuple[int, list[str]]]) -> dict[str, int]:
    return {name: fault for name, (fault, _) in rows.items()}


def faults(monitor: str, ports: str, rows: dict[str, tuple[int, list[str]]], folder: Path) -> dict[str, int]:
    found = re.findall(r"fault (\d+)", simulate(monitor, ports, rows, folder))
    return dict(zip(rows, map(int, found), strict=True))


def simulate(monitor: str, ports: str, rows: dict[str, tuple[int, list[str]]], folder: Path, shown: str = "") -> str:
    """What a testbench prints that shows the monitor each row of cycles in turn."""
    words = ports.split()
    names, widths = words[::2], [int(width) for width in words[1::2]]
    signals = [name for group in names for name in group.split(",")]
    lines = [
        f"    reg {_vector(width)}{group.replace(',', ', ')};"
        for group, width in zip(names, widths, strict=True)
        if "," not in group
    ]
    lines += [f"    reg {name};" for group in names if "," in group for name in group.split(",")]
    lines += ["    reg aclk = 0, clear = 0;", "    wire [3:0] fault;"]
    connections = ", ".join(f".{name}({name})" for name in (*signals, "aclk", "clear", "fault"))
    connections += ", .rresp(bresp)" if "bresp" in signals else ""
    lines.append(f"    {monitor} monitor ({connections});")
    lines.append("    initial begin")
    for _, cycles in rows.values():
        lines.append("        clear = 1; #1 aclk = 1; #1 aclk = 0; clear = 0;")
        lines += [f"        {_drive(names, widths, cycle)} #1 aclk = 1; #1 aclk = 0;" for cycle in cycles]
        lines.append(f'        $display("fault %0d", fault{f", {shown}" if shown else ""});')
    (folder / "bench.sv").write_text("\n".join(["module bench;", *lines, "    end", "endmodule", ""]))
    sources = sorted(bench_folder().glob("*.sv"))
    subprocess.run(
        ["iverilog", "-g2012", "-o", "bench.vvp", "-s", "bench", "bench.sv", *sources], cwd=folder, check=True
    )
    return subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True).stdout


def _vector(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _drive(names: list[str], widths: list[int], cycle: str) -> str:
    pairs = zip(names, widths, cycle.split(), strict=True)
    return " ".join(
        f"{{{group}}} = {width}'{'b' if ',' in group else 'h'}{value};"
        if "," in group
        else f"{group} = {width}'h{value};"
        for group, width, value in pairs
    )


def test_every_fault_has_a_name() -> None:
    """The numbers of the monitors are those that the benches put into words."""
    bench = (bench_folder() / "cs_bench.py").read_text()
    for file, table in (("cs_stream_monitor.sv", "STREAM_FAULTS"), ("cs_lite_monitor.sv", "LITE_FAULTS")):
        codes = re.search(r"localparam \[3:0\] (.*?);", (bench_folder() / file).read_text(), flags=re.DOTALL)
        rows = re.search(rf"{table} = {{(.*?)}}", bench, flags=re.DOTALL)
        assert codes and rows
        assert re.findall(r"= (\d+)", codes[1]) == re.findall(r"(\d+):", rows[1])
