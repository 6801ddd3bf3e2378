"""Writes what Vivado hands over to software: a .hwh from the block design that the stand-in kept, and a .bit with its header.

    hwh.py STATE OUT.hwh          STATE: lines of tab-separated words from vivado_build.tcl
    hwh.py --bit DESIGN PART OUT  a .bit whose header PYNQ can read

The structure is that of real files: a MODULE for every cell with PARAMETERS, PORTS and BUSINTERFACES, registers in
ADDRESSBLOCKS, and in the processor's MEMORYMAP the address of everything it can reach.
"""

from __future__ import annotations

import struct
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

STREAM, MEMORY = "xilinx.com:interface:axis:1.0", "xilinx.com:interface:aximm:1.0"
SIGNALS = {"clk": "clk", "rst": "rst", "intr": "INTERRUPT"}
ZYNQ_BASE = {"axi_dma": 0x40400000, "axi_intc": 0x41800000, "": 0x43C00000}
DMA_REGISTERS = {  # of simple mode, with both directions
    "MM2S_DMACR": 0x00, "MM2S_DMASR": 0x04, "MM2S_SA": 0x18, "MM2S_SA_MSB": 0x1C, "MM2S_LENGTH": 0x28,
    "S2MM_DMACR": 0x30, "S2MM_DMASR": 0x34, "S2MM_DA": 0x48, "S2MM_DA_MSB": 0x4C, "S2MM_LENGTH": 0x58,
}  # fmt: skip


class Design:
    """The block design as tables."""

    def __init__(self, text: str) -> None:
        self.facts: dict[str, str] = {}
        self.cells: dict[str, str] = {}
        self.settings: dict[str, dict[str, str]] = defaultdict(dict)
        self.pins: dict[str, list[list[str]]] = defaultdict(list)
        self.buses: dict[str, list[list[str]]] = defaultdict(list)
        self.drivers: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.registers: list[list[str]] = []
        self.fields: dict[str, list[list[str]]] = defaultdict(list)
        for line in text.splitlines():
            kind, *words = line.split("\t")
            self._read(kind, words)

    def _read(self, kind: str, words: list[str]) -> None:
        if kind in ("release", "part", "design"):
            self.facts[kind] = words[0]
        elif kind == "cell":
            self.cells[words[0]] = words[1]
        elif kind == "setting":
            self.settings[words[0]][words[1]] = words[2]
        elif kind == "pin":
            self.pins[words[0]].append(words[1:])
        elif kind == "bus":
            self.buses[words[0]].append(words[1:])
        elif kind == "net":
            self.drivers[words[1]] = words[0]
        elif kind == "link":
            self.links[words[0]] = words[1]
        elif kind == "register":
            self.registers.append(words)
        elif kind == "field":
            self.fields[words[0]].append(words[1:])

    def kind(self, cell: str) -> str:
        return self.cells[cell].split(":")[2]

    @property
    def processor(self) -> str:
        return next(c for c in self.cells if self.kind(c) in ("processing_system7", "zynq_ultra_ps_e"))

    @property
    def zynq(self) -> bool:
        return self.kind(self.processor) == "processing_system7"

    def slave(self, cell: str) -> str:
        """The bus by which the processor reaches a cell, or ""."""
        return next((row[0] for row in self.buses[cell] if row[2] == "lite"), "")

    def addresses(self) -> dict[str, int]:
        """The base of every cell with registers, as Vivado assigns them on its own."""
        taken: dict[int, int] = defaultdict(int)
        found: dict[str, int] = {}
        for cell in self.cells:
            if self.slave(cell):
                base = ZYNQ_BASE.get(self.kind(cell), ZYNQ_BASE[""]) if self.zynq else 0xA0000000
                found[cell] = base + 0x10000 * taken[base]
                taken[base] += 1
        return found

    def signal(self, path: str) -> str:
        """The net of a pin: named after what drives it."""
        return self.drivers.get(path, path).replace("/", "_")


