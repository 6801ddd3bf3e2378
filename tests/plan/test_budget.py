"""The rules of docs/estimates.md, one by one, and that prices are quick."""

import time

import numpy as np
from graphs import lenet_branch
from hypothesis import given
from hypothesis import strategies as st

from codesign.devices import load_device
from codesign.ir import Constant, IntType, TensorType
from codesign.ops import Folding
from codesign.ops.matrix_vector import MatrixVector
from codesign.plan.budget import Resources, bram18, channel_price, price, storage, total
from codesign.plan.build import build
from codesign.plan.dataflow import Channel, legal

U8 = IntType(8, signed=False)


def mac(outputs: int, inputs: int, bits: int = 8) -> tuple[MatrixVector, tuple[TensorType, ...]]:
    return MatrixVector(Constant.of(np.ones((outputs, inputs)), IntType(bits))), (TensorType((4, 4, inputs), U8, 1.0),)


def test_folded_multipliers_take_a_dsp_each():
    op, types = mac(16, 54)
    assert price(op, Folding(54, 4, 54), types).dsp == 216


def test_constant_multipliers_take_16_to_31_luts():
    op, types = mac(6, 25)
    resources = price(op, Folding(25, 6, 25), types)
    assert resources.dsp == 0
    assert 16 * 150 <= resources.lut <= 31 * 150


def test_wide_multipliers_take_several_dsps():
    op, types = mac(2, 4, bits=32)
    assert price(op, Folding(4, 1, 1), types).dsp == 2


def test_multipliers_in_luts_take_two_for_each_pair_of_bits_and_their_adders():
    op, types = mac(16, 54)
    dsps, luts = (price(op, Folding(54, 4, 54), types, fabric=fabric) for fabric in (False, True))

    assert luts.dsp == 0
    assert luts.lut - dsps.lut == 216 * (2 * 8 * 8 + op.infer(*types).dtype.bits)


def test_constant_multipliers_share_their_price_with_fabric():
    op, types = mac(6, 25)
    assert price(op, Folding(25, 6, 25), types) == price(op, Folding(25, 6, 25), types, fabric=True)


def test_pixels_side_by_side_share_their_weights():
    op, types = mac(6, 25)
    one, two = (op.work(Folding(25 * p, 6 * p, 5), *types) for p in (1, 2))

    assert one.roms == two.roms
    assert 2 * one.multiplies[0][0] == two.multiplies[0][0]


def test_block_ram_aspects():
    assert [bram18(512, 36), bram18(1024, 18), bram18(2048, 9), bram18(1024, 48), bram18(16384, 1)] == [1, 1, 1, 3, 1]
    assert bram18(1025, 18, pads=True) == 2
    assert bram18(1300, 48, pads=False) <= bram18(1300, 48, pads=True)


@given(st.integers(1, 1 << 17), st.integers(1, 2048))
def test_block_ram_holds_its_bits(words, width):
    assert bram18(words, width) * 18 * 1024 >= words * width
    assert bram18(words, width, pads=False) <= bram18(words, width)


def test_small_memories_stay_in_luts():
    assert storage(2, 200) == storage(31, 432) == storage(256, 8) == "lutram"
    assert storage(2048, 48) == "bram"
    small, large = (Channel("c", U8, 6, 196, depth, "a", "b") for depth in (2, 2048))
    assert channel_price(small).bram18 == 0
    assert channel_price(large).bram18 == 6


def test_what_does_not_fit_is_named():
    zynq = load_device("pynq-z2")
    assert Resources(dsp=220, lut=45_000).over(zynq, 0.85) == ()
    assert Resources(dsp=221, lut=45_221).over(zynq, 0.85) == ("221 DSP of 220", "45221 LUT of 45220")
    assert total(build(lenet_branch(), {}), zynq).over(zynq) == ()


def test_a_processor_adds_its_dma_shell():
    dataflow = build(lenet_branch(), {})
    assert total(dataflow, load_device("pynq-z2")).lut - total(dataflow, load_device("vc709")).lut > 3000


def test_prices_are_quick():
    op, types = mac(16, 144)
    options = legal(op, types)
    for folding in options:
        price(op, folding, types)

    start = time.perf_counter()
    for folding in options * 10:
        price(op, folding, types)
    assert (time.perf_counter() - start) / (10 * len(options)) < 1e-4
