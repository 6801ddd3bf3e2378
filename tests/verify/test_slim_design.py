"""A design with several widths: every frame has the width that the register said, in every word that leaves; and what breaks it shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from slims import Family, branches, depthwise_heads, flows_of, residual_heads

from codesign.emit.hls import compat_folder, emit_hls
from codesign.emit.lint import lint
from codesign.emit.project import emit_project
from codesign.emit.testbench import Answers, emit_testbench
from codesign.emit.widths import token_channels
from codesign.errors import GraphError, VerificationError
from codesign.files import write_tree
from codesign.ir import Codes, Graph
from codesign.ops.base import Folding
from codesign.passes.slim import slim
from codesign.plan.dataflow import Channel, Dataflow
from codesign.plan.fifos import size_fifos
from codesign.plan.plan import Plan
from codesign.plan.ports import feature_word, image_word
from codesign.plan.timing import schedule
from codesign.plan.widths import realize_widths
from codesign.verify import golden
from codesign.verify.builds import Build, compile_csim
from codesign.verify.csim import CsimReport, Widths, check, simulate
from codesign.verify.packets import feature_packet, pack_image, result_packet

Files = dict[str, str]
WIDTHS = 3
FOLDINGS = {
    "folded": {
        "conv1.window": Folding(1, 1),
        "conv1.mac": Folding(9, 1, 3),
        "pool1.window": Folding(2, 2),
        "conv2.window": Folding(1, 1),
        "conv2.mac": Folding(9, 2, 9),
        "hidden.mac": Folding(2, 1, 1),
    },
    "fast": {"conv1.mac": Folding(9, 2, 9), "conv2.mac": Folding(18, 4, 18), "hidden.mac": Folding(4, 3, 4)},
}
THRESHOLD = 20000  # parts the frames


def emitted(name: str, *, drains: bool = False) -> tuple[Files, tuple[Dataflow, ...]]:
    *narrow, widest = flows_of(branches(), FOLDINGS[name], drains=drains)
    files = emit_hls(widest, top="net", exit_name="exit1", device="any", clock_mhz=100, narrow=narrow)
    return files, (*narrow, widest)


@lru_cache(maxsize=1)
def heads() -> tuple[Graph, ...]:
    return branches()


def frames(count: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1))


def judge(build: Build, flows: tuple[Dataflow, ...], widths_N: Codes, **options: int) -> CsimReport:
    widths = Widths(widths_N, flows[:-1], heads()[:-1])
    return check(heads()[-1], flows[-1], build, frames(len(widths_N)), THRESHOLD, widths=widths, **options)


@pytest.fixture(scope="module", params=["folded", "fast"])
def design(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Build, tuple[Dataflow, ...]]:
    folder = tmp_path_factory.mktemp("slim")
    files, flows = emitted(request.param, drains=request.param == "fast")
    write_tree(files, folder)
    return compile_csim(folder, "net", optimize="-O1"), flows


@pytest.mark.parametrize("width", range(WIDTHS))
def test_every_width_alone(design: tuple[Build, tuple[Dataflow, ...]], width: int) -> None:
    report = judge(*design, np.full(10, width))

    assert (report.frames, report.mismatched_codes, report.first_difference) == (10, 0, None)
    assert report.compared == ("logits", "features", "decision", "m_axis_feature")


@pytest.mark.parametrize("batch", [1, 4, 60])
def test_widths_change_from_frame_to_frame(design: tuple[Build, tuple[Dataflow, ...]], batch: int) -> None:
    widths_N = np.random.default_rng(batch).integers(0, WIDTHS, 60)

    assert judge(*design, widths_N, batch=batch).mismatched_codes == 0


def test_an_index_above_the_last_is_the_widest(design: tuple[Build, tuple[Dataflow, ...]]) -> None:
    assert judge(*design, np.array([0, 3, 7, 255, 1])).mismatched_codes == 0


def test_result_words_say_the_width(design: tuple[Build, tuple[Dataflow, ...]]) -> None:
    build, flows = design
    widths_N = np.array([0, 1, 2, 1])
    want = golden.run_widths(heads(), {"image": frames(4), "threshold": THRESHOLD}, widths_N, keep=["decision"])

    words = simulate(build, flows[-1], frames(4), THRESHOLD, widths=Widths(widths_N, flows[:-1])).decisions

    assert ((words >> 44) & 7).tolist() == widths_N.tolist()
    assert (words & ~(7 << 44)).tolist() == want["decision"].reshape(-1).tolist()
    packet = result_packet(want["decision"].reshape(-1), widths_N)
    assert packet.words_BK.view("<u8").reshape(-1).tolist() == (words | np.arange(4) << 48).tolist()


def test_packets_of_maps_are_as_long_as_the_width() -> None:
    _, flows = emitted("folded")
    words = [feature_word(flow) for flow in flows]
    widths_N, exited_N = np.array([2, 0, 1]), np.array([False, True, False])
    run = golden.run_widths(heads(), {"image": frames(3), "threshold": THRESHOLD}, widths_N, keep=["features"])

    maps = [codes[:, :, : 2 + 2 * width] for codes, width in zip(run["features"], widths_N, strict=True)]
    packet = feature_packet(maps, exited_N, words[-1], widths_N)

    assert len(packet.words_BK) == words[2].beats + words[1].beats + 3
    second = 1 + words[2].beats
    assert packet.words_BK[0, :2].tolist() == [0, 2]
    assert packet.words_BK[second, :2].tolist() == [2, 1]
    assert packet.words_BK[-1, :2].tolist() == [0xFFFFFFFF, 0]
    assert packet.last_B.tolist() == [0] * (len(packet.last_B) - 1) + [1]
    codes = packet.words_BK[second + 1 : -1].view(np.uint8).reshape(words[1].beats, -1)[:, : words[1].lanes]
    assert np.array_equal(codes.reshape(4, 4, -1), run["features"][2, :, :, :4])


@pytest.mark.parametrize("name", FOLDINGS)
def test_planned_depths_get_through_in_any_order_of_widths(name: str, tmp_path: Path) -> None:
    files, flows = emitted(name)
    write_tree(files, tmp_path)
    build = compile_csim(tmp_path, "net", threads=True, optimize="-O0")
    orders = [np.random.default_rng(seed).integers(0, WIDTHS, 40) for seed in range(3)]

    for widths_N in (*orders, np.array([0, 2] * 12), np.array([2] * 6 + [0] * 20)):
        assert judge(build, flows, widths_N, batch=len(widths_N)).mismatched_codes == 0


@pytest.mark.slow
@pytest.mark.parametrize("types", ["vendor", "packed"])
@pytest.mark.parametrize("name", FOLDINGS)
def test_vendor_types_give_the_same_codes(name: str, types: str, tmp_path: Path) -> None:
    files, flows = emitted(name, drains=True)
    write_tree(files, tmp_path)
    build = compile_csim(tmp_path, "net", types="vendor" if types == "vendor" else "packed", optimize="-O1")

    assert judge(build, flows, np.random.default_rng(4).integers(0, WIDTHS, 60), batch=60).mismatched_codes == 0


# What must show: {name: (file, what stands there, what the mutant has instead)}.
MUTANTS = {
    "skip of folds": ("cs_slim.h", "tile += chunk_skips[now]", "++tile"),
    "skip of beats": ("cs_slim.h", "tile += pixel_skips[now]", "tile += chunk_skips[now]"),
    "constants of another width": ("cs_slim.h", "bases[now] + group", "bases[0] + group"),
    "rows of the frame before": ("cs_slim.h", "at + 1 == line_beats[now]", "at + 1 == line_beats[C::WIDTHS - 1]"),
    "taps of the widest": ("cs_slim.h", "if (k == 0 || k == now)", "if (k < C::WIDTHS)"),
    "window goes on at other groups": ("cs_slim.h", "|| groups[next] != groups[now])", "&& frame > frames)"),
    "window not begun anew": ("cs_slim.h", "lag = C::LAG;", "lag = 0;"),
    "beats of the widest": ("cs_slim_stream.h", "left = beats[now];\\n            }\\n            axis_set", "left = beats[C::WIDTHS - 1];\\n            }\\n            axis_set"),
    "stale width in the result": ("cs_slim_stream.h", "now = C::T::get(width.read(), 0);", "now = frame == 0 ? typename C::x_t(C::T::get(width.read(), 0)) : typename C::x_t(0);"),
    "no width in the header": ("cs_slim_stream.h", "axis_set_at<8>(word, 32, static_cast<unsigned>(now));", ""),
    "width only of the batch": ("net.cpp", "if (beat == 0) {\\n                image_port_cfg::T::type token;\\n                cs::read_width<image_port_cfg>(width, token);", "static image_port_cfg::T::type token;\\n            if (beat == 0) {\\n                if (frame == 0) cs::read_width<image_port_cfg>(width, token);"),
    "register not limited": ("cs_slim_stream.h", "asked < static_cast<unsigned>(C::KINDS) ? asked", "asked < 9 ? asked & 1"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_what_breaks_it_shows(name: str, tmp_path: Path) -> None:
    file, right, wrong = MUTANTS[name]
    right, wrong = right.replace("\\n", "\n"), wrong.replace("\\n", "\n")
    files, flows = emitted("folded")
    path = f"src/{file}"
    assert files[path].count(right) == 1
    write_tree({**files, path: files[path].replace(right, wrong)}, tmp_path)
    build = compile_csim(tmp_path, "net", optimize="-O0")
    widths_N = np.array([2, 0, 1, 1, 2, 2, 0, 0, 5])
    try:
        found = judge(build, flows, widths_N, batch=9).mismatched_codes
    except VerificationError:
        found = 1

    assert found > 0


def test_the_report_names_layer_and_frame_where_widths_change(tmp_path: Path) -> None:
    """Only the second frame is wrong, in a way in which it would not be if it came alone."""
    files, flows = emitted("folded")
    right, wrong = "int(bases[now] + group)", "int(bases[frame == 0 ? now : 0] + group)"
    assert right in files["src/cs_slim.h"]
    write_tree({**files, "src/cs_slim.h": files["src/cs_slim.h"].replace(right, wrong)}, tmp_path)

    report = judge(compile_csim(tmp_path, "net", optimize="-O0"), flows, np.array([1, 2]), batch=2)

    assert report.first_difference is not None
    assert (report.first_difference.layer, report.first_difference.frame) == ("conv1.requantize", 1)


@pytest.mark.slow
@pytest.mark.parametrize("network", [residual_heads, depthwise_heads])
def test_residual_and_separable_networks_step_up(
    network: Callable[..., tuple[Family, str, str]], tmp_path: Path
) -> None:
    """Every frame begins at the narrowest width and steps up to the widest."""
    net, feature, logits = network(causal=True)
    own = net.branch(feature, logits, "margin")
    graphs = slim(own, step_up=True)
    flows = realize_widths(graphs, Plan("any", 100.0, {}, {}, 1, 1)).sized(size_fifos)
    narrow, firsts = flows.widths[:-1], tuple(head.types[feature].channels for head in own[:-1])
    write_tree(
        emit_hls(
            flows.widest, top="net", exit_name="exit1", device="any", clock_mhz=100, narrow=narrow, steps=flows.steps
        ),
        tmp_path,
    )
    kinds_N = np.tile([0, WIDTHS, WIDTHS + 1], 8)
    widths = Widths(kinds_N, narrow, own[:-1], flows.steps, firsts)

    build = compile_csim(tmp_path, "net", optimize="-O0")
    image = np.repeat(frames(8), WIDTHS, axis=0)
    report = check(own[-1], flows.widest, build, image, THRESHOLD, widths=widths)

    assert (report.mismatched_codes, report.first_difference) == (0, None)


def with_answers(flows: tuple[Dataflow, ...]) -> Files:
    image = frames(5)
    wants = [golden.run(g, {"image": image, "threshold": THRESHOLD}, keep=["decision", "features"]) for g in heads()]
    *narrow, widest = (Answers(f, w["decision"], w["features"]) for f, w in zip(flows, wants, strict=True))
    return emit_testbench(
        widest.dataflow,
        top="net",
        image=image,
        decisions=widest.decisions,
        features=widest.features,
        threshold=THRESHOLD,
        narrow=narrow,
    )


def run_testbench(folder: Path) -> subprocess.CompletedProcess[str]:
    flags = ["-std=gnu++98", "-O0", "-DCS_NATIVE", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
    command = ["g++", *flags, "-Wno-long-long", "-Wno-unknown-pragmas", f"-I{compat_folder()}", "-Isrc"]
    subprocess.run([*command, "tb/net_tb.cpp", "src/net.cpp", "-o", "test"], cwd=folder, check=True)
    return subprocess.run(["./test"], cwd=folder, capture_output=True, text=True)


def test_the_testbench_tries_every_width(tmp_path: Path) -> None:
    files, flows = emitted("folded")
    project = emit_project(top="net", part="xc7z020clg400-1", clock_mhz=100)
    write_tree({**files, **with_answers(flows), **project}, tmp_path)

    done = run_testbench(tmp_path)

    assert done.returncode == 0, done.stdout
    assert all(f"at width {width}, threshold {THRESHOLD}," in done.stdout for width in range(WIDTHS))
    assert "PASS" in done.stdout


BREAKS = {
    "header": ("src/cs_slim_stream.h", "static_cast<unsigned>(now));", "0u);", "width in the header: want 1, got 0"),
    "result": ("src/cs_slim_stream.h", "code | now << 44", "code | (now & 0) << 44", "width: want 1, got 0"),
    "map": ("tb/features.dat", "feature map of frame 0, 4x4x2\n", "\n1", "feature map at row 0, column 0, channel 0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKS)
def test_the_testbench_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    path, right, wrong, said = BREAKS[name]
    files, flows = emitted("folded")
    files |= with_answers(flows)
    assert right in files[path]
    write_tree({**files, path: files[path].replace(right, wrong, 1)}, tmp_path)

    done = run_testbench(tmp_path)

    assert (done.returncode, said in done.stdout) == (1, True), done.stdout


# Counts the steps of every process in C simulation, and prints them in the end.
COUNTER = """
#include <cstdio>
#include <typeinfo>
namespace cs {
template <class C>
struct step_count {
    long steps;
    step_count() : steps(0) {}
    ~step_count() { std::fprintf(stderr, "%s %ld\\n", typeid(C).name(), steps); }
};
template <class C>
long& steps() {
    static step_count<C> count;
    return count.steps;
}
}  // namespace cs
"""


def counting(files: Files) -> Files:
    def counted(text: str) -> str:
        return text.replace("#pragma HLS PIPELINE II=1\n", "++cs::steps<C>();\n")

    library = {path: counted(text) for path, text in files.items() if path.startswith("src/cs_")}
    types = files["src/cs_types.h"].replace("namespace cs {\n", COUNTER + "namespace cs {\n", 1)
    return {**files, **library, "src/cs_types.h": types}


def test_a_frame_takes_the_steps_of_its_width(tmp_path: Path) -> None:
    """As many as the plan counts: loops end where the width ends."""
    files, flows = emitted("folded")
    write_tree(counting(files), tmp_path)
    build = compile_csim(tmp_path, "net", optimize="-O0")
    (tmp_path / "images").write_bytes(pack_image(frames(3), image_word(flows[-1])))
    for width, flow in enumerate(flows):
        command = [build.program, "images", "out", "3", "3", str(THRESHOLD), str(width)]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        took = dict(re.findall(r"net_units\d+(\w+)_cfgE (\d+)$", done.stderr, flags=re.MULTILINE))
        want = {p.name: str(schedule(p, 3).steps) for p in flow.processes if p.op.name not in ("fork", "exit_decision")}

        assert {name: took[name] for name in want} == want


@pytest.mark.parametrize("drains", [False, True])
@pytest.mark.parametrize("name", FOLDINGS)
def test_the_lint_is_content(name: str, drains: bool) -> None:
    files, (*narrow, widest) = emitted(name, drains=drains)

    assert lint(files, widest, narrow) == []


def test_the_lint_knows_the_tokens() -> None:
    files, (*narrow, widest) = emitted("folded", drains=True)
    tokens = [token.name for token in token_channels(widest, narrow)]
    assert tokens[-1] == "width_to_result_port"

    def found(old: str, new: str) -> str:
        assert old in files["src/net.cpp"]
        text = files["src/net.cpp"].replace(old, new, 1)
        return "\n".join(map(str, lint({**files, "src/net.cpp": text}, widest, narrow)))

    depth = f"#pragma HLS STREAM variable={tokens[0]} depth=16"
    assert "the depth of its STREAM pragma is 17, planned is 16" in found(depth, depth.replace("16", "17"))
    assert f"channel '{tokens[0]}' has 0 writers, not one" in found(f"                {tokens[0]}.write(token);\n", "")
    port = "#pragma HLS INTERFACE s_axilite port=width bundle=control\n"
    assert "port 'width' has not one" in found(port, "")
    assert "is not in the plan" in "\n".join(map(str, lint(files, widest)))


def test_tokens_wait_for_as_many_frames_as_the_design_holds_back() -> None:
    """A process of few steps a frame keeps whole frames in its pipeline, unless it drains."""
    depths = {drains: {token.depth for token in tokens_of(drains)} for drains in (False, True)}

    assert depths[True] == {16}
    assert min(depths[False]) > 32


def tokens_of(drains: bool, /) -> tuple[Channel, ...]:
    *narrow, widest = emitted("folded", drains=drains)[1]
    return token_channels(widest, narrow)


def test_nine_widths_are_refused() -> None:
    *narrow, widest = flows_of(branches(widths=9), {})

    with pytest.raises(GraphError, match=r"9 widths\n  hint: a design has at most 8"):
        emit_hls(widest, top="net", exit_name="exit1", device="any", clock_mhz=100, narrow=narrow)


def test_the_width_register_is_the_last_argument_and_only_of_several_widths() -> None:
    files, (*_, widest) = emitted("folded")
    alone = emit_hls(widest, top="net", exit_name="exit1", device="any", clock_mhz=100)

    assert "unsigned* frames_done, unsigned* exits, volatile unsigned* width);" in files["src/net.h"]
    assert "unsigned* frames_done, unsigned* exits);" in alone["src/net.h"]
    assert not any("slim" in path or "slim" in text for path, text in alone.items())
