"""HLS C++ of a dataflow: one function per process, one DATAFLOW region, AXI ports around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import codesign
from codesign.emit.templates import render, template_folder
from codesign.errors import GraphError
from codesign.ir.types import IntType, TensorType
from codesign.plan.dataflow import Channel, Dataflow, Process
from codesign.plan.ports import PortWord, feature_word, image_word

MAX_FRAMES = 65535  # frame numbers in the result word have 16 bits
LIBRARY = (
    "cs_types.h",
    "cs_axis.h",
    "cs_units.h",
    "cs_sliding_window.h",
    "cs_matrix_vector.h",
    "cs_channel_dot.h",
    "cs_pool.h",
    "cs_requantize.h",
    "cs_stream_units.h",
    "cs_ports.h",
    "cs_exit.h",
)


@dataclass(frozen=True, slots=True)
class StreamView:
    """One stream of a process, as templates see it."""

    dtype: IntType
    lanes: int
    type: TensorType


def emit_hls(dataflow: Dataflow, *, top: str, exit_name: str, device: str, clock_mhz: float) -> dict[str, str]:
    """The C++ sources of a design: {path: text}. `dataflow` ends in a `decision` output and a conditional buffer.

    Raises GraphError when a frame has more beats than a batch counter holds.
    """
    image, feature = image_word(dataflow), feature_word(dataflow)
    _check_counters(dataflow)
    variables = {
        "top": top,
        "exit": exit_name,
        "device": device,
        "clock_mhz": f"{clock_mhz:g}",
        "version": codesign.__version__,
        "image": image,
        "feature": feature,
        "units": [emit_process(p, dataflow, feature) for p in dataflow.processes],
        "channels": dataflow.channels,
        "calls": _calls(dataflow, f"{top}_units"),
    }
    sources = {
        f"src/{top}.h": render("hls/design.h.j2", **variables),
        f"src/{top}.cpp": render("hls/design.cpp.j2", **variables),
        "csim/csim.cpp": render("hls/csim.cpp.j2", **variables),
    }
    library = {f"src/{name}": (template_folder() / "lib" / name).read_text(encoding="utf-8") for name in LIBRARY}
    return {**sources, **library}


def emit_core(dataflow: Dataflow, *, namespace: str) -> str:
    """The same processes as one function between plain channels, in a namespace: for tests of any small graph."""
    ports = [dataflow.channel(name) for name in (*dataflow.inputs, *dataflow.outputs)]
    outside = {c.name for c in ports}
    return render(
        "hls/core.cpp.j2",
        name=namespace,
        units=[emit_process(p, dataflow, None) for p in dataflow.processes],
        channels=[c for c in dataflow.channels if c.name not in outside],
        ports=ports,
        registers=[r.name for r in dataflow.registers],
        calls=[_call(p, namespace) for p in dataflow.processes],
    )


def emit_process(process: Process, dataflow: Dataflow, port: PortWord | None) -> str:
    """The C++ of one process: its configuration and its function."""
    op, types = process.op, process.types
    views = [
        StreamView(types[i].dtype, dataflow.channel(name).lanes, types[i]) for i, name in enumerate(process.streams)
    ]
    out = op.infer(*types)
    variables = dict(op.hls(process.folding, *types))
    if op.port:
        assert port is not None
        variables["container"] = port.container
    return render(
        f"hls/ops/{op.name}.cpp.j2",
        name=process.name,
        op=op,
        folding=process.folding,
        cycles=process.cycles,
        drain=process.drain,
        fabric=process.fabric,
        x=views,
        y=StreamView(out.dtype, op.y_lanes(process.folding), out),
        **variables,
    )


def compat_folder() -> Path:
    """The stand-ins for vendor headers that C simulation uses where no vendor tool is installed."""
    return template_folder() / "compat"


def library_folder() -> Path:
    return template_folder() / "lib"


def _calls(dataflow: Dataflow, namespace: str) -> list[str]:
    (image,), (decision,) = dataflow.inputs, dataflow.outputs
    return [
        f"{namespace}::image_port(s_axis_image, {image}, frames)",
        *(_call(p, namespace) for p in dataflow.processes),
        f"{namespace}::result_port({decision}, m_axis_result, frames_done, exits, frames)",
    ]


def _call(process: Process, namespace: str) -> str:
    streams = process.streams
    registers = process.inputs[len(streams) :]
    port = ("m_axis_feature",) if process.op.port else ()
    return f"{namespace}::{process.name}({', '.join((*streams, *process.outputs, *port, *registers, 'frames'))})"


def _check_counters(dataflow: Dataflow) -> None:
    for channel in dataflow.channels:
        if channel.beats * MAX_FRAMES >= 1 << 32:
            raise GraphError(
                f"{channel.beats} beats a frame overflow the 32-bit counters of a {MAX_FRAMES}-frame batch",
                where=channel.name,
                hint="use more lanes, or a smaller image",
            )


def channel_of(dataflow: Dataflow, node: str) -> Channel | None:
    """The channel that carries a node's value, if one does as it is."""
    for process in dataflow.processes:
        if process.node == node and process.outputs:
            return dataflow.channel(process.outputs[0])
    return None
