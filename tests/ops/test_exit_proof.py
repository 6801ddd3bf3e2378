"""Laws of the exit unit over a million logit vectors: it never exits wrongly, and hardly ever fails to exit.

One million vectors, random and adversarial: the code bounds the true entropy, so no threshold at all can exit wrongly.
"""

# Legend: N frames; C classes; distances are max - logit, in codes.
from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import cycle

import numpy as np
import numpy.typing as npt
import pytest

from codesign.ir import IntType, TensorType
from codesign.ops.exit_decision import ExitDecision

Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCALE = 2.0**-6
SIZES = {2: 220_000, 3: 200_000, 5: 200_000, 10: 220_000, 100: 120_000, 1000: 40_000}  # a million in all
THRESHOLDS = (0.001, 0.01, 0.025, 0.1, 0.3, 0.5, 1.0, 2.0, 4.0)
CHUNK = 2_000_000  # codes at a time


def unit(classes: int, criterion: str = "entropy", scale: float = SCALE) -> ExitDecision:
    return ExitDecision.for_logits(TensorType((1, 1, classes), IntType(16), scale), criterion)


def true_sums(distances_NC: Ints, scale: float = SCALE) -> tuple[Reals, Reals]:
    """sum exp(-d) without the largest logit's 1, and sum d exp(-d)."""
    d_NC = distances_NC * scale
    e_NC = np.exp(-d_NC)
    return e_NC.sum(axis=1) - 1, (d_NC * e_NC).sum(axis=1)


def true_entropy(distances_NC: Ints, scale: float = SCALE) -> Reals:
    s_N, u_N = true_sums(distances_NC, scale)
    return np.log1p(s_N) + u_N / (1 + s_N)


def shuffled(rng: np.random.Generator, distances_NC: Ints) -> Ints:
    """With the largest logit in a random place."""
    return rng.permuted(distances_NC, axis=1)


def random_vectors(rng: np.random.Generator, count: int, classes: int) -> Ints:
    """From one-hot to uniform: gaussian logits of every spread, beyond the end of the table too."""
    z_NC = rng.normal(0, 1, (count, classes)) * 2.0 ** rng.uniform(-6, 5, (count, 1)) / SCALE
    z_NC = np.rint(z_NC).astype(np.int64)
    return z_NC.max(axis=1, keepdims=True) - z_NC


def trained_vectors(rng: np.random.Generator, count: int, classes: int) -> Ints:
    """Like a trained network's: 94.3 % of frames have p_max > 0.95 and 98.2 % have p_max > 0.75."""
    log_odds_N = rng.normal(-8.58, 3.57, (count, 1))  # ln(1 / p_max - 1), fitted to both quantiles
    others = rng.normal(0, 2, (count, classes - 1))
    d_NC = np.log(np.exp(others).sum(axis=1, keepdims=True)) - others - log_odds_N
    distances_NC = np.rint(np.maximum(d_NC, 0) / SCALE).astype(np.int64)
    return shuffled(rng, np.concatenate([np.zeros((count, 1), np.int64), distances_NC], axis=1))


def step_vectors(rng: np.random.Generator, count: int, classes: int, entries: int) -> Ints:
    """All other classes at one distance, so that table errors add up; some with a rival or many ties at the top."""
    level_N = rng.permutation(np.arange(count) % (entries + 5))
    distances_NC = np.repeat(level_N[:, None], classes, axis=1)
    distances_NC[:, 0] = 0
    rivals = rng.random(count) < 0.5
    distances_NC[rivals, 1] = rng.integers(0, entries + 5, rivals.sum())
    ties = (np.arange(classes) < rng.integers(1, classes + 1, (count, 1))) & (rng.random((count, 1)) < 0.2)
    return np.where(ties, 0, distances_NC)


