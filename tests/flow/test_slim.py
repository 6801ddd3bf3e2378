"""Slimmable runs: train, quantize and evaluate all widths; the file of their graphs holds the weights once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign import cli
from codesign.config import config_from
from codesign.errors import ConfigError, GraphError, VerificationError
from codesign.flow.slim_cascade import stages_of
from codesign.flow.slim_graphs import check_nested, load_graphs, pixels_of, save_graphs, storage_bits
from codesign.ir.graph import Graph, GraphInput, Node
from codesign.ir.store import load_graph
from codesign.ir.text import constants_of, print_graph
from codesign.ir.types import Constant, IntType, TensorType
from codesign.ops import OPS
from codesign.ops.matrix_vector import MatrixVector
from tests.runs import CONFIG, write_config

SLIM = CONFIG.replace("stem_channels = 2, branch_channels = 4", "stem_channels = 4, branch_channels = 4")
SLIM = SLIM.replace(
    "[quantize]\nepochs = 1", '[slim]\nwidths = [0.5, 1.0]\nrecipe = "joint"\nstep = 2\n[quantize]\nepochs = 0'
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slimmable run, trained, quantized and evaluated by one command."""
    folder = tmp_path_factory.mktemp("slim")
    assert cli.main(["evaluate", str(write_config(folder, SLIM)), "--run", str(folder / "run")]) == 0
    return folder / "run"


