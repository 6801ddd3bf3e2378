"""Every op's golden result against a slow definition of its own, and the laws of every op's schedule."""

# Legend: r, c, i: row, column, channel. A frame is nested lists, x[r][c][i].
from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import int_types, random_tensor

from codesign.errors import FoldingError
from codesign.ir import Codes, Constant, IntType, TensorType
from codesign.ops import OPS, Example, Op
from codesign.ops.add import Add
from codesign.ops.base import Folding
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool

Frame = list[list[list[int]]]
EXAMPLES = [
    pytest.param(example, id=f"{name}-{k}") for name, op in OPS.items() for k, example in enumerate(op.examples())
]


def example_codes(example: Example, frames: int, seed: int = 0) -> list[Codes]:
    """Codes for every input; registers have one frame."""
    rng = np.random.default_rng(seed)
    streams = len(example.inputs) - example.op.registers
    return [random_tensor(rng, x, frames if i < streams else 1) for i, x in enumerate(example.inputs)]


def pixelwise(pixel: Callable[..., list[int]]) -> Callable[..., Frame]:
    """A slow definition from one that maps the channels of a pixel."""
    return lambda op, *frames: [
        [pixel(op, *channels) for channels in zip(*rows, strict=True)] for rows in zip(*frames, strict=True)
    ]


