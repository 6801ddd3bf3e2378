"""One line of the text form, taken token by token from the left; what does not fit is a GraphError with a hint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal, NoReturn, TypeVar, cast

from codesign.errors import GraphError
from codesign.ir.types import IntType, TensorType, parse_scale

T = TypeVar("T")

WORD = re.compile(r"[A-Za-z0-9_.^+-]+")
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[%@]?[A-Za-z0-9_.^+-]+|[=(){}\[\],:*])')
_EXAMPLE = "see the example at the top of codesign/ir/text.py"


class Line:
    """The tokens of one line, taken from the left."""

    def __init__(self, text: str) -> None:
        self.text, self._tokens, self._next = text, list[str](), 0
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                self.fail(f"cannot read {text[position:].strip()!r}", _EXAMPLE)
            self._tokens.append(match[1])
            position = match.end()

    @property
    def done(self) -> bool:
        return self._next == len(self._tokens)

    @property
    def peek(self) -> str:
        return "" if self.done else self._tokens[self._next]

    def fail(self, what: str, hint: str) -> NoReturn:
        raise GraphError(what, hint=hint)

    def end(self) -> None:
        if not self.done:
            self.fail(f"{' '.join(self._tokens[self._next :])!r} is left over", "end the line before it")

    def take(self, token: str) -> None:
        if self.peek != token:
            self.fail(
                f"expected {token!r}, found {self.peek or 'the end of the line'!r}",
                _EXAMPLE,
            )
        self._next += 1

    def word(self, expected: str) -> str:
        token = self.peek
        if not WORD.fullmatch(token):
            self.fail(
                f"expected {expected}, found {token or 'the end of the line'!r}",
                _EXAMPLE,
            )
        self._next += 1
        return token

    def reference(self, mark: Literal["%", "@"]) -> str:
        token = self.peek
        if not token.startswith(mark):
            self.fail(
                f"expected {mark}name, found {token or 'the end of the line'!r}",
                f"names of {'values' if mark == '%' else 'constants'} start with {mark}",
            )
        self._next += 1
        return token[1:]

    def string(self) -> str:
        token = self.peek
        self._next += 1
        try:
            return str(json.loads(token))
        except ValueError:
            self.fail(f"{token} is not a string", "write strings as JSON does")

    def name(self) -> str:
        return self.string() if self.peek.startswith('"') else self.word("a name")

    def items(self, item: Callable[[], T]) -> tuple[T, ...]:
        """One or more items between commas."""
        items = [item()]
        while self.peek == ",":
            self.take(",")
            items.append(item())
        return tuple(items)

    def shaped(self) -> tuple[IntType, tuple[int, ...]]:
        """`u8[28x28x1]`"""
        dtype = self.word("a type such as u8[28x28x1]")
        self.take("[")
        sizes = "" if self.peek == "]" else self.word("sizes such as 28x28x1")
        self.take("]")
        try:
            return IntType.parse(dtype), tuple(int(size) for size in sizes.split("x")) if sizes else ()
        except ValueError as error:
            self.fail(f"{dtype}[{sizes}] is not a type: {error}", "write types as u8[28x28x1]")

    def type(self) -> TensorType:
        """`u8[28x28x1] * 2^-8`, or without a scale"""
        dtype, shape = self.shaped()
        scale = None
        if self.peek == "*":
            self.take("*")
            scale = self._scale()
        try:
            return TensorType(cast(tuple[int, int, int], shape), dtype, scale)
        except ValueError as error:
            self.fail(str(error), "write types as u8[28x28x1] * 2^-8")

    def _scale(self) -> float:
        word = self.word("a scale")
        try:
            return parse_scale(word)
        except (ValueError, ArithmeticError):
            self.fail(f"{word!r} is not a scale", "write scales as 2^-8 or 0.1")
