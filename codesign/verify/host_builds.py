"""Compiles emitted host C++ into a shared library, and keeps it under a hash of what went into it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from codesign.errors import ToolError
from codesign.files import cache_folder, write_atomic
from codesign.verify.process import run
from codesign.verify.tools import compiler

FLAGS = ("-std=c++11", "-shared", "-fPIC")
OPTIMIZE = ("-O3", "-march=native")
BUILDS = 32  # libraries kept in one folder


def compile_host(
    sources: Mapping[str, str], *, folder: Path | None = None, cxx: str = "", optimize: Sequence[str] = OPTIMIZE
) -> Path:
    """The shared library of the .cpp files among `sources`, compiled, or taken from an earlier call with equal ones.

    It is kept in `folder`, by default in the user's cache. Raises ToolError with the compiler's first error.
    """
    folder = folder or cache_folder() / "host"
    texts = {name: text for name, text in sources.items() if name.endswith(".cpp")}
    command = [compiler(cxx), *FLAGS, *optimize, *_neon()]
    key = _key(command, texts)
    library = folder / key / "libhost.so"
    if library.is_file():
        os.utime(library.parent)
        return library
    for name, text in texts.items():
        write_atomic(library.parent / name, text)
    partial = library.with_name(f"partial-{os.getpid()}-{threading.get_ident()}.so")
    done = run([*command, *(library.parent / name for name in texts), "-o", partial])
    if done.status:
        shutil.rmtree(library.parent, ignore_errors=True)
        lines = done.stderr.splitlines()
        first = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
        raise ToolError(
            f"does not compile: {first}",
            where=next(iter(texts)),
            hint="if a template was edited, undo that; else report this as a bug",
        )
    partial.rename(library)
    _forget_old(folder)
    return library


def _neon() -> list[str]:
    """What 32-bit ARM compilers must be told before they use vectors."""
    return ["-mfpu=neon"] if platform.machine() == "armv7l" else []


def _key(command: Sequence[str], texts: Mapping[str, str]) -> str:
    """A hash of everything that decides the library: sources, flags, the compiler, and the processor that is native."""
    version = run([shutil.which(command[0]) or command[0], "--version"]).stdout.partition("\n")[0]
    digest = hashlib.sha256("\0".join([*command, version, _processor()]).encode())
    for name, text in sorted(texts.items()):
        digest.update(f"\0{name} {len(text)}\0{text}".encode())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=1)
def _processor() -> str:
    """What the processor can do, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    known = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {known}"


def _forget_old(folder: Path) -> None:
    """Removes all but the libraries used last; one that is loaded stays usable."""
    builds = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    for path in builds[:-BUILDS]:
        shutil.rmtree(path, ignore_errors=True)
