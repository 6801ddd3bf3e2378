"""The page in a real browser without a network: the sliders by keyboard, the figures they show, a script's errors, small screens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from report import made
from report.browser import Browser, browser, needs_chromium

from codesign.flow.report import report
from codesign.report import Page

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, Page]]:
    """A page of a network with two exits, one slider, and of one with three."""
    return {exits: report(made.tuned(tmp_path_factory.mktemp("run"), exits)) for exits in (2, 3)}


def shown(chromium: Browser, page: Page) -> list[str]:
    return [chromium.text(f"#live-{each.key}") for each in page.series]


def wanted(page: Page, steps: list[int]) -> list[str]:
    shape = [len(axis["labels"]) for axis in page.live["axes"]]
    at = int(np.ravel_multi_index(steps, shape))
    return [each.text(at) for each in page.series]


def curve(chromium: Browser, key: str) -> str:
    return chromium.script(
        "return document.querySelector(`svg[data-series=${arguments[0]}] .curve`).getAttribute('d')", key
    )


@pytest.mark.parametrize("exits", [2, 3])
def test_sliders_show_what_python_counted(chromium, pages, exits):
    path, page = pages[exits]
    chromium.size(1280)
    chromium.open(path)
    steps = list(page.live["at"])
    assert shown(chromium, page) == wanted(page, steps)

    for axis in range(exits - 1):
        slider, labels = f"#slider-{axis}", page.live["axes"][axis]["labels"]
        for keys, step in (
            (["left"] * 3, max(0, steps[axis] - 3)),
            (["home"], 0),
            (["right"] * 2, 2),
            (["end"], len(labels) - 1),
            (["left"], len(labels) - 2),
        ):
            chromium.press(slider, *keys)
            steps[axis] = step
            assert shown(chromium, page) == wanted(page, steps)
            assert chromium.text(f"#threshold-{axis}") == labels[step]
        spoken = chromium.script("return document.querySelector(arguments[0]).getAttribute('aria-valuetext')", slider)
        assert spoken == f"{labels[steps[axis]]} {page.live['axes'][axis]['unit']}"

    chromium.click("#reset")
    assert shown(chromium, page) == wanted(page, list(page.live["at"]))
    assert chromium.errors() == []
    assert chromium.requests() == [path.as_uri()]


def test_curves_of_one_exit_follow_the_other_exits_slider(chromium, pages):
    path, _ = pages[3]
    chromium.open(path)
    before = curve(chromium, "accuracy")
    assert before.startswith("M")
    chromium.press("#slider-1", "home")  # now along the second slider
    along = curve(chromium, "accuracy")
    chromium.press("#slider-0", "home")
    chromium.press("#slider-1", "end", "left")
    assert len({before, along, curve(chromium, "accuracy")}) == 3
    assert "exit2" in chromium.text("svg[data-series=accuracy] .title")
    assert chromium.errors() == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(chromium, pages, width):
    for path, _ in pages.values():
        chromium.size(width)
        chromium.open(path)
        assert chromium.script("return document.documentElement.scrollWidth") <= width


def test_the_sliders_are_reached_and_named(chromium, pages):
    path, page = pages[3]
    chromium.size(1280)
    chromium.open(path)
    for axis in page.live["axes"]:
        number = page.live["axes"].index(axis)
        name = chromium.script("return document.querySelector(arguments[0]).labels[0].textContent", f"#slider-{number}")
        assert axis["exit"] in name
    order = chromium.script(
        "return [...document.querySelectorAll('a[href], input, button, summary, [tabindex]')].filter((e) => e.checkVisibility())"
        ".map((e) => e.id || e.tagName)"
    )
    assert order.index("slider-0") < order.index("slider-1") < order.index("reset")


def test_without_a_script_the_table_stands_for_the_slider(chromium, pages):
    path, page = pages[2]
    chromium.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(path)
        text = chromium.command("DOM.getDocument", depth=0)
        outer = chromium.command("DOM.getOuterHTML", nodeId=text["root"]["nodeId"])["outerHTML"]
        assert '<html lang="en">' in outer  # no class "js": sliders stay hidden
        assert '<details class="more" open' in outer
        for _, _, texts in page.steps:
            assert all(f">{each}</td>" in outer for each in texts)
    finally:
        chromium.command("Emulation.setScriptExecutionDisabled", value=False)
