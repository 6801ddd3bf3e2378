"""The files of an overlay folder: which design it is, and whether all of them belong together. Standard library."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any


class OverlayError(Exception):
    """Files or a bitstream that do not fit together; the message says which and what to do."""


def read_json(folder: str, name: str, hint: str = "copy the overlay folder again") -> Any:
    """The content of a JSON file of the folder. Raises OverlayError where it cannot be read."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise OverlayError(f"{path} cannot be read ({error}); {hint}") from error


def check_files(folder: str, board: dict[str, Any]) -> None:
    """Raises OverlayError for a file that is missing, or is not the one that was packed with the others."""
    for name in sorted(board["sha256"]):
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            raise OverlayError(f"{path} is missing; copy the whole overlay folder")
        if digest(path) != board["sha256"][name]:
            raise OverlayError(f"{path} is not the one this overlay was packed with; copy the whole folder again")
    for name in (board["bitstream"], os.path.splitext(board["bitstream"])[0] + ".hwh"):
        if not os.path.isfile(os.path.join(folder, name)):
            raise OverlayError(
                "there is no {} in {}; `codesign bitstream RUN --board {}` makes it where Vivado is installed".format(
                    name, folder, board["board"]
                )
            )


def digest(path: str) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()


def check_hardware(ip_dict: Any, design: dict[str, Any], board: dict[str, Any]) -> None:
    """Raises OverlayError when the hardware in the .hwh is not that of design.json: IP, DMAs, widths of streams."""
    cells = board["cells"]
    for cell in cells.values():
        if cell not in ip_dict:
            raise OverlayError(f"the .hwh has no {cell}; it is of another design")
    kind = ip_dict[cells["accelerator"]]["type"]
    if kind != board["vlnv"]:
        raise OverlayError("the bitstream holds {}, and this folder is of {}".format(kind, board["vlnv"]))
    for cell, parameter, bits in (
        (cells["images"], "c_m_axis_mm2s_tdata_width", design["image"]["tdata_bits"]),
        (cells["images"], "c_s_axis_s2mm_tdata_width", design["result"]["tdata_bits"]),
        (cells["features"], "c_s_axis_s2mm_tdata_width", design["feature"]["tdata_bits"]),
    ):
        found = int(ip_dict[cell]["parameters"][parameter])
        if found != bits:
            raise OverlayError(
                f"design.json says {bits} bits for {parameter} of {cell}, the bitstream has {found}: they are of two designs"
            )


def addresses(ip_dict: Any, design: dict[str, Any], board: dict[str, Any]) -> dict[str, int]:
    """{register: address}: from the .hwh where it names them (an HLS tool chooses its own), else from design.json."""
    named = ip_dict[board["cells"]["accelerator"]].get("registers", {})
    found = {}
    for row in design["registers"]:
        known = named.get(row["hwh_name"])
        if known is None and board["backend"] == "hls" and row["hwh_name"] not in ("CTRL", "GIER", "IP_IER", "IP_ISR"):
            if row["access"] == "read-only" and row["name"] not in ("frames_done", "exits"):
                continue  # counters that only the RTL has
            raise OverlayError(
                "the .hwh does not name the register {}; export the HLS design again".format(row["name"])
            )
        found[row["name"]] = row["address"] if known is None else known["address_offset"]
        if board["backend"] == "rtl" and found[row["name"]] != row["address"]:
            raise OverlayError(
                "register {} is not where design.json says: they are of two versions".format(row["name"])
            )
    return found
