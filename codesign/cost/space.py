"""The design space of a graph on a device: for every process and port its options, with cycles and resources as arrays.

What two neighbours cost together depends only on the lanes of the beats between them (converters and FIFOs), so the price of
a design is a sum of rows of these tables, and its interval is the largest of their cycles. FIFOs are priced at up to 32
beats; what deeper ones take beyond that is known only for a whole design (`points.planned`).
"""

# Legend: O options; K resources (DSP, LUT, FF, BRAM18).
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import numpy.typing as npt

from codesign.cost.oracle import Backend
from codesign.devices import Device
from codesign.ir.graph import Graph, GraphInput, Node
from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op, beat_lanes
from codesign.ops.fork import Fork
from codesign.ops.width_converter import WidthConverter
from codesign.plan.balance import FRACTION
from codesign.plan.budget import SHELL, Resources, price
from codesign.plan.build import conversion
from codesign.plan.dataflow import MAX_BEAT_BITS, MIN_DEPTH, Channel, cycles, input_lanes, legal
from codesign.plan.options import op_of

Ints = npt.NDArray[np.int64]
KINDS = ("dsp", "lut", "ff", "bram18")


@dataclass(frozen=True, slots=True)
class Option:
    """One way to build a process: `wants` are the lanes it reads of each stream, `lanes` those it writes (0: none)."""

    folding: Folding
    fabric: bool
    wants: tuple[int, ...]
    lanes: int


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A process or an input port with its options; `sources` are the choices whose beats it reads, in order."""

    name: str
    options: tuple[Option, ...]
    cycles_O: Ints
    taken_OK: Ints
    sources: tuple[int, ...]
    types: tuple[TensorType, ...]  # of each stream that is read
    value: TensorType | None  # what it writes
    readers: int  # processes that read it
    leaves: int  # outputs of the graph that it is


@dataclass(frozen=True, slots=True)
class Joint:
    """What lies between beats of two widths: cycles of the slowest converter, and resources."""

    cycles: int
    taken: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Every design of a graph's processes on a device, in topological order; `room_K` is what they may take in all."""

    graph: Graph
    device: Device
    backend: Backend
    choices: tuple[Choice, ...]
    fixed_K: Ints  # of every design: the shell

    @property
    def designs(self) -> int:
        """How many combinations of options there are; those whose beats cannot be joined are among them."""
        return prod(len(choice.options) for choice in self.choices)

    @property
    def room_K(self) -> Ints:
        """What the processes, converters and FIFOs may take: as much of the device as a plan may fill."""
        d = self.device
        room = (d.dsp, int(d.lut * FRACTION), int(d.ff * FRACTION), int(d.bram18 * FRACTION))
        return np.array(room, np.int64) - self.fixed_K

    def joint(self, choice: Choice, stream: int, have: int, want: int) -> Joint | None:
        """The way of a stream's beats from `have` lanes to those that the choice wants; None where there is none."""
        return _joint(choice.types[stream], have, want, self.device.pads_bram, self.backend)

    def leaving(self, choice: Choice, lanes: int) -> Joint | None:
        """What the value costs besides its readers: the fork to several of them, the FIFOs to outputs."""
        if choice.value is None:
            return Joint(0, (0, 0, 0, 0))
        return _leaving(choice.value, lanes, choice.readers, choice.leaves, self.device.pads_bram, self.backend)

    def foldings(self, picks: Iterable[int]) -> tuple[dict[str, Folding], tuple[str, ...]]:
        """The foldings by node and port, and the nodes in fabric, of one option for each choice."""
        chosen = [(c.name, c.options[pick]) for c, pick in zip(self.choices, picks, strict=True)]
        return {name: o.folding for name, o in chosen}, tuple(name for name, o in chosen if o.fabric)


def space(
    graph: Graph, device: Device, backend: Backend = "hls", *, several: bool = True, fabric: bool = True
) -> Space:
    """All designs of a graph: every legal folding whose beats a channel can carry.

    `several` has beats of 2 and 4 pixels among them; `fabric` multipliers in LUTs, where the backend is HLS.
    """
    views = _views(graph)
    index: dict[str, int] = {}
    choices: list[Choice] = []
    readers, leaves = _counts(graph, views)
    for item in (*(i for i in graph.inputs if i.kind == "stream"), *graph.nodes):
        if item.name in views:
            continue
        index[item.name] = len(choices)
        ends = (readers.get(item.name, 0), leaves.get(item.name, 0))
        if isinstance(item, GraphInput):
            choices.append(_port(item, several, *ends))
        else:
            streams = item.inputs[: len(item.inputs) - op_of(item).registers]
            sources = tuple(index[views.get(name, name)] for name in streams)
            choices.append(_process(graph, item, sources, device, backend, several, fabric, *ends))
    shell = SHELL if device.processor else Resources()
    return Space(graph, device, backend, tuple(choices), _row(shell))


