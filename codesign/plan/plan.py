"""Plan: the choices of one design beside its graph, as a value that is saved, loaded and made into a dataflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from codesign.errors import FoldingError
from codesign.files import read_json, write_json
from codesign.ir.graph import Graph
from codesign.ops.base import Folding
from codesign.plan.build import build
from codesign.plan.dataflow import MIN_DEPTH, Dataflow
from codesign.plan.timing import draining

_FORMAT = "codesign-plan-1"
_HINT = "delete it and run `codesign plan` again"


@dataclass(frozen=True, slots=True)
class Plan:
    """Device, clock, foldings by node and FIFO depths by channel, with the cycles they are expected to reach.

    `goal` is the interval that was asked for (0: none was). `interval_cycles` between frames of a long batch and
    `latency_cycles` of a batch of one frame, from its first beat in to its result out, are estimated.
    With `drains`, processes empty their pipelines behind each frame where they have the time (`timing.draining`).
    The nodes in `fabric` multiply in LUTs instead of DSPs; `Folding.dsp_pe` has it the other way round for constant weights.
    """

    device: str
    clock_mhz: float
    foldings: Mapping[str, Folding]
    depths: Mapping[str, int]
    interval_cycles: int
    latency_cycles: int
    goal: int = 0
    drains: bool = False
    fabric: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.clock_mhz > 0:
            raise FoldingError(
                f"a clock of {self.clock_mhz} MHz cannot run", where="plan", hint="give a positive clock_mhz"
            )
        for name, depth in self.depths.items():
            if depth < MIN_DEPTH:
                raise FoldingError(
                    f"a FIFO of depth {depth}", where=f"plan.depths.{name}", hint=f"the least depth is {MIN_DEPTH}"
                )

    @property
    def frames_per_second(self) -> float:
        """What the hardware alone takes in, estimated."""
        return self.clock_mhz * 1e6 / self.interval_cycles

    def to_json(self) -> dict[str, Any]:
        """A plain dict for `json`; `from_json` turns it back."""
        return {
            "format": _FORMAT,
            "device": self.device,
            "clock_mhz": self.clock_mhz,
            "goal": self.goal,
            "interval_cycles": self.interval_cycles,
            "latency_cycles": self.latency_cycles,
            "source": "estimated",
            "drains": self.drains,
            "fabric": list(self.fabric),
            "foldings": {name: _table(folding) for name, folding in self.foldings.items()},
            "depths": dict(self.depths),
        }

    @staticmethod
    def from_json(value: Any, where: str = "plan") -> Plan:
        """The plan of a parsed JSON value; raises FoldingError that names the key that is missing or wrong."""
        table: Mapping[str, Any] = cast(Mapping[str, Any], value) if isinstance(value, Mapping) else dict[str, Any]()
        if table.get("format") != _FORMAT:
            raise FoldingError(f"this is no plan of format {_FORMAT}", where=where, hint=_HINT)
        try:
            return Plan(
                device=str(table["device"]),
                clock_mhz=float(table["clock_mhz"]),
                foldings={
                    str(n): Folding(int(f["lanes"]), int(f["pe"]), int(f["simd"]), int(f.get("dsp_pe", 0)))
                    for n, f in table["foldings"].items()
                },
                depths={str(name): int(depth) for name, depth in table["depths"].items()},
                interval_cycles=int(table["interval_cycles"]),
                latency_cycles=int(table["latency_cycles"]),
                goal=int(table["goal"]),
                drains=bool(table["drains"]),
                fabric=tuple(map(str, table.get("fabric", ()))),  # plans of earlier versions have none
            )
        except KeyError as error:
            raise FoldingError(f"the key {error.args[0]!r} is missing", where=where, hint=_HINT) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise FoldingError(f"a value is of the wrong type: {error}", where=where, hint=_HINT) from error


def _table(folding: Folding) -> dict[str, int]:
    """Of a folding, what is not as it nearly always is."""
    table = asdict(folding)
    return table if folding.dsp_pe else {key: value for key, value in table.items() if key != "dsp_pe"}


def save_plan(plan: Plan, path: Path) -> None:
    """Writes the plan to a file that `load_plan` reads."""
    write_json(path, plan.to_json())


def load_plan(path: Path) -> Plan:
    """The plan in a file; raises CodesignError when it cannot be read, FoldingError when it is not a plan."""
    return Plan.from_json(read_json(path, hint=_HINT), where=str(path))


def realize(graph: Graph, plan: Plan) -> Dataflow:
    """The dataflow of a graph under a plan, at the planned depths. Raises FoldingError for a plan of another graph."""
    dataflow = build(graph, plan.foldings, plan.fabric)
    if plan.drains:
        dataflow = draining(dataflow)
    names = {channel.name for channel in dataflow.channels}
    if plan.depths and (wrong := names ^ set(plan.depths)):
        raise FoldingError(
            f"the plan and the graph differ in channel {min(wrong)!r}",
            where=graph.name,
            hint="the plan belongs to another graph; plan again",
        )
    return dataflow.with_depths(plan.depths)
