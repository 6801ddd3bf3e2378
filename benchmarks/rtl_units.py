"""Synthesizes units and FIFOs one by one and fits the coefficients of codesign/cost to them.

    .venv/bin/python benchmarks/rtl_units.py [--cache FOLDER] [--networks N]

Units are those of random networks at random foldings (seeds from 0 on; `rtl_resources.py` judges with others), constant
matrices, exit units and ports besides. Several go into one run of Yosys, each in a module that is kept apart. Writes codesign/cost/rtl_xc7.toml
and, for the record, every unit with its figures into benchmarks/rtl_units.jsonl.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rtl_designs import ROOT, random_flow
from strategies import random_graph

from codesign.cost.exits import control_port, image_port, result_port
from codesign.cost.fabric import Parts
from codesign.cost.streams import fifo
from codesign.cost.units import unit_parts
from codesign.emit.rtl import library, unit_modules
from codesign.emit.rtl_text import instance, rom_ports, wire
from codesign.errors import ToolError
from codesign.files import read_json, write_atomic, write_json
from codesign.ir import Constant, IntType, TensorType
from codesign.ops.base import Folding, Unit
from codesign.ops.conditional_buffer import ConditionalBuffer
from codesign.ops.exit_decision import DECISION_TYPE, ExitDecision
from codesign.ops.matrix_vector import MatrixVector
from codesign.plan.budget import storage
from codesign.verify.synth import content_key, reachable
from codesign.verify.synth_cells import Counts, cell_types, count
from codesign.verify.yosys import run_yosys, yosys_version

BATCH = 12  # units in one run of Yosys
NETWORKS = 24
NEAR_LUT = 6.0  # units further from the line than this count less in the fit
MOST_LUT = 1500  # a unit that is estimated larger only takes time
TABLE, RECORD = ROOT / "codesign" / "cost" / "rtl_xc7.toml", ROOT / "benchmarks" / "rtl_units.jsonl"
_PORT = re.compile(r"^\s*(input|output)\s+(?:wire|logic)\s*(\[.*?\])?\s*(\w+)", re.MULTILINE)
_WIDE = 8192  # of ports whose width is a parameter: more than any has, and what is not used takes nothing


@dataclass(frozen=True)
class Sample:
    """One module of the library to synthesize, and what is counted of it."""

    name: str
    module: str
    parameters: Mapping[str, int]
    parts: Parts
    unit: Unit | None = None  # with its ROMs and sums

    def sources(self, top: str) -> dict[str, str]:
        """{file name: text} of the unit, with what it has beside it, as a module `top`."""
        source = library()[f"{self.module}.sv"]
        ports = [(way, width, name) for way, width, name in _PORT.findall(source.partition("`ifdef")[0])]
        roms, sums = (self.unit.roms, self.unit.sums) if self.unit else ((), None)
        fed = {f"{rom.port}_{kind}" for rom in roms for kind in ("address", "data")} | {"sums_x", "sums_y"}
        heads = [
            f"    {way} wire {f'[{_WIDE - 1}:0] ' if width else ''}{name}"
            for way, width, name in ports
            if name not in fed
        ]
        links = {name: name for _, _, name in ports}
        body = ""
        for rom in roms:
            address, data = f"{rom.port}_address", f"{rom.port}_data"
            body += (wire(_WIDE, address) if address in links else "") + wire(rom.width, data)
            body += instance(f"{top}_{rom.port}", rom.port, {}, rom_ports(rom, address, data))
        if sums:
            body += wire(sums.x_width, "sums_x") + wire(sums.y_width, "sums_y")
            body += instance(f"{top}_sums", "sums", {}, {"aclk": "aclk", "x": "sums_x", "y": "sums_y"})
        files = unit_modules(top, self.unit) if self.unit else {}
        body += instance(self.module, "dut", self.parameters, links)
        text = "(* keep_hierarchy *)\nmodule {} (\n{}\n);\n{}endmodule\n".format(top, ",\n".join(heads), body)
        return reachable({**library(), **files, f"{top}.sv": text}, top)

    @property
    def key(self) -> str:
        return content_key(self.sources("sample"), yosys_version())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "rtl_units", help="keeps every result")
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--cached", action="store_true", help="fit to the units in the cache, synthesize none")
    arguments = parser.parse_args()
    samples = [*network_units(range(arguments.networks)), *constant_units(), *exit_units(), *fifos(), *ports()]
    unique = {sample.key: sample for sample in samples}
    counts = synthesize(unique, arguments.cache, only_cached=arguments.cached)
    rows = [(sample, counts[key]) for key, sample in unique.items() if key in counts]
    write_atomic(RECORD, "".join(json.dumps(_record(*row)) + "\n" for row in rows))
    write_atomic(TABLE, fit(rows, range(arguments.networks)))
    return 0


def network_units(seeds: Iterable[int]) -> Iterator[Sample]:
    """Every process of random networks at random foldings, as long as it is not large."""
    for seed in seeds:
        flow = random_flow(random_graph(seed), seed)
        for process in flow.processes if flow else ():
            unit = process.op.rtl(process.folding, *process.types)
            if unit_parts(unit).lut <= MOST_LUT:
                yield unit_sample(f"random {seed} {process.name}", unit)


def constant_units() -> Iterator[Sample]:
    """Unfolded matrices of some shapes, types and numbers of pixels, with and without outputs in DSPs."""
    rng = np.random.default_rng(1)
    u4, u8, u10 = (IntType(bits, signed=False) for bits in (4, 8, 10))
    rows = (
        (2, 4, u8, 8, 1, 0),
        (4, 6, u8, 8, 2, 1),
        (8, 9, u4, 4, 1, 0),
        (3, 12, IntType(4), 2, 4, 0),
        (2, 5, IntType(8), 8, 1, 1),
        (1, 16, u10, 10, 1, 0),
        (2, 3, u8, 8, 1, 0),
        (1, 2, u4, 3, 1, 0),
    )
    for outputs, inputs, x, w_bits, pixels, in_dsps in rows:
        kind = IntType(w_bits)
        op = MatrixVector(Constant.of(rng.integers(kind.min, kind.max, (outputs, inputs), endpoint=True), kind))
        unit = op.rtl(Folding(pixels * inputs, pixels * outputs, inputs, in_dsps), TensorType((1, 4, inputs), x, 1.0))
        yield unit_sample(f"constant {outputs} {inputs} {x} {kind} {pixels} {in_dsps}", unit)


def exit_units() -> Iterator[Sample]:
    """Exit units of all criteria for some numbers of classes and widths of logits."""
    for criterion in ("entropy", "max-probability", "margin"):
        for classes, bits in ((2, 8), (10, 12), (10, 16), (100, 16)):
            logits = TensorType((1, 1, classes), IntType(bits), 2.0**-8)
            op = ExitDecision.for_logits(logits, criterion=criterion)
            types = (logits, TensorType((1, 1, 1), IntType(32, signed=False)))
            (folding,) = op.foldings(*types)
            yield unit_sample(f"{criterion} {classes} {bits}", op.rtl(folding, *types))


def fifos() -> Iterator[Sample]:
    """FIFOs of some widths and of depths around the sizes of memories, where the emitter would put them."""
    for width in (1, 16, 45):
        for depth in (2, 3, 6, 16, 32, 64, 200, 784):
            block = storage(depth, width) == "bram"
            facts = {"WIDTH": width, "DEPTH": depth, "BLOCK": int(block)}
            yield Sample(f"fifo {depth} x {width}", "cs_fifo", facts, fifo(width, depth, block=block))


def ports() -> Iterator[Sample]:
    """The modules around the core."""
    for bits, lanes, beats in ((8, 1, 784), (6, 4, 100), (16, 3, 1024)):
        facts = {"X_BITS": bits, "LANES": lanes, "BEATS": beats, "PORT_BITS": 64, "CONTAINER": 16}
        yield Sample(f"image {bits} {lanes} {beats}", "cs_image_port", facts, image_port(beats))
    for shape, bits, lanes in (((14, 14, 6), 8, 6), ((8, 8, 12), 5, 3), ((4, 6, 2), 16, 2)):
        types = (TensorType(shape, IntType(bits, signed=False), 1.0), TensorType((1, 1, 1), DECISION_TYPE))
        yield unit_sample(f"conditional {bits} {lanes}", ConditionalBuffer().rtl(Folding(lanes, lanes), *types))
    yield Sample("result", "cs_result_port", {}, result_port())
    yield Sample("control", "cs_control", {}, control_port())


def unit_sample(name: str, unit: Unit) -> Sample:
    facts = dict(unit.parameters)
    if unit.memory is not None:
        facts["BLOCK"] = int(storage(*unit.memory) == "bram")
    return Sample(name, unit.module, facts, unit_parts(unit), unit)


def synthesize(samples: Mapping[str, Sample], cache: Path, *, only_cached: bool) -> dict[str, Counts]:
    """The counts of every sample, by its key; those that fail are told and left out."""
    counts = {k: Counts(**read_json(cache / f"{k}.json")) for k in samples if (cache / f"{k}.json").is_file()}
    missing = [] if only_cached else [key for key in samples if key not in counts]
    print(f"{len(samples)} units, {len(missing)} to synthesize", flush=True)
    for start in range(0, len(missing), BATCH):
        keys = missing[start : start + BATCH]
        for key, result in _run(keys, samples).items():
            write_json(cache / f"{key}.json", asdict(result))
            counts[key] = result
        print(f"{min(start + BATCH, len(missing))} done", flush=True)
    return counts


def _run(keys: Sequence[str], samples: Mapping[str, Sample]) -> dict[str, Counts]:
    tops = {key: f"unit{number}" for number, key in enumerate(keys)}
    sources: dict[str, str] = {}
    for key, top in tops.items():
        sources |= samples[key].sources(top)
    sources["batch.sv"] = (
        "module batch;\n" + "".join(f"    {top} i_{top} ();\n" for top in tops.values()) + "endmodule\n"
    )
    script = f"read_verilog -sv {' '.join(sources)}\nsynth_xilinx -family xc7 -top batch -noiopad -noclkbuf -flatten\nwrite_json n.json\n"
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_yosys(script, Path(folder), sources=sources, where="batch")
        except ToolError as error:
            print(f"{[samples[key].name for key in keys]}: {error}", file=sys.stderr)
            return {}
        modules = json.loads((Path(folder) / "n.json").read_text(encoding="utf-8"))["modules"]
    return {key: count(cell_types(modules[top])) for key, top in tops.items()}


def fit(rows: Sequence[tuple[Sample, Counts]], seeds: range) -> str:
    """The table of coefficients: least squares of LUT - counted LUT over (bits of control, 1), by module."""
    groups: defaultdict[str, list[tuple[Sample, Counts]]] = defaultdict(list)
    for sample, counts in rows:
        groups[sample.module].append((sample, counts))
    lines = [
        "# LUTs of control logic, by module: per_bit for every bit of control that codesign/cost counts, and fixed ones.",
        "# Fitted to single units, those far off counting less; benchmarks/rtl_units.py writes this file, benchmarks/rtl_units.jsonl has the runs.",
        "[source]",
        f'tool = "{yosys_version()}, synth_xilinx -family xc7"',
        f'runs = "benchmarks/rtl_units.jsonl: units of random networks {seeds.start} to {seeds.stop - 1}, constant matrices, exit units, FIFOs, ports"',
    ]
    print(f"{'module':24} units  per_bit  fixed   LUT off: mean, worst     FF exact  DSP exact  BRAM exact")
    for module, group in sorted(groups.items()):
        rest = np.array([c.lut - s.parts.lut for s, c in group])
        bits = np.array([s.parts.control for s, _ in group], dtype=float)
        per_bit, fixed = line(bits, rest)
        lines += ["", f"[module.{module}]", f"per_bit = {per_bit:.3f}", f"fixed = {fixed:.2f}", f"units = {len(group)}"]
        off = rest - per_bit * bits - fixed
        exact = [sum(getattr(c, f) == getattr(s.parts, f) for s, c in group) for f in ("ff", "dsp", "bram18")]
        print(
            f"{module:24} {len(group):5} {per_bit:8.2f} {fixed:6.1f} {np.abs(off).mean():9.1f} {np.abs(off).max():9.1f}"
            f"      {exact[0]:4}/{len(group)} {exact[1]:6}/{len(group)} {exact[2]:6}/{len(group)}",
            flush=True,
        )
    return "\n".join(lines) + "\n"


def line(bits: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]) -> tuple[float, float]:
    """(per bit, fixed) of the line nearest to `rest`: least squares in which far points count less (Huber), and a slope
    of at least 0. A few units of one size give no slope."""
    if len(set(bits)) < 3:
        return 0.0, float(np.median(rest))
    columns, weights, found = np.stack([bits, np.ones(len(bits))], axis=1), np.ones(len(bits)), np.zeros(2)
    for _ in range(50):
        root = np.sqrt(weights)
        found, *_ = np.linalg.lstsq(columns * root[:, None], rest * root, rcond=None)
        weights = NEAR_LUT / np.maximum(NEAR_LUT, np.abs(rest - columns @ found))
    return (float(found[0]), float(found[1])) if found[0] >= 0 else (0.0, float(np.median(rest)))


def _record(sample: Sample, counts: Counts) -> dict[str, Any]:
    return {
        "name": sample.name,
        "module": sample.module,
        "parameters": dict(sample.parameters),
        "roms": [[rom.words, rom.width] for rom in sample.unit.roms] if sample.unit else [],
        "synthesized": asdict(counts),
        "counted": asdict(sample.parts),
    }


if __name__ == "__main__":
    sys.exit(main())
