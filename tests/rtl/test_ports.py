"""The units at the ports: image words in, results and the feature maps of frames that go on out, batch after batch."""

# Legend: N frames; B beats of a frame; L lanes.
from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from codesign.emit.rtl import library_folder
from codesign.emit.rtl_text import instance, packed, wire
from codesign.ir import IntType, TensorType
from codesign.ops.base import Folding
from codesign.ops.conditional_buffer import ConditionalBuffer
from codesign.ops.exit_decision import DECISION_TYPE, ExitDecision

Ints = npt.NDArray[np.int64]

needs_iverilog = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
CLOCK = {"aclk": "aclk", "aresetn": "aresetn"}
BATCH = {**CLOCK, "start": "start", "frames": "frames"}
DECISIONS = TensorType((1, 1, 1), DECISION_TYPE)

# Starts one batch after the other, each in the cycle in which the one before is over, and prints what comes out.
_TOP = """
    reg aclk = 0, aresetn = 0, start = 0, ready = 0, stall;
    reg [15:0] frames = 0;
    reg [31:0] cycle = 0;
    wire [WIDTH-1:0] word;
    wire valid, idle, room, claim, arrives;
    wire [WIDTH-1:0] in;
    integer batch, seed = 7, opens = 0;
    always #1 aclk = !aclk;
    cs_fifo #(.WIDTH(WIDTH), .DEPTH(2)) fifo (.aclk, .aresetn, .y_room(room), .y_claim(claim), .y_valid(arrives),
        .y_data(in), .x_valid(valid), .x_ready(ready), .x_data(word));
    initial begin
        stall = $test$plusargs("stall");
        if (!$value$plusargs("opens=%d", opens)) opens = 0;
        repeat (3) @(posedge aclk);
        #0.5 aresetn = 1;
        repeat (30) @(posedge aclk);  // words that wait for a batch stay where they are
        for (batch = 0; batch < BATCHES; batch = batch + 1) begin
            #0.5 start = 1;
            frames = sizes[16*batch+:16];
            cycle = 0;
            $display("batch");
            @(posedge aclk) #0.5 start = 0;
            repeat (2) @(posedge aclk);
            while (!over) @(posedge aclk);
            repeat (batch % 2 * 20) @(posedge aclk);
        end
        $display("end");
        $finish;
    end
    always @(posedge aclk) begin
        cycle <= cycle + 1;
        ready <= stall ? ($random(seed) & 3) == 0 : cycle >= opens;
        if (aresetn && claim && !room) $display("FAIL: a claim without room");
        if (cycle == 20000) begin
            $display("FAIL: hangs");
            $finish;
        end
        if (aresetn && arrives) $display("in %0d", cycle);
        if (aresetn && valid && ready) $display("out %h", word);
    end
"""


def simulate(
    units: str,
    over: str,
    width: int,
    sizes: Sequence[int],
    streams: Mapping[str, tuple[Ints, int]],
    folder: Path,
    modes: Sequence[str] = ("+free", "+stall"),
) -> list[list[list[list[str]]]]:
    """What the bench prints in every mode, without stalls and with them: for each batch its lines, as words.

    `over` says when a batch is; `streams` are rows of codes and the bits of a code.
    """
    folder.mkdir()
    packed_sizes = f"{16 * len(sizes)}'h{packed(np.array([sizes]), 16)[0]}"
    head = f"module top;\n    localparam WIDTH = {width}, BATCHES = {len(sizes)};\n"
    head += wire(16 * len(sizes), "sizes", packed_sizes)
    (folder / "top.sv").write_text(f"{head}{_TOP}{units}{wire(1, 'over', over)}endmodule\n")
    for name, (codes, bits) in streams.items():
        (folder / f"{name}.hex").write_text("\n".join(packed(codes, bits)))
    command = ["iverilog", "-g2012", "-s", "top", "-o", "top.vvp", "-Y", ".sv", "-y", str(library_folder())]
    bench = str(Path(__file__).with_name("bench_flow.sv"))
    subprocess.run([*command, "top.sv", bench], cwd=folder, check=True)
    results = []
    for mode in modes:
        run = ["vvp", "-n", "top.vvp", mode]
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
        assert "FAIL" not in done.stdout
        batches = done.stdout.split("batch\n")
        assert batches.pop(0) == ""  # nothing moved ahead of the first start
        assert batches[-1].endswith("end\n")
        results.append([[line.split() for line in batch.splitlines()] for batch in batches])
    return results


