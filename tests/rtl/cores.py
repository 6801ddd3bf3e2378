"""Runs golden inputs through RTL cores of whole dataflows, many in one Verilator model, between plain streams.

A core is of one graph, or of the graphs of several widths; then `codes` say which a frame has, as indices under "width".
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from codesign.emit.rtl import RtlDesign, emit_rtl_core
from codesign.ir import Codes, Graph
from codesign.plan.dataflow import Channel, Dataflow
from codesign.plan.widths import kinds_of
from codesign.verify import golden
from codesign.verify.verilated import Interface, Library, Simulation, Stream, Traffic, compile_rtl

needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="needs verilator")


@dataclass(frozen=True)
class Cores:
    """Compiled cores, side by side; each has one input and one or more outputs."""

    families: tuple[tuple[Graph, ...], ...]
    flows: tuple[Dataflow, ...]
    library: Library

    def check(self, codes: Sequence[dict[str, Codes]], *, stall: int = 0, seed: int = 1) -> list[str]:
        """Golden == RTL, code for code; without stalls the cycles of every beat are returned by `cycles`."""
        bad, _ = self._run(codes, stall, seed)
        return bad

    def cycles(self, codes: Sequence[dict[str, Codes]]) -> list[list[np.ndarray]]:
        """Of every core and output, the cycle of every beat, cycle 0 being the one in which the first beat goes in."""
        return self._run(codes, 0, 1)[1]

    def _run(
        self, codes: Sequence[dict[str, Codes]], stall: int, seed: int
    ) -> tuple[list[str], list[list[np.ndarray]]]:
        frames = len(next(iter(codes[0].values())))
        wants = [_wanted(family, values) for family, values in zip(self.families, codes, strict=True)]
        sent, came = [], []
        for family, flow, values, want in zip(self.families, self.flows, codes, wants, strict=True):
            names = [i.name for i in family[-1].inputs if i.kind == "stream"]
            for name, c in zip(names, map(flow.channel, flow.inputs), strict=True):
                sent.append(Traffic(pack(values[name].reshape(-1, c.lanes), c.dtype.bits), stall))
            if len(family) > 1:
                sent.append(Traffic(values["width"].astype(np.uint32)[:, None], stall))
            came.append(
                [_room(flow.channel(name), codes, stall) for name, codes in zip(flow.outputs, want, strict=True)]
            )
        registers = [int(codes[0][r.name].item()) for r in self.flows[0].registers]
        with Simulation(self.library) as simulation:
            simulation.seed(seed)
            simulation.start(frames, registers)
            begin = simulation.cycle
            assert simulation.run(sent, [t for row in came for t in row])
            assert simulation.excess() == 0
        bad = [
            line
            for family, flow, want, row in zip(self.families, self.flows, wants, came, strict=True)
            for line in _differences(family[-1], flow, want, row)
        ]
        return bad, [[t.cycles.astype(np.int64) - begin for t in row] for row in came]


def compile_cores(graphs: Sequence[Graph | tuple[Graph, ...]], flows: Sequence[Dataflow], folder: Path) -> Cores:
    """The cores of these dataflows under one top, of several widths the widest's; a core with registers must be alone."""
    assert len(flows) == 1 or not any(flow.registers for flow in flows)
    files: dict[str, str] = {}
    streams: tuple[list[Stream], list[Stream]] = ([], [])
    for number, flow in enumerate(flows):
        files |= emit_rtl_core(flow, top=f"c{number}").files
        for side, names, found in zip("sm", (flow.inputs, flow.outputs), streams, strict=True):
            found += [Stream(f"{side}_c{number}_{name}", flow.channel(name).width) for name in names]
        if bits := _token_bits(flow):
            streams[0].append(Stream(f"s_c{number}_width", bits))
    files["bundle.sv"] = _bundle(flows)
    interface = Interface(tuple(streams[0]), tuple(streams[1]), registers=tuple(r.name for r in flows[0].registers))
    library = compile_rtl(RtlDesign("bundle", files), interface, folder, optimize="-O1")
    families = tuple((graph,) if isinstance(graph, Graph) else graph for graph in graphs)
    return Cores(families, tuple(flows), library)


