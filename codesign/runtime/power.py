"""What boards draw: typical watts with a band, from the sources named, until a cost model says more of a design.

A board's power hardly depends on the network it runs, so energy is power times time. A board that is not listed has no
figure; a person who knows one gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watts:
    """Typical, least and most; where they come from."""

    typical: float
    low: float
    high: float
    source: str


# By the name of the part in codesign/devices.
BOARDS: Mapping[str, Watts] = {
    "xc7z020": Watts(
        1.65,
        1.58,
        1.76,
        "Pynq-Z2 running five networks bare metal at 100 MHz, 1.58 to 1.76 W measured for MLPerf Tiny (Borras et al., "
        "arXiv 2206.11791); under Linux it is more",
    ),
    "xck26": Watts(
        9.6,
        9.15,
        10.13,
        "KV260 at its 12 V input, 9.15 W idle to 10.13 W with a DPU at work, measured by Simfero (dAIEDGE project, 2026)",
    ),
    "xczu7ev": Watts(
        14.05, 14.05, 14.05, "ZCU104 at its 12 V input, one idle reading in an example of PYNQ's pmbus pages; no band"
    ),
}


def board_watts(part: str, given: float | None = None) -> Watts | None:
    """The figure that a person gives, or the part's board's; None where there is neither."""
    if given is not None:
        return Watts(given, given, given, "given")
    return BOARDS.get(part)
