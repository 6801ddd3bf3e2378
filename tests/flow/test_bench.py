"""The tune and bench steps on a tiny trained run, through the command line too."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from runs import copy_run

from codesign.cli import main
from codesign.errors import VerificationError
from codesign.files import read_json
from codesign.flow import open_experiment
from codesign.flow.bench import BenchOptions, bench
from codesign.flow.dispatch import load_stages
from codesign.flow.quantize import load_answers
from codesign.flow.tune import TuneOptions, recorded_of, tune
from codesign.runtime.goals import Goals
from codesign.runtime.lines import point
from codesign.runtime.risk import promise
from codesign.runtime.thresholds import choose, sweep

QUICK = BenchOptions(batch=16, batches=(1, 8), seconds=0.02, windows=1)


def run_cli(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict:
    assert main([*words, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_tune_from_the_command_line(tmp_path, capsys):
    run = copy_run(tmp_path)
    answer = run_cli(capsys, "tune", str(run), "--max-accuracy-drop", "0.02", "--delta", "0.1", "--tail-us", "50")

    experiment = open_experiment(run)
    stages = load_stages(experiment)
    recorded = recorded_of(stages, experiment, "calibration")
    unit, answers = stages.units[0], load_answers(experiment.folder, "calibration")
    classes_N, codes_N = unit.evaluate(answers.codes_NC["exit1"])
    final_N = answers.codes_NC["final"].argmax(axis=1) == answers.labels_N
    want = choose(sweep(codes_N, classes_N == answers.labels_N, final_N), 0.02)
    assert answer["threshold_codes"] == [unit.threshold_code(answer["thresholds"][0])]
    assert answer["exit_rates"] == [answer["exit_rate"]] == [pytest.approx(want.exit_rate)]
    assert answer["accuracy"] == pytest.approx(want.accuracy)
    chosen = point(recorded, answer["threshold_codes"])
    promised = promise(chosen.spoiled(0), 60, 0.1)
    assert answer["guarantee"] == {**promised.to_json()}
    assert (answer["guarantee"]["delta"], answer["guarantee"]["n"]) == (0.1, 60)
    assert answer["latency_us"] > 50 * (1 - answer["exit_rate"])

    curve = read_json(run / "tune" / "curve.json")["points"]
    assert len(list(csv.reader((run / "tune" / "curve.csv").open()))) == len(curve) + 1
    assert (run / "tune" / "curve.svg").read_text().startswith("<svg")
    assert [row["exit_rate"] for row in curve] == sorted(row["exit_rate"] for row in curve)
    assert all(row["epsilon"] >= row["accuracy_drop"] for row in curve)
    assert curve[0]["epsilon"] == 0


@pytest.mark.parametrize(
    ("goal", "holds"),
    [
        (("--min-exit-rate", "0.5"), lambda a: a["exit_rate"] >= 0.5),
        (("--min-throughput", "9000"), lambda a: a["throughput"] >= 9000),
        (("--max-latency", "150"), lambda a: a["latency_us"] <= 150),
        (("--max-energy", "200"), lambda a: a["energy_uj"][0] <= 200),
        (("--max-risk", "0.2"), lambda a: a["guarantee"]["epsilon"] <= 0.2),
    ],
)
def test_every_goal_is_met(goal, holds, tmp_path, capsys):
    answer = run_cli(capsys, "tune", str(copy_run(tmp_path)), *goal, "--tail-us", "300")
    assert holds(answer)
    assert list(answer["goals"]) == [goal[0][2:].replace("-", "_")]


def test_a_margin_is_tuned_in_its_own_unit(tmp_path):
    run = copy_run(tmp_path)
    config = json.loads((run / "config.json").read_text())
    config["exit"]["criterion"] = "margin"
    (run / "config.json").write_text(json.dumps(config))
    experiment = open_experiment(run)
    answer = tune(experiment, Goals(min_exit_rate=0.4), TuneOptions(tail_us=50))
    unit, answers = load_stages(experiment).units[0], load_answers(experiment.folder, "calibration")
    _, codes_N = unit.evaluate(answers.codes_NC["exit1"])
    exits_N = unit.decide(codes_N, unit.threshold_code(answer["thresholds"][0]))
    assert answer["unit"] == "logit units"
    assert exits_N.mean() == pytest.approx(answer["exit_rate"])
    assert answer["exit_rate"] >= 0.4


def test_without_a_goal_and_out_of_reach(tmp_path, capsys):
    run = str(copy_run(tmp_path))
    assert run_cli(capsys, "tune", run, status=2)["error"]["what"] == "no goal to choose thresholds for"
    error = run_cli(capsys, "tune", run, "--min-throughput", "1e9", "--tail-us", "1", status=2)["error"]
    assert error["where"] == "--min-throughput"
    assert "694444" in error["hint"]


def test_bench_from_the_command_line(tmp_path, capsys):
    run = copy_run(tmp_path)
    words = ("--batch", "16", "--seconds", "0.02", "--turns", "1", "--host-watts", "10", "--frames", "50")
    answer = run_cli(capsys, "bench", str(run), *words)

    for key in ("cascade_images_per_s", "torch_images_per_s", "cpp_images_per_s", "ratio_torch", "ratio_cpp"):
        assert answer[key] > 0, key
    for name, short in (("torch eager", "torch"), ("C++", "cpp")):
        rows = [row for row in answer["software"] if row["name"] == name and not row["early_exits"]]
        single, fastest = rows[0]["images_per_s"], max(row["images_per_s"] for row in rows)
        assert (rows[0]["batch"], len(rows)) == (1, 2)
        against, other = (single, "best") if short == "cpp" else (fastest, "batch1")
        assert answer[f"{short}_images_per_s"] == against
        assert answer[f"ratio_{short}"] == pytest.approx(answer["cascade_images_per_s"] / against, abs=1e-3)
        rest = fastest if other == "best" else single
        assert answer[f"ratio_{short}_{other}"] == pytest.approx(answer["cascade_images_per_s"] / rest, abs=1e-3)
    assert {(row["name"], row["batch"]) for row in answer["software"]} >= {("torch eager", 1), ("torch eager", 64)}
    assert (answer["interval_cycles"], answer["clock_mhz"]) == (144, 100)
    assert answer["cascade_images_per_s"] < answer["accelerator_images_per_s"] == pytest.approx(1e8 / 144, rel=1e-4)
    assert answer["energy_uj"]["host"] > 0
    assert answer["energy_uj"]["board"][0] == pytest.approx(1.65e6 / answer["cascade_images_per_s"], rel=1e-3)
    assert answer["latency_us"]["known"]["p50"] <= answer["latency_us"]["delivered"]["p50"]
    assert read_json(run / "metrics.json")["bench"] == answer


def test_bench_counts_the_cascades_own_answers(tmp_path):
    experiment = open_experiment(copy_run(tmp_path))
    answer = bench(experiment, QUICK)
    unit, answers = load_stages(experiment).units[0], load_answers(experiment.folder, "test")
    classes_N, codes_N = unit.evaluate(answers.codes_NC["exit1"])
    exits_N = unit.decide(codes_N, unit.threshold_code(answer["thresholds"][0]))
    final_N = answers.codes_NC["final"].argmax(axis=1)
    right_N = np.where(exits_N, classes_N, final_N) == answers.labels_N
    assert answer["exit_rate"] == pytest.approx(exits_N.mean())
    assert answer["accuracy"] == pytest.approx(right_N.mean())
    assert answer["final_accuracy"] == pytest.approx((final_N == answers.labels_N).mean())
    assert answer["accuracy_drop"] == pytest.approx(answer["final_accuracy"] - answer["accuracy"])


def test_a_slower_clock_is_a_slower_cascade(tmp_path):
    answer = bench(open_experiment(copy_run(tmp_path)), BenchOptions(8, 8, (1,), 0.01, 1, clock_mhz=0.1))
    assert answer["cascade_images_per_s"] <= answer["accelerator_images_per_s"] == pytest.approx(1e5 / 144, rel=1e-4)
    assert answer["model"]["images_per_s"] == pytest.approx(answer["accelerator_images_per_s"])


def test_a_wrong_answer_stops_the_bench(tmp_path, monkeypatch):
    """A tail that is wrong now and then does not go unseen."""
    from codesign.runtime import dispatch_host

    right = dispatch_host.StageHost.finish

    def wrong(self, features, thresholds):
        decisions = right(self, features, thresholds)
        decisions.class_N[:] = (decisions.class_N + 1) % 3
        return decisions

    run = copy_run(tmp_path)
    tune(open_experiment(run), Goals(max_risk=0.1), TuneOptions(tail_us=50))
    experiment = open_experiment(run)
    config = json.loads((Path(run) / "config.json").read_text())
    assert config["exit"]["threshold"] == -1.0
    monkeypatch.setattr(dispatch_host.StageHost, "finish", wrong)
    with pytest.raises(VerificationError, match=r"[1-9]\d* wrong answers"):
        bench(experiment, QUICK)


def test_recorded_logits_that_are_not_the_graphs_stop_the_bench(tmp_path):
    run = copy_run(tmp_path)
    with np.load(run / "answers.npz") as arrays:
        changed = {name: array + (name == "test/codes/exit1") for name, array in arrays.items()}
    np.savez(run / "answers.npz", **changed)
    (run / "weights.safetensors").unlink()  # else the step that made them would run again
    with pytest.raises(VerificationError, match="recorded logits of exit exit1 differ"):
        bench(open_experiment(run), QUICK)


def test_a_run_without_weights_is_timed_without_torch(tmp_path):
    run = copy_run(tmp_path)
    for name in ("weights", "checkpoint", "quantized"):
        (run / f"{name}.safetensors").unlink(missing_ok=True)
    answer = bench(open_experiment(run), QUICK)
    assert answer["torch_images_per_s"] is None
    assert any("no weights" in note for note in answer["notes"])
    assert answer["cpp_images_per_s"] > 0
