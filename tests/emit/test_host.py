"""Law: golden == host C++ for any network, on every machine's inner loops; and what the emitted text promises."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from graphs import S16, U8, Sketch
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_codes, random_graph, random_tensor

from codesign.emit.host import LANES, emit_check, emit_host, interface, pack
from codesign.emit.host_layers import lower
from codesign.errors import GraphError
from codesign.files import write_tree
from codesign.ir import Codes, Constant, Graph, GraphInput, IntType, Node, TensorType
from codesign.ir.graph import ExitPoint
from codesign.ops import OPS, Example
from codesign.ops.add import Add
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.runtime.tail_library import CppTail, Library
from codesign.verify import golden
from codesign.verify.host_builds import compile_host

FRAMES = 11  # more than a block, and no multiple of one
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow"]
CLANG = next((name for name in ("clang++", "clang++-14", "clang++-15", "clang++-16") if shutil.which(name)), "")
FLAGS = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "").split()
MACHINES = {
    "native": [],
    "haswell": ["avx2", "fma"],
    "alderlake": ["avx_vnni"],
    "x86-64": ["sse2"],
}  # -march, its needs
S8 = IntType(8)


def machine(name: str) -> list[str]:
    """The flags that compile for a machine; skips where this one cannot run that."""
    for need in MACHINES[name]:
        if need not in FLAGS:
            pytest.skip(f"needs a processor with {need}")
    return [f"-march={name}"]


def compiled(graphs: Sequence[Graph], folder: Path, flags: Iterable[str], cxx: str = "g++") -> list[CppTail]:
    """A tail of every graph, all from one source."""
    text = "\n".join(emit_host(graph, name=graph.name)[f"{graph.name}.cpp"] for graph in graphs)
    library = compile_host({"all.cpp": text}, folder=folder, cxx=cxx, optimize=[*flags])
    return [CppTail(Library(library, interface(graph, graph.name).to_json())) for graph in graphs]


def differing(graphs: Sequence[Graph], folder: Path, flags: Iterable[str] = ("-O1",), cxx: str = "g++") -> list[str]:
    """The outputs that are not the golden model's, on several frames and then on one."""
    found: list[str] = []
    for graph, tail in zip(graphs, compiled(graphs, folder, flags, cxx), strict=True):
        x = random_codes(graph, FRAMES, seed=1)[graph.inputs[0].name]
        want = golden.run(graph, {graph.inputs[0].name: x})
        for frames in (FRAMES, 1):
            got = tail.values(x[:frames])
            assert got.keys() == want.keys()
            found += [f"{graph.name}.{name}" for name in want if not np.array_equal(got[name], want[name][:frames])]
    return found


@pytest.mark.parametrize("march", MACHINES)
def test_random_networks_are_bit_exact(march: str, tmp_path: Path) -> None:
    graphs = [random_graph(seed, max_layers=5) for seed in range(8)]
    assert differing(graphs, tmp_path, ["-O1", *machine(march)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 220, 20))
@pytest.mark.parametrize("march", MACHINES)
def test_many_random_networks_are_bit_exact(march: str, start: int, tmp_path: Path) -> None:
    graphs = [random_graph(seed, max_layers=6) for seed in range(start, start + 20)]
    assert differing(graphs, tmp_path, ["-O2", *machine(march)]) == []


@pytest.mark.slow
def test_optimized_networks_are_bit_exact(tmp_path: Path) -> None:
    graphs = [random_graph(seed, max_layers=5) for seed in range(300, 330)]
    assert differing(graphs, tmp_path / "g++", ["-O3", "-march=native"]) == []
    if CLANG:
        assert differing(graphs, tmp_path / "clang++", ["-O3", "-march=native"], CLANG) == []


