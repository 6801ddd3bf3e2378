"""HLS C++ of a dataflow: one function per process, one DATAFLOW region, AXI ports around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import codesign
from codesign.emit.templates import render, template_folder
from codesign.emit.widths import RESULT, Row, changes, rows_of, slim_variables, token_channels, widest
from codesign.errors import GraphError
from codesign.ir.types import IntType, TensorType
from codesign.plan.dataflow import Channel, Dataflow, Process
from codesign.plan.ports import PortWord, check_widths, feature_word, image_word

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
SLIM_LIBRARY = (
    "cs_live.h",
    "cs_slim.h",
    "cs_slim_channels.h",
    "cs_slim_stream.h",
)  # beside it where there are several widths


@dataclass(frozen=True, slots=True)
class StreamView:
    """One stream of a process, as templates see it."""

    dtype: IntType
    lanes: int
    type: TensorType


def emit_hls(
    dataflow: Dataflow,
    *,
    top: str,
    exit_name: str,
    device: str,
    clock_mhz: float,
    narrow: Sequence[Dataflow] = (),
    steps: Sequence[Dataflow] = (),
) -> dict[str, str]:
    """The C++ sources of a design: {path: text}. `dataflow` ends in a `decision` output and a conditional buffer.

    In a design with several widths it is the widest; `narrow` are those of the others, narrow to wide, and `steps` those of
    the steps up (`plan.widths.realize_widths`). Raises GraphError when a frame has more beats than a batch counter holds, or the result
    word has no room for so many widths or classes, and FoldingError where a process cannot change its width.
    """
    image, feature = image_word(dataflow), feature_word(dataflow)
    _check_counters(dataflow)
    flows = (*narrow, dataflow, *steps)
    check_widths(dataflow, len(flows))
    tokens = token_channels(dataflow, narrow, steps)
    variables = {
        "top": top,
        "exit": exit_name,
        "device": device,
        "clock_mhz": f"{clock_mhz:g}",
        "version": codesign.__version__,
        "image": image,
        "feature": feature,
        "units": _units(dataflow, narrow, steps, feature),
        "channels": (*dataflow.channels, *tokens),
        "calls": _calls(dataflow, f"{top}_units", tokens),
        "tokens": tokens,
        "kinds": len(flows),
        "widths": 1 + len(narrow),
        "map_beats": [feature_word(flow).beats for flow in flows],
    }
    sources = {
        f"src/{top}.h": render("hls/design.h.j2", **variables),
        f"src/{top}.cpp": render("hls/design.cpp.j2", **variables),
        "csim/csim.cpp": render("hls/csim.cpp.j2", **variables),
    }
    names = (*LIBRARY, *(SLIM_LIBRARY if narrow else ()))
    library = {f"src/{name}": (template_folder() / "lib" / name).read_text(encoding="utf-8") for name in names}
    return {**sources, **library}


def emit_core(dataflow: Dataflow, *, namespace: str, narrow: Sequence[Dataflow] = ()) -> str:
    """The same processes as one function between plain channels, in a namespace: for tests of any small graph.

    With several widths the token channels are ports too, behind the others.
    """
    tokens = [token for token in token_channels(dataflow, narrow) if token.consumer != RESULT]
    ports = [*(dataflow.channel(name) for name in (*dataflow.inputs, *dataflow.outputs)), *tokens]
    outside = {c.name for c in ports}
    return render(
        "hls/core.cpp.j2",
        name=namespace,
        units=_units(dataflow, narrow, (), None),
        channels=[c for c in dataflow.channels if c.name not in outside],
        ports=ports,
        registers=[r.name for r in dataflow.registers],
        calls=_process_calls(dataflow, namespace, tokens),
    )


def _units(
    dataflow: Dataflow, narrow: Sequence[Dataflow], steps: Sequence[Dataflow], port: PortWord | None
) -> list[str]:
    return [emit_process(row, dataflow, port) for row in rows_of(dataflow, narrow, steps).values()]


def emit_process(row: Row, dataflow: Dataflow, port: PortWord | None) -> str:
    """The C++ of one process, given at every width: its configuration and its function."""
    process = row.widest
    op, types = widest(process.op), process.types
    views = [
        StreamView(types[i].dtype, dataflow.channel(name).lanes, types[i]) for i, name in enumerate(process.streams)
    ]
    out = op.infer(*types)
    slim = changes(row)
    variables = slim_variables(row) if slim else {**op.hls(process.folding, *types), "cycles": process.cycles}
    if op.port:
        assert port is not None
        variables["container"] = port.container
    return render(
        f"hls/{'slim' if slim else 'ops'}/{op.name}.cpp.j2",
        name=process.name,
        op=op,
        folding=process.folding,
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


def _calls(dataflow: Dataflow, namespace: str, tokens: Sequence[Channel]) -> list[str]:
    (image,), (decision,) = dataflow.inputs, dataflow.outputs
    widths = [*(token.name for token in tokens), "width"] if tokens else []
    told = [token.name for token in tokens if token.consumer == RESULT]
    return [
        f"{namespace}::image_port({', '.join(('s_axis_image', image, *widths, 'frames'))})",
        *_process_calls(dataflow, namespace, tokens),
        f"{namespace}::result_port({', '.join((decision, 'm_axis_result', 'frames_done', 'exits', *told, 'frames'))})",
    ]


def _process_calls(dataflow: Dataflow, namespace: str, tokens: Sequence[Channel]) -> list[str]:
    readers = {token.consumer: token.name for token in tokens}
    return [_call(p, namespace, readers.get(p.name)) for p in dataflow.processes]


def _call(process: Process, namespace: str, token: str | None) -> str:
    streams = process.streams
    registers = process.inputs[len(streams) :]
    more = (*(("m_axis_feature",) if process.op.port else ()), *registers, *((token,) if token else ()), "frames")
    return f"{namespace}::{process.name}({', '.join((*streams, *process.outputs, *more))})"


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
