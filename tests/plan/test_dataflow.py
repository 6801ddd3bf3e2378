"""Laws of dataflows: every channel joins one writer to one reader, beats fit on both sides, names are legal."""

import re

import numpy as np
import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch
from hypothesis import given
from hypothesis import strategies as st
from strategies import small_graphs

from codesign.emit.templates import template_folder
from codesign.errors import FoldingError, GraphError
from codesign.ir import Constant, Graph, GraphInput, IntType, Node, TensorType
from codesign.ops import Folding
from codesign.ops.add import Add
from codesign.ops.matrix_vector import MatrixVector
from codesign.plan.build import build, conversion
from codesign.plan.dataflow import MAX_BEAT_BITS, Dataflow, input_lanes, legal
from codesign.plan.names import RESERVED, Names
from codesign.plan.ports import image_word

BRANCHES = (lenet_branch, residual_branch, depthwise_branch)
U8 = TensorType((2, 2, 4), IntType(8, signed=False), 1.0)


def check_laws(dataflow: Dataflow) -> None:
    """One writer, one reader, equal beats at both ends, processes in order."""
    written = {name: p.name for p in dataflow.processes for name in p.outputs}
    read = {name: p.name for p in dataflow.processes for name in p.streams}
    assert len(written) == sum(len(p.outputs) for p in dataflow.processes)
    assert len(read) == sum(len(p.streams) for p in dataflow.processes)
    assert (
        {c.name for c in dataflow.channels} == set(written) | set(dataflow.inputs) == set(read) | set(dataflow.outputs)
    )
    for channel in dataflow.channels:
        assert channel.producer == written.get(channel.name, "")
        assert channel.consumer == read.get(channel.name, "")
    known = set(dataflow.inputs) | {r.name for r in dataflow.registers}
    for process in dataflow.processes:
        assert set(process.inputs) <= known
        known |= set(process.outputs)
        check_beats(dataflow, process.name)
    names = (
        [p.name for p in dataflow.processes]
        + [c.name for c in dataflow.channels]
        + [r.name for r in dataflow.registers]
    )
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) and name not in RESERVED for name in names)


def check_beats(dataflow: Dataflow, name: str) -> None:
    """A process's own schedule reads and writes as many beats of a frame as its channels carry."""
    process = dataflow.process(name)
    schedule = process.op.schedule(process.folding, 1, *process.types)
    assert process.folding in legal(process.op, process.types)
    for source, steps, lanes in zip(
        process.streams, schedule.reads, input_lanes(process.op, process.folding, process.types), strict=True
    ):
        assert dataflow.channel(source).beats == len(steps)
        assert dataflow.channel(source).lanes == lanes
    for target in process.outputs:
        assert dataflow.channel(target).beats == len(schedule.writes)
        assert dataflow.channel(target).lanes == process.op.y_lanes(process.folding)
        assert dataflow.channel(target).dtype == process.op.infer(*process.types).dtype


@given(small_graphs(), st.randoms(use_true_random=False))
def test_any_legal_foldings_make_a_lawful_dataflow(graph, random):
    chosen = [n for n in graph.nodes if not n.op.view and random.random() < 0.7]
    foldings = {n.name: random.choice(legal(n.op, tuple(graph.types[s] for s in n.inputs))) for n in chosen}

    check_laws(build(graph, foldings))


@pytest.mark.parametrize("make", BRANCHES)
def test_branches_need_no_foldings(make):
    dataflow = build(make(), {})

    check_laws(dataflow)
    assert [p.op.name for p in dataflow.processes if p.op.port] == ["conditional_buffer"]
    assert [r.name for r in dataflow.registers] == ["threshold"]
    assert len(dataflow.inputs) == len(dataflow.outputs) == 1
    assert dataflow.channel(dataflow.outputs[0]).dtype == IntType(48, signed=False)


@given(st.integers(1, 96), st.data())
def test_conversions_lead_from_one_width_to_the_other(channels, data):
    widths = [d for d in range(1, channels + 1) if channels % d == 0]
    have, want = data.draw(st.sampled_from(widths)), data.draw(st.sampled_from(widths))
    x = TensorType((1, 1, channels), IntType(data.draw(st.integers(1, 64))))

    steps = conversion(have, want, x)

    assert len(steps) <= 2
    ends = [have, *(f.pe for f in steps)]
    assert [f.lanes for f in steps] == ends[:-1]
    assert ends[-1] == want
    assert all(channels % f.pe == 0 and (f.lanes % f.pe == 0 or f.pe % f.lanes == 0) for f in steps)


def test_a_view_is_no_process_and_a_wide_reader_gets_a_converter():
    graph = lenet_branch(8)

    dataflow = build(graph, {"exit1.dense.mac": Folding(32, 2, 8)})

    assert not any(p.op.view for p in dataflow.processes)
    assert dataflow.channel("exit1_dense_mac_width_out").lanes == 32
    assert dataflow.process("exit1_dense_mac_width").node == ""


