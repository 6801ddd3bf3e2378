"""Threaded C simulation: planned FIFO depths get through with the golden codes, too shallow ones are named instead of hanging."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from graphs import lenet_branch, residual_branch

from codesign.emit.hls import compat_folder, emit_hls
from codesign.errors import VerificationError
from codesign.files import write_tree
from codesign.ir import Codes, Graph
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.plan.fifos import size_fifos
from codesign.verify import golden
from codesign.verify.builds import Build, compile_csim
from codesign.verify.csim import simulate

FRAMES = 6


def buffer_channel(dataflow: Dataflow) -> str:
    """The channel in which feature maps wait for their decision."""
    return next(p for p in dataflow.processes if p.op.port).inputs[0]


def images(graph: Graph) -> Codes:
    return np.random.default_rng(0).integers(0, 256, (FRAMES, *graph.inputs[0].type.shape))


def emitted(folder: Path, dataflow: Dataflow) -> Build:
    write_tree(emit_hls(dataflow, top="net", exit_name="exit1", device="pynq-z2", clock_mhz=100), folder)
    return compile_csim(folder, "net", threads=True, optimize="-O1")


def check(graph: Graph, folder: Path) -> float:
    """Holds a threaded run at the planned depths against the golden model; CPU seconds a frame."""
    dataflow = size_fifos(build(graph, {}))
    image = images(graph)
    codes = np.sort(
        golden.run(graph, {"image": image, "threshold": np.zeros((1, 1, 1, 1), np.int64)})["decision"].reshape(-1)
    )
    threshold = int(codes[FRAMES // 2] & 0xFFFFFFFF)
    want = golden.run(graph, {"image": image, "threshold": np.full((1, 1, 1, 1), threshold)})
    out = simulate(emitted(folder, dataflow), dataflow, image, threshold, batch=4, timeout_s=120)
    assert np.array_equal(out.decisions, want["decision"].reshape(-1))
    assert sorted(out.features) == np.flatnonzero(out.decisions >> 47 == 0).tolist()
    assert all(np.array_equal(codes, want["features"][n].reshape(-1)) for n, codes in out.features.items())
    return out.cpu_s / FRAMES


@pytest.mark.parametrize("branch", [lenet_branch, residual_branch])
def test_planned_depths_get_through(branch: Callable[[], Graph], tmp_path: Path) -> None:
    assert check(branch(), tmp_path) < 0.5, "CPU seconds a frame"


def test_a_shallow_conditional_buffer_is_named(tmp_path: Path) -> None:
    graph = lenet_branch()
    dataflow = size_fifos(build(graph, {}))
    name = buffer_channel(dataflow)
    shallow = dataflow.with_depths({name: dataflow.channel(name).beats // 2})  # the decision needs the whole frame
    program = emitted(tmp_path, shallow)
    with pytest.raises(
        VerificationError,
        match=rf"deadlock; no process can go on:(?s:.*)channel '{name}' \(depth {shallow.channel(name).depth}\) is full",
    ):
        simulate(program, shallow, images(graph), 0, timeout_s=120)


# Small networks by hand, where the least depth that gets through is known.
NETWORK = r"""
#include <cstdlib>
#include <cstring>
#include <hls_stream.h>
#define CS_PROCESS(call) cs_region.start(#call, [&] { call; })
typedef hls::stream<int> S;

const cs_depth_row cs_depth_table[] = {{"a", 2}, {"b8", 8}, {"b9", 9}, {"one", 1}, {"two", 2}, {0, 0}};

static void copy(S& x, S& y, int beats) {
    for (int i = 0; i < beats; ++i) y.write(x.read());
}
static void fork(S& x, S& y0, S& y1, int beats) {
    for (int i = 0; i < beats; ++i) {
        const int beat = x.read();
        y0.write(beat);
        y1.write(beat);
    }
}
// Answers ten beats with ten beats: what waits for the answers must hold nine, and the tenth is on its way.
static void tens(S& x, S& y, int beats) {
    for (int i = 0; i < beats; i += 10) {
        int sum = 0;
        for (int k = 0; k < 10; ++k) sum += x.read();
        for (int k = 0; k < 10; ++k) y.write(sum);
    }
}
static void join(S& x0, S& x1, S& y, int beats) {
    for (int i = 0; i < beats; ++i) y.write(x0.read() + x1.read());
}

int main(int argc, char** argv) {
    const char* which = argc > 1 ? argv[1] : "";
    const int beats = 1000;
    S in, out;
    for (int i = 0; i < beats; ++i) in.write(i);
    for (int again = 0; again < 3 && (!std::strcmp(which, "b8") || !std::strcmp(which, "b9")); ++again) {
        S a("a"), late("two"), held(which);
        {
            cs::region cs_region;
            CS_PROCESS(fork(in, a, held, beats));
            CS_PROCESS(tens(a, late, beats));
            CS_PROCESS(join(late, held, out, beats));
        }
        long sum = 0;
        for (int i = 0; i < beats; ++i) {
            sum += out.read();
            in.write(i);
        }
        if (sum != 999L * 1000 / 2 * 11) return 1;
    }
    if (!std::strcmp(which, "chain")) {
        S one("one"), two("two");
        cs::region cs_region;
        CS_PROCESS(copy(in, one, beats));
        CS_PROCESS(copy(one, two, beats));
        CS_PROCESS(copy(two, out, beats));
    }
    if (!std::strcmp(which, "ended")) {  // the writer ends ten beats before the reader
        S one("one");
        cs::region cs_region;
        CS_PROCESS(copy(in, one, beats - 10));
        CS_PROCESS(copy(one, out, beats));
    }
    if (!std::strcmp(which, "port")) {
        S one("one");
        cs::region cs_region;
        CS_PROCESS(copy(in, one, beats + 1));
        CS_PROCESS(copy(one, out, beats + 1));
    }
    if (!std::strcmp(which, "readers")) {
        S one("one"), two("two");
        cs::region cs_region;
        CS_PROCESS(copy(one, out, beats));
        CS_PROCESS(copy(one, two, beats));
    }
    if (!std::strcmp(which, "outside")) S("two").read();
    return 0;
}
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    (folder / "network.cpp").write_text(NETWORK)
    command = [
        "g++",
        "-std=c++11",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-DCS_THREADS",
        f"-I{compat_folder()}",
        "network.cpp",
        "-o",
        "network",
    ]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "network"


@pytest.mark.parametrize("case", ["chain", "b9"])
def test_no_alarm_where_all_get_through(network: Path, case: str) -> None:
    done = subprocess.run([network, case], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


CASES = {
    "b8": (4, "channel 'b8' (depth 8) is full", "channel 'a' (depth 2) is empty", "channel 'two' (depth 2) is empty"),
    "ended": (4, "no process can go on", "copy waits: channel 'one' (depth 1) is empty"),
    "port": (4, "copy waits: port 'stream' is empty"),
    "readers": (3, "channel 'one' has more than one reader or writer"),
    "outside": (3, "channel 'two' is read while it is empty"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_go_on_is_named(network: Path, case: str) -> None:
    status, *words = CASES[case]
    done = subprocess.run([network, case], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert [w for w in words if w not in done.stderr] == []


def test_the_same_report_every_time(network: Path) -> None:
    reports = {subprocess.run([network, "b8"], capture_output=True, text=True, timeout=60).stderr for _ in range(5)}
    assert len(reports) == 1
