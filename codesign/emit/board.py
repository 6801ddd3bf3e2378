"""The Vivado project that puts a design on a board: Tcl for packaging, block design and build, as {path: text}.

processor --control--> registers of the accelerator and of both DMAs
memory --dma_images--> s_axis_image, m_axis_result --dma_images--> memory
m_axis_feature --dma_features--> memory
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import codesign
from codesign.devices import Board, Device, load_board
from codesign.emit.project import tcl_word
from codesign.emit.rtl import CONTROL
from codesign.emit.templates import render
from codesign.errors import ConfigError, FoldingError, nearest
from codesign.plan.ports import RESULT_BITS

Backend = Literal["rtl", "hls"]

CELLS = {"accelerator": "accelerator", "images": "dma_images", "features": "dma_features"}
MAX_DMA_BITS = 1024  # of a stream that the AXI DMA takes
LENGTH_BITS = 26  # of a transfer's bytes
BURST = 16  # beats; the memory ports of a Zynq-7000 take no longer ones
IP_VERSION = "1.0"

# Names of the registers in the .hwh, those of an HLS design where it has them.
REGISTER_NAMES = {"control": "CTRL", "interrupts": "GIER", "interrupt_enable": "IP_IER", "interrupt_status": "IP_ISR"}
_DESCRIPTIONS = {
    "control": "start, done, idle, ready in bits 0 to 3",
    "interrupts": "bit 0: interrupts on",
    "interrupt_enable": "bit 0 on done, 1 on ready",
    "interrupt_status": "which interrupt came",
    "frames": "frames of the batch",
    "threshold": "threshold code of the exit",
    "frames_done": "frames of the batch that are decided",
    "exits": "frames of the batch that exit",
    "width": "index of the width of frames that begin, 0 the narrowest",
    "cycles": "cycles of the batch from start to done",
    "image_stalls": "cycles in which a word waited at the image port",
    "result_stalls": "cycles in which a word waited at the result port",
    "feature_stalls": "cycles in which a word waited at the feature port",
}
_WRITTEN = ("control", "interrupts", "interrupt_enable", "interrupt_status", "frames", "threshold", "width")


@dataclass(frozen=True, slots=True)
class Site:
    """A board with what the block design must know of its part."""

    device: Device
    board: Board

    @property
    def part(self) -> str:
        return self.board.speed_part or self.device.part

    @property
    def zynq7000(self) -> bool:
        return self.device.processor == "processing_system7"


def load_site(name: str) -> Site:
    """The board of this name; raises ConfigError for a part, an unknown board, and one that has no processor."""
    device, board = load_board(name)
    if not device.processor:
        raise ConfigError(
            f"{name} has no processor to run PYNQ on: it is for estimates only",
            where="--board",
            hint=f"use one of {', '.join(board_names())}",
        )
    if board is None:
        raise ConfigError(f"{name} is a part, not a board", where="--board", hint=nearest(name, board_names()))
    return Site(device, board)


def board_names() -> tuple[str, ...]:
    """Boards with a flow of their own, by name."""
    from codesign.devices import devices

    return tuple(sorted(board.name for device in devices() for board in device.boards if device.processor))


def vlnv(backend: Backend, top: str) -> str:
    """The name by which Vivado and PYNQ know the IP."""
    return f"{'codesign:rtl' if backend == 'rtl' else 'xilinx.com:hls'}:{top}:{IP_VERSION}"


def emit_board(info: Mapping[str, Any], site: Site, backend: Backend) -> dict[str, str]:
    """The project for a design with this design.json: build.tcl, design.tcl, and for RTL package.tcl and a wrapper.

    The wrapper is in src/, where the design's SystemVerilog goes too. Raises FoldingError when a stream is wider than a DMA.
    """
    top: str = info["top"]
    image_bits, feature_bits = int(info["image"]["tdata_bits"]), int(info["feature"]["tdata_bits"])
    for name, bits in (("s_axis_image", image_bits), ("m_axis_feature", feature_bits)):
        if bits > MAX_DMA_BITS:
            raise FoldingError(
                f"a stream of {bits} bits, and a DMA takes {MAX_DMA_BITS}",
                where=name,
                hint="plan with fewer lanes there",
            )
    variables = {
        "top": top,
        "board": site.board.name,
        "version": codesign.__version__,
        "backend": backend,
        "top_word": tcl_word(top),
        "part_word": tcl_word(site.part),
        "board_part_word": tcl_word(site.board.board_part),
        "ip_folder_word": tcl_word("ip" if backend == "rtl" else f"../../hls/{top}_prj/solution1/impl/ip"),
        "vendor": "codesign",
        "library": "rtl",
        "ip_version": IP_VERSION,
        "families": "zynq Production" if site.zynq7000 else "zynquplus Production",
        "vln": vlnv(backend, top).rpartition(":")[0],
        "ip": {"clock": "aclk", "reset": "aresetn"} if backend == "rtl" else {"clock": "ap_clk", "reset": "ap_rst_n"},
        "cells": CELLS,
        "clock_mhz": f"{float(info['clock_mhz']):g}",
        "image_bits": image_bits,
        "feature_bits": feature_bits,
        "processor": _processor(site, float(info["clock_mhz"])),
        "ports": _ports(site),
        "dmas": _dmas(site, image_bits, feature_bits),
        "registers": registers(info),
    }
    files = {name: render(f"board/{name}.j2", **variables) for name in ("build.tcl", "design.tcl")}
    if backend == "rtl":
        files["package.tcl"] = render("board/package.tcl.j2", **variables)
        ports = wrapper_ports(image_bits, feature_bits)
        files[f"src/{top}_ip.v"] = render("board/wrapper.v.j2", top=top, version=codesign.__version__, ports=ports)
    return files


def registers(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The register map as the .hwh has it: name, address, access, description; `width` of a design that has several."""
    return [
        {
            "name": REGISTER_NAMES.get(name, name),
            "address": address,
            "access": "read-write" if name in _WRITTEN else "read-only",
            "description": _DESCRIPTIONS[name],
            "words": tcl_word(_DESCRIPTIONS[name]),
        }
        for name, address in CONTROL.items()
        if name != "width" or info.get("widths")
    ]


