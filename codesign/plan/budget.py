"""First, honest counts of resources for budget decisions; every figure is estimated, none comes from a tool.

The rules were read off public synthesis reports; docs/estimates.md has each with its source. They aim at the netlist after
synthesis rather than at the larger figures that csynth prints, and they leave power, timing and placement alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from codesign.devices import Device
from codesign.ir.types import TensorType
from codesign.ops.adder_graph import MOST_BITS
from codesign.ops.base import Folding, Op, Work
from codesign.plan.dataflow import Channel, Dataflow
from codesign.plan.timing import pipeline_depth

_LUT_PER_BRAM = 150  # LUTs that a block RAM is worth: 147 to 406 per BRAM18 in the parts of codesign/devices
_CONTROL_LUT, _CONTROL_FF = 60, 80  # loop counters and handshakes of one process


@dataclass(frozen=True, slots=True)
class Resources:
    """Estimated DSP, LUT, FF and BRAM18."""

    dsp: int = 0
    lut: int = 0
    ff: int = 0
    bram18: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.dsp + other.dsp, self.lut + other.lut, self.ff + other.ff, self.bram18 + other.bram18)

    def share(self, device: Device) -> float:
        """A price: the sum of the shares of the device that each resource takes."""
        return self.dsp / device.dsp + self.lut / device.lut + self.ff / device.ff + self.bram18 / device.bram18

    def over(self, device: Device, fraction: float = 1.0) -> tuple[str, ...]:
        """The resources that do not fit into a fraction of the device, in words.

        DSPs may all be used: they sit in columns of their own with wires and registers of their own, so a full column
        hampers routing no more than a half full one, whereas LUTs and FFs need room around them to be placed well.
        """
        rows = (
            ("DSP", self.dsp, device.dsp),
            ("LUT", self.lut, int(device.lut * fraction)),
            ("FF", self.ff, int(device.ff * fraction)),
            ("BRAM18", self.bram18, int(device.bram18 * fraction)),
        )
        return tuple(f"{need} {name} of {room}" for name, need, room in rows if need > room)


# Direct memory access and its interconnect on a Zynq: a whole DMA loop on a 7z020 (docs/estimates.md), measured in
# Vivado 2024.1; 2 RAMB36 are 4 BRAM18. A second S2MM channel for features adds a one-channel DMA (991 LUT, 1 RAMB36).
SHELL = Resources(lut=3100 + 991, ff=4100 + 1339, bram18=4 + 2)


@lru_cache(maxsize=1 << 18)
def price(
    op: Op, folding: Folding, types: tuple[TensorType, ...], pads: bool = True, fabric: bool = False
) -> Resources:
    """Estimated resources of one process without its FIFOs; `pads` as in `bram18`, `fabric` as in `Process`."""
    work = op.work(folding, *types)
    dsp, lut = _multipliers(work, fabric)
    lut += _adders(work, inside=not fabric or not work.roms) + _CONTROL_LUT
    memories = _memories(work, pads)
    beat = folding.lanes * types[0].dtype.bits
    ff = _CONTROL_FF + work.register_bits + beat + pipeline_depth(op, folding, types) * 8
    return Resources(dsp, lut, ff) + memories


def channel_price(channel: Channel, pads: bool = True) -> Resources:
    """Estimated resources of a FIFO: SRL LUTs for a small one, block RAM for a large one."""
    return memory_price(channel.depth, channel.width, pads) + Resources(lut=20, ff=10)


def total(dataflow: Dataflow, device: Device) -> Resources:
    """Estimated resources of a whole design with its FIFOs, and of the DMA shell where the part has a processor."""
    pads = device.pads_bram
    shell = (SHELL,) if device.processor else ()
    processes = (price(p.op, p.folding, p.types, pads, p.fabric) for p in dataflow.processes)
    return _sum((*shell, *processes, *(channel_price(c, pads) for c in dataflow.channels)))


def storage(words: int, width: int) -> Literal["lutram", "bram"]:
    """Where a memory goes: LUTs up to 2 kbit, and as long as they cost less than the block RAMs they save.

    HLS by itself puts every FIFO over 512 bits into block RAM (docs/estimates.md), so this is to be stated in a pragma.
    """
    if words <= 32 or words * width <= 2048:
        return "lutram"
    return "lutram" if _lutram(words, width) <= _LUT_PER_BRAM * bram18(words, width) else "bram"


def rom_storage(words: int, width: int) -> Literal["lutrom", "bram"]:
    """Where a ROM goes: up to 64 words are logic of six inputs, and so is what is small anyway."""
    return "lutrom" if words <= 64 or words * width <= 2048 else "bram"


@lru_cache(maxsize=1 << 16)
def bram18(words: int, width: int, pads: bool = True) -> int:
    """Half blocks of 18 kbit: the best of the aspects 16384x1 to 512x36.

    104 of 108 FIFOs exact; 48 of 65 other memories exact and 57 within 20 % or one block (docs/estimates.md), with the
    depth rounded up to a power of two on 7-series (`pads`).
    """
    deep = 1 << (words - 1).bit_length() if pads else words
    aspects = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
    return min(-(-width // w) * -(-deep // d) for w, d in aspects)


def memory_price(words: int, width: int, pads: bool = True) -> Resources:
    """Estimated resources of a memory where `storage` puts it; `pads` as in `bram18`."""
    if storage(words, width) == "bram":
        return Resources(lut=10, bram18=bram18(words, width, pads))
    return Resources(lut=_lutram(words, width))


def _lutram(words: int, width: int) -> int:
    """One SRL or distributed RAM LUT per bit and 32 words (UG474, UG574: SRLC32E)."""
    return width * -(-words // 32)


def _sum(parts: Iterable[Resources]) -> Resources:
    result = Resources()
    for part in parts:
        result = result + part
    return result


def _multipliers(work: Work, fabric: bool) -> tuple[int, int]:
    """DSP and LUT of all multipliers.

    `in_dsps` of the first kind are in DSPs. Weights that never change become shifts and adds in LUTs: "16-31 LUT/MAC" at 8 bits with the adder, here 24 scaled
    by both widths; 16-bit ones "0.86 DSP + 26 LUT". Folded ones take a DSP each, the adder inside ("the normal
    case for a non-constant 8-bit PE"), several beyond 25x18 bits, or in `fabric` two LUTs for every bit of one operand
    times every bit of the other, without the adder; operands of one or two bits take LUTs anyway.
    """
    dsp = lut = 0
    fixed = work.in_dsps
    for count, x_bits, w_bits in work.multiplies:
        if fixed:
            dsp, count, fixed = dsp + fixed * _dsps(x_bits, w_bits), count - fixed, 0
        if not work.roms and (fabric or max(x_bits, w_bits) <= MOST_BITS):
            lut += count * max(1, round(24 * x_bits * w_bits / 64))
        elif min(x_bits, w_bits) <= 2:
            lut += count * (x_bits + w_bits)
        elif fabric:
            lut += count * 2 * x_bits * w_bits
        else:
            dsp += count * _dsps(x_bits, w_bits)
    return dsp, lut


def _dsps(x_bits: int, w_bits: int) -> int:
    """DSPs of a product: a signed 25 x 18 multiplier each."""
    wide, narrow = max(x_bits, w_bits), min(x_bits, w_bits)
    return -(-wide // 25) * -(-narrow // 18)


def _adders(work: Work, *, inside: bool) -> int:
    """One LUT per bit ("real netlist: about w"), less the adders that multipliers have `inside`."""
    free = sum(count for count, *_ in work.multiplies) if inside else 0
    return sum(max(0, count - free) * bits for count, bits in work.adds)


def _memories(work: Work, pads: bool) -> Resources:
    """ROMs of up to 64 words are logic of six inputs: one LUT a bit, half of one up to 32 words."""
    parts = [memory_price(words, width, pads) for words, width in work.rams]
    for words, width in work.roms:
        if rom_storage(words, width) == "bram":
            parts.append(Resources(bram18=bram18(words, width, pads)))
        else:
            parts.append(Resources(lut=-(-width * -(-words // 32) // 2)))
    return _sum(parts)