def hwh(design: Design) -> ET.Element:
    release, part = design.facts["release"], design.facts["part"]
    root = ET.Element("EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP="Sat Jan  1 00:00:00 2022", VIVADOVERSION=release)
    arch = "zynq" if design.zynq else "zynquplus"
    ET.SubElement(
        root, "SYSTEMINFO", ARCH=arch, DEVICE=part[2:], NAME=design.facts["design"], PACKAGE="", SPEEDGRADE="-1"
    )
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")
    for cell in design.cells:
        _module(modules, design, cell)
    return root


def _module(modules: ET.Element, design: Design, cell: str) -> None:
    vlnv = design.cells[cell]
    names = {"COREREVISION": "1", "FULLNAME": f"/{cell}", "HWVERSION": vlnv.split(":")[3], "INSTANCE": cell}
    more = {
        "IPTYPE": "PERIPHERAL",
        "IS_ENABLE": "1",
        "MODCLASS": "PERIPHERAL",
        "MODTYPE": design.kind(cell),
        "VLNV": vlnv,
    }
    module = ET.SubElement(modules, "MODULE", {**names, **more})
    ET.SubElement(module, "DOCUMENTS")
    _registers(module, design, cell)
    parameters = ET.SubElement(module, "PARAMETERS")
    for name, value in _parameters(design, cell).items():
        ET.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)
    ports = ET.SubElement(module, "PORTS")
    for pin, direction, kind in design.pins[cell]:
        port = ET.SubElement(ports, "PORT", DIR=direction, NAME=pin, SIGIS=SIGNALS[kind])
        path = f"{cell}/{pin}"
        ends = [design.drivers[path]] if direction == "I" else [to for to, by in design.drivers.items() if by == path]
        if ends:
            port.set("SIGNAME", design.signal(path))
            joined = ET.SubElement(port, "CONNECTIONS")
            for end in ends:
                ET.SubElement(joined, "CONNECTION", INSTANCE=end.split("/")[0], PORT=end.split("/")[1])
    _buses(module, design, cell)
    if cell == design.processor:
        _memory_map(module, design)


