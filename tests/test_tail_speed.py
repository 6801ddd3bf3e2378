"""The tail benchmark measures all that is installed on a small run, and fails only where a promise is broken."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from runs import stored_run

from codesign.flow import open_experiment


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "tail_speed.py"
    spec = importlib.util.spec_from_file_location("tail_speed", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ({"torch": 10.0, "onnxruntime": 1.0}, []),
        ({"torch": 10.0}, []),
        ({"torch": 9.9}, ["the tail is 9.9 times as fast as torch at batch 1, below 10"]),
        (
            {"torch": 11.0, "onnxruntime": 0.9},
            ["the tail is 0.9 times as fast as onnxruntime at batch 1, below 1"],
        ),
    ],
)
def test_a_broken_promise_is_named(benchmark, ratios, said):
    assert benchmark.broken_promises({"tail": {"batch_1": {"cpp_times_as_fast": ratios}}}) == said


@pytest.mark.slow
def test_a_small_run_is_measured(benchmark):
    result = benchmark.measure(open_experiment(stored_run()), repeat=1)
    for network in ("tail", "whole"):
        for batch in benchmark.BATCHES:
            micros = result[network][f"batch_{batch}"]["us_per_frame"]
            assert {"cpp", "torch"} <= micros.keys() and all(value > 0 for value in micros.values())
    assert 0 < result["tail"]["products"] < result["whole"]["products"]
    assert result["peak_products_per_s"] > 1e8
