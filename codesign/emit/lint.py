"""Reads emitted C++ as an HLS tool would and says which of the house's rules it breaks; docs/hls.md lists them.

The text is judged, not the plan behind it, so a template that goes wrong is caught whatever it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from codesign.errors import VerificationError
from codesign.plan.dataflow import Dataflow

Use = Literal["read", "written"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule; `where` is `path:line`."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def lint(sources: Mapping[str, str], dataflow: Dataflow) -> list[Finding]:
    """What is wrong with the sources under src/ ({path: text}); empty when nothing is."""
    files = [_file(path, text) for path, text in sources.items() if path.startswith("src/")]
    found = [finding for file in files for rule in _FILE_RULES for finding in rule(file)]
    design = _read_design(files)
    if design is None:
        return [*found, Finding("src", "no function has a DATAFLOW region")]
    return [*found, *_channels(design, dataflow), *_region(design), *_ports(design), *_depth_table(design, dataflow)]


def demand_clean(sources: Mapping[str, str], dataflow: Dataflow) -> None:
    """Raises VerificationError with the first finding when there is one."""
    if findings := lint(sources, dataflow):
        more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
        raise VerificationError(
            f"{findings[0].what}{more}",
            where=findings[0].where,
            hint="a template or a library unit breaks a rule of docs/hls.md",
        )


# Reading. What no tool sees is blanked, comments and what is for C simulation alone, and lines stay where they are.


@dataclass(frozen=True)
class _Function:
    """A function with stream parameters: `params` are (name, is a stream); `line` is its first, `start` its body's."""

    name: str
    params: tuple[tuple[str, bool], ...]
    body: str
    file: _File
    line: int
    start: int

    @property
    def space(self) -> str:
        return self.name.rpartition("::")[0]


@dataclass(frozen=True)
class _File:
    path: str
    text: str
    code: str

    @cached_property
    def lines(self) -> list[str]:
        return self.code.split("\n")

    def at(self, line: int, what: str) -> Finding:
        """`line` counts from 0."""
        return Finding(f"{self.path}:{line + 1}", what)

    @cached_property
    def functions(self) -> list[_Function]:
        found: list[_Function] = []
        space = ""
        for match in re.finditer(
            r"^(?:namespace (\w+) \{|\}  (// namespace)|(?:static |inline )*[\w:]+ (\w+)\()",
            self.code,
            flags=re.MULTILINE,
        ):
            if match[1] or match[2]:
                space = f"{match[1]}::" if match[1] else ""
                continue
            close = _closing(self.code, match.end() - 1)
            params = _split(self.code[match.end() : close])
            opening = re.compile(r"\s*\{").match(self.code, close + 1)
            if not opening or not any("hls::stream<" in p for p in params):
                continue
            names = tuple((re.findall(r"\w+", re.sub(r"\[.*", "", p))[-1], "hls::stream<" in p) for p in params)
            body = self.code[opening.end() : _closing(self.code, opening.end() - 1)]
            line, start = (self.code.count("\n", 0, offset) for offset in (match.start(), opening.end()))
            found.append(_Function(space + match[3], names, body, self, line, start))
        return found


@lru_cache(maxsize=64)
def _file(path: str, text: str) -> _File:
    bare = re.sub(r"//(?! namespace)[^\n]*", "", text)
    numbers = re.sub(r"^(?=.*\d) *[{\d-][\d{}, ;-]*$", "", bare, flags=re.MULTILINE)  # lines of weights
    return _File(path, text, _without_simulation(numbers))


def _without_simulation(text: str) -> str:
    """Blanks what stands under #ifdef CS_THREADS, CS_TRACE or CS_NATIVE, and keeps what stands in their #else."""
    kept: list[str] = []
    hidden: list[bool] = []  # for each open #if, whether its present branch is blanked
    for line in text.split("\n"):
        word = re.match(r"#\s*(ifdef|ifndef|if|elif|else|endif)\b\s*(\w*)", line)
        if word and word[1].startswith("if"):
            hidden.append(word[1] == "ifdef" and word[2] in ("CS_THREADS", "CS_TRACE", "CS_NATIVE"))
        elif word and word[1] == "endif":
            hidden.pop()
        elif word:
            hidden[-1] = False
        kept.append("" if word or any(hidden) else line)
    return "\n".join(kept)


def _closing(text: str, start: int) -> int:
    """Where the bracket at `start` closes, or the end of the text."""
    depth = 0
    for match in re.compile(r"[(){}\[\]]").finditer(text, start):
        depth += 1 if match[0] in "({[" else -1
        if depth == 0:
            return match.start()
    return len(text)


def _split(arguments: str) -> list[str]:
    """Arguments between commas outside all brackets."""
    parts, depth, start = [], 0, 0
    for offset, letter in enumerate(arguments):
        depth += (letter in "(<[{") - (letter in ")>]}")
        if letter == "," and depth == 0:
            parts.append(arguments[start:offset].strip())
            start = offset + 1
    return [*parts, arguments[start:].strip()]


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


def _words(file: _File) -> Iterator[Finding]:
    text = re.sub(r'"[^"\n]*"', '""', file.code)
    for pattern, what in _PATTERNS:
        for match in pattern.finditer(text):
            yield file.at(text.count("\n", 0, match.start()), f"{' '.join(match[0].split())!r} {what}")


def _loops(file: _File) -> Iterator[Finding]:
    for number, line in enumerate(file.lines):
        if ("for" in line or "while" in line or "do" in line) and (loop := _LOOP.search(line)):
            before = _before(file.lines, number)
            if line[: loop.start()].strip() or not re.fullmatch(r"\s*\w+:", before) or "default:" in before:
                yield file.at(number, "a loop without a label of its own")


