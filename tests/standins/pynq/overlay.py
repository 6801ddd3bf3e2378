"""Bitstreams with their .hwh, and drivers that are bound to IP by its type."""

from __future__ import annotations

import os
import struct
import warnings
from typing import Any

from pynq import fabric
from pynq.hwh import Hwh
from pynq.mmio import MMIO

_drivers: dict[str, type] = {}


class RegisterIP(type):
    """Every subclass with `bindto` becomes the driver of those types."""

    def __init__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> None:
        for vlnv in attributes.get("bindto", ()):
            _drivers[vlnv] = cls
        super().__init__(name, bases, attributes)


class DefaultIP(metaclass=RegisterIP):
    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.mmio = MMIO(description["phys_addr"], description["addr_range"])
        for name in description["interrupts"]:
            setattr(self, name, object())

    def read(self, offset: int = 0) -> int:
        return self.mmio.read(offset)

    def write(self, offset: int, value: int) -> None:
        self.mmio.write(offset, value)


class Overlay:
    def __init__(
        self,
        bitfile_name: str,
        dtbo: object = None,
        download: bool = True,
        ignore_version: bool = False,
        device: object = None,
    ) -> None:
        if not isinstance(bitfile_name, str):
            raise TypeError("Bitstream name has to be a string.")
        if not os.path.isfile(bitfile_name):
            raise OSError(f"Bitstream file {bitfile_name} does not exist.")
        self.bitfile_name = os.path.abspath(bitfile_name)
        hwh = os.path.splitext(self.bitfile_name)[0] + ".hwh"
        if not os.path.isfile(hwh):
            raise RuntimeError(f"Unable to find metadata for bitstream {self.bitfile_name}")
        self._hwh = Hwh(hwh)
        self.ip_dict = self._hwh.ip_dict
        if download:
            self.download()

    def download(self, dtbo: object = None) -> None:
        with open(self.bitfile_name, "rb") as file:
            header_of(file.read())
        fabric.the_fabric.load(self._hwh)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.ip_dict:
            raise AttributeError(f"Could not find IP or hierarchy {name} in overlay")
        description = self.ip_dict[name]
        kind = description["type"]
        if kind not in _drivers and any(known.rpartition(":")[0] == kind.rpartition(":")[0] for known in _drivers):
            warnings.warn(
                f"IP {name} is of type {kind} and a driver is found for another version", UserWarning, stacklevel=2
            )
        driver = _drivers.get(kind, DefaultIP)(description)
        setattr(self, name, driver)
        return driver


def header_of(content: bytes) -> dict[str, str]:
    """The fields a to d of a .bit; raises RuntimeError when it is none."""
    offset = 2 + struct.unpack(">H", content[:2])[0] + 2
    fields: dict[str, str] = {}
    while content[offset : offset + 1] != b"e":
        letter, length = content[offset : offset + 1].decode(), struct.unpack(">H", content[offset + 1 : offset + 3])[0]
        if letter not in "abcd":
            raise RuntimeError(f"Unknown field: {letter}")
        fields[letter] = content[offset + 3 : offset + 2 + length].decode()
        offset += 3 + length
    if struct.unpack(">I", content[offset + 1 : offset + 5])[0] + offset + 5 != len(content):
        raise RuntimeError("Invalid length found")
    return fields
