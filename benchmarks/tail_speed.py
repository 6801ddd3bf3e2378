"""Speed of the host C++ beside torch eager and ONNX Runtime, one thread each: the layers behind the split, and the whole network.

    .venv/bin/python benchmarks/tail_speed.py RUN [--json] [--repeat N]

RUN is a run folder or a config. Calls are timed from Python as a user makes them, arrays in and arrays out, and take turns,
so that a busy machine disturbs all alike; the fastest counts. Ends with status 1 when a promise (FLOORS) is not kept.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from codesign import console
from codesign.emit.host import library_text
from codesign.flow.cascade import split_for
from codesign.flow.experiment import Experiment, open_experiment
from codesign.flow.quantize import need_graph
from codesign.flow.tail import feature_of
from codesign.ir.graph import Graph
from codesign.ir.store import load_graph
from codesign.nn.quantize import load_quantized
from codesign.nn.tail import FloatTail
from codesign.ops import OPS
from codesign.runtime.tails import cpp_tails
from codesign.verify.host_builds import compile_host

BATCHES = (1, 64)
# What the project promises of the LeNet tail, one frame a call: times as fast as torch eager, and as ONNX Runtime.
FLOORS = {"torch": 10.0, "onnxruntime": 1.0}
CALL_S = 0.02  # of calls in a row between two turns

PEAK = """
typedef cs::Bytes Unit;
// The inner loop of a convolution over codes and weights that stay in the first cache, and nothing else.
extern "C" long peak(int rounds, const unsigned char* x, const signed char* w, int* y) {
    static const int V = Unit::TILE >= 24 ? 4 : 1, P = Unit::TILE / V, GROUPS = 32;
    Unit::Sums acc[V][P];
    for (int v = 0; v < V; ++v)
        for (int p = 0; p < P; ++p) Unit::clear(acc[v][p]);
    for (int i = 0; i < rounds; ++i)
        for (int group = 0; group < GROUPS; ++group) {
            Unit::Codes codes[P];
            CS_UNROLL
            for (int p = 0; p < P; ++p) Unit::splat(codes[p], x + p * 256 + group * Unit::TAPS);
            CS_UNROLL
            for (int v = 0; v < V; ++v) Unit::add<P>(acc[v], codes, w + (group * V + v) * 16 * Unit::TAPS);
        }
    for (int v = 0; v < V; ++v)
        for (int p = 0; p < P; ++p) Unit::store(acc[v][p], y + (v * P + p) * 16);
    return long(rounds) * GROUPS * V * P * 16 * Unit::TAPS;
}
"""

Call = Callable[[], object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="?", default="configs/default.toml", help="a run folder or a config")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    experiment = open_experiment(arguments.target, say=console.say)
    need_graph(experiment)
    result = measure(experiment, arguments.repeat)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    broken = broken_promises(result)
    for line in broken:
        console.say(f"error: {line}")
    return 1 if broken else 0


def measure(experiment: Experiment, repeat: int) -> dict[str, Any]:
    """Microseconds a frame of every implementation, on both networks at every batch size, and C++ against the others."""
    graph = load_graph(experiment.folder.graph, OPS)
    cut = split_for(graph, experiment.config.exit)
    net = load_quantized(experiment.fresh_model(), experiment.splits.shape, experiment.folder.quantized)
    images = experiment.splits.test.images[: max(BATCHES)].astype(np.int64)
    networks: list[tuple[str, Graph, str, np.ndarray]] = [
        ("tail", cut.tail, cut.feature, feature_of(graph, cut.feature, images)),
        ("whole", graph, "image", images),
    ]
    result: dict[str, Any] = {"peak_products_per_s": peak(), "source": "measured, one thread of this machine"}
    for name, part, feature, codes in networks:
        float_tail = FloatTail(net, feature, experiment.model)
        model = experiment.model.eval() if name == "whole" else _Module(float_tail, experiment.model.eval())
        result[name] = {"products": products(part)}
        for batch in BATCHES:
            x = float_tail.tensor(codes[:batch]).numpy()
            calls = {"cpp": cpp_call(part, codes[:batch]), "torch": torch_call(model, x), **onnx_call(model, x)}
            micros = {tool: 1e6 * s / batch for tool, s in fastest(calls, repeat).items()}
            ratios = {tool: micros[tool] / micros["cpp"] for tool in micros if tool != "cpp"}
            result[name][f"batch_{batch}"] = {"us_per_frame": micros, "cpp_times_as_fast": ratios}
    return result


def cpp_call(graph: Graph, codes: np.ndarray) -> Call:
    tail = cpp_tails(graph)()
    return lambda: tail.values(codes) if len(graph.exits) > 1 else tail.run(codes)


class _Module(torch.nn.Module):
    """The float tail as a module that has the network's weights, for ONNX."""

    def __init__(self, tail: FloatTail, weights: torch.nn.Module) -> None:
        super().__init__()
        self._tail, self.weights = tail, weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._tail.forward(x)


