"""The exit unit in numpy: does a frame stop at an exit that is computed in software? The hardware's own integers.

exits.npz has the tables, board.json the rest; docs/exit_unit.md explains both. Standard library and numpy.
"""

# Legend: N frames; C classes. S and U sum the two exponential tables over the classes.
from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

LARGEST = 0xFFFFFFFF  # codes and thresholds have 32 bits


class Unit:
    """The decision of one exit. `facts` is its section of board.json, `tables` {name: array}."""

    def __init__(self, facts: dict[str, Any], tables: dict[str, np.ndarray]) -> None:
        self.criterion, self.scale = facts["criterion"], facts["scale"]
        self.fraction_bits, self.guard_bits = facts["fraction_bits"], facts["guard_bits"]
        self._tables = tables

    def evaluate(self, logits_NC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The class and the confidence code of every frame, each (N,)."""
        logits_NC = np.asarray(logits_NC, np.int64)
        class_N = logits_NC.argmax(axis=1)
        distance_NC = logits_NC.max(axis=1, keepdims=True) - logits_NC
        if self.criterion == "margin":
            return class_N, np.minimum(np.partition(distance_NC, 1, axis=1)[:, 1], LARGEST)
        at_NC = np.minimum(distance_NC, len(self._tables["exp"]) - 1)
        sum_N = self._tables["exp"][at_NC].sum(axis=1)
        if self.criterion == "max-probability":
            return class_N, np.minimum(sum_N - (1 << self.fraction_bits), LARGEST)
        return class_N, np.minimum(self._entropy(sum_N, self._tables["weighted"][at_NC].sum(axis=1)), LARGEST)

    def _entropy(self, sum_N: np.ndarray, weighted_N: np.ndarray) -> np.ndarray:
        """ln S + U / S, rounded up: the logarithm by shift and add, the quotient by shift and subtract."""
        ln_power, ln_step = self._tables["ln_power"], self._tables["ln_step"]
        powers = (1 << self.fraction_bits) << np.arange(1, len(ln_power), dtype=np.int64)
        power_N = np.searchsorted(powers, sum_N, side="right")
        ln_N = ln_power[power_N]
        grown_N = np.int64(1) << (power_N + self.fraction_bits + self.guard_bits).astype(np.int64)
        rest_N = (sum_N << self.guard_bits) - grown_N
        part_N, divisor_N = weighted_N, sum_N << (len(ln_step) - self.fraction_bits)
        quotient_N = np.zeros_like(sum_N)
        for k, step in enumerate(ln_step, 1):
            grows_N = grown_N >> k
            taken_N = grows_N <= rest_N
            grown_N, rest_N, ln_N = grown_N + grows_N * taken_N, rest_N - grows_N * taken_N, ln_N + step * taken_N
            fits_N = 2 * part_N >= divisor_N
            part_N, quotient_N = 2 * part_N - divisor_N * fits_N, 2 * quotient_N + fits_N
        return quotient_N + (part_N > 0) + (ln_N >> self.guard_bits)

    def decide(self, code_N: np.ndarray, threshold: int) -> np.ndarray:
        """Which frames stop: the comparison that the hardware makes."""
        return code_N > threshold if self.criterion == "margin" else code_N < threshold

    def threshold_code(self, value: float) -> int:
        """The code of a threshold in nats, probability or logit units."""
        exact = Fraction(float(value))
        if self.criterion == "margin":
            code = math.floor(exact / Fraction(self.scale))
        else:
            code = math.floor((exact if self.criterion == "entropy" else 1 / exact - 1) * (1 << self.fraction_bits))
        if code < 0:
            raise ValueError(f"{value!r} is no threshold for {self.criterion}")
        return min(LARGEST, code)


def load_units(board: dict[str, Any], tables: Any) -> list[Unit]:
    """The units of all exits, the accelerator's first. `tables` is the content of exits.npz."""
    units = []
    for index, facts in enumerate(board["exits"]):
        start = f"{index}/"
        own = {name[len(start) :]: tables[name] for name in tables.files if name.startswith(start)}
        units.append(Unit(facts, own))
    return units