def _bundle(flows: Sequence[Dataflow]) -> str:
    ports = ["input wire aclk", "input wire aresetn", "input wire start", "input wire [15:0] frames"]
    ports += [f"input wire [{r.type.dtype.bits - 1}:0] {r.name}" for r in flows[0].registers]
    cores = ""
    for number, flow in enumerate(flows):
        links = {name: name for name in ("aclk", "aresetn", "start", "frames", *(r.name for r in flow.registers))}
        links["idle"] = ""
        widths = {name: flow.channel(name).width for name in (*flow.inputs, *flow.outputs)}
        if bits := _token_bits(flow):
            widths["width"] = bits
        for side, names in (("s", [name for name in widths if name not in flow.outputs]), ("m", flow.outputs)):
            for name in names:
                vector = f"[{widths[name] - 1}:0] "
                into, out = ("input", "output") if side == "s" else ("output", "input")
                own, outer = f"{side}_{name}", f"{side}_c{number}_{name}"
                ports += [
                    f"{into} wire {vector}{outer}_data",
                    f"{into} wire {outer}_valid",
                    f"{out} wire {outer}_ready",
                ]
                links |= {f"{own}_{part}": f"{outer}_{part}" for part in ("data", "valid", "ready")}
        cores += f"    c{number} core{number} ({', '.join(f'.{k}({v})' for k, v in links.items())});\n"
    return f"module bundle (\n    {', '.join(ports)}\n);\n{cores}endmodule\n"


def _token_bits(flow: Dataflow) -> int:
    return (kinds_of(flow)[0] - 1).bit_length()


def _wanted(family: tuple[Graph, ...], values: dict[str, Codes]) -> list[Codes]:
    """The codes of every output, frame after frame."""
    inputs = {name: codes for name, codes in values.items() if name != "width"}
    widths_N = values.get("width", np.zeros(len(next(iter(values.values()))), np.int64))
    found = golden.run_widths(family, inputs, widths_N, keep=family[-1].outputs)
    return [
        np.concatenate(
            [
                codes[:, :, : family[width].types[name].channels].reshape(-1)
                for codes, width in zip(found[name], widths_N.tolist(), strict=True)
            ]
        )
        for name in family[-1].outputs
    ]


def _differences(graph: Graph, flow: Dataflow, want: Sequence[Codes], row: Sequence[Traffic]) -> list[str]:
    bad = []
    for name, channel, codes, traffic in zip(graph.outputs, map(flow.channel, flow.outputs), want, row, strict=True):
        got = unpack(traffic.beats, channel).reshape(-1)
        if not np.array_equal(got, codes):
            bad.append(f"{graph.name}.{name}: {int((got != codes).sum())} of {got.size} codes are wrong")
    return bad


def pack(codes: Codes, bits: int) -> np.ndarray:
    """(beats, lanes) codes as (beats, words) uint32, lane 0 in the lowest bits."""
    ones = (codes[..., None] >> np.arange(bits)).astype(np.uint8) & 1
    rows = np.packbits(ones.reshape(len(codes), -1), axis=1, bitorder="little")
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))).view(np.uint32)


def unpack(words: np.ndarray, channel: Channel) -> Codes:
    """What `pack` packed, with the channel's sign."""
    ones = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, : channel.width]
    bits = channel.dtype.bits
    weights = np.int64(1) << np.arange(bits, dtype=np.int64)
    if channel.dtype.signed:
        weights[-1] = -weights[-1]
    return (ones.reshape(len(words), channel.lanes, bits).astype(np.int64) * weights).sum(axis=2)


def _room(channel: Channel, codes: Codes, stall: int) -> Traffic:
    beats, words = len(codes) // channel.lanes, -(-channel.width // 32)
    return Traffic(np.zeros((beats, words), np.uint32), stall, cycles=np.zeros(beats, np.uint64))