def source(name: str, width: int, count: int, seed: int) -> str:
    data, valid, ready, given = (f"{name}_{n}" for n in ("data", "valid", "ready", "given"))
    text = wire(width, data) + wire(1, valid) + wire(1, ready) + wire(32, given)
    ports = {**CLOCK, "data": data, "valid": valid, "ready": ready, "given": given}
    return text + instance(
        "bench_flow", name, {"NAME": f'"{name}"', "WIDTH": width, "COUNT": count, "SEED": seed}, ports
    )


def words_of(lines: Sequence[Sequence[str]]) -> list[int]:
    return [int(line[1], 16) for line in lines if line[0] == "out"]


def cycles_of(lines: Sequence[Sequence[str]]) -> list[int]:
    """When each word came, counted from the first cycle in which the batch is known."""
    return [int(line[1]) - 1 for line in lines if line[0] == "in"]


def contained(codes_L: Ints, container: int) -> int:
    """Codes in containers, sign-extended as numpy does."""
    mask = (1 << container) - 1
    return sum((int(code) & mask) << (i * container) for i, code in enumerate(codes_L))


def feature_words(maps_NBL: Ints, exited_N: Ints, container: int, port_bits: int) -> list[int]:
    """Bus words of a batch, TLAST above them."""
    words = []
    for frame, (map_BL, exited) in enumerate(zip(maps_NBL, exited_N, strict=True)):
        if not exited:
            words += [frame, *(contained(beat_L, container) for beat_L in map_BL)]
    return [*words, 1 << port_bits | 0xFFFFFFFF]


