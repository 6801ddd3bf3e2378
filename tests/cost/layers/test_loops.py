"""Cycles composed of loops, against figures that csynth printed; no latency of a loop is read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codesign.cost.layers.loops import Loop, cycles, read_loops

# A reuse loop in a loop over positions, as Vivado HLS 2019.2 printed it: function 1692 cycles.
CONV: dict[str, Any] = {
    "name": "ReadInputHeight_ReadInputWidth",
    "TripCount": 36,
    "Latency": [143, 1691],
    "IterationLatency": [4, 47],
    "sub": [{"name": "ReuseLoop", "TripCount": 36, "Latency": 42, "PipelineII": 1, "PipelineDepth": 8}],
}
POOL = {"name": "Read", "TripCount": 64, "Latency": 130, "PipelineII": 2, "PipelineDepth": 5}
PAD: list[dict[str, Any]] = [
    {"name": "PadTopWidth", "TripCount": 10, "Latency": 10, "IterationLatency": 1},
    {
        "name": "PadMain",
        "TripCount": 8,
        "IterationLatency": 10,
        "sub": [{"name": "CopyMain", "TripCount": 8, "IterationLatency": 1}],
    },
    {"name": "PadBottomWidth", "TripCount": 10, "IterationLatency": 1},
]


def test_figures_of_the_tool() -> None:
    assert cycles(read_loops([CONV])) == 1693  # 1692: the tool saves a cycle in the last iteration
    assert cycles(read_loops([POOL])) == 132
    assert cycles(read_loops(PAD)) == 103


def test_a_printed_latency_is_not_read() -> None:
    spoiled = {**CONV, "Latency": [1, 1], "sub": [{**CONV["sub"][0], "Latency": 1}]}
    assert read_loops([spoiled]) == read_loops([CONV])


def test_an_unknown_trip_count_is_no_structure() -> None:
    assert read_loops([{"TripCount": "?", "IterationLatency": 3}]) == ()
    assert read_loops([{"TripCount": 4}]) == ()


@given(st.integers(1, 1000), st.integers(1, 8), st.integers(1, 30))
def test_a_pipelined_loop(trips: int, interval: int, depth: int) -> None:
    assert Loop(trips, interval, depth).latency() == interval * (trips - 1) + depth - 1


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 9))
def test_more_iterations_take_longer(outer: int, inner: int, steps: int) -> None:
    def nest(n: int) -> Loop:
        return Loop(n, inner=(Loop(inner, 0, 0, (steps, steps)),))

    assert nest(outer + 1).latency() - nest(outer).latency() == inner * steps + 2
