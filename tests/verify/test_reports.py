"""Readers of the vendor's reports, on reports in the tools' formats that are written here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codesign.errors import ToolError
from codesign.verify.reports import compare, read_csynth, read_power, read_route, read_timing, read_utilization

sys.path.insert(0, str(Path(__file__).parents[1] / "standins"))
import vivado_reports as vivado

CSYNTH = """<?xml version="1.0"?>
<profile>
<ReportVersion><Version>{version}</Version></ReportVersion>
<UserAssignments><unit>ns</unit><ProductFamily>zynq</ProductFamily><Part>xc7z020-clg400-1</Part><TopModelName>tiny</TopModelName>
<TargetClockPeriod>10.00</TargetClockPeriod><ClockUncertainty>1.25</ClockUncertainty></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>8.702</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><unit>clock cycles</unit><Best-caseLatency>145</Best-caseLatency><Average-caseLatency>?</Average-caseLatency>
<Worst-caseLatency>{worst}</Worst-caseLatency><Interval-min>144</Interval-min><Interval-max>{worst}</Interval-max></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources><BRAM_18K>12</BRAM_18K><{dsp}>31</{dsp}><FF>6021</FF><LUT>9876</LUT>{uram}</Resources>
<AvailableResources><BRAM_18K>280</BRAM_18K><{dsp}>220</{dsp}><FF>106400</FF><LUT>53200</LUT>{uram}</AvailableResources>
</AreaEstimates>
</profile>
"""


def put(folder: Path, text: str) -> Path:
    path = folder / "report.rpt"
    path.write_text(text)
    return path


def test_utilization_of_both_families(tmp_path: Path) -> None:
    seven = read_utilization(put(tmp_path, vivado.utilization("xc7z020clg400-1", False)))
    assert seven["used"] == {"lut": 9120, "ff": 11240, "dsp": 31, "bram18": 35}
    assert seven["available"]["bram18"] == 280 and seven["source"] == "report.rpt"
    plus = read_utilization(put(tmp_path, vivado.utilization("xczu7ev-ffvc1156-2-e", True)))
    assert plus["used"] == {"lut": 4310, "ff": 5215, "dsp": 31, "bram18": 21, "uram": 0}

    old = (
        vivado.utilization("xc7z020clg400-1", False)
        .replace(" Prohibited |", "")
        .replace("|     0 |          0 |", "|     0 |")
    )
    assert "Prohibited" not in old and read_utilization(put(tmp_path, old)) == seven, "as releases before 2021 print it"
    synthesized = vivado.utilization("xc7z020clg400-1", False).replace("| Slice LUTs  ", "| Slice LUTs* ")
    assert read_utilization(put(tmp_path, synthesized)) == seven


def test_a_figure_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    whole = vivado.utilization("xc7z020clg400-1", False)
    with pytest.raises(ToolError, match=r"the report has no row DSPs"):
        read_utilization(put(tmp_path, whole.replace("| DSPs", "| XXXX")))
    with pytest.raises(ToolError, match=r"'9l20' is no count"):
        read_utilization(put(tmp_path, whole.replace(" 9120 ", " 9l20 ")))
    with pytest.raises(ToolError, match=r"the report gone\.rpt is missing"):
        read_utilization(tmp_path / "gone.rpt")


def test_timing(tmp_path: Path) -> None:
    good = read_timing(put(tmp_path, vivado.timing("xc7z020clg400-1", 0.874)))
    assert (good["wns_ns"], good["whs_ns"], good["setup_failing"], good["met"]) == (0.874, 0.029, 0, True)
    bad = read_timing(put(tmp_path, vivado.timing("xc7z020clg400-1", -0.312)))
    assert (bad["wns_ns"], bad["tns_ns"], bad["setup_failing"], bad["met"]) == (-0.312, -1.248, 12, False)
    hold = read_timing(put(tmp_path, vivado.timing("xc7z020clg400-1", 0.5, -0.02)))
    assert (hold["whs_ns"], hold["hold_failing"], hold["met"]) == (-0.02, 3, False)
    with pytest.raises(ToolError, match="no slack: is the clock constrained"):
        read_timing(put(tmp_path, vivado.timing("xc7z020clg400-1", 0.874).replace("0.874", "   NA")))
    with pytest.raises(ToolError, match="no design timing summary"):
        read_timing(put(tmp_path, "Timing Summary Report\n"))


def test_route(tmp_path: Path) -> None:
    assert read_route(put(tmp_path, vivado.route(0)))["complete"]
    bad = read_route(put(tmp_path, vivado.route(3)))
    assert (bad["errors"], bad["routed"], bad["routable"], bad["complete"]) == (3, 15010, 15013, False)
    with pytest.raises(ToolError, match="no line '# of nets with routing errors'"):
        read_route(put(tmp_path, vivado.route(0).replace("routing errors", "errors")))


def test_power(tmp_path: Path) -> None:
    text = vivado.power("xc7z020clg400-1")
    found = read_power(put(tmp_path, text))
    assert (found["total_w"], found["dynamic_w"], found["static_w"], found["confidence"]) == (
        1.541,
        1.405,
        0.136,
        "Low",
    )
    assert found["blocks_w"] == {
        "Clocks": 0.031,
        "Slice Logic": 0.018,
        "Block RAM": 0.029,
        "DSPs": 0.001,
        "PS7": 1.301,
        "Static Power": 0.136,
    }
    hot = text.replace("| 1.541        |", "| 1.541 (Junction temp exceeded!) |", 1)
    assert read_power(put(tmp_path, hot))["total_w"] == 1.541
    with pytest.raises(ToolError, match=r"no row 'Dynamic \(W\)'"):
        read_power(put(tmp_path, text.replace("Dynamic (W) ", "Dynamic ")))


@pytest.mark.parametrize(("version", "dsp", "uram"), [("2019.2", "DSP48E", ""), ("2023.2", "DSP", "<URAM>0</URAM>")])
def test_csynth_of_both_tools(tmp_path: Path, version: str, dsp: str, uram: str) -> None:
    found = read_csynth(put(tmp_path, CSYNTH.format(version=version, dsp=dsp, uram=uram, worst=1200)))
    assert found["used"] == {"lut": 9876, "ff": 6021, "dsp": 31, "bram18": 12, **({"uram": 0} if uram else {})}
    assert found["latency_cycles"] == [145, 1200] and found["interval_cycles"] == [144, 1200]
    assert (found["tool"], found["top"], found["clock_ns"], found["estimated_clock_ns"]) == (
        version,
        "tiny",
        10.0,
        8.702,
    )
    unknown = read_csynth(put(tmp_path, CSYNTH.format(version=version, dsp=dsp, uram=uram, worst="?")))
    assert unknown["latency_cycles"] == [145, None]
    with pytest.raises(ToolError, match="no AreaEstimates/Resources/DSP48E"):
        read_csynth(put(tmp_path, CSYNTH.format(version=version, dsp="XYZ", uram=uram, worst=1)))
    with pytest.raises(ToolError, match="is no XML"):
        read_csynth(put(tmp_path, "<profile>"))


def test_comparison_keeps_what_both_know() -> None:
    found = compare({"lut": 500, "ff": 300, "dsp": 0}, {"lut": 400, "dsp": 0, "uram": 3}, "an estimate")
    assert found == {
        "resources": {
            "lut": {"reported": 500, "estimated": 400, "ratio": 1.25},
            "dsp": {"reported": 0, "estimated": 0, "ratio": None},
        },
        "source": "an estimate",
    }
