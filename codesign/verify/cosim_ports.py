"""The port-name map of cosimulation: one bench for the emitted SystemVerilog and for the RTL that Vivado HLS exports.

Both designs have the same ports under slightly different names (`s_axis_image_tdata`, `s_axis_image_TDATA`), the same
registers at addresses that HLS writes into a C header, and HLS adds side channels that nothing reads. A wrapper gives
every design the names of `hls_templates/rtl/cosim.sv.j2`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import codesign
from codesign.emit.rtl import CONTROL, RtlDesign
from codesign.emit.templates import render
from codesign.errors import ConfigError, VerificationError
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import RESULT_BITS, feature_word, image_word

STREAMS = ("s_axis_image", "m_axis_result", "m_axis_feature")
LITE = "s_axi_control"
LITE_IN = ("awaddr", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arvalid", "rready")
LITE_OUT = ("awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid")
UNWATCHED = ("awaddr", "wdata", "wstrb", "araddr")
CLOCK, RESET = ("aclk", "ap_clk"), ("aresetn", "ap_rst_n")

# Names of the registers in the header that HLS writes, where they are not NAME_DATA.
HLS_NAMES = {"control": "AP_CTRL", "interrupts": "GIE", "interrupt_enable": "IER", "interrupt_status": "ISR"}
HLS_REGISTERS = (*HLS_NAMES, "frames", "threshold", "frames_done", "exits")
Kind = str  # "codesign" or "hls"


@dataclass(frozen=True, slots=True)
class Target:
    """A design to be driven: its sources, other files that they read, and the addresses of its registers.

    `kind` says whose control logic it has: `codesign` or `hls`. They differ in what a start while busy does, and HLS may take
    words before it is started.
    """

    design: RtlDesign
    kind: Kind
    registers: Mapping[str, int]
    data: Mapping[str, bytes]


def emitted(design: RtlDesign, widths: int = 1) -> Target:
    """The target of our own RTL."""
    registers = {name: address for name, address in CONTROL.items() if widths > 1 or name != "width"}
    return Target(design, "codesign", registers, {})


def hls_export(folder: Path, top: str) -> Target:
    """The target of a folder with the Verilog of an HLS export and its `x<top>_hw.h`, anywhere below it.

    Raises ConfigError when one of them is not there.
    """
    headers = sorted(folder.rglob("*_hw.h"))
    if not headers:
        hint = "name the solution folder, or one with the export's Verilog and drivers"
        raise ConfigError("there is no register header *_hw.h in it", where=str(folder), hint=hint)
    place = verilog_folder(folder)
    sources = {
        p.name: p.read_text(encoding="utf-8") for p in sorted(place.rglob("*")) if p.suffix in {".v", ".sv", ".vh"}
    }
    data = {p.name: p.read_bytes() for p in sorted(place.rglob("*")) if p.suffix in {".dat", ".mem"}}
    file = next((name for name in (f"{top}.v", f"{top}.sv") if name in sources), "")
    if not file:
        hint = f"the design in this run folder is {top}; was another one exported?"
        raise ConfigError(f"there is no {top}.v in it", where=str(place), hint=hint)
    return Target(RtlDesign(top, sources), "hls", read_header(headers[0]), data)


def verilog_folder(folder: Path) -> Path:
    """The folder of an export's Verilog: a solution has it several times, next to testbenches."""
    for place in ("impl/ip/hdl/verilog", "hdl/verilog", "impl/verilog", "syn/verilog"):
        if (folder / place).is_dir():
            return folder / place
    return folder


