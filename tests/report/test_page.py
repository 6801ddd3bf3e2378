"""The page: its figures are those of the records, it says what is missing, it needs nothing from outside, nothing breaks out."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from report import made

from codesign.cli import main
from codesign.config import config_from
from codesign.errors import CodesignError
from codesign.files import read_json
from codesign.flow.experiment import open_experiment
from codesign.flow.report import load_records, report
from codesign.report import page_of
from codesign.runtime.lines import point
from codesign.runtime.risk import promise

VOID = {"meta", "link", "input", "br", "hr", "img"}
SVG = {"path", "rect", "circle", "line"}  # may close themselves


class Reader(HTMLParser):
    """Checks that tags nest and ids are unique; keeps attributes that can load something, texts, and the content of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.references: list[tuple[str, str]] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.scripts: dict[str, str] = {}
        self.styles = ""
        self._script = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self._look(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self._script = dict(attrs).get("id") or f"script {len(self.scripts)}"

    def handle_startendtag(self, tag, attrs):
        assert tag in SVG, f"<{tag}/> does not close itself in HTML"
        self._look(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}, line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif self.open[-1:] == ["style"]:
            self.styles += data
        else:
            self.texts.append(data)

    def _look(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                assert value not in self.ids, f"two elements have the id {value}"
                self.ids.add(value)
            if name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href"):
                self.references.append((tag, value))
            if name.startswith("on"):
                self.handlers.append(name)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """Runs of two and of three exits, by their number."""
    return {exits: made.tuned(tmp_path_factory.mktemp("run"), exits) for exits in (2, 3)}


def html_of(experiment) -> str:
    return report(experiment)[0].read_text()


@pytest.mark.parametrize("exits", [2, 3])
def test_headline_and_answers_are_counted_on_the_test_frames(tuned, exits):
    records = load_records(tuned[exits])
    page = page_of(records)
    network, answers = records.network, made.answers(exits)
    labels_N, frames = answers["test/labels"], made.FRAMES
    stopped_N, right, early = np.zeros(frames, bool), 0, 0
    for unit, name, code in zip(
        network.stages.units, network.stages.names, (*network.threshold_codes, None), strict=True
    ):
        classes_N, codes_N = unit.evaluate(answers[f"test/codes/{name}"])
        stops_N = ~stopped_N & (True if code is None else codes_N < code)
        right += int((classes_N == labels_N)[stops_N].sum())
        early += 0 if code is None else int(stops_N.sum())
        stopped_N |= stops_N

    assert [f.text for f in page.headline[:2]] == [f"{100 * right / frames:.2f}", f"{100 * early / frames:.2f}"]
    assert (page.answers.right, sum(page.answers.stops_E), sum(page.answers.right_E)) == (right, frames, right)
    assert sum(row.right for row in page.answers.rows) == right
    assert [row.frames for row in page.answers.rows] == np.bincount(labels_N, minlength=made.CLASSES).tolist()
    assert sum(row.early for row in page.answers.rows) == early
    tuned_now = read_json(tuned[exits].folder.path / "tune" / "tune.json")
    assert list(network.threshold_codes) == tuned_now["threshold_codes"]


@pytest.mark.parametrize("exits", [2, 3])
def test_every_position_of_the_sliders_is_that_very_threshold(tuned, exits):
    from codesign.report.sweep import sweep

    network = load_records(tuned[exits]).network
    swept = sweep(network, 0.05)
    recorded, calibration = network.recorded(network.test), network.recorded(network.calibration)
    rng = np.random.default_rng(0)
    for p in [swept.at, *rng.integers(0, len(swept.right_P), 40).tolist()]:
        codes = [axis.codes[step] for axis, step in zip(swept.axes, np.unravel_index(p, swept.shape), strict=True)]
        want = point(recorded, codes)
        assert swept.stops_PE[p].tolist() == want.stops_KE[0].tolist()
        assert swept.right_P[p] == want.right_K[0]
        epsilon = sum(axis.epsilon[axis.codes.index(code)] for axis, code in zip(swept.axes, codes, strict=True))
        assert min(1, epsilon) == pytest.approx(
            promise(point(calibration, codes).spoiled(0), calibration.frames, 0.05).epsilon
        )
    assert [axis.codes[axis.at] for axis in swept.axes] == list(network.threshold_codes)
    for axis in swept.axes:
        assert axis.labels[0] == "never" and len(set(axis.labels)) == len(axis.labels)
    assert len(swept.right_P) <= 4096 + 300


@pytest.mark.parametrize("criterion", ["margin", "max-probability"])
def test_other_criteria_run_from_never_to_always(tmp_path, criterion):
    experiment = made.run(tmp_path / "run", exit={"criterion": criterion})
    page = page_of(load_records(experiment))
    rates = next(each for each in page.series if each.key == "exit_rate").values
    unit, codes_NC = load_records(experiment).network.stages.units[0], made.answers(2)["test/codes/exit1"]
    reachable = 1.0 if criterion != "margin" else (unit.evaluate(codes_NC)[1] > 0).mean()  # a tie never stops
    assert rates[0] == 0 and rates[-1] == pytest.approx(100 * reachable) and list(rates) == sorted(rates)
    assert page.live["axes"][0]["labels"][0] == "never"
    assert Reader(html_of(experiment)).scripts["live"]


@pytest.mark.parametrize("exits", [2, 3])
def test_the_hosts_time_is_found_again_in_the_curve_of_tune(tuned, exits):
    from codesign.report.costs import costs_of

    records = load_records(tuned[exits])
    host = costs_of(records, records.network, records.design).host
    assert host.alone_s == pytest.approx([made.TAIL_US * 1e-6] * (exits - 1))
    assert host.host_s == pytest.approx([made.TAIL_US * 1e-6] * (exits - 1))
    assert "codesign tune" in host.source


def test_the_page_is_sound_html_that_refers_to_nothing(tuned):
    experiment = tuned[3]
    made.give(experiment, made.metrics())
    html = html_of(experiment)
    page = Reader(html)
    assert page.references == [("link", "data:,"), ("a", "#main")]
    assert not page.handlers
    assert "http" not in html.replace("http-equiv", "").lower()
    for word in (
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "import(",
        "WebSocket",
        "sendBeacon",
        "Worker",
        "EventSource",
        "src=",
    ):
        assert word not in html, word
    assert set(page.tags) & {"iframe", "object", "embed", "img", "base", "form"} <= {"form"}
    assert "content=\"default-src 'none';" in html
    targets = re.findall(r'(?:for|aria-labelledby|aria-describedby)="([^"]+)"', html)
    assert targets and set(targets) <= page.ids


def test_records_come_out_as_they_are(tuned):
    experiment = tuned[2]
    records = load_records(experiment)
    costs = page_of(records).costs["rtl"]
    own = {
        "estimated_interval_cycles": costs.interval_cycles.value,
        "estimated_latency_cycles": costs.latency_cycles.value,
    }
    sections = made.metrics()
    sections["rtlsim"] |= {**own, "interval_cycles": 4321, "latency_cycles": 8765}
    made.give(experiment, sections)
    page = page_of(load_records(experiment))
    rows = {(row.backend, row.what): row for row in page.comparisons}

    assert (rows["RTL", "interval"].found, rows["RTL", "latency"].found) == ("4,321", "8,765")
    assert rows["RTL", "interval"].off == pytest.approx(costs.interval_cycles.value / 4321 - 1)
    assert not rows["RTL", "interval"].earlier and rows["RTL", "LUT"].earlier
    assert (rows["RTL", "LUT"].estimate, rows["RTL", "LUT"].found) == ("1,100", "1,000")
    assert rows["RTL", "LUT"].off == pytest.approx(0.1)
    assert rows["pynq-z2", "LUT (design)"].found == "5,000"
    assert {check.name: check.verdict for check in page.checks if check.verdict != "passed"} == {}
    assert [check.frames for check in page.checks] == [None, 123, 123, 123, 40, 321, 222, None]
    text = Reader(html_of(experiment)).text
    for words in ("4,321", "8,765", "6.50", "torch eager", "2,000", "3.50 ×", "verilator/stalls", "Vivado 2020.1"):
        assert words in text, words
    process = next(row for row in page.layers if row.op == "matrix_vector")
    assert f"{process.rtl.lut:,}" in text and f"{process.hls.dsp:,}" in text
    assert sum(row.rtl.lut for row in page.layers) == costs.synthesis["lut"].value
    assert sum(row.hls.ff for row in page.layers) == page.costs["hls"].synthesis["ff"].value


def test_wrong_and_outdated_checks_are_seen(tuned):
    experiment = tuned[2]
    sections = made.metrics()
    sections["csim_native"] |= {"mismatched_codes": 7, "mismatched_frames": 2, "first_difference": "decision: frame 3"}
    sections["cosim"]["benches"]["verilator/stalls"] |= {"passed": False, "first_difference": "beat 9"}
    sections["tail"]["different_frames"] = {"cpp": 4}
    made.give(experiment, sections)
    page = page_of(load_records(experiment))
    verdicts = {check.name: check.verdict for check in page.checks}

    assert [name for name, verdict in verdicts.items() if verdict == "failed"] == [
        "C++ in C simulation, native types", "RTL under stress (cocotb)", "Host C++ against numpy and torch",
    ]  # fmt: skip
    assert verdicts["SystemVerilog in RTL simulation"] == "outdated"
    text = Reader(html_of(experiment)).text
    for words in ("7 codes in 2 frames", "decision: frame 3", "beat 9", "other cycles now"):
        assert words in text, words


MISSING = {
    "evaluate": "codesign evaluate RUN",
    "csim_native": "codesign csim RUN",
    "csim_vendor": "codesign csim RUN --types vendor",
    "rtlsim": "codesign rtlsim RUN",
    "cosim": "codesign cosim RUN",
    "synth_xc7": "codesign synth RUN",
    "tail": "codesign tail RUN",
    "bench": "codesign bench RUN",
    "bitstream_pynq-z2": "codesign bitstream RUN",
}


def test_each_missing_record_is_said(tmp_path):
    experiment = made.run(tmp_path / "run")
    records = load_records(experiment)

    def said(sections) -> set[str]:
        made.give(experiment, sections)
        page = page_of(load_records(experiment))
        return {need.command for need in page.needs} | {c.command for c in page.checks if c.verdict == "not run"}

    tune = "codesign tune RUN --max-accuracy-drop 0.001"
    assert records.design is not None
    assert said({}) == {*MISSING.values(), tune}
    assert said(made.metrics()) == {tune}
    for section, command in MISSING.items():
        sections = made.metrics()
        del sections[section]
        assert said(sections) == {command, tune}, section
    made.give(experiment, {})
    text = Reader(html_of(experiment)).text
    assert all(command in text for command in (*MISSING.values(), tune))


def test_a_record_of_another_form_is_an_error(tmp_path):
    experiment = made.run(tmp_path / "run")
    made.give(experiment, {"csim_native": {"frames": 3}})
    with pytest.raises(CodesignError, match="a record has no 'mismatched_codes'"):
        report(experiment)


def test_a_run_before_its_network_has_a_page_too(tmp_path, capsys):
    open_experiment(config_from({"name": "fresh"}), tmp_path / "run")
    output = tmp_path / "elsewhere" / "page.html"
    assert main(["report", str(tmp_path / "run"), "--json", "--output", str(output)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["report"] == str(output) and answer["headline"] == []
    assert "codesign quantize RUN" in {need["command"] for need in answer["missing"]}
    page = Reader(output.read_text())
    assert "not quantized yet" in page.text and "codesign quantize RUN" in page.text
    assert not page.scripts.get("live")


def test_nothing_but_the_planner_is_run(tmp_path):
    given = made.run(tmp_path / "given")
    html_of(given)
    assert given.folder.plan.exists() and not given.folder.metrics.exists()
    assert not given.folder.hls.exists() and not given.folder.rtl.exists()

    stale = made.run(tmp_path / "stale")
    stale.folder.weights.write_bytes(b"of another training")
    page = Reader(html_of(stale))
    assert not stale.folder.plan.exists()
    assert "older than the config or the weights" in page.text and "codesign plan RUN" in page.text


def test_the_same_records_give_the_same_bytes(tuned, tmp_path):
    first = report(tuned[3])[0].read_bytes()
    assert report(tuned[3])[0].read_bytes() == first
    copy = shutil.copytree(tuned[3].folder.path, tmp_path / "copy")
    assert report(open_experiment(copy))[0].read_bytes() == first


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=alert(3) ]]> {{ 7 * 7 }} {% raw %}"


def test_names_and_texts_cannot_break_out(tmp_path):
    """Into HTML, into attributes, into the script's data."""
    import dataclasses

    from codesign.report import render

    experiment = made.tuned(tmp_path / "run", 3)
    sections = made.metrics()
    sections["rtlsim"] |= {"tool": HOSTILE, "first_difference": HOSTILE, "source": HOSTILE}
    sections["cosim"] |= {
        "benches": {HOSTILE: sections["cosim"]["benches"]["verilator/stalls"]},
        "simulators": [HOSTILE],
    }
    sections["bench"] |= {"notes": [HOSTILE], "thresholds_from": HOSTILE, "source": {HOSTILE: HOSTILE}}
    sections["bench"]["software"][0]["name"] = HOSTILE
    sections[f"bitstream_{HOSTILE}"] = {"clock_mhz": HOSTILE, "source": HOSTILE}
    made.give(experiment, sections)
    records = load_records(experiment)
    network = records.network
    names = tuple(f"{HOSTILE}{n}" for n in range(3))
    frames = [
        dataclasses.replace(f, codes_NC=dict(zip(names, f.codes_NC.values(), strict=True)))
        for f in (network.test, network.calibration)
    ]
    stages = dataclasses.replace(network.stages, names=names)
    network = dataclasses.replace(network, stages=stages, test=frames[0], calibration=frames[1], chosen=HOSTILE)
    config = {**records.config, "model": {"name": HOSTILE}, "data": {"dataset": HOSTILE}}
    records = dataclasses.replace(records, name=HOSTILE, network=network, config=config, notes=(HOSTILE,))
    hostile, plain = Reader(render(page_of(records))), Reader(html_of(experiment))

    assert len(hostile.scripts) == len(plain.scripts) == 3
    assert not hostile.handlers and "img" not in hostile.tags
    assert hostile.references == plain.references
    assert hostile.scripts["script 2"] == plain.scripts["script 2"] and hostile.styles == plain.styles
    live = hostile.scripts["live"]
    assert "<" not in live and ">" not in live and "&" not in live
    assert json.loads(live)["axes"][0]["exit"] == names[0]
    assert HOSTILE.split("{{")[0].strip() in hostile.text and "{{ 7 * 7 }}" in hostile.text


def test_lines_of_the_map_go_on_from_row_to_row(tuned):
    """What leaves a row at its lower edge comes in at the upper edge of the next; nothing ends in between."""
    from codesign.report.network import ROW, tracks

    rows = [((), ("a",)), (("a",), ("b", "c", "d")), (("b",), ("e",)), (("c", "e"), ("f",)), (("d", "f"), ())]
    maps = [tracks(rows), [stop.track for stop in page_of(load_records(tuned[3])).stops]]
    for found in maps:
        below: set[str] = set()
        for track in found:
            above = {re.match(r"M([\d.]+) 0[VC]", path)[1] for path in track.paths if re.match(r"M[\d.]+ 0[VC]", path)}
            assert above == below
            ends = [re.search(r"([\d.]+) (\d+)$", path) for path in track.paths if path.endswith(f" {ROW}")]
            straight = {re.match(r"M([\d.]+) ", path)[1] for path in track.paths if path.endswith(f"V{ROW}")}
            below = straight | {end[1] for end in ends}
        assert not below