def near_vectors(rng: np.random.Generator, count: int, classes: int, threshold: float) -> Ints:
    """Vectors whose true entropy is as near to the threshold as single steps of single logits bring it."""
    g_NC = rng.exponential(1, (count, classes))
    g_NC[:, 0] = 0
    low, high = np.zeros((count, 1)), np.full((count, 1), 2.0**14)
    for _ in range(24):  # spread the logits until the entropy falls to the threshold
        middle = (low + high) / 2
        above = true_entropy(np.rint(g_NC * middle).astype(np.int64))[:, None] > threshold
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    distances_NC = np.rint(g_NC * high).astype(np.int64)
    s_N, u_N = true_sums(distances_NC)
    rows = np.arange(count)
    for _ in range(150):
        c_N, step_N = rng.integers(1, classes, count), rng.choice([-3, -1, 1, 3], count)
        old_N = distances_NC[rows, c_N]
        new_N = np.maximum(old_N + step_N, 0)
        e_old, e_new = np.exp(-old_N * SCALE), np.exp(-new_N * SCALE)
        s_new, u_new = s_N + e_new - e_old, u_N + SCALE * (new_N * e_new - old_N * e_old)
        now = np.abs(np.log1p(s_N) + u_N / (1 + s_N) - threshold)
        better = np.abs(np.log1p(s_new) + u_new / (1 + s_new) - threshold) < now
        distances_NC[rows, c_N] = np.where(better, new_N, old_N)
        s_N, u_N = np.where(better, s_new, s_N), np.where(better, u_new, u_N)
    return distances_NC


def vectors(classes: int) -> Iterator[Ints]:
    """SIZES[classes] vectors of all kinds, in chunks."""
    rng = np.random.default_rng(classes)
    entries, ceiling = unit(classes).entries, np.log(classes)
    reachable = [t for t in (*THRESHOLDS, 0.999 * ceiling) if t < ceiling]
    left, most = SIZES[classes], max(1, CHUNK // classes)
    corners = np.zeros((5, classes), np.int64)
    corners[1, 1:] = 65535  # one-hot
    corners[2, 2:] = 65535  # two equal, the rest impossible
    corners[3, 1:] = 1
    corners[4, 1:] = entries - 1
    yield corners
    left -= len(corners)
    for threshold in reachable:
        near = min(left, most, SIZES[classes] // (4 * len(reachable)))
        yield near_vectors(rng, near, classes, threshold)
        left -= near
    kinds = (partial(step_vectors, entries=entries), random_vectors, trained_vectors)
    for kind in cycle(kinds):
        if not left:
            return
        count = min(left, most, SIZES[classes] // 4)
        yield kind(rng, count, classes)
        left -= count


@pytest.mark.slow
@pytest.mark.parametrize("classes", SIZES)
def test_no_false_exit_at_any_threshold(classes: int) -> None:
    entropy, probability = unit(classes), unit(classes, "max-probability")
    one = 1 << entropy.fraction_bits
    grid = [entropy.threshold_code(t) for t in (*THRESHOLDS, np.log(classes)) if t <= np.log(classes)]
    seen = 0
    for distances_NC in vectors(classes):
        truth_N = true_entropy(distances_NC)
        codes_N = entropy.evaluate(-distances_NC)[1]
        # At the tightest threshold of all, the frame's own entropy, and so at every lower one.
        assert not entropy.decide(codes_N, np.floor(truth_N * one).astype(np.int64)).any()
        for code in grid:
            assert not (entropy.decide(codes_N, code) & (truth_N >= entropy.threshold_value(code))).any()
        odds_N = probability.evaluate(-distances_NC)[1]
        saturated_N = odds_N == 2**32 - 1  # never below a threshold, so never an exit
        assert (saturated_N | (odds_N >= true_sums(distances_NC)[0] * one * (1 - 1e-12))).all()
        seen += len(distances_NC)
    assert seen == SIZES[classes]


@lru_cache
def trained_codes(classes: int) -> tuple[Ints, Reals]:
    """Confidence codes and true entropies of frames like a trained network's."""
    rng = np.random.default_rng(classes)
    count = min(200_000, 12_000_000 // classes)
    distances = [trained_vectors(rng, count // 10, classes) for _ in range(10)]
    codes_N = np.concatenate([unit(classes).evaluate(-d)[1] for d in distances])
    return codes_N, np.concatenate([true_entropy(d) for d in distances])


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.025, 0.05, 0.1, 0.2, 0.3, 0.5])
@pytest.mark.parametrize("classes", SIZES)
def test_missed_exits_are_at_most_2e_4(classes: int, threshold: float) -> None:
    """Averaged over thresholds within 10 %: few classes have few entropies, and one may lie right below a threshold."""
    op, (codes_N, truth_N) = unit(classes), trained_codes(classes)
    nearby = threshold * np.linspace(0.9, 1.1, 41)
    missed = [((truth_N < t) & ~op.decide(codes_N, op.threshold_code(t))).mean() for t in nearby]
    assert np.mean(missed) <= 2e-4
