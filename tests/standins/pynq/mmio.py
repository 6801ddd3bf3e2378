"""Registers by physical address."""

from __future__ import annotations

from pynq import fabric


class MMIO:
    def __init__(self, base_addr: int, length: int = 4, device: object = None) -> None:
        if base_addr < 0 or length < 0:
            raise ValueError("Base address or length cannot be negative.")
        self.base_addr, self.length = base_addr, length

    def read(self, offset: int = 0, length: int = 4) -> int:
        if offset % 4:
            raise MemoryError("Unaligned read: offset must be multiple of 4.")
        if not 0 <= offset < self.length:
            raise IndexError(f"offset {offset} is outside of {self.length} bytes")
        device, at = fabric.the_fabric.find(self.base_addr + offset)
        return device.read(at)

    def write(self, offset: int, data: int) -> None:
        if offset % 4:
            raise MemoryError("Unaligned write: offset must be multiple of 4.")
        if not 0 <= offset < self.length:
            raise IndexError(f"offset {offset} is outside of {self.length} bytes")
        if type(data) is not int:  # as the real one, which takes no numpy integer
            raise ValueError("Data type must be int or bytes.")
        device, at = fabric.the_fabric.find(self.base_addr + offset)
        device.write(at, data & 0xFFFFFFFF)
