"""A slimmable run's policy: tuned by one command, and the same answers at work as replayed from the recorded ones."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from codesign import cli
from codesign.errors import ConfigError
from codesign.flow import open_experiment
from codesign.flow.csim import images_of
from codesign.flow.policy import load_widths, policy_path, reference_of
from codesign.flow.policy_costs import product_costs
from codesign.flow.policy_dispatch import open_policy
from codesign.flow.quantize import load_answers
from codesign.flow.slim_cascade import stages_of
from codesign.runtime.accelerators import GoldenAccelerator
from codesign.runtime.lines import ease
from codesign.runtime.policy import Policy, PolicyStage, load_policy, policy_from
from tests.flow.test_slim import SLIM
from tests.runs import write_config

CHAINS = [
    [(0.5, "exit1"), (1.0, "final")],
    [(0.5, "exit1"), (0.5, "final"), (1.0, "exit1"), (1.0, "final")],
    [(0.5, "final"), (1.0, "final")],
    [(1.0, "exit1"), (1.0, "final")],
    [(1.0, "final")],
]


@pytest.fixture(scope="module", params=["entropy", pytest.param("margin", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned slimmable run."""
    folder = tmp_path_factory.mktemp("policy")
    text = SLIM.replace("[quantize]", f'[exit]\ncriterion = "{request.param}"\n[quantize]')
    arguments = [str(write_config(folder, text)), "--run", str(folder / "run"), "--max-accuracy-drop", "0.05"]
    assert cli.main(["tune", *arguments]) == 0
    return folder / "run"


def halves(run: Path, chain) -> Policy:
    """The chain with thresholds that stop about half of the frames that come to a stage."""
    experiment = open_experiment(run)
    _, cuts = load_widths(experiment)
    rows, left_N = [], np.ones(60, bool)
    for width, name in chain[:-1]:
        unit = cuts[width].units[cuts[width].names.index(name)]
        answers = load_answers(experiment.folder, "test", None if width == 1 else width)
        codes_N = unit.evaluate(answers.codes_NC[name])[1]
        ease_N = ease(codes_N, above=unit.criterion == "margin")
        threshold = max(np.median(ease_N[left_N]), ease_N[left_N].min() + 1)
        code = int(ease(np.int64(threshold), above=unit.criterion == "margin"))
        left_N &= ~unit.decide(codes_N, code)
        rows.append(PolicyStage(width, name, unit.threshold_value(code), code))
    return Policy((*rows, PolicyStage(*chain[-1], None, None)), cuts[1.0].units[0].criterion)


def replayed(run: Path, policy: Policy) -> np.ndarray:
    """Stage, class and confidence code (3, N) of every test frame, from recorded logits, frame by frame."""
    experiment = open_experiment(run)
    _, cuts = load_widths(experiment)
    said = []
    for stage in policy.stages:
        unit = cuts[stage.width].units[cuts[stage.width].names.index(stage.exit)]
        answers = load_answers(experiment.folder, "test", None if stage.width == 1 else stage.width)
        said.append(unit.evaluate(answers.codes_NC[stage.exit]))
    found = []
    for n in range(len(said[0][0])):
        for index, (stage, (classes_N, codes_N)) in enumerate(zip(policy.stages, said, strict=True)):
            code = int(codes_N[n])
            above = policy.criterion == "margin"
            last = stage.threshold_code is None
            if last or (code > stage.threshold_code if above else code < stage.threshold_code):
                found.append((index, classes_N[n], code))
                break
    return np.array(found).T


def answered(run: Path, policy: Policy, **options) -> np.ndarray:
    experiment = open_experiment(run)
    with open_policy(experiment, policy=policy, tail="numpy", **options) as cascade:
        parts = list(cascade.run(images_of(experiment, 0), batch=16))
        assert "host raised" not in {event.kind for event in cascade.dispatcher.events}
    return np.array([np.concatenate([getattr(p, name) for p in parts]) for name in ("exit_N", "class_N", "code_N")])


@pytest.mark.parametrize("accelerator", ["golden", "csim", "software"])
@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(f"{w:g}{e}" for w, e in chain))
def test_a_policy_at_work_gives_the_replayed_answers_on_every_frame(run, chain, accelerator):
    policy = halves(run, chain)
    want = replayed(run, policy)
    assert len(set(want[0])) == len(chain)
    np.testing.assert_array_equal(answered(run, policy, accelerator=accelerator), want)


def test_an_accelerator_that_fails_now_and_then_changes_no_answer(run, monkeypatch):
    runs, right = [0], GoldenAccelerator._run

    def at_times(self, images_NHWC, threshold, timeout_s):
        runs[0] += 1
        if runs[0] % 3 == 0:
            raise OSError("DMA channel not started")
        return right(self, images_NHWC, threshold, timeout_s)

    monkeypatch.setattr(GoldenAccelerator, "_run", at_times)
    policy = halves(run, CHAINS[1])
    np.testing.assert_array_equal(answered(run, policy), replayed(run, policy))
    assert runs[0] > 3


