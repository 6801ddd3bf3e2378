"""A policy as turns of the dispatcher: the accelerator set to one width after another, and software behind it. Not for boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise

import numpy as np

from codesign.errors import ConfigError
from codesign.runtime.dispatch_host import StageHost
from codesign.runtime.dispatch_policy import GOES_ON, Pass, Turn
from codesign.runtime.dispatch_types import Route, Unit
from codesign.runtime.lines import ease
from codesign.runtime.policy import AGAIN, Policy, PolicyStage
from codesign.runtime.stages import MAKERS, SoftwareStep, Stages, host_maker


def turns_of(policy: Policy, stages: Mapping[float, Stages], tail: str = "auto") -> tuple[Turn, ...]:
    """One turn for each width of the policy; `stages` by width, `tail` as in `host_maker`.

    An exit that is no stage of the policy stops no frame. Raises ConfigError for a policy of other networks.
    """
    _demand_fit(policy, stages)
    turns: list[Turn] = []
    for width, group in groupby(enumerate(policy.stages), key=lambda pair: pair[1].width):
        of_exit = {stage.exit: (index, stage) for index, stage in group}
        cut, last = stages[width], len(policy.stages) - 1
        ends = any(index == last for index, _ in of_exit.values())
        used = 1 + max(cut.names.index(name) for name in of_exit)
        numbers = [of_exit[name][0] if name in of_exit else GOES_ON for name in cut.names[:used]]
        codes = [_code(of_exit.get(name), cut.units[0].criterion) for name in cut.names[:used]]
        units: Sequence[Unit] = cut.units[:used] if ends else (*cut.units[:used], Pass())
        make = host_maker(cut, tail) if ends else _passing(cut, used, tail)
        route = Route(make, cut.expect(), units, codes[:-1] if ends else codes, width)
        turns.append(Turn(route, numbers if ends else [*numbers, GOES_ON]))
    return tuple(turns)


def units_of(policy: Policy, stages: Mapping[float, Stages]) -> list[Unit]:
    """The decision of every stage."""
    return [stages[stage.width].units[stages[stage.width].names.index(stage.exit)] for stage in policy.stages]


def _passing(cut: Stages, used: int, tail: str) -> Callable[[], StageHost]:
    """Makes hosts of the first exits, which hand on what those do not stop."""
    makers = [MAKERS[tail](stage.graph, stage.outputs) for stage in cut.stages[:used]]

    def make() -> StageHost:
        steps = [SoftwareStep(stage, make_tail()) for stage, make_tail in zip(cut.stages, makers, strict=False)]
        return StageHost(steps, Pass(), [*cut.units[:used], Pass()])

    return make


def _code(entry: tuple[int, PolicyStage] | None, criterion: str) -> int:
    """The register's value; without a stage, the one at which no frame stops."""
    code = None if entry is None else entry[1].threshold_code
    return int(ease(np.asarray(0), above=criterion == "margin")) if code is None else code


def _demand_fit(policy: Policy, stages: Mapping[float, Stages]) -> None:
    for stage in policy.stages:
        names = stages[stage.width].names if stage.width in stages else ()
        if stage.exit not in names:
            raise ConfigError(f"the network has no {stage.width:g}/{stage.exit}", where="policy.stages", hint=AGAIN)
    for a, b in pairwise(policy.stages):
        names = stages[a.width].names
        if a.width == b.width and names.index(a.exit) >= names.index(b.exit):
            what = f"{b.width:g}/{b.exit} does not come behind {a.width:g}/{a.exit}"
            raise ConfigError(what, where="policy.stages", hint=AGAIN)
    last = policy.stages[-1]
    if last.exit != stages[last.width].names[-1]:
        raise ConfigError(
            f"the last stage, {last.width:g}/{last.exit}, is not its network's last exit",
            where="policy.stages",
            hint="tune with a last exit as --reference",
        )
    criterion = stages[last.width].units[0].criterion
    if policy.criterion != criterion:
        raise ConfigError(
            f"thresholds of {policy.criterion}, the exits decide by {criterion}", where="policy.criterion", hint=AGAIN
        )
