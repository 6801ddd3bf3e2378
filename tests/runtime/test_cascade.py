"""Real networks through the dispatcher: whoever computes a stage, wherever a frame stops, the answers are the graph's own."""

from __future__ import annotations

import threading
import time
from functools import lru_cache

import numpy as np
import pytest
import torch
from nets import frames, head, odd, zoo
from rtl.cores import needs_verilator
from runs import copy_run, stored_run
from torch import Tensor, nn

from codesign.config import QuantizeConfig
from codesign.errors import ConfigError
from codesign.flow import open_experiment
from codesign.flow.csim import images_of
from codesign.flow.dispatch import load_stages, open_cascade, thresholds_of
from codesign.flow.rtl import load_rtl_design
from codesign.ir.graph import Graph
from codesign.nn.exits import Exit, MultiExit
from codesign.nn.export import export
from codesign.nn.quantize import QuantizedNet, calibrate_net
from codesign.passes.split import split
from codesign.plan.ports import feature_word
from codesign.runtime.accelerators import GoldenAccelerator, read_features
from codesign.runtime.dispatch_check import check_transfer
from codesign.runtime.dispatch_types import TransferError
from codesign.runtime.paced import Pace, PacedAccelerator
from codesign.runtime.stages import Stages, host_maker, stages_of
from codesign.verify import golden
from codesign.verify.packets import feature_packet

CRITERIA = ("entropy", "max-probability", "margin")
NETWORKS = [
    (name, c) for name in ("padding", "pools", "flat", "residual", "shared", "behind", "crossed") for c in CRITERIA
]
NETWORKS += [("vgg_cifar", "entropy"), ("resnet_cifar", "margin")]


