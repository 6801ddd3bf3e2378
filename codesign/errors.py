"""Errors a user can cause: each says where it happened, what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Set
from difflib import get_close_matches


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint that names the choice most like `word`, or all of them."""
    names = sorted(choices) if isinstance(choices, Set) else list(choices)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(names)}" if names else "none is defined yet"


class CodesignError(Exception):
    """One clear message: `where: what (hint)`. The command line prints it and exits with status 2."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}"


class ConfigError(CodesignError):
    """A config file or a command-line value that cannot be used."""


class DataError(CodesignError):
    """A data set that is missing, truncated or not what its name says."""


class ModelError(CodesignError):
    """A torch module that cannot be turned into a graph, or weights that cannot be used."""


class GraphError(CodesignError):
    """A graph whose types, shapes or names do not fit together, or a graph file that cannot be read."""


class FoldingError(CodesignError):
    """A folding that does not divide the work it is for, or a plan no device can hold."""


class ToolError(CodesignError):
    """An external program that is missing, failed, or printed something we cannot read."""


class VerificationError(CodesignError):
    """Two implementations that must be equal are not."""
