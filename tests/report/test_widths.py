"""The widths of a slimmable run on the page: the figures of the records, in a table and in a plot that stays inside itself."""

from __future__ import annotations

import re

import pytest
from report import made
from report.test_page import Reader, html_of

from codesign.flow.report import load_records
from codesign.report.widths import HEIGHT, WIDTH, widths

EXITS, WIDTHS = ("exit1", "final"), (0.25, 0.5, 1.0)
GUARANTEE = {"epsilon": 0.012, "delta": 0.05, "n": 300, "spoiled": [3], "method": "exact binomial tails"}


def section(unit: str = "cycles", **changes) -> dict:
    """What evaluate records of three widths and two exits."""
    energy = unit == "cycles"
    entries = [
        {
            "width": width,
            "quantized": {name: 0.9 + width * (0.05 + 0.01 * k) for k, name in enumerate(EXITS)},
            "costs": {
                name: {
                    "cycles": 1000.0 * width * (1 + 3 * k),
                    "energy_j": 1e-6 * width * (1 + 3 * k) if energy else None,
                }
                for k, name in enumerate(EXITS)
            },
        }
        for width in WIDTHS
    ]
    policy = {
        "stages": [{"width": 0.25, "exit": "exit1", "rate": 0.75}, {"width": 1.0, "exit": "final", "rate": 0.25}],
        "accuracy": 0.955,
        "cycles": 1250.0,
        "energy_j": 1.25e-6 if energy else None,
        "reference": {"accuracy": 0.96, "cycles": 4000.0, "energy_j": 4e-6 if energy else None},
        "cost_unit": unit,
        "goals": {"max_accuracy_drop": 0.01},
        "guarantee": GUARANTEE,
    }
    costs = {"unit": unit, "source": "made up by the test"}
    return {"source": "exact integer model", "widths": entries, "costs": costs, "policy": policy, **changes}


@pytest.mark.parametrize("unit", ["cycles", "products"])
def test_the_page_shows_every_width_and_the_policy(tmp_path, unit):
    experiment = made.run(tmp_path / "run")
    made.give(experiment, {"evaluate": section(unit)})
    found = widths(load_records(experiment))
    assert [(row.width, row.exit) for row in found.rows] == [(f"{w:g}", e) for w in WIDTHS for e in EXITS]
    assert [row.cost for row in found.rows] == [1000.0 * w * (1 + 3 * k) for w in WIDTHS for k in (0, 1)]
    assert found.rows[-1].share == 1.0
    assert found.policy.saved == pytest.approx(1 - 1250 / 4000)
    assert found.policy.energy_saved == (pytest.approx(1 - 1.25 / 4) if unit == "cycles" else None)
    page = Reader(html_of(experiment))
    assert "0.25/exit1 stops 75.0 %, 1/final stops 25.0 %" in page.text
    assert f"68.8 % fewer {unit}" in page.text
    assert ("energy than its last stage" in page.text) == (unit == "cycles")
    assert "at most 1.20 % of unseen frames" in page.text
    assert page.references == [("link", "data:,"), ("a", "#main")]


def test_dearer_is_to_the_right_and_better_is_up_inside_the_plot(tmp_path):
    experiment = made.run(tmp_path / "run")
    made.give(experiment, {"evaluate": section()})
    found = widths(load_records(experiment))
    rows = sorted(found.rows, key=lambda row: row.cost)
    assert [row.at[0] for row in rows] == sorted(row.at[0] for row in rows)
    rows = sorted(found.rows, key=lambda row: row.accuracy)
    assert [row.at[1] for row in rows] == sorted((row.at[1] for row in rows), reverse=True)
    ticks = [x for x, _ in found.x_ticks] + [row.at[0] for row in found.rows]
    assert all(0 < x < WIDTH for x in ticks) and len(found.x_ticks) >= 2
    assert all(0 < y < HEIGHT for y, _ in found.y_ticks) and len(found.y_ticks) >= 2
    plot = re.search(r'<svg class="still".*?</svg>', html_of(experiment), re.DOTALL)
    assert plot is not None and plot.group().count("<circle") == len(found.rows) + 1


def test_one_point_is_a_plot_too(tmp_path):
    experiment, made_up = made.run(tmp_path / "run"), section(policy=None)
    made_up["widths"] = [{**made_up["widths"][0], "costs": {"final": {"cycles": 7.0, "energy_j": None}}}]
    made.give(experiment, {"evaluate": made_up})
    found = widths(load_records(experiment))
    assert len(found.rows) == 1
    assert "add the policy that goes from width to width" in Reader(html_of(experiment)).text


def test_runs_of_one_width_and_older_records_have_no_such_section(tmp_path):
    experiment = made.run(tmp_path / "run")
    for evaluate in ({"source": "exact"}, {"source": "exact", "widths": [{"width": 0.5}]}):
        made.give(experiment, {"evaluate": evaluate})
        assert widths(load_records(experiment)) is None
        assert "h-widths" not in html_of(experiment)
