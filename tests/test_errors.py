"""Hints: the nearest choice, or all of them in an order that does not change."""

from __future__ import annotations

from pathlib import Path

from codesign.errors import nearest


def test_the_nearest_choice_is_named_or_all():
    assert nearest("epoch", ["batch", "epochs"]) == "did you mean 'epochs'?"
    assert nearest("zzz", ("b", "a")) == "use one of b, a"
    assert nearest("zzz", {"b", "c", "a"}) == "use one of a, b, c"
    assert nearest("zzz", {"b": 1, "a": 2}) == "use one of b, a"
    assert nearest("zzz", ()) == "none is defined yet"


def test_there_is_one_such_function():
    package = Path(__file__).parents[1] / "codesign"
    assert [p.name for p in package.rglob("*.py") if "get_close_matches" in p.read_text()] == ["errors.py"]
