"""What makes the emitted folder a project of its own: Tcl for every HLS tool, a Makefile, and headers to compile without one."""

from __future__ import annotations

import re

import codesign
from codesign.emit.templates import render, template_folder
from codesign.emit.testbench import DATA
from codesign.errors import ConfigError
from codesign.plan.names import RESERVED

COSIM_FRAMES = 2  # RTL simulation takes seconds a frame; two calls measure the interval
COMPAT = ("ap_axi_sdata.h", "cs_threads.h", "cs_trace.h", "hls_stream.h")


def emit_project(*, top: str, part: str, clock_mhz: float, frames: int = COSIM_FRAMES) -> dict[str, str]:
    """`run_hls.tcl`, `Makefile` and `compat/`: {path: text}. `part` is a device's part number; `frames` are of co-simulation.

    Raises ConfigError for a `top` that is no name in C, Tcl and make alike.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", top) or top in RESERVED:
        raise ConfigError(
            f"{top!r} cannot name a C++ function", where="emit", hint="use letters, digits and _, and no keyword"
        )
    variables = {
        "top": top,
        "version": codesign.__version__,
        "top_word": tcl_word(top),
        "part_word": tcl_word(part),
        "period_ns": f"{1000 / clock_mhz:.3f}".rstrip("0").rstrip("."),
        "frames": frames,
        "data": " ".join(map(tcl_word, DATA)),
    }
    compat = {f"compat/{name}": (template_folder() / "compat" / name).read_text(encoding="utf-8") for name in COMPAT}
    tcl = render("hls/run_hls.tcl.j2", **variables)
    return {"run_hls.tcl": tcl, "Makefile": render("hls/Makefile.j2", **variables), **compat}


def tcl_word(text: str) -> str:
    """`text` as one word of Tcl that stands for exactly itself."""
    if re.fullmatch(r"[\w.+/:-]+", text, flags=re.ASCII):
        return text
    escaped = re.sub(r'([\\{}\[\]$"; \t])', r"\\\1", text)
    return '"' + escaped.replace("\n", "\\n") + '"'