def test_tune_writes_the_policy_and_says_what_it_saves(run, capsys):
    assert cli.main(["tune", str(run), "--max-accuracy-drop", "0.05", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    stages, expected = answer["stages"], answer["expected"]
    assert sum(stage["rate"] for stage in stages) == pytest.approx(1)
    assert stages[-1]["threshold_code"] is None
    assert (stages[-1]["width"], stages[-1]["exit"]) == (1.0, "final")
    come, total = 1.0, 0.0
    for stage in stages:
        total, come = total + come * stage["cycles"], come - stage["rate"]
    assert expected["cycles"] == pytest.approx(total)
    assert expected["cycles"] <= expected["reference"]["cycles"]
    assert expected["accuracy"] >= expected["reference"]["accuracy"] - 0.05
    assert answer["guarantee"]["n"] == 60
    assert answer["cost_unit"] == "cycles"
    assert [s.threshold_code for s in load_policy(run / "policy.json").stages] == [s["threshold_code"] for s in stages]
    np.testing.assert_array_equal(answered(run, None), replayed(run, load_policy(run / "policy.json")))
    assert cli.main(["tune", str(run), "--max-accuracy-drop", "0.05", "--reference", "0.5/final", "--stages", "2"]) == 0
    shown = capsys.readouterr().err
    assert "Policy: the least cycles within the goals" in shown
    assert load_policy(run / "policy.json").stages[-1].width == 0.5


def test_evaluate_tries_the_policy_on_the_test_frames(run, capsys):
    policy, experiment = load_policy(run / "policy.json"), open_experiment(run)
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)["policy"]
    stage_N, class_N, _ = replayed(run, policy)
    table = json.loads((run / "policy.json").read_text())["stages"]
    assert judged["accuracy"] == pytest.approx((class_N == load_answers(experiment.folder, "test").labels_N).mean())
    assert [s["rate"] for s in judged["stages"]] == pytest.approx([(stage_N == k).mean() for k in range(len(table))])
    paid = [sum(row["cycles"] for row in table[: int(stage) + 1]) for stage in stage_N]
    assert judged["cycles"] == pytest.approx(np.mean(paid))
    assert cli.main(["evaluate", str(run)]) == 0
    assert "less energy than its last stage alone" in " ".join(capsys.readouterr().err.split())


def test_the_benchmark_holds_policies_against_exits_alone_and_widths_alone(run, capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "width_policy.py"
    spec = importlib.util.spec_from_file_location("width_policy", path)
    assert spec is not None and spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert benchmark.main([str(run), "--stages", "3", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    for family, widths, exits in (("exits", {1.0}, {"exit1", "final"}), ("widths", {0.5, 1.0}, {"final"})):
        for tried in answer["cycles"]["tried"][family]:
            assert {s["width"] for s in tried["stages"]} <= widths
            assert {s["exit"] for s in tried["stages"]} <= exits
            assert tried["cycles"] <= answer["base"]["cycles"]
    assert all(0 < row["both"] <= 1 for row in answer["cycles"]["equal_accuracy"])
    assert benchmark.main([str(run), "--stages", "2"]) == 0
    shown = capsys.readouterr().out
    assert "| accuracy, at least | exits alone | widths alone | widths and exits |" in shown
    assert "at less than a point a policy saves" in shown


def test_a_policy_must_be_of_the_runs_networks(run):
    experiment = open_experiment(run)
    table = json.loads((run / "policy.json").read_text())
    policy_path(experiment.folder).write_text(json.dumps({**table, "key": "another"}))
    with pytest.raises(ConfigError, match="of other networks"), open_policy(experiment):
        pass
    policy_path(experiment.folder).write_text(json.dumps(table))
    other = Policy((PolicyStage(0.75, "final", None, None),), table["criterion"])
    with pytest.raises(ConfigError, match=r"no 0\.75/final"), open_policy(experiment, policy=other):
        pass
    backwards = (PolicyStage(1.0, "final", 0.1, 1), PolicyStage(1.0, "exit1", None, None))
    with (
        pytest.raises(ConfigError, match="1/exit1 does not come behind 1/final"),
        open_policy(experiment, policy=Policy(backwards, table["criterion"])),
    ):
        pass
    early = Policy((PolicyStage(1.0, "exit1", None, None),), table["criterion"])
    with pytest.raises(ConfigError, match="is not its network's last exit"), open_policy(experiment, policy=early):
        pass
    cuts = load_widths(experiment)[1]
    with pytest.raises(ConfigError, match="no width's last exit is '1/exit1'"):
        reference_of(cuts, "1/exit1")


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], "needs a threshold"),
        ([{"width": 0.5, "exit": "final", "threshold": None, "threshold_code": None}] * 2, "needs a threshold"),
        (
            [
                {"width": 1.0, "exit": "exit1", "threshold": 0.1, "threshold_code": 1},
                {"width": 0.5, "exit": "final", "threshold": None, "threshold_code": None},
            ],
            "nor get narrower",
        ),
        ([{"width": 1.0}], "not a policy"),
    ],
)
def test_what_is_no_policy_is_refused(stages, words):
    with pytest.raises(ConfigError, match=words):
        policy_from({"stages": stages, "criterion": "entropy"})


@pytest.mark.parametrize("causal", [False, True])
def test_costs_in_products_are_those_of_the_stages(run, causal):
    graphs, _ = load_widths(open_experiment(run))
    costs = product_costs(graphs, causal=causal)
    for chain in CHAINS:
        want = [float(stage.products) for stage in stages_of(graphs, chain, causal=causal)]
        got = costs.of(chain, "cycles").tolist()
        # What an earlier stage computed than the one right before does not count as being there.
        assert got == want if len(chain) < 4 else all(a >= b for a, b in zip(got, want, strict=True))