def test_a_value_read_twice_by_one_node_is_forked():
    graph = Graph("twice", (GraphInput("x", U8),), (Node("y", Add(), ("x", "x")),), ("y",))

    dataflow = build(graph, {})

    check_laws(dataflow)
    assert dataflow.process("y").streams == dataflow.process("x_fork").outputs


def test_a_value_that_is_read_and_is_an_output_is_forked():
    weights = Constant.of(np.ones((2, 4)), IntType(2))
    nodes = (Node("a", MatrixVector(weights), ("x",)), Node("b", Add(), ("a", "a")))
    graph = Graph("both", (GraphInput("x", U8),), nodes, ("a", "b"))

    dataflow = build(graph, {})

    check_laws(dataflow)
    assert len(dataflow.process("a_fork").outputs) == 3
    assert dataflow.outputs == ("a_to_output", "b_out")


def test_a_folding_must_be_legal():
    with pytest.raises(FoldingError, match=r"conv1\.mac: PE=4, SIMD=25, lanes=25 is not a legal folding") as caught:
        build(lenet_branch(), {"conv1.mac": Folding(25, 4, 25)})
    assert "use PE in [1, 2, 3, 6], SIMD in [1, 5, 25]" in caught.value.hint


def test_a_folding_must_be_of_a_node():
    with pytest.raises(FoldingError, match=r"a folding is given for 'conv1\.macs', which has no process") as caught:
        build(lenet_branch(), {"conv1.macs": Folding(25, 6, 25)})
    assert caught.value.hint == "did you mean 'conv1.mac'?"


def test_the_port_can_have_its_own_lanes():
    graph = Graph("twice", (GraphInput("x", U8),), (Node("y", Add(), ("x", "x")),), ("y",))

    dataflow = build(graph, {"x": Folding(4, 4), "y": Folding(2, 2)})

    assert dataflow.channel("x_in").lanes == 4
    with pytest.raises(FoldingError, match="3 lanes do not divide 4 channels"):
        build(graph, {"x": Folding(3, 3)})


def test_a_value_nobody_reads_is_an_error():
    nodes = (Node("a", Add(), ("x", "x")), Node("b", Add(), ("x", "x")))
    with pytest.raises(GraphError, match="nothing reads 'b'"):
        build(Graph("dead", (GraphInput("x", U8),), nodes, ("a",)), {})


@given(st.lists(st.text("aZ_.2", min_size=1).map(lambda text: f"_{text}" if text[0] in "2." else text), max_size=12))
def test_names_are_legal_and_different(wanted):
    names = Names()
    taken = [names.take(name) for name in wanted]

    assert len(set(taken)) == len(taken)
    assert all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) and "__" not in name for name in taken)
    assert not RESERVED & set(taken)


def test_keywords_and_clashes_get_another_name():
    names = Names()

    assert [names.take(n) for n in ("int", "a.b", "a_b", "module", "_x", "frames")] == [
        "int_",
        "a_b",
        "a_b_2",
        "module_",
        "n_x",
        "frames_",
    ]


@pytest.mark.parametrize(
    "word",
    [
        "image_word",
        "result_word",
        "feature_word",
        "image_port",
        "result_port",
        "frames_done",
        "exits",
        "port",
        "core",
        "cs_region",
        "cs_core",
        "CS_REGION",
        "CS_PROCESS",
        "unix",
        "linux",
        "i386",
    ],
)
def test_what_the_emitted_file_owns_is_never_given_out(word):
    assert Names().take(word) == f"{word}_"


@pytest.mark.parametrize("text", ["", "_", "...", "1", "ü"])
def test_a_text_without_letters_has_a_name(text):
    names = Names()

    taken = [names.take(text) for _ in range(3)]

    assert len(set(taken)) == 3
    assert all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) for name in taken)


def wide(channels, bits=32):
    return Graph("wide", (GraphInput("x", TensorType((1, 1, channels), IntType(bits), 1.0)),), (), ("x",))


def test_a_beat_is_never_wider_than_an_ap_uint_can_be():
    assert build(wide(128), {}).channel("x_in").width == MAX_BEAT_BITS

    with pytest.raises(FoldingError, match="256 lanes of 32 bits are wider than 4096 bits") as raised:
        build(wide(256), {})
    assert raised.value.hint == "use at most 128 lanes"
    assert build(wide(256), {"x": Folding(128, 128)}).channel("x_in").width == MAX_BEAT_BITS


def test_the_widest_beat_is_what_the_library_lets_ap_int_be():
    text = (template_folder() / "lib" / "cs_types.h").read_text()

    assert f"#define AP_INT_MAX_W {MAX_BEAT_BITS} " in text


def test_a_port_word_is_never_wider_either():
    dataflow = build(wide(90, 33), {})

    with pytest.raises(FoldingError, match="8192 bits, more than 4096"):
        image_word(dataflow)
