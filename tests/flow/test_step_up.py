"""Frames of a causal network that come one at a time step up from width to width, and get the answers that batches get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl.cores import needs_verilator

from codesign import cli
from codesign.flow import open_experiment
from codesign.flow.csim import images_of
from codesign.flow.policy import load_widths
from codesign.flow.policy_dispatch import open_policy
from codesign.runtime.accelerators import GoldenAccelerator, RtlAccelerator
from codesign.runtime.dispatch_ledger import Rules
from codesign.runtime.dispatch_types import TransferError
from codesign.runtime.step_up import StepUp
from tests.flow.test_policy import halves, replayed
from tests.flow.test_slim import SLIM
from tests.runs import write_config

CHAINS = [
    [(0.5, "exit1"), (1.0, "final")],
    [(0.5, "exit1"), (0.5, "final"), (1.0, "exit1"), (1.0, "final")],
    [(0.5, "final"), (1.0, "exit1"), (1.0, "final")],
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal network, which steps up."""
    folder = tmp_path_factory.mktemp("step_up")
    config = write_config(folder, SLIM.replace('recipe = "joint"', 'recipe = "causal"'))
    assert cli.main(["quantize", str(config), "--run", str(folder / "run")]) == 0
    return folder / "run"


def stepped(run: Path, policy, monkeypatch, accelerator: str, batch: int, window: int) -> tuple[np.ndarray, int]:
    """Stage, class and code (3, N) of every test frame, and how many frames were stepped up."""
    made: list[StepUp] = []
    right = StepUp.__init__
    monkeypatch.setattr(StepUp, "__init__", lambda self, *rest: (made.append(self), right(self, *rest))[1])
    experiment, rules = open_experiment(run), Rules(window=window)
    with open_policy(experiment, accelerator, policy=policy, tail="numpy", rules=rules) as cascade:
        parts = list(cascade.run(images_of(experiment, 0), batch=batch))
        assert cascade.dispatcher.events == []
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("exit_N", "class_N", "code_N")]
    return np.array(columns), made[0].steps if made else 0


def wide(policy, stage_N: np.ndarray) -> int:
    """How many frames come to the widest network."""
    first = next(at for at, stage in enumerate(policy.stages) if stage.width == 1.0)
    return int((stage_N >= first).sum())


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(f"{w:g}{e}" for w, e in chain))
def test_every_frame_that_goes_on_steps_up_when_frames_come_alone(run, monkeypatch, chain):
    policy = halves(run, chain)
    want = replayed(run, policy)
    got, steps = stepped(run, policy, monkeypatch, "golden", batch=1, window=1)
    np.testing.assert_array_equal(got, want)
    assert steps == wide(policy, want[0]) > 0


def test_batches_start_again_from_the_image(run, monkeypatch):
    policy = halves(run, CHAINS[1])
    got, steps = stepped(run, policy, monkeypatch, "golden", batch=16, window=4)
    np.testing.assert_array_equal(got, replayed(run, policy))
    assert steps == 0


def test_c_simulation_keeps_nothing(run, monkeypatch):
    policy = halves(run, CHAINS[0])
    got, steps = stepped(run, policy, monkeypatch, "csim", batch=60, window=1)
    np.testing.assert_array_equal(got, replayed(run, policy))
    assert steps == 0


@needs_verilator
@pytest.mark.slow
def test_the_emitted_design_steps_up(run, monkeypatch):
    seen: list[float | None] = []
    right = RtlAccelerator._run

    def noted(self, *rest):
        seen.append(self.base)
        return right(self, *rest)

    monkeypatch.setattr(RtlAccelerator, "_run", noted)
    policy = halves(run, CHAINS[1])
    want = replayed(run, policy)
    got, steps = stepped(run, policy, monkeypatch, "rtl", batch=1, window=1)
    np.testing.assert_array_equal(got, want)
    assert seen.count(0.5) == steps == wide(policy, want[0]) > 0


def channels_of(heads):
    return {width: head.graph.types[head.feature].channels for width, head in heads.items()}


def test_whatever_is_sent_the_transfers_are_those_without_steps(run):
    """The golden accelerator refuses a step of a frame that was not the last, as the hardware would answer it wrong."""
    experiment = open_experiment(run)
    heads = {width: cut.head for width, cut in load_widths(experiment)[1].items()}
    device, plain = StepUp(GoldenAccelerator(heads), channels_of(heads)), GoldenAccelerator(heads)
    images, rng = images_of(experiment, 2), np.random.default_rng(0)
    for _ in range(400):
        device.width = plain.width = float(rng.choice([0.5, 1.0]))
        batch = images[rng.integers(0, 2, rng.choice([1, 1, 1, 2]))]
        threshold = int(rng.choice([0, 0, 0, 1 << 17]))
        got, want = device.run(batch, threshold, 1.0), plain.run(batch, threshold, 1.0)
        for name in ("words_N", "feature_frames_M", "features_MHWC", "exits"):
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
        if not rng.integers(0, 8):
            device.reset()
    assert device.steps > 10


def test_a_failure_in_between_ends_what_could_be_stepped_up(run):
    heads = {width: cut.head for width, cut in load_widths(open_experiment(run))[1].items()}
    golden = GoldenAccelerator(heads)
    device, image = StepUp(golden, channels_of(heads)), images_of(open_experiment(run), 1)
    device.width = 0.5
    device.run(image, 0, 1.0)
    device.stop()
    device.width = 1.0
    with pytest.raises(TransferError):
        device.run(image, 0, 1.0)
    device.reset()
    assert device.run(image, 0, 1.0).features_MHWC.shape[3] == 4
    assert device.steps == 0
