"""`codesign estimate`: on a machine with nothing but the core, for the default network, configs, sketches and run folders."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.config import config_to_dict, load_config, shipped_configs
from codesign.devices import Device, devices, load_device
from codesign.errors import ConfigError, FoldingError
from codesign.files import write_json
from codesign.flow.config_sketch import config_sketch, precision_of
from codesign.flow.estimate import EstimateOptions, estimate_target, find_network
from codesign.ir.graph import Graph
from codesign.ir.store import save_graph
from codesign.passes.sketch_graph import sketch_graph
from codesign.passes.split import split
from codesign.plan.balance import balance
from codesign.plan.plan import Plan, save_plan

DEVICES = sorted(device.name for device in devices())
NET = """
image 8x8x1
stem = conv2d:->4,k3,p1,relu
pool = max_pool,k2
early = dense:->3
more = conv2d:->4,k3,p1,relu @ pool
last = dense:->3
exit exit1 = early
exit final = last
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "small.net").write_text(NET)
    return "small.net"


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["estimate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_without_a_target_the_default_network_is_priced_on_every_device(capsys: pytest.CaptureFixture[str]) -> None:
    answer = asked(capsys)
    assert sorted(row["device"] for row in answer["estimates"]) == DEVICES
    for row in answer["estimates"]:
        for figure in (row["latency_us"], row["energy_uj"]["board"], row["power_w"]["board"]):
            assert 0 < figure["low"] < figure["high"] and figure["source"]


def test_the_table_for_people_names_every_device_and_has_bands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "--backend", "rtl"]) == 0
    captured = capsys.readouterr()
    assert not captured.out
    assert all(name in captured.err for name in DEVICES) and "board W" in captured.err


def test_the_default_network_is_the_one_of_the_default_config() -> None:
    config = load_config(shipped_configs()["default"])
    graph = find_network(None).graph
    assert graph is not None
    want = sketch_graph(config_sketch(config), "default", precision_of(config))
    assert graph == want and config.plan == type(config.plan)()


def test_it_needs_nothing_but_the_core(net: str) -> None:
    program = (
        f"from codesign.cli import main; import sys; assert main(['estimate', {net!r}]) == 0;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "jinja2", "rich", "safetensors", "optuna"}


@pytest.mark.parametrize("name", sorted(set(shipped_configs()) - {"vgg_cifar10_gpu"}))
def test_every_shipped_config_has_an_estimate_without_training(name: str) -> None:
    answer = estimate_target(name, EstimateOptions(device="zcu104"))
    assert "sketch" in answer["source"] and answer["estimates"][0]["interval_cycles"]["value"] > 0
    assert not Path("runs").exists()


def test_a_run_folders_graph_and_plan_are_used_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(shipped_configs()["default"])
    run = tmp_path / "runs" / "default"
    graph = sketch_graph(config_sketch(config), "default", precision_of(config), seed=5)
    write_json(run / "config.json", config_to_dict(config))
    save_graph(graph, run / "graph.json")

    first = asked(capsys, "default")
    assert "graph.json" in first["source"] and "planned for this" in first["estimates"][0]["plan"]
    slow = replace(balance(split(graph).head, load_device("xc7z020"), interval_cycles=5000, drains=True), goal=0)
    save_plan(slow, run / "plan.json")
    second = asked(capsys, str(run))
    assert "plan.json" in second["estimates"][0]["plan"]
    assert second["estimates"][0]["interval_cycles"]["value"] == slow.interval_cycles
    assert asked(capsys, "default", "--device", "kv260")["estimates"][0]["plan"].startswith("planned")
    assert second["estimates"][0]["system"]["exit_rate_source"] == "assumed"
    times = {"exit_rate": 0.97, "model": {"tail_us": 3.0}, "cpp_images_per_s": 250_000.0}
    write_json(run / "metrics.json", {"bench": times})
    measured = asked(capsys, str(run))["estimates"][0]["system"]
    assert (measured["exit_rate"], measured["tail_us"]["value"], measured["software_us"]["value"]) == (0.97, 3.0, 4.0)
    write_json(run / "config.json", config_to_dict(replace(config, seed=9)))
    assert "sketch" in asked(capsys, "default")["source"]  # the graph is another config's


def test_an_answer_is_kept_until_what_it_is_made_from_changes(
    net: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import codesign.flow.estimate as step

    first = asked(capsys, net, "--device", "xc7z020")
    with monkeypatch.context() as patch:
        patch.setattr(step, "find_network", None)  # would fail
        assert asked(capsys, net, "--device", "xc7z020") == first
    Path(net).write_text(NET.replace("->4", "->8"))
    assert asked(capsys, net, "--device", "xc7z020") != first


def test_given_times_and_rates_go_into_the_cascade(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--device", "pynq-z2", "--tail-us", "40", "--software-us", "50", "--workers", "2", "--exit-rate", "0.5")
    found = asked(capsys, net, *words)["estimates"][0]["system"]
    assert found["tail_us"]["value"] == 40 and found["host_us"]["value"] == 10
    assert found["break_even_rate"] == 0


def test_what_does_not_fit_is_said_and_other_devices_are_still_priced(
    net: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import codesign.flow.estimate as step

    def small(head: Graph, device: Device, **options: object) -> Plan:
        if device.name == "xczu3eg":
            raise FoldingError("even the smallest design needs 500 BRAM18", where=head.name)
        return balance(head, device, drains=True)

    monkeypatch.setattr(step, "balance", small)
    assert main(["estimate", net, "--device", "xczu3eg", "--json"]) == 2
    assert "smallest design" in json.loads(capsys.readouterr().out)["error"]["what"]
    answer = asked(capsys, net, "--device", "all")
    assert ["problem" in row for row in answer["estimates"]].count(True) == 1


def test_wrong_targets_and_figures_are_errors(tmp_path: Path) -> None:
    for words in (["nothing.net"], ["nothing"], ["--exit-rate", "1.5"], ["--tail-us", "-1"], ["--batch", "0"]):
        assert main(["estimate", *words]) == 2, words
    (tmp_path / "own.toml").write_text('[data]\ndataset = "npz"\npath = "x.npz"\n')
    with pytest.raises(ConfigError, match="size of frames"):
        find_network("own.toml")


@pytest.mark.slow
def test_a_workers_times_can_be_measured_here(net: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, net, "--device", "vc709", "--measure")["estimates"][0]["system"]
    assert found["host"] == "this machine" and "measured" in found["tail_us"]["source"]
    assert 0 < found["tail_us"]["value"] < 10_000 and found["software_us"]["value"] > 0
