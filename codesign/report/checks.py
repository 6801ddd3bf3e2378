"""What was checked and with what verdict, step by step; a step that was not run says so, with the command that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from codesign.report.figures import Kind, number
from codesign.report.records import Records

Verdict = Literal["passed", "failed", "outdated", "not run"]  # outdated: passed, with an earlier design


@dataclass(frozen=True, slots=True)
class Check:
    """`command` runs the step; `detail` has its tool and what it says of a first difference."""

    name: str
    verdict: Verdict
    frames: int | None
    wrong: str
    detail: str
    command: str
    kind: Kind = "simulated"
    parts: tuple[tuple[str, bool, int], ...] = ()  # benches of one run: name, green, frames


def checks(records: Records, *, rtl_changed: bool = False) -> tuple[Check, ...]:
    """Every check there is, in the order in which steps go from network to board.

    `rtl_changed` says that the design has other cycles now than those that were simulated.
    """
    rows = [
        _evaluate(records.section("evaluate")),
        *_csims(records),
        _rtlsim(records.section("rtlsim"), changed=rtl_changed),
        _cosim("RTL under stress (cocotb)", records.section("cosim"), "codesign cosim RUN"),
        _tail(records.section("tail")),
        _bench(records.section("bench")),
    ]
    if hls := records.section("cosim_hls"):
        rows.append(_cosim("HLS export under stress (cocotb)", hls, "codesign cosim RUN --hls-export DIR"))
    return (*rows, *_boards(records))


def _missing(name: str, command: str, kind: Kind = "simulated") -> Check:
    return Check(name, "not run", None, "", "", command, kind)


def _evaluate(found: Mapping[str, Any]) -> Check:
    name, command = "Recorded logits against the integer model", "codesign evaluate RUN"
    if not found:
        return _missing(name, command, "counted")
    return Check(name, "passed", None, "0 logits", str(found.get("source", "")), command, "counted")


def _csims(records: Records) -> Iterable[Check]:
    """C simulation with native and the vendor's types, asked for always; other ways where they were run."""
    wanted = {"csim_native": "", "csim_vendor": " --types vendor"}
    more = [name for name in (records.metrics or {}) if name.startswith("csim_") and name not in wanted]
    for section in (*wanted, *sorted(more)):
        types, _, threads = section.removeprefix("csim_").partition("_")
        ways = f"{types} types{', a thread a process' if threads else ''}"
        command = "codesign csim RUN" + wanted.get(section, f" --types {types}{' --threads' if threads else ''}")
        yield _simulated(f"C++ in C simulation, {ways}", records.section(section), command, "headers")


def _rtlsim(found: Mapping[str, Any], *, changed: bool) -> Check:
    row = _simulated("SystemVerilog in RTL simulation", found, "codesign rtlsim RUN", "tool")
    return replace(row, verdict="outdated") if changed and row.verdict == "passed" else row


def _simulated(name: str, found: Mapping[str, Any], command: str, tool: str) -> Check:
    if not found:
        return _missing(name, command)
    codes, frames = int(found["mismatched_codes"]), int(found["mismatched_frames"])
    detail = [str(found.get(tool) or ""), str(found.get("first_difference") or "")]
    return Check(
        name,
        "failed" if codes or frames else "passed",
        int(found["frames"]),
        f"{number(codes)} codes" + (f" in {number(frames)} frames" if frames else ""),
        "; ".join(part for part in detail if part),
        command,
    )


def _cosim(name: str, found: Mapping[str, Any], command: str) -> Check:
    if not found:
        return _missing(name, command)
    benches: Mapping[str, Any] = found.get("benches", {})
    parts = tuple((bench, bool(row["passed"]), int(row["frames"])) for bench, row in benches.items())
    green = sum(passed for _, passed, _ in parts)
    first = next(
        (f"; {bench}: {row['first_difference']}" for bench, row in benches.items() if row.get("first_difference")), ""
    )
    detail = f"{green} of {len(parts)} benches green in {', '.join(found.get('simulators', []))}{first}"
    verdict: Verdict = "passed" if parts and green == len(parts) else "failed"
    return Check(
        name, verdict, int(found["frames"]), f"{number(found['mismatched_beats'])} beats", detail, command, parts=parts
    )


def _tail(found: Mapping[str, Any]) -> Check:
    name, command = "Host C++ against numpy and torch", "codesign tail RUN"
    if not found:
        return _missing(name, command, "counted")
    different: Mapping[str, int] = found["different_frames"]
    wrong = sum(different.values())
    detail = f"logits of exit {found['exit']} in {', '.join(different)}"
    return Check(
        name,
        "failed" if wrong else "passed",
        int(found["frames"]),
        f"{number(wrong)} frames",
        detail,
        command,
        "counted",
    )


def _bench(found: Mapping[str, Any]) -> Check:
    name, command = "Every answer of the dispatcher against exact software", "codesign bench RUN"
    if not found:
        return _missing(name, command, "counted")
    detail = f"batches of {found['batch']}, {found['workers']} worker; a wrong answer ends the benchmark"
    return Check(name, "passed", int(found["frames"]), "0 answers", detail, command, "counted")


def _boards(records: Records) -> Iterable[Check]:
    """Bitstreams: timing met, or there would be none."""
    found = [name for name in (records.metrics or {}) if name.startswith("bitstream_")]
    for section in sorted(found):
        built, board = records.section(section), section.removeprefix("bitstream_")
        detail = f"timing met at {built.get('clock_mhz', '?')} MHz, {built.get('source', '')}"
        yield Check(
            f"Bitstream for {board}",
            "passed",
            None,
            "",
            detail,
            f"codesign bitstream RUN --board {board}",
            "synthesized",
        )
    if not found:
        yield _missing("Bitstream in Vivado", "codesign bitstream RUN", "synthesized")
