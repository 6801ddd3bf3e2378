"""One emitted design under every compiler, standard and type system: not a warning from our code, and the same bytes out."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from graphs import depthwise_branch

from codesign.emit.hls import compat_folder, emit_hls
from codesign.emit.project import emit_project
from codesign.emit.testbench import emit_testbench
from codesign.errors import ToolError
from codesign.files import write_tree
from codesign.plan.build import build
from codesign.plan.fifos import size_fifos
from codesign.plan.ports import feature_word, image_word
from codesign.verify import golden
from codesign.verify.csim import unpack_features
from codesign.verify.packets import pack_image
from codesign.verify.tools import vendor_headers

FRAMES = 12
# long long is no C++98, but every compiler of a tool has it.
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wno-long-long", "-Wno-unknown-pragmas"]
CLANG = next((name for name in ("clang++", "clang++-14", "clang++-15", "clang++-16") if shutil.which(name)), "")
COMPILERS = ["g++", "clang++"]
STANDARDS = ["gnu++98", "c++11", "c++14"]


@dataclass(frozen=True)
class Bench:
    """An emitted folder with its image file, and the bytes that must come out."""

    folder: Path
    threshold: int
    results: bytes
    features: bytes

    def run(self, compiler: str, standard: str, types: list[str], optimize: str = "-O0") -> bool:
        """Whether another program, compiled without a word, writes the same bytes."""
        compile_design(self.folder, compiler, standard, types, optimize)
        return outputs(self.folder, self.threshold) == (self.results, self.features)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("compilers")
    graph = depthwise_branch()
    dataflow = size_fifos(build(graph, {}))
    image = np.random.default_rng(3).integers(0, 256, (FRAMES, *graph.inputs[0].type.shape))
    codes = golden.run(graph, {"image": image, "threshold": np.zeros((1, 1, 1, 1), np.int64)})["decision"] & 0xFFFFFFFF
    threshold = int(np.unique(codes)[1])  # the surest frames exit
    want = golden.run(graph, {"image": image, "threshold": np.full((1, 1, 1, 1), threshold)})
    tested = emit_testbench(
        dataflow, top="net", image=image, decisions=want["decision"], features=want["features"], threshold=threshold
    )
    sources = emit_hls(dataflow, top="net", exit_name="exit1", device="pynq-z2", clock_mhz=100)
    write_tree({**sources, **tested, **emit_project(top="net", part="xc7z020clg400-1", clock_mhz=100)}, folder)
    (folder / "images").write_bytes(pack_image(image, image_word(dataflow)))
    # One program is held against the golden model, the others against it.
    compile_design(folder, "g++", "gnu++98", ["-DCS_NATIVE"])
    results, features = outputs(folder, threshold)
    decisions = np.frombuffer(results, "<u8").astype(np.int64) & (1 << 48) - 1
    assert np.array_equal(decisions, want["decision"].reshape(-1))
    maps = unpack_features(features, repeat(feature_word(dataflow)))
    going_on = np.flatnonzero(decisions >> 47 == 0)
    assert 0 < len(going_on) < FRAMES
    assert list(maps) == going_on.tolist()
    assert all(np.array_equal(maps[n], want["features"][n].reshape(-1)) for n in maps)
    return Bench(folder, threshold, results, features)


def compile_design(
    folder: Path, compiler: str, standard: str, types: list[str], optimize: str = "-O0", main: str = "csim/csim.cpp"
) -> None:
    if compiler == "clang++":
        if not CLANG:
            pytest.skip("needs clang++")
        compiler = CLANG
    command = [
        compiler,
        f"-std={standard}",
        optimize,
        *WARNINGS,
        *types,
        "-Isrc",
        f"-I{compat_folder()}",
        main,
        "src/net.cpp",
        "-o",
        "program",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def outputs(folder: Path, threshold: int) -> tuple[bytes, bytes]:
    """What the compiled program writes: result words and feature maps."""
    subprocess.run(
        ["./program", "images", "out", str(FRAMES), "5", str(threshold)], cwd=folder, check=True, capture_output=True
    )
    return (folder / "out.results").read_bytes(), (folder / "out.features").read_bytes()


def vendor(*more: str) -> list[str]:
    try:
        return ["-isystem", str(vendor_headers().path), *more]
    except ToolError:
        pytest.skip("needs the ap_int headers of hls4ml, Vivado or Vitis")


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_native(bench: Bench, compiler: str, standard: str) -> None:
    assert bench.run(compiler, standard, ["-DCS_NATIVE"])


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["-O2", "-O3"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_optimized(bench: Bench, compiler: str, optimize: str) -> None:
    assert bench.run(compiler, "gnu++98", ["-DCS_NATIVE", "-DCS_TRACE"], optimize)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True], ids=["vendor", "packed"])
@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_vendor_types(bench: Bench, compiler: str, standard: str, packed: bool) -> None:
    flags = vendor("-DCS_PACKED") if packed else vendor()
    assert bench.run(compiler, standard, flags)


@pytest.mark.slow
@pytest.mark.parametrize("standard", ["c++11", "c++14"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_threads(bench: Bench, compiler: str, standard: str) -> None:
    assert bench.run(compiler, standard, ["-DCS_NATIVE", "-DCS_THREADS"])


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True], ids=["vendor", "packed"])
def test_testbench_with_vendor_types(bench: Bench, packed: bool) -> None:
    flags = vendor("-DCS_PACKED") if packed else vendor()
    compile_design(bench.folder, "g++", "c++11", flags, main="tb/net_tb.cpp")
    assert b"PASS: " in subprocess.run(["./program"], cwd=bench.folder, check=True, capture_output=True).stdout


def test_the_emitted_makefile(bench: Bench) -> None:
    if not shutil.which("make"):
        pytest.skip("needs make")
    done = subprocess.run(
        ["make", "csim", "CXXFLAGS=-O0", "FRAMES=2"], cwd=bench.folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "PASS: " in done.stdout
