"""A user's own object by its name, `package.module:object`, or one clear error."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign.errors import CodesignError, nearest


def load_object(name: str, error: type[CodesignError], *, kind: str) -> Any:
    """The object that `package.module:object` names; raises `error` that says why it cannot be imported.

    The working directory comes last on the search path, as for `python -m`, so that a script beside the config works.
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise error(f"{name!r} does not name a {kind}", hint=f"write package.module:{kind}")
    _search_here()
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


def source_files(name: str) -> list[Path]:
    """The files in which `package.module:object` is looked for, found without running them: the module's own, and for
    a package every module beside its `__init__`. Empty when it cannot be found, which is for `load_object` to say."""
    module_name = name.partition(":")[0]
    path = Path(getattr(sys.modules.get(module_name), "__file__", None) or _origin(module_name) or "")
    if not path.is_file():
        return []
    return sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]


def accepted(function: Callable[..., Any], values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` whose names `function` takes as arguments."""
    parameters = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return {name: value for name, value in values.items() if takes_all or name in parameters}


def _origin(module_name: str) -> str | None:
    _search_here()
    try:
        spec = importlib.util.find_spec(module_name)
    except Exception:  # a package above it may fail in any way while it is imported
        return None
    return spec.origin if spec is not None else None


def _search_here() -> None:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())
