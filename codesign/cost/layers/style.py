"""The style in which a layer is written: what decides its loops and its arithmetic beside its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StyleName = Literal["ours", "hls4ml-latency", "hls4ml-resource", "loops", "finn"]
STYLES: dict[str, str] = {
    "ours": "the streaming units of this package, folded by --pe and --simd",
    "hls4ml-latency": "hls4ml, io_stream, Strategy: Latency",
    "hls4ml-resource": "hls4ml, io_stream, Strategy: Resource, folded by --reuse",
    "loops": "hand-written nested loops, the innermost one pipelined, --pe of its iterations at once",
    "finn": "FINN: a sliding window unit and an MVAU, folded by --pe and --simd",
}


@dataclass(frozen=True, slots=True)
class Style:
    """How the layer is written, for which part, clock and tool.

    `lanes` is how many channels travel in a beat (0: a whole pixel). `zeros` are weights that are 0 in a design whose
    weights are known.
    """

    name: str = "ours"
    reuse: int = 1
    pe: int = 1
    simd: int = 1
    x_bits: int = 8
    w_bits: int = 8
    lanes: int = 0
    zeros: int = 0
    clock_ns: float = 10.0
    part: str = "xc7z020clg400-1"
    tool: str = ""
    floating: bool = False

    @property
    def seven_series(self) -> bool:
        """Whether the part is of the 7-series, by its name: xc7z020, xc7vx690t."""
        return self.part.lower().startswith("xc7")
