"""What several widths add to a design's HLS: who needs to know a frame's width, the tokens that say it, and the variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from codesign.plan.widths import TOKEN_DEPTH

RESULT = "result_port"  # who reads the last token: it tells the host


@dataclass(frozen=True, slots=True)
class Row:
    """One process at every width, narrow to wide, and behind them at every step up; `at` is the place of the widest."""

    processes: tuple[Process, ...]
    at: int = 0

    @property
    def widest(self) -> Process:
        return self.processes[self.at]

    @property
    def variants(self) -> tuple[Variant, ...]:
        return tuple(p.op.variant if isinstance(p.op, Slim) else Variant(p.op, p.types) for p in self.processes)


def rows_of(dataflow: Dataflow, narrow: Sequence[Dataflow], steps: Sequence[Dataflow]) -> dict[str, Row]:
    """Every process at all widths and steps, by name."""
    columns = zip(*(f.processes for f in (*narrow, dataflow, *steps)), strict=True)
    return {column[0].name: Row(column, len(narrow)) for column in columns}


def widest(op: Op) -> Op:
    return op.widest if isinstance(op, Slim) else op


def changes(row: Row) -> bool:
    """Whether the process runs in another way at another width."""
    if len({variant[2:] for variant in row.variants}) > 1:
        return True
    return bool(differing([p.op.hls(p.folding, *p.types) for p in row.processes]))


def slim_variables(row: Row) -> dict[str, Any]:
    """Variables of the template in hls/slim/ of a process that changes."""
    process = row.widest
    try:
        variables = widest(process.op).slim_hls(process.folding, row.variants, *process.types)
    except FoldingError as error:
        raise FoldingError(error.what, where=process.name, hint=error.hint) from error
    return {
        **variables,
        "count_type": IntType.holding(0, int(variables["largest"])),
        "token": token_type(row.processes),
        "cycles": [p.cycles for p in row.processes],
    }


def token_type(widths: Sequence[Any]) -> IntType:
    return IntType.holding(0, len(widths) - 1)


def token_channels(
    dataflow: Dataflow, narrow: Sequence[Dataflow], steps: Sequence[Dataflow] = ()
) -> tuple[Channel, ...]:
    """The channels in which the image port says every frame's width: to all that change, and last to the result port.

    None in a design with one width.
    """
    if not narrow:
        return ()
    names = Names()
    for taken in (*dataflow.processes, *dataflow.channels, *dataflow.registers):
        names.take(taken.name)
    flows = (*narrow, dataflow, *steps)
    readers = [name for name, row in rows_of(dataflow, narrow, steps).items() if changes(row)]
    kind = token_type(flows)
    depth = max([TOKEN_DEPTH, *(2 + _held(flow) for flow in flows)])
    return tuple(
        Channel(names.take(f"width_to_{reader}"), kind, 1, 1, depth, "", reader) for reader in (*readers, RESULT)
    )


def _held(dataflow: Dataflow) -> int:
    """Frames, rounded up, that the design holds until later ones push them out: steps in the pipelines, as deep as `deepest`
    lets them be where they do not drain, and rows in windows. While a token waits behind that many, what it is of must be able to come."""
    depths = deepest(dataflow)
    ahead = ((0 if p.drain else depths[p.name]) + schedule(p, 1).steps - p.cycles for p in dataflow.processes)
    return ceil(sum(steps / p.cycles for steps, p in zip(ahead, dataflow.processes, strict=True)))
