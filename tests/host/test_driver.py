"""The scripts of the overlay folder on a stand-in for pynq: batches, thresholds, faults, files that do not belong together."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from chips import GoldenChip, build_overlay, design_of, on_board
from runs import copy_run

from codesign.flow import open_experiment
from codesign.flow.dispatch import load_stages
from codesign.runtime.dispatch_check import check_transfer
from codesign.runtime.stages import host_maker
from codesign.verify import golden

needs_tclsh = pytest.mark.skipif(not shutil.which("tclsh"), reason="needs tclsh")
pytestmark = needs_tclsh


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_run(tmp_path_factory.mktemp("board"))
    build_overlay(folder)
    return folder


@pytest.fixture
def overlay(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run / "board" / "pynq-z2" / "overlay", tmp_path / "overlay"))


@pytest.fixture
def board(run: Path, overlay: Path) -> Iterator[SimpleNamespace]:
    with on_board(overlay, GoldenChip(design_of(run))) as scripts:
        yield scripts


def images(run: Path, frames: int, seed: int = 1) -> np.ndarray:
    """Test frames of the run, and noise."""
    known = np.load(run / "answers.npz")["samples"]
    rng = np.random.default_rng(seed)
    found = known[rng.integers(0, len(known), frames)]
    noise = rng.integers(0, 256, found.shape, np.uint8)
    return np.where(rng.random((frames, 1, 1, 1)) < 0.4, noise, found)


def test_a_batch_is_the_golden_models(run: Path, board: SimpleNamespace, overlay: Path) -> None:
    frames, design = images(run, 50), design_of(run)
    value = design.head.node("features").inputs[0]
    with board.driver.Branch(str(overlay), batch=64) as branch:
        got = branch.run(frames)
        want = golden.run(
            design.head, {"image": frames.astype(np.int64), "threshold": branch.threshold}, keep=("decision", value)
        )
        words = want["decision"].reshape(-1)
        assert np.array_equal(got.words_N.astype(np.int64) & (1 << 48) - 1, words)
        sent = np.flatnonzero(~(words >> 47 & 1).astype(bool))
        assert 0 < len(sent) < 50
        assert np.array_equal(got.feature_frames_M, sent) and np.array_equal(got.features_MHWC, want[value][sent])
        assert (got.frames_done, got.exits, got.cycles) == (50, 50 - len(sent), 5000)
        expect = load_stages(open_experiment(run)).expect()
        check_transfer(got, 50, branch.threshold, expect)  # it is what the dispatcher takes

        never = branch.run(frames[:3], threshold=branch.design["exit"]["never"])
        assert never.exits == 0 and len(never.features_MHWC) == 3
        one = branch.run(frames[:1], threshold=branch.design["exit"]["never"])
        assert one.frames_done == 1, "a shorter batch leaves nothing of a longer one"
        assert not np.shares_memory(one.features_MHWC, branch._features), "the next batch may overwrite the buffer"
        assert type(branch.overlay.accelerator).__name__ == "Accelerator"


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("short", "short", r"72 bytes of results came, 80 must"),
        ("swapped", "out of order", r"frames 0 to 9"),
        ("cut", "short", r"words of maps came"),
        ("miscounted", "corrupt", r"register exits is"),
    ],
)
def test_an_answer_that_cannot_be_right_is_told(
    run: Path, board: SimpleNamespace, overlay: Path, fault: str, kind: str, words: str
) -> None:
    frames = images(run, 10)
    with board.driver.Branch(str(overlay), batch=16) as branch:
        board.fabric.chip.fault = fault
        with pytest.raises(board.packets.PacketError, match=words) as caught:
            branch.run(frames)
        assert caught.value.kind == kind
        board.fabric.chip.fault = ""
        assert branch.run(frames).frames_done == 10, "the next batch starts from a reset"


def test_a_hang_ends_at_its_deadline_with_the_registers(run: Path, board: SimpleNamespace, overlay: Path) -> None:
    frames = images(run, 10)
    with board.driver.Branch(str(overlay), batch=16) as branch:
        board.fabric.chip.fault = "hang"
        with pytest.raises(board.driver.HangError) as caught:
            branch.run(frames, timeout_s=0.05)
        assert caught.value.what == "no images and results and features in time"
        registers = caught.value.registers
        assert registers["accelerator"]["frames"] == 10 and registers["accelerator"]["control"] & 0b101 == 0b001
        assert registers["DMA of images"]["state"] == "busy" and registers["DMA of images"]["LENGTH"] == 1440
        assert re.search(r"accelerator: control 0x1, .*frames 0xa, .*\n  DMA of images: ", str(caught.value))

        board.fabric.chip.fault = ""
        before = board.fabric.downloads
        assert branch.run(frames).frames_done == 10
        assert board.fabric.downloads == before + 1, "in mid-batch only the bitstream resets the design"


def test_a_packet_longer_than_its_transfer_stops_the_dma(run: Path, board: SimpleNamespace, overlay: Path) -> None:
    with board.driver.Branch(str(overlay), batch=16) as branch:
        board.fabric.chip.fault = "flood"
        with pytest.raises(board.driver.HangError, match=r"the DMA of features stopped[\s\S]*internal error"):
            branch.run(images(run, 4))


def test_stop_ends_a_run_from_another_thread(run: Path, board: SimpleNamespace, overlay: Path) -> None:
    with board.driver.Branch(str(overlay), batch=16) as branch:
        board.fabric.chip.fault = "hang"
        branch.stop()
        with pytest.raises(board.driver.HangError, match="stopped while waiting for images"):
            branch.run(images(run, 4), timeout_s=60)
        board.fabric.chip.fault = ""
        assert branch.run(images(run, 4)).frames_done == 4


def test_images_of_another_kind_are_refused(run: Path, board: SimpleNamespace, overlay: Path) -> None:
    frames = images(run, 4)
    with board.driver.Branch(str(overlay), batch=4) as branch:
        for wrong, words in (
            (frames[:, :6], r"integer codes \(N, 12, 12, 1\)"),
            (frames / 255, r"not float64"),
            (frames.astype(np.int64) + 200, r"not in 0\.\.255"),
            (np.concatenate([frames, frames]), r"8 frames in a batch of 1 to 4"),
            (frames[:0], r"0 frames in a batch"),
        ):
            with pytest.raises(ValueError, match=words):
                branch.run(wrong)


def test_a_batch_is_no_longer_than_the_dma_can_say(board: SimpleNamespace, overlay: Path) -> None:
    edit(overlay / "tiny_exit1.hwh", 'NAME="c_sg_length_width" VALUE="26"', 'NAME="c_sg_length_width" VALUE="14"')
    edit_json(overlay / "board.json", lambda info: info["sha256"].pop("tiny_exit1.hwh"))
    with board.driver.Branch(str(overlay), batch=1000) as branch:
        feature = branch.design["feature"]
        assert branch.batch == min(16383 // 144, (16383 // 8 - 1) // (feature["beats"] + 1))
        assert len(branch.run(np.zeros((branch.batch, 12, 12, 1), np.uint8)).class_N) == branch.batch


def test_files_that_do_not_belong_together(board: SimpleNamespace, overlay: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(board.files.OverlayError, match=words):
            board.driver.Branch(str(overlay))

    design = (overlay / "design.json").read_text()
    edit_json(overlay / "design.json", lambda info: info["feature"].update(tdata_bits=128))
    refused(r"design\.json is not the one this overlay was packed with")
    edit_json(overlay / "board.json", lambda info: info["sha256"].pop("design.json"))
    refused(r"design\.json says 128 bits for c_s_axis_s2mm_tdata_width of dma_features, the bitstream has 64")
    (overlay / "design.json").write_text(design)
    edit_json(overlay / "design.json", lambda info: info["registers"][4].update(address=0x14))
    refused(r"register frames is not where design\.json says")
    (overlay / "design.json").write_text(design[:100])
    refused(r"design\.json cannot be read")
    (overlay / "design.json").write_text(design)
    edit_json(overlay / "board.json", lambda info: info.update(vlnv="codesign:rtl:other:1.0"))
    refused(r"the bitstream holds codesign:rtl:tiny_exit1:1\.0, and this folder is of codesign:rtl:other:1\.0")
    (overlay / "tiny_exit1.hwh").unlink()
    refused(r"tiny_exit1\.hwh is missing")
    edit_json(overlay / "board.json", lambda info: info["sha256"].pop("tiny_exit1.hwh"))
    refused(r"there is no tiny_exit1\.hwh in .*`codesign bitstream RUN --board pynq-z2` makes it")


def test_classify_agrees_with_the_integer_model(
    run: Path, board: SimpleNamespace, overlay: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert board.classify.main(["--folder", str(overlay), "--batch", "16", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["different_frames"]) == (60, 0) and 0 < told["exit_rate"] < 1

    frames = images(run, 100, seed=2)
    np.savez(tmp_path / "mine.npz", images=frames, labels=np.zeros(100, np.int64))
    assert (
        board.classify.main(
            ["--folder", str(overlay), "--frames", str(tmp_path / "mine.npz"), "--json", "--threshold", "0.2"]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    stages = load_stages(open_experiment(run))
    want = host_maker(stages, "numpy")().answer(frames.astype(np.int64), [stages.units[0].threshold_code(0.2)])
    assert told["exit_rate"] == (want.exit_N == 0).mean() and told["accuracy"] == (want.class_N == 0).mean()

    known = dict(np.load(overlay / "frames.npz"))
    known["class"] = (known["class"] + 1) % 3
    np.savez(tmp_path / "wrong.npz", **known)
    assert board.classify.main(["--folder", str(overlay), "--frames", str(tmp_path / "wrong.npz")]) == 1
    assert re.search(r"different_frames +60", capsys.readouterr().out)


def test_benchmark_counts_what_the_registers_say(
    board: SimpleNamespace, overlay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pmbus = board.pynq.pmbus
    board.fabric.rails = {
        "VCCINT": pmbus.Rail("VCCINT", power=pmbus.Sensor("p", 3.5)),
        "12V": pmbus.Rail("12V", power=pmbus.Sensor("p", 14.0)),
    }
    words = ["--folder", str(overlay), "--batches", "1", "8", "--repeats", "3", "--seconds", "0.05", "--json"]
    assert board.benchmark.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["cycles_per_frame"] for row in told["accelerator"]] == [100, 100]
    assert told["clock_mhz"] == 100 and told["accelerator"][1]["accelerator_us"] == 8
    assert told["cascade"]["watts"]["rail"] == "12V" and told["cascade"]["watts"]["mean_w"] == 14
    assert told["cascade"]["joules_per_frame"] == pytest.approx(14 / told["cascade"]["frames_per_second"], rel=0.2)

    board.fabric.rails = {}
    board.power._hwmon_rails = dict
    assert board.benchmark.main(words[:-1]) == 0
    assert "a Pynq-Z1 or Pynq-Z2 has no sensor, so measure at the supply" in capsys.readouterr().out


def test_power_from_the_kernels_sensors(
    board: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = tmp_path / "hwmon0"
    sensor.mkdir()
    (sensor / "name").write_text("ina260_u14\n")
    (sensor / "power1_input").write_text("3250000\n")
    monkeypatch.setattr(board.power.glob, "glob", lambda _: [str(sensor / "power1_input")])
    with board.power.Recorder() as recorder:
        pass
    assert recorder.watts["rail"] == "ina260_u14 power1" and recorder.watts["mean_w"] == 3.25
    with pytest.raises(ValueError, match="no rail is named 'x'; there are ina260_u14 power1"):
        board.power.Recorder("x")


def test_the_notebook_runs(board: SimpleNamespace, overlay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((overlay / "early_exit.ipynb").read_text())
    assert notebook["nbformat"] == 4 and len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    monkeypatch.chdir(overlay)
    scope: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), scope)
    assert scope["compare"](scope["answers"], scope["known"])["different_frames"] == 0


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit_json(path: Path, change: Any) -> None:
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
