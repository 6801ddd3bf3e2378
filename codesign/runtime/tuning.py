"""Thresholds for every exit of a cascade, the best within given limits, and the trade-off that they are a point of.

With one threshold every value that makes a difference is tried. With more, every threshold of the first exit is tried for
each vector of a lattice over the others, the lattice is drawn closer around the best one until that gains nothing, and
then each exit has its turn at trying all of its own.
"""

# Legend: E exits, J of them but the last; K operating points.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from codesign.errors import ConfigError
from codesign.runtime.goals import Goals, Limits, Prices, exit_rate
from codesign.runtime.lines import Ints, Points, Recorded, line, point, together
from codesign.runtime.risk import Guarantee, budget, frames_needed, promise, promise_of

LINES, LINE_FRAMES = 256, 4_000_000  # lines of a round, and frames that they may go through in all
ROUNDS = 8
BINS = 100  # points of the trade-off curve

Lattice = list[Ints]  # for each exit behind the first, the thresholds to try


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The chosen operating point, what is promised of it, and the curve: the best accuracy at each exit rate."""

    chosen: Points
    guarantee: Guarantee
    curve: Points


def tune(recorded: Recorded, goals: Goals, speed: Prices, delta: float, *, ways: int = 0) -> Tuned:
    """The best thresholds on these frames within the goals. Raises ConfigError that says which goal cannot be met.

    `ways` is for one of several cascades that the same frames choose between: among how many bounds `delta` is shared,
    by default the exits'.
    """
    ways = ways or recorded.early
    lattice = _lattice(recorded, [(0, None)] * (recorded.early - 1))
    curve, best_loss = _explore(recorded, lattice)
    spoil_budget = -1
    if goals.max_risk is not None:
        spoil_budget = budget(goals.max_risk, recorded.frames, delta, recorded.early, ways)
        if spoil_budget < 0:
            raise _too_few(goals.max_risk, delta, recorded, ways)
    limits = Limits(goals, speed, recorded.final_right, best_loss, spoil_budget)
    chosen = _polished(recorded, limits, _zoomed(recorded, limits, lattice))
    if chosen is None:
        raise _out_of_reach(recorded, limits, lattice)
    if goals.max_risk is None:
        return Tuned(chosen, promise(chosen.spoiled(0), recorded.frames, delta, ways), curve)
    # Named beforehand, so promised as it is: the smaller of two promises is not one.
    return Tuned(chosen, promise_of(goals.max_risk, chosen.spoiled_KJ[0].tolist(), recorded.frames, delta), curve)


def _explore(recorded: Recorded, lattice: Lattice) -> tuple[Points, int]:
    """The curve over the lattice, and the fewest right answers that exiting loses (below 0: it gains some)."""
    curve, best = point(recorded, [0] * recorded.early), recorded.final_right
    for points in _lines(recorded, lattice):
        best = max(best, int(points.right_K.max()))
        curve = _thinned(together([curve, _thinned(points)]))
    return curve, recorded.final_right - best


def _thinned(points: Points) -> Points:
    """The most accurate point in every bin of exit rates, in their order; bins are narrower towards all frames exiting."""
    bin_K = np.ceil(BINS * (1 - np.sqrt(1 - exit_rate(points.stops_KE))) - 1e-9)
    order = np.lexsort((points.right_K, bin_K))
    return points.take(order[np.flatnonzero(np.append(np.diff(bin_K[order]) != 0, True))])


def _zoomed(recorded: Recorded, limits: Limits, lattice: Lattice) -> Points | None:
    """The best point of the lattice, of a finer one around it, and so on until that gains nothing."""
    best: Points | None = None
    for _ in range(ROUNDS):
        found = _best_of(limits, _lines(recorded, lattice), best)
        if found is None or found is best:
            return found
        best = found
        around = [_neighbours(values, int(t)) for values, t in zip(lattice, best.thresholds_KJ[0, 1:], strict=True)]
        lattice = _lattice(recorded, around)
    return best


def _polished(recorded: Recorded, limits: Limits, best: Points | None) -> Points | None:
    """The point after every exit, in turns, has tried all of its thresholds, until none gains anything."""
    axis = turns_without = 0
    while best is not None and turns_without < recorded.early:
        found = _best_of(limits, [line(recorded, best.thresholds_KJ[0].tolist(), axis)], best)
        turns_without = turns_without + 1 if found is best else 0
        best, axis = found, (axis + 1) % recorded.early
    return best


def _best_of(limits: Limits, lines: Iterator[Points] | list[Points], best: Points | None) -> Points | None:
    """The best point of all lines; `best` itself unless one is better."""
    for points in lines:
        row = limits.best(points)
        if row is not None:
            found = points.take(np.array([row]))
            if best is None or limits.best(together([best, found])) == 1:
                best = found
    return best


def _lines(recorded: Recorded, lattice: Lattice) -> Iterator[Points]:
    for others in product(*lattice):
        yield line(recorded, [0, *map(int, others)], 0)


def _lattice(recorded: Recorded, ranges: Sequence[tuple[int, int | None]]) -> Lattice:
    """Thresholds of every exit behind the first, within `ranges` (least, most), spread evenly over its frames."""
    if not ranges:
        return []
    lines = max(8, min(LINES, LINE_FRAMES // recorded.frames))
    count = max(3, int(lines ** (1 / len(ranges)) + 1e-9))
    lattice: Lattice = []
    for ease_N, (least, most) in zip(recorded.ease_JN[1:], ranges, strict=True):
        values = np.unique(np.concatenate([[0], ease_N + 1]))
        values = values[(values >= least) & (values <= (values[-1] if most is None else most))]
        lattice.append(values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).astype(int))])
    return lattice


def _neighbours(values: Ints, t: int) -> tuple[int, int]:
    at = int(np.searchsorted(values, t))
    return int(values[max(0, at - 1)]), int(values[min(len(values) - 1, at + 1)])


def _too_few(epsilon: float, delta: float, recorded: Recorded, ways: int) -> ConfigError:
    need = frames_needed(epsilon, delta, recorded.early, ways)
    return ConfigError(
        f"a risk of {epsilon:g} cannot be promised on {recorded.frames} calibration frames",
        where="--max-risk",
        hint=f"that takes {need} frames (data.calibration), or a larger --delta or risk",
    )


def _out_of_reach(recorded: Recorded, limits: Limits, lattice: Lattice) -> ConfigError:
    """Names a goal that no thresholds meet, with the best that can be had, or all goals when only together they fail."""
    for name, limit in limits.goals.given().items():
        alone = Limits(Goals(**{name: limit}), limits.speed, limits.final_right, limits.best_loss, limits.spoil_budget)
        if _best_of(alone, _lines(recorded, lattice), None) is None:
            values = [alone.value(points, name) for points in _lines(recorded, lattice)]
            most = max(v.max() for v in values) if name.startswith("min_") else min(v.min() for v in values)
            option = "--" + name.replace("_", "-")
            return ConfigError(
                f"{limit:g} is out of reach", where=option, hint=f"the best that can be had is {most:.6g}"
            )
    options = ", ".join("--" + name.replace("_", "-") for name in limits.goals.given())
    return ConfigError("no thresholds meet all goals at once", where=options, hint="relax one of them")
