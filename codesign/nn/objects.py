"""A user's own object by its name, `package.module:object`, or one clear error."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from codesign.errors import CodesignError


def load_object(name: str, error: type[CodesignError], *, kind: str) -> Any:
    """The object that `package.module:object` names; raises `error` that says why it cannot be imported.

    The working directory comes last on the search path, as for `python -m`, so that a script beside the config works.
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise error(f"{name!r} does not name a {kind}", hint=f"write package.module:{kind}")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ImportError as problem:
        raise error(
            f"cannot import {module_name!r}: {problem}",
            where=name,
            hint="run from the folder that holds it, or put it on PYTHONPATH",
        ) from problem
    except Exception as problem:
        raise error(f"{module_name!r} fails while it is imported: {problem!r}", where=name) from problem
    if not hasattr(module, attribute):
        public = [word for word in vars(module) if not word.startswith("_")]
        raise error(f"module {module_name!r} has no {attribute!r}", where=name, hint=nearest(attribute, public))
    return getattr(module, attribute)


def accepted(function: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` whose names `function` takes as arguments."""
    parameters = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {name: value for name, value in values.items() if takes_all or name in parameters}


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint that names the choice most like `word`, or all of them."""
    names = list(choices)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(names)}"
