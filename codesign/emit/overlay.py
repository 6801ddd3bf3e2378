"""What goes to the board beside the bitstream: design.json with addresses, board.json, test frames, tables, the tail's C++.

The scripts in host/ read these files and know nothing else of this package.
"""

# Legend: N frames.
from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

import codesign
from codesign.emit.board import CELLS, Backend, Site, registers, vlnv
from codesign.emit.host import emit_host
from codesign.emit.rtl import CONTROL
from codesign.errors import CodesignError
from codesign.ir.graph import Graph
from codesign.ops.exit_decision import ExitDecision
from codesign.ops.exit_tables import LOG_GUARD_BITS, entropy_rom, entropy_tables, probability_rom

FORMAT = "codesign-board-1"


@dataclass(frozen=True, slots=True)
class SoftStage:
    """Layers behind the exit in hardware up to the next exit: the values that come out, `feature` "" behind the last.

    `number` counts exits, the accelerator's being 0; `width` is that of a network that has several.
    """

    number: int
    exit: str
    graph: Graph
    outputs: tuple[str, ...]
    logits: str
    feature: str
    width: float | None = None

    @property
    def folder(self) -> str:
        return f"tail/{self.number}" if self.width is None else f"tail/w{self.width:g}/{self.number}"


def host_folder() -> Path:
    """The folder of the scripts for boards: inside the installed package, or at the top of a checkout."""
    package = Path(codesign.__file__).parent
    for folder in (package / "host", package.parent / "host"):
        if (folder / "driver.py").is_file():
            return folder
    raise CodesignError("the folder host is missing", where=str(package), hint="install the package again")


def host_scripts() -> dict[str, str]:
    """{name: text} of the scripts and the notebook."""
    paths = sorted(p for p in host_folder().iterdir() if p.suffix in (".py", ".ipynb"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def overlay_design(info: Mapping[str, Any]) -> dict[str, Any]:
    """design.json as the scripts read it: every register with its address and its name in the .hwh."""
    rows = [
        {"name": name, "hwh_name": row["name"], "address": row["address"], "access": row["access"]}
        for name, address in CONTROL.items()
        for row in registers(info)
        if row["address"] == address
    ]
    return {**info, "registers": rows}


def board_info(
    info: Mapping[str, Any],
    site: Site,
    backend: Backend,
    stages: Sequence[SoftStage],
    units: Mapping[str, ExitDecision],
    thresholds: Sequence[int],
) -> dict[str, Any]:
    """board.json without the hashes of the files. `units` are those of all exits by name, the accelerator's first."""
    return {
        "format": FORMAT,
        "version": codesign.__version__,
        "board": site.board.name,
        "part": site.part,
        "backend": backend,
        "vlnv": vlnv(backend, info["top"]),
        "bitstream": f"{info['top']}.bit",
        "cells": dict(CELLS),
        "exits": [
            {
                "name": name,
                "criterion": unit.criterion,
                "scale": unit.scale,
                "fraction_bits": unit.fraction_bits,
                "guard_bits": LOG_GUARD_BITS,
            }
            for name, unit in units.items()
        ],
        "thresholds": list(thresholds),
        "stages": stage_rows(stages),
    }


def stage_rows(stages: Sequence[SoftStage]) -> list[dict[str, str]]:
    """Stages of software as board.json has them: which exit, where its C++ lies, which values come out."""
    return [{"exit": s.exit, "folder": s.folder, "logits": s.logits, "feature": s.feature} for s in stages]


def tail_files(stages: Sequence[SoftStage]) -> dict[str, str]:
    """{path: text} of every stage's C++ and host.json."""
    return {
        f"{stage.folder}/{name}": text
        for stage in stages
        for name, text in emit_host(stage.graph, name=stage.graph.name, outputs=stage.outputs).items()
        if name == "host.json" or name.endswith(".cpp")
    }


def exit_tables(units: Sequence[ExitDecision]) -> bytes:
    """exits.npz: the tables of the exits that software decides, as `INDEX/NAME`."""
    arrays: dict[str, npt.NDArray[np.int64]] = {}
    for index, unit in enumerate(units):
        if not index or unit.criterion == "margin":
            continue
        rom = entropy_rom if unit.criterion == "entropy" else probability_rom
        exp = rom(unit.scale, unit.fraction_bits, unit.entries)
        arrays |= {f"{index}/exp": exp.exp_D, f"{index}/weighted": exp.weighted_D}
        if unit.criterion == "entropy":
            logs = entropy_tables(unit.classes, unit.scale, unit.fraction_bits, unit.entries)
            arrays |= {f"{index}/ln_step": logs.ln_step_K, f"{index}/ln_power": logs.ln_power_P}
    return npz(arrays)


def npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The content of an .npz file."""
    content = io.BytesIO()
    np.savez_compressed(content, **cast(dict[str, Any], dict(arrays)))
    return content.getvalue()


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
