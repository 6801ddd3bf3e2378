"""The driver of the AXI DMA in simple mode, with the habits of the real one."""

from __future__ import annotations

from typing import Any

from pynq.mmio import MMIO
from pynq.overlay import DefaultIP

FOR_EVER = 20_000  # polls


class _Channel:
    """`transfer` starts one and `wait` ends it; both use the registers alone."""

    def __init__(self, mmio: MMIO, offset: int, most: int, align: int, dre: bool) -> None:
        self._mmio, self._offset, self._most, self._align, self._dre = mmio, offset, most, align, dre
        self._active: Any = None
        self.transferred = 0
        self.start()

    @property
    def running(self) -> bool:
        return self._status & 0x01 == 0

    @property
    def idle(self) -> bool:
        return self._status & 0x02 != 0

    @property
    def error(self) -> bool:
        return self._status & 0x70 != 0

    @property
    def _status(self) -> int:
        return self._mmio.read(self._offset + 4)

    def start(self) -> None:
        self._mmio.write(self._offset, 0x1001)  # with interrupts
        self._until(lambda: self.running)
        self._first = True

    def stop(self) -> None:
        self._mmio.write(self._offset, 0)
        self._until(lambda: not self.running)

    def transfer(self, array: Any, start: int = 0, nbytes: int = 0) -> None:
        if not self.running:
            raise RuntimeError("DMA channel not started")
        if not self.idle and not self._first:
            raise RuntimeError("DMA channel not idle")
        nbytes = nbytes or array.nbytes - start
        if nbytes > self._most:
            raise ValueError(
                f"Transfer size is {nbytes} bytes, which exceeds the maximum DMA buffer size {self._most}."
            )
        address = array.physical_address + start
        if not self._dre and address % self._align:
            raise RuntimeError("DMA does not support unaligned transfers; Starting address must be aligned to "
                               f"{self._align} bytes.")  # fmt: skip
        if self._offset == 0:
            array.flush()
        self.transferred = 0
        self._mmio.write(self._offset + 0x18, address & 0xFFFFFFFF)
        self._mmio.write(self._offset + 0x1C, address >> 32)
        self._mmio.write(self._offset + 0x28, nbytes)
        self._active, self._first = array, False

    def wait(self) -> None:
        if not self.running:
            raise RuntimeError("DMA channel not started")

        def through() -> bool:
            for bit, words in (
                (0x10, "Internal Error (transfer length 0?)"),
                (0x20, "Slave Error"),
                (0x40, "Decode Error"),
            ):
                if self._status & bit:
                    raise RuntimeError(f"DMA {words}")
            return self.idle

        self._until(through)
        if self._offset:
            self._active.invalidate()
        self.transferred = self._mmio.read(self._offset + 0x28)

    def _until(self, true: Any) -> None:
        for _ in range(FOR_EVER):
            if true():
                return
        raise AssertionError("the real driver would wait for ever here")


class DMA(DefaultIP):
    bindto = ["xilinx.com:ip:axi_dma:7.1"]  # noqa: RUF012

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)
        parameters = description["parameters"]
        self.buffer_max_size = (1 << int(parameters["c_sg_length_width"])) - 1
        for name, offset, side in (("sendchannel", 0x00, "mm2s"), ("recvchannel", 0x30, "s2mm")):
            if int(parameters[f"c_include_{side}"]):
                align = int(parameters[f"c_m_axi_{side}_data_width"]) // 8
                dre = bool(int(parameters[f"c_include_{side}_dre"]))
                setattr(self, name, _Channel(self.mmio, offset, self.buffer_max_size, align, dre))
