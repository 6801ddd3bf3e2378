"""Board projects as text: every board and backend, streams that no DMA takes, names that Tcl must not read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from graphs import depthwise_branch

from codesign.devices import devices
from codesign.emit.board import board_names, emit_board, load_site, wrapper_ports
from codesign.emit.rtl import CONTROL, emit_rtl
from codesign.errors import ConfigError, FoldingError
from codesign.plan.build import build
from codesign.plan.exact import for_rtl
from codesign.plan.ports import feature_word, image_word

BOARDS = ("kv260", "pynq-z1", "pynq-z2", "ultra96", "ultra96-v2", "zcu104")


def info(image_bits: int = 8, feature_bits: int = 64, clock_mhz: float = 100.0) -> dict[str, Any]:
    return {
        "top": "net",
        "clock_mhz": clock_mhz,
        "image": {"tdata_bits": image_bits},
        "feature": {"tdata_bits": feature_bits},
    }


def test_boards_with_a_processor_have_a_flow() -> None:
    assert board_names() == BOARDS
    assert load_site("ultra96-v2").part == "xczu3eg-sbva484-1-i" and load_site("ultra96").part == "xczu3eg-sbva484-1-e"


@pytest.mark.parametrize("name", ["vc709", "xc7vx690t"])
def test_a_virtex_7_is_for_estimates_only(name: str) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"{name} has no processor to run PYNQ on: it is for estimates only\n  hint: use one of kv260, pynq-z1",
    ):
        load_site(name)


def test_a_part_is_no_board() -> None:
    with pytest.raises(ConfigError, match="xc7z020 is a part, not a board"):
        load_site("xc7z020")
    with pytest.raises(ConfigError, match=r"no device or board is named 'pynq-z3'\n  hint: did you mean 'pynq-z"):
        load_site("pynq-z3")


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("backend", ["rtl", "hls"])
def test_every_board_gets_its_part_and_its_processor(name: str, backend: Any) -> None:
    files = emit_board(info(clock_mhz=142.857), load_site(name), backend)
    site, design = load_site(name), files["design.tcl"]
    assert (
        f"set part {site.part}\n" in files["build.tcl"]
        and f"set board_part {site.board.board_part}\n" in files["build.tcl"]
    )
    assert f"add_cell processor xilinx.com:ip:{site.device.processor}\n" in design
    assert "FREQMHZ 142.857\n" in design
    assert ("package.tcl" in files) == (backend == "rtl") == ("src/net_ip.v" in files)
    clock = "accelerator/aclk" if backend == "rtl" else "accelerator/ap_clk"
    assert clock in design and ("codesign:rtl:net" if backend == "rtl" else "xilinx.com:hls:net") in design
    for text in files.values():
        assert "{{" not in text and "}}" not in text.replace("}}}", "") and str(Path.cwd()) not in text


def test_widths_come_from_the_design() -> None:
    design = emit_board(info(image_bits=32, feature_bits=512), load_site("zcu104"), "rtl")["design.tcl"]
    images, features = re.findall(r"add_cell dma_\w+ xilinx.com:ip:axi_dma \{(.*?)\n    \}", design, flags=re.DOTALL)
    assert "c_m_axis_mm2s_tdata_width 32\n" in images and "c_m_axi_mm2s_data_width 128\n" in images
    assert "c_s_axis_s2mm_tdata_width 64\n" in images
    assert "c_s_axis_s2mm_tdata_width 512\n" in features and "c_m_axi_s2mm_data_width 512\n" in features
    assert "c_include_mm2s 0\n" in features and "c_addr_width 40" in images


@pytest.mark.parametrize(("image", "feature", "port"), [(2048, 64, "s_axis_image"), (8, 4096, "m_axis_feature")])
def test_a_stream_that_no_dma_takes(image: int, feature: int, port: str) -> None:
    with pytest.raises(
        FoldingError, match=rf"{port}: a stream of \d+ bits, and a DMA takes 1024\n  hint: plan with fewer lanes"
    ):
        emit_board(info(image, feature), load_site("pynq-z2"), "rtl")


def test_registers_of_the_package_are_those_of_the_rtl() -> None:
    package = emit_board(info(), load_site("pynq-z2"), "rtl")["package.tcl"]
    rows = dict(re.findall(r"^        (\w+) 0x([0-9a-f]{2}) read-", package, flags=re.MULTILINE))
    assert sorted(int(address, 16) for address in rows.values()) == sorted(
        at for name, at in CONTROL.items() if name != "width"
    )
    assert {name: int(rows[name], 16) for name in ("CTRL", "frames", "threshold", "exits")} == {
        "CTRL": 0, "frames": 0x10, "threshold": 0x18, "exits": 0x30,
    }  # fmt: skip


@pytest.mark.skipif(not shutil.which("verilator"), reason="needs verilator")
def test_the_wrapper_has_the_ports_of_the_design(tmp_path: Path) -> None:
    dataflow = for_rtl(build(depthwise_branch(), {}))
    emit_rtl(dataflow, top="net", exit_name="exit1").write(tmp_path)
    widths = info(image_word(dataflow).bits, feature_word(dataflow).bits)
    (tmp_path / "net_ip.v").write_text(emit_board(widths, load_site("pynq-z2"), "rtl")["src/net_ip.v"])
    command = [
        "verilator",
        "--lint-only",
        "-Wall",
        "-Wno-DECLFILENAME",
        "-y",
        ".",
        "--top-module",
        "net_ip",
        "net_ip.v",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if shutil.which("iverilog"):  # plain Verilog, as the packager wants it
        subprocess.run(["iverilog", "-g2005", "-t", "null", "-y", "none", "net_ip.v", "-i"], cwd=tmp_path, check=True)


def test_every_port_of_the_wrapper_is_in_an_interface() -> None:
    rows = wrapper_ports(8, 64)
    assert {row["info"].split()[1] for row in rows} == {
        "aclk", "aresetn", "s_axis_image", "m_axis_result", "m_axis_feature", "s_axi_control", "interrupt",
    }  # fmt: skip
    assert len({row["name"] for row in rows}) == len(rows) == 35
    assert all(device.stream_bits for device in devices() if device.processor)
