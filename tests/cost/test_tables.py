"""Costs of layers that add up: near the whole design, fast to look up, honest where an interval cannot be kept."""

from __future__ import annotations

import pytest

from codesign.cost.oracle import BACKENDS, Backend, estimate
from codesign.cost.tables import added, layer_cost, layer_table
from codesign.devices import load_device
from codesign.errors import ConfigError
from codesign.passes.sketch import Layer, parse_sketch
from codesign.passes.sketch_graph import Precision, sketch_graph
from codesign.passes.sketch_zoo import zoo_sketch
from codesign.passes.split import split
from codesign.plan.balance import balance

DEVICE = load_device("zcu104")


def layers(text: str) -> list[Layer]:
    return list(parse_sketch(f"image 8x8x4\n{text}").layers)


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_add_up_to_about_the_whole_design(backend: Backend) -> None:
    sketch = zoo_sketch("lenet5", (28, 28, 1), 10, {})
    head = [layer for layer in sketch.layers if layer.name.startswith(("stem", "exit1"))]
    graph = split(sketch_graph(sketch, "lenet5")).head
    whole = estimate(graph, balance(graph, DEVICE, drains=True), backend=backend)
    (sum_,) = layer_table([head], (28, 28, 1), DEVICE, 784, backend)

    own = [row for row in whole.processes if row.op and row.cycles and row.op not in ("exit_decision", "fork")]
    lut, dsp = sum(row.resources.lut for row in own), sum(row.resources.dsp for row in own)
    assert sum_.met and sum_.cycles == whole.interval_cycles.value
    assert sum_.resources.lut == pytest.approx(lut, rel=0.35)
    assert sum_.resources.dsp == pytest.approx(dsp, rel=0.35, abs=8)
    assert sum_.shape == (1, 1, 10)


def test_sums_are_those_of_the_layers_and_an_interval_is_kept_where_it_can_be() -> None:
    chain = layers(
        "a = conv2d:->8,k3,p1,relu\nb = max_pool,k2\nc = depthwise_conv2d,k3,p1,relu6\nd = mean\ne = dense:->5"
    )
    costs, shape = [], (8, 8, 4)
    for layer in chain:
        costs.append(layer_cost(layer, shape, DEVICE, 500))
        shape = costs[-1].shape
    assert layer_table([chain], (8, 8, 4), DEVICE, 500) == [added(costs, shape)]
    assert all(cost.met and cost.cycles <= 500 for cost in costs)
    slow, fast = (layer_cost(chain[0], (8, 8, 4), DEVICE, goal) for goal in (5000, 64))
    assert slow.share < fast.share and fast.cycles <= 64
    never = layer_cost(chain[0], (8, 8, 4), DEVICE, 3)
    assert not never.met and never.cycles > 3


def test_bits_and_layers_are_part_of_the_price() -> None:
    (conv,) = layers("a = conv2d:->8,k3,p1,relu")
    wide, narrow = (layer_cost(conv, (8, 8, 4), DEVICE, 64, precision=Precision(weight_bits=bits)) for bits in (8, 3))
    assert narrow.share < wide.share
    assert layer_cost(conv, (8, 8, 4), DEVICE, 64) == wide
    with pytest.raises(ConfigError):
        layer_cost(Layer("a", "conv2d", ("image",), 8, (9, 9)), (4, 4, 4), DEVICE, 64)