def test_evaluate_prints_every_width_and_exit(run: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    captured = capsys.readouterr()
    assert "train" not in captured.err  # nothing is done again
    answer = json.loads(captured.out)
    assert [entry["width"] for entry in answer["widths"]] == [0.5, 1.0]
    for entry in answer["widths"]:
        assert entry["quantized"].keys() == {"exit1", "final"}
        assert entry["float"]["final"] > 0.4
    assert answer["widths"][1]["quantized"] == answer["quantized"]
    assert all(entry["costs"].keys() == {"exit1", "final"} for entry in answer["widths"])
    cycles = [[c["cycles"] for c in entry["costs"].values()] for entry in answer["widths"]]
    assert all(narrow < wide for narrow, wide in zip(*cycles, strict=True))
    assert all(c["energy_j"] > 0 for entry in answer["widths"] for c in entry["costs"].values())
    assert answer["costs"]["unit"] == "cycles"
    assert answer["policy"] is None
    assert answer["storage"]["weights_ratio"] == 1.0
    assert cli.main(["evaluate", str(run)]) == 0
    shown = capsys.readouterr().err
    assert "Accuracy of every width" in shown
    assert "1.000 times those of the widest" in shown
    assert "stepping up 0.5/final" in shown


@pytest.mark.parametrize(("text", "width"), [("0.5", 0.5), ("1", 1.0)])
def test_evaluate_answers_for_one_width(run: Path, capsys: pytest.CaptureFixture[str], text: str, width: float):
    whole = json.loads((run / "metrics.json").read_text())["evaluate"]
    assert cli.main(["evaluate", str(run), "--width", text, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    entry = next(entry for entry in whole["widths"] if entry["width"] == width)
    assert answer["width"] == width
    assert (answer["float"], answer["quantized"]) == (entry["float"], entry["quantized"])
    assert answer["costs"]["exits"] == entry["costs"]
    assert answer["cascade"]["exit"] == "exit1"
    assert "widths" not in answer
    if width == 1:
        assert answer["cascade"] == whole["cascade"]
    kept = json.loads((run / "metrics.json").read_text())
    assert kept["evaluate"] == whole, "the answer for all widths stays"
    assert kept[f"evaluate_{text}"]["cascade"] == answer["cascade"]
    assert cli.main(["evaluate", str(run), "--width", text]) == 0
    assert f"Accuracy of width {text} on 60 test frames" in " ".join(capsys.readouterr().err.split())


def test_evaluate_refuses_what_is_no_width(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["evaluate", str(run), "--width", "0.3", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["where"], error["what"], error["hint"]) == (
        "--width",
        "'0.3' is not a width of this network",
        "use 0.5, 1",
    )
    one = ["evaluate", str(write_config(tmp_path)), "--run", str(tmp_path / "run"), "--width", "0.5"]
    assert cli.main(one) == 2
    shown = capsys.readouterr().err
    assert "this network has one width" in shown
    assert "train:" not in shown, "told before anything is trained"


def test_stepping_up_costs_what_its_stages_cost(run: Path):
    graphs = load_graphs(run / "graphs.json", OPS)
    weights = {w: {n: c.shape for n, c in constants_of(g).items() if n.endswith(".weights")} for w, g in graphs.items()}
    pixels = {"stem.conv": 144, "exit1.head.conv.conv": 16, "exit1.head.linear": 1}
    first = {w: sum(p * np.prod(weights[w][f"{n}.weights"]) for n, p in pixels.items()) for w in graphs}
    chain = [(0.5, "exit1"), (1.0, "exit1"), (1.0, "final")]
    again, reused = (stages_of(graphs, chain, causal=causal) for causal in (False, True))
    assert [stage.products for stage in again[:2]] == [first[0.5], first[1.0]]
    assert again[2].products == reused[2].products  # the stem is there already
    # Two of four channels are new in stem and branch, and half of the logits' inputs.
    assert reused[1].products == first[1.0] - sum(
        p * np.prod(weights[1.0][f"{n}.weights"]) // 2 for n, p in pixels.items()
    )


def test_stepping_up_counts_frames_and_products(run: Path):
    answer = json.loads((run / "metrics.json").read_text())["evaluate"]["step_up"]
    assert [[(s["width"], s["exit"]) for s in cascade["stages"]] for cascade in answer] == [
        [(0.5, "final"), (1.0, "final")],
        [(0.5, "exit1"), (1.0, "exit1"), (1.0, "final")],
    ]
    for cascade in answer:
        stages, come = cascade["stages"], 1.0
        assert sum(stage["rate"] for stage in stages) == pytest.approx(1)
        total = 0.0
        for stage in stages:
            total += come * stage["products"]
            come -= stage["rate"]
        assert cascade["products"] == pytest.approx(total)


def test_the_widest_graph_goes_through_the_later_steps(run: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["plan", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["processes"]


def test_weights_lie_in_the_file_once_and_read_back(run: Path):
    path = run / "graphs.json"
    graphs = load_graphs(path, OPS)
    narrow, wide = graphs[0.5], graphs[1.0]
    assert wide == load_graph(run / "graph.json", OPS)
    table = json.loads(path.read_text())
    references = table["narrow"][0]["constants"]
    weights = [name for name in references if name.endswith(".weights")]
    assert len(weights) == 7
    assert all("data" not in references[name] for name in weights)
    for name in weights:
        part, whole = constants_of(narrow)[name].array, constants_of(wide)[name].array
        pixels = references[name]["pixels"]
        O, C = part.shape[0], part.shape[1] // pixels
        first = whole.reshape(len(whole), pixels, -1)[:O, :, :C].reshape(O, -1)
        assert first.tobytes() == part.tobytes()
    save_graphs(graphs, run / "again.json")
    assert (run / "again.json").read_bytes() == path.read_bytes()
    check_nested(graphs)


def test_another_recipe_trains_again(run: Path):
    from codesign.flow.experiment import open_experiment
    from codesign.flow.train import train_key

    experiment = open_experiment(run)
    table = json.loads((run / "config.json").read_text())
    table["slim"]["recipe"] = "causal"
    other = open_experiment(config_from(table), run / "other")
    assert train_key(experiment) != train_key(other)


def matrix(weights: np.ndarray, inputs: int) -> Graph:
    image = GraphInput("image", TensorType((1, 1, inputs), IntType(8, signed=False), 1.0))
    node = Node("dense", MatrixVector(Constant.of(weights, IntType(8))), ("image",))
    return Graph("g", (image,), (node,), ("dense",))


def test_weights_that_are_no_slice_are_refused(tmp_path: Path):
    wide = np.arange(24).reshape(4, 6)
    good, bad = (
        {0.5: matrix(wide[:2, :3], 3), 1.0: matrix(wide, 6)},
        {0.5: matrix(wide[1:3, :3], 3), 1.0: matrix(wide, 6)},
    )
    save_graphs(good, tmp_path / "good.json")
    assert {w: print_graph(g) for w, g in load_graphs(tmp_path / "good.json", OPS).items()} == {
        w: print_graph(g) for w, g in good.items()
    }
    with pytest.raises(VerificationError, match="not the first slice"):
        save_graphs(bad, tmp_path / "bad.json")
    with pytest.raises(VerificationError, match=r"width 0\.5 are not the first slice"):
        check_nested(bad)
    assert storage_bits(good)["ratio"] == 1.0
    assert storage_bits(bad)["weights_ratio"] == 1.25


def test_the_first_channels_of_every_pixel_are_a_slice():
    wide = np.arange(2 * 4 * 6).reshape(2, 24)  # 4 pixels of 6 channels
    narrow = wide.reshape(2, 4, 6)[:1, :, :3].reshape(1, 12)
    assert pixels_of(Constant.of(narrow), Constant.of(wide)) == 4
    assert pixels_of(Constant.of(narrow + 1), Constant.of(wide)) is None
    assert pixels_of(Constant.of([1, 2]), Constant.of([1, 2, 3])) == 1
    assert pixels_of(Constant.of([1, 2, 3]), Constant.of([1, 2])) is None


@pytest.mark.parametrize("damage", ["{}", '{"format": "codesign-graphs", "version": 9}', "[", "[]"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str):
    path = tmp_path / "graphs.json"
    path.write_text(damage)
    with pytest.raises(GraphError) as raised:
        load_graphs(path, OPS)
    assert str(path) in raised.value.where


@pytest.mark.parametrize(
    ("slim", "where", "words"),
    [
        ({"widths": [0.5]}, "slim.widths", "no widths to slim to"),
        ({"widths": [0.5, 0.25, 1.0]}, "slim.widths", "no widths"),
        ({"widths": [0.0, 1.0]}, "slim.widths", "no widths"),
        ({"widths": [0.5, 0.9]}, "slim.widths", "no widths"),
        ({"step": 0}, "slim.step", "0 is out of range"),
        ({"random": -1}, "slim.random", "-1 is out of range"),
        ({"distill": 1.5}, "slim.distill", "1.5 is out of range"),
    ],
)
def test_settings_that_cannot_work_are_named(slim: dict, where: str, words: str):
    with pytest.raises(ConfigError, match=words) as raised:
        config_from({"slim": slim})
    assert raised.value.where == f"config.{where}"
    assert raised.value.hint
