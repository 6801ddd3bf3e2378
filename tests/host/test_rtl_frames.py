"""1,000 frames through the files that go to the board, with the RTL simulation behind the stand-in's DMAs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from chips import RtlChip, build_overlay, design_of, on_board
from rtl.cores import needs_verilator
from runs import copy_run

from codesign.flow import open_experiment
from codesign.flow.dispatch import load_stages
from codesign.flow.rtlsim import compile_run
from codesign.runtime.stages import host_maker
from codesign.verify import golden
from codesign.verify.verilated import Simulation

FRAMES = 1000


@pytest.mark.slow
@needs_verilator
@pytest.mark.skipif(not shutil.which("tclsh"), reason="needs tclsh")
@pytest.mark.parametrize("board", ["pynq-z2", "zcu104"])
def test_a_thousand_frames_are_the_golden_models(tmp_path: Path, board: str) -> None:
    run = copy_run(tmp_path)
    overlay, design, experiment = build_overlay(run, board), design_of(run), open_experiment(run)
    rng = np.random.default_rng(3)
    known = np.load(run / "answers.npz")["samples"]
    frames = known[rng.integers(0, len(known), FRAMES)]
    frames = np.where(rng.random((FRAMES, 1, 1, 1)) < 0.3, rng.integers(0, 256, frames.shape, np.uint8), frames)
    value = design.head.node("features").inputs[0]
    threshold = json.loads((overlay / "board.json").read_text())["thresholds"][0]
    want = golden.run(design.head, {"image": frames.astype(np.int64), "threshold": threshold}, keep=("decision", value))
    words_N = want["decision"].reshape(-1)
    sent_M = np.flatnonzero(~(words_N >> 47 & 1).astype(bool))
    assert 50 < len(sent_M) < 950, "both ways are taken"
    whole = host_maker(load_stages(experiment), "numpy")().answer(frames.astype(np.int64), [threshold])

    with (
        Simulation(compile_run(experiment, design)) as simulation,
        on_board(overlay, RtlChip(simulation, design)) as scripts,
    ):
        with scripts.driver.Branch(str(overlay), batch=300, timeout_s=120) as branch:
            batches = [branch.run(frames[start : start + 300]) for start in range(0, FRAMES, 300)]
            answers = scripts.classify.Cascade(branch).classify(frames)
            again = branch.run(frames[:1])
        codes_N = np.concatenate([batch.words_N for batch in batches]).astype(np.int64) & (1 << 48) - 1
        maps_MHWC = np.concatenate([batch.features_MHWC for batch in batches])
        sent = np.concatenate([batch.feature_frames_M + 300 * n for n, batch in enumerate(batches)])
        assert np.array_equal(codes_N, words_N)
        assert np.array_equal(sent, sent_M) and np.array_equal(maps_MHWC, want[value][sent_M])
        for got, must in zip(answers, (whole.class_N, whole.exit_N, whole.code_N), strict=True):
            assert np.array_equal(got, must)
        assert scripts.fabric.downloads == 1, "nothing had to be reset"
        assert again.cycles > 0 and batches[0].cycles >= 300 * 144, "the accelerator's own counter"

        with scripts.driver.Branch(str(overlay), batch=300, timeout_s=120) as branch:
            branch._features_in.transfer = lambda *_, **__: None  # nobody takes the maps: the design stops
            with pytest.raises(scripts.driver.HangError, match=r"no .*features in time") as caught:
                branch.run(frames[:300], timeout_s=2)
            assert caught.value.registers["accelerator"]["feature_stalls"] > 0
            del branch._features_in.transfer
            assert np.array_equal(branch.run(frames[:300]).words_N, batches[0].words_N), "all well after a reset"
