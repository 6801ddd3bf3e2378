"""Networks of three exits on a board: software stages after each other, each with its own decision, as the integer model says."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chips import scripts_in
from nets import frames, head
from torch import Tensor, nn

from codesign.config import QuantizeConfig
from codesign.devices import load_board
from codesign.emit.board import Site
from codesign.emit.overlay import board_info, exit_tables, host_folder, tail_files
from codesign.files import write_tree
from codesign.flow.board import soft_stages
from codesign.ir.graph import Graph
from codesign.nn.exits import Exit, MultiExit
from codesign.nn.export import export
from codesign.nn.quantize import QuantizedNet, calibrate_net
from codesign.passes.split import split
from codesign.runtime.stages import host_maker, stages_of


class Three(MultiExit):
    """Where `crossed`, the last exit reads what lies before the second, so its stage starts again from the first map."""

    def __init__(self, crossed: bool) -> None:
        super().__init__()
        self.crossed = crossed
        self.stem, self.a, self.b = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.exit1, self.exit2, self.exit3 = (Exit(head(3 * 4 * 4)) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.stem(x))
        y = torch.relu(self.a(x))
        return self.exit1(x), self.exit2(y), self.exit3(self.b(x) + y if self.crossed else self.b(y))


@lru_cache(maxsize=2)
def exported(crossed: bool) -> Graph:
    torch.manual_seed(1)
    net = QuantizedNet(Three(crossed).eval(), (6, 6, 1), QuantizeConfig())
    calibrate_net(net, frames((6, 6, 1)))
    return export(net, "net")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Folders in which the tails of both networks are compiled once."""
    return {crossed: tmp_path_factory.mktemp("overlay") for crossed in (False, True)}


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("criterion", ["entropy", "max-probability", "margin"])
def test_every_frame_stops_where_it_must(crossed: bool, criterion: str, compiled: dict[bool, Path]) -> None:
    stages, folder = stages_of(split(exported(crossed), criterion=criterion), 0.02), compiled[crossed]
    images = frames((6, 6, 1), 60, seed=3).astype(np.int64)
    whole = host_maker(stages, "numpy")()
    logits_NC, maps = whole.stage(0, images)
    class_N, code_N = stages.units[0].evaluate(logits_NC)
    second_N = stages.units[1].evaluate(whole.stage(1, maps)[0])[1]
    thresholds = [int(np.median(code_N)) + 1, int(np.median(second_N)) + 1]
    want = whole.answer(images, thresholds)
    assert set(want.exit_N.tolist()) == {0, 1, 2}, "frames stop everywhere"

    soft = soft_stages(stages)
    units = dict(zip(stages.names, stages.units, strict=True))
    device, board = load_board("pynq-z2")
    assert board is not None
    facts = board_info({"top": "net"}, Site(device, board), "rtl", soft, units, thresholds)
    write_tree({**tail_files(soft), "exits.npz": exit_tables(stages.units)}, folder)

    sent_M = np.flatnonzero(~stages.units[0].decide(code_N, thresholds[0]))
    batch = SimpleNamespace(class_N=class_N, code_N=code_N, feature_frames_M=sent_M, features_MHWC=maps[sent_M])
    with scripts_in(host_folder()) as scripts:
        cascade = scripts.classify.Cascade(SimpleNamespace(board=facts, folder=str(folder), batch=60))
        got = cascade.finish(batch)
        np.testing.assert_array_equal(got.exit_N, want.exit_N)
        np.testing.assert_array_equal(got.class_N, want.class_N)
        np.testing.assert_array_equal(got.code_N, want.code_N)
        none = cascade.finish(
            SimpleNamespace(class_N=class_N[:0], code_N=code_N[:0], feature_frames_M=sent_M[:0], features_MHWC=maps[:0])
        )
        assert len(none.class_N) == 0
