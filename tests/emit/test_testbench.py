"""The self-checking testbench: it passes on a right design, and returns non-zero with the reason on any difference."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from graphs import depthwise_branch

from codesign.emit.hls import compat_folder, emit_hls
from codesign.emit.testbench import emit_testbench
from codesign.files import write_tree
from codesign.ir import Codes
from codesign.ops.exit_decision import ExitDecision
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.verify import golden

FRAMES = 4
THRESHOLD = 300000


def make(threshold: int = THRESHOLD) -> tuple[dict[str, str], Dataflow]:
    """An emitted folder and its golden data."""
    graph = depthwise_branch()
    dataflow = build(graph, {})
    image: Codes = np.random.default_rng(0).integers(0, 256, (FRAMES, *graph.inputs[0].type.shape))
    want = golden.run(graph, {"image": image, "threshold": np.full((1, 1, 1, 1), threshold)})
    sources = emit_hls(dataflow, top="net", exit_name="exit1", device="pynq-z2", clock_mhz=100)
    tested = emit_testbench(
        dataflow, top="net", image=image, decisions=want["decision"], features=want["features"], threshold=threshold
    )
    return {**sources, **tested}, dataflow


def compile_tb(folder: Path, *flags: str) -> None:
    command = [
        "g++",
        "-std=gnu++98",
        "-O0",
        "-DCS_NATIVE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
        *flags,
    ]
    subprocess.run(
        [*command, f"-I{compat_folder()}", "tb/net_tb.cpp", "src/net.cpp", "-o", "test"], cwd=folder, check=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tb")
    write_tree(make()[0], path)
    compile_tb(path)
    return path


def run(folder: Path, *words: str, cwd: str = "") -> tuple[int, str]:
    done = subprocess.run([folder / "test", *words], cwd=folder / cwd, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def rows(folder: Path, name: str) -> list[list[int]]:
    lines = (folder / "tb" / name).read_text().splitlines()
    return [[int(word) for word in line.split()] for line in lines if not line.startswith("#")]


def test_passes_with_frames_that_exit_and_frames_that_go_on(folder: Path) -> None:
    status, text = run(folder)
    batches, results = rows(folder, "batches.dat"), rows(folder, "results.dat")

    assert status == 0, text
    assert [count for _, count, _ in batches][-2:] == [1, 1], "the last two batches are of a single frame"
    assert {exited for _, _, exited, _ in results} == {0, 1}
    assert f"PASS: {sum(count for _, count, _ in batches)} frames" in text


def test_frames_can_be_limited(folder: Path) -> None:
    status, text = run(folder, "2")
    assert (status, "batch 0: 2 frames at" in text) == (0, True), text


@pytest.mark.parametrize("cwd", ["src", "tb", "prj/solution1/csim/build"])
def test_finds_its_data_where_tools_put_it(folder: Path, cwd: str) -> None:
    (folder / cwd).mkdir(parents=True, exist_ok=True)
    if cwd == "src":
        assert run(folder, "0", "../tb", cwd=cwd)[0] == 0
        status, text = run(folder, cwd=cwd)
        assert (status, "batches.dat: no such file" in text) == (2, True)
    else:
        assert run(folder, cwd=cwd)[0] == 0


DATA_FAULTS = {
    "class": ("results.dat", 1, 1, "class: want"),
    "confidence": ("results.dat", 1, 3, "confidence: want"),
    "exited": ("results.dat", 1, 2, "exited: want"),
    "image": ("frames.dat", 0, 0, "differences"),
    "map": ("features.dat", -1, -1, "feature map at row"),
}


@pytest.fixture
def data(folder: Path, tmp_path: Path) -> Path:
    """A copy of the data files."""
    for path in (folder / "tb").glob("*.dat"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("fault", DATA_FAULTS)
def test_any_difference_fails(folder: Path, data: Path, fault: str) -> None:
    name, row, column, words = DATA_FAULTS[fault]
    lines = [line for line in (data / name).read_text().splitlines() if not line.startswith("#")]
    codes = lines[row].split()
    codes[column] = str(int(codes[column]) ^ (255 if fault == "image" else 1))
    lines[row] = " ".join(codes)
    if fault == "image":
        lines = [" ".join(str(255 - int(code)) for code in line.split()) for line in lines]
    (data / name).write_text("\n".join(lines))
    status, text = run(folder, "0", str(data))
    assert (status, "FAIL" in text, words in text) == (1, True, True), text
    assert text.count("DIFFERENT") <= 10


UNUSABLE = {
    "a word": ("frames.dat", "1 2 x 4", "frames.dat: not an integer: x"),
    "empty": ("frames.dat", "# nothing", "frames.dat: not a whole number of frames"),
    "short": ("features.dat", "1 2 3", "features.dat: not one map for every frame"),
    "batches": ("batches.dat", "0 1", "batches.dat: not three integers"),
    "no frames": ("batches.dat", "3 9 5", "batches.dat: a batch of frames that are not there"),
    "no results": ("results.dat", "0 1 0 5", "results.dat: not one result for every frame"),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_unusable_data_is_named(folder: Path, data: Path, fault: str) -> None:
    name, text, words = UNUSABLE[fault]
    (data / name).write_text(text)
    status, said = run(folder, "0", str(data))
    assert (status, words in said) == (2, True), said


def test_data_may_be_hexadecimal(folder: Path, data: Path) -> None:
    path = data / "frames.dat"
    lines = [
        line if line.startswith("#") else " ".join(hex(int(code)) for code in line.split())
        for line in path.read_text().splitlines()
    ]
    path.write_text("\r\n".join(lines))
    assert run(folder, "0", str(data))[0] == 0


PORTS = "src/cs_ports.h"
DESIGN_FAULTS = {
    "result TLAST": (
        PORTS,
        "word.last = frame == frames - 1;",
        "word.last = true;",
        "TLAST of its result: want 0, got 1",
    ),
    "trailer TLAST": (PORTS, "word.last = trailer;", "word.last = false;", "TLAST of the trailer: want 1, got 0"),
    "map TLAST": (
        PORTS,
        "if (!exited) port.write(word);",
        "word.last = true; if (!exited) port.write(word);",
        "TLAST inside the feature map",
    ),
    "frame number": (
        PORTS,
        "axis_set_at<16>(word, 48, frame);",
        "axis_set_at<16>(word, 48, frame + 1);",
        "frame number: want 0, got 1",
    ),
    "counters": (PORTS, "*exits = count;", "*exits = count + 1;", "exits: want"),
    "frames done": (PORTS, "*frames_done = frames;", "*frames_done = 0;", "frames_done: want"),
    "left over": (
        PORTS,
        "*exits = count;",
        "*exits = count; WORD extra; axis_clear(extra); port.write(extra);",
        "m_axis_result: 1 beats are left over",
    ),
    "all maps": (PORTS, "if (!exited) port.write(word);", "port.write(word);", "beats are left over"),
    "no trailer": (
        PORTS,
        "if (trailer || !exited) port.write(word);",
        "if (!trailer && !exited) port.write(word);",
        "m_axis_feature: the stream ends before the trailer",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", DESIGN_FAULTS)
def test_a_broken_design_fails(tmp_path: Path, fault: str) -> None:
    path, old, new, words = DESIGN_FAULTS[fault]
    sources, _ = make()
    assert old in sources[path]
    write_tree({**sources, path: sources[path].replace(old, new)}, tmp_path)
    compile_tb(tmp_path)
    status, text = run(tmp_path)
    assert (status, words in text) == (1, True), text


@pytest.mark.parametrize("threshold", [0, 2**32 - 1, THRESHOLD])
def test_batches_part_the_frames_at_any_threshold(threshold: int) -> None:
    files, dataflow = make(threshold)
    op = next(p.op for p in dataflow.processes if isinstance(p.op, ExitDecision))
    lines = [[int(w) for w in line.split()] for line in files["tb/results.dat"].splitlines()[1:]]
    batches = [[int(w) for w in line.split()] for line in files["tb/batches.dat"].splitlines()[1:]]
    mixed = 0
    for _, count, limit in batches:
        batch, lines = lines[:count], lines[count:]
        assert [bool(row[2]) for row in batch] == op.decide(np.array([row[3] for row in batch]), limit).tolist()
        mixed += {row[2] for row in batch} == {0, 1}
    assert batches[0] == [0, FRAMES, threshold]
    assert mixed
    assert not lines
