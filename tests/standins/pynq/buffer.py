"""Contiguous memory. A cached buffer is the processor's view: the DMA's changes only with flush and invalidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynq import fabric


class PynqBuffer(np.ndarray):
    physical_address: int | None
    cacheable: bool

    def __array_finalize__(self, parent: Any) -> None:
        self.physical_address, self.cacheable = None, False
        if isinstance(parent, PynqBuffer) and parent.physical_address is not None:
            moved = self.__array_interface__["data"][0] - parent.__array_interface__["data"][0]
            self.physical_address, self.cacheable = parent.physical_address + moved, parent.cacheable

    @property
    def device_address(self) -> int | None:
        return self.physical_address

    def flush(self) -> None:
        """What the processor wrote reaches memory."""
        if self.cacheable:
            self._memory()[:] = self._raw()

    def invalidate(self) -> None:
        """The processor reads memory again."""
        if self.cacheable:
            self._raw()[:] = self._memory()

    sync_to_device, sync_from_device = flush, invalidate

    def _memory(self) -> np.ndarray:
        assert self.physical_address is not None
        blocks = fabric.the_fabric.memory.items()
        base, block = next((b, m) for b, m in blocks if b <= self.physical_address < b + len(m))
        return block[self.physical_address - base :][: self.nbytes]

    def _raw(self) -> np.ndarray:
        return np.asarray(self).reshape(-1).view(np.uint8)


def allocate(shape: Any, dtype: Any = "u4", target: object = None, **kwargs: Any) -> PynqBuffer:
    """A buffer; `cacheable=0`, the default, is memory itself."""
    cacheable = bool(kwargs.pop("cacheable", 0))
    if kwargs:
        raise TypeError(f"allocate() got an unexpected keyword argument {next(iter(kwargs))!r}")
    kind = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * kind.itemsize
    address = fabric.the_fabric.take(nbytes)
    memory = fabric.the_fabric.memory[address]
    buffer = (memory.copy() if cacheable else memory).view(kind).reshape(shape).view(PynqBuffer)
    buffer.physical_address, buffer.cacheable = address, cacheable
    return buffer