def _port(item: GraphInput, several: bool, readers: int, leaves: int) -> Choice:
    x = item.type
    offered = [n for n in beat_lanes(x) if (several or n <= x.channels) and n * x.dtype.bits <= MAX_BEAT_BITS]
    options = tuple(Option(Folding(n, n), False, (), n) for n in offered)
    beats = np.array([x.size // n for n in offered], np.int64)
    return Choice(item.name, options, beats, np.zeros((len(offered), 4), np.int64), (), (), x, readers, leaves)


def _process(
    graph: Graph,
    node: Node,
    sources: tuple[int, ...],
    device: Device,
    backend: Backend,
    several: bool,
    fabric: bool,
    readers: int,
    leaves: int,
) -> Choice:
    op, types = op_of(node), tuple(graph.types[name] for name in node.inputs)
    value = None if op.port else graph.types[node.name]
    options: list[Option] = []
    rows: list[tuple[int, Resources]] = []
    for folding in legal(op, types):
        lanes = 0 if value is None else op.y_lanes(folding)
        wide = max(folding.lanes * types[0].dtype.bits, lanes * (value.dtype.bits if value else 0))
        if wide > MAX_BEAT_BITS or (not several and folding.lanes > types[0].channels):
            continue
        wants = input_lanes(op, folding, types)
        in_dsps = _priced(op, folding, types, device.pads_bram, False, backend)
        rows.append((cycles(op, folding, types), in_dsps))
        options.append(Option(folding, False, wants, lanes))
        if fabric and backend == "hls" and op.fabric and in_dsps.dsp:
            in_luts = _priced(op, folding, types, device.pads_bram, True, backend)
            if in_luts.dsp < in_dsps.dsp:
                rows.append((rows[-1][0], in_luts))
                options.append(Option(folding, True, wants, lanes))
    taken = np.array([_row(r) for _, r in rows])
    steps = np.array([c for c, _ in rows], np.int64)
    streams = types[: len(sources)]
    return Choice(node.name, tuple(options), steps, taken, sources, streams, value, readers, leaves)


def _views(graph: Graph) -> Mapping[str, str]:
    """Every view's source: the value whose beats it renames."""
    views: dict[str, str] = {}
    for node in graph.nodes:
        if op_of(node).view:
            views[node.name] = views.get(node.inputs[0], node.inputs[0])
    return views


def _counts(graph: Graph, views: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """How many processes read each value, and how many outputs it is."""
    readers: dict[str, int] = {}
    leaves: dict[str, int] = {}
    ports = {node.name for node in graph.nodes if op_of(node).port}
    for node in graph.nodes:
        if node.name not in views:
            for source in node.inputs[: len(node.inputs) - op_of(node).registers]:
                name = views.get(source, source)
                readers[name] = readers.get(name, 0) + 1
    for source in graph.outputs:
        if source not in ports:
            name = views.get(source, source)
            leaves[name] = leaves.get(name, 0) + 1
    return readers, leaves


@lru_cache(maxsize=1 << 16)
def _joint(x: TensorType, have: int, want: int, pads: bool, backend: Backend) -> Joint | None:
    steps, whole, lanes = 0, _fifo(x, have, backend, pads), have
    if whole is None:
        return None
    for folding in conversion(have, want, x):
        lanes = folding.pe
        fifo = _fifo(x, lanes, backend, pads)
        if fifo is None:
            return None
        steps = max(steps, cycles(WidthConverter(), folding, (x,)))
        whole += _priced(WidthConverter(), folding, (x,), pads, False, backend) + fifo
    return Joint(steps, _tuple(whole))


@lru_cache(maxsize=1 << 16)
def _leaving(x: TensorType, lanes: int, readers: int, leaves: int, pads: bool, backend: Backend) -> Joint | None:
    """A fork where there are several ends, with the FIFO in front of it, and a FIFO to every output."""
    fifo = _fifo(x, lanes, backend, pads)
    if fifo is None:
        return None
    steps, whole = 0, sum((fifo for _ in range(leaves)), Resources())
    if readers + leaves > 1:
        folding, fork = Folding(lanes, lanes), Fork(readers + leaves)
        steps = cycles(fork, folding, (x,))
        whole += _priced(fork, folding, (x,), pads, False, backend) + fifo
    return Joint(steps, _tuple(whole))


def _fifo(x: TensorType, lanes: int, backend: Backend, pads: bool) -> Resources | None:
    if lanes * x.dtype.bits > MAX_BEAT_BITS:
        return None
    channel = Channel("", x.dtype, lanes, x.size // lanes, MIN_DEPTH, "", "")
    if backend == "rtl":
        from codesign.cost.rtl import fifo_price

        return fifo_price(channel.width, channel.depth)
    from codesign.plan.budget import channel_price

    return channel_price(channel, pads)


def _priced(
    op: Op, folding: Folding, types: tuple[TensorType, ...], pads: bool, fabric: bool, backend: Backend
) -> Resources:
    if backend == "rtl":
        from codesign.cost.rtl import unit_price

        return unit_price(op, folding, types)
    return price(op, folding, types, pads, fabric)


def _tuple(r: Resources) -> tuple[int, int, int, int]:
    return r.dsp, r.lut, r.ff, r.bram18


def _row(r: Resources) -> Ints:
    return np.array(_tuple(r), np.int64)
