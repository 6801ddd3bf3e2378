"""The exit units decide as the golden model does, to the last bit of code and class, and to the cycle."""

# Legend: N frames; C classes.
from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from codesign.emit.rtl import library_folder
from codesign.emit.rtl_text import address_bits, instance, packed, rom_module, rom_ports, wire
from codesign.ir import IntType, TensorType
from codesign.ops.base import Folding, Unit
from codesign.ops.exit_decision import THRESHOLD_TYPE, ExitDecision

Ints = npt.NDArray[np.int64]

needs_iverilog = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
THRESHOLD = TensorType((1, 1, 1), THRESHOLD_TYPE)
ONE = Folding(1, 1)
PORTS = ("aclk", "aresetn", "x_data", "x_valid", "x_ready", "y_room", "y_claim", "y_valid", "y_data", "threshold")


def logits_of(classes: int, dtype: IntType, scale: float = 2.0**-6) -> TensorType:
    return TensorType((1, 1, classes), dtype, scale)


def hard_logits(rng: np.random.Generator, kind: TensorType, count: int) -> Ints:
    """From uniform to one-hot: random ones of every spread, ties of all kinds, and the ends of the type."""
    dtype, classes = kind.dtype, kind.channels
    spread_N = 2.0 ** rng.uniform(0, dtype.bits, (count, 1))
    z_NC = np.rint((dtype.min + dtype.max) / 2 + rng.normal(0, 1, (count, classes)) * spread_N)
    z_NC = np.clip(z_NC, dtype.min, dtype.max).astype(np.int64)
    tied = z_NC[: count // 4]
    tied[rng.random(tied.shape) < 0.4] = tied.max()
    best = rng.integers(classes)
    special = np.full((6, classes), dtype.min)
    special[1] = dtype.max  # all alike, low and high
    special[2, best] = dtype.max  # nothing beside the largest
    special[3] = dtype.max
    special[3, best] = dtype.min  # one left out
    special[4, best:] = dtype.max  # the first of those alike is the class
    special[5] = dtype.max - np.arange(classes) % (dtype.max - dtype.min + 1)  # falling
    return np.concatenate([z_NC[: count // 2], special, z_NC[count // 2 :], special[::-1]])


def thresholds_of(codes_N: Ints) -> list[int]:
    """The ends of the register, and a code that occurs with both its neighbours: equal is never an exit."""
    middle = int(np.sort(codes_N)[len(codes_N) // 2])
    around = (max(0, middle - 1), middle, min(THRESHOLD_TYPE.max, middle + 1))
    return [0, THRESHOLD_TYPE.max, *around, 1 << 31]


def program(unit: Unit, logits: TensorType, frames: int, runs: int) -> str:
    """The unit with its ROMs, and the bench around it."""
    bits, ports = logits.dtype.bits, {name: name for name in PORTS}
    text = "".join(wire(1, n) for n in PORTS[:2] + PORTS[3:8])
    text += wire(bits, "x_data") + wire(48, "y_data") + wire(32, "threshold")
    sizes = {"FRAMES": frames, "CLASSES": logits.channels, "X_BITS": bits, "RUNS": runs, "LATENCY": unit.latency}
    text += instance("bench_decision", "bench", sizes, ports)
    roms = ""
    for rom in unit.roms:
        address, data = f"{rom.port}_address", f"{rom.port}_data"
        text += wire(rom.width, data) + (wire(address_bits(rom.words), address) if rom.words > 1 else "")
        text += instance(f"rom_{rom.port}", rom.port, {}, rom_ports(rom, address, data))
        ports |= {data: data} | ({address: address} if rom.words > 1 else {})
        roms += rom_module(f"rom_{rom.port}", rom)
    return f"{roms}module top;\n{text}{instance(unit.module, 'unit', unit.parameters, ports)}endmodule\n"


def simulate(unit: Unit, logits: TensorType, logits_NC: Ints, thresholds: list[int], folder: Path) -> list[str]:
    """What the bench prints."""
    folder.mkdir()
    (folder / "top.sv").write_text(program(unit, logits, len(logits_NC), len(thresholds)))
    (folder / "logits.hex").write_text("\n".join(packed(logits_NC.reshape(-1, 1), logits.dtype.bits)))
    (folder / "thresholds.hex").write_text("\n".join(f"{t:x}" for t in thresholds))
    modules = [str(path) for path in library_folder().glob("cs_exit_*.sv")]
    bench = str(Path(__file__).with_name("bench_decision.sv"))
    subprocess.run(
        ["iverilog", "-g2012", "-s", "top", "-o", "top.vvp", "top.sv", bench, *modules], cwd=folder, check=True
    )
    done = subprocess.run(["vvp", "-n", "top.vvp"], cwd=folder, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.splitlines()


def check(
    op: ExitDecision, logits: TensorType, logits_NC: Ints, folder: Path, block: int = 0, runs: slice = slice(None)
) -> None:
    """Every word of every run is golden, and without stalls every beat moves in the cycle of its step."""
    unit = op.rtl(ONE, logits, THRESHOLD)
    if unit.memory is not None:
        unit = replace(unit, parameters={**unit.parameters, "BLOCK": block})
    thresholds = thresholds_of(op.evaluate(logits_NC)[1])[runs]
    lines = simulate(unit, logits, logits_NC, thresholds, folder)
    schedule = op.schedule(ONE, len(logits_NC), logits, THRESHOLD)

    assert [line for line in lines if line.startswith("FAIL")] == []
    assert lines.pop() == "end"
    runs = "\n".join(lines).split("run\n")[1:]
    assert len(runs) == len(thresholds)
    for number, (run, threshold) in enumerate(zip(runs, thresholds, strict=True)):
        want = op.golden(logits_NC[:, None, None, :], np.array(threshold)).reshape(-1)
        words = [line.split() for line in run.splitlines() if line.startswith("y")][: len(want)]
        reads = [int(line.split()[1]) for line in run.splitlines() if line.startswith("x")]
        assert [int(word, 16) for _, _, word in words] == want.tolist()
        if number % 2 == 0:
            assert reads == schedule.reads[0].tolist()
            assert [int(cycle) for _, cycle, _ in words] == (schedule.writes + unit.latency).tolist()


@needs_iverilog
@pytest.mark.parametrize("at", range(len(ExitDecision.examples())))
def test_every_example(at: int, tmp_path: Path) -> None:
    example = ExitDecision.examples()[at]
    op, logits = example.op, example.inputs[0]
    assert isinstance(op, ExitDecision)
    logits_NC = hard_logits(np.random.default_rng(at), logits, max(12, 500 // logits.channels))

    check(op, logits, logits_NC, tmp_path / "memory")
    check(op, logits, logits_NC[-20:], tmp_path / "block", block=1)


@needs_iverilog
@pytest.mark.parametrize(
    ("classes", "dtype", "scale", "criterion", "fraction_bits"),
    [
        (2, IntType(1, signed=False), 1.0, "entropy", 0),  # the smallest there is
        (2, IntType(2), 3.0, "max-probability", 0),
        (10, IntType(16), 2.0**-6, "entropy", 0),
        (4, IntType(12), 2.0**-8, "entropy", 24),  # the longest refinement of few classes
        (17, IntType(8), 2.0**-4, "entropy", 20),
        (257, IntType(3), 2.0**-4, "max-probability", 24),  # odds beyond 32 bits saturate
        (3, IntType(32, signed=False), 2.0**-6, "margin", 0),
        (33, IntType(5, signed=False), 0.5, "margin", 0),
    ],
)
def test_other_sizes(
    classes: int, dtype: IntType, scale: float, criterion: str, fraction_bits: int, tmp_path: Path
) -> None:
    logits = logits_of(classes, dtype, scale)
    op = ExitDecision.for_logits(logits, criterion, fraction_bits=fraction_bits)
    rng = np.random.default_rng(classes)

    check(op, logits, hard_logits(rng, logits, max(4, 400 // classes)), tmp_path / "memory")


@needs_iverilog
@pytest.mark.parametrize("criterion", ["entropy", "max-probability", "margin"])
def test_the_most_classes(criterion: str, tmp_path: Path) -> None:
    logits = logits_of(4096, IntType(10), 2.0**-5)
    op = ExitDecision.for_logits(logits, criterion, fraction_bits=24)
    rng = np.random.default_rng(0)
    uniform = np.full((1, 4096), 511)
    logits_NC = np.concatenate([uniform, rng.integers(-512, 512, (1, 4096)), uniform - (np.arange(4096) != 4095)])

    check(op, logits, logits_NC, tmp_path / "block", block=1, runs=slice(3, 5))


@needs_iverilog
def test_equal_and_neighbouring_sums_of_a_small_table(tmp_path: Path) -> None:
    """Every vector of three logits of 3 bits: all pairs of distances there are, in all places."""
    logits = logits_of(3, IntType(3), 0.4)
    op = ExitDecision.for_logits(logits)
    logits_NC = np.indices((8, 8, 8)).reshape(3, -1).T - 4

    check(op, logits, logits_NC, tmp_path / "memory", runs=slice(3, 5))
