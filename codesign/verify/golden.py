"""The golden model: a graph run on integer codes with numpy, frame batches in, exact int64 codes out."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.errors import GraphError, VerificationError, nearest
from codesign.ir.graph import Graph, GraphInput
from codesign.ir.types import Codes, TensorType

Integers = npt.NDArray[np.integer[Any]]


def run(
    graph: Graph,
    inputs: Mapping[str, npt.ArrayLike],
    *,
    keep: Collection[str] | None = None,
    chunk: int = 64,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Codes]:
    """The codes (N, H, W, C) of every kept value; by default the graph's outputs and its exits' logits.

    `inputs` has integer codes of shape (N, H, W, C) for each stream and an integer for each register. Frames are worked
    on `chunk` at a time and a value is dropped after its last reader, so memory does not grow with the graph.
    `progress` is told the frames done. Raises GraphError for unusable inputs and VerificationError for an op whose codes
    leave its own inferred type.
    """
    arrays, frames = _checked_inputs(graph, inputs)
    kept = _kept(graph, keep)
    results: dict[str, Codes] = {name: np.empty((frames, *graph.types[name].shape), np.int64) for name in kept}
    last_reads = _last_reads(graph)
    for start in range(0, frames, chunk):
        stop = min(start + chunk, frames)
        values = {v.name: arrays[v.name][start:stop] if v.kind == "stream" else arrays[v.name] for v in graph.inputs}
        _run_chunk(graph, {name: codes.astype(np.int64) for name, codes in values.items()}, last_reads, start, results)
        if progress is not None:
            progress(stop)
    return results


def run_widths(
    graphs: Sequence[Graph],
    inputs: Mapping[str, npt.ArrayLike],
    widths_N: npt.NDArray[np.integer[Any]],
    *,
    keep: Collection[str],
) -> dict[str, Codes]:
    """As `run`, of frames that each have their own width: `widths_N` are indices into `graphs`, narrow to wide.

    All values have the shape that they have at the widest; a narrow frame's codes are in the first channels, and the
    others are 0.
    """
    streams = [value.name for value in graphs[-1].inputs if value.kind == "stream"]
    results = {name: np.zeros((len(widths_N), *graphs[-1].types[name].shape), np.int64) for name in keep}
    for index in np.unique(widths_N):
        at = np.flatnonzero(widths_N == index)
        own = {name: np.asarray(codes)[at] if name in streams else codes for name, codes in inputs.items()}
        for name, codes in run(graphs[int(index)], own, keep=keep).items():
            results[name][at, :, :, : codes.shape[-1]] = codes
    return results


def _run_chunk(
    graph: Graph,
    values: dict[str, Codes],
    last_reads: Mapping[str, tuple[str, ...]],
    start: int,
    results: dict[str, Codes],
) -> None:
    """Runs one chunk of frames from `start` on, writing kept values into `results`."""
    for name in values.keys() & results.keys():
        results[name][start : start + _frames(values)] = values[name]
    for node in graph.nodes:
        codes = node.op.golden(*(values[source] for source in node.inputs))
        _check_result(f"{graph.name}.{node.name}", codes, graph.types[node.name])
        values[node.name] = codes
        if node.name in results:
            results[node.name][start : start + len(codes)] = codes
        for name in last_reads[node.name]:
            del values[name]


def _frames(values: Mapping[str, Codes]) -> int:
    return max(len(codes) for codes in values.values())


def _last_reads(graph: Graph) -> dict[str, tuple[str, ...]]:
    """For each node, the values that nothing reads after it (its own when nothing ever does)."""
    last = {value.name: value.name for value in graph.nodes}
    for node in graph.nodes:
        last.update(dict.fromkeys(node.inputs, node.name))
    dead: dict[str, tuple[str, ...]] = {node.name: () for node in graph.nodes}
    for value, reader in last.items():
        dead[reader] = (*dead[reader], value)
    return dead


def _kept(graph: Graph, keep: Collection[str] | None) -> tuple[str, ...]:
    names = (*graph.outputs, *(point.logits for point in graph.exits)) if keep is None else tuple(keep)
    for name in names:
        if name not in graph.types:
            raise GraphError(f"cannot keep {name!r}: no such value", where=graph.name, hint=nearest(name, graph.types))
    return tuple(dict.fromkeys(names))


def _checked_inputs(graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> tuple[dict[str, Integers], int]:
    """Every input as a checked array with a frame axis, and the number of frames they agree on."""
    names = [value.name for value in graph.inputs]
    for name in inputs:
        if name not in names:
            raise GraphError(f"{name!r} is not an input", where=graph.name, hint=nearest(name, names))
    arrays: dict[str, Integers] = {}
    frames: int | None = None
    for value in graph.inputs:
        where = f"{graph.name}.{value.name}"
        if value.name not in inputs:
            raise GraphError(f"no codes for the {value.kind} input", where=where, hint=f"give {value.type} codes")
        array = arrays[value.name] = _shaped(value, _integers(inputs[value.name], where), where)
        check_codes(array, value.type, where)
        if value.kind == "stream":
            if frames is not None and len(array) != frames:
                raise GraphError(
                    f"{len(array)} frames, but another stream has {frames}",
                    where=where,
                    hint="give every stream the same frames",
                )
            frames = len(array)
    return arrays, 1 if frames is None else frames


def _integers(codes: npt.ArrayLike, where: str) -> Integers:
    array = np.asarray(codes)
    if array.dtype.kind not in "iu":
        raise GraphError(
            f"the golden model takes integer codes, not {array.dtype}",
            where=where,
            hint="quantize first: round(x / scale), clipped to the input's type",
        )
    return array


def _shaped(value: GraphInput, array: Integers, where: str) -> Integers:
    """A stream's array as (N, H, W, C), a register's as (1, H, W, C)."""
    shape = value.type.shape
    if value.kind == "register":
        if array.size != value.type.size:
            raise GraphError(
                f"a register of shape {shape} cannot hold {array.size} codes", where=where, hint="give one integer"
            )
        return array.reshape((1, *shape))
    if array.ndim != 4 or array.shape[1:] != shape:
        raise GraphError(
            f"codes have shape {array.shape}", where=where, hint=f"give (N, H, W, C) codes with (H, W, C) = {shape}"
        )
    return array


def check_codes(array: Integers, type_: TensorType, where: str) -> None:
    """Raises GraphError naming the first code of (N, H, W, C) that the type cannot hold."""
    found = _first_outside(array, type_)
    if found is not None:
        frame, *index = found
        raise GraphError(
            f"code {array[found]} in frame {frame} at {tuple(index)} (row, column, channel) is not in {type_.dtype}",
            where=where,
            hint=f"codes are in {type_.dtype.min}..{type_.dtype.max}; clip them",
        )


def _check_result(where: str, codes: Codes, type_: TensorType) -> None:
    """Raises VerificationError when an op broke its own promise of shape, dtype or range."""
    if codes.shape[1:] != type_.shape or codes.dtype != np.int64:
        raise VerificationError(
            f"golden gave {codes.dtype} codes of shape {codes.shape}, not int64 {type_}",
            where=where,
            hint="this is a bug in the op",
        )
    found = _first_outside(codes, type_)
    if found is not None:
        raise VerificationError(
            f"golden code {codes[found]} at {found} is not in the inferred {type_}",
            where=where,
            hint="this is a bug in the op",
        )


def _first_outside(array: Integers, type_: TensorType) -> tuple[int, ...] | None:
    """The index of the first code that the type cannot hold."""
    low, high = type_.dtype.min, type_.dtype.max
    if not array.size or (int(array.min()) >= low and int(array.max()) <= high):
        return None
    # Python integers, because a 64-bit bound need not fit the array's own dtype.
    flat = next(i for i, code in enumerate(array.ravel().tolist()) if not low <= code <= high)
    return tuple(int(i) for i in np.unravel_index(flat, array.shape))
