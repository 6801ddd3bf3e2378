"""What several widths add to a design's HLS: who needs to know a frame's width, the tokens that say it, and the variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from codesign.errors import FoldingError
from codesign.ir.types import IntType
from codesign.ops.base import Op, Variant, differing
from codesign.ops.slim import Slim
from codesign.plan.dataflow import Channel, Dataflow, Process
from codesign.plan.fifos import deepest
from codesign.plan.names import Names
from codesign.plan.timing import schedule

TOKEN_DEPTH = 16  # frames between the image port and a process that has not begun them, and more where more can be
RESULT = "result_port"  # who reads the last token: it tells the host

Row = tuple[Process, ...]  # one process at every width, narrow to wide


def rows_of(dataflow: Dataflow, narrow: Sequence[Dataflow]) -> dict[str, Row]:
    """Every process at all widths, by name."""
    return {row[-1].name: row for row in zip(*(f.processes for f in (*narrow, dataflow)), strict=True)}


def widest(op: Op) -> Op:
    return op.widest if isinstance(op, Slim) else op


def changes(row: Row) -> bool:
    """Whether the process runs in another way at another width."""
    return bool(differing([p.op.hls(p.folding, *p.types) for p in row]))


def slim_variables(row: Row) -> dict[str, Any]:
    """Variables of the template in hls/slim/ of a process that changes."""
    variants = tuple(Variant(p.op.variant.op if isinstance(p.op, Slim) else p.op, p.types) for p in row)
    try:
        variables: Mapping[str, Any] = variants[-1].op.slim_hls(row[-1].folding, variants)
    except FoldingError as error:
        raise FoldingError(error.what, where=row[-1].name, hint=error.hint) from error
    return {
        **variables,
        "count_type": IntType.holding(0, int(variables["largest"])),
        "token": token_type(row),
        "cycles": [p.cycles for p in row],
    }


def token_type(widths: Sequence[Any]) -> IntType:
    return IntType.holding(0, len(widths) - 1)


def token_channels(dataflow: Dataflow, narrow: Sequence[Dataflow]) -> tuple[Channel, ...]:
    """The channels in which the image port says every frame's width: to all that change, and last to the result port.

    None in a design with one width.
    """
    if not narrow:
        return ()
    names = Names()
    for taken in (*dataflow.processes, *dataflow.channels, *dataflow.registers):
        names.take(taken.name)
    readers = [name for name, row in rows_of(dataflow, narrow).items() if changes(row)]
    kind = token_type((*narrow, dataflow))
    depth = max([TOKEN_DEPTH, *(2 + _held(flow) for flow in (*narrow, dataflow))])
    return tuple(
        Channel(names.take(f"width_to_{reader}"), kind, 1, 1, depth, "", reader) for reader in (*readers, RESULT)
    )


def _held(dataflow: Dataflow) -> int:
    """Frames, rounded up, that the design holds until later ones push them out: steps in the pipelines, as deep as `deepest`
    lets them be where they do not drain, and rows in windows. While a token waits behind that many, what it is of must be able to come."""
    depths = deepest(dataflow)
    ahead = ((0 if p.drain else depths[p.name]) + schedule(p, 1).steps - p.cycles for p in dataflow.processes)
    return ceil(sum(steps / p.cycles for steps, p in zip(ahead, dataflow.processes, strict=True)))
