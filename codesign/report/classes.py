"""What the cascade answers on the test frames at the run's thresholds: the confusion of classes, class by class."""

# Legend: N frames; C classes; E exits, J of them but the last.
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.report.records import Ints, Network

MOST_CLASSES = 20  # in a table of all pairs


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One true class: its frames, how many are answered as each class, how many rightly, how many stop early."""

    label: int
    frames: int
    answered: tuple[int, ...]
    right: int
    early: int


@dataclass(frozen=True, slots=True)
class Answers:
    """All classes; `stops_E` are frames by the exit where they stop, `right_E` those answered rightly there."""

    frames: int
    right: int
    right_at_last: int
    rows: tuple[ClassRow, ...]
    stops_E: tuple[int, ...]
    right_E: tuple[int, ...]

    @property
    def shown_whole(self) -> bool:
        """Whether the table of all pairs fits a page."""
        return len(self.rows) <= MOST_CLASSES


def answers(network: Network) -> Answers:
    """The cascade at the run's own thresholds on the recorded test frames."""
    said, labels_N = network.said(network.test), network.test.labels_N
    stops_N = stops_at(network)
    classes_N = np.array([classes_N for classes_N, _ in said])[stops_N, np.arange(len(labels_N))]
    right_N, exits = classes_N == labels_N, len(said)
    count = max(network.stages.units[-1].classes, int(labels_N.max()) + 1)
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (labels_N, classes_N), 1)
    early_C = np.bincount(labels_N[stops_N < exits - 1], minlength=count)
    rows = (
        ClassRow(c, int(table[c].sum()), tuple(table[c].tolist()), int(table[c, c]), int(early_C[c]))
        for c in range(count)
    )
    return Answers(
        len(labels_N),
        int(right_N.sum()),
        int((said[-1][0] == labels_N).sum()),
        tuple(rows),
        tuple(np.bincount(stops_N, minlength=exits).tolist()),
        tuple(np.bincount(stops_N[right_N], minlength=exits).tolist()),
    )


def stops_at(network: Network) -> Ints:
    """The exit at which every test frame stops (N,)."""
    said = network.said(network.test)
    stops_N = np.full(len(network.test.labels_N), len(said) - 1)
    for exit_ in reversed(range(len(said) - 1)):
        unit, code = network.stages.units[exit_], network.threshold_codes[exit_]
        stops_N[unit.decide(said[exit_][1], code)] = exit_
    return stops_N
