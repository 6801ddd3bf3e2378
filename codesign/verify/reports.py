"""What the vendor's tools report of a design: csynth.xml, utilization, timing, routing, power; and how far the estimate was off.

Every reader takes the report as a file and returns a plain dict that names it in `source`. Figures keep one set of names
whatever the tool calls them: `lut`, `ff`, `dsp`, `bram18` (a RAMB36 counts twice), `uram`. A figure that a report does not
have is an error, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from codesign.errors import ToolError

REPORTS = {  # what build.tcl writes into its folder `reports`
    "utilization": "utilization.rpt",
    "accelerator": "accelerator.rpt",
    "timing": "timing.rpt",
    "route": "route.rpt",
    "power": "power.rpt",
}
_HLS_RESOURCES = {"lut": ("LUT",), "ff": ("FF",), "dsp": ("DSP48E", "DSP"), "bram18": ("BRAM_18K",), "uram": ("URAM",)}
_SITES = {  # rows of report_utilization on 7-series and on UltraScale+
    "lut": ("Slice LUTs", "CLB LUTs"),
    "ff": ("Slice Registers", "CLB Registers"),
    "dsp": ("DSPs",),
    "bram18": ("Block RAM Tile",),  # in tiles of 36 kbit, half ones too
    "uram": ("URAM",),
}
_NUMBER = r"-?\d+(?:\.\d+)?"


def read_reports(folder: Path) -> dict[str, Any]:
    """All reports of an implemented design. Raises ToolError that names the one that is missing or cannot be read."""
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        "utilization": read_utilization,
        "accelerator": read_utilization,
        "timing": read_timing,
        "route": read_route,
        "power": read_power,
    }
    return {name: read(folder / REPORTS[name]) for name, read in readers.items()}


def read_utilization(path: Path) -> dict[str, Any]:
    """`used` and `available` by resource, from report_utilization of a part or of one cell of the design."""
    rows = _table_rows(_text(path))
    used: dict[str, float] = {}
    available: dict[str, float] = {}
    for name, labels in _SITES.items():
        row = next((rows[label] for label in labels if label in rows), None)
        if row is None:
            if name == "uram":  # 7-series has none
                continue
            raise _missing(path, f"a row {' or '.join(labels)}")
        factor = 2 if name == "bram18" else 1
        used[name] = _whole(row["Used"], path) * factor
        if row.get("Available"):  # of a single cell only some releases say what there is
            available[name] = _whole(row["Available"], path) * factor
    return {"used": _integers(used), "available": _integers(available), "source": path.name}


def read_timing(path: Path) -> dict[str, Any]:
    """Worst and total slack of setup and hold in ns, failing endpoints, from report_timing_summary.

    `met` says whether no slack is negative. A design without any constrained path has no slack, which is an error.
    """
    text = _text(path)
    head = re.search(r"^\s*WNS\(ns\)\s+TNS\(ns\).*\n[\s-]*\n\s*(\S.*)$", text, flags=re.MULTILINE)
    if not head:
        raise _missing(path, "a design timing summary")
    cells = head[1].split()
    if len(cells) < 8 or not all(re.fullmatch(_NUMBER, cell) for cell in cells[:8]):
        raise _missing(path, "a slack: is the clock constrained?")
    wns, tns, setup_failing, _, whs, ths, hold_failing, _ = (float(cell) for cell in cells[:8])
    return {
        "wns_ns": wns,
        "tns_ns": tns,
        "setup_failing": int(setup_failing),
        "whs_ns": whs,
        "ths_ns": ths,
        "hold_failing": int(hold_failing),
        "met": wns >= 0 and whs >= 0 and not setup_failing and not hold_failing,
        "source": path.name,
    }


def read_route(path: Path) -> dict[str, Any]:
    """How many nets are to be routed, are routed, and have errors, from report_route_status."""
    text = _text(path)
    counts: dict[str, int] = {}
    for name, label in (
        ("routable", "# of routable nets"),
        ("routed", "# of fully routed nets"),
        ("errors", "# of nets with routing errors"),
    ):
        found = re.search(rf"{re.escape(label)}[. ]*:\s*(\d+)", text)
        if not found:
            raise _missing(path, f"a line {label!r}")
        counts[name] = int(found[1])
    complete = counts["errors"] == 0 and counts["routed"] == counts["routable"] > 0
    return {**counts, "complete": complete, "source": path.name}


def read_power(path: Path) -> dict[str, Any]:
    """Watts on the chip, dynamic and static, the tool's confidence, and dynamic watts by kind of block."""
    text = _text(path)
    rows = dict(re.findall(r"^\|\s*([^|]+?)\s*\|\s*([^|]+?)\s*\|\s*$", text, flags=re.MULTILINE))
    watts: dict[str, Any] = {}
    for name, label in (
        ("total_w", "Total On-Chip Power (W)"),
        ("dynamic_w", "Dynamic (W)"),
        ("static_w", "Device Static (W)"),
    ):
        value = re.match(_NUMBER, rows.get(label, ""))  # a note can follow: (Junction temp exceeded!)
        if not value:
            raise _missing(path, f"a row {label!r}")
        watts[name] = float(value[0])
    section = re.search(r"^1\.1\s+On-Chip Components\s*\n-+(.*?)(?=^1\.2\s|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    parts = re.findall(r"^\| (\w[^|]*?)\s*\|\s*<?(\d+\.\d+)\s*\|", section[1] if section else "", flags=re.MULTILINE)
    by_block = {name: float(value) for name, value in parts if name != "Total"}
    return {**watts, "confidence": rows.get("Confidence Level", ""), "blocks_w": by_block, "source": path.name}


def read_csynth(path: Path) -> dict[str, Any]:
    """Resources, latency, interval and clock of csynth.xml, by Vivado HLS or Vitis HLS; None for cycles it prints as `?`."""
    try:
        profile = ElementTree.fromstring(_text(path))
    except ElementTree.ParseError as error:
        raise ToolError(f"is no XML: {error}", where=str(path), hint="synthesize again") from error
    latency = "PerformanceEstimates/SummaryOfOverallLatency"
    return {
        "tool": profile.findtext("ReportVersion/Version", ""),
        "top": profile.findtext("UserAssignments/TopModelName", ""),
        "part": profile.findtext("UserAssignments/Part", ""),
        "clock_ns": _real(profile, "UserAssignments/TargetClockPeriod", path),
        "estimated_clock_ns": _real(profile, "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod", path),
        "latency_cycles": [_cycles(profile, f"{latency}/{end}-caseLatency", path) for end in ("Best", "Worst")],
        "interval_cycles": [_cycles(profile, f"{latency}/Interval-{end}", path) for end in ("min", "max")],
        "used": _hls_resources(profile, "AreaEstimates/Resources", path),
        "available": _hls_resources(profile, "AreaEstimates/AvailableResources", path),
        "source": path.name,
    }


def compare(used: Mapping[str, int], estimated: Mapping[str, int], source: str) -> dict[str, Any]:
    """Of every resource that was estimated: what was reported, what was estimated, and reported over estimated.

    The ratio is None where the estimate is 0.
    """
    return {
        "resources": {
            name: {
                "reported": used[name],
                "estimated": estimate,
                "ratio": round(used[name] / estimate, 3) if estimate else None,
            }
            for name, estimate in estimated.items()
            if name in used
        },
        "source": source,
    }


def _table_rows(text: str) -> dict[str, dict[str, str]]:
    """The first row of every label in tables that have a column `Used`, by their column titles."""
    rows: dict[str, dict[str, str]] = {}
    titles: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "Used" in cells:
            titles = cells
        elif titles and len(cells) == len(titles):
            rows.setdefault(cells[0].rstrip("*"), dict(zip(titles, cells, strict=True)))
    return rows


def _hls_resources(profile: ElementTree.Element, place: str, path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, tags in _HLS_RESOURCES.items():
        value = next((v for tag in tags if (v := profile.findtext(f"{place}/{tag}")) is not None), None)
        if value is not None:
            found[name] = int(value)
        elif name != "uram":  # old releases do not list it
            raise _missing(path, f"{place}/{tags[0]}")
    return found


def _cycles(profile: ElementTree.Element, place: str, path: Path) -> int | None:
    value = profile.findtext(place)
    if value is None:
        raise _missing(path, place)
    return int(value) if value.isdigit() else None


def _real(profile: ElementTree.Element, place: str, path: Path) -> float:
    value = profile.findtext(place, "")
    if not re.fullmatch(_NUMBER, value):
        raise _missing(path, place)
    return float(value)


def _whole(cell: str, path: Path) -> float:
    if not re.fullmatch(_NUMBER, cell):
        raise ToolError(f"{cell!r} is no count", where=str(path), hint="run the implementation again")
    return float(cell)


def _integers(counts: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in counts.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ToolError(
            f"the report {path.name} is missing", where=str(path.parent), hint="see the log for what stopped the tool"
        ) from error


def _missing(path: Path, what: str) -> ToolError:
    return ToolError(
        f"the report has no {what.removeprefix('a ')}", where=str(path), hint="run the implementation again"
    )
