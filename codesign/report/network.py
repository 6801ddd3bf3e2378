"""The network as a line map: one row a process, exits branching off, the host below the hardware; and its table of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from codesign.ir.graph import Graph
from codesign.plan.budget import Resources
from codesign.plan.dataflow import Dataflow, Process
from codesign.report.costs import Costs
from codesign.report.records import Design, Network

LANE, ROW = 16, 34  # pixels between two lines of the map, and of a row
EDGES = {
    "FIFOs": "FIFOs",
    "ports": "AXI ports",
    "shell": "DMA and its interconnect",
}  # rows of the oracle that are no process
Kind = Literal["port", "process", "exit", "cut", "stage"]


@dataclass(frozen=True, slots=True)
class Track:
    """What the map shows in one row: SVG paths, where the station lies, the width of the drawing."""

    paths: tuple[str, ...]
    x: float
    width: int


@dataclass(frozen=True, slots=True)
class Stop:
    """One row: a port, a process of the hardware, an exit, the cut between hardware and host, or a stage of the host.

    `share` is its cycles over those of the busiest, in hardware; `frames` the share of frames that stop at an exit.
    """

    kind: Kind
    name: str
    text: str
    side: Literal["hardware", "host"]
    track: Track
    cycles: int | None = None
    share: float | None = None
    frames: float | None = None
    busiest: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of the table: one process, with its folding, cycles and resources in both backends, and its milliwatts in RTL.

    Rows for FIFOs, ports and the DMA have no folding and no cycles.
    """

    name: str
    op: str
    shapes: str
    folding: tuple[int, int, int] | None
    cycles: tuple[int, int] | None
    share: float
    hls: Resources
    rtl: Resources
    milliwatts: float
    fabric: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    kind: Kind
    name: str
    text: str
    side: Literal["hardware", "host"]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cycles: int | None = None
    frames: float | None = None


def stops(design: Design, network: Network, stops_E: Sequence[float]) -> tuple[Stop, ...]:
    """The map from image to last exit; `stops_E` are the shares of frames that stop at each exit."""
    rows = [*_hardware(design.rtl, network, stops_E), *_host(network, stops_E)]
    most = design.rtl.bound
    return tuple(
        Stop(
            row.kind,
            row.name,
            row.text,
            row.side,
            track,
            row.cycles,
            None if row.cycles is None else row.cycles / most,
            row.frames,
            row.cycles == most,
        )
        for row, track in zip(rows, tracks([(row.inputs, row.outputs) for row in rows]), strict=True)
    )


def _hardware(flow: Dataflow, network: Network, stops_E: Sequence[float]) -> Iterable[_Row]:
    port = flow.channel(flow.inputs[0])
    x = network.graph.inputs[0].type
    yield _Row("port", "image", f"{_shape(x.shape)}, {x.dtype}", "hardware", (), flow.inputs, port.beats)
    for process in flow.processes:
        outputs = process.outputs or (("to host",) if process.op.port else ())
        yield _Row(
            "process",
            process.node or process.name,
            _work(process),
            "hardware",
            process.streams,
            outputs,
            process.cycles,
        )
        for name in outputs:
            if name in flow.outputs:
                yield _Row("exit", network.stages.names[0], "stops here", "hardware", (name,), (), frames=stops_E[0])


def _host(network: Network, stops_E: Sequence[float]) -> Iterable[_Row]:
    going_on = 1 - stops_E[0]
    yield _Row(
        "cut",
        "Host software",
        "takes the feature map of the frames that go on",
        "host",
        ("to host",),
        ("host 0",),
        frames=going_on,
    )
    later = list(zip(network.stages.names, network.stages.stages, stops_E, strict=True))[1:]
    for index, (name, stage, share) in enumerate(later):
        last = index == len(later) - 1
        outputs = (f"to {name}",) if last else (f"host {index + 1}", f"to {name}")
        yield _Row("stage", f"layers up to {name}", summary(stage.graph), "host", (f"host {index}",), outputs)
        yield _Row("exit", name, "stops here", "host", (f"to {name}",), (), frames=share)