def groups(values: list[int], size: int) -> list[list[int]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


@pixelwise
def slow_add(op: Any, a: list[int], b: list[int]) -> list[int]:
    return [x * op.factors[0] + y * op.factors[1] for x, y in zip(a, b, strict=True)]


@pixelwise
def slow_channel_dot(op: Any, x: list[int]) -> list[int]:
    weights = op.weights.array.tolist()
    return [
        sum(w * code for w, code in zip(row, window, strict=True))
        for row, window in zip(weights, groups(x, len(weights[0])), strict=True)
    ]


@pixelwise
def slow_matrix_vector(op: Any, x: list[int]) -> list[int]:
    return [sum(w * code for w, code in zip(row, x, strict=True)) for row in op.weights.array.tolist()]


@pixelwise
def slow_max_pool(op: Any, x: list[int]) -> list[int]:
    return [max(window) for window in groups(x, op.positions)]


@pixelwise
def slow_sum_pool(op: Any, x: list[int]) -> list[int]:
    return [sum(window) for window in groups(x, op.positions)]


@pixelwise
def slow_requantize(op: Any, x: list[int]) -> list[int]:
    def one(constant: Constant, i: int) -> int:
        return int(constant.array[i % len(constant.array)])

    exact = (Fraction(code * one(op.multiplier, i) + one(op.bias, i), 2**op.shift) for i, code in enumerate(x))
    low, high = op.out.min if op.low is None else op.low, op.out.max if op.high is None else op.high
    return [min(max(floor(value + Fraction(1, 2)), low), high) for value in exact]


def slow_global_sum(op: Op, x: Frame) -> Frame:
    return [[[sum(pixel[i] for row in x for pixel in row) for i in range(len(x[0][0]))]]]


def slow_flatten(op: Op, x: Frame) -> Frame:
    return [[[code for row in x for pixel in row for code in pixel]]]


def at(x: Frame, r: int, c: int, i: int, fill: int) -> int:
    """x[r][c][i], or `fill` outside the frame."""
    return x[r][c][i] if 0 <= r < len(x) and 0 <= c < len(x[0]) else fill


def slow_pad(op: Any, x: Frame) -> Frame:
    top, left, bottom, right = op.pads
    rows, columns = range(-top, len(x) + bottom), range(-left, len(x[0]) + right)
    return [[[at(x, r, c, i, 0) for i in range(len(x[0][0]))] for c in columns] for r in rows]


def slow_sliding_window(op: Any, x: Frame) -> Frame:
    (kh, kw), (sh, sw), (top, left, bottom, right) = op.kernel, op.stride, op.pads

    def window(r: int, c: int) -> list[int]:
        return [at(x, r + ky, c + kx, i, op.fill) for i in range(len(x[0][0])) for ky in range(kh) for kx in range(kw)]

    rows, columns = range(-top, len(x) + bottom - kh + 1, sh), range(-left, len(x[0]) + right - kw + 1, sw)
    return [[window(r, c) for c in columns] for r in rows]


def same(op: Op, x: Frame, *others: Frame) -> Frame:
    return x


SLOW: dict[str, Callable[..., Frame]] = {
    "add": slow_add,
    "channel_dot": slow_channel_dot,
    "conditional_buffer": same,
    "flatten": slow_flatten,
    "fork": same,
    "global_sum": slow_global_sum,
    "matrix_vector": slow_matrix_vector,
    "max_pool": slow_max_pool,
    "pad": slow_pad,
    "requantize": slow_requantize,
    "sliding_window": slow_sliding_window,
    "sum_pool": slow_sum_pool,
    "width_converter": same,
}
TESTED_ELSEWHERE = {"exit_decision"}  # tests/ops/test_exit_decision.py


def test_every_op_has_a_slow_definition() -> None:
    assert set(SLOW) | TESTED_ELSEWHERE == set(OPS)


def assert_slow_agrees(op: Op, *inputs: Codes) -> None:
    got = op.golden(*inputs)
    for frame, codes in enumerate(got):
        assert codes.tolist() == SLOW[op.name](op, *(x[frame].tolist() for x in inputs))


@pytest.mark.parametrize("example", EXAMPLES)
def test_results_are_of_the_inferred_type(example: Example) -> None:
    kind = example.op.infer(*example.inputs)
    for seed in range(3):
        codes = example.op.golden(*example_codes(example, 6, seed))
        assert codes.dtype == np.int64
        assert codes.shape == (6, *kind.shape)
        assert kind.dtype.min <= codes.min()
        assert codes.max() <= kind.dtype.max


@pytest.mark.parametrize("example", [param for param in EXAMPLES if param.values[0].op.name not in TESTED_ELSEWHERE])
def test_results_equal_the_slow_definition(example: Example) -> None:
    assert_slow_agrees(example.op, *example_codes(example, 5))


@pytest.mark.parametrize("example", EXAMPLES)
def test_frames_do_not_see_each_other(example: Example) -> None:
    codes = example_codes(example, 4)
    streams = len(codes) - example.op.registers
    whole = example.op.golden(*codes)
    for k in range(4):
        alone = example.op.golden(*(x[k : k + 1] if i < streams else x for i, x in enumerate(codes)))
        assert np.array_equal(alone[0], whole[k])


# Laws that Hypothesis tries to break.

codes = st.integers(-(2**31), 2**31)


@given(
    codes, st.integers(1, 2**12), st.integers(-(2**40), 2**40), st.integers(0, 48), st.integers(1, 16), st.booleans()
)
def test_rounds_half_up_then_saturates(x: int, multiplier: int, bias: int, shift: int, bits: int, signed: bool) -> None:
    out = IntType(bits, signed)
    exact = Fraction(x * multiplier + bias, 2**shift)
    want = min(max(floor(exact + Fraction(1, 2)), out.min), out.max)
    op = Requantize(Constant.of([multiplier]), Constant.of([bias]), shift, out)

    assert want == op.golden(np.array([[[[x]]]]))[0, 0, 0, 0]


@given(st.integers(1, 40), st.integers(1, 1000), st.integers(1, 16))
def test_a_tie_rounds_up(shift: int, k: int, bits: int) -> None:
    """Exactly half way between two codes, on either side of zero."""
    out = IntType(bits)
    op = Requantize(Constant.of([1]), Constant.of([0]), shift, out)
    for whole in (k, -k):
        half_way = (2 * whole + 1) << (shift - 1)
        assert op.golden(np.array([[[[half_way]]]])).item() == min(max(whole + 1, out.min), out.max)


@given(st.data())
def test_any_window_is_direct_indexing(data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    kernel = (pick(1, 7), pick(1, 7))
    top, left = pick(0, kernel[0] - 1), pick(0, kernel[1] - 1)
    pads = (top, left, pick(0, kernel[0] - 1 - top), pick(0, kernel[1] - 1 - left))
    image = TensorType((pick(1, 6), pick(1, 6), pick(1, 3)), IntType(5), 1.0)
    assume(image.shape[0] + pads[0] + pads[2] >= kernel[0] and image.shape[1] + pads[1] + pads[3] >= kernel[1])
    op = SlidingWindow(kernel, (pick(1, 3), pick(1, 3)), pads, pick(-16, 15))
    x = random_tensor(np.random.default_rng(pick(0, 99)), image, 3)

    assert op.golden(x).shape[1:] == op.infer(image).shape
    assert_slow_agrees(op, x)
    assert_schedule_laws(op, Folding(1, 1), 2, image)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 30), st.booleans(), st.integers(1, 30), st.integers(0, 99))
