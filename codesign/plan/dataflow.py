"""Dataflow: a graph as hardware runs it, processes joined by channels that each have one writer and one reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from codesign.ir.graph import GraphInput
from codesign.ir.types import IntType, TensorType
from codesign.ops.base import Folding, Op

MIN_DEPTH = 2
MAX_BEAT_BITS = 4096  # AP_INT_MAX_W in lib/cs_types.h: the widest beat there can be
NICE_BEAT_BITS = 1024  # the widest that is chosen where there is a choice: routing gets hard beyond


@dataclass(frozen=True, slots=True)
class Channel:
    """A FIFO of `depth` beats of `lanes` codes; `producer` or `consumer` is "" where it leaves the design."""

    name: str
    dtype: IntType
    lanes: int
    beats: int  # per frame
    depth: int
    producer: str
    consumer: str

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.dtype.bits

    @property
    def bits(self) -> int:
        return self.width * self.depth


@dataclass(frozen=True, slots=True)
class Process:
    """One op at work: `inputs` name its channels (a register input names its register), `outputs` the channels it
    writes (several for a fork, all with the same beats; none for an op that writes a port).

    `drain` is how many cycles the process idles behind every frame so that its pipeline empties: 0 when one loop runs
    through the whole batch, otherwise the loop over frames must not be flattened into the pipelined loop of a frame.
    `fabric` says that it multiplies in LUTs; RTL, which packs two products into a DSP, does not look at it.
    """

    name: str
    op: Op
    folding: Folding
    types: tuple[TensorType, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    node: str = ""  # the graph's node; "" for a fork or a width converter
    drain: int = 0
    fabric: bool = False

    @property
    def streams(self) -> tuple[str, ...]:
        """The inputs that are channels."""
        return self.inputs[: len(self.inputs) - self.op.registers]

    @property
    def cycles(self) -> int:
        """Cycles a frame takes in a long batch, of own work and of draining."""
        return self.drain + cycles(self.op, self.folding, self.types)


@dataclass(frozen=True, slots=True)
class Dataflow:
    """Processes in topological order. `inputs` are the channels of the graph's stream inputs, in order; `outputs` those
    of its outputs, less the ones that an op writes to a port itself; `registers` have names legal in C."""

    name: str
    processes: tuple[Process, ...]
    channels: tuple[Channel, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    registers: tuple[GraphInput, ...] = ()

    def channel(self, name: str) -> Channel:
        return next(c for c in self.channels if c.name == name)

    def process(self, name: str) -> Process:
        return next(p for p in self.processes if p.name == name)

    @property
    def bound(self) -> int:
        """Cycles between frames that no buffer can improve: the work of the busiest process or port."""
        ports = [self.channel(name).beats for name in self.inputs]
        return max([p.cycles for p in self.processes] + ports)

    @property
    def fabric(self) -> tuple[str, ...]:
        """The nodes that multiply in LUTs."""
        return tuple(p.node for p in self.processes if p.fabric)

    def in_fabric(self, nodes: Collection[str]) -> Dataflow:
        """The same dataflow in which exactly these nodes multiply in LUTs."""
        return replace(self, processes=tuple(replace(p, fabric=p.node in nodes) for p in self.processes))

    def folded(self, foldings: Mapping[str, Folding]) -> Dataflow:
        """The same dataflow in which these nodes have other foldings with the same beats and cycles."""
        return replace(
            self, processes=tuple(replace(p, folding=foldings.get(p.node, p.folding)) for p in self.processes)
        )

    def with_depths(self, depths: Mapping[str, int]) -> Dataflow:
        """The same dataflow with these depths; a channel that is not named keeps its own."""
        return replace(self, channels=tuple(replace(c, depth=depths.get(c.name, c.depth)) for c in self.channels))


@lru_cache(maxsize=65536)
def legal(op: Op, types: tuple[TensorType, ...]) -> tuple[Folding, ...]:
    """Every legal folding, cheapest first."""
    return op.foldings(*types)


@lru_cache(maxsize=65536)
def cycles(op: Op, folding: Folding, types: tuple[TensorType, ...]) -> int:
    """Cycles of own work for one frame of a long batch."""
    return op.cycles(folding, *types)


@lru_cache(maxsize=65536)
def input_lanes(op: Op, folding: Folding, types: tuple[TensorType, ...]) -> tuple[int, ...]:
    """Codes in a beat of every stream input, as the op's own schedule reads them."""
    reads = op.schedule(folding, 1, *types).reads
    return tuple(x.size // len(steps) for x, steps in zip(types, reads, strict=False))
