"""The network as a line map: one row a process, exits branching off, the host below the hardware; and its table of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from codesign.ir.graph import Graph
from codesign.plan.budget import Resources
from codesign.plan.dataflow import Dataflow, Process
from codesign.report.costs import Costs, Host
from codesign.report.figures import digits_for, percent
from codesign.report.figures import number as number_of
from codesign.report.records import Design, Network

LANE, ROW = 16, 34  # pixels between two lines of the map, and of a row
EDGES = {
    "FIFOs": "FIFOs",
    "ports": "AXI ports",
    "shell": "DMA and its interconnect",
}  # rows of the oracle that are no process
TO_HOST = "to host"  # the value that crosses the cut; no channel's name has a blank
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

    `count` and `unit` are its cycles, its time or the frames that stop there; `share` is that over the most there is.
    """

    kind: Kind
    name: str
    text: str
    side: Literal["hardware", "host"]
    count: str = ""
    unit: str = ""
    share: float = 0.0
    busiest: bool = False
    track: Track = Track((), 0, 0)


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


Values = tuple[str, ...]
Row = tuple[Stop, Values, Values]  # with the values that it reads and makes


def stops(design: Design, network: Network, costs: Costs, stops_E: Sequence[float]) -> tuple[Stop, ...]:
    """The map from image to last exit; `stops_E` are the shares of frames that stop at each exit."""
    rows = [*_hardware(design.rtl, network, stops_E[0]), *_host(network, costs.host, stops_E)]
    found = tracks([(inputs, outputs) for _, inputs, outputs in rows])
    return tuple(replace(stop, track=track) for (stop, _, _), track in zip(rows, found, strict=True))


def _hardware(flow: Dataflow, network: Network, stopping: float) -> Iterable[Row]:
    port, x = flow.channel(flow.inputs[0]), network.graph.inputs[0].type
    yield _at_work("port", "image", f"{_shape(x.shape)}, {x.dtype}", port.beats, flow.bound), (), flow.inputs
    for process in flow.processes:
        outputs = process.outputs or ((TO_HOST,) if process.op.port else ())
        name = process.node or process.name
        yield _at_work("process", name, _work(process), process.cycles, flow.bound), process.streams, outputs
        for value in set(outputs) & set(flow.outputs):
            yield _frames("exit", network.stages.names[0], "stops here", "hardware", stopping), (value,), ()


def _host(network: Network, host: Host | None, stops_E: Sequence[float]) -> Iterable[Row]:
    going_on = _frames("cut", "Host software", "takes the feature map of the frames that go on", "host", 1 - stops_E[0])
    yield going_on, (TO_HOST,), ("stage 1",)
    for number in range(1, len(stops_E)):
        name, graph = network.stages.names[number], network.stages.stages[number].graph
        stage = Stop("stage", f"layers up to {name}", summary(graph), "host")
        if host is not None:
            seconds = host.host_s[number - 1]
            text, share = number_of(1e6 * seconds, digits_for(1e6 * seconds)), seconds / max(host.host_s)
            stage = replace(stage, count=f"{text} µs", unit="a frame", share=share)
        further = (f"stage {number + 1}",) if number < len(stops_E) - 1 else ()
        yield stage, (f"stage {number}",), (*further, f"exit {number}")
        yield _frames("exit", name, "stops here", "host", stops_E[number]), (f"exit {number}",), ()


def _at_work(kind: Kind, name: str, text: str, cycles: int, most: int) -> Stop:
    return Stop(kind, name, text, "hardware", number_of(cycles), "cycles", cycles / most, cycles == most)


def _frames(kind: Kind, name: str, text: str, side: Literal["hardware", "host"], share: float) -> Stop:
    return Stop(kind, name, text, side, f"{percent(share)} %", "of frames", share)


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