def test_any_matrix_is_exact_at_its_types_ends(
    outputs: int, inputs: int, bits: int, signed: bool, w_bits: int, seed: int
) -> None:
    """Wide and narrow accumulators alike: the extremes of both types, where a sum too narrow would wrap."""
    rng = np.random.default_rng(seed)
    kind, x = IntType(w_bits), TensorType((1, 2, inputs), IntType(bits, signed), 1.0)
    weights = rng.choice([kind.min, kind.max, -1, 0], (outputs, inputs))
    op = MatrixVector(Constant.of(weights, kind) if w_bits > 1 else Constant.of(-np.abs(weights)))
    vectors = random_tensor(rng, x, 4)
    got = op.golden(vectors)

    assert_slow_agrees(op, vectors)
    low, high = op.infer(x).dtype.min, op.infer(x).dtype.max
    assert low <= got.min()
    assert got.max() <= high


@given(st.tuples(*[st.integers(0, 3)] * 4), st.integers(1, 4), st.integers(1, 4))
def test_any_pad_is_a_border_of_zeros(pads: tuple[int, int, int, int], rows: int, columns: int) -> None:
    assert_slow_agrees(
        Pad(pads), random_tensor(np.random.default_rng(1), TensorType((rows, columns, 2), IntType(4)), 3)
    )


@given(int_types.filter(lambda kind: kind.bits <= 32), st.integers(1, 9), st.integers(1, 5), st.integers(1, 9))
def test_sums_have_the_narrowest_type_that_holds_them(kind: IntType, positions: int, factor: int, other: int) -> None:
    """The type's ends reach the ends of the result, so one bit less would not do."""
    image = TensorType((1, positions, 2), kind)
    for op, inputs in (
        (SumPool(positions), (TensorType((1, 1, 2 * positions), kind),)),
        (GlobalSum(), (image,)),
        (Add((factor, other)), (image, image)),
        (ChannelDot(Constant.of(np.full((2, positions), factor))), (TensorType((1, 1, 2 * positions), kind),)),
        (MatrixVector(Constant.of(np.full((1, positions), factor))), (TensorType((1, 1, positions), kind),)),
    ):
        ends = [np.full((1, *x.shape), end, np.int64) for end in (kind.min, kind.max) for x in inputs]
        low, high = op.golden(*ends[: len(inputs)]).min(), op.golden(*ends[len(inputs) :]).max()
        assert op.infer(*inputs).dtype == IntType.holding(int(low), int(high))


# Schedules: every beat moves once, in order, in time, and no output before the inputs it needs.


FOLDINGS = [
    pytest.param(example, f, id=f"{name}-{k}-l{f.lanes}p{f.pe}s{f.simd}")
    for name, op in OPS.items()
    for k, example in enumerate(op.examples())
    for f in example.op.foldings(*example.inputs)
]
CHANNEL_FOLDINGS = [
    param for param in FOLDINGS if not param.values[0].op.port
]  # a port's beats are not its golden codes


def stream_lanes(folding: Folding, x: TensorType) -> int:
    """Codes in a beat of one input: `lanes`, or all of a tensor that has fewer (a decision)."""
    return min(folding.lanes, x.size)


