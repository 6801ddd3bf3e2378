"""The prediction for a layer: cycles, DSP, BRAM18, LUT, FF as csynth prints them, each with a band."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from codesign.cost.layers.arithmetic import block_rams, dsps, listed, memories
from codesign.cost.layers.loops import Loop, cycles
from codesign.cost.layers.parts import FF_PRIOR, LUT_PRIOR, ff_parts, lut_parts
from codesign.cost.layers.report import Description
from codesign.cost.layers.schedule import planned_loops

FILE = "hls_layers.toml"


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The fitted figures: what a part takes, and how far estimates were off where they were fitted to other repositories.

    `bands` are by figure and kind of layer, "" for any other: reported against predicted at 10 and at 90 % of the layers,
    as a ratio, of DSP and BRAM18 as a difference.
    """

    lut: Mapping[str, float] = field(default_factory=lambda: dict(LUT_PRIOR))
    ff: Mapping[str, float] = field(default_factory=lambda: dict(FF_PRIOR))
    bands: Mapping[str, Mapping[str, tuple[float, float]]] = field(
        default_factory=dict[str, Mapping[str, tuple[float, float]]]
    )
    source: str = "the operator tables alone"

    def band(self, figure: str, kind: str, value: int) -> tuple[int, int]:
        """What csynth may print instead of `value`, low and high; a kind never seen has the band of all."""
        rows = self.bands.get(figure, {})
        counted = figure in ("dsp", "bram18")
        low, high = rows.get(kind) or rows.get("") or ((0.0, 0.0) if counted else (0.5, 2.0))
        return (
            (max(0, round(value + low)), round(value + high)) if counted else (round(value * low), round(value * high))
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """What csynth would print; `known_loops` says whether the cycles are composed of loops that were given."""

    cycles: int
    dsp: int
    bram18: int
    lut: int
    ff: int
    known_loops: bool


def predict(d: Description, coefficients: Coefficients, *, with_memories: bool = False) -> Prediction:
    """The figures of one layer. `with_memories` takes the memories that the description lists instead of counting them."""
    loops = loops_of(d)
    found = listed(d) if with_memories else memories(d, loops)
    return Prediction(
        cycles=cycles(loops),
        dsp=dsps(d, loops),
        bram18=block_rams(found, d.style),
        lut=max(1, round(_sum(lut_parts(d, loops), coefficients.lut))),
        ff=max(1, round(_sum(ff_parts(d, loops), coefficients.ff))),
        known_loops=bool(d.loops),
    )


def loops_of(d: Description) -> tuple[Loop, ...]:
    """The loops that are given, or those of the style."""
    return d.loops or planned_loops(d.layer, d.style, max(1, max(d.lanes)))


def bare_cycles(loops: Sequence[Loop]) -> int:
    """Cycles without the iteration latency of any loop that has inner ones."""
    return cycles([loop.bare() for loop in loops])


@cache
def shipped() -> Coefficients:
    """The coefficients of hls_layers.toml, which names the reports that they were fitted to."""
    return parse((resources.files("codesign.cost") / FILE).read_text(encoding="utf-8"))


def parse(text: str) -> Coefficients:
    table = tomllib.loads(text)
    bands = {
        name: {("" if kind == "any" else kind): (float(b[0]), float(b[1])) for kind, b in rows.items()}
        for name, rows in table["bands"].items()
    }
    return Coefficients(
        lut={**LUT_PRIOR, **{k: float(v) for k, v in table["lut"].items()}},
        ff={**FF_PRIOR, **{k: float(v) for k, v in table["ff"].items()}},
        bands=bands,
        source=str(table["source"]),
    )


def _sum(parts: Mapping[str, float], values: Mapping[str, float]) -> float:
    return sum(count * values[name] for name, count in parts.items())
