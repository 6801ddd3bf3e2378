"""What users do with a clean tree: install it, run it elsewhere, follow the example, train the paper's network."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rtl.cores import needs_verilator
from runs import copy_run

from codesign.config import load_config
from codesign.flow import csim, evaluate, open_experiment
from codesign.flow.rtlsim import RtlOptions, rtlsim

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
DATA = os.environ.get("CODESIGN_DATA", "")
NEEDS_MNIST = pytest.mark.skipif(
    not (DATA and (Path(DATA) / "mnist").is_dir()), reason="needs CODESIGN_DATA with mnist/"
)
NOT_SHIPPED = shutil.ignore_patterns(".git", ".venv", "runs", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")


def run(*command: object, cwd: Path, status: int = 0, **environment: str) -> str:
    """Standard output of a command that must end with `status`."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == status, done.stderr[-4000:]
    return done.stdout


def codesign(*arguments: object, cwd: Path = ROOT, status: int = 0) -> dict:
    """The JSON answer of a command line in a process of its own."""
    out = run(sys.executable, "-m", "codesign", *arguments, "--json", cwd=cwd, status=status, PYTHONPATH=str(ROOT))
    return json.loads(out)


@pytest.mark.slow
def test_an_installed_wheel_emits_and_simulates_in_another_folder(tmp_path):
    """`pip install .` of a clean tree: templates and devices are in the wheel, the checkout is out of reach."""
    tree, site, elsewhere = tmp_path / "tree", tmp_path / "site", tmp_path / "elsewhere"
    shutil.copytree(ROOT, tree, ignore=NOT_SHIPPED, symlinks=True)
    elsewhere.mkdir()
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, ".", cwd=tree)
    shutil.rmtree(tree)
    assert (site / "codesign" / "hls_templates" / "lib" / "cs_types.h").exists()
    assert list((site / "codesign" / "devices").glob("*.toml"))
    assert {path.name for path in (site / "codesign" / "configs").iterdir()} == {p.name for p in CONFIGS.iterdir()}

    stored = copy_run(tmp_path)
    shutil.rmtree(stored / "hls")
    where = {"cwd": elsewhere, "PYTHONPATH": str(site)}
    assert run(sys.executable, "-c", "import codesign; print(codesign.__file__)", **where).startswith(str(site))
    assert json.loads(run(sys.executable, "-m", "codesign", "hls", stored, "--json", **where))["top"] == "tiny_exit1"
    assert (stored / "hls" / "src" / "tiny_exit1.cpp").exists()
    assert json.loads(run(sys.executable, "-m", "codesign", "csim", stored, "--json", **where))["mismatched_codes"] == 0
    assert run(site / "bin" / "codesign", "--version", **where).startswith("codesign ")


@pytest.mark.slow
def test_the_example_of_an_own_model_runs(tmp_path):
    example = ROOT / "examples" / "own_model.py"
    assert len(example.read_text().splitlines()) < 40
    out = run(sys.executable, example, tmp_path, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert "frames=280, mismatched_frames=0, mismatched_codes=0" in out


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory) -> Path:
    """The paper's experiment, trained once for all slow tests, or the one that CODESIGN_MNIST_RUN names."""
    given = os.environ.get("CODESIGN_MNIST_RUN")
    folder = Path(given) if given else tmp_path_factory.mktemp("runs") / "lenet5_mnist"
    codesign("train", ROOT / "configs" / "lenet5_mnist.toml", "--run", folder)
    return folder


@pytest.mark.slow
@NEEDS_MNIST
def test_lenet5_on_mnist_is_as_good_as_promised(mnist_run):
    answer = codesign("evaluate", mnist_run)
    exact, real, cascade = answer["quantized"], answer["float"], answer["cascade"]

    assert answer["frames"] == 10_000
    assert exact["final"] >= 0.990 and exact["exit1"] >= 0.985
    assert all(real[name] - exact[name] <= 0.001 for name in real)
    assert cascade["chosen"] == "calibration split"
    assert cascade["exit_rate"] >= 0.94
    assert cascade["accuracy"] >= exact["final"] - 0.0005
    assert answer["flip_rate"] < 0.02


@pytest.mark.slow
@NEEDS_MNIST
@pytest.mark.parametrize("types", ["native", "vendor"])
def test_every_code_of_every_mnist_test_frame_is_right(mnist_run, types):
    answer = codesign("csim", mnist_run, "--types", types)

    assert (answer["frames"], answer["mismatched_frames"], answer["mismatched_codes"]) == (10_000, 0, 0)
    assert answer["types"] == types and answer["first_difference"] is None
    assert answer["compared"] == ["logits", "features", "decision", "m_axis_feature"]


@pytest.mark.slow
@NEEDS_MNIST
@needs_verilator
@pytest.mark.parametrize(("pixels", "most"), [(1, 800), (2, 410), (4, 210)])
def test_every_word_and_every_cycle_of_mnist_in_rtl(mnist_run, tmp_path, pixels, most):
    """The default design over all test frames; two and four pixels a cycle on a larger part over some."""
    folder, frames = mnist_run, 0
    if pixels > 1:
        folder, frames = Path(shutil.copytree(mnist_run, tmp_path / "run")), 300
        config = json.loads((folder / "config.json").read_text())
        config["plan"] |= {"device": "xc7vx690t", "pixels_per_cycle": pixels}
        (folder / "config.json").write_text(json.dumps(config))
    answer = codesign("rtlsim", folder, "--frames", frames)

    assert (answer["frames"], answer["mismatched_codes"]) == (frames or 10_000, 0)
    assert answer["interval_cycles"] == answer["estimated_interval_cycles"] <= most
    assert answer["latency_cycles"] == answer["estimated_latency_cycles"]


@pytest.mark.slow
@NEEDS_MNIST
def test_the_planned_fifos_are_deep_enough_for_mnist(mnist_run):
    answer = codesign("csim", mnist_run, "--threads", "--frames", 200)
    assert answer["mismatched_codes"] == 0 and answer["compared"] == ["decision", "m_axis_feature"]


@pytest.mark.slow
@pytest.mark.skipif(not (DATA and (Path(DATA) / "cifar10").is_dir()), reason="needs CODESIGN_DATA with cifar10/")
@pytest.mark.parametrize("name", ["vgg_cifar10", "resnet_cifar10", "mobile_cifar10"])
def test_cifar10_networks_with_three_exits_go_the_same_way(tmp_path, name):
    """The shipped configs with a short training: codes are compared, accuracy is not."""
    config = load_config(ROOT / "configs" / f"{name}.toml")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, limit=1000, validation=200, calibration=500),
        train=dataclasses.replace(config.train, epochs=1),
        quantize=dataclasses.replace(config.quantize, epochs=0),
    )
    experiment = open_experiment(config, tmp_path / "run")
    assert len(evaluate(experiment)["quantized"]) == 3

    report = csim(experiment, frames=300)
    assert (report.frames, report.mismatched_frames, report.mismatched_codes) == (300, 0, 0)

    if name == "vgg_cifar10" and shutil.which("verilator"):
        simulated, _ = rtlsim(experiment, RtlOptions(frames=100))
        assert (simulated.frames, simulated.mismatched_codes, simulated.agrees, simulated.exact) == (100, 0, True, True)
        stalled, _ = rtlsim(experiment, RtlOptions(frames=100, stall=64, threshold=1.5))
        assert stalled.agrees