def run_buffer(
    kind: TensorType,
    port: tuple[int, int, int],
    maps_NBL: Ints,
    batches: Sequence[Sequence[int]],
    folder: Path,
    *modes: str,
) -> list[list[list[list[str]]]]:
    """The conditional buffer on these maps and batches of exits; `port` is its lanes, container and bits of a word."""
    lanes, container, port_bits = port
    rng = np.random.default_rng(7)
    exited_N = np.concatenate(batches).astype(bool)
    frames = len(exited_N)
    decisions_N = ExitDecision.pack(exited_N, rng.integers(0, 1 << 15, frames), rng.integers(0, 1 << 32, frames))
    unit = ConditionalBuffer().rtl(Folding(lanes, lanes), kind, DECISIONS)
    units = source("feature", lanes * kind.dtype.bits, maps_NBL.size // lanes, 3) + source("decision", 48, frames, 5)
    links = {f"{n}_{s}": f"{n}_{s}" for n in unit.inputs for s in ("data", "valid", "ready")}
    links |= {"y_room": "room", "y_claim": "claim", "y_valid": "arrives", "y_data": "in", "idle": "idle"}
    parameters = {**unit.parameters, "PORT_BITS": port_bits, "CONTAINER": container}
    units += instance(unit.module, "unit", parameters, {**BATCH, **links})
    streams = {"feature": (maps_NBL.reshape(-1, lanes), kind.dtype.bits), "decision": (decisions_N[:, None], 48)}
    sizes = [len(batch) for batch in batches]
    return simulate(units, "(idle && !valid)", port_bits + 1, sizes, streams, folder, modes)


@needs_iverilog
@pytest.mark.parametrize(
    ("shape", "dtype", "port"),
    [
        ((2, 3, 4), IntType(8, signed=False), (4, 8, 64)),
        ((1, 2, 6), IntType(5), (3, 8, 64)),
        ((1, 2, 4), IntType(5, signed=False), (2, 8, 64)),
        ((1, 1, 8), IntType(8), (8, 8, 64)),  # one beat a map
        ((3, 2, 2), IntType(12), (4, 16, 64)),  # two pixels a beat
        ((1, 3, 5), IntType(32), (5, 32, 256)),
    ],
)
def test_conditional_buffer(
    shape: tuple[int, int, int], dtype: IntType, port: tuple[int, int, int], tmp_path: Path
) -> None:
    """Frames that exit and frames that go on in every order, and batches in which all do the one or the other."""
    lanes, container, port_bits = port
    rng = np.random.default_rng(lanes)
    kind = TensorType(shape, dtype, 1.0)
    exits = [[1], [0], [1, 1, 1], [0, 0, 0], [1, 0, 0, 1, 0], list(rng.integers(0, 2, 40)), [0, 1], [1, 0]]
    exited_N = np.concatenate(exits)
    beats = kind.size // lanes
    maps_NBL = rng.integers(dtype.min, dtype.max, (len(exited_N), beats, lanes), endpoint=True)

    results = run_buffer(kind, port, maps_NBL, exits, tmp_path / "sim", "+free", "+stall")

    for number, batches in enumerate(results):
        at = 0
        for lines, batch in zip(batches, exits, strict=True):
            mine = slice(at, at := at + len(batch))
            assert words_of(lines) == feature_words(maps_NBL[mine], exited_N[mine], container, port_bits)
            if number == 0:
                steps = ConditionalBuffer().schedule(Folding(lanes, lanes), len(batch), kind, DECISIONS).writes
                goes_on = np.append(np.repeat(exited_N[mine] == 0, beats + 1), True)
                assert cycles_of(lines) == steps[goes_on].tolist()


@needs_iverilog
def test_a_frame_that_exits_needs_no_room(tmp_path: Path) -> None:
    """Behind a map that fills the output FIFO, twenty frames go by; the trailer waits for room alone."""
    maps_NBL = np.arange(21 * 8).reshape(21, 1, 8) - 84
    kind = TensorType((1, 1, 8), IntType(8), 1.0)

    ((lines,),) = run_buffer(kind, (8, 8, 64), maps_NBL, [[0] + [1] * 20], tmp_path / "sim", "+opens=100")

    assert words_of(lines) == feature_words(maps_NBL[:1], np.zeros(1), 8, 64)
    header, beat, trailer = cycles_of(lines)
    assert (header, beat) == (0, 1)
    assert 99 <= trailer <= 103


@needs_iverilog
@pytest.mark.parametrize(("dtype", "lanes", "beats", "port_bits"), [(IntType(8), 1, 9, 8), (IntType(5), 3, 1, 32)])
def test_image_port_takes_the_words_of_a_batch_and_no_more(
    dtype: IntType, lanes: int, beats: int, port_bits: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(beats)
    sizes = [1, 3, 1, 8, 2]
    codes_XL = rng.integers(dtype.min, dtype.max, (sum(sizes) * beats + 7, lanes), endpoint=True)
    filled = rng.integers(0, 1 << dtype.bits, codes_XL.shape) << dtype.bits  # what is above a code does not matter
    words_XL = (codes_XL & ((1 << dtype.bits) - 1) | filled) & 255
    width = lanes * dtype.bits
    units = source("image", port_bits, len(codes_XL), 3)
    parameters = {"PORT_BITS": port_bits, "CONTAINER": 8, "X_BITS": dtype.bits, "LANES": lanes, "BEATS": beats}
    links = {f"s_axis_t{s}": f"image_{s}" for s in ("data", "valid", "ready")}
    links |= {"y_data": "in", "y_valid": "arriving", "y_ready": "room", "idle": "idle"}
    units += "    wire arriving;\n    assign arrives = arriving && room, claim = arrives;\n"
    units += instance("cs_image_port", "unit", parameters, {**BATCH, **links})
    padded = np.pad(words_XL, ((0, 0), (0, port_bits // 8 - lanes)))

    for batches in simulate(units, "(idle && !valid)", width, sizes, {"image": (padded, 8)}, tmp_path / "sim"):
        at = 0
        for lines, frames in zip(batches, sizes, strict=True):
            mine = slice(at, at := at + frames * beats)
            assert words_of(lines) == [int(word, 16) for word in packed(codes_XL[mine], dtype.bits)]


@needs_iverilog
def test_result_port_numbers_frames_and_counts_exits(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = [1, 4, 1, 300, 2]
    exited_N = rng.random(sum(sizes)) < 0.5
    decisions_N = ExitDecision.pack(
        exited_N, rng.integers(0, 1 << 15, len(exited_N)), rng.integers(0, 1 << 32, len(exited_N))
    )
    units = source("x", 48, len(decisions_N), 3) + wire(32, "frames_done") + wire(32, "exits")
    # The unit has no state of a batch: between two of them nothing may come, so the bench holds decisions back.
    units += "    wire held_valid = x_valid && frames_done != 32'(frames) && frames != 0 && !start;\n"
    links = {"x_data": "x_data", "x_valid": "held_valid", "x_ready": "x_ready", "y_room": "room", "y_claim": "claim"}
    links |= {"y_valid": "arrives", "y_data": "in", "frames_done": "frames_done", "exits": "exits"}
    units += instance("cs_result_port", "unit", {}, {**BATCH, **links})
    units += '    always @(posedge aclk) if (start && !$test$plusargs("none")) $display("exits %0d", exits);\n'

    over = "(frames_done == 32'(frames) && !valid)"
    for batches in simulate(units, over, 65, sizes, {"x": (decisions_N[:, None], 48)}, tmp_path / "sim"):
        at, before = 0, None
        for lines, frames in zip(batches, sizes, strict=True):
            mine = range(at, at := at + frames)
            assert [int(line[1]) for line in lines if line[0] == "exits"] == [before or 0]
            want = [int(decisions_N[n]) | i << 48 | (i == frames - 1) << 64 for i, n in enumerate(mine)]
            assert words_of(lines) == want
            before = int(exited_N[mine.start : mine.stop].sum())
