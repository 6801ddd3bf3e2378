"""Reads emitted C++ as an HLS tool would and says which of the house's rules it breaks; docs/hls.md lists them.

The text is judged, not the plan behind it, so a template that goes wrong is caught whatever it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from codesign.emit.lint_reader import CHANNEL, PROCESS, Design, File, Finding, read_design, read_file, users_of
from codesign.emit.widths import token_channels
from codesign.errors import VerificationError
from codesign.plan.dataflow import Dataflow


def lint(
    sources: Mapping[str, str], dataflow: Dataflow, narrow: Sequence[Dataflow] = (), steps: Sequence[Dataflow] = ()
) -> list[Finding]:
    """What is wrong with the sources under src/ ({path: text}); empty when nothing is.

    `narrow` are the dataflows of the narrower widths of a design with several: its tokens have channels too.
    """
    dataflow = replace(dataflow, channels=(*dataflow.channels, *token_channels(dataflow, narrow, steps)))
    files = [read_file(path, text) for path, text in sources.items() if path.startswith("src/")]
    found = [finding for file in files for rule in _FILE_RULES for finding in rule(file)]
    design = read_design(files)
    if design is None:
        return [*found, Finding("src", "no function has a DATAFLOW region")]
    return [*found, *_channels(design, dataflow), *_region(design), *_ports(design), *_depth_table(design, dataflow)]


def demand_clean(
    sources: Mapping[str, str], dataflow: Dataflow, narrow: Sequence[Dataflow] = (), steps: Sequence[Dataflow] = ()
) -> None:
    """Raises VerificationError with the first finding when there is one."""
    if findings := lint(sources, dataflow, narrow, steps):
        more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
        raise VerificationError(
            f"{findings[0].what}{more}",
            where=findings[0].where,
            hint="a template or a library unit breaks a rule of docs/hls.md",
        )


# Rules about any file.

_CPP11 = re.compile(
    r"\b(?:auto|constexpr|nullptr|static_assert|decltype|noexcept|override|typename\s*\.\.\.|thread_local|char16_t|char32_t)(?!\w)"
    r"|\busing\s+\w+\s*=|\benum\s+class\b|=\s*(?:default|delete)\s*;|\[[&=\w, ]*\]\s*(?:\([^()\n]*\)\s*)?\{|\bfor\s*\([^;()\n]*[^:;\n]:[^:;\n]*\)"
    r"|std::array\b|\w+<[^<>;=(){}\n]*<[^<>;=(){}\n]*>>"
)
_VITIS_ONLY = re.compile(
    r"\bhls::(?:task|vector|axis|stream_of_blocks)\b|\bhls::stream<[^;<>]+,\s*\d+\s*>|#pragma HLS [^\n]*\bmode\s*="
)
_VIVADO_ONLY = re.compile(r"#pragma HLS (?:ARRAY_MAP|DATA_PACK|UNROLL region)\b[^\n]*", re.IGNORECASE)
_ROUNDING = re.compile(r"\bap_u?fixed\b|\bAP_(?:SAT|RND)\w*")
_LOOP = re.compile(r"\b(?:for|while|do)\b\s*[({]")
_LOOP_PRAGMA = re.compile(r"#pragma HLS (?:PIPELINE|UNROLL|LOOP_\w+)\b", re.IGNORECASE)
_PATTERNS = (
    (_CPP11, "is not C++98"),
    (_VITIS_ONLY, "is for Vitis HLS alone"),
    (_VIVADO_ONLY, "is for Vivado HLS alone"),
    (_ROUNDING, "rounds or saturates: accumulators are exact integers"),
)


def _words(file: File) -> Iterator[Finding]:
    text = re.sub(r'"[^"\n]*"', '""', file.code)
    for pattern, what in _PATTERNS:
        for match in pattern.finditer(text):
            yield file.at(text.count("\n", 0, match.start()), f"{' '.join(match[0].split())!r} {what}")


def _loops(file: File) -> Iterator[Finding]:
    for number, line in enumerate(file.lines):
        if ("for" in line or "while" in line or "do" in line) and (loop := _LOOP.search(line)):
            before = _before(file.lines, number)
            if line[: loop.start()].strip() or not re.fullmatch(r"\s*\w+:", before) or "default:" in before:
                yield file.at(number, "a loop without a label of its own")


def _loop_pragmas(file: File) -> Iterator[Finding]:
    for number, line in enumerate(file.lines):
        if (pragma := _LOOP_PRAGMA.search(line)) and not re.match(
            r"\s*(?:for|while)\b.*\{\s*$", _before(file.lines, number)
        ):
            yield file.at(number, f"{pragma[0]!r} is not at the start of a loop's body")


def _before(lines: Sequence[str], number: int) -> str:
    """The nearest line above that is neither blank nor a pragma."""
    return next(
        (
            lines[n]
            for n in range(number - 1, -1, -1)
            if lines[n].strip() and not lines[n].lstrip().startswith("#pragma")
        ),
        "",
    )


def _polling(file: File) -> Iterator[Finding]:
    """A process that asks whether it would have to wait makes the outcome depend on timing."""
    for function in file.functions:
        for name, is_stream in function.params:
            if is_stream and (match := re.search(rf"\b{name}\.(?:\w+_nb|empty|full|size)\(", function.body)):
                yield file.at(
                    function.start + function.body.count("\n", 0, match.start()),
                    f"{match[0]!r}: processes only wait, they do not poll",
                )


_FILE_RULES = (_words, _loops, _loop_pragmas, _polling)


# Rules about the design: who reads and writes what, followed from the region down to the unit that does it.


def _channels(design: Design, dataflow: Dataflow) -> Iterator[Finding]:
    """Each channel of the plan is declared once, has its planned depth, one writer, and behind it one reader."""
    top = design.top
    planned = {channel.name: channel.depth for channel in dataflow.channels}
    declared = {
        match[1]: top.start + top.body.count("\n", 0, match.start()) + match[0].count("\n")
        for match in CHANNEL.finditer(top.body)
    }
    for name in planned.keys() - declared.keys():
        yield top.file.at(top.line, f"channel {name!r} of the plan is not declared")
    for name, line in declared.items():
        if name not in planned:
            yield top.file.at(line, f"channel {name!r} is not in the plan")
        depths = re.findall(rf"^#pragma HLS STREAM variable={name}(?: depth=(\d+))?\s*$", top.body, flags=re.MULTILINE)
        if len(depths) != 1 or depths[0] != str(planned.get(name)):
            given = depths[0] or "none" if len(depths) == 1 else f"{len(depths)} pragmas"
            yield top.file.at(
                line, f"channel {name!r}: the depth of its STREAM pragma is {given}, planned is {planned.get(name)}"
            )
        users = users_of(design, name)
        for use, role in (("written", "writer"), ("read", "reader")):
            if (count := len({position for way, _, position in users if way == use})) != 1:
                yield top.file.at(line, f"channel {name!r} has {count} {role}s, not one")
        reads, writes = ([position for way, _, position in users if way == use] for use in ("read", "written"))
        if reads and writes and min(reads) <= max(writes):
            yield top.file.at(line, f"channel {name!r} is not read by a later process than the one that writes it")


def _region(design: Design) -> Iterator[Finding]:
    """Nothing but channels and processes stands in the region, and only there INTERFACE pragmas."""
    top = design.top
    for number, line in enumerate(top.body.split("\n")):
        if (
            line.strip()
            and not line.startswith("#pragma HLS ")
            and line.strip() != "CS_REGION"
            and not CHANNEL.match(line)
            and not PROCESS.match(line)
        ):
            yield top.file.at(
                top.start + number,
                f"{line.strip()!r} in a DATAFLOW region: only channels and calls of processes may stand there",
            )
    for function in design.functions.values():
        if function is not top and "#pragma HLS INTERFACE" in function.body:
            yield function.file.at(
                function.line, f"{function.name} has an INTERFACE pragma but is not the top function"
            )


def _ports(design: Design) -> Iterator[Finding]:
    """Every parameter of the top function has its INTERFACE pragma, every stream one user, and every output TLAST."""
    top = design.top
    for name, is_stream in (*top.params, ("return", False)):
        want = f"axis port={name}" if is_stream else f"s_axilite port={name} bundle=control"
        if len(re.findall(rf"^#pragma HLS INTERFACE {want}\s*$", top.body, flags=re.MULTILINE)) != 1:
            yield top.file.at(top.line, f"port {name!r} has not one '#pragma HLS INTERFACE {want}'")
        if not is_stream:
            continue
        users = users_of(design, name)
        if (count := len({position for _, _, position in users})) != 1:
            yield top.file.at(top.line, f"port {name!r} is used by {count} processes, not one")
        for use, unit, _ in users:
            if use == "written" and not re.search(r"\.last\s*=[^=]", unit.body):
                yield unit.file.at(unit.line, f"port {name!r}: {unit.name} writes it and never sets TLAST")


def _depth_table(design: Design, dataflow: Dataflow) -> Iterator[Finding]:
    """The depths of the threaded C simulation are the plan's."""
    file = design.top.file
    table = re.search(r"\bcs_depth_table\[\] = \{(.*?)^\};", file.text, flags=re.MULTILINE | re.DOTALL)
    rows = re.findall(r'^\s*\{"(\w+)", (\d+)\},$', table[1] if table else "", flags=re.MULTILINE)
    planned = {(channel.name, str(channel.depth)) for channel in dataflow.channels}
    line = file.text.count("\n", 0, table.start()) if table else 0
    if wrong := sorted(planned ^ set(rows)):
        yield file.at(line, f"cs_depth_table and the plan differ in channel {wrong[0][0]!r}")
