"""The benchmark's verdict: it fails when a figure is worse than promised, and only then."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

KEPT = {
    "native": {"images_per_cpu_s": 10_000.0, "compile_cpu_s": 2.0},
    "vendor": {"images_per_cpu_s": 185.0, "compile_cpu_s": 30.0},
    "emit_cpu_s": 0.5,
}


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "csim_speed.py"
    spec = importlib.util.spec_from_file_location("csim_speed", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kept_promises_are_no_error(benchmark):
    assert benchmark.broken_promises(KEPT) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"native": {"images_per_cpu_s": 9_999.0, "compile_cpu_s": 1.0}},
            "native.images_per_cpu_s is 9,999.0, below 10,000",
        ),
        ({"native": {"images_per_cpu_s": 20_000.0, "compile_cpu_s": 2.1}}, "native.compile_cpu_s is 2.100, above 2.0"),
        ({"vendor": {"images_per_cpu_s": 184.9}}, "vendor.images_per_cpu_s is 184.9, below 185"),
        ({"emit_cpu_s": 0.6}, "emit_cpu_s is 0.600, above 0.5"),
    ],
)
def test_a_broken_promise_is_named(benchmark, change, said):
    assert benchmark.broken_promises({**KEPT, **change}) == [said]