def test_no_sum_overflows(tmp_path: Path) -> None:
    """The undefined-behaviour sanitizer ends the program at the first signed overflow."""
    graphs = [random_graph(seed, max_layers=5) for seed in range(40, 43)]
    flags = ["-O1", "-march=native", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-static-libubsan"]
    assert differing(graphs, tmp_path, flags) == []


def one_op(name: str, number: int, example: Example) -> Graph:
    inputs = (GraphInput("x", example.inputs[0]),)
    return Graph(f"{name}_{number}", inputs, (Node("y", example.op, ("x",)),), ("y",))


def test_every_op_by_itself_is_bit_exact(tmp_path: Path) -> None:
    """Corners too: windows that nothing looks through, pools of written-out windows, 64-bit sums."""
    graphs = [
        one_op(name, number, example)
        for name, op in OPS.items()
        if name not in ("add", "conditional_buffer", "exit_decision", "fork", "width_converter")
        for number, example in enumerate(op.examples())
    ]
    assert len(graphs) > 30
    assert differing(graphs, tmp_path) == []


def signed_two_fills() -> Graph:
    """A map whose readers see zeros, and the least code, over its edge; and itself."""
    net = Sketch("fills", TensorType((6, 5, 3), S8, 1.0))
    pooled = net.add(
        "pool.max", MaxPool(9), net.add("pool.window", SlidingWindow((3, 3), (2, 2), (1,) * 4, -128), "image")
    )
    conv = net.conv("conv", "image", 5, 3, stride=2, pad=1)
    deep = net.conv("deep", net.add("deep.pad", Pad((2, 0, 1, 3)), "image"), 4, 3, pad=1)
    return Graph("fills", (GraphInput("image", net.image),), tuple(net.nodes), (pooled, conv, deep, "image"))


def residual() -> Graph:
    """Both sides of an add read elsewhere, then a mean, and logits that are bare sums."""
    net = Sketch("residual", TensorType((5, 4, 8), U8, 2.0**-4), seed=3)
    a = net.conv("a", "image", 8, 3, pad=1)
    b = net.depthwise("b", a, 3, pad=1)
    joined = net.requantize("join", net.add("join.add", Add(), a, b), shift=13)
    mean = net.requantize("mean", net.add("mean.sum", GlobalSum(), joined))
    rng = np.random.default_rng(1)
    logits = net.add("logits", MatrixVector(Constant.of(rng.integers(-9, 9, (7, 8)), IntType(5))), mean)
    return Graph("residual", (GraphInput("image", net.image),), tuple(net.nodes), (logits, joined, "image"))


def turned_over() -> Graph:
    """A negative multiplier turns the order of sums round, so the pool must wait for the rounding."""
    net = Sketch("turned", TensorType((6, 6, 2), U8, 1.0), seed=4)
    acc = net.add(
        "conv",
        MatrixVector(Constant.of(net.rng.integers(-9, 9, (3, 18)), IntType(5))),
        net.window("w", "image", 3, pad=1),
    )
    rounding = Requantize(Constant.of([3, -2, 1]), Constant.of([5, 40, -7]), 3, U8)
    pooled = net.max_pool("pool", net.add("round", rounding, acc), 2)
    return Graph("turned", (GraphInput("image", net.image),), tuple(net.nodes), (pooled,))


def odd_shapes() -> list[Graph]:
    """Sizes around 16 lanes and 4 taps; pools that leave rows over; a dense layer on a bordered map."""
    graphs: list[Graph] = []
    for outputs in (1, 15, 16, 17, 33, 70):
        net = Sketch(f"outputs_{outputs}", TensorType((7, 9, 3), U8, 1.0), seed=outputs)
        conv = net.conv("conv", "image", outputs, 3)
        pooled = net.max_pool("pool", conv, 3)
        again = net.conv("again", pooled, 4, 3, pad=1)
        flat = net.dense("dense", net.flatten("flat", pooled), outputs, S16)
        graphs.append(Graph(net.name, (GraphInput("image", net.image),), tuple(net.nodes), (conv, again, flat)))
    return graphs


def test_hand_written_networks_are_bit_exact(tmp_path: Path) -> None:
    graphs = [signed_two_fills(), residual(), turned_over(), *odd_shapes()]
    assert differing(graphs, tmp_path / "g++", ["-O1", "-march=native"]) == []
    if CLANG:
        assert differing(graphs, tmp_path / "clang++", ["-O1", "-march=native"], CLANG) == []


def test_a_layer_takes_in_windows_rounding_and_pool() -> None:
    net = Sketch("lenet", TensorType((14, 14, 6), U8, 1.0))
    conv = net.max_pool("pool", net.conv("conv", "image", 16, 5), 2)
    logits = net.dense("dense", net.flatten("flat", conv), 10, S16)
    graph = Graph("lenet", (GraphInput("image", net.image),), tuple(net.nodes), (logits,))

    layers = lower(graph, (logits,)).layers

    assert [layer.nodes for layer in layers] == [
        ("conv.mac", "conv.requantize", "pool.max"),
        ("dense.mac", "dense.requantize"),
    ]


def test_a_pool_is_not_taken_in_where_rounding_turns_the_order_round() -> None:
    graph = turned_over()
    assert [layer.kind for layer in lower(graph, graph.outputs).layers] == ["matrix", "max_pool"]


def test_an_inner_value_that_comes_out_is_not_lost_in_a_layer(tmp_path: Path) -> None:
    net = Sketch("inner", TensorType((6, 6, 2), U8, 1.0))
    conv = net.conv("conv", "image", 4, 3)
    pooled = net.max_pool("pool", conv, 2)
    graph = Graph("inner", (GraphInput("image", net.image),), tuple(net.nodes), (pooled, conv, "conv.mac"))
    assert differing([graph], tmp_path) == []


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 9), st.sampled_from([1, 2, 4]))
def test_packed_weights_are_the_same_matrix(outputs: int, rows: int, run: int, taps: int) -> None:
    """The sum over groups of 16 x taps weights is the matrix's own, whatever codes lie behind a row's end."""
    rng = np.random.default_rng(outputs)
    weights, x = rng.integers(-8, 8, (outputs, rows, run)), rng.integers(0, 9, (rows, run))
    groups = -(-run // taps)
    padded = np.pad(x, ((0, 0), (0, groups * taps - run)), constant_values=77)

    tiles = pack(weights, taps).reshape(-1, rows, groups, LANES, taps)
    sums = np.einsum("vrglt,rgt->vl", tiles, padded.reshape(rows, groups, taps)).reshape(-1)

    assert np.array_equal(sums[:outputs], np.einsum("ork,rk->o", weights, x))
    assert not sums[outputs:].any()


_slow = [
    pytest.param(flags, marks=pytest.mark.slow) for flags in ("-O0", "-O3", "-O3 -march=haswell", "-O2 -march=x86-64")
]


@pytest.mark.parametrize("flags", ["-O1 -march=native", *_slow])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_no_compiler_warns(compiler: str, flags: str, tmp_path: Path) -> None:
    if compiler == "clang++":
        if not CLANG:
            pytest.skip("needs clang++")
        compiler = CLANG
    graphs = (signed_two_fills(), residual(), odd_shapes()[3], random_graph(8))
    source = "\n".join(emit_host(graph, name=graph.name)[f"{graph.name}.cpp"] for graph in graphs)
    (tmp_path / "all.cpp").write_text(source)
    command = [compiler, "-std=c++11", *flags.split(), *WARNINGS, "-c", "all.cpp", "-o", "all.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def checked(folder: Path) -> Codes:
    """Emits a network with its check program into a folder."""
    graph = residual()
    x = random_tensor(np.random.default_rng(2), graph.inputs[0].type, 8)
    face = interface(graph, graph.name)
    write_tree({**emit_host(graph, name=graph.name), **emit_check(face, x, golden.run(graph, {"image": x}))}, folder)
    return x


def test_the_emitted_makefile_proves_the_library(tmp_path: Path) -> None:
    if not shutil.which("make"):
        pytest.skip("needs make")
    x = checked(tmp_path)
    done = subprocess.run(["make", "check", "all", "CXXFLAGS=-O1"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 wrong codes in 8 frames" in done.stdout and "PASS" in done.stdout
    with CppTail(Library.load(tmp_path)) as tail:
        want = golden.run(residual(), {"image": x})
        assert all(np.array_equal(codes, want[name]) for name, codes in tail.values(x).items())


def test_a_wrong_answer_fails_the_check(tmp_path: Path) -> None:
    checked(tmp_path)
    source = tmp_path / "residual.cpp"
    source.write_text(source.read_text().replace("return smaller(larger(", "return 1 + smaller(larger("))
    done = subprocess.run(["make", "check", "CXXFLAGS=-O1"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "FAIL" in done.stdout


ARM = {
    "arm": ("arm-linux-gnueabihf-g++", "-O2 -mcpu=cortex-a9 -mfpu=neon", "qemu-arm -L /usr/arm-linux-gnueabihf"),
    "aarch64": ("aarch64-linux-gnu-g++", "-O2 -mcpu=cortex-a53", "qemu-aarch64 -L /usr/aarch64-linux-gnu"),
}


@pytest.mark.parametrize("name", ARM)
def test_boards_compute_the_same(name: str, tmp_path: Path) -> None:
    compiler, flags, run = ARM[name]
    if not shutil.which(compiler) or not shutil.which(run.split()[0]):
        pytest.skip(f"needs {compiler} and {run.split()[0]}")
    checked(tmp_path)
    command = ["make", "check", f"CXX={compiler}", f"CXXFLAGS={flags}", f"RUN={run}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PASS" in done.stdout


def test_outputs_are_the_graphs_and_every_exits_logits() -> None:
    net = Sketch("exits", TensorType((4, 4, 2), U8, 1.0))
    first = net.dense("first", net.flatten("flat1", "image"), 3, S16)
    last = net.dense("last", net.flatten("flat2", "image"), 3, S16)
    points = (ExitPoint("a", first), ExitPoint("b", last))
    graph = Graph("exits", (GraphInput("image", net.image),), tuple(net.nodes), (last,), points)

    assert tuple(interface(graph, "exits").outputs) == (last, first)
    assert tuple(interface(graph, "exits", [first]).outputs) == (first,)


def test_the_interface_of_wide_codes_is_wide(tmp_path: Path) -> None:
    wide = TensorType((1, 2, 3), IntType(20), 1.0)
    weights = Constant.of(np.full((2, 3), -(2**15)), IntType(16))
    graph = Graph("wide", (GraphInput("x", wide),), (Node("y", MatrixVector(weights), ("x",)),), ("y",))
    header = emit_host(graph, name="wide")["wide.h"]
    assert "const int32_t* input, int frames, int64_t* output" in header
    assert differing([graph], tmp_path) == []


def test_a_decision_is_not_for_the_host() -> None:
    net = Sketch("head", TensorType((4, 4, 2), U8, 1.0))
    graph = net.branch("image", net.dense("logits", net.flatten("flat", "image"), 3, S16))
    with pytest.raises(GraphError, match="need stream image and register threshold"):
        emit_host(graph, name="head")
    logits = emit_host(graph, name="head", outputs=["logits.requantize"])["head.cpp"]
    assert "decision" not in logits
