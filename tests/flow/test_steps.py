"""The steps over a run folder: what is up to date is left alone, what changed is made again from there on."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from runs import copy_run, stored_run, write_config

from codesign.config import Config, ExitConfig, PlanConfig, config_from
from codesign.errors import ConfigError, DataError
from codesign.flow import Experiment, csim, evaluate, hls, open_experiment, quantize
from codesign.flow.cascade import entropy, exits_in_float
from codesign.flow.csim import together
from codesign.flow.experiment import Say
from codesign.flow.plan import goal_cycles, plan
from codesign.flow.quantize import load_answers
from codesign.ir.store import load_graph
from codesign.ops import OPS
from codesign.verify.csim import CsimReport

STEPS = ("weights.safetensors", "graph.json", "plan.json", "design.json")


def changed(run: Path, say: Say | None = None, **sections: object) -> Experiment:
    """The run with keys of config sections changed: `changed(run, exit={"threshold": 0.1})`."""
    config = json.loads((run / "config.json").read_text())
    for name, keys in sections.items():
        config[name] = {**config[name], **keys} if isinstance(keys, dict) else keys
    return open_experiment(config_from(config), run, say=say)


def times(run: Path) -> dict[str, int]:
    return {name: (run / name).stat().st_mtime_ns for name in STEPS}


def remade(run: Path, experiment: Experiment) -> list[str]:
    """The files that `hls` writes again."""
    before = times(run)
    hls(experiment)
    after = times(run)
    return [name for name in STEPS if before[name] != after[name]]


def test_nothing_is_made_twice(tmp_path):
    run = copy_run(tmp_path)
    assert remade(run, open_experiment(run)) == []


@pytest.mark.parametrize(
    ("section", "keys", "made"),
    [
        ("train", {"threads": 2, "device": "auto"}, []),
        ("exit", {"threshold": 0.25}, ["plan.json", "design.json"]),
        ("plan", {"clock_mhz": 50.0}, ["plan.json", "design.json"]),
        ("quantize", {"weight_bits": 5, "epochs": 0}, list(STEPS[1:])),
        ("train", {"epochs": 1}, list(STEPS)),
    ],
)
def test_a_change_is_made_again_from_where_it_counts(tmp_path, section, keys, made):
    run = copy_run(tmp_path)
    assert remade(run, changed(run, **{section: keys})) == made


def test_changed_data_of_the_user_is_noticed(tmp_path):
    experiment = open_experiment(write_config(tmp_path), tmp_path / "run")
    before = experiment.data_key
    np.savez(tmp_path / "bars.npz", x=np.ones((300, 12, 12), np.uint8), y=np.arange(300) % 3)
    assert experiment.data_key != before


OWN = """
from torch import nn
from codesign.nn.exits import Exit, MultiExit

class Own(MultiExit):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.exit1 = Exit(nn.Sequential(nn.Flatten(), nn.Linear(200, classes)))
        self.final = Exit(nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(200, classes)))

    def forward(self, x):
        x = self.stem(x)
        return self.exit1(x), self.final(x)

def frames():
    import numpy as np
    with np.load("bars.npz") as archive:
        return archive["x"], archive["y"]
"""


@pytest.fixture
def own_run(tmp_path, monkeypatch):
    """A trained and quantized run of the user's own network and frames, and `own_net.py`, which both come from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_net.py").write_text(OWN)
    config = write_config(tmp_path)
    text = config.read_text().replace("options = { stem_channels = 2, branch_channels = 4 }\n", "")
    text = text.replace('"lenet5"', '"own_net:Own"').replace('"npz"', '"python"')
    config.write_text(text.replace(f'path = "{tmp_path / "bars.npz"}"', 'path = "own_net:frames"'))
    quantize(open_experiment(config, "run"))
    yield tmp_path
    sys.modules.pop("own_net", None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return self.exit1(x), self.final(x)", "return self.exit1(x), self.final(x + x)"),
        ('archive["y"]', '2 - archive["y"]'),
    ],
    ids=["network", "frames"],
)
def test_changed_code_of_the_user_is_trained_again(own_run, old, new):
    lines: list[str] = []
    quantize(open_experiment("run", say=lines.append))
    assert lines == ["quantize: up to date, run/graph.json"]

    (own_run / "own_net.py").write_text(OWN.replace(old, new))
    sys.modules.pop("own_net")
    importlib.invalidate_caches()
    before = (own_run / "run" / "weights.safetensors").read_bytes()
    metrics = quantize(open_experiment("run", say=lines.append))
    assert (own_run / "run" / "weights.safetensors").read_bytes() != before and metrics
    assert [line.partition(":")[0] for line in lines[1:]] == ["train", "train", "quantize", "quantize"]


