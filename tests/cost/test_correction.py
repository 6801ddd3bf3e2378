"""Corrections by designs of one's own: the law of the median and of the band, the file, errors, the way into an estimate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from graphs import lenet_branch

from codesign.cost.correction import Correction, correction_of, load_correction, save_corrections
from codesign.cost.figures import Figure
from codesign.cost.oracle import estimate
from codesign.devices import load_device
from codesign.errors import ConfigError
from codesign.flow.correct import correct
from codesign.flow.estimate import EstimateOptions, estimate_target
from codesign.plan.balance import balance

LUT = Figure(100, 80, 150, "lut", "rules")


def test_the_median_ratio_moves_a_figure_and_enough_designs_are_its_band() -> None:
    one, three = (
        Correction("rtl", {"lut": (1.2,)}, ("a",)),
        Correction("rtl", {"lut": (0.9, 1.5, 1.1)}, ("a", "b", "c")),
    )

    moved, narrow = one.figure("lut", LUT), three.figure("lut", LUT)
    assert (moved.value, moved.low, moved.high) == pytest.approx((120, 96, 180))
    assert (narrow.value, narrow.low, narrow.high) == pytest.approx((110, 90, 150))
    assert "3 designs of your own" in narrow.source
    assert one.figure("ff", LUT) == LUT


def test_kinds_that_are_nothing_are_left_out() -> None:
    rows = {"lut": {"reported": 90, "estimated": 100}, "bram18": {"reported": 2, "estimated": 0}}

    assert correction_of("hls", [("a", rows)]).ratios == {"lut": (0.9,)}


def test_what_is_saved_is_loaded_by_backend(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    rtl = Correction("rtl", {"lut": (0.5, 0.6)}, ("a", "b"))
    save_corrections([rtl], path)

    assert load_correction(path, "rtl") == rtl
    with pytest.raises(ConfigError, match="corrects rtl, not hls"):
        load_correction(path, "hls")
    for wrong in ([], {"corrections": [{"backend": "rtl", "ratios": {"lut": [-1]}, "designs": []}]}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ConfigError, match="this is no correction"):
            load_correction(path, "rtl")


def test_a_corrected_estimate_moves_resources_shares_and_watts() -> None:
    graph = lenet_branch(size=8)
    plan = balance(graph, load_device("xc7z020"))
    plain = estimate(graph, plan, backend="rtl")
    double = estimate(graph, plan, backend="rtl", correction=Correction("rtl", {"lut": (2.0,)}, ("a",)))

    assert double.synthesis["lut"].value == 2 * plain.synthesis["lut"].value
    assert double.shares["lut"] == pytest.approx(2 * plain.shares["lut"])
    assert double.power.dynamic.value > plain.power.dynamic.value
    assert double.synthesis["ff"] == plain.synthesis["ff"] and double.interval_cycles == plain.interval_cycles


def test_runs_that_were_built_become_a_correction(tmp_path: Path) -> None:
    resources = {"lut": {"reported": 120, "estimated": 100, "ratio": 1.2}}
    built = {"backend": "hls", "estimate": {"accelerator": {"resources": resources}}}
    run, out = tmp_path / "run", tmp_path / "mine.json"
    run.mkdir()
    with pytest.raises(ConfigError, match="no design of this run was built"):
        correct([str(run)], str(out))
    (run / "metrics.json").write_text(json.dumps({"bitstream_pynq-z2": built, "csim_native": {}}))
    answer = correct([str(run)], str(out))

    assert answer["corrections"][0]["median"] == {"lut": 1.2}
    plain, moved = (
        estimate_target(None, EstimateOptions(device="pynq-z2", correction=file))["estimates"][0]["resources"]["lut"]
        for file in ("", str(out))
    )
    assert moved["synthesis"]["value"] == pytest.approx(1.2 * plain["synthesis"]["value"], rel=0.01)
    assert moved["csynth"] == plain["csynth"]