class Crossed(MultiExit):
    """The last exit reads what lies before the first cut and before the second."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.exit1, self.exit2, self.exit3 = (Exit(head(3 * 4 * 4)) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.stem(x))
        y = torch.relu(self.a(x))
        return self.exit1(x), self.exit2(y), self.exit3(self.b(x) + y)


@lru_cache(maxsize=4)
def exported(name: str) -> tuple[Graph, np.ndarray]:
    if name == "crossed":
        torch.manual_seed(0)
        model, shape = Crossed().eval(), (6, 6, 1)
    else:
        model, shape = zoo(name) if name.endswith("cifar") else odd(name)
    net = QuantizedNet(model, shape, QuantizeConfig())
    calibrate_net(net, frames(shape))
    return export(net, "net"), frames(shape, 8 if name.endswith("cifar") else 24, seed=2).astype(np.int64)


def expected(graph: Graph, stages: Stages, images: np.ndarray, thresholds: list[int]) -> np.ndarray:
    """(N, 3): exit, class, confidence code, from the logits of the whole graph."""
    values = golden.run(graph, {"image": images}, keep=[point.logits for point in graph.exits])
    logits = [values[graph.exit(name).logits].reshape(len(images), -1) for name in stages.names]
    rows = np.full((len(images), 3), -1)
    for exit_, (unit, logits_NC) in enumerate(zip(stages.units, logits, strict=True)):
        classes_N, codes_N = unit.evaluate(logits_NC)
        last = exit_ == len(stages.units) - 1
        stops_N = (rows[:, 0] == -1) & (last | unit.decide(codes_N, thresholds[exit_] if not last else 0))
        rows[stops_N] = np.array([np.full(len(images), exit_), classes_N, codes_N]).T[stops_N]
    return rows


def middles(graph: Graph, stages: Stages, images: np.ndarray) -> list[int]:
    """Thresholds at which as near as can be to half of the frames stop at every exit."""
    values = golden.run(graph, {"image": images}, keep=[point.logits for point in graph.exits])
    found = []
    for unit, name in zip(stages.units[:-1], stages.names, strict=False):
        codes_N = unit.evaluate(values[graph.exit(name).logits].reshape(len(images), -1))[1]
        tried = [int(code) for code in np.unique([codes_N, codes_N + 1]) if code < 2**32]
        found.append(min(tried, key=lambda t: abs(unit.decide(codes_N, t).mean() - 0.5)))
    return found


def as_rows(decisions) -> np.ndarray:
    return np.array([decisions.exit_N, decisions.class_N, decisions.code_N]).T


@pytest.mark.parametrize(("name", "criterion"), NETWORKS)
def test_stages_give_the_graphs_own_answers(name, criterion):
    graph, images = exported(name)
    stages = stages_of(split(graph, criterion=criterion), 0.02)
    thresholds = middles(graph, stages, images)
    want = expected(graph, stages, images, thresholds)
    host = host_maker(stages, "numpy")()

    np.testing.assert_array_equal(as_rows(host.answer(images, thresholds)), want)
    logits_NC, features = host.stage(0, images)
    goes_on = want[:, 0] > 0
    np.testing.assert_array_equal(as_rows(host.finish(features[goes_on], thresholds)), want[goes_on])
    assert logits_NC.shape == (len(images), stages.units[0].classes)
    assert len(stages.names) == len(graph.exits)
    assert len(np.unique(want[:, 0])) > 1 or len(np.unique(stages.units[0].evaluate(logits_NC)[1])) == 1


def test_a_stage_that_cannot_hand_over_one_value_lets_the_next_start_again():
    graph, _ = exported("crossed")
    first, second, last = stages_of(split(graph), 0.02).stages
    assert (second.feature, second.source) == ("feature", "feature")
    assert second.outputs == (second.logits,)
    assert first.outputs == (first.feature, first.logits)
    assert last.outputs == (last.logits,)


@pytest.mark.parametrize("name", ["vgg_cifar", "behind"])
def test_compiled_stages_do_too(name):
    graph, images = exported(name)
    stages = stages_of(split(graph), 0.02)
    thresholds = middles(graph, stages, images)
    host = host_maker(stages, "cpp")()
    np.testing.assert_array_equal(as_rows(host.answer(images, thresholds)), expected(graph, stages, images, thresholds))


def test_the_golden_accelerators_transfer_is_whole():
    graph, images = exported("vgg_cifar")
    stages = stages_of(split(graph), 0.02)
    threshold = middles(graph, stages, images)[0]
    transfer = GoldenAccelerator(stages.head).run(images, threshold, 1.0)
    checked = check_transfer(transfer, len(images), threshold, stages.expect())
    want = expected(graph, stages, images, [threshold] * (len(stages.units) - 1))
    np.testing.assert_array_equal(checked.exited_N, want[:, 0] == 0)
    np.testing.assert_array_equal(checked.class_N[checked.exited_N], want[checked.exited_N, 1])


def run_through(experiment, images, name, **options):
    with open_cascade(experiment, name, **options) as cascade:
        answers = [answer for part in cascade.run(images, batch=16) for answer in part]
        assert cascade.events == []
    return [(a.frame, a.exit, a.class_, a.confidence) for a in answers]


@pytest.mark.parametrize("name", ["csim", "software"])
def test_every_accelerator_gives_the_golden_models_answers(name, tmp_path):
    experiment = open_experiment(copy_run(tmp_path))
    images = images_of(experiment, 0)
    for thresholds in ([0.0], [0.3], [1.09]):
        want = run_through(experiment, images, "golden", thresholds=thresholds, tail="numpy")
        assert run_through(experiment, images, name, thresholds=thresholds) == want
        assert len(want) == len(images)
    assert run_through(experiment, images, name) == run_through(experiment, images, "golden")


@pytest.mark.slow
@needs_verilator
def test_the_rtl_gives_the_golden_models_answers(tmp_path):
    experiment = open_experiment(copy_run(tmp_path))
    images = images_of(experiment, 0)
    for thresholds in ([0.0], [0.3], [1.09]):
        want = run_through(experiment, images, "golden", thresholds=thresholds)
        assert run_through(experiment, images, "rtl", thresholds=thresholds) == want


def test_an_unknown_accelerator_and_tail_are_named():
    experiment = open_experiment(stored_run())
    with pytest.raises(ConfigError, match="no accelerator is named 'gold'"), open_cascade(experiment, "gold"):
        pass
    with pytest.raises(ConfigError, match="no tail is named 'c'"), open_cascade(experiment, tail="c"):
        pass


def paced(count=40, clock_hz=1e8):
    experiment = open_experiment(stored_run())
    stages, design, images = load_stages(experiment), load_rtl_design(experiment), images_of(experiment, count)
    logits_NC, features = host_maker(stages, "numpy")().stage(0, images)
    pace = Pace(clock_hz, 144, 300)
    device = PacedAccelerator(images.astype(np.uint8), logits_NC, features, stages.units[0], design.dataflow, pace)
    return device, stages, images, pace


def test_a_paced_accelerator_brings_what_the_golden_one_does():
    device, stages, images, _ = paced()
    exact = GoldenAccelerator(stages.head)
    for threshold in (0, stages.units[0].threshold_code(0.3), 2**32 - 1):
        for start in range(0, 40, 8):
            part = images[start : start + 8]
            got, want = device.run(part.astype(np.uint8), threshold, 1.0), exact.run(part, threshold, 1.0)
            np.testing.assert_array_equal(got.words_N, want.words_N)
            np.testing.assert_array_equal(got.feature_frames_M, want.feature_frames_M)
            np.testing.assert_array_equal(got.features_MHWC, want.features_MHWC)
            assert got.frames_done == want.frames_done


def test_a_paced_accelerator_takes_its_cycles():
    device, _, images, pace = paced(20, clock_hz=1e5)
    began = time.perf_counter()
    device.run(images.astype(np.uint8), 0, 1.0)
    assert time.perf_counter() - began >= pace.seconds(20) == pytest.approx((300 + 19 * 144) / 1e5)


def test_a_paced_accelerator_can_be_stopped_and_rewound():
    device, _, images, _ = paced(20, clock_hz=1.0)
    threading.Timer(0.01, device.stop).start()
    with pytest.raises(TransferError, match="stopped"):
        device.run(images.astype(np.uint8), 0, 1.0)
    with pytest.raises(TransferError, match="stopped"):
        device.run(images.astype(np.uint8), 0, 1.0)
    device, _, images, _ = paced(20)
    device.run(images[:5].astype(np.uint8), 0, 1.0)
    with pytest.raises(TransferError, match="not the recorded frames"):
        device.run(images[:5].astype(np.uint8), 0, 1.0)
    device.rewind()
    device.run(images[:5].astype(np.uint8), 0, 1.0)


@pytest.mark.parametrize("going_on", [[], [0], [1, 4], [0, 1, 2, 3, 4]])
def test_feature_words_are_read_as_they_were_packed(going_on):
    dataflow = load_rtl_design(open_experiment(stored_run())).dataflow
    shape = load_stages(open_experiment(stored_run())).expect().shape
    maps = np.random.default_rng(0).integers(0, 256, (5, *shape))
    exited_N = ~np.isin(np.arange(5), going_on)
    words_BK = feature_packet(maps, exited_N, feature_word(dataflow)).words_BK
    frames_M, got = read_features(words_BK, dataflow, shape)
    assert frames_M.tolist() == going_on
    np.testing.assert_array_equal(got, maps[going_on])
    for cut in (words_BK[:-1], words_BK[1:]):
        if len(cut) != len(words_BK) - 1 or len(going_on):
            with pytest.raises(TransferError, match="without a trailer"):
                read_features(cut, dataflow, shape)
    with pytest.raises(TransferError, match="without a trailer"):
        read_features(words_BK[:0], dataflow, shape)


def test_thresholds_are_the_runs_own_until_it_is_tuned(tmp_path):
    from codesign.flow.tune import tune
    from codesign.runtime.goals import Goals

    run = copy_run(tmp_path)
    experiment = open_experiment(run)
    stages = load_stages(experiment)
    assert thresholds_of(experiment, stages)[1] == "calibration split"
    tuned = tune(experiment, Goals(min_exit_rate=1.0))
    assert thresholds_of(experiment, stages) == (tuned["thresholds"], "codesign tune")
    (run / "graph.json").write_text((run / "graph.json").read_text() + "\n")
    assert thresholds_of(experiment, stages)[1] == "calibration split"
