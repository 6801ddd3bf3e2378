"""The generator lint: clean on what is emitted, and each rule broken once in the text must be found."""

from __future__ import annotations

import pytest
from graphs import depthwise_branch, lenet_branch, residual_branch

from codesign.emit.hls import emit_hls
from codesign.emit.lint import demand_clean, lint
from codesign.errors import VerificationError
from codesign.ir.graph import Graph
from codesign.plan.build import build
from codesign.plan.dataflow import Dataflow
from codesign.plan.fifos import size_fifos

CPP, DOT, PORTS, AXIS = "src/net.cpp", "src/cs_channel_dot.h", "src/cs_ports.h", "src/cs_axis.h"
DECLARED = '    hls::stream<cs::beat<cs::uint<8>::type, 8, 3>::type> image_in("image_in");'


def emitted(graph: Graph) -> tuple[dict[str, str], Dataflow]:
    dataflow = size_fifos(build(graph, {}))
    return emit_hls(dataflow, top="net", exit_name="exit1", device="pynq-z2", clock_mhz=100), dataflow


@pytest.fixture(scope="module")
def design() -> tuple[dict[str, str], Dataflow]:
    return emitted(depthwise_branch())


@pytest.mark.parametrize("graph", [lenet_branch(), residual_branch(), depthwise_branch()], ids=lambda g: g.name)
def test_what_is_emitted_is_clean(graph: Graph) -> None:
    sources, dataflow = emitted(graph)
    assert lint(sources, dataflow) == []
    demand_clean(sources, dataflow)


def findings(design: tuple[dict[str, str], Dataflow], path: str, old: str, new: str) -> list[str]:
    """What the lint says once the first `old` in a file has become `new`."""
    sources, dataflow = design
    assert old in sources[path], old
    return [str(finding) for finding in lint({**sources, path: sources[path].replace(old, new, 1)}, dataflow)]


