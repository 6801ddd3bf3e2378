"""Emitted SystemVerilog as a shared library: Verilator compiles it, and thousands of frames run from Python."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

import codesign
from codesign.emit.rtl import RtlDesign
from codesign.emit.templates import render
from codesign.errors import ToolError, VerificationError
from codesign.files import read_json, write_json
from codesign.verify.process import run
from codesign.verify.tools import verilator

KEPT = 4  # compiled simulations of one design
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream port of a module: `bits` of data, and TLAST where there is one."""

    name: str
    bits: int
    last: bool = False
    axi: bool = False

    @property
    def words(self) -> int:
        return -(-self.bits // 32)

    def ports(self) -> dict[str, Any]:
        """Names of its signals."""
        data, valid, ready = ("tdata", "tvalid", "tready") if self.axi else ("data", "valid", "ready")
        last = f"{self.name}_tlast" if self.last else ""
        names = {"data": f"{self.name}_{data}", "valid": f"{self.name}_{valid}", "ready": f"{self.name}_{ready}"}
        return {**names, "is_ready": names["ready"], "last": last, "words": self.words}


@dataclass(frozen=True, slots=True)
class Interface:
    """What the harness drives: streams in and out, and either an AXI4-Lite port or plain registers."""

    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    control: bool = False
    registers: tuple[str, ...] = ()
    channels: int = 0  # whose statistics the module gives


@dataclass(slots=True)
class Traffic:
    """What moves through one stream in a run. `beats` is (beats, words) uint32; of an output, room for them.

    `stall` is the chance in 256 that the far side leaves a cycle out. An output with `ends` is whole with TLAST.
    """

    beats: Words
    stall: int = 0
    ends: bool = False
    done: int = 0
    cycles: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    last: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))


