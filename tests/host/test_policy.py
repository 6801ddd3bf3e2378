"""A slimmable run's policy on a board: the very scripts in the overlay folder give what the policy gives on a PC."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from chips import GoldenChip, RtlChip, build_overlay, design_of, on_board
from rtl.cores import needs_verilator

from codesign import cli
from codesign.errors import CodesignError
from codesign.flow import open_experiment
from codesign.flow.board import board as emit
from codesign.flow.policy import load_widths
from codesign.flow.policy_dispatch import open_policy
from codesign.flow.rtlsim import compile_run
from codesign.runtime.policy import load_policy
from codesign.verify import golden
from codesign.verify.verilated import Simulation
from tests.flow.test_slim import SLIM
from tests.runs import write_config

pytestmark = pytest.mark.skipif(not shutil.which("tclsh"), reason="needs tclsh")

FRAMES = 300
CHAINS = [
    [(0.5, "exit1"), (1.0, "final")],
    [(0.5, "exit1"), (0.5, "final"), (1.0, "exit1"), (1.0, "final")],
    [(0.5, "final"), (1.0, "final")],
    [(1.0, "exit1"), (1.0, "final")],
    [(0.5, "final")],
]
Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module", params=["entropy", pytest.param("margin", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tuned slimmable run with an overlay."""
    folder = tmp_path_factory.mktemp("board")
    text = SLIM.replace("[quantize]", f'[exit]\ncriterion = "{request.param}"\n[quantize]')
    arguments = [str(write_config(folder, text)), "--run", str(folder / "run"), "--max-accuracy-drop", "0.05"]
    assert cli.main(["tune", *arguments]) == 0
    build_overlay(folder / "run")
    return folder / "run"


@pytest.fixture
def overlay(run: Path) -> Path:
    return run / "board" / "pynq-z2" / "overlay"


@pytest.fixture
def board(run: Path, overlay: Path) -> Iterator[SimpleNamespace]:
    with on_board(overlay, GoldenChip(design_of(run))) as scripts:
        yield scripts


@pytest.fixture(scope="module")
def images(run: Path) -> np.ndarray:
    """Test frames with noise of every strength, so that frames stop everywhere."""
    known = np.load(run / "answers.npz")["samples"]
    rng = np.random.default_rng(1)
    frames, share = known[rng.integers(0, len(known), FRAMES)], rng.random((FRAMES, 1, 1, 1))
    return (frames * (1 - share) + rng.integers(0, 256, frames.shape) * share).astype(np.uint8)


def answered(run: Path, path: Path, images: np.ndarray) -> np.ndarray:
    """Stage, class and code (3, N) of every frame on a PC."""
    with open_policy(open_experiment(run), "golden", policy=load_policy(path), tail="numpy") as cascade:
        parts = list(cascade.run(images, batch=64))
    return np.array([np.concatenate([getattr(p, name) for p in parts]) for name in ("exit_N", "class_N", "code_N")])


def with_chain(run: Path, chain: list[tuple[float, str]], images: np.ndarray, to: Path) -> Path:
    """A policy of the run's networks with these stages, each of which stops about half of the frames that come to it."""
    graphs, cuts = load_widths(open_experiment(run))
    rows, left_N = [], np.ones(len(images), bool)
    for width, name in chain[:-1]:
        unit = cuts[width].units[cuts[width].names.index(name)]
        logits = graphs[width].exit(name).logits
        values = golden.run(graphs[width], {"image": images.astype(np.int64)}, keep=[logits])
        codes_N = unit.evaluate(values[logits].reshape(len(images), -1))[1]
        code = int(np.median(codes_N[left_N]))
        left_N &= ~unit.decide(codes_N, code)
        rows.append({"width": width, "exit": name, "threshold": unit.threshold_value(code), "threshold_code": code})
    last = {"width": chain[-1][0], "exit": chain[-1][1], "threshold": None, "threshold_code": None}
    to.write_text(json.dumps({**json.loads((run / "policy.json").read_text()), "stages": [*rows, last]}))
    return to


