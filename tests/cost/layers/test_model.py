"""The model of a layer: exact where formulas are, growing with the layer, and never looking at the answer."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from cost.layers.reports import report

from codesign.cost.layers import crossval
from codesign.cost.layers.arithmetic import block_rams, dsps_of_product
from codesign.cost.layers.crossval import cross_validate, layers_of, owner
from codesign.cost.layers.finn import finn_layer
from codesign.cost.layers.fit import fit
from codesign.cost.layers.model import Coefficients, predict, shipped
from codesign.cost.layers.parts import FF_PRIOR, LUT_PRIOR, ff_parts, lut_parts
from codesign.cost.layers.report import Description, Report, describe, read_report
from codesign.cost.layers.spec import parse_layer
from codesign.cost.layers.style import Style

RESOURCE = Style(name="hls4ml-resource", x_bits=16, w_bits=16, clock_ns=5.0)


def described(text: str, style: Style = RESOURCE, fraction_bits: int = 10) -> Description:
    layer = parse_layer(text)
    return Description(layer, style, (), (layer.channels, layer.outputs), fraction_bits)


def test_the_description_does_not_hold_the_answer() -> None:
    targets = ("dsp", "lut", "ff", "bram18", "latency_max", "latency_min", "ii_max", "ii_min", "est_clock_ns")
    entry = report(est_clock_ns=4.4, latency_min=1, ii_min=1, ii_max=2)
    assert describe({key: value for key, value in entry.items() if key not in targets}) == describe(entry)


def test_a_known_layer() -> None:
    """Vivado HLS 2019.2 printed these DSP and BRAM18 for this very description."""
    prediction = predict(describe(report()), shipped())
    assert (prediction.dsp, prediction.bram18) == (14, 4)
    assert abs(prediction.cycles - 1692) <= 1


@pytest.mark.parametrize(
    ("x_bits", "w_bits", "dsp"), [(8, 8, 0), (16, 6, 1), (16, 16, 1), (32, 6, 2), (32, 17, 2), (32, 32, 4)]
)
def test_dsps_of_a_product(x_bits: int, w_bits: int, dsp: int) -> None:
    assert dsps_of_product(x_bits, w_bits, RESOURCE) == dsp
    assert dsps_of_product(w_bits, x_bits, RESOURCE) == dsp


@pytest.mark.parametrize(
    ("words", "bits", "rom", "blocks"),
    [
        (36, 113, True, 4),
        (9, 238, True, 7),
        (576, 383, True, 22),
        (1152, 8179, True, 684),
        (9, 4096, False, 228),
        (384, 32, False, 2),
        (32, 16, False, 0),
    ],
)
def test_block_rams_as_printed(words: int, bits: int, rom: bool, blocks: int) -> None:
    assert block_rams([(words, bits, rom)], replace(RESOURCE, part="xczu9eg-ffvb1156-2-e")) == blocks


@pytest.mark.parametrize("style", ["hls4ml-resource", "hls4ml-latency", "loops"])
def test_more_of_everything_takes_no_less(style: str) -> None:
    sizes = ["conv2d:8x8x2->4,k3", "conv2d:8x8x4->4,k3", "conv2d:8x8x4->8,k3", "conv2d:16x16x4->8,k3"]
    found = [predict(described(text, replace(RESOURCE, name=style, reuse=9)), shipped()) for text in sizes]
    for small, large in pairwise(found):
        assert all(getattr(small, n) <= getattr(large, n) for n in ("cycles", "dsp", "bram18", "lut", "ff"))


def test_reuse_trades_multipliers_for_cycles() -> None:
    few, many = (predict(described("dense:64->32", replace(RESOURCE, reuse=n)), shipped()) for n in (64, 8))
    assert few.dsp < many.dsp
    assert few.cycles > many.cycles


@pytest.mark.parametrize(("pe", "simd", "folds"), [(1, 1, 16 * 72), (4, 9, 4 * 8), (16, 72, 1)])
def test_finn_counts_its_folds(pe: int, simd: int, folds: int) -> None:
    figures = finn_layer(described("conv2d:10x10x8->16,k3", Style(name="finn", pe=pe, simd=simd, x_bits=4, w_bits=4)))
    window = 10 * 3 * 8 // simd + 8 * max(8 * 72 // simd, 10 * 8 // simd)
    assert abs(figures["cycles"] - max(64 * folds, window)) <= 5
    assert figures["dsp"] == 0


def test_parts_have_their_coefficients() -> None:
    d = described("conv2d:8x8x2->4,k3")
    assert list(lut_parts(d, ())) == list(LUT_PRIOR)
    assert list(ff_parts(d, ())) == list(FF_PRIOR)


def test_without_reports_the_tables_stand() -> None:
    assert fit([], "lut") == LUT_PRIOR
    assert Coefficients().band("lut", "conv2d", 100) == (50, 200)


def test_the_order_of_reports_does_not_matter() -> None:
    reports = made_up()
    shuffled = random.Random(0).sample(reports, len(reports))
    for name in ("lut", "ff"):
        assert fit(shuffled, name) == pytest.approx(fit(reports, name))


def test_the_fit_follows_the_reports() -> None:
    more = [replace(r, used={**r.used, "ff": 2 * predict(r.description, Coefficients()).ff}) for r in made_up()]
    before, after = predict(more[0].description, Coefficients()).ff, Coefficients(ff=fit(more, "ff"))
    assert 1.4 * before < predict(more[0].description, after).ff < 2 * before


def test_cross_validation_never_sees_what_it_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    fitted = crossval.fitted

    def spy(reports: Sequence[Report]) -> Coefficients:
        seen.append({r.repository for r in reports})
        return fitted(reports)

    monkeypatch.setattr(crossval, "fitted", spy)
    judged = cross_validate(made_up())
    assert len(judged) == len(made_up())
    names = sorted({j.report.repository for j in judged})
    assert [set(names) - used for used in seen] == [{name} for name in names]
    assert len(cross_validate(made_up(), owner)) == len(judged)


def test_a_spoiled_answer_does_not_change_its_own_prediction() -> None:
    reports = made_up()
    spoiled = [replace(reports[0], used=dict.fromkeys(reports[0].used, 999_999), cycles=1), *reports[1:]]
    before, after = (
        {j.report.name: j.predicted for j in cross_validate(group)}[reports[0].name] for group in (reports, spoiled)
    )
    assert before == after


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_type": "something_new", "top": "something_new", "layer": None, "loops": [], "hls4ml_global": {}},
        {"layer_type": "my_conv", "datatype": "float", "pragmas": ["PIPELINE II=1"], "hls4ml_global": {}},
        {"layer": {"h": 8, "w": 8, "c": 3, "kernel": 3, "filters": 4}, "loops": None, "datatype": "ap_int<8>"},
        {"loops": [{"TripCount": "undef", "Latency": "?"}], "part": "", "tool": ""},
        {"hls4ml_global": {"Strategy": "Latency"}, "memories": [{"name": "w2_V_U", "words": 36, "bits": 113}]},
    ],
)
def test_any_report_is_priced(changes: dict[str, Any]) -> None:
    read = read_report(report("example.org/nobody/nothing", **changes))
    prediction = predict(read.description, shipped(), with_memories=True)
    assert prediction.cycles > 0
    assert prediction.lut > 0
    assert prediction.ff > 0


def test_networks_are_no_layers() -> None:
    network = read_report(report(layer_type="network", top="myproject"))
    block = read_report(report(layer_type="Block_myproject_exit_proc", layer=None))
    assert layers_of([network, block]) == [block]


def made_up() -> list[Report]:
    """Reports of three made-up repositories of two owners."""
    entries = [
        report(repo, id=f"{repo}{i}", lut=900 + 400 * i, ff=2000 + 700 * i, layer={**report()["layer"], "n_filt": n})
        for repo in ("example.org/a/one", "example.org/a/two", "example.org/b/one")
        for i, n in enumerate((2, 4, 8))
    ]
    return [read_report(entry) for entry in entries]
