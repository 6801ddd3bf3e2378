"""Runs a program without a shell, and measures the CPU time it used."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import ToolError


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: status (negative: the signal that killed it), its output, user and system seconds with its children's."""

    status: int
    stdout: str
    stderr: str
    cpu_s: float


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    timeout_s: float = 600.0,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Runs `command` to its end, with more variables in its environment where given.

    Raises ToolError when it cannot be started or takes longer than `timeout_s`.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(
                words,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            raise ToolError(
                f"cannot be started: {error.strerror}", where=words[0], hint="codesign doctor lists what is installed"
            ) from error
        late = threading.Event()
        timer = threading.Timer(timeout_s, lambda: (late.set(), child.kill()))
        timer.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        finally:
            timer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        if late.is_set():
            raise ToolError(
                f"did not end within {timeout_s:g} s", where=words[0], hint="look for a process that waits for ever"
            )
        texts = [(stream.seek(0), stream.read().decode(errors="replace"))[1] for stream in (out, err)]
        return Finished(child.returncode, texts[0], texts[1], usage.ru_utime + usage.ru_stime)