class _Stream(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("cycles", ctypes.c_void_p),
        ("last", ctypes.c_void_p),
        ("beats", ctypes.c_uint64),
        ("done", ctypes.c_uint64),
        ("stall", ctypes.c_uint32),
        ("ends", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Library:
    """A compiled simulation and what building it took."""

    path: Path
    interface: Interface
    tool: str
    compile_cpu_s: float


def compile_rtl(
    design: RtlDesign,
    interface: Interface,
    folder: Path,
    *,
    wave: bool = False,
    statistics: bool = False,
    optimize: str = "-O2",
) -> Library:
    """The design's simulation, compiled in `folder`, or the one that an earlier call left there for the same text.

    Raises ToolError with Verilator's or the compiler's first error.
    """
    tool = verilator()
    harness = render(
        "rtl/harness.cpp.j2",
        top=design.top,
        version=codesign.__version__,
        inputs=[s.ports() for s in interface.inputs],
        outputs=[s.ports() for s in interface.outputs],
        control=interface.control,
        registers=interface.registers,
    )
    options = _options(design.top, wave, statistics, optimize)
    key = _key(design.files, harness, [tool.version, *options])
    place = folder / key
    library, record = place / "libdesign.so", place / "build.json"
    if library.is_file() and record.is_file():
        os.utime(place)
        built = read_json(record)
        return Library(library, interface, built["tool"], built["compile_cpu_s"])
    shutil.rmtree(place, ignore_errors=True)
    design.write(place / "src")
    (place / "harness.cpp").write_text(harness, encoding="utf-8")
    command = [tool.program, *options, "-y", "src", "--Mdir", "obj", f"src/{design.top}.sv", "harness.cpp"]
    cached = {"OBJCACHE": "ccache"} if shutil.which("ccache") else {}  # the simulator's own C++ is the same every time
    done = run(command, cwd=place, timeout_s=1800, environment=cached)
    made = place / "obj" / "libdesign.so"
    if done.status or not made.is_file():
        raise ToolError(
            f"does not compile: {_first_error(done.stderr + done.stdout)}", where=f"{design.top}.sv", hint=tool.version
        )
    made.rename(library)
    shutil.rmtree(place / "obj", ignore_errors=True)
    write_json(record, {"tool": tool.version, "options": options, "compile_cpu_s": done.cpu_s})
    _forget_old(folder)
    return Library(library, interface, tool.version, done.cpu_s)


def _options(top: str, wave: bool, statistics: bool, optimize: str) -> list[str]:
    options = ["--cc", "--exe", "--build", "--top-module", top, "-Wno-fatal", "-Wno-lint", "-Wno-style"]
    options += ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-o", "libdesign.so"]
    options += ["-CFLAGS", f"-fPIC -fvisibility=hidden {optimize}", "-LDFLAGS", "-shared -s"]
    options += ["--trace"] if wave else []
    return options + (["-DCS_STATISTICS", "-CFLAGS", "-DCS_STATISTICS"] if statistics else [])


class Simulation:
    """One instance of a compiled design. Use as a context manager; every call returns when its cycles have passed."""

    def __init__(self, library: Library) -> None:
        self.interface, self.tool = library.interface, library.tool
        self._lib = ctypes.CDLL(str(library.path.resolve()))
        self._lib.sim_new.restype = ctypes.c_void_p
        self._lib.sim_cycle.restype = self._lib.sim_idle.restype = ctypes.c_uint64
        self._sim = ctypes.c_void_p(self._lib.sim_new())
        self._values: npt.NDArray[np.uint8] | None = None
        self.reset()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._sim:
            self._lib.sim_close(self._sim)
            self._lib.sim_free(self._sim)
            self._sim = ctypes.c_void_p()

    def reset(self) -> None:
        """Four cycles of reset; what was under way is forgotten."""
        self._lib.sim_reset(self._sim)

    def seed(self, seed: int) -> None:
        """Seeds the stalls."""
        self._lib.sim_seed(self._sim, ctypes.c_uint64(seed))

    @property
    def cycle(self) -> int:
        return int(self._lib.sim_cycle(self._sim))

    def write(self, address: int, value: int) -> None:
        """An AXI4-Lite write; raises VerificationError when nothing answers."""
        if self._lib.sim_write(self._sim, ctypes.c_uint32(address), ctypes.c_uint32(value)):
            raise VerificationError(f"no answer to a write to {address:#x}", where="RTL simulation")

    def read(self, address: int) -> int:
        """An AXI4-Lite read; raises VerificationError when nothing answers."""
        value = ctypes.c_uint32()
        if self._lib.sim_read(self._sim, ctypes.c_uint32(address), ctypes.byref(value)):
            raise VerificationError(f"no answer to a read of {address:#x}", where="RTL simulation")
        return int(value.value)

    def per_frame(self, address: int, values: npt.NDArray[np.uint8] | None, beats: int) -> None:
        """From now on a register holds values[n] for the n-th frame of a run, `beats` beats each of the first input; None
        leaves it alone."""
        self._values = values  # which the simulation reads
        data = None if values is None else values.ctypes.data_as(ctypes.c_void_p)
        self._lib.sim_per_frame(self._sim, ctypes.c_uint32(address), data, ctypes.c_uint64(beats))

    def start(self, frames: int, registers: Sequence[int] = ()) -> None:
        """Begins a batch of a module without AXI4-Lite."""
        values = (ctypes.c_uint64 * max(1, len(registers)))(*registers)
        self._lib.sim_start(self._sim, ctypes.c_uint32(frames), values)

    def run(
        self, inputs: Sequence[Traffic], outputs: Sequence[Traffic], *, cycles: int = 1 << 62, patience: int = 50_000
    ) -> bool:
        """Moves the traffic; False when `cycles` ended first. Raises VerificationError when nothing moves for `patience` cycles."""
        for stream, traffic in zip((*self.interface.inputs, *self.interface.outputs), (*inputs, *outputs), strict=True):
            assert traffic.beats.shape[1:] == (stream.words,), (stream, traffic.beats.shape)
            assert traffic.beats.dtype == np.uint32
            assert traffic.beats.flags.c_contiguous
        ins, outs = _pack(inputs), _pack(outputs)
        status = self._lib.sim_run(self._sim, ins, outs, ctypes.c_uint64(cycles), ctypes.c_uint64(patience))
        for traffic, row in zip((*inputs, *outputs), (*ins, *outs), strict=False):
            traffic.done = int(row.done)
        if status == 2:
            counts = ", ".join(
                f"{s.name} {t.done} of {len(t.beats)}"
                for s, t in zip((*self.interface.inputs, *self.interface.outputs), (*inputs, *outputs), strict=True)
            )
            raise VerificationError(f"nothing moves any more: {counts} beats", where="RTL simulation")
        return status == 0

    def excess(self, cycles: int = 1000) -> int:
        """Beats that come in further cycles although none should."""
        return int(self._lib.sim_idle(self._sim, ctypes.c_uint64(cycles)))

    def trace(self, path: Path) -> None:
        """Records every signal from now on (a library compiled with `wave`)."""
        if self._lib.sim_trace(self._sim, str(path).encode()):
            raise VerificationError("this simulation was compiled without waveforms", where=str(path))

    def statistics(self) -> npt.NDArray[np.uint32]:
        """(channels, 3): most beats at once, cycles full, cycles empty, of a library compiled with `statistics`."""
        words = np.zeros((max(1, self.interface.channels), 3), np.uint32)
        self._lib.sim_statistics(self._sim, words.ctypes.data_as(ctypes.c_void_p))
        return words


def _pack(streams: Sequence[Traffic]) -> ctypes.Array[_Stream]:
    rows = (_Stream * max(1, len(streams)))()
    for row, traffic in zip(rows, streams, strict=False):
        row.data = traffic.beats.ctypes.data
        row.cycles = traffic.cycles.ctypes.data if len(traffic.cycles) else None
        row.last = traffic.last.ctypes.data if len(traffic.last) else None
        row.beats, row.stall, row.ends = len(traffic.beats), traffic.stall, int(traffic.ends)
    return rows


def _key(files: Mapping[str, str], harness: str, options: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join([*options, harness]).encode())
    for name in sorted(files):
        digest.update(f"\0{name}\0{files[name]}".encode())
    return digest.hexdigest()[:16]


def _forget_old(folder: Path) -> None:
    """Removes all but the simulations used last."""
    builds = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    for path in builds[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _first_error(text: str) -> str:
    lines = text.splitlines()
    return next((line for line in lines if "rror" in line), lines[0] if lines else "no message")
