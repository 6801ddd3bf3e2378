"""Plans survive their file, belong to one graph, and tell the host everything it needs."""

import json
from dataclasses import replace

import pytest
from graphs import lenet_branch, residual_branch
from hypothesis import given, settings
from strategies import small_graphs

from codesign.devices import load_device
from codesign.errors import CodesignError, FoldingError
from codesign.plan.balance import balance
from codesign.plan.design import design_info
from codesign.plan.plan import Plan, load_plan, realize, save_plan

VIRTEX = load_device("xc7vx690t")


@settings(max_examples=20)
@given(small_graphs())
def test_a_plan_survives_json_and_realizes_the_same(graph):
    plan = balance(graph, VIRTEX, clock_mhz=125.0)

    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))

    assert again == plan
    dataflow = realize(graph, again)
    assert {c.name: c.depth for c in dataflow.channels} == plan.depths


def test_a_plan_file_round_trips(tmp_path):
    plan = balance(lenet_branch(), VIRTEX, interval_cycles=3000, drains=True)
    save_plan(plan, tmp_path / "plan.json")

    assert load_plan(tmp_path / "plan.json") == plan
    assert plan.goal == 3000
    assert plan.frames_per_second == 100e6 / plan.interval_cycles


def test_a_plan_says_which_constant_products_are_in_dsps(tmp_path):
    plan = balance(lenet_branch(), VIRTEX, interval_cycles=196)
    constant = plan.foldings["conv1.mac"]
    moved = replace(plan, foldings={**plan.foldings, "conv1.mac": replace(constant, dsp_pe=2)})
    save_plan(moved, tmp_path / "plan.json")

    assert load_plan(tmp_path / "plan.json") == moved
    assert "dsp_pe" not in plan.to_json()["foldings"]["conv1.mac"]
    assert realize(lenet_branch(), moved).bound == plan.interval_cycles


@pytest.mark.parametrize(
    ("node", "count", "room"), [("conv1.mac", 7, 6), ("conv1.mac", -1, 6), ("exit1.dense.mac", 1, 0)]
)
def test_more_constant_outputs_in_dsps_than_there_are_are_refused(node, count, room):
    plan = balance(lenet_branch(), VIRTEX, interval_cycles=196)
    wrong = replace(plan, foldings={**plan.foldings, node: replace(plan.foldings[node], dsp_pe=count)})
    with pytest.raises(FoldingError, match=f"{count} outputs of constant weights in DSPs") as caught:
        realize(lenet_branch(), wrong)
    assert (caught.value.where, caught.value.hint) == (node, f"there are {room} at this folding")


def test_plans_of_before_multipliers_had_a_choice_still_load():
    plan = balance(lenet_branch(), load_device("xc7z020"))
    old = {key: value for key, value in plan.to_json().items() if key != "fabric"}

    assert plan.fabric
    assert Plan.from_json(old) == replace(plan, fabric=())
    assert realize(lenet_branch(), plan).fabric == plan.fabric


def test_only_multipliers_go_into_luts():
    plan = replace(balance(lenet_branch(), VIRTEX), fabric=("conv1.window",))
    with pytest.raises(FoldingError, match=r"'conv1\.window' has no multipliers that could go into LUTs"):
        realize(lenet_branch(), plan)


def test_damaged_plans_are_named(tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(CodesignError, match="no such file"):
        load_plan(path)
    path.write_text("{")
    with pytest.raises(CodesignError, match="not valid JSON"):
        load_plan(path)
    path.write_text("{}")
    with pytest.raises(FoldingError, match=r"plan\.json: this is no plan of format codesign-plan-1"):
        load_plan(path)
    good = balance(lenet_branch(), VIRTEX).to_json()
    for key, message in (("depths", "the key 'depths' is missing"), ("clock_mhz", "the key 'clock_mhz' is missing")):
        path.write_text(json.dumps({k: v for k, v in good.items() if k != key}))
        with pytest.raises(FoldingError, match=message):
            load_plan(path)
    path.write_text(json.dumps({**good, "depths": 3}))
    with pytest.raises(FoldingError, match="a value is of the wrong type"):
        load_plan(path)
    path.write_text(json.dumps({**good, "depths": {"image_in": 1}}))
    with pytest.raises(FoldingError, match="a FIFO of depth 1"):
        load_plan(path)


def test_a_plan_of_another_graph_is_refused():
    plan = balance(lenet_branch(), VIRTEX)
    with pytest.raises(FoldingError, match="a folding is given for"):
        realize(residual_branch(), plan)
    wrong = Plan("xc7z020", 100.0, {}, {"image_in": 2}, 784, 1000)
    with pytest.raises(FoldingError, match="the plan and the graph differ in channel"):
        realize(lenet_branch(), wrong)


def test_a_clock_must_run():
    with pytest.raises(FoldingError, match="a clock of 0 MHz cannot run"):
        Plan("xc7z020", 0, {}, {}, 1, 1)


def test_the_host_is_told_everything():
    graph = lenet_branch()
    plan = balance(graph, VIRTEX)
    info = json.loads(json.dumps(design_info(graph, realize(graph, plan), plan)))

    assert info["image"] == {
        "shape": [28, 28, 1], "type": "u8", "scale": 2.0**-8,
        "lanes": 1, "beats": 784, "container_bits": 8, "tdata_bits": 8,
    }  # fmt: skip
    assert info["feature"]["lanes"] == 6
    assert info["feature"]["tdata_bits"] == 64
    assert info["feature"]["trailer_frame"] == 0xFFFFFFFF
    assert info["exit"]["criterion"] == "entropy"
    assert info["exit"]["classes"] == 10
    assert info["exit"]["threshold_scale"] == 2.0**-18
    assert info["exit"]["logits"] == {"shape": [1, 1, 10], "type": "s16", "scale": 0.0625}
    assert [r["name"] for r in info["registers"]] == ["frames", "threshold", "frames_done", "exits"]
    assert info["result"]["fields"]["exited"] == [47, 47]
    assert info["estimate"]["source"] == "estimated"
    assert info["estimate"]["interval_cycles"] == 784


def test_a_graph_without_a_decision_has_an_image_only():
    from strategies import random_graph

    graph = random_graph(3)
    plan = balance(graph, VIRTEX)
    info = design_info(graph, realize(graph, plan), plan)

    assert not {"exit", "feature"} & set(info)
    assert "image" in info