def torch_call(model: torch.nn.Module, x: np.ndarray) -> Call:
    def call() -> object:
        with torch.inference_mode():
            return model(torch.from_numpy(x))

    return call


def onnx_call(model: torch.nn.Module, x: np.ndarray) -> dict[str, Call]:
    """The same network in ONNX Runtime, where that is installed."""
    try:
        import onnxruntime
    except ImportError:
        return {}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.from_numpy(x),), file, dynamo=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return {"onnxruntime": lambda: session.run(None, {"x": x})}


def fastest(calls: dict[str, Call], repeat: int) -> dict[str, float]:
    """Seconds of one call of each, the fastest turn of `repeat`."""
    best = dict.fromkeys(calls, float("inf"))
    for name, call in calls.items():
        call()
        best[name] = seconds(call, 3)
    for _ in range(repeat):
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call, max(1, int(CALL_S / best[name]))))
    return best


def seconds(call: Call, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def peak() -> float:
    """Products a second of the inner loop alone: what no network can pass."""
    library = compile_host({"peak.cpp": library_text() + PEAK})
    function = ctypes.CDLL(str(library)).peak
    function.restype = ctypes.c_long
    memory = np.zeros((1 << 14) * 4, np.uint8)
    start = memory.ctypes.data + -memory.ctypes.data % 4096  # whole vectors must not cross cache lines
    places = [ctypes.c_void_p(start + i * (1 << 14)) for i in range(3)]
    done = function(1000, *places)
    return max(done / seconds(lambda: function(1000, *places), 1) for _ in range(50))


def products(graph: Graph) -> int:
    """Multiplications with weights that a frame takes."""
    found = 0
    for node in graph.nodes:
        weights = getattr(node.op, "weights", None)
        found += 0 if weights is None else weights.array.size * graph.types[node.name].pixels
    return found


def broken_promises(result: dict[str, Any]) -> list[str]:
    """One line for each ratio below its floor."""
    ratios = result["tail"]["batch_1"]["cpp_times_as_fast"]
    return [
        f"the tail is {ratios[name]:.1f} times as fast as {name} at batch 1, below {floor:g}"
        for name, floor in FLOORS.items()
        if name in ratios and ratios[name] < floor
    ]


def show(result: dict[str, Any]) -> None:
    rows: list[list[object]] = []
    for name in ("tail", "whole"):
        for batch in BATCHES:
            found = result[name][f"batch_{batch}"]
            for tool, micros in found["us_per_frame"].items():
                ratio = found["cpp_times_as_fast"].get(tool)
                rows.append([name, batch, tool, f"{micros:.2f}", "" if ratio is None else f"{ratio:.1f}x"])
        bound = 1e6 * result[name]["products"] / result["peak_products_per_s"]
        share = bound / result[name][f"batch_{max(BATCHES)}"]["us_per_frame"]["cpp"]
        rows.append([name, "", "bound", f"{bound:.2f}", f"C++ reaches {100 * share:.0f} %"])
    note = f"bound: products / {result['peak_products_per_s'] / 1e9:.0f} G a second, the inner loop alone"
    console.table("Layers in software", ("network", "batch", "by", "us a frame", "C++ is faster by"), rows, (note,))


if __name__ == "__main__":
    sys.exit(main())
