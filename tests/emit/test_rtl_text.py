"""ROM modules hold their codes, and literals their values, in the eyes of a simulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rtl_bench import needs_iverilog

from codesign.emit.rtl_text import instance, literal, packed, parameter_list, rom_module
from codesign.ops.base import Rom


def simulate(text: str, folder: Path) -> list[str]:
    (folder / "t.sv").write_text(text)
    subprocess.run(["iverilog", "-g2012", "-Wall", "-s", "t", "-o", "t.vvp", "t.sv"], cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "t.vvp"], cwd=folder, capture_output=True, text=True, check=True).stdout.split()


def test_codes_are_packed_from_the_low_end() -> None:
    codes = np.array([[1, -1, 0], [-8, 7, 5]])

    assert packed(codes, 4) == ["0f1", "578"]
    assert packed(codes & 1, 1) == ["3", "6"]


@needs_iverilog
@pytest.mark.parametrize(("words", "lanes", "bits"), [(2, 1, 1), (100, 3, 9), (65, 5, 63), (5, 40, 6)])
def test_a_rom_gives_the_word_of_the_address_two_cycles_later(
    words: int, lanes: int, bits: int, tmp_path: Path
) -> None:
    codes = np.random.default_rng(1).integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1, (words, lanes), endpoint=True)
    rom = Rom("weights", codes, bits)
    width, text = lanes * bits, rom_module("rom", rom)
    bench = f"""
module t;
    reg aclk = 0;
    reg [{(words - 1).bit_length() - 1}:0] address = 0;
    wire [{width - 1}:0] data;
    integer i;
{instance("rom", "unit", {}, {"aclk": "aclk", "address": "address", "data": "data"})}
    initial for (i = 0; i < {words}; i = i + 1) begin
        address = i;
        #1 aclk = 1;
        #1 address = 0;
        aclk = 0;
        #1 aclk = 1;
        #1 aclk = 0;
        $display("%h", data);
    end
endmodule
"""
    assert simulate(text + bench, tmp_path) == packed(codes, bits)
    assert ('rom_style = "block"' in text) == (words > 64 and words * width > 2048)


def test_a_rom_of_one_word_is_constant() -> None:
    assert "assign data = 9'h1c9;" in rom_module("rom", Rom("constants", np.array([[1, 1, -1]]), 3))
    assert "address" not in rom_module("rom", Rom("constants", np.array([[1, 1, -1]]), 3))


@needs_iverilog
@pytest.mark.parametrize("value", [0, -1, 96, 2**31 - 1, -(2**31), 2**31, -(2**33), 2**40 + 7])
def test_parameters_keep_their_value(value: int, tmp_path: Path) -> None:
    inner = 'module c #(parameter VALUE = 1);\n    wire signed [63:0] wide = VALUE;\n    initial #1 $display("%0d", wide);\nendmodule\n'

    assert simulate(f"{inner}module t;\n{instance('c', 'unit', {'VALUE': value}, {})}endmodule\n", tmp_path) == [
        str(value)
    ]


def test_literals_are_plain_up_to_32_bits() -> None:
    assert [literal(v) for v in (7, -128, 2**31, -(2**31))] == ["7", "-128", "33'sd2147483648", "-33'sd2147483648"]
    assert parameter_list({"A": 1, "B": "WIDTH"}) == "        .A(1),\n        .B(WIDTH)"


@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs verilator")
@pytest.mark.parametrize("words", [1, 3, 200])
def test_roms_are_clean(words: int, tmp_path: Path) -> None:
    (tmp_path / "rom.sv").write_text(
        rom_module("rom", Rom("weights", np.arange(words * 2).reshape(words, 2) - words, 11))
    )
    done = subprocess.run(["verilator", "--lint-only", "-Wall", "rom.sv"], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
