"""The exit decision: codes and thresholds as laws, tables against exact arithmetic, C simulation against golden.

The million-vector laws are in test_exit_proof.py.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bench import Case, run_cases
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ConfigError, GraphError
from codesign.ir import Codes, Graph, GraphInput, IntType, Node, TensorType
from codesign.ops.base import Folding
from codesign.ops.exit_decision import CRITERIA, DECISION_TYPE, THRESHOLD_TYPE, ExitDecision
from codesign.ops.exit_tables import LOG_GUARD_BITS, entropy_codes, entropy_rom, entropy_tables, probability_rom
from codesign.plan.build import build

ONE = Folding(1, 1)
REGISTER = TensorType((1, 1, 1), THRESHOLD_TYPE)
criteria = st.sampled_from(CRITERIA)


def logits_type(classes: int = 10, bits: int = 12, scale: float | None = 2.0**-6) -> TensorType:
    return TensorType((1, 1, classes), IntType(bits), scale)


def unit(criterion: str = "entropy", classes: int = 10, fraction_bits: int = 0) -> ExitDecision:
    return ExitDecision.for_logits(logits_type(classes), criterion, fraction_bits=fraction_bits)


@st.composite
def logits(draw: st.DrawFn) -> Codes:
    """One frame of 2 to 20 logits, ties and extremes among them."""
    code = st.sampled_from([-2048, 2047, 0]) | st.integers(-2048, 2047) | st.integers(-200, 200)
    return np.array([draw(st.lists(code, min_size=2, max_size=20))], dtype=np.int64)


def softmax(logits_C: Codes, scale: float) -> tuple[Decimal, Decimal]:
    """The exact entropy and 1 / p_max - 1, to 40 digits."""
    with localcontext() as context:
        context.prec = 40
        d_C = [Decimal(int(logits_C.max() - z)) * Decimal(scale) for z in logits_C]
        e_C = [(-d).exp() for d in d_C]
        total = sum(e_C, Decimal(0))
        return total.ln() + sum((e * d for e, d in zip(e_C, d_C, strict=True)), Decimal(0)) / total, total - 1


@given(logits(), st.sampled_from([18, 21, 24]))
def test_an_entropy_code_is_an_upper_bound_within_an_ulp_a_class(frame: Codes, fraction_bits: int) -> None:
    op = unit("entropy", frame.shape[1], fraction_bits)
    entropy, odds = softmax(frame[0], op.scale)
    excess = int(op.evaluate(frame)[1][0]) - entropy * 2**fraction_bits
    ratio = entropy - (1 + odds).ln()  # U / S
    assert 0 < excess < 4 + (frame.shape[1] - 1) * (1 + ratio) / (1 + odds)


@given(logits())
def test_an_odds_code_is_an_upper_bound_within_an_ulp_a_class(frame: Codes) -> None:
    op = unit("max-probability", frame.shape[1])
    excess = int(op.evaluate(frame)[1][0]) - softmax(frame[0], op.scale)[1] * 2**op.fraction_bits
    assert Decimal("-1e-20") < excess < frame.shape[1]


@given(logits(), st.floats(0, 20))
def test_a_margin_decides_exactly(frame: Codes, threshold: float) -> None:
    op = unit("margin", frame.shape[1])
    first, second = sorted(frame[0])[:-3:-1]
    real = Fraction(int(first - second)) * Fraction(op.scale)
    exits = op.decide(op.evaluate(frame)[1], op.threshold_code(threshold))
    assert exits.tolist() == [real > Fraction(threshold)]


@given(logits(), criteria)
def test_the_class_is_the_first_of_the_largest(frame: Codes, criterion: str) -> None:
    op = unit(criterion, frame.shape[1])
    assert op.evaluate(frame)[0].tolist() == [frame[0].tolist().index(frame.max())]


@given(logits(), criteria, st.floats(0, 1), st.floats(0, 1))
def test_a_looser_threshold_lets_no_fewer_frames_exit(frame: Codes, criterion: str, a: float, b: float) -> None:
    op = unit(criterion, frame.shape[1])
    low, high = op.threshold_range
    high = min(high, 64.0)
    strict, loose = sorted(low + x * (high - low) for x in (a, b))
    if criterion != "entropy":
        strict, loose = loose, strict
    codes = op.evaluate(frame)[1]
    assert op.decide(codes, op.threshold_code(strict))[0] <= op.decide(codes, op.threshold_code(loose))[0]
    assert not op.decide(codes, op.never)[0]


@given(criteria, st.integers(0, 2**32), st.sampled_from([2.0**-6, 0.3, 1e-7, 17.9]), st.sampled_from([18, 24]))
def test_threshold_codes_survive_the_way_to_real_and_back(criterion: str, code: int, scale: float, bits: int) -> None:
    op = ExitDecision.for_logits(logits_type(10, 12, scale), criterion, fraction_bits=bits)
    code %= op.threshold_code(op.threshold_range[criterion != "max-probability"])
    assert op.threshold_code(op.threshold_value(code)) == code


@given(st.booleans(), st.integers(0, 4095), st.integers(0, 2**32 - 1))
def test_decision_words_survive_packing(exited: bool, number: int, code: int) -> None:
    word = ExitDecision.pack(np.array([exited]), np.array([number]), np.array([code]))
    assert 0 <= word[0] <= DECISION_TYPE.max
    assert tuple(int(field[0]) for field in ExitDecision.unpack(word)) == (exited, number, code)


def test_golden_is_evaluate_then_decide_and_replays_at_any_threshold() -> None:
    op, rng = unit(), np.random.default_rng(3)
    frames = rng.integers(-300, 300, (500, 1, 1, 10))
    threshold = op.threshold_code(0.7)
    exited, classes, codes = ExitDecision.unpack(op.golden(frames, np.full((1, 1, 1, 1), threshold)).reshape(-1))
    assert 0 < exited.sum() < 500
    assert np.array_equal(exited, op.decide(codes, threshold))
    assert np.array_equal(classes, frames.reshape(500, 10).argmax(axis=1))
    assert (np.array([op.confidence(int(c)) for c in codes[exited]]) < 0.7).all()


def test_a_code_beyond_the_register_saturates_and_never_exits() -> None:
    op = unit("max-probability", 1000, 24)
    word = op.golden(np.zeros((1, 1, 1, 1000), np.int64), np.full((1, 1, 1, 1), op.threshold_code(0.001)))
    exited, _, codes = ExitDecision.unpack(word.reshape(-1))
    assert not exited[0]
    assert codes[0] == 2**32 - 1
    assert op.confidence(2**32 - 1) == 0.001


@pytest.mark.parametrize(("scale", "fraction_bits", "entries"), [(2.0**-6, 18, 1024), (0.3, 24, 128), (4.0, 20, 8)])
def test_tables_are_rounded_to_the_safe_side(scale: float, fraction_bits: int, entries: int) -> None:
    rom, odds = (make(scale, fraction_bits, entries) for make in (entropy_rom, probability_rom))
    one = 2**fraction_bits
    assert (rom.exp_D[0], rom.weighted_D[0], odds.exp_D[0]) == (one, 0, one)
    with localcontext() as context:
        context.prec = 50
        for d in range(1, entries):
            exact = (-Decimal(scale) * d).exp() * one
            both = exact * (1 + Decimal(scale) * d)
            assert rom.exp_D[d] == math.floor(exact)
            assert rom.exp_D[d] + rom.weighted_D[d] == math.ceil(both)
            assert odds.exp_D[d] == math.ceil(exact)


@pytest.mark.parametrize("classes", [2, 10, 1000, 4096])
def test_the_logarithm_is_an_upper_bound_within_three_ulps(classes: int) -> None:
    """With nothing weighted, the entropy code is the logarithm alone."""
    op = unit("entropy", classes)
    tables = entropy_tables(classes, op.scale, op.fraction_bits, op.entries)
    rng = np.random.default_rng(classes)
    sum_N = np.exp(rng.uniform(0, math.log(classes), 5000)) * 2.0**op.fraction_bits
    sum_N = np.append(sum_N.astype(np.int64), [1 << op.fraction_bits, classes << op.fraction_bits])
    exact = np.log(sum_N / 2.0**op.fraction_bits) * 2.0**op.fraction_bits
    excess = entropy_codes(sum_N, np.zeros_like(sum_N), tables, op.fraction_bits) - exact
    assert excess.min() > 0
    assert excess.max() < 3


def test_the_default_unit_fills_one_block_ram() -> None:
    op = unit()
    facts = op.hls(ONE, logits_type(), REGISTER)
    assert (op.fraction_bits, op.entries, facts["word_type"].bits) == (18, 1024, 36)


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 1000])
def test_more_classes_and_lower_thresholds_get_more_fraction_bits(classes: int) -> None:
    units = [ExitDecision.for_logits(logits_type(classes, 16), min_threshold=t) for t in (0.5, 0.02, 1e-3)]
    chosen = [op.fraction_bits for op in units]
    assert chosen == sorted(chosen)
    assert all(18 <= bits <= 24 for bits in chosen)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_schedule_reads_every_class_before_it_writes(criterion: str) -> None:
    op, types = unit(criterion), (logits_type(), REGISTER)
    schedule = op.schedule(ONE, 3, *types)
    (reads,), writes = schedule.reads, schedule.writes
    assert len(reads) == 30
    assert len(writes) == 3
    assert (np.diff(reads) > 0).all()
    assert (reads.reshape(3, 10)[:, -1] < writes).all()
    assert (writes[:-1] < reads.reshape(3, 10)[1:, 0]).all()
    assert schedule.steps == 3 * op.cycles(ONE, *types) == writes[-1] + 1


def test_refinement_needs_one_step_a_bit() -> None:
    op = unit()
    steps = entropy_tables(10, op.scale, op.fraction_bits, op.entries).steps
    assert steps == op.fraction_bits + 1
    assert steps < op.fraction_bits + LOG_GUARD_BITS  # every factor is at least one unit of the logarithm
    assert op.cycles(ONE) == 2 * 10 + 1 + 1 + steps + 1


@pytest.mark.parametrize(
    ("criterion", "value", "hint"),
    [
        ("entropy", 2.4, "0 to 2.30259 nats"),
        ("entropy", -0.1, "nats"),
        ("max-probability", 95.0, "0.1 to 1 probability"),
        ("margin", -1.0, "logit units"),
        ("entropy", math.nan, "nats"),
    ],
)
def test_a_threshold_out_of_range_says_the_range_and_its_unit(criterion: str, value: float, hint: str) -> None:
    with pytest.raises(ConfigError, match="out of range") as error:
        unit(criterion).threshold_code(value)
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ((logits_type(9), REGISTER), "are not 10 logits"),
        ((TensorType((1, 2, 5), IntType(12), 2.0**-6), REGISTER), "are not 10 logits"),
        ((logits_type(scale=0.5), REGISTER), "scale is 0.5"),
        ((logits_type(scale=None), REGISTER), "scale is None"),
        ((logits_type(bits=40), REGISTER), "logits of 40 bits"),
        ((logits_type(), TensorType((1, 1, 1), IntType(32))), "is not a threshold"),
    ],
)
def test_inputs_that_do_not_fit_are_named(inputs: tuple[TensorType, TensorType], what: str) -> None:
    with pytest.raises(GraphError, match=what):
        unit().infer(*inputs)


def test_a_table_too_small_for_wider_logits_is_refused() -> None:
    small = ExitDecision.for_logits(logits_type(bits=6))
    assert small.entries == 64
    with pytest.raises(GraphError, match="64 table entries are too few"):
        small.infer(logits_type(), REGISTER)


def test_units_that_cannot_be_built_say_why() -> None:
    with pytest.raises(GraphError, match="no single scale"):
        ExitDecision.for_logits(logits_type(scale=None))
    with pytest.raises(GraphError, match=r"2\^22 table entries"):
        ExitDecision.for_logits(logits_type(bits=24, scale=2.0**-18))
    with pytest.raises(ConfigError, match="min_threshold"):
        ExitDecision.for_logits(logits_type(), min_threshold=0)
    with pytest.raises(ValueError, match="criterion must be one of entropy"):
        ExitDecision.for_logits(logits_type(), "score")
    with pytest.raises(ValueError, match=r"classes must be in 2\.\.4096"):
        ExitDecision.for_logits(logits_type(1), "margin")


def _case(name: str, op: ExitDecision, logits: TensorType) -> Case:
    """200 frames of every spread, ties and extremes among them, at a threshold in the middle of their codes."""
    rng = np.random.default_rng(5)
    spread = np.exp(rng.uniform(math.log(0.05), math.log(20), (200, 1))) / op.scale
    frames = np.rint(rng.normal(0, 1, (200, op.classes)) * spread + (logits.dtype.min + logits.dtype.max) / 2)
    frames[:5], frames[5:10, 1:], frames[10:20, -1] = logits.dtype.max, logits.dtype.min, logits.dtype.max
    frames_N11C = np.clip(frames, logits.dtype.min, logits.dtype.max).astype(np.int64).reshape(200, 1, 1, -1)
    threshold = int(np.median(op.evaluate(frames_N11C.reshape(200, -1))[1]))
    inputs = (GraphInput("x", logits), GraphInput("t", REGISTER, "register"))
    flow = build(Graph("exit", inputs, (Node("y", op, ("x", "t")),), ("y",)), {"y": ONE, "x": ONE})
    want = op.golden(frames_N11C, np.full((1, 1, 1, 1), threshold))
    assert 0 < ExitDecision.unpack(want)[0].sum() < 200
    return Case(name, flow, (frames_N11C,), (threshold,), (want,))


def _cases() -> list[Case]:
    examples = [(e.op, e.inputs[0]) for e in ExitDecision.examples()]
    many = [(unit(criterion, 1000), logits_type(1000)) for criterion in CRITERIA]
    numbered = enumerate([*examples, *many])
    return [_case(f"{op.criterion}[{n}]", op, t) for n, (op, t) in numbered if isinstance(op, ExitDecision)]


_slow = [pytest.param(types, marks=pytest.mark.slow) for types in ("vendor", "packed")]


@pytest.mark.parametrize("types", ["native", *_slow])
def test_c_simulation_decides_like_golden(types: str, tmp_path: Path) -> None:
    standard = "gnu++98" if types == "native" else "c++11"
    assert run_cases(_cases(), tmp_path, types=types, standard=standard) == []
