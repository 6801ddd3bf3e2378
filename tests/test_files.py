"""Files are whole or absent, equal files stay untouched, and metrics keep their other sections."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign import files
from codesign.errors import CodesignError
from codesign.files import RunFolder, read_json, write_atomic, write_json, write_tree


@given(st.binary() | st.text())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes | str) -> None:
    path = tmp_path_factory.mktemp("files") / "deep" / "er" / "file"
    write_atomic(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("stage", ["fdopen", "chmod", "replace"])
def test_a_kill_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, stage, stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_files_are_readable_by_all(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_json_reads_back(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None], "b": {"c": "é"}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize(
    ("content", "words"), [(b"{", "not valid JSON"), (b"\xff", "not valid JSON"), (None, "no such file")]
)
def test_json_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CodesignError, match=words) as raised:
        read_json(path, hint="run it again")
    assert (raised.value.where, raised.value.hint) == (str(path), "run it again")


def test_a_folder_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(CodesignError, match="directory"):
        read_json(tmp_path)


def test_equal_files_of_a_tree_stay_untouched(tmp_path: Path) -> None:
    write_tree({"a/b.txt": "one", "c.bin": b"two"}, tmp_path)
    for path in (tmp_path / "a/b.txt", tmp_path / "c.bin"):
        os.utime(path, (1, 1))
    write_tree({"a/b.txt": "one", "c.bin": b"three"}, tmp_path)
    assert (tmp_path / "a/b.txt").stat().st_mtime == 1
    assert (tmp_path / "c.bin").read_bytes() == b"three"
    assert (tmp_path / "c.bin").stat().st_mtime > 1


def test_metrics_keep_their_other_sections(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.read_metrics() == {}
    run.update_metrics("train", {"accuracy": 0.9, "source": "measured"})
    run.update_metrics("cost", {"fps": 10, "source": "estimated"})
    run.update_metrics("train", {"accuracy": 0.95, "source": "measured"})
    assert run.read_metrics() == {
        "train": {"accuracy": 0.95, "source": "measured"},
        "cost": {"fps": 10, "source": "estimated"},
    }


def test_a_run_folder_names_its_files_and_makes_none(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    names = ["config", "weights", "checkpoint", "quantized", "graph", "plan", "design", "metrics", "hls"]
    paths = [getattr(run, name) for name in names]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == run.path for path in paths)
    assert not run.path.exists()