def _loop_pragmas(file: _File) -> Iterator[Finding]:
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


def _polling(file: _File) -> Iterator[Finding]:
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


@dataclass(frozen=True)
class _Design:
    top: _Function
    functions: Mapping[str, _Function]

    def uses(self, function: _Function, param: str) -> list[tuple[Use, _Function]]:
        """Every way `function` uses its stream `param`, with the function that does it in the end."""
        found: list[tuple[Use, _Function]] = []
        if re.search(rf"\b{param}\s*(?:\.read\(|>>)", function.body):
            found.append(("read", function))
        if re.search(rf"\b{param}\s*(?:\.write\(|<<)", function.body):
            found.append(("written", function))
        for callee, place in _passes(function.body, param):
            name = callee if "::" in callee else f"{function.space}::{callee}"
            if inner := self.functions.get(name):
                found += self.uses(inner, inner.params[place][0])
        return found


def _passes(body: str, name: str) -> Iterator[tuple[str, int]]:
    """(function, position) for every call that hands `name` on."""
    for match in re.finditer(r"\b([A-Za-z_][\w:]*)(?:<[^;(){}\n]*>)?\(", body):
        arguments = _split(body[match.end() : _closing(body, match.end() - 1)])
        if name in arguments:
            yield match[1], arguments.index(name)


def _read_design(files: Sequence[_File]) -> _Design | None:
    functions = {function.name: function for file in files for function in file.functions}
    tops = [f for f in functions.values() if "#pragma HLS DATAFLOW" in f.body]
    return _Design(tops[-1], functions) if tops else None


_PROCESS = re.compile(r"^\s*CS_PROCESS\((.*)\);$", re.MULTILINE)
_CHANNEL = re.compile(r'^\s*hls::stream<.*>\s+(\w+)\("(\w+)"\);$', re.MULTILINE)


def _users(design: _Design, name: str) -> list[tuple[Use, _Function, int]]:
    """Who uses a channel or port of the region: how, the unit in the end, and the position of its process."""
    users: list[tuple[Use, _Function, int]] = []
    for position, process in enumerate(_PROCESS.findall(design.top.body)):
        for callee, place in _passes(process, name):
            if function := design.functions.get(callee):
                for use, unit in design.uses(function, function.params[place][0]):
                    users.append((use, unit, position))
    return users


def _channels(design: _Design, dataflow: Dataflow) -> Iterator[Finding]:
    """Each channel of the plan is declared once, has its planned depth, one writer, and behind it one reader."""
    top = design.top
    planned = {channel.name: channel.depth for channel in dataflow.channels}
    declared = {
        match[1]: top.start + top.body.count("\n", 0, match.start()) + match[0].count("\n")
        for match in _CHANNEL.finditer(top.body)
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
        users = _users(design, name)
        for use, role in (("written", "writer"), ("read", "reader")):
            if (count := len({position for way, _, position in users if way == use})) != 1:
                yield top.file.at(line, f"channel {name!r} has {count} {role}s, not one")
        reads, writes = ([position for way, _, position in users if way == use] for use in ("read", "written"))
        if reads and writes and min(reads) <= max(writes):
            yield top.file.at(line, f"channel {name!r} is not read by a later process than the one that writes it")


def _region(design: _Design) -> Iterator[Finding]:
    """Nothing but channels and processes stands in the region, and only there INTERFACE pragmas."""
    top = design.top
    for number, line in enumerate(top.body.split("\n")):
        if (
            line.strip()
            and not line.startswith("#pragma HLS ")
            and line.strip() != "CS_REGION"
            and not _CHANNEL.match(line)
            and not _PROCESS.match(line)
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


def _ports(design: _Design) -> Iterator[Finding]:
    """Every parameter of the top function has its INTERFACE pragma, every stream one user, and every output TLAST."""
    top = design.top
    for name, is_stream in (*top.params, ("return", False)):
        want = f"axis port={name}" if is_stream else f"s_axilite port={name} bundle=control"
        if len(re.findall(rf"^#pragma HLS INTERFACE {want}\s*$", top.body, flags=re.MULTILINE)) != 1:
            yield top.file.at(top.line, f"port {name!r} has not one '#pragma HLS INTERFACE {want}'")
        if not is_stream:
            continue
        users = _users(design, name)
        if (count := len({position for _, _, position in users})) != 1:
            yield top.file.at(top.line, f"port {name!r} is used by {count} processes, not one")
        for use, unit, _ in users:
            if use == "written" and not re.search(r"\.last\s*=[^=]", unit.body):
                yield unit.file.at(unit.line, f"port {name!r}: {unit.name} writes it and never sets TLAST")


def _depth_table(design: _Design, dataflow: Dataflow) -> Iterator[Finding]:
    """The depths of the threaded C simulation are the plan's."""
    file = design.top.file
    table = re.search(r"\bcs_depth_table\[\] = \{(.*?)^\};", file.text, flags=re.MULTILINE | re.DOTALL)
    rows = re.findall(r'^\s*\{"(\w+)", (\d+)\},$', table[1] if table else "", flags=re.MULTILINE)
    planned = {(channel.name, str(channel.depth)) for channel in dataflow.channels}
    line = file.text.count("\n", 0, table.start()) if table else 0
    if wrong := sorted(planned ^ set(rows)):
        yield file.at(line, f"cs_depth_table and the plan differ in channel {wrong[0][0]!r}")
