"""Fits the coefficients of LUT and FF: robust, in logarithms, drawn to what the operator tables say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from codesign.cost.layers.model import loops_of
from codesign.cost.layers.parts import FF_PRIOR, LUT_PRIOR, ff_parts, lut_parts
from codesign.cost.layers.report import Report

PRIORS: Mapping[str, Mapping[str, float]] = {"lut": LUT_PRIOR, "ff": FF_PRIOR}
PARTS = {"lut": lut_parts, "ff": ff_parts}
PULL = 3.0  # weight of the prior: that of three reports of one kind
SMALL = 0.05  # errors below 5 % are not told apart
FAR = 1.0  # beyond a factor of e an error hardly pulls: such a layer has something that no count here knows
_ROUNDS = 60
_STEADY = 15  # rounds of least absolute deviations before far errors lose their pull

Floats = npt.NDArray[np.float64]


def fit(reports: Sequence[Report], resource: str) -> dict[str, float]:
    """Coefficients of `resource` ("lut" or "ff"), all positive.

    Minimizes |log(estimate / reported)| weighted so that an implementation that a repository repeats n times counts as
    sqrt(n), plus PULL times the squared log distance from the prior. A part that no report has keeps its prior.
    """
    prior = PRIORS[resource]
    if not reports:
        return dict(prior)
    counts = np.array(
        [list(PARTS[resource](r.description, loops_of(r.description)).values()) for r in reports], dtype=np.float64
    )
    used = np.array([max(1, r.used[resource]) for r in reports], dtype=np.float64)
    solution = _solve(counts, used, _weights(reports), np.array(list(prior.values()), dtype=np.float64))
    return dict(zip(prior, (float(v) for v in solution), strict=True))


def _weights(reports: Sequence[Report]) -> Floats:
    repeats = Counter((r.repository, r.description.family) for r in reports)
    return np.array([repeats[r.repository, r.description.family] ** -0.5 for r in reports], dtype=np.float64)


def _solve(counts: Floats, used: Floats, weights: Floats, prior: Floats) -> Floats:
    """Gauss-Newton on log coefficients; every round reweights an error by its size (IRLS)."""
    theta, start, target = np.log(prior), np.log(prior), np.log(used)
    for step in range(_ROUNDS):
        value = np.exp(theta)
        estimate = np.maximum(counts @ value, 1e-6)
        error = np.log(estimate) - target
        pull = weights / np.maximum(np.abs(error), SMALL)
        if step >= _STEADY:
            pull = pull / (1 + (error / FAR) ** 2)
        slope = counts * value / estimate[:, None]
        normal = (slope * pull[:, None]).T @ slope + PULL * np.eye(len(theta))
        gradient = (slope * pull[:, None]).T @ error + PULL * (theta - start)
        theta = theta - np.clip(np.linalg.solve(normal, gradient), -0.5, 0.5)
    return np.exp(theta)
