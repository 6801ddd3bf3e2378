"""The layers behind the exit, compiled on the board from the C++ in tail/, called through ctypes. Standard library, numpy.

A stage is a folder with NAME.cpp and host.json. g++ makes libNAME.so of it at the first use (a minute on a Cortex-A9).
"""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

import ctypes
import os
import platform
import subprocess

import files
import numpy as np

FLAGS = ["-std=c++11", "-O3", "-march=native", "-shared", "-fPIC"]


class TailError(Exception):
    """The tail cannot be compiled, or was given what it does not take."""


class Tail:
    """One thread's software for a stage; another thread makes its own."""

    def __init__(self, folder: str) -> None:
        info = files.read_json(folder, "host.json")
        name = info["name"]
        self.shape, self._low, self._high = tuple(info["input"]["shape"]), info["input"]["min"], info["input"]["max"]
        self._outputs = {out["name"]: (out["start"], tuple(out["shape"])) for out in info["outputs"]}
        self._codes = sum(int(np.prod(shape)) for _, shape in self._outputs.values())
        library = ctypes.CDLL(compile_tail(folder, name))
        self._run, self._destroy = library[name + "_run_int64"], library[name + "_destroy"]
        self._run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._destroy.argtypes, self._destroy.restype = (ctypes.c_void_p,), None
        create = library[name + "_create"]
        create.restype = ctypes.c_void_p
        self._workspace = create()
        if not self._workspace:
            raise MemoryError(f"no memory for the tail {name}")

    def run(self, features_NHWC: np.ndarray) -> dict[str, np.ndarray]:
        """{output: codes (N, H, W, C)}."""
        if features_NHWC.dtype.kind not in "iu" or features_NHWC.shape[1:] != self.shape:
            kind = f"{features_NHWC.dtype} {features_NHWC.shape}"
            raise TailError("takes integer codes (N, {}, {}, {}), not {}".format(*self.shape, kind))
        x = np.ascontiguousarray(features_NHWC, np.int64)
        y = np.empty((len(x), self._codes), np.int64)
        done = self._run(self._workspace, x.ctypes.data, len(x), y.ctypes.data) if len(x) else 0
        if done < len(x):
            raise TailError(f"frame {done} has a code that is not in {self._low}..{self._high}")
        return {
            name: y[:, start : start + int(np.prod(shape))].reshape((len(y), *shape))
            for name, (start, shape) in self._outputs.items()
        }

    def close(self) -> None:
        """Gives the memory back."""
        workspace, self._workspace = self._workspace, None
        if workspace:
            self._destroy(workspace)

    def __del__(self) -> None:
        if getattr(self, "_workspace", None):
            self.close()


def compile_tail(folder: str, name: str) -> str:
    """The library of a stage, compiled unless that was done on this kind of processor before. Raises TailError."""
    source = os.path.join(folder, name + ".cpp")
    library = os.path.join(folder, f"lib{name}.{platform.machine()}.{files.digest(source)[:12]}.so")
    if os.path.isfile(library):
        return library
    vectors = ["-mfpu=neon"] if platform.machine() == "armv7l" else []
    partial = f"{library}.{os.getpid()}"
    command = [os.environ.get("CXX", "g++"), *FLAGS, *vectors, source, "-o", partial]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        raise TailError(f"no C++ compiler: {error}; `sudo apt-get install g++`") from error
    if done.returncode:
        lines = done.stdout.decode(errors="replace").splitlines()
        first = next((line for line in lines if "error" in line), lines[0] if lines else "no message")
        raise TailError(f"{source} does not compile: {first}")
    os.replace(partial, library)
    return library