def wrapper_ports(image_bits: int, feature_bits: int) -> list[dict[str, Any]]:
    """Ports of the design with the attributes by which the packager knows them."""
    streams = ("s_axis_image", "m_axis_result", "m_axis_feature")
    clocks = f"ASSOCIATED_BUSIF {':'.join((*streams, 's_axi_control'))}, ASSOCIATED_RESET aresetn"
    rows = [
        _port("aclk", "input", 1, "xilinx.com:signal:clock:1.0 aclk CLK", clocks),
        _port("aresetn", "input", 1, "xilinx.com:signal:reset:1.0 aresetn RST", "POLARITY ACTIVE_LOW"),
    ]
    for name, bits in zip(streams, (image_bits, RESULT_BITS, feature_bits), strict=True):
        ahead, back = ("input", "output") if name.startswith("s_") else ("output", "input")
        for wire, width in (("tdata", bits), ("tkeep", bits // 8), ("tlast", 1), ("tvalid", 1), ("tready", 1)):
            info = f"xilinx.com:interface:axis:1.0 {name} {wire.upper()}"
            rows.append(_port(f"{name}_{wire}", back if wire == "tready" else ahead, width, info))
    for wire, (direction, width) in _LITE.items():
        info = f"xilinx.com:interface:aximm:1.0 s_axi_control {wire.upper()}"
        rows.append(_port(f"s_axi_control_{wire}", direction, width, info))
    interrupt = "xilinx.com:signal:interrupt:1.0 interrupt INTERRUPT"
    return [*rows, _port("interrupt", "output", 1, interrupt, "SENSITIVITY LEVEL_HIGH")]


_LITE = {
    "awaddr": ("input", 7), "awvalid": ("input", 1), "awready": ("output", 1),
    "wdata": ("input", 32), "wstrb": ("input", 4), "wvalid": ("input", 1), "wready": ("output", 1),
    "bresp": ("output", 2), "bvalid": ("output", 1), "bready": ("input", 1),
    "araddr": ("input", 7), "arvalid": ("input", 1), "arready": ("output", 1),
    "rdata": ("output", 32), "rresp": ("output", 2), "rvalid": ("output", 1), "rready": ("input", 1),
}  # fmt: skip


def _port(name: str, direction: str, bits: int, info: str, parameter: str = "") -> dict[str, Any]:
    return {"name": name, "direction": direction, "bits": bits, "info": info, "parameter": parameter}


def _processor(site: Site, clock_mhz: float) -> dict[str, Any]:
    """Settings of the processor's block: two memory ports, one control port, a clock with its reset, interrupts."""
    if site.zynq7000:
        return {
            "vlnv": "xilinx.com:ip:processing_system7",
            "rule": "xilinx.com:bd_rule:processing_system7",
            "automation": 'make_external "FIXED_IO, DDR" Master Disable Slave Disable',
            "actual_clock": "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ",
            "settings": {
                "PCW_FPGA0_PERIPHERAL_FREQMHZ": f"{clock_mhz:g}",
                "PCW_EN_CLK0_PORT": 1,
                "PCW_EN_RST0_PORT": 1,
                "PCW_USE_M_AXI_GP0": 1,
                "PCW_USE_S_AXI_HP0": 1,
                "PCW_USE_S_AXI_HP1": 1,
                "PCW_USE_FABRIC_INTERRUPT": 1,
                "PCW_IRQ_F2P_INTR": 1,
            },
        }
    return {
        "vlnv": "xilinx.com:ip:zynq_ultra_ps_e",
        "rule": "xilinx.com:bd_rule:zynq_ultra_ps_e",
        "automation": "",
        "actual_clock": "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ",
        "settings": {
            "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": f"{clock_mhz:g}",
            "PSU__FPGA_PL0_ENABLE": 1,
            "PSU__USE__M_AXI_GP0": 1,
            "PSU__USE__M_AXI_GP1": 0,
            "PSU__USE__M_AXI_GP2": 0,
            "PSU__USE__S_AXI_GP2": 1,
            "PSU__USE__S_AXI_GP3": 1,
            "PSU__USE__IRQ0": 1,
        },
    }


def _ports(site: Site) -> dict[str, Any]:
    """Names of the processor's ports."""
    if site.zynq7000:
        return {
            "clock": "FCLK_CLK0",
            "reset": "FCLK_RESET0_N",
            "control": "M_AXI_GP0",
            "memory": ("S_AXI_HP0", "S_AXI_HP1"),
            "clocked": ("M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK", "S_AXI_HP1_ACLK"),
            "interrupt": "IRQ_F2P",
        }
    return {
        "clock": "pl_clk0",
        "reset": "pl_resetn0",
        "control": "M_AXI_HPM0_FPD",
        "memory": ("S_AXI_HP0_FPD", "S_AXI_HP1_FPD"),
        "clocked": ("maxihpm0_fpd_aclk", "saxihp0_fpd_aclk", "saxihp1_fpd_aclk"),
        "interrupt": "pl_ps_irq0",
    }


def _dmas(site: Site, image_bits: int, feature_bits: int) -> list[dict[str, Any]]:
    """Settings of both DMAs: one transfer at a time, buffers at multiples of the memory word, lengths up to 64 MB."""
    common = {
        "c_include_sg": 0,
        "c_sg_include_stscntrl_strm": 0,
        "c_sg_length_width": LENGTH_BITS,
        "c_addr_width": 32 if site.zynq7000 else 40,  # memory above 4 GB
    }

    def side(name: str, stream: str, bits: int) -> dict[str, int]:
        return {
            f"c_include_{name}": 1,
            f"c_include_{name}_dre": 0,
            f"c_m_axi_{name}_data_width": max(site.device.stream_bits, bits),
            f"c_{stream}_{name}_tdata_width": bits,
            f"c_{name}_burst_size": BURST,
        }

    sends, receives = side("mm2s", "m_axis", image_bits), side("s2mm", "s_axis", RESULT_BITS)
    maps = {"c_include_mm2s": 0, **side("s2mm", "s_axis", feature_bits)}
    return [
        {"name": CELLS["images"], "settings": {**common, **sends, **receives}},
        {"name": CELLS["features"], "settings": {**common, **maps}},
    ]
