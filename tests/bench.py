"""Compiles many small dataflows into one program and runs their golden inputs through it: C simulation of ops and graphs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.emit.hls import compat_folder, emit_core, library_folder
from codesign.emit.templates import beat
from codesign.emit.widths import RESULT, token_channels
from codesign.ir import Codes, Graph
from codesign.plan.dataflow import Dataflow
from codesign.verify.tools import vendor_headers

_MAIN = r"""
#include <cstdio>
#include <vector>
template <class B> static void push(hls::stream<typename B::type>& s, const long long*& in, long beats) {
    for (long b = 0; b < beats; ++b) {
        typename B::type v;
        for (int i = 0; i < B::LANES; ++i) B::set(v, i, *in++);
        s.write(v);
    }
}
template <class B> static void pop(hls::stream<typename B::type>& s, long long*& out, long beats) {
    for (long b = 0; b < beats; ++b) {
        const typename B::type v = s.read();
        for (int i = 0; i < B::LANES; ++i) *out++ = static_cast<long long>(B::get(v, i));
    }
    if (!s.empty()) { std::fprintf(stderr, "beats are left over\n"); std::exit(3); }
}
int main(int, char** argv) {
    std::FILE* f = std::fopen(argv[1], "rb");
    std::fseek(f, 0, SEEK_END);
    std::vector<long long> in(std::ftell(f) / 8), out(OUT_CODES);
    std::rewind(f);
    if (std::fread(&in[0], 8, in.size(), f) != in.size()) return 5;
    std::fclose(f);
    const long long* from = &in[0];
    long long* to = &out[0];
CASES
    f = std::fopen(argv[2], "wb");
    std::fwrite(&out[0], 8, out.size(), f);
    return std::fclose(f);
}
"""


@dataclass(frozen=True)
class Case:
    """A dataflow, its stream inputs (N, H, W, C) and registers, and the codes it must give.

    With several widths the dataflow is the widest's, `narrow` are the others, and `widths_N` is the width of every frame.
    """

    name: str
    dataflow: Dataflow
    streams: tuple[Codes, ...]
    registers: tuple[int, ...]
    wants: tuple[Codes, ...]
    narrow: tuple[Dataflow, ...] = ()
    widths_N: tuple[int, ...] = ()


def codes_of(rng: np.random.Generator, frames: int, graph: Graph) -> dict[str, Codes]:
    """Random codes for every stream input, the corners of the type among them."""
    values = {}
    for value in graph.inputs:
        dtype, shape = value.type.dtype, (frames, *value.type.shape)
        codes = rng.integers(dtype.min, dtype.max + 1, shape)
        corner = rng.random(shape)
        values[value.name] = np.where(corner < 0.05, dtype.min, np.where(corner > 0.95, dtype.max, codes))
    return values


def run_cases(
    cases: Sequence[Case], folder: Path, *, types: str = "native", standard: str = "gnu++98", compiler: str = "g++"
) -> list[str]:
    """What differs, one line per case; empty when every code of every case is right."""
    folder.mkdir(parents=True, exist_ok=True)
    source, data, wants = _program(cases)
    (folder / "bench.cpp").write_text(source)
    np.concatenate(data).astype("<i8").tofile(folder / "in.bin")
    flags = ["-DCS_NATIVE"] if types == "native" else ["-isystem", str(vendor_headers().path)]
    flags += ["-DCS_PACKED"] if types == "packed" else []
    built = subprocess.run(
        [compiler, f"-std={standard}", "-O1", *flags, "-Wno-unknown-pragmas", f"-I{library_folder()}", f"-I{compat_folder()}", "bench.cpp", "-o", "bench"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if built.returncode:
        return ["does not compile: " + next(line for line in built.stderr.splitlines() if "error" in line)]
    done = subprocess.run(["./bench", "in.bin", "out.bin"], cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        return [f"exit status {done.returncode}: {done.stderr.strip()}"]
    got = np.fromfile(folder / "out.bin", dtype="<i8")
    lines, at = [], 0
    for name, want in wants:
        part = got[at : at + want.size].reshape(want.shape)
        at += want.size
        if not np.array_equal(part, want):
            index = tuple(int(i) for i in np.argwhere(part != want)[0])
            lines.append(
                f"{name}: {int((part != want).sum())} of {want.size} codes differ, first at {index}: want {want[index]}, got {part[index]}"
            )
    return lines


def _program(cases: Sequence[Case]) -> tuple[str, list[Codes], list[tuple[str, Codes]]]:
    units, calls, data, wants = [], [], [], []
    for number, case in enumerate(cases):
        space, flow = f"case{number}", case.dataflow
        units.append(emit_core(flow, namespace=space, narrow=case.narrow))
        frames = len(case.streams[0])
        tokens = [token for token in token_channels(flow, case.narrow) if token.consumer != RESULT]
        ports = [*map(flow.channel, (*flow.inputs, *flow.outputs)), *tokens]
        lines = [f'hls::stream<{beat(c)}::type> {c.name}("{c.name}");' for c in ports]
        lines += [f"push<{beat(c)} >({c.name}, from, {frames * c.beats});" for c in map(flow.channel, flow.inputs)]
        lines += [f"push<{beat(c)} >({c.name}, from, {frames});" for c in tokens]
        lines.append(f"{space}::core({', '.join((*(c.name for c in ports), *map(str, case.registers), str(frames)))});")
        lines += [f"pop<{beat(c)} >({c.name}, to, {_beats(case, c.name)});" for c in map(flow.channel, flow.outputs)]
        calls.append("    {\n" + "\n".join("        " + line for line in lines) + "\n    }")
        data += [codes.reshape(-1) for codes in case.streams] + [np.array(case.widths_N)] * len(tokens)
        wants += [(case.name, want) for want in case.wants]
    total = sum(want.size for _, want in wants)
    main = _MAIN.replace("OUT_CODES", str(total)).replace("CASES", "\n".join(calls))
    return (
        '#include "cs_units.h"\n#include "cs_slim.h"\n#include "cs_slim_channels.h"\n#include "cs_slim_stream.h"\n'
        + "\n".join(units)
        + main,
        data,
        wants,
    )


def _beats(case: Case, channel: str) -> int:
    """Beats of a channel in the whole batch."""
    flows = (*case.narrow, case.dataflow)
    widths = case.widths_N or (0,) * len(case.streams[0])
    return sum(flows[width].channel(channel).beats for width in widths)
