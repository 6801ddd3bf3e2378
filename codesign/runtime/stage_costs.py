"""What the stages of a (width, exit) cascade cost a frame: one table, whoever filled it, and the expected cost of a chain.

A *pair* is a width and one of its exits. Answering at a pair has a full price, from the image on. It has a smaller one
where the stage before left something that it can go on from: the map of an earlier exit at the same width, or, in a causal
network, the channels of a narrower width. Only what the stage right before computed counts as being there still.
"""

# Legend: E stages of a chain, J of them but the last; K operating points.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from codesign.errors import ConfigError
from codesign.runtime.goals import reach

Pair = tuple[float, str]
Basis = Literal["cycles", "energy"]
Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StageCosts:
    """Prices by pair: `cycles` of the accelerator, `energy_j` in joules, empty where nobody knows it.

    `step_up_cycles` and `step_up_energy_j` are prices by (pair before, pair) where they are below the full one. `unit` names
    what `cycles` are counted in; without `clock_hz` they are no time. `source` says where the table is from.
    """

    cycles: Mapping[Pair, float]
    energy_j: Mapping[Pair, float]
    source: str
    step_up_cycles: Mapping[tuple[Pair, Pair], float] = field(default_factory=dict[tuple[Pair, Pair], float])
    step_up_energy_j: Mapping[tuple[Pair, Pair], float] = field(default_factory=dict[tuple[Pair, Pair], float])
    clock_hz: float | None = None
    unit: str = "cycles"

    def __post_init__(self) -> None:
        if self.energy_j and self.energy_j.keys() != self.cycles.keys():
            raise ValueError("energy is known for other stages than cycles")

    def full(self, basis: Basis) -> Mapping[Pair, float]:
        """Full prices by pair. Raises ConfigError where there are none of this kind."""
        table = self.cycles if basis == "cycles" else self.energy_j
        if not table:
            raise ConfigError(
                f"no energy is known of these stages ({self.source})", where="energy", hint="limit another figure"
            )
        return table

    def of(self, chain: Sequence[Pair], basis: Basis) -> Reals:
        """(E,): what each stage of a chain adds for a frame that comes to it."""
        full, less = self.full(basis), self.step_up_cycles if basis == "cycles" else self.step_up_energy_j
        steps = pairwise(chain)
        return np.array([full[chain[0]], *(less.get((before, pair), full[pair]) for before, pair in steps)])

    def row(self, width: float) -> dict[str, dict[str, float | None]]:
        """The full prices of a width's exits, as JSON."""
        names = [name for of, name in self.cycles if of == width]
        return {n: {"cycles": self.cycles[width, n], "energy_j": self.energy_j.get((width, n))} for n in names}

    def prices(self, chain: Sequence[Pair], basis: Basis) -> ChainPrices:
        """The chain's figures that goals limit; `basis` is what is to be least."""
        energy_E = self.of(chain, "energy") if self.energy_j else None
        return ChainPrices(self.of(chain, "cycles"), energy_E, self.clock_hz, basis, self.source)


@dataclass(frozen=True, slots=True, eq=False)
class ChainPrices:
    """Expected figures of a chain whose stages take turns on one accelerator: the `Prices` of `runtime.goals`."""

    cycles_E: Reals
    energy_j_E: Reals | None
    clock_hz: float | None
    basis: Basis
    source: str

    def cost_s(self, stops_KE: Ints) -> Reals:
        """What is to be least, in cycles or joules a frame."""
        return self.cycles(stops_KE) if self.basis == "cycles" else self.energy_uj(stops_KE) / 1e6

    def cycles(self, stops_KE: Ints) -> Reals:
        return expected(self.cycles_E, stops_KE)

    def throughput(self, stops_KE: Ints) -> Reals:
        return self._clock_hz() / self.cycles(stops_KE)

    def latency_us(self, stops_KE: Ints) -> Reals:
        return 1e6 * self.cycles(stops_KE) / self._clock_hz()

    def energy_uj(self, stops_KE: Ints) -> Reals:
        if self.energy_j_E is None:
            raise ConfigError(
                f"no energy is known of these stages ({self.source})", where="--max-energy", hint="limit another figure"
            )
        return 1e6 * expected(self.energy_j_E, stops_KE)

    def _clock_hz(self) -> float:
        if self.clock_hz is None:
            raise ConfigError(
                f"no clock is known for these stages ({self.source})",
                where="--min-throughput, --max-latency",
                hint="limit another figure",
            )
        return self.clock_hz


def expected(cost_E: Reals, stops_KE: Ints) -> Reals:
    """(K,): the mean over frames; every frame pays for the first stage, and for each stage that it comes to."""
    return cost_E[0] + reach(stops_KE) @ cost_E[1:]