BREAKS = {
    "second writer": (CPP, "    CS_REGION\n", "    CS_REGION\n    CS_PROCESS(net_units::depth1_dot(depth1_window_out, depth1_dot_out, frames));\n", "channel 'depth1_dot_out' has 2 writers, not one"),
    "own loop": (CPP, "    cs::channel_dot<depth1_dot_cfg>(x, y, weights, frames);", "    y.write(y.read());\n    cs::channel_dot<depth1_dot_cfg>(x, y, weights, frames);", "channel 'depth1_dot_out' has 2 readers, not one"),
    "no reader": (CPP, "    CS_PROCESS(net_units::depth1_dot(", "    CS_PROCESS(net_units::gone(", "has 0 readers, not one"),
    "read first": (CPP, "    CS_REGION\n", "    CS_REGION\n    CS_PROCESS(net_units::depth1_dot(depth1_window_out, depth1_dot_out, frames));\n", "channel 'depth1_window_out' is not read by a later process"),
    "depth gone": (CPP, "#pragma HLS STREAM variable=image_in depth=", "#pragma HLS STREAM variable=image_in //", "channel 'image_in': the depth of its STREAM pragma is none"),
    "depth wrong": (CPP, "#pragma HLS STREAM variable=image_in depth=", "#pragma HLS STREAM variable=image_in depth=9", "channel 'image_in': the depth of its STREAM pragma is 9"),
    "no pragma": (CPP, "#pragma HLS STREAM variable=image_in", "#pragma HLS STREAM variable=image_inn", "channel 'image_in': the depth of its STREAM pragma is 0 pragmas"),
    "table": (CPP, '{"image_in", ', '{"image_in", 1', "cs_depth_table and the plan differ in channel 'image_in'"),
    "undeclared": (CPP, DECLARED, "", "channel 'image_in' of the plan is not declared"),
    "unplanned": (CPP, DECLARED, DECLARED + '\n    hls::stream<int> spare("spare");', "channel 'spare' is not in the plan"),
    "bare statement": (CPP, "    CS_REGION\n", "    CS_REGION\n    if (frames == 0) return;\n", "'if (frames == 0) return;' in a DATAFLOW region"),
    "saturation": (CPP, "typedef cs::sint<", "typedef ap_fixed<8, 4, AP_RND, AP_SAT> unused_t;\n    typedef cs::sint<", "'AP_SAT' rounds or saturates"),
    "loop label": (DOT, "Frame:\n", "", "a loop without a label"),
    "label shared": (DOT, "    Turn:\n        for", "    Turn:\n        if (frames) for", "a loop without a label"),
    "pragma outside": (DOT, "                for (int chunk = 0; chunk < C::CHUNKS; ++chunk) {\n#pragma HLS PIPELINE II=1", "#pragma HLS PIPELINE II=1\n                for (int chunk = 0; chunk < C::CHUNKS; ++chunk) {", "'#pragma HLS PIPELINE' is not at the start of a loop's body"),
    "pragma late": (DOT, "#pragma HLS UNROLL\n            const int dot_of_beat", "            int x = 0;\n#pragma HLS UNROLL\n            const int dot_of_beat", "'#pragma HLS UNROLL' is not at the start"),
    "result TLAST": (PORTS, "word.last = frame == frames - 1;", "", "port 'm_axis_result': cs::result_port writes it and never sets TLAST"),
    "feature TLAST": (PORTS, "word.last = trailer;", "if (word.last == trailer) return;", "port 'm_axis_feature': cs::conditional_buffer writes it and never sets TLAST"),
    "no interface": (CPP, "#pragma HLS INTERFACE axis port=m_axis_result\n", "", "port 'm_axis_result' has not one '#pragma HLS INTERFACE axis port=m_axis_result'"),
    "no control": (CPP, "#pragma HLS INTERFACE s_axilite port=return bundle=control\n", "", "port 'return' has not one"),
    "register": (CPP, "#pragma HLS INTERFACE s_axilite port=threshold bundle=control\n", "", "port 'threshold' has not one"),
    "interface below": (PORTS, "#pragma HLS INLINE\n    unsigned count", "#pragma HLS INTERFACE axis port=port\n    unsigned count", "cs::result_port has an INTERFACE pragma but is not the top function"),
    "port unused": (CPP, "m_axis_feature, frames));", "frames));", "port 'm_axis_feature' is used by 0 processes, not one"),
    "auto": (DOT, "const typename C::y_t sum =", "const auto sum =", "'auto' is not C++98"),
    "constexpr": (AXIS, "namespace cs {", "namespace cs {\nconstexpr int x = 1;", "'constexpr' is not C++98"),
    "nullptr": (PORTS, "unsigned count = 0;", "unsigned count = 0; int* p = nullptr;", "'nullptr' is not C++98"),
    "static_assert": (PORTS, "unsigned count = 0;", 'unsigned count = 0; static_assert(C::X::LANES == 1, "");', "'static_assert' is not C++98"),
    "lambda": (PORTS, "unsigned count = 0;", "unsigned count = 0; call([&](int x) { return x; });", "is not C++98"),
    "range for": (PORTS, "unsigned count = 0;", "unsigned count = 0;\nItem:\n    for (int item : items) count += item;", "'for (int item : items)' is not C++98"),
    "alias": (AXIS, "namespace cs {", "namespace cs {\nusing word = int;", "'using word =' is not C++98"),
    "angle brackets": (AXIS, "namespace cs {", "namespace cs {\ntypedef box<box<int>> boxes;", "is not C++98"),
    "vitis type": (AXIS, "namespace cs {", "namespace cs {\ntypedef hls::vector<int, 4> four;", "'hls::vector' is for Vitis HLS alone"),
    "vitis pragma": (CPP, "#pragma HLS INTERFACE axis port=s_axis_image", "#pragma HLS INTERFACE mode=axis port=s_axis_image", "is for Vitis HLS alone"),
    "vivado pragma": (DOT, "#pragma HLS ARRAY_PARTITION", "#pragma HLS DATA_PACK variable=held\n#pragma HLS ARRAY_PARTITION", "is for Vivado HLS alone"),
    "polling": (PORTS, "const typename C::X::type in = decision.read();", "if (decision.empty()) continue; const typename C::X::type in = decision.read();", "'decision.empty(': processes only wait, they do not poll"),
    "no region": (CPP, "#pragma HLS DATAFLOW", "", "src: no function has a DATAFLOW region"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_found(design: tuple[dict[str, str], Dataflow], name: str) -> None:
    path, old, new, words = BREAKS[name]
    found = findings(design, path, old, new)
    assert any(words in finding for finding in found), found


def test_depths_of_another_plan(design: tuple[dict[str, str], Dataflow]) -> None:
    sources, dataflow = design
    name = dataflow.inputs[0]
    found = lint(sources, dataflow.with_depths({name: 77}))
    assert found[0].what.endswith(", planned is 77")
    assert found[1].what == f"cs_depth_table and the plan differ in channel {name!r}"
    assert len(found) == 2


def test_simulation_code_may_be_newer(design: tuple[dict[str, str], Dataflow]) -> None:
    sources, dataflow = design
    extra = "#ifdef CS_THREADS\nauto x = [&] { return 1; };\n#endif\n"
    assert lint({**sources, CPP: sources[CPP] + extra}, dataflow) == []


def test_stops_emission_with_the_first_finding(design: tuple[dict[str, str], Dataflow]) -> None:
    sources, dataflow = design
    broken = {
        **sources,
        DOT: sources[DOT].replace("Frame:\n", "").replace("const typename C::y_t sum =", "const auto sum ="),
    }
    with pytest.raises(
        VerificationError,
        match=r"src/cs_channel_dot.h:\d+: 'auto' is not C\+\+98 \(and 1 more findings\)\n  hint: a template",
    ):
        demand_clean(broken, dataflow)
