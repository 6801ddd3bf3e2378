"""What a run folder says, loaded and not yet interpreted: the input of the report, whatever steps were run."""

# Legend: N frames; C classes; E exits, J of them but the last.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.devices import Device
from codesign.ir.graph import Graph
from codesign.plan.dataflow import Dataflow
from codesign.plan.plan import Plan
from codesign.runtime.lines import Recorded, ease
from codesign.runtime.stages import Stages

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """One split's labels (N,) and integer logits (N, C) by exit."""

    labels_N: Ints
    codes_NC: Mapping[str, Ints]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The network cut into stages, its recorded answers, and the thresholds of its exits but the last.

    `threshold_codes` are the registers' values, `chosen` says where they come from.
    """

    graph: Graph
    stages: Stages
    test: Frames
    calibration: Frames
    threshold_codes: tuple[int, ...]
    chosen: str

    def recorded(self, frames: Frames) -> Recorded:
        """What every exit says of a split's frames."""
        said = self.said(frames)
        ease_JN = np.array([ease(codes_N, above=self.above) for _, codes_N in said[:-1]])
        return Recorded(ease_JN, np.array([classes_N == frames.labels_N for classes_N, _ in said]))

    def said(self, frames: Frames) -> list[tuple[Ints, Ints]]:
        """Classes and confidence codes of every exit."""
        pairs = zip(self.stages.names, self.stages.units, strict=True)
        return [unit.evaluate(frames.codes_NC[name]) for name, unit in pairs]

    @property
    def above(self) -> bool:
        """Whether a frame stops above the threshold, not below."""
        return self.stages.units[0].criterion == "margin"

    @property
    def eases(self) -> list[int]:
        """The thresholds as `codesign.runtime.lines` counts them."""
        return [int(ease(np.asarray(code), above=self.above)) for code in self.threshold_codes]


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A plan, and the dataflow as each backend runs it."""

    plan: Plan
    hls: Dataflow
    rtl: Dataflow


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """`network` and `design` are None before `quantize` and `plan`; `metrics`, `tune` and `curve` hold what later steps left.

    `dates` are the first and last day on which a record was written. `notes` say what could not be used, and why.
    """

    name: str
    config: Mapping[str, Any]
    device: Device
    dates: tuple[str, str]
    network: Network | None = None
    design: Design | None = None
    metrics: Mapping[str, Any] | None = None
    tune: Mapping[str, Any] | None = None
    curve: Sequence[Mapping[str, Any]] = ()
    notes: tuple[str, ...] = ()

    def section(self, name: str) -> Mapping[str, Any]:
        """One step's metrics; empty when it was not run."""
        return (self.metrics or {}).get(name) or {}
