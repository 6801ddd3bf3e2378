"""Pieces of SystemVerilog text: literals, instances, and a ROM as a module of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from codesign.ops.base import Rom
from codesign.plan.budget import rom_storage


def literal(value: int) -> str:
    """An integer as a parameter takes it; beyond 32 bits it states its size, which the language asks for."""
    size = "" if abs(value) < 1 << 31 else f"{abs(value).bit_length() + 1}'sd"
    return f"{'-' if value < 0 else ''}{size}{abs(value)}"


def parameter_list(parameters: Mapping[str, int | str]) -> str:
    """`.NAME(value)` for every parameter, one a line; text is an expression."""
    return _connections({n: v if isinstance(v, str) else literal(v) for n, v in parameters.items()})


def instance(module: str, name: str, parameters: Mapping[str, int | str], ports: Mapping[str, str]) -> str:
    """An instance of `module` with an expression for every port; an empty expression leaves a port open."""
    sizes = f" #(\n{parameter_list(parameters)}\n    )" if parameters else ""
    return f"    {module}{sizes} {name} (\n{_connections(ports)}\n    );\n"


def wire(width: int, name: str, value: str = "") -> str:
    """The declaration of a wire, `width` bits wide, with its value if it has one here."""
    vector = f"[{width - 1}:0] " if width > 1 else ""
    return f"    wire {vector}{name}{f' = {value}' if value else ''};\n"


def packed(codes: npt.NDArray[np.int64], bits: int) -> list[str]:
    """Rows of codes (rows, codes of a row) as hexadecimal numbers, code 0 in the lowest `bits` bits."""
    ones = (codes[..., None] >> np.arange(bits)).astype(np.uint8) & 1
    rows = np.packbits(ones.reshape(len(codes), -1), axis=1, bitorder="little")
    digits = -(-codes.shape[1] * bits // 4)
    return [f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}" for row in rows]


def address_bits(words: int) -> int:
    """Bits of the address of a memory, at least 1."""
    return max(1, (words - 1).bit_length())


def rom_ports(rom: Rom, address: str, data: str) -> dict[str, str]:
    """What to connect to an instance of the ROM's module."""
    return {"data": data} if rom.words == 1 else {"aclk": "aclk", "address": address, "data": data}


def rom_module(name: str, rom: Rom) -> str:
    """The module of a ROM: `data` is the word of the `address` of two cycles before, or the only word there is.

    One of the two registers is the block RAM's own, behind it, or lies in front of logic, where it is narrow.
    """
    words = [f"{rom.width}'h{word}" for word in packed(rom.codes, rom.bits)]
    if rom.words == 1:
        ports = [f"    output wire [{rom.width - 1}:0] data"]
        body = f"    assign data = {words[0]};\n"
    else:
        vector, bits = f"[{rom.width - 1}:0]", address_bits(rom.words)
        ports = [
            "    input  wire aclk",
            f"    input  wire [{bits - 1}:0] address",
            f"    output logic {vector} data",
        ]
        if rom_storage(rom.words, rom.width) == "bram":
            style, held = '(* rom_style = "block" *) ', f"    logic {vector} word;\n"
            steps = "word <= words[address];\n        data <= word;"
        else:
            style, held = "", f"    logic [{bits - 1}:0] held;\n"
            steps = "held <= address;\n        data <= words[held];"
        body = f"    {style}logic {vector} words[{rom.words}];\n{_initial(words)}{held}"
        body += f"    always_ff @(posedge aclk) begin\n        {steps}\n    end\n"
    title = f"// {rom.words} {'word' if rom.words == 1 else 'words'} of {rom.width} bits.\n"
    head = f"{title}`default_nettype none\nmodule {name} (\n" + ",\n".join(ports) + "\n);\n"
    return f"{head}{body}endmodule\n`default_nettype wire\n"


def _initial(words: Iterable[str]) -> str:
    lines = [f"        words[{address}] = {word};\n" for address, word in enumerate(words)]
    return f"    initial begin\n{''.join(lines)}    end\n"


def _connections(values: Mapping[str, str]) -> str:
    return ",\n".join(f"        .{name}({value})" for name, value in values.items())