def read_header(path: Path) -> dict[str, int]:
    """{register: address} from the C header of an HLS driver. Raises ConfigError when a register is not in it.

    Only a design with several widths has a register `width`.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    found = {
        name: int(address, 16)
        for name, address in re.findall(r"^#define\s+\w+?_ADDR_(\w+)\s+(0[xX][0-9a-fA-F]+)", text, flags=re.MULTILINE)
    }
    registers: dict[str, int] = {}
    for name in HLS_REGISTERS:
        address = found.get(HLS_NAMES.get(name, f"{name.upper()}_DATA"))
        if address is None:
            hint = f"it should be the header of a design with bundle control; it defines {', '.join(found) or 'no address'}"
            raise ConfigError(f"it has no address of the register {name}", where=str(path), hint=hint)
        registers[name] = address
    return registers | ({"width": found["WIDTH_DATA"]} if "WIDTH_DATA" in found else {})


def ports_of(text: str, top: str) -> dict[str, str]:
    """{port: direction} of a module, its header in the style of SystemVerilog or of Verilog-1995, as HLS writes it."""
    found = re.search(rf"^\s*module\s+{re.escape(top)}\b(.*?)^\s*endmodule", text, flags=re.MULTILINE | re.DOTALL)
    if not found:
        raise VerificationError(f"no module {top} in its file", where=top, hint="was the file edited?")
    body = re.sub(r"//[^\n]*|/\*.*?\*/", "", found[1], flags=re.DOTALL)
    body = re.sub(r"\b(function|task)\b.*?\bend\1\b", "", body, flags=re.DOTALL)
    ports: dict[str, str] = {}
    item = r"\b(input|output)\b\s*(?:wire\b|reg\b|logic\b|signed\b|\[[^\]]*\]|\s)*"
    for found in re.finditer(item + r"((?:\w+\s*,\s*(?!input\b|output\b))*\w+)", body):
        for name in found[2].split(","):
            ports[name.strip()] = found[1]
    return ports


def wrapper(target: Target, dataflow: Dataflow) -> str:
    """The text of the module `cosim`. Raises VerificationError when a port of the design is missing."""
    top = target.design.top
    file = next(name for name in (f"{top}.sv", f"{top}.v") if name in target.design.files)
    ports = ports_of(target.design.files[file], top)
    wires = connections(ports, top)
    bits = (image_word(dataflow).bits, RESULT_BITS, feature_word(dataflow).bits)
    streams = [
        {
            "name": name,
            "bits": width,
            "input": name.startswith("s_"),
            "keeps": name[0] == "m" and f"{name}__keep" in wires.values(),
        }
        for name, width in zip(STREAMS, bits, strict=True)
    ]
    return render(
        "rtl/cosim.sv.j2",
        top=top,
        version=codesign.__version__,
        streams=streams,
        lite_signals=[s for s in (*LITE_IN, *LITE_OUT) if s not in UNWATCHED],
        connections=wires.items(),
        interrupts="interrupt" in wires.values(),
    )


def connections(ports: Mapping[str, str], top: str) -> dict[str, str]:
    """{port of the design: expression of the wrapper}; what only the design has is tied off or left open."""
    wanted = dict.fromkeys(CLOCK, "aclk") | dict.fromkeys(RESET, "aresetn") | {"interrupt": "interrupt"}
    wanted |= {f"{s}_{part}": f"{s}_{part}" for s in STREAMS for part in ("tdata", "tlast", "tvalid", "tready")}
    wanted |= {f"{s}_tkeep": f"{s}__keep" for s in STREAMS}  # a name that the benches do not see
    wanted |= {f"{LITE}_{part}": f"{LITE}_{part}" for part in (*LITE_IN, *LITE_OUT)}
    wires: dict[str, str] = {}
    for port, direction in ports.items():
        if port.lower() in wanted:
            wires[port] = wanted[port.lower()]
        elif direction == "input":
            wires[port] = "'1" if port.lower().endswith("strb") else "'0"
    optional = {"interrupt", "s_axis_image_tlast", *(f"{s}__keep" for s in STREAMS)}
    for name in dict.fromkeys(wanted.values()):
        if name not in wires.values() and name not in optional:
            raise VerificationError(f"it has no port for {name}", where=top, hint="see docs/streams.md for the ports")
    return wires
