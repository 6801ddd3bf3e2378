"""SystemVerilog of a dataflow: a core that joins units by FIFOs, the ROMs, and a top with AXI ports around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import codesign
from codesign.emit.adder_text import sums_module
from codesign.emit.rtl_text import address_bits, literal, rom_module
from codesign.emit.templates import render
from codesign.errors import CodesignError
from codesign.ops.base import Rom, Unit
from codesign.plan.budget import storage
from codesign.plan.dataflow import Dataflow, Process
from codesign.plan.ports import RESULT_BITS, PortWord, check_widths, feature_word, image_word
from codesign.plan.widths import TOKEN_DEPTH, kinds_of

# Addresses of the AXI4-Lite registers, up to `exits` as Vivado HLS lays them out for the HLS design.
CONTROL = {
    "control": 0x00,  # bit 0 start, 1 done (cleared by reading), 2 idle, 3 ready
    "interrupts": 0x04,
    "interrupt_enable": 0x08,
    "interrupt_status": 0x0C,
    "frames": 0x10,
    "threshold": 0x18,
    "frames_done": 0x20,
    "exits": 0x30,
    "width": 0x40,  # an index, in designs with several widths
    "cycles": 0x60,  # of the last batch, from start to done
    "image_stalls": 0x64,  # cycles in which a word waited at the port
    "result_stalls": 0x68,
    "feature_stalls": 0x6C,
}


@dataclass(frozen=True, slots=True)
class RtlDesign:
    """Emitted text by file name, the top module's name, and the modules of the library that it uses."""

    top: str
    files: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Writes every file into `folder`, which need not be there yet."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")


def emit_rtl(dataflow: Dataflow, *, top: str, exit_name: str) -> RtlDesign:
    """The design with its AXI ports; `dataflow` ends in a `decision` output and a conditional buffer.

    The depths of the dataflow are those of `codesign.plan.exact.for_rtl`.
    """
    image, feature = image_word(dataflow), feature_word(dataflow)
    check_widths(dataflow, kinds_of(dataflow)[0])
    core, modules = _core(dataflow, f"{top}_core", feature)
    (decision,), (buffer,) = dataflow.outputs, [p.name for p in dataflow.processes if p.op.port]
    text = render(
        "rtl/top.sv.j2",
        name=top,
        exit=exit_name,
        version=codesign.__version__,
        image=image,
        image_channel=dataflow.channel(dataflow.inputs[0]),
        decision=dataflow.channel(decision),
        feature=feature,
        buffer=buffer,
        registers=dataflow.registers,
        channels=len(dataflow.channels),
        result_bits=RESULT_BITS,
        kinds=kinds_of(dataflow)[0],
        widths=kinds_of(dataflow)[1],
        width_bits=_width_bits(dataflow),
        token_depth=TOKEN_DEPTH,
    )
    return RtlDesign(top, {f"{top}.sv": text, f"{top}_core.sv": core, **modules, **library()})


def emit_rtl_core(dataflow: Dataflow, *, top: str) -> RtlDesign:
    """The same processes and channels between plain streams, without AXI ports: of any dataflow."""
    feature = feature_word(dataflow) if any(p.op.port for p in dataflow.processes) else None
    core, modules = _core(dataflow, top, feature)
    return RtlDesign(top, {f"{top}.sv": core, **modules, **library()})


def unit_modules(name: str, unit: Unit) -> dict[str, str]:
    """{file name: text} of the modules that a unit has beside it: `name`_PORT for every ROM, `name`_sums."""
    made = {f"{name}_{rom.port}": rom_module(f"{name}_{rom.port}", rom) for rom in unit.roms}
    if unit.sums:
        made[f"{name}_sums"] = sums_module(f"{name}_sums", unit.sums)
    return {f"{module}.sv": text for module, text in made.items()}


def library() -> dict[str, str]:
    """{file name: text} of the hand-written units."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(library_folder().glob("*.sv"))}


def library_folder() -> Path:
    """The folder of the hand-written units: inside the installed package, or at the top of a checkout."""
    package = Path(codesign.__file__).parent
    for folder in (package / "fpga" / "rtl", package.parent / "fpga" / "rtl"):
        if folder.is_dir():
            return folder
    raise CodesignError("the folder fpga/rtl is missing", where=str(package), hint="install the package again")


def _core(dataflow: Dataflow, name: str, feature: PortWord | None) -> tuple[str, dict[str, str]]:
    """The text of the core, and {file name: text} of its ROMs and of sums with constant weights."""
    units = [(p, p.op.rtl(p.folding, *p.types)) for p in dataflow.processes]
    modules: dict[str, str] = {}
    for p, unit in units:
        modules |= unit_modules(f"{name}_{p.name}", unit)
    ports = [
        {"process": p.name, "width": feature.bits + 1, "depth": unit.latency + 2}
        for p, unit in units
        if p.op.port and feature is not None
    ]
    text = render(
        "rtl/core.sv.j2",
        name=name,
        graph=dataflow.name,
        version=codesign.__version__,
        registers=dataflow.registers,
        inputs=[dataflow.channel(c) for c in dataflow.inputs],
        outputs=[dataflow.channel(c) for c in dataflow.outputs],
        ports=ports,
        channels=dataflow.channels,
        units=[_unit(dataflow, name, p, unit, feature) for p, unit in units],
        idles=[f"{p.name}__idle" for p, unit in units if unit.batch],
        tokens=[p.name for p, unit in units if unit.widths > 1],
        width_bits=_width_bits(dataflow),
        token_depth=TOKEN_DEPTH,
    )
    return text, modules


def _width_bits(dataflow: Dataflow) -> int:
    """Bits of a token that says what a frame is, 0 in a design with one width."""
    return (kinds_of(dataflow)[0] - 1).bit_length()


def _unit(dataflow: Dataflow, core: str, process: Process, unit: Unit, feature: PortWord | None) -> dict[str, Any]:
    """What the template says of one process."""
    op, out = process.op, process.op.infer(*process.types)
    parameters = dict(unit.parameters)
    if unit.memory is not None:
        parameters["BLOCK"] = int(storage(*unit.memory) == "bram")
    if op.port:
        assert feature is not None
        parameters |= {"PORT_BITS": feature.bits, "CONTAINER": feature.container}
        outputs, width = (f"{process.name}__port",), feature.bits + 1
    else:
        outputs, width = process.outputs, dataflow.channel(process.outputs[0]).width
    return {
        "name": process.name,
        "op": op.name,
        "types": process.types,
        "out": out,
        "folding": process.folding,
        "cycles": process.cycles,
        "latency": unit.latency,
        "module": unit.module,
        "parameters": {name: literal(value) for name, value in parameters.items()},
        "roms": [_rom(core, process, rom) for rom in unit.roms],
        "sums": unit.sums,
        "sums_module": f"{core}_{process.name}_sums",
        "inputs": list(zip(unit.inputs, process.streams, strict=True)),
        "registers": list(zip(unit.registers, process.inputs[len(process.streams) :], strict=True)),
        "outputs": outputs,
        "width": width,
        "batch": unit.batch,
        "token": unit.widths > 1,
        "starts": op.port,
    }


def _rom(core: str, process: Process, rom: Rom) -> dict[str, Any]:
    return {
        "port": rom.port,
        "module": f"{core}_{process.name}_{rom.port}",
        "words": rom.words,
        "width": rom.width,
        "fixed": rom.fixed,
        "address_bits": address_bits(rom.words),
    }
