"""Law: a compiled tail and numpy's give the golden model's integers, each worker with its own, several at a time."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import numpy as np
import pytest
from graphs import S16, U8, Sketch
from strategies import random_tensor

from codesign.errors import GraphError, ToolError
from codesign.ir import Codes, Graph, GraphInput, TensorType
from codesign.ir.graph import ExitPoint
from codesign.passes.split import split
from codesign.runtime import tail_library
from codesign.runtime.tails import CppTail, NumpyTail, cpp_tails, numpy_tails, tails
from codesign.verify import golden


def network() -> Graph:
    """Three exits: after a convolution, after another, and at the end."""
    net = Sketch("net", TensorType((10, 9, 2), U8, 2.0**-8), seed=7)
    stem = net.max_pool("stem.pool", net.conv("stem", "image", 6, 3, pad=1), 2)
    first = net.dense("first", net.flatten("first.flat", stem), 5, S16)
    middle = net.conv("middle", stem, 8, 3, pad=1)
    second = net.dense("second", net.flatten("second.flat", middle), 5, S16)
    last = net.dense("last", net.flatten("last.flat", net.conv("deep", middle, 12, 3)), 5, S16)
    points = (ExitPoint("a", first), ExitPoint("b", second), ExitPoint("c", last))
    return Graph("net", (GraphInput("image", net.image),), tuple(net.nodes), (first, second, last), points)


TAIL = split(network(), "a").tail


def features(frames: int, seed: int = 0) -> Codes:
    return random_tensor(np.random.default_rng(seed), TAIL.inputs[0].type, frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tails")


def make(folder: Path, *outputs: str) -> CppTail:
    return cpp_tails(TAIL, outputs, folder=folder, optimize=["-O1", "-march=native"])()


@pytest.mark.parametrize("frames", [0, 1, 7, 8, 9, 64])
def test_both_give_the_final_exits_golden_logits(folder: Path, frames: int) -> None:
    x = features(frames)
    want = golden.run(TAIL, {"feature": x})[TAIL.exits[-1].logits].reshape(frames, 5)
    for tail in (make(folder), NumpyTail(TAIL)):
        got = tail.run(x)
        assert (got.shape, got.dtype) == ((frames, 5), np.dtype(np.int64))
        assert np.array_equal(got, want)


def test_values_are_every_exits_logits_or_those_asked_for(folder: Path) -> None:
    x = features(11)
    want = golden.run(TAIL, {"feature": x}, keep=["second.requantize", "middle.requantize", "last.requantize"])
    for tail in (make(folder), NumpyTail(TAIL)):
        assert tail.values(x).keys() == {"second.requantize", "last.requantize"}
    outputs = ("middle.requantize", "second.requantize")
    for tail in (make(folder, *outputs), NumpyTail(TAIL, outputs)):
        got = tail.values(x)
        assert tuple(got) == outputs
        assert all(np.array_equal(got[name], want[name]) for name in outputs)
        assert np.array_equal(tail.run(x), want["second.requantize"].reshape(11, -1))


def test_any_integer_array_will_do(folder: Path) -> None:
    tail, x = make(folder), features(9)
    want = tail.run(x)
    apart = np.repeat(x, 2, axis=0)[::2]
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (x.astype(np.uint8), x.astype(np.int32), np.asfortranarray(x), apart, frozen):
        assert np.array_equal(tail.run(same), want)


def test_a_result_stays_when_the_next_one_comes(folder: Path) -> None:
    tail = make(folder)
    first, x = tail.run(features(3, 1)), features(3, 1)
    tail.run(features(3, 2))
    assert np.array_equal(first, tail.run(x))


def test_workers_run_at_the_same_time_without_disturbing_each_other(folder: Path) -> None:
    factory = cpp_tails(TAIL, folder=folder, optimize=["-O1", "-march=native"])
    batches = [features(40, seed) for seed in range(4)]
    want = [NumpyTail(TAIL).run(batch) for batch in batches]
    wrong: list[int] = []

    def work(number: int) -> None:
        with factory() as tail:
            wrong.extend(number for _ in range(50) if not np.array_equal(tail.run(batches[number]), want[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("bad", [-1, 256])
@pytest.mark.parametrize("frame", [0, 7, 10])
def test_a_code_outside_its_type_is_named_by_frame(folder: Path, bad: int, frame: int) -> None:
    tail, x = make(folder), features(11)
    x[frame, 2, 1, 3] = bad
    with pytest.raises(GraphError, match=rf"frame {frame} has a code that is not in 0\.\.255"):
        tail.run(x)
    assert np.array_equal(tail.run(features(2)), NumpyTail(TAIL).run(features(2)))


def test_wrong_arrays_are_refused(folder: Path) -> None:
    tail = make(folder)
    for wrong in (features(2)[:, :3], features(2).astype(np.float64), features(2)[0]):
        with pytest.raises(GraphError, match="takes integer codes"):
            tail.run(wrong)


def test_a_closed_tail_says_so(folder: Path) -> None:
    tail = make(folder)
    tail.close()
    tail.close()
    with pytest.raises(GraphError, match="is closed"):
        tail.run(features(1))


def test_without_a_compiler_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError):
        cpp_tails(TAIL)
    tail = tails(TAIL)()
    assert isinstance(tail, NumpyTail)
    assert np.array_equal(tail.run(features(2)), numpy_tails(TAIL)().run(features(2)))


def test_the_loader_goes_to_boards() -> None:
    """Python 3.8, and nothing but the standard library, numpy, and the module of errors."""
    source = Path(tail_library.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {"__future__", "ctypes", "json", "math", "pathlib", "typing", "numpy", "numpy.typing", "codesign.errors"}
    assert modules == ours
