"""Calls a compiled host network: ctypes and numpy only, Python 3.8; it goes to boards.

`host.json` beside the emitted source says how: the name that begins its functions, a frame's shape and range, and where
each output begins.
"""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

import ctypes
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.errors import GraphError

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Array = npt.NDArray[Any]


class Library:
    """A loaded library; `workspace` gives what one thread runs it with. `info` is the content of host.json."""

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.name: str = info["name"]
        self.shape: tuple[int, ...] = tuple(info["input"]["shape"])
        self.input: dict[str, Any] = info["input"]
        self.outputs: list[dict[str, Any]] = info["outputs"]
        self.output_codes = sum(math.prod(output["shape"]) for output in self.outputs)
        functions = ctypes.CDLL(str(path))  # lets other Python threads go on during a call
        self.create = functions[f"{self.name}_create"]
        self.create.restype = ctypes.c_void_p
        self.destroy = functions[f"{self.name}_destroy"]
        self.destroy.argtypes, self.destroy.restype = (ctypes.c_void_p,), None
        self.run = functions[f"{self.name}_run_int64"]
        self.run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

    @classmethod
    def load(cls, folder: Path) -> Library:
        """The library that `make` built in an emitted folder."""
        info = json.loads((folder / "host.json").read_text(encoding="utf-8"))
        return cls(folder / f"lib{info['name']}.so", info)


class CppTail:
    """The layers behind a branch point, compiled. One thread at a time uses it; each worker has its own."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._codes = math.prod(library.shape)
        self._workspace: int | None = library.create()
        if self._workspace is None:
            raise MemoryError(f"no memory for a workspace of {library.name}")

    def run(self, features_NHWC: Array) -> Ints:
        """The last output's codes (N, classes): the final exit's logits."""
        start: int = self._library.outputs[-1]["start"]
        return self._run(features_NHWC)[:, start:]

    def values(self, features_NHWC: Array) -> dict[str, Ints]:
        """Every output's codes (N, H, W, C), by its name in the graph."""
        codes = self._run(features_NHWC)
        parts = {out["name"]: (out["start"], tuple(out["shape"])) for out in self._library.outputs}
        return {
            name: codes[:, start : start + math.prod(shape)].reshape(len(codes), *shape)
            for name, (start, shape) in parts.items()
        }

    def close(self) -> None:
        """Gives the memory back; the tail cannot run any more."""
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            self._library.destroy(workspace)

    def __enter__(self) -> CppTail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_workspace"):
            self.close()

    def _run(self, features: Array) -> Ints:
        """The output codes (N, codes) of frames (N, H, W, C)."""
        library, frames = self._library, len(features)
        if features.dtype.kind not in "iu" or features.shape[1:] != library.shape:
            raise self._wrong(
                f"takes integer codes (N, {', '.join(map(str, library.shape))}), not {features.dtype} {features.shape}"
            )
        if self._workspace is None:
            raise self._wrong("is closed")
        x = np.ascontiguousarray(features, np.int64)
        y = np.empty((frames, library.output_codes), np.int64)
        done = library.run(self._workspace, _address(x), frames, _address(y)) if frames else 0
        if done < frames:
            low, high = library.input["min"], library.input["max"]
            raise self._wrong(f"frame {done} has a code that is not in {low}..{high}")
        return y

    def _wrong(self, what: str) -> GraphError:
        return GraphError(what, where=self._library.name, hint="give it the codes that leave the layers before it")


def _address(array: Any) -> int:
    """Where an array's codes begin. The short way, which only writable arrays have, takes a third of the time."""
    if array.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return array.__array_interface__["data"][0]
