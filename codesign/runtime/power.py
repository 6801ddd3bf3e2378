"""What boards draw at work: typical watts with a band, for thresholds and benchmarks of any design.

A board's power hardly depends on the network it runs, so energy is power times time. The figures are those of
`codesign/cost/power.toml`, measured by the sources named there; `codesign estimate` says more of one design. A board that
nobody has measured has no figure here; a person who knows one gives it.
"""

from __future__ import annotations

from dataclasses import dataclass

from codesign.cost.power import measured_boards


@dataclass(frozen=True, slots=True)
class Watts:
    """Typical, least and most; where they come from."""

    typical: float
    low: float
    high: float
    source: str


def board_watts(part: str, given: float | None = None) -> Watts | None:
    """The figure that a person gives, or the part's board's; None where there is neither."""
    if given is not None:
        return Watts(given, given, given, "given")
    board = measured_boards().get(part)
    return None if board is None else Watts(board.watts.value, board.watts.low, board.watts.high, board.watts.source)
