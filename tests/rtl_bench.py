"""Runs many RTL units in one Icarus simulation, each between sources and a sink that check beats, handshake and cycles."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from codesign.emit.rtl import library_folder, unit_modules
from codesign.emit.rtl_text import address_bits, instance, packed, rom_ports, wire
from codesign.ir import Codes, TensorType
from codesign.ops import Example, Folding, Op
from codesign.ops.base import Schedule, Unit

BENCH = Path(__file__).parent / "rtl"
Ints = npt.NDArray[np.int64]

needs_iverilog = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")


@dataclass(frozen=True)
class Stream:
    """Beats (beats, lanes) of codes of `bits` bits, and the cycle in which each moves when nothing stalls.

    `starved` and `blocked` are how many of them move when an input ends early, and when the output is full early.
    """

    beats: Codes
    bits: int
    cycles: Ints
    starved: int
    blocked: int

    @property
    def width(self) -> int:
        return self.beats.shape[1] * self.bits


@dataclass(frozen=True)
class Case:
    """A unit, what goes in, and what must come out; `ends` are the beats each input has when one of them ends early."""

    name: str
    unit: Unit
    inputs: tuple[Stream, ...]
    ends: tuple[int, ...]
    output: Stream
    registers: tuple[int, ...]
    frames: int
    steps: int


def cases_of(name: str, example: Example, seed: int = 7) -> Iterator[Case]:
    """The example at every legal folding, on the same random frames with corner values: 3, or more where they are small."""
    op, count = example.op, len(example.inputs) - example.op.registers
    rng, frames = np.random.default_rng(seed), max(3, min(32, 400 // example.inputs[0].size))
    streams = [_codes(rng, frames, t) for t in example.inputs[:count]]
    registers = [_codes(rng, 1, t) for t in example.inputs[count:]]
    want = op.golden(*streams, *registers)
    values = tuple(int(r.item()) for r in registers)
    for folding in foldings_of(example):
        schedule = op.schedule(folding, frames, *example.inputs)
        for unit in _units(op, folding, example.inputs):
            inputs, ends, output = _streams(op, folding, example.inputs, schedule, unit.latency, streams, want)
            yield Case(f"{name} {folding}", unit, inputs, ends, output, values, frames, schedule.steps)


def foldings_of(example: Example) -> Iterator[Folding]:
    """Every legal folding, and with it one or all outputs of constant weights in DSPs."""
    for folding in example.op.foldings(*example.inputs):
        movable = example.op.movable(folding, *example.inputs)
        yield from (replace(folding, dsp_pe=outputs) for outputs in sorted({0, min(1, movable), movable}))


def run_cases(cases: Sequence[Case], folder: Path, library: Path | None = None) -> list[str]:
    """What is wrong, a few lines a case; empty when all of them do what they must to the last code and cycle.

    `library` is the folder of the units, when it is not the product's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = []
    for number, case in enumerate(cases):
        _write_streams(folder, f"case{number}", case)
        texts.append(_module(f"case{number}", number, case))
    (folder / "bench.sv").write_text("\n".join([*texts, _top(len(cases))]))
    folders = ["-Y", ".sv", "-y", str(library or library_folder()), "-y", str(BENCH)]
    command = ["iverilog", "-g2012", "-s", "bench", "-o", "bench.vvp", *folders, "bench.sv"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if built.returncode:
        return ["does not compile: " + built.stderr[:2000]]
    try:
        done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        return ["time stands still: some process of a unit wakes itself up"]
    return _verdict(done.stdout + done.stderr, [case.name for case in cases])


def _codes(rng: np.random.Generator, frames: int, kind: TensorType) -> Codes:
    """Random codes, the ends of the type more often than others."""
    low, high, shape = kind.dtype.min, kind.dtype.max, (frames, *kind.shape)
    corner = rng.random(shape)
    codes = rng.integers(low, high, shape, endpoint=True)
    return np.where(corner < 0.1, low, np.where(corner > 0.9, high, codes))


def _units(op: Op, folding: Folding, types: tuple[TensorType, ...]) -> tuple[Unit, ...]:
    """The unit, with its memory in either kind of RAM if it has one."""
    unit = op.rtl(folding, *types)
    if unit.memory is None:
        return (unit,)
    return tuple(replace(unit, parameters={**unit.parameters, "BLOCK": block}) for block in (0, 1))


def _streams(
    op: Op, folding: Folding, types: tuple[TensorType, ...], schedule: Schedule, latency: int, codes: Sequence[Codes],
    want: Codes,
) -> tuple[tuple[Stream, ...], tuple[int, ...], Stream]:  # fmt: skip
    """Inputs, the beats that they have in phase 0, and the output, all as the schedule tells."""
    reads, writes, frees = schedule.reads, schedule.writes, schedule.frees or schedule.reads
    # The steps at which the unit comes to stand, in the midst of the frames: an input ends, or the output is full.
    short = folding.pe % len(codes)
    ends = tuple(len(r) * 5 // 9 if i == short else len(r) for i, r in enumerate(reads))
    starves, blocks = reads[short][ends[short]], writes[len(writes) * 4 // 9]

    def stream(codes: Codes, lanes: int, kind: TensorType, steps: Ints, late: int) -> Stream:
        moved = (int((steps < starves).sum()), int((steps < blocks).sum()))
        return Stream(codes.reshape(-1, lanes), kind.dtype.bits, steps + late, *moved)

    inputs = tuple(stream(x, folding.lanes, t, f, 0) for x, t, f in zip(codes, types, frees, strict=False))
    return inputs, ends, stream(want, op.y_lanes(folding), op.infer(*types), writes, latency)


def _write_streams(folder: Path, name: str, case: Case) -> None:
    for port, stream in zip(case.unit.inputs, case.inputs, strict=True):
        (folder / f"{name}_{port}.beats").write_text("\n".join(packed(stream.beats, stream.bits)))
        (folder / f"{name}_{port}.frees").write_text("\n".join(f"{c:x}" for c in stream.cycles))
    (folder / f"{name}.wants").write_text("\n".join(packed(case.output.beats, case.output.bits)))
    (folder / f"{name}.cycles").write_text("\n".join(f"{c:x}" for c in case.output.cycles))


_SHARED = {port: port for port in ("aclk", "running", "phase", "over", "cycle", "random")}
_Y_PORTS = {port: port for port in ("y_room", "y_claim", "y_valid", "y_data")}


def _module(name: str, number: int, case: Case) -> str:
    """The module of a case, with the modules that its unit has beside it before it."""
    unit, y = case.unit, case.output
    ports = {"aclk": "aclk", "aresetn": "aresetn", **_Y_PORTS}
    ports |= {port: str(value) for port, value in zip(unit.registers, case.registers, strict=True)}
    if unit.batch:
        ports |= {"frames": f"16'd{case.frames}", "idle": "idle"}
    text = "".join(wire(1, n) for n in ("aclk", "aresetn", "running", "over", "y_room", "y_claim", "y_valid"))
    text += wire(2, "phase") + wire(32, "cycle") + wire(32, "random") + wire(y.width, "y_data")
    text += wire(1, "idle", "" if unit.batch else "1'b1") + wire(len(case.inputs) + 1, "complete")
    for salt in range(len(case.inputs)):
        ports |= {f"{unit.inputs[salt]}_{n}": f"{unit.inputs[salt]}_{n}" for n in ("data", "valid", "ready")}
        text += _source(name, salt, case)
    for rom in unit.roms:
        links = {"data": f"{rom.port}_data"} | ({} if rom.fixed else {"address": f"{rom.port}_address"})
        text += "".join(wire(rom.width if n == "data" else address_bits(rom.words), w) for n, w in links.items())
        text += instance(
            f"{name}_{rom.port}", f"rom_{rom.port}", {}, rom_ports(rom, f"{rom.port}_address", links["data"])
        )
        ports |= {port: port for port in links.values()}
    if sums := unit.sums:
        text += wire(sums.x_width, "sums_x") + wire(sums.y_width, "sums_y")
        text += instance(f"{name}_sums", "sums", {}, {"aclk": "aclk", "x": "sums_x", "y": "sums_y"})
        ports |= {port: port for port in ("sums_x", "sums_y")}
    text += instance(unit.module, "unit", unit.parameters, ports)
    label, wait = f'"{name}"', case.steps + unit.latency + 8
    sizes = {"NAME": label, "WIDTH": y.width, "BEATS": len(y.beats), "LATENCY": unit.latency}
    sizes |= {"STARVED": y.starved, "BLOCKED": y.blocked}
    text += instance("bench_sink", "sink", sizes, {**_SHARED, **_Y_PORTS, "complete": "complete[0]"})
    sizes = {"NAME": label, "SEED": number + 1, "WAIT": wait, "LIMIT": 40 * case.steps + 1000}
    links = {"clock": "clock", "aresetn": "aresetn", "finished": "finished", "complete": "&{idle, complete}"}
    text += instance("bench_control", "control", sizes, {**_SHARED, **links})
    modules = "".join(unit_modules(name, unit).values())
    return f"{modules}module {name} (input wire clock, output wire finished);\n{text}endmodule\n"


def _source(name: str, salt: int, case: Case) -> str:
    port, x = case.unit.inputs[salt], case.inputs[salt]
    sizes = {"NAME": f'"{name}_{port}"', "WIDTH": x.width, "BEATS": len(x.beats), "SALT": salt}
    sizes |= {"STARVED": case.ends[salt], "GONE_0": x.starved, "GONE_1": x.blocked}
    links = {f"x_{n}": f"{port}_{n}" for n in ("data", "valid", "ready")} | {"complete": f"complete[{salt + 1}]"}
    wires = wire(x.width, f"{port}_data") + wire(1, f"{port}_valid") + wire(1, f"{port}_ready")
    return wires + instance("bench_source", f"source_{port}", sizes, {**_SHARED, **links})


def _top(count: int) -> str:
    units = "".join(f"    case{n} c{n} (clock, finished[{n}]);\n" for n in range(count))
    clock = "    always #5 clock = !clock;\n    always @(posedge clock) if (&finished) $finish;\n"
    return f"module bench;\n    reg clock = 0;\n    wire [{count - 1}:0] finished;\n{units}{clock}endmodule\n"


def _verdict(output: str, names: Sequence[str]) -> list[str]:
    """The simulator's complaints with the names of the cases, and the cases that never came to an end."""
    lines = output.splitlines()
    bad = []
    for number, name in enumerate(names):
        own = (f"FAIL case{number}:", f"FAIL case{number}_")
        bad += [f"{name}: {line}" for line in lines if line.startswith(own)]
        bad += [f"{name}: does not end"] * (f"DONE case{number}" not in lines)
    return bad + [line for line in lines if not line.startswith(("FAIL", "DONE"))]