def classified(scripts: SimpleNamespace, overlay: Path, path: Path, images: np.ndarray, batch: int = 64) -> np.ndarray:
    """Stage, class and code (3, N) of every frame on the board."""
    with scripts.driver.Branch(str(overlay), batch, timeout_s=120) as branch:
        cascade = scripts.policy.PolicyCascade(branch, scripts.policy.load_policy(str(path), branch))
        answers = cascade.classify(images)
    return np.array([answers.exit_N, answers.class_N, answers.code_N])


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(f"{w:g}{e}" for w, e in chain))
def test_a_board_obeys_any_policy_as_a_pc_does(run, board, overlay, images, tmp_path, chain):
    path = with_chain(run, chain, images, tmp_path / "policy.json")
    want = answered(run, path, images)
    assert len(set(want[0])) == len(chain), "frames stop at every stage"
    np.testing.assert_array_equal(classified(board, overlay, path, images), want)


@needs_verilator
@pytest.mark.slow
def test_the_emitted_design_obeys_it_too(run, overlay, images, tmp_path):
    path = with_chain(run, CHAINS[1], images, tmp_path / "policy.json")
    design = design_of(run)
    with (
        Simulation(compile_run(open_experiment(run), design)) as simulation,
        on_board(overlay, RtlChip(simulation, design)) as scripts,
    ):
        np.testing.assert_array_equal(classified(scripts, overlay, path, images), answered(run, path, images))
        assert scripts.fabric.downloads == 1


def test_the_script_agrees_with_the_integer_model(run, board, overlay, images, tmp_path, capsys):
    words = ["--folder", str(overlay), "--batch", "16"]
    assert board.policy.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["different_frames"]) == (60, 0)
    assert told["frames_per_second"] > 0
    stages = json.loads((run / "policy.json").read_text())["stages"]
    assert [{k: s[k] for k in ("width", "exit", "threshold_code")} for s in stages] == [
        {k: s[k] for k in ("width", "exit", "threshold_code")} for s in told["stages"]
    ]

    path = with_chain(run, CHAINS[1], images, tmp_path / "other.json")
    np.savez(tmp_path / "mine.npz", images=images, labels=np.zeros(FRAMES, np.int64))
    words += ["--policy", str(path)]
    assert board.policy.main([*words, "--frames", str(tmp_path / "mine.npz"), "--json"]) == 0
    told, (stage_N, class_N, _) = json.loads(capsys.readouterr().out), answered(run, path, images)
    assert told["accuracy"] == (class_N == 0).mean()
    assert [stage["rate"] for stage in told["stages"]] == [(stage_N == k).mean() for k in range(4)]
    assert "different_frames" not in told, "nobody knows the answers of another policy"
    assert board.policy.main(words) == 0
    assert "width 0.5    exit final" in capsys.readouterr().out


