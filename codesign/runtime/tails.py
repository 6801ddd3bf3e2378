"""Software for the layers behind a branch point, or for a whole network, behind one protocol: compiled C++, or numpy.

    make = cpp_tails(split(graph).tail)      # compiles once
    with make() as tail:                     # every worker makes its own
        logits = tail.run(features)          # exact integers, those of the golden model

`codesign.nn.tail` has the same network in torch.
"""

# Legend: N frames; H, W, C rows, columns, channels.
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from codesign.emit.host import emit_host, interface
from codesign.errors import ToolError
from codesign.ir.graph import Graph
from codesign.ir.types import Codes
from codesign.runtime.tail_library import CppTail, Library
from codesign.verify import golden
from codesign.verify.host_builds import OPTIMIZE, compile_host

__all__ = ["CppTail", "NumpyTail", "Tail", "cpp_tails", "numpy_tails", "tails"]


class Tail(Protocol):
    """One worker's software for the rest of the network; one thread at a time uses it."""

    def run(self, features_NHWC: Codes) -> Codes:
        """The last exit's logits (N, classes)."""
        ...

    def values(self, features_NHWC: Codes) -> dict[str, Codes]:
        """Every output's codes (N, H, W, C), by its name in the graph."""
        ...

    def close(self) -> None: ...


class NumpyTail:
    """The golden model as a tail: exact, slow, and in need of nothing but numpy."""

    def __init__(self, graph: Graph, outputs: Sequence[str] = ()) -> None:
        face = interface(graph, graph.name, outputs)
        self._graph, self._input, self._outputs = graph, face.input, tuple(face.outputs)
        self._registers = {value.name: 0 for value in graph.inputs if value.kind == "register"}

    def run(self, features_NHWC: Codes) -> Codes:
        last = self._outputs[-1]
        return self.values(features_NHWC)[last].reshape(len(features_NHWC), self._graph.types[last].size)

    def values(self, features_NHWC: Codes) -> dict[str, Codes]:
        return golden.run(self._graph, {self._input: features_NHWC, **self._registers}, keep=self._outputs)

    def close(self) -> None:
        """Nothing to give back."""


def cpp_tails(
    graph: Graph,
    outputs: Sequence[str] = (),
    *,
    folder: Path | None = None,
    cxx: str = "",
    optimize: Sequence[str] = OPTIMIZE,
) -> Callable[[], CppTail]:
    """Makes compiled tails of a graph: each call gives one with its own memory.

    `outputs` are the values that come out, by default the graph's outputs; the last one is what `run` returns. Raises
    ToolError without a compiler and GraphError for a graph that the host cannot run.
    """
    face = interface(graph, graph.name, outputs)
    path = compile_host(emit_host(graph, name=graph.name, outputs=outputs), folder=folder, cxx=cxx, optimize=optimize)
    library = Library(path, face.to_json())
    return lambda: CppTail(library)


def numpy_tails(graph: Graph, outputs: Sequence[str] = ()) -> Callable[[], NumpyTail]:
    """Makes tails that need no compiler."""
    return lambda: NumpyTail(graph, outputs)


def tails(graph: Graph, outputs: Sequence[str] = ()) -> Callable[[], Tail]:
    """Makes the fastest tails that there are here: compiled ones, or numpy's where there is no compiler."""
    try:
        return cpp_tails(graph, outputs)
    except ToolError:
        return numpy_tails(graph, outputs)