def test_a_lost_file_is_made_again(tmp_path):
    run = copy_run(tmp_path)
    (run / "plan.json").unlink()
    assert hls(open_experiment(run))["files"] > 10
    assert (run / "plan.json").exists()


def test_a_plan_edited_by_hand_is_used(tmp_path):
    run = copy_run(tmp_path)
    edited = json.loads((run / "plan.json").read_text())
    name = max(edited["depths"], key=edited["depths"].get)
    edited["depths"][name] += 7
    (run / "plan.json").write_text(json.dumps(edited))

    hls(open_experiment(run))
    sources = (run / "hls" / "src" / "tiny_exit1.cpp").read_text()
    assert f"variable={name} depth={edited['depths'][name]}" in sources


def test_weights_given_by_the_user_are_taken_as_they_are(tmp_path):
    """A folder with a config and weights, but no trace of training: nothing is trained."""
    lines: list[str] = []
    stored = stored_run()
    (tmp_path / "weights.safetensors").write_bytes((stored / "weights.safetensors").read_bytes())
    (tmp_path / "config.json").write_text((stored / "config.json").read_text())
    quantize(open_experiment(tmp_path, say=lines.append))

    assert any("using the weights given" in line for line in lines)
    want, got = (load_graph(run / "graph.json", OPS) for run in (stored, tmp_path))
    assert want == got


def test_an_interrupted_step_is_not_taken_for_a_finished_one(tmp_path):
    """Files without a record are of a step that was killed before its end."""
    run = copy_run(tmp_path)
    records = json.loads((run / "steps.json").read_text())
    del records["quantize"]
    (run / "steps.json").write_text(json.dumps(records))
    assert "graph.json" in remade(run, open_experiment(run))


def test_files_of_an_earlier_design_are_taken_away(tmp_path):
    run = copy_run(tmp_path)
    hls(changed(run, name="other"))
    assert (run / "hls" / "src" / "other_exit1.cpp").exists()
    assert not (run / "hls" / "src" / "tiny_exit1.cpp").exists()


def test_the_threshold_of_the_config_goes_before_the_chosen_one(tmp_path):
    run = copy_run(tmp_path)
    answer = evaluate(changed(run, exit={"threshold": 0.125}))
    assert answer["cascade"]["threshold"] == 0.125 and answer["cascade"]["chosen"] == "config"
    assert answer["cascade"]["threshold_code"] == 2**15


@pytest.mark.parametrize("criterion", ["max-probability", "margin"])
def test_every_criterion_goes_all_the_way(tmp_path, criterion):
    run = copy_run(tmp_path)
    experiment = changed(run, exit={"criterion": criterion})
    answer = evaluate(experiment)
    assert answer["cascade"]["exit_rate"] > 0.5 and answer["flip_rate"] < 0.1

    report = csim(experiment, frames=40)
    assert (report.frames, report.mismatched_codes) == (40, 0)


def test_the_chosen_threshold_is_that_of_the_calibration_split(tmp_path):
    run = copy_run(tmp_path)
    design = json.loads((run / "design.json").read_text())["operating"]
    answer = evaluate(open_experiment(run))
    assert design["threshold_code"] == answer["cascade"]["threshold_code"]
    assert design["calibration"]["accuracy"] >= design["calibration"]["final_accuracy"]


def test_answers_on_the_test_split_do_not_move_the_threshold(tmp_path):
    run = copy_run(tmp_path)
    before = evaluate(open_experiment(run))["cascade"]["threshold_code"]
    with np.load(run / "answers.npz") as archive:
        arrays = {name: archive[name] for name in archive}
    arrays["test/labels"] = (arrays["test/labels"] + 1) % 3
    np.savez(run / "answers.npz", **arrays)
    after = evaluate(open_experiment(run))
    assert after["cascade"]["threshold_code"] == before and after["quantized"]["final"] < 0.1