def test_wrong_answers_are_told(board, overlay, tmp_path, capsys):
    wrong = Path(shutil.copytree(overlay, tmp_path / "overlay"))
    known = dict(np.load(wrong / "frames.npz"))
    np.savez(wrong / "frames.npz", **{**known, "policy_class": (known["policy_class"] + 1) % 3})
    table = json.loads((wrong / "board.json").read_text())
    del table["sha256"]["frames.npz"]
    (wrong / "board.json").write_text(json.dumps(table))
    assert board.policy.main(["--folder", str(wrong), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["different_frames"] == 60


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.update(key="another"), "is the policy of another network than this overlay's"),
        (lambda t: t.update(criterion="max-probability"), "is the policy of another network than this overlay's"),
        (lambda t: t["stages"][-1].update(width=0.75), r"asks for width 0.75, and the hardware has 0.5, 1"),
        (lambda t: t["stages"][-1].update(exit="exit9"), "asks for exit exit9, and the network has exit1, final"),
        (lambda t: t["stages"].append(dict(t["stages"][0])), "stages must go on to wider widths and later exits"),
        (lambda t: t["stages"].clear(), "stages must go on to wider widths and later exits"),
        (lambda t: t["stages"][-1].update(exit="exit1"), "end with a last exit"),
        (lambda t: t["stages"][-1].update(threshold_code=3), "every stage but the last needs a threshold code"),
        (
            lambda t: t["stages"][0].update(threshold_code="3; reboot"),
            "every stage but the last needs a threshold code",
        ),
        (lambda t: t["stages"][0].update(threshold_code=-1), "every stage but the last needs a threshold code"),
        (lambda t: t["stages"][0].pop("width"), "is no policy: KeyError('width')"),
        (lambda t: t.update(stages=3), "is no policy"),
    ],
)
def test_a_policy_that_does_not_fit_is_one_error(run, board, overlay, images, tmp_path, capsys, edit: Edit, words: str):
    path = with_chain(run, CHAINS[3], images, tmp_path / "policy.json")
    table = json.loads(path.read_text())
    edit(table)
    path.write_text(json.dumps(table))
    assert board.policy.main(["--folder", str(overlay), "--policy", str(path), "--json"]) == 2
    captured = capsys.readouterr()
    assert words in json.loads(captured.out)["error"]
    assert captured.err.startswith("error: ") and "codesign tune RUN" in captured.err


def test_a_missing_policy_says_who_writes_it(board, overlay, capsys):
    assert board.policy.main(["--folder", str(overlay), "--policy", str(overlay / "none.json")]) == 2
    assert "none.json cannot be read" in (shown := capsys.readouterr().err) and "`codesign tune RUN`" in shown


def test_another_tune_leaves_the_bitstream(run, overlay):
    kept, facts = (run / "policy.json").read_text(), json.loads((overlay / "board.json").read_text())
    assert "policy.json" not in facts["sha256"]
    assert {p.name for p in (overlay / "tail").iterdir()} == {"w0.5", "w1"}
    table = json.loads(kept)
    table["stages"] = [{**table["stages"][-1], "width": 0.5}]
    try:
        (run / "policy.json").write_text(json.dumps(table))
        assert emit(open_experiment(run), "pynq-z2")["bitstream"]
        assert json.loads((overlay / "policy.json").read_text())["stages"] == table["stages"]
        (run / "policy.json").write_text(json.dumps({**table, "key": "of other networks"}))
        assert emit(open_experiment(run), "pynq-z2")["bitstream"]
        assert not (overlay / "policy.json").exists(), "a policy of other networks is not packed"
    finally:
        (run / "policy.json").write_text(kept)
        emit(open_experiment(run), "pynq-z2")


def test_a_policy_that_a_pc_refuses_is_refused_on_a_board(run, board, overlay, images, tmp_path):
    """Both read the same file, and agree on which stages can be run."""
    table = json.loads(with_chain(run, CHAINS[1], images, tmp_path / "policy.json").read_text())
    rng, path, seen = np.random.default_rng(0), tmp_path / "other.json", set()
    with board.driver.Branch(str(overlay)) as branch:
        for _ in range(60):
            stages = [table["stages"][k] for k in rng.choice(4, rng.integers(1, 5), replace=bool(rng.integers(2)))]
            stages[-1] = {**stages[-1], "threshold": None, "threshold_code": None}
            path.write_text(json.dumps({**table, "stages": stages}))
            pc, there = True, True
            try:
                with open_policy(open_experiment(run), "software", policy=load_policy(path), tail="numpy"):
                    pass
            except CodesignError:
                pc = False
            try:
                board.policy.load_policy(str(path), branch)
            except board.files.OverlayError:
                there = False
            assert pc == there, [(s["width"], s["exit"], s["threshold_code"]) for s in stages]
            seen.add(pc)
    assert seen == {True, False}
