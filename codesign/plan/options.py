"""Which foldings of a node are worth looking at for a goal, what each costs, and whether those the user fixed can be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from codesign.devices import Device
from codesign.errors import FoldingError, nearest
from codesign.ir.graph import Graph, Node
from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op, beat_pixels
from codesign.plan.budget import price
from codesign.plan.dataflow import MAX_BEAT_BITS, NICE_BEAT_BITS, cycles, legal

NEVER = 1 << 62  # a goal that every folding meets
BEAT = 1e-7  # price of a bit of beat: of two equal foldings, the one with narrower beats


@lru_cache(maxsize=4096)
def options(
    op: Op, types: tuple[TensorType, ...], goal: int, several: bool, constants: bool = False
) -> tuple[Folding, ...]:
    """Foldings within the goal whose beats a channel can carry; of each (lanes, PE), only the one with least SIMD.

    `several` also offers beats of several pixels, and wide beats where no nice ones meet the goal; `constants` those that
    are faster than they need to be, but whose weights never change and so take no DSPs.
    """
    nice, carried = _carried(op, types, several)
    if goal == NEVER:
        return carried if several else nice
    return _within(op, types, goal, nice, constants) or (
        _within(op, types, goal, carried, constants) if several else ()
    )


@lru_cache(maxsize=4096)
def fastest(op: Op, types: tuple[TensorType, ...], several: bool) -> int:
    """The least cycles a frame at any folding; `several` as in `options`."""
    return min(cycles(op, folding, types) for folding in options(op, types, NEVER, several))


@lru_cache(maxsize=4096)
def _carried(op: Op, types: tuple[TensorType, ...], several: bool) -> tuple[tuple[Folding, ...], tuple[Folding, ...]]:
    """The foldings with beats of a width to like, or else the next best, and all that a channel can carry."""
    out = op.infer(*types)
    offered = [f for f in legal(op, types) if several or beat_pixels(f.lanes, types[0].channels) == 1]
    bits = {f: max(f.lanes * types[0].dtype.bits, op.y_lanes(f) * out.dtype.bits) for f in offered}
    nice = tuple(f for f in bits if bits[f] <= NICE_BEAT_BITS)
    carried = tuple(f for f in bits if bits[f] <= MAX_BEAT_BITS)
    if not carried:
        carried = tuple(bits)  # which `build` then refuses, with the reason
    return nice or carried, carried


def _within(
    op: Op, types: tuple[TensorType, ...], goal: int, foldings: tuple[Folding, ...], constants: bool
) -> tuple[Folding, ...]:
    chosen: dict[tuple[int, int, bool], Folding] = {}
    for folding in foldings:
        key = (folding.lanes, folding.pe, constants and not op.work(folding, *types).roms)
        if cycles(op, folding, types) <= goal and (key not in chosen or folding.simd < chosen[key].simd):
            chosen[key] = folding
    return tuple(chosen.values())


@lru_cache(maxsize=1 << 18)
def cost(op: Op, folding: Folding, types: tuple[TensorType, ...], device: Device) -> float:
    """The share of the device that a process takes, and a trifle for its beats."""
    return price(op, folding, types, device.pads_bram).share(device) + BEAT * folding.lanes * types[0].dtype.bits


def op_of(node: Node) -> Op:
    assert isinstance(node.op, Op)
    return node.op


def check_fixed(graph: Graph, fixed: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The foldings that the user fixed, each of a node that has one and legal there."""
    nodes = {n.name: n for n in graph.nodes if not op_of(n).view}
    for name, (pe, simd) in fixed.items():
        if name not in nodes:
            raise FoldingError(
                f"a folding is given for {name!r}, which is no process of {graph.name}",
                where="plan.foldings",
                hint=nearest(name, sorted(nodes)),
            )
        options = legal(op_of(nodes[name]), tuple(graph.types[source] for source in nodes[name].inputs))
        if not any((f.pe, f.simd) == (pe, simd) for f in options):
            pes, simds = sorted({f.pe for f in options}), sorted({f.simd for f in options})
            raise FoldingError(
                f"PE={pe}, SIMD={simd} is not a legal folding", where=name, hint=f"use PE in {pes}, SIMD in {simds}"
            )
    return dict(fixed)