def test_the_design_is_emitted_without_torch_and_without_data(tmp_path, monkeypatch):
    run = copy_run(tmp_path)
    monkeypatch.setattr(Experiment, "splits", property(lambda _: pytest.fail("the data was read")))
    monkeypatch.setattr(Experiment, "model", property(lambda _: pytest.fail("the network was built")))
    (run / "hls" / "src" / "tiny_exit1.cpp").unlink()
    hls(open_experiment(run), force=True)
    assert (run / "hls" / "src" / "tiny_exit1.cpp").is_file()


def test_damaged_answers_are_named(tmp_path):
    run = copy_run(tmp_path)
    (run / "answers.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match="cannot be read"):
        load_answers(open_experiment(run).folder, "test")


def test_two_processes_do_not_meet_in_a_run_folder(tmp_path):
    lines: list[str] = []
    run = copy_run(tmp_path)
    first, second = open_experiment(run), open_experiment(run, say=lines.append)
    with first.locked():
        waiting = threading.Thread(target=plan, args=(second,))
        waiting.start()
        while not lines:
            waiting.join(0.01)
        assert "waiting for another codesign" in lines[0]
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_config_is_named_after_its_file_unless_it_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path)
    assert open_experiment(config).folder.path == Path("runs/tiny")
    config.write_text("seed = 3\n")
    assert open_experiment(config.rename(tmp_path / "mine.toml")).folder.path == Path("runs/mine")
    (tmp_path / "bad.toml").write_text('name = "../up"\n')
    with pytest.raises(ConfigError, match="cannot name a run folder"):
        open_experiment(tmp_path / "bad.toml")


@pytest.mark.parametrize("config", [Config(name="../../x"), Config(name="a\0b"), Config(seed=-1)])
def test_a_config_of_python_values_is_checked_too(tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot name a run folder|control character|is no seed"):
        open_experiment(config)
    assert not list(tmp_path.iterdir())


def test_a_run_folder_has_its_place(tmp_path):
    with pytest.raises(ConfigError, match="has its place already"):
        open_experiment(stored_run(), tmp_path)


@pytest.mark.parametrize(
    ("keys", "cycles"),
    [
        ({}, 0),
        ({"interval_cycles": 900}, 900),
        ({"target_fps": 1e5}, 1000),
        ({"target_fps": 3e5, "clock_mhz": 200.0}, 666),
    ],
)
def test_a_goal_is_said_in_cycles_or_frames(keys, cycles):
    assert goal_cycles(PlanConfig(**keys)) == cycles


@pytest.mark.parametrize(
    "keys", [{"interval_cycles": 9, "target_fps": 1.0}, {"interval_cycles": -1}, {"target_fps": 1e9}]
)
def test_an_impossible_goal_is_named(keys):
    with pytest.raises(ConfigError):
        goal_cycles(PlanConfig(**keys))


def test_float_criteria_are_the_textbook_ones():
    logits = np.random.default_rng(0).normal(0, 3, (500, 7))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ordered = np.sort(logits, axis=1)
    H = -(p * np.log(p)).sum(axis=1)

    assert np.allclose(entropy(logits.max(axis=1, keepdims=True) - logits), H)
    assert np.array_equal(exits_in_float("entropy", logits, 0.5), H < 0.5)
    assert np.array_equal(exits_in_float("max-probability", logits, 0.8), p.max(axis=1) > 0.8)
    assert np.array_equal(exits_in_float("margin", logits, 1.5), ordered[:, -1] - ordered[:, -2] > 1.5)


def test_reports_of_parts_add_up():
    part = CsimReport(100, 1, 3, "native", 1.0, 1000.0, "none", None)
    both = together([part, dataclasses.replace(part, frames=300, images_per_cpu_s=2000.0)])
    assert (both.frames, both.mismatched_frames, both.mismatched_codes) == (400, 2, 6)
    assert both.images_per_cpu_s == pytest.approx(400 / (0.1 + 0.15))


def test_a_config_of_python_values_is_an_experiment(tmp_path):
    experiment = open_experiment(Config(name="x", exit=ExitConfig(threshold=0.5)), tmp_path / "run")
    assert open_experiment(tmp_path / "run").config == experiment.config