def beats_in(op: Op, folding: Folding, *x: TensorType) -> list[int]:
    """Beats of each stream input in a frame."""
    return [kind.size // stream_lanes(folding, kind) for kind in x[: len(x) - op.registers]]


def beats_out(op: Op, folding: Folding, *x: TensorType) -> tuple[int, int]:
    """Output beats of a frame, and those at the end of a batch: a conditional buffer adds a header and a trailer."""
    beats = op.infer(*x).size // op.y_lanes(folding)
    return (beats + 1, 1) if op.name == "conditional_buffer" else (beats, 0)


def assert_schedule_laws(op: Op, folding: Folding, frames: int, *x: TensorType) -> None:
    schedule = op.schedule(folding, frames, *x)
    assert [len(reads) for reads in schedule.reads] == [frames * beats for beats in beats_in(op, folding, *x)]
    each, trailer = beats_out(op, folding, *x)
    assert len(schedule.writes) == frames * each + trailer
    frees = schedule.frees or schedule.reads
    for read, freed in zip(schedule.reads, frees, strict=True):
        # A beat goes in its last step, before the next one is needed.
        assert (freed >= read).all()
        assert (freed[:-1] < read[1:]).all()
    for steps in (*schedule.reads, schedule.writes, *frees):
        assert steps.dtype == np.int64
        assert (np.diff(steps) >= 0).all()
        assert steps.min() >= 0
        assert steps.max() < schedule.steps


@pytest.mark.parametrize(("example", "folding"), FOLDINGS)
def test_schedules_move_every_beat_once_and_in_order(example: Example, folding: Folding) -> None:
    for frames in (1, 2, 3):
        assert_schedule_laws(example.op, folding, frames, *example.inputs)
    each, _ = beats_out(example.op, folding, *example.inputs)
    assert example.op.cycles(folding, *example.inputs) >= max(*beats_in(example.op, folding, *example.inputs), each)


@pytest.mark.parametrize(("example", "folding"), FOLDINGS)
def test_one_beat_of_a_stream_moves_in_a_step(example: Example, folding: Folding) -> None:
    schedule = example.op.schedule(folding, 2, *example.inputs)
    for steps in (*schedule.reads, schedule.writes):
        assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize(("example", "folding"), FOLDINGS)
def test_cycles_are_the_steps_a_frame_adds(example: Example, folding: Folding) -> None:
    op, x = example.op, example.inputs
    added = op.schedule(folding, 6, *x).steps - op.schedule(folding, 5, *x).steps
    assert op.cycles(folding, *x) == added


@pytest.mark.parametrize(("example", "folding"), CHANNEL_FOLDINGS)
def test_no_output_before_the_inputs_it_needs(example: Example, folding: Folding) -> None:
    """Changing an input beat changes only outputs written at or after the step that reads it."""
    op, x = example.op, example.inputs
    schedule = op.schedule(folding, 1, *x)
    base = [codes[-1:] for codes in example_codes(example, 3)]
    y_lanes = op.y_lanes(folding)
    want = op.golden(*base).reshape(-1, y_lanes)
    for i, reads in enumerate(schedule.reads):
        lanes = stream_lanes(folding, x[i])
        for beat, step in list(enumerate(reads))[:: max(1, len(reads) // 16)]:
            for code in (x[i].dtype.min, x[i].dtype.max):
                changed = base[i].copy()
                changed.reshape(-1, lanes)[beat] = code
                got = op.golden(*base[:i], changed, *base[i + 1 :]).reshape(-1, y_lanes)
                touched = np.flatnonzero((got != want).any(axis=1))
                assert (schedule.writes[touched] >= step).all()


@pytest.mark.parametrize("example", EXAMPLES)
def test_foldings_are_distinct_and_checked(example: Example) -> None:
    legal = example.op.foldings(*example.inputs)
    assert legal
    assert len(set(legal)) == len(legal)
    for folding in legal:
        example.op.check(folding, "node", *example.inputs)
        example.op.work(folding, *example.inputs)
    with pytest.raises(FoldingError, match="is not a legal folding") as raised:
        example.op.check(Folding(9999, 9999), "node", *example.inputs)
    assert raised.value.where == "node"
    assert raised.value.hint
