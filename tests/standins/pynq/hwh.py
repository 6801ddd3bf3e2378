"""Reads a .hwh as PYNQ does: addressable IP with parameters, registers and interrupts, and which buses are joined."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET


class Hwh:
    """`ip_dict` as PYNQ has it; `streams` are {(cell, bus): net} of AXI4-Stream; `processor` the name of the PS."""

    def __init__(self, path: str) -> None:
        self.root = ET.parse(path).getroot()
        modules = {m.get("INSTANCE"): m for m in self.root.iter("MODULE")}
        ps = next(m for m in modules.values() if m.get("MODTYPE") in ("processing_system7", "zynq_ultra_ps_e"))
        self.processor = ps.get("FULLNAME").lstrip("/")
        self.ip_dict: dict[str, dict[str, Any]] = {}
        for entry in ps.iter("MEMRANGE"):
            module = modules[entry.get("INSTANCE")]
            base, high = (int(entry.get(name), 16) for name in ("BASEVALUE", "HIGHVALUE"))
            name = module.get("FULLNAME").lstrip("/")
            self.ip_dict[name] = {**_facts(module), "fullpath": name, "phys_addr": base, "addr_range": high - base + 1}
        self.ip_dict[self.processor] = _facts(ps)
        self.streams = {
            (module.get("INSTANCE"), bus.get("NAME")): bus.get("BUSNAME")
            for module in modules.values()
            for bus in module.iter("BUSINTERFACE")
            if bus.get("VLNV").startswith("xilinx.com:interface:axis")
        }

    def joined(self, cell: str, bus: str) -> tuple[str, str]:
        """The other end of a stream; KeyError when it is left open."""
        net = self.streams[cell, bus]
        return next(end for end, name in self.streams.items() if name == net and end != (cell, bus))


def _facts(module: ET.Element) -> dict[str, Any]:
    return {
        "type": module.get("VLNV"),
        "parameters": {p.get("NAME"): p.get("VALUE") for p in module.findall("./PARAMETERS/*[@NAME][@VALUE]")},
        "interrupts": {
            p.get("NAME"): {} for p in module.iter("PORT") if p.get("SIGIS") == "INTERRUPT" and p.get("DIR") == "O"
        },
        "registers": {
            r.get("NAME"): {
                "address_offset": int(_property(r, "ADDRESS_OFFSET"), 0),
                "size": int(_property(r, "SIZE"), 0),
                "access": _property(r, "ACCESS"),
                "description": _property(r, "DESCRIPTION"),
            }
            for r in module.findall(".//REGISTERS/*[@NAME]")
        },
    }


def _property(register: ET.Element, name: str) -> str:
    return register.find(f"./PROPERTY/[@NAME='{name}']").get("VALUE")