def tracks(rows: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> list[Track]:
    """Where lines run: a value keeps its lane from the row that makes it to the row that reads it.

    At a branch, the value that is read last stays in the lane, so that short ways turn off and long ones run straight.
    """
    read_at = {name: at for at, (inputs, _) in enumerate(rows) for name in inputs}
    lanes: dict[str, int] = {}
    found: list[tuple[list[str], int]] = []
    most = 0
    for inputs, outputs in rows:
        sources = {lanes.pop(name) for name in inputs if name in lanes}
        passing = sorted(set(lanes.values()))
        lane = min(sources) if sources else _free(passing)
        targets: set[int] = set()
        for name in sorted((n for n in outputs if n in read_at), key=lambda n: -read_at[n]):
            lanes[name] = lane if lane not in targets else _free([*lanes.values(), lane])
            targets.add(lanes[name])
        paths = [_line(at, at, 0, ROW) for at in passing]
        paths += [_line(source, lane, 0, ROW / 2) for source in sorted(sources)]
        paths += [_line(lane, target, ROW / 2, ROW) for target in sorted(targets)]
        most = max(most, lane, *lanes.values())
        found.append((paths, lane))
    width = int(_x(most)) + LANE
    return [Track(tuple(paths), _x(lane), width) for paths, lane in found]


def _free(taken: Sequence[int]) -> int:
    return next(lane for lane in range(len(taken) + 1) if lane not in taken)


def _x(lane: int) -> float:
    return LANE * (lane + 0.75)


def _line(start: int, end: int, top: float, bottom: float) -> str:
    a, b, middle = _x(start), _x(end), (top + bottom) / 2
    if start == end:
        return f"M{a:g} {top:g}V{bottom:g}"
    return f"M{a:g} {top:g}C{a:g} {middle:g} {b:g} {middle:g} {b:g} {bottom:g}"


def layers(design: Design, costs: Costs) -> tuple[Layer, ...]:
    """Every process, and rows for what belongs to none."""
    hls, rtl = ({row.name: row for row in each.processes} for each in (costs.hls, costs.rtl))
    rows: list[Layer] = []
    for one, other in zip(design.hls.processes, design.rtl.processes, strict=True):
        name = one.node or one.name
        folding, cycles = (one.folding.lanes, one.folding.pe, one.folding.simd), (one.cycles, other.cycles)
        share, mine, its = other.cycles / design.rtl.bound, hls.pop(name), rtl.pop(name)
        taken = (mine.resources, its.resources, its.dynamic_mw, one.fabric)
        rows.append(Layer(name, one.op.name, shape_change(one), folding, cycles, share, *taken))
    for name, text in EDGES.items():
        mine, its = hls.get(name), rtl.get(name)
        if mine or its:
            taken = (mine.resources if mine else Resources(), its.resources if its else Resources())
            rows.append(Layer(text, "", "", None, None, 0, *taken, its.dynamic_mw if its else 0.0))
    return tuple(rows)


def shape_change(process: Process) -> str:
    """The tensor that comes and the one that leaves."""
    x, y = process.types[0], process.op.infer(*process.types)
    return f"{_shape(x.shape)} → {_shape(y.shape)}" if x.shape != y.shape else _shape(x.shape)


def summary(graph: Graph) -> str:
    """How many of each op a stage of the host computes."""
    counts: Mapping[str, int] = Counter(node.op.name for node in graph.nodes)
    named = [f"{count} {name}" if count > 1 else name for name, count in counts.items()]
    return ", ".join(named)


def _work(process: Process) -> str:
    folding = process.folding
    ways = [f"PE {folding.pe}", f"SIMD {folding.simd}"] if prod((folding.pe, folding.simd)) > 1 else []
    return " · ".join([process.op.name, shape_change(process), *ways])


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
