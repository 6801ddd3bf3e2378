"""The hardware: memory, AXI DMAs with their registers (PG021, simple mode), and a chip behind them that a test plugs in.

Time passes when a status register is read: that is when the chip moves words.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from pynq.hwh import Hwh

HALTED, IDLE, INTERNAL, DECODE, DONE = 0x1, 0x2, 0x10, 0x40, 0x1000
RUN, RESET = 0x1, 0x4
CHIP_TYPES = ("codesign:rtl:", "xilinx.com:hls:")


class Chip(Protocol):
    """An accelerator. `step` lets some cycles pass: it may take image bytes, and fill rooms of bytes by port.

    A port without room (not armed) must not give anything. Returns the bytes taken, and {port: (bytes, TLAST came)}.
    """

    def reset(self) -> None: ...
    def read(self, offset: int) -> int: ...
    def write(self, offset: int, value: int) -> None: ...
    def step(self, image: np.ndarray, rooms: dict[str, int]) -> tuple[int, dict[str, tuple[bytes, bool]]]: ...


class Channel:
    """One direction of a DMA."""

    def __init__(self, dma: Dma, sends: bool, length_bits: int) -> None:
        self.dma, self.sends, self._length_bits = dma, sends, length_bits
        self.reset()

    def reset(self) -> None:
        self.control, self.status = 0x10002, HALTED
        self.address = self.length = self.moved = 0
        self.active = False

    def read(self, offset: int) -> int:
        if offset == 0x04:
            self.dma.fabric.tick()
        return {
            0x00: self.control,
            0x04: self.status,
            0x18: self.address & 0xFFFFFFFF,
            0x1C: self.address >> 32,
            0x28: self.length,
        }[offset]

    def write(self, offset: int, value: int) -> None:
        if offset == 0x00:
            if value & RESET:
                self.dma.reset()
                return
            self.control = value
            self.status = self.status & ~HALTED if value & RUN else self.status | HALTED
            self.active = self.active and bool(value & RUN)
        elif offset == 0x04:
            self.status &= ~(value & 0x7000)
        elif offset == 0x18:
            self.address = self.address >> 32 << 32 | value
        elif offset == 0x1C:
            self.address = value << 32 | self.address & 0xFFFFFFFF
        elif offset == 0x28:
            self._begin(value & ((1 << self._length_bits) - 1))

    def fail(self, bit: int) -> None:
        self.status |= bit | HALTED
        self.active = False

    def _begin(self, length: int) -> None:
        if self.status & HALTED:
            return  # a halted channel takes a length and does nothing
        self.status &= ~IDLE
        self.length, self.moved, self.active = length, 0, True
        if not length:
            self.fail(INTERNAL)
        elif not self.dma.fabric.holds(self.address, length):
            self.fail(DECODE)

    def end(self) -> None:
        self.active, self.length = False, self.moved
        self.status |= IDLE | DONE


class Dma:
    def __init__(self, fabric: Fabric, parameters: dict[str, str]) -> None:
        self.fabric, bits = fabric, int(parameters["c_sg_length_width"])
        assert parameters["c_include_sg"] == "0", "scatter-gather is not modelled"
        self.send = Channel(self, True, bits) if int(parameters["c_include_mm2s"]) else None
        self.receive = Channel(self, False, bits) if int(parameters["c_include_s2mm"]) else None

    def reset(self) -> None:
        for channel in (self.send, self.receive):
            if channel:
                channel.reset()

    def read(self, offset: int) -> int:
        channel = self.receive if offset >= 0x30 else self.send
        return channel.read(offset % 0x30) if channel else 0

    def write(self, offset: int, value: int) -> None:
        channel = self.receive if offset >= 0x30 else self.send
        if channel:
            channel.write(offset % 0x30, value)


class Fabric:
    """What is loaded. `downloads` counts bitstreams, `rails` are the power sensors."""

    def __init__(self) -> None:
        self.chip: Chip | None = None
        self.rails: dict[str, Any] = {}
        self.downloads = 0
        self.memory: dict[int, np.ndarray] = {}
        self.devices: dict[int, tuple[int, Any]] = {}
        self.ends: dict[str, Channel] = {}
        self.parameters: dict[str, str] = {}

    def load(self, hwh: Hwh) -> None:
        """Configures the part: registers at their addresses, streams as they are joined, everything reset."""
        assert self.chip is not None, "plug a chip in first"
        self.downloads += 1
        self.chip.reset()
        self.devices, dmas = {}, {}
        for name, ip in hwh.ip_dict.items():
            device: Any = None
            if ":axi_dma:" in ip["type"]:
                device = dmas[name] = Dma(self, ip["parameters"])
            elif ip["type"].startswith(CHIP_TYPES):
                device, chip_name = self.chip, name
            if device is not None:
                self.devices[ip["phys_addr"]] = (ip["addr_range"], device)
        self.ends = {}
        for port in ("s_axis_image", "m_axis_result", "m_axis_feature"):
            cell, bus = hwh.joined(chip_name, port)
            self.ends[port] = {"M_AXIS_MM2S": dmas[cell].send, "S_AXIS_S2MM": dmas[cell].receive}[bus]
        self.parameters = hwh.ip_dict[hwh.processor]["parameters"]

    def tick(self) -> None:
        """Some cycles: what the DMAs have to send and room to receive goes to the chip."""
        send = self.ends["s_axis_image"]
        image = self._bytes(send) if send.active else np.zeros(0, np.uint8)
        ports = {name: self.ends[name] for name in ("m_axis_result", "m_axis_feature")}
        rooms = {name: channel.length - channel.moved for name, channel in ports.items() if channel.active}
        taken, brought = self.chip.step(image, rooms)
        send.moved += taken
        if send.active and send.moved == send.length:
            send.end()
        for name, (content, last) in brought.items():
            channel = ports[name]
            if content:
                self._bytes(channel)[: len(content)] = np.frombuffer(content, np.uint8)
            channel.moved += len(content)
            if last:
                channel.end()
            elif channel.moved >= channel.length:
                channel.fail(INTERNAL)  # the packet is longer than the transfer

    def holds(self, address: int, length: int) -> bool:
        return any(base <= address and address + length <= base + len(block) for base, block in self.memory.items())

    def _bytes(self, channel: Channel) -> np.ndarray:
        """Memory from where the channel is to the end of its transfer."""
        start, end = channel.address + channel.moved, channel.address + channel.length
        base, block = next((b, m) for b, m in self.memory.items() if b <= channel.address < b + len(m))
        return block[start - base : end - base]

    def find(self, address: int) -> tuple[Any, int]:
        for base, (size, device) in self.devices.items():
            if base <= address < base + size:
                return device, address - base
        raise AssertionError(f"bus error: nothing answers at {address:#x}")

    def take(self, nbytes: int) -> int:
        """The physical address of new memory, a page of its own."""
        base = max((b + len(m) for b, m in self.memory.items()), default=0x1000_0000)
        base = -(-base // 4096) * 4096
        self.memory[base] = np.full(nbytes, 0xA5, np.uint8)  # memory is not zero
        return base


the_fabric = Fabric()


def plug(chip: Chip) -> Fabric:
    """A fresh fabric with this chip."""
    global the_fabric
    the_fabric = Fabric()
    the_fabric.chip = chip
    return the_fabric
