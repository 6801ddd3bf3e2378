"""The best (width, exit) cascade for a goal: which stages, in which order, with which thresholds, and what can be promised.

Chains get wider or stay as wide, and every stage costs more than the one before; the last is the *reference*, which accuracy
drops and risks are counted against. Each chain's thresholds come from the search of `tuning`, then the chains are compared.

The promise holds for the chain that was chosen. The bounds of docs/thresholds.md belong to single exits: how often one that is
sure enough is wrong where the reference is right, whatever comes before it. With `delta` shared among all pairs that could
be stages, all bounds hold at once (Bonferroni), so they hold for every chain of such pairs and all thresholds: choosing
among chains costs a logarithm, and no calibration frames. A risk named beforehand is split among the stages of a chain;
there `delta` is shared among pairs and lengths.
"""

# Legend: N frames; E stages, J of them but the last.
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from codesign.errors import ConfigError
from codesign.runtime.goals import Goals, Limits
from codesign.runtime.lines import Bools, Ints, Points, Recorded
from codesign.runtime.risk import Guarantee, promise, promise_of
from codesign.runtime.stage_costs import Basis, ChainPrices, Pair, StageCosts
from codesign.runtime.tuning import tune


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one pair says of every frame: the ease (N,) of stopping there, as in `lines`, and whether it is right (N,)."""

    ease_N: Ints
    right_N: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A chain and its operating point, one row with a threshold on the ease for every stage but the last."""

    chain: tuple[Pair, ...]
    chosen: Points
    prices: ChainPrices
    guarantee: Guarantee

    @property
    def cost(self) -> float:
        """Of a frame, on the basis that was asked for."""
        return float(self.prices.cost_s(self.chosen.stops_KE)[0])

    @property
    def right(self) -> int:
        return int(self.chosen.right_K[0])


@dataclass(frozen=True, slots=True)
class Choice:
    """What is searched: pairs that may be stages, a width's exits in their order, the reference behind them, and chains of at
    most `stages`."""

    pairs: tuple[Pair, ...]
    reference: Pair
    stages: int = 4
    basis: Basis = "cycles"

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise ConfigError(f"a cascade of {self.stages} stages", where="--stages", hint="use 1 or more")

    def chains(self, costs: StageCosts) -> Iterator[tuple[Pair, ...]]:
        """Every chain with a stage before the reference, shorter ones first."""
        full = costs.full(self.basis)
        early = sorted(self.early, key=lambda pair: (full[pair], pair))
        for count in range(1, self.lengths + 1):
            for some in combinations(early, count):
                chain = (*some, self.reference)
                if all(full[a] < full[b] and self._before(a, b) for a, b in pairwise(chain)):
                    yield chain

    def _before(self, a: Pair, b: Pair) -> bool:
        """Whether b is wider than a, or a later exit of the same width."""
        return a[0] < b[0] or (a[0] == b[0] and self.pairs.index(a) < self.pairs.index(b))

    @property
    def early(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair != self.reference)

    @property
    def lengths(self) -> int:
        return min(self.stages - 1, len(self.early))


def search(said: Mapping[Pair, Said], costs: StageCosts, goals: Goals, choice: Choice, delta: float) -> Found:
    """The best chain within the goals: the cheapest if accuracy or risk is limited, else the most accurate.

    Raises ConfigError that says which goal cannot be met.
    """
    best = _alone(said, costs, goals, choice, delta)
    refused: ConfigError | None = None
    too_dear: tuple[Pair, ...] = ()
    ways = len(choice.early) * (choice.lengths if goals.max_risk is not None else 1)
    for chain in choice.chains(costs):
        prices = costs.prices(chain, choice.basis)
        first = np.eye(1, len(chain), dtype=np.int64)  # every frame pays for the first stage
        if best is not None and goals.for_speed and float(prices.cost_s(first)[0]) >= best.cost:
            continue
        if not _affordable(prices, goals, first):
            too_dear = too_dear or chain
            continue
        try:
            tuned = tune(recorded_of(said, chain), goals, prices, delta, ways=ways)
        except ConfigError as error:
            refused = refused or error
            continue
        found = Found(chain, tuned.chosen, prices, tuned.guarantee)
        if best is None or _key(found, goals) < _key(best, goals):
            best = found
    if best is None and refused is None and too_dear:  # says what the cheapest chain can do
        tune(recorded_of(said, too_dear), goals, costs.prices(too_dear, choice.basis), delta, ways=ways)
    if refused is not None and (best is None or (len(best.chain) == 1 and refused.where == "--max-risk")):
        raise refused
    if best is None:
        raise ConfigError("the last stage alone misses the goals", where="tune", hint="allow more --stages")
    return best


def recorded_of(said: Mapping[Pair, Said], chain: Sequence[Pair]) -> Recorded:
    """The frames of a chain of two stages or more."""
    return Recorded(
        np.array([said[pair].ease_N for pair in chain[:-1]]), np.array([said[pair].right_N for pair in chain])
    )


def _key(found: Found, goals: Goals) -> tuple[float, float]:
    return (found.cost, -found.right) if goals.for_speed else (-found.right, found.cost)


def _affordable(prices: ChainPrices, goals: Goals, stops_KE: Ints) -> bool:
    """Whether the limits on cost are met where so many frames stop at each stage, whatever is right."""
    costs = {n: v for n, v in goals.given().items() if n in ("min_throughput", "max_latency", "max_energy")}
    if not costs:
        return True
    point = Points(np.zeros((1, 0), np.int64), stops_KE, np.zeros(1, np.int64), np.zeros((1, 1), np.int64))
    return bool(Limits(Goals(**costs), prices, 0, 0, 0).meets(point)[0])


def _alone(said: Mapping[Pair, Said], costs: StageCosts, goals: Goals, choice: Choice, delta: float) -> Found | None:
    """The reference alone, where that is within the goals: it spoils no frame."""
    right_N = said[choice.reference].right_N
    n, right, chain = len(right_N), int(right_N.sum()), (choice.reference,)
    none = np.zeros((1, 0), np.int64)
    point = Points(none, np.array([[n]]), np.array([right]), np.zeros((1, 1), np.int64))
    prices = costs.prices(chain, choice.basis)
    if not Limits(goals, prices, right, 0, 0).meets(point)[0]:
        return None
    risk = goals.max_risk
    promised = promise([], n, delta) if risk is None else promise_of(risk, [], n, delta)
    return Found(chain, point, prices, promised)
