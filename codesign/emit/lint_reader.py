"""What emitted C++ says, for the lint: its functions, the calls that hand a stream on, and who reads or writes it.

What no tool sees is blanked, comments and what is for C simulation alone, and lines stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

Use = Literal["read", "written"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule; `where` is `path:line`."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Function:
    """A function with stream parameters: `params` are (name, is a stream); `line` is its first, `start` its body's."""

    name: str
    params: tuple[tuple[str, bool], ...]
    body: str
    file: File
    line: int
    start: int

    @property
    def space(self) -> str:
        return self.name.rpartition("::")[0]


@dataclass(frozen=True)
class File:
    """One source: its text, and the code that synthesis sees."""

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
    def functions(self) -> list[Function]:
        found: list[Function] = []
        space = ""
        for match in re.finditer(
            r"^(?:namespace (\w+) \{|\}  (// namespace)|(?:static |inline )*[\w:]+ (\w+)\()",
            self.code,
            flags=re.MULTILINE,
        ):
            if match[1] or match[2]:
                space = f"{match[1]}::" if match[1] else ""
                continue
            close = closing(self.code, match.end() - 1)
            params = split_arguments(self.code[match.end() : close])
            opening = re.compile(r"\s*\{").match(self.code, close + 1)
            if not opening or not any("hls::stream<" in p for p in params):
                continue
            names = tuple((re.findall(r"\w+", re.sub(r"\[.*", "", p))[-1], "hls::stream<" in p) for p in params)
            body = self.code[opening.end() : closing(self.code, opening.end() - 1)]
            line, start = (self.code.count("\n", 0, offset) for offset in (match.start(), opening.end()))
            found.append(Function(space + match[3], names, body, self, line, start))
        return found


@lru_cache(maxsize=64)
def read_file(path: str, text: str) -> File:
    """The file, with what synthesis does not see blanked."""
    bare = re.sub(r"//(?! namespace)[^\n]*", "", text)
    numbers = re.sub(r"^(?=.*\d) *[{\d-][\d{}, ;-]*$", "", bare, flags=re.MULTILINE)  # lines of weights
    return File(path, text, _without_simulation(numbers))


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


def closing(text: str, start: int) -> int:
    """Where the bracket at `start` closes, or the end of the text."""
    depth = 0
    for match in re.compile(r"[(){}\[\]]").finditer(text, start):
        depth += 1 if match[0] in "({[" else -1
        if depth == 0:
            return match.start()
    return len(text)


def split_arguments(arguments: str) -> list[str]:
    """Arguments between commas outside all brackets."""
    parts, depth, start = [], 0, 0
    for offset, letter in enumerate(arguments):
        depth += (letter in "(<[{") - (letter in ")>]}")
        if letter == "," and depth == 0:
            parts.append(arguments[start:offset].strip())
            start = offset + 1
    return [*parts, arguments[start:].strip()]


@dataclass(frozen=True)
class Design:
    """The function with the DATAFLOW region, and every function with streams by name."""

    top: Function
    functions: Mapping[str, Function]

    def uses(self, function: Function, param: str) -> list[tuple[Use, Function]]:
        """Every way `function` uses its stream `param`, with the function that does it in the end."""
        found: list[tuple[Use, Function]] = []
        if re.search(rf"\b{param}\s*(?:\.read\(|>>)", function.body):
            found.append(("read", function))
        if re.search(rf"\b{param}\s*(?:\.write\(|<<)", function.body):
            found.append(("written", function))
        for callee, place in passes(function.body, param):
            name = callee if "::" in callee else f"{function.space}::{callee}"
            if inner := self.functions.get(name):
                found += self.uses(inner, inner.params[place][0])
        return found


def passes(body: str, name: str) -> Iterator[tuple[str, int]]:
    """(function, position) for every call that hands `name` on."""
    for match in re.finditer(r"\b([A-Za-z_][\w:]*)(?:<[^;(){}\n]*>)?\(", body):
        arguments = split_arguments(body[match.end() : closing(body, match.end() - 1)])
        if name in arguments:
            yield match[1], arguments.index(name)


def read_design(files: Sequence[File]) -> Design | None:
    """The design in the files, or None when no function has a DATAFLOW region."""
    functions = {function.name: function for file in files for function in file.functions}
    tops = [f for f in functions.values() if "#pragma HLS DATAFLOW" in f.body]
    return Design(tops[-1], functions) if tops else None


PROCESS = re.compile(r"^\s*CS_PROCESS\((.*)\);$", re.MULTILINE)
CHANNEL = re.compile(r'^\s*hls::stream<.*>\s+(\w+)\("(\w+)"\);$', re.MULTILINE)


def users_of(design: Design, name: str) -> list[tuple[Use, Function, int]]:
    """Who uses a channel or port of the region: how, the unit in the end, and the position of its process."""
    users: list[tuple[Use, Function, int]] = []
    for position, process in enumerate(PROCESS.findall(design.top.body)):
        for callee, place in passes(process, name):
            if function := design.functions.get(callee):
                for use, unit in design.uses(function, function.params[place][0]):
                    users.append((use, unit, position))
    return users