def _buses(module: ET.Element, design: Design, cell: str) -> None:
    buses = ET.SubElement(module, "BUSINTERFACES")
    for name, mode, protocol, bits in design.buses[cell]:
        path = f"{cell}/{name}"
        master = path if mode == "master" else design.links[path]
        kind = {"master": "INITIATOR", "slave": "TARGET"}[mode] if protocol == "axis" else mode.upper()
        attributes = {"BUSNAME": master.replace("/", "_"), "DATAWIDTH": bits, "NAME": name, "TYPE": kind}
        bus = ET.SubElement(buses, "BUSINTERFACE", {**attributes, "VLNV": STREAM if protocol == "axis" else MEMORY})
        if protocol == "axis":
            ET.SubElement(bus, "PARAMETER", NAME="TDATA_NUM_BYTES", VALUE=str(int(bits) // 8))


def _parameters(design: Design, cell: str) -> dict[str, str]:
    settings = design.settings[cell]
    found = dict(settings)
    if design.kind(cell) == "axi_dma":  # twice in real files, as the core and as the customization know them
        found = {name.upper(): value for name, value in settings.items()} | found
    if cell == design.processor:
        found |= _clocks(design, settings)
    if cell in (bases := design.addresses()):
        found |= {"C_BASEADDR": f"0x{bases[cell]:08X}", "C_HIGHADDR": f"0x{bases[cell] + 0xFFFF:08X}"}
    return found


def _clocks(design: Design, settings: dict[str, str]) -> dict[str, str]:
    """Dividers of the four clocks from a PLL of 1 GHz (Zynq) or 1.5 GHz; only the first is on."""
    found: dict[str, str] = {}
    mhz = float(settings["PCW_FPGA0_PERIPHERAL_FREQMHZ" if design.zynq else "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"])
    for n in range(4):
        on, divisor = str(int(n == 0)), str(max(1, round((1000 if design.zynq else 1500) / mhz)))
        if design.zynq:
            dividers = {f"PCW_FCLK{n}_PERIPHERAL_DIVISOR0": divisor, f"PCW_FCLK{n}_PERIPHERAL_DIVISOR1": "1"}
            found |= {**dividers, f"PCW_FPGA_FCLK{n}_ENABLE": on}
        else:
            prefix = f"PSU__CRL_APB__PL{n}_REF_CTRL__"
            found |= {f"{prefix}DIVISOR0": divisor, f"{prefix}DIVISOR1": "1", f"PSU__FPGA_PL{n}_ENABLE": on}
    return found


def _registers(module: ET.Element, design: Design, cell: str) -> None:
    rows: list[list[str]] = []
    if design.kind(cell) == "axi_dma":
        rows = [[name, hex(offset), "read-write", name.replace("_", " ")] for name, offset in DMA_REGISTERS.items()]
    elif design.cells[cell].startswith("codesign:"):
        rows = design.registers
    if not rows:
        return
    blocks = ET.SubElement(module, "ADDRESSBLOCKS")
    kind = {
        "ACCESS": "read-write",
        "INTERFACE": design.slave(cell),
        "NAME": "Reg",
        "RANGE": "65536",
        "USAGE": "register",
    }
    registers = ET.SubElement(ET.SubElement(blocks, "ADDRESSBLOCK", kind), "REGISTERS")
    for name, offset, access, words in rows:
        register = ET.SubElement(registers, "REGISTER", NAME=name)
        facts = {"DESCRIPTION": words, "ADDRESS_OFFSET": hex(int(offset, 0)), "SIZE": "32", "ACCESS": access}
        _properties(register, facts)
        fields = ET.SubElement(register, "FIELDS")
        for field, bit, width, right in design.fields[name] if cell == "accelerator" else []:
            facts = {"DESCRIPTION": "", "ADDRESS_OFFSET": bit, "ACCESS": right, "BIT_OFFSET": bit, "BIT_WIDTH": width}
            _properties(ET.SubElement(fields, "FIELD", NAME=field), facts)


def _properties(element: ET.Element, facts: dict[str, str]) -> None:
    for name, value in facts.items():
        ET.SubElement(element, "PROPERTY", NAME=name, VALUE=value)


def _memory_map(module: ET.Element, design: Design) -> None:
    ranges = ET.SubElement(module, "MEMORYMAP")
    for cell, base in design.addresses().items():
        attributes = {"ADDRESSBLOCK": "Reg", "BASENAME": "C_BASEADDR", "BASEVALUE": f"0x{base:08X}"}
        attributes |= {"HIGHNAME": "C_HIGHADDR", "HIGHVALUE": f"0x{base + 0xFFFF:08X}", "INSTANCE": cell}
        attributes |= {"IS_DATA": "TRUE", "IS_INSTRUCTION": "TRUE", "MEMTYPE": "REGISTER"}
        master = "M_AXI_GP0" if design.zynq else "M_AXI_HPM0_FPD"
        ET.SubElement(
            ranges, "MEMRANGE", {**attributes, "MASTERBUSINTERFACE": master, "SLAVEBUSINTERFACE": design.slave(cell)}
        )


def bit(design: str, part: str) -> bytes:
    """A .bit: a magic field, then design, part, date and time by the letters a to d, then e and the data."""
    data = bytes(8) + bytes.fromhex("ffffffffaa995566") + design.encode()
    out = struct.pack(">H", 9) + bytes.fromhex("0ff00ff00ff00ff000") + struct.pack(">H", 1)
    for letter, text in (
        ("a", f"{design};UserID=0XFFFFFFFF;Version=2022.2"),
        ("b", part[2:]),
        ("c", "2022/01/01"),
        ("d", "00:00:00"),
    ):
        out += letter.encode() + struct.pack(">H", len(text) + 1) + text.encode() + b"\0"
    return out + b"e" + struct.pack(">I", len(data)) + data


def main(words: list[str]) -> None:
    if words[0] == "--bit":
        Path(words[3]).write_bytes(bit(words[1], words[2]))
        return
    root = hwh(Design(Path(words[0]).read_text(encoding="utf-8")))
    ET.indent(root)
    ET.ElementTree(root).write(words[1], encoding="UTF-8", xml_declaration=True)


if __name__ == "__main__":
    main(sys.argv[1:])
