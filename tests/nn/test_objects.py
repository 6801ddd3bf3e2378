"""Where a user's own object comes from, without running it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codesign.nn.objects import source_files


def test_the_source_of_an_object_is_found_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("one_module.py", "one_package/__init__.py", "one_package/net.py")
    (tmp_path / "one_package").mkdir()
    for name in names:
        (tmp_path / name).write_text("raise SystemExit" if name == "one_module.py" else "")
    (tmp_path / "broken_package").mkdir()
    (tmp_path / "broken_package" / "__init__.py").write_text("1 / 0")

    module, package, net = (tmp_path / name for name in names)
    assert source_files("one_module:Net") == [module]
    assert source_files("one_package:Net") == [package, net]
    assert source_files("one_package.net:Net") == [net]
    assert source_files("broken_package.net:Net") == source_files("absent:Net") == source_files("sys:x") == []
    assert source_files(f"{__name__}:Net") == [Path(__file__)]
    assert "one_module" not in sys.modules
