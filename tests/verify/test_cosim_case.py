"""What cosimulation streams and what must come back, as the runner writes it and as the benches read it."""

from __future__ import annotations

import importlib.util
import random
import sys
from itertools import groupby
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cosim_tools import noise, small_design

from codesign.emit.rtl import CONTROL
from codesign.verify import cosim_build
from codesign.verify.cosim_case import Batch, Oracle, schedule, write_case

GRAPH, FLOW = small_design()
BENCHES = ["full_rate", "stalls", "one_port", "blocked", "batches", "packets", "surplus", "registers", "reset"]


def oracle(frames: int = 24) -> Oracle:
    return Oracle(GRAPH, FLOW, noise(frames, seed=3))


def bench_module(name: str) -> ModuleType:
    """A module of the benches that needs no simulator."""
    spec = importlib.util.spec_from_file_location(name, cosim_build.bench_folder() / f"{name}.py")
    assert spec and spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        spec.loader.exec_module(module)
    return module


def test_the_schedule_has_every_bench_and_stalls_as_many_frames_as_asked_for() -> None:
    pool = oracle()
    benches = schedule(pool, 300)

    assert list(benches) == BENCHES
    stalled = benches["stalls"]
    assert sum(len(batch.frames) for batch in stalled) == 300
    assert all(all(batch.stalls) for batch in stalled) and len({batch.stalls for batch in stalled}) > 2
    assert {n for batch in stalled for n in batch.frames} == set(range(24))
    assert sum(batch.abort is not None for batch in benches["reset"]) >= 5
    assert benches == schedule(pool, 300)
    assert sum(len(b.frames) for rows in schedule(pool, 2, brief=True).values() for b in rows) < 10


def test_batches_are_made_of_frames_that_exit_that_do_not_and_of_both() -> None:
    pool = oracle()
    shares = set[float]()
    for batch in schedule(pool, 12)["batches"]:
        _, exits = pool.words(batch)
        shares.add(exits / len(batch.frames))

    assert {0.0, 1.0} < shares
    mixed, exits = pool.words(Batch(tuple(range(24)), pool.middle))
    assert 6 < exits < 18
    assert len(mixed["feature"]) == (24 - exits) * (1 + 4 * 4) + 1


def test_words_are_those_of_a_host_that_reads_them_one_by_one() -> None:
    """The result word and the packet of maps, from the definitions in docs/streams.md."""
    pool = oracle(3)
    words, exits = pool.words(Batch((2, 0), pool.never))
    decisions = pool.decisions(pool.never)

    assert exits == 0
    got = [int(low) | int(high) << 32 for low, high in words["result"]]
    assert got == [int(decisions[2]), int(decisions[0]) | 1 << 48]
    assert words["feature"][[0, 17, 34], 0].tolist() == [0, 1, 0xFFFFFFFF]
    assert words["image"][:, 0].tolist() == pool.image_NHWC[[2, 0]].reshape(-1).tolist()


def test_the_benches_read_back_what_the_runner_wrote(tmp_path: Path) -> None:
    case_module, pool = bench_module("cs_case"), oracle()
    batches = {"reset": schedule(pool, 12)["reset"], "surplus": schedule(pool, 12)["surplus"]}
    write_case(tmp_path, pool, batches, kind="codesign", registers=CONTROL)

    case = case_module.Case(tmp_path)

    assert case.registers == CONTROL and not case.has("stalls")
    for name, rows in batches.items():
        for row, read in zip(rows, case.batches(name), strict=True):
            words, exits = pool.words(row)
            assert (read.frames, read.exits, read.abort) == (len(row.frames), exits, row.abort)
            assert read.feature == [int.from_bytes(word.tobytes(), "little") for word in words["feature"]]
            assert read.image == words["image"][:, 0].tolist()


def test_wide_words_become_integers() -> None:
    words = np.array([[1, 2, 3], [0xFFFFFFFF, 0, 1 << 31]], np.uint32)

    assert bench_module("cs_case").integers(words) == [1 | 2 << 32 | 3 << 64, 0xFFFFFFFF | 1 << 95]


def test_mismatches_count_beats_that_are_missing_or_too_many() -> None:
    module = bench_module("cs_case")

    assert module.mismatches([1, 2, 3], [1, 2, 3]) == 0
    assert module.mismatches([1, 2, 3], [1, 9]) == 2
    assert module.mismatches([1], [1, 2, 3]) == 2
    assert module.first_mismatch([1, 2], [1, 3]) == "beat 1 of 2 is 0x3, must be 0x2"
    assert module.first_mismatch([1, 2], [1]) == "TLAST came with beat 0, must come with beat 1"


@pytest.mark.parametrize("chance", [0.1, 0.3, 0.7])
def test_pauses_come_about_as_often_as_asked_for(chance: float) -> None:
    pauses = bench_module("cs_case").pauses(random.Random(1), chance, 64)
    drawn = [next(pauses) for _ in range(40_000)]

    assert abs(np.mean(drawn) - chance) < 0.12
    assert max(len(run) for run in "".join("01"[pause] for pause in drawn).split("0")) > 10


def test_a_closed_port_stays_closed_for_several_frames() -> None:
    pauses = bench_module("cs_case").pauses(random.Random(1), 1.0, 64)
    runs = [len(list(run)) for closed, run in groupby(next(pauses) for _ in range(10_000)) if closed]

    assert min(runs[:-1]) >= 192 and len(runs) > 10
