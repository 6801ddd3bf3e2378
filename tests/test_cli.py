"""The command line's contract: JSON alone on standard output, exit codes that mean something, errors in their words."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from runs import copy_run, stored_run, write_config

from codesign.cli import main
from codesign.emit import hls as emit_hls
from codesign.emit import templates
from codesign.flow import open_experiment

ROOT = Path(__file__).parents[1]


def run_json(capsys, *arguments: object) -> tuple[int, dict]:
    """Status and the one JSON object on standard output."""
    capsys.readouterr()
    status = main([*map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def fail(capsys, *arguments: object, status: int = 2) -> str:
    """What a failing command says; the JSON on standard output says the same."""
    got, answer = run_json(capsys, *arguments)
    assert got == status
    error = answer["error"]
    assert set(error) == {"kind", "what", "where", "hint"}
    return f"{error['where']}: {error['what']} ({error['hint']})"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """The tiny config with a change."""
    config = write_config(tmp_path)
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    return config


def test_help_is_light_and_names_every_command():
    program = "import sys; from codesign.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)

    assert all(name in done.stdout for name in ("train", "quantize", "hls", "csim", "evaluate", "doctor", "plan"))
    assert not {"torch", "numpy", "rich", "jinja2"} & {name.partition(".")[0] for name in done.stderr.split()}


def test_evaluate_prints_the_agreed_keys(capsys, tmp_path):
    status, answer = run_json(capsys, "evaluate", copy_run(tmp_path))

    assert status == 0
    assert set(answer) >= {"float", "quantized", "cascade", "flip_rate"}
    assert list(answer["float"]) == list(answer["quantized"]) == ["exit1", "final"]
    assert {"threshold", "exit_rate", "accuracy"} <= set(answer["cascade"])
    assert answer["cascade"]["chosen"] == "calibration split"
    assert 0 <= answer["flip_rate"] <= 1 and answer["quantized"]["final"] > 0.9


def test_csim_finds_no_difference_and_says_how_fast(capsys):
    status, answer = run_json(capsys, "csim", stored_run())

    assert status == 0
    wanted = {"frames": 60, "mismatched_frames": 0, "mismatched_codes": 0, "types": "native"}
    assert answer["compared"] == ["logits", "features", "decision", "m_axis_feature"]
    assert wanted.items() <= answer.items()
    assert answer["images_per_cpu_s"] > 0 and answer["compile_cpu_s"] > 0 and "native" in answer["headers"]


def test_csim_exits_1_when_a_source_is_broken(capsys, tmp_path):
    """The simulation runs the sources as they are, edited by hand or not, and says where they go wrong."""
    run = copy_run(tmp_path)
    broken(run / "hls" / "src" / "cs_pool.h", "if (code > best)", "if (code < best)")
    assert "frame 0, stem.pool[" in first_difference(capsys, run)


def test_csim_exits_1_when_a_template_is_broken(capsys, tmp_path, monkeypatch):
    """A broken template makes the sources out of date; those made from it are caught."""
    run = copy_run(tmp_path)
    folder = Path(shutil.copytree(templates.template_folder(), tmp_path / "hls_templates"))
    broken(folder / "hls" / "ops" / "requantize.cpp.j2", "SHIFT = {{ shift }}", "SHIFT = {{ shift + 1 }}")
    for module in (templates, emit_hls):
        monkeypatch.setattr(module, "template_folder", lambda: folder)
    templates.environment.cache_clear()
    try:
        assert "frame 0, stem.conv.requantize[" in first_difference(capsys, run)
    finally:
        templates.environment.cache_clear()


def broken(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def first_difference(capsys, run: Path) -> str:
    """What a csim that must fail says first; standard error and JSON agree on it."""
    status = main(["csim", str(run), "--json"])
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert status == 1
    assert answer["mismatched_codes"] > 0 and answer["mismatched_frames"] > 0
    assert f"first difference: {answer['first_difference']}" in captured.err
    return answer["first_difference"]


def test_tables_go_to_standard_error(capsys, tmp_path):
    for command in ("train", "quantize", "plan", "hls", "evaluate"):
        assert main([command, str(stored_run())]) == 0
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err


def test_steps_that_are_up_to_date_are_skipped(capsys):
    assert main(["hls", str(stored_run())]) == 0
    assert "hls: up to date" in capsys.readouterr().err
    assert main(["train", str(stored_run()), "--json"]) == 0
    captured = capsys.readouterr()
    assert "train: up to date" in captured.err and json.loads(captured.out)["test"]["final"] > 0.9


def test_ctrl_c_leaves_no_traceback(capsys, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("codesign.flow.experiment.open_experiment", interrupt)
    assert main(["train", "x.toml"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted; the same command goes on from here"


def test_ctrl_c_during_training_ends_the_process_quietly(tmp_path):
    config = edited(tmp_path, "epochs = 3", "epochs = 100000")
    command = [sys.executable, "-m", "codesign", "train", str(config), "--run", str(tmp_path / "run")]
    # A shell's background jobs ignore Ctrl-C, and so would a child of a test run that is one.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    try:
        assert child.stderr is not None
        assert "train:" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        _, rest = child.communicate(timeout=60)
        assert child.returncode == 130 and "Traceback" not in rest
    finally:
        child.kill()


def test_an_unknown_key_is_named_with_the_nearest(capsys, tmp_path):
    said = fail(capsys, "train", edited(tmp_path, "epochs = 3", "epoch = 3"))
    assert "unknown key 'epoch'" in said and "did you mean 'epochs'?" in said


def test_without_a_command_there_is_help(capsys):
    assert main([]) == 2
    assert "usage: codesign" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian", "x"], "invalid choice: 'trian'"),
        (["csim"], "required: RUN"),
        (["csim", "x", "--frames", "many"], "invalid int value: 'many'"),
        (["csim", "x", "--types", "fast"], "invalid choice: 'fast'"),
        (["hls", "x", "--fast"], "unrecognized arguments: --fast"),
        ([], "required: COMMAND"),
    ],
)
def test_a_wrong_command_line_is_an_error_in_json_too(capsys, words, said):
    assert said in fail(capsys, *words)


def test_a_shipped_config_goes_by_its_name(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = open_experiment("lenet5_mnist")
    assert (experiment.config.name, experiment.folder.path) == ("lenet5_mnist", Path("runs/lenet5_mnist"))
    said = fail(capsys, "train", "lenet")
    assert "no such run folder or config" in said and "one of default, lenet5_mnist, " in said


def test_a_missing_target_is_named(capsys, tmp_path):
    assert "no such run folder or config" in fail(capsys, "train", tmp_path / "absent")
    assert "cannot read this config" in fail(capsys, "train", tmp_path / "absent.toml")
    assert "this folder is no run" in fail(capsys, "hls", tmp_path)


def test_a_missing_data_folder_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("CODESIGN_DATA", raising=False)
    config = edited(tmp_path, 'dataset = "npz"', 'dataset = "mnist"')
    assert "CODESIGN_DATA" in fail(capsys, "train", config, "--run", tmp_path / "run")


def test_a_missing_package_names_its_extra(capsys, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("codesign.nn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    said = fail(capsys, "train", write_config(tmp_path), "--run", tmp_path / "run")
    assert "the package torch is not installed" in said and "pip install 'codesign[train]'" in said


def test_a_folder_that_cannot_be_written_is_named(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    said = fail(capsys, "train", write_config(tmp_path), "--run", tmp_path / "file" / "run")
    assert str(tmp_path / "file") in said and "permissions" in said


def test_an_unsupported_layer_is_named_with_its_path(capsys, tmp_path, monkeypatch):
    (tmp_path / "odd_net.py").write_text(
        "from torch import nn\nfrom codesign.nn.exits import Exit, MultiExit\n"
        "class Odd(MultiExit):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh())\n"
        "        self.exit1 = Exit(nn.Sequential(nn.Flatten(), nn.Linear(200, classes)))\n"
        "        self.rest = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Flatten())\n"
        "        self.final = Exit(nn.Linear(128, classes))\n"
        "    def forward(self, x):\n"
        "        x = self.stem(x)\n"
        "        return self.exit1(x), self.final(self.rest(x))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = edited(tmp_path, 'name = "lenet5"', 'name = "odd_net:Odd"')
    config.write_text(config.read_text().replace("options = { stem_channels = 2, branch_channels = 4 }\n", ""))
    said = fail(capsys, "quantize", config, "--run", tmp_path / "run")
    assert "stem.1" in said and "Tanh" in said and "ReLU" in said


def test_a_wrong_image_size_is_named(capsys, tmp_path):
    import numpy as np

    config = write_config(tmp_path)
    np.savez(tmp_path / "bars.npz", x=np.zeros((200, 3, 3), np.uint8), y=np.arange(200) % 3)
    said = fail(capsys, "train", config, "--run", tmp_path / "run")
    assert "lenet5: cannot be built" in said and "[model.options]" in said


def test_truncated_weights_are_named(capsys, tmp_path):
    run = copy_run(tmp_path)
    weights = run / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    said = fail(capsys, "quantize", run)
    assert str(weights) in said and "truncated or not a safetensors file" in said


def test_a_pickle_is_not_run(capsys, tmp_path):
    """Weights that would run code when unpickled are refused, and nothing runs."""
    run, proof = copy_run(tmp_path), tmp_path / "proof"
    attack = f"cos\nsystem\n(S'touch {proof}'\ntR."
    (run / "weights.safetensors").write_text(attack)
    (run / "answers.npz").write_text(attack)
    assert "not a safetensors file" in fail(capsys, "quantize", run)
    assert not proof.exists()


def test_weights_with_nan_are_named(capsys, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    run = copy_run(tmp_path)
    tensors = load_file(run / "weights.safetensors")
    name = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, run / "weights.safetensors")
    said = fail(capsys, "quantize", run)
    assert name in said and "NaN" in said


def test_an_impossible_folding_is_named(capsys, tmp_path):
    run = copy_run(tmp_path)
    config = json.loads((run / "config.json").read_text())
    config["plan"]["foldings"] = {"stem.conv": [5, 7]}
    (run / "config.json").write_text(json.dumps(config))
    said = fail(capsys, "hls", run)
    assert "stem.conv" in said and "PE=5, SIMD=7" in said and "use PE in" in said


def test_an_impossible_threshold_is_named(capsys):
    assert "out of range for entropy" in fail(capsys, "csim", stored_run(), "--threshold", "9")
    assert "the test split has 60" in fail(capsys, "csim", stored_run(), "--frames", "1000")


def test_a_damaged_graph_is_named(capsys, tmp_path):
    run = copy_run(tmp_path)
    graph = run / "graph.json"
    graph.write_text(graph.read_text()[:500])
    assert str(graph) in fail(capsys, "evaluate", run)


def test_wrong_recorded_logits_are_a_difference_not_an_error(capsys, tmp_path):
    import numpy as np

    run = copy_run(tmp_path)
    with np.load(run / "answers.npz") as archive:
        arrays = {name: archive[name] for name in archive}
    arrays["test/codes/final"][7, 1] += 1
    np.savez(run / "answers.npz", **arrays)
    said = fail(capsys, "evaluate", run, status=1)
    assert "exit final" in said and "first in frame 7" in said


def test_the_module_runs_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "codesign", "hls", tmp_path / "none", "--json"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["kind"] == "ConfigError"
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
def test_a_source_that_does_not_compile_is_an_error(capsys, tmp_path):
    run = copy_run(tmp_path)
    source = run / "hls" / "src" / "tiny_exit1.cpp"
    source.write_text(source.read_text() + "\nthis is no C++\n")
    assert "does not compile" in fail(capsys, "csim", run)
