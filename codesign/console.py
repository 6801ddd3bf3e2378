"""What people see, all of it on standard error: lines, tables and progress bars. Rich is imported when first needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager


def say(text: str) -> None:
    """One line; short enough to grep, whole at once."""
    print(text, file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], notes: Sequence[str] = ()) -> None:
    """A table; numbers are right-aligned. Lines of `notes` follow it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left", header_style="bold")
    for index, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        view.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text(_cell(value)) for value in row))
    # A pipe has no width: take enough that nothing is folded.
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 200)
    console.print(view)
    for note in notes:
        console.print(Text(note))


@contextmanager
def bar(text: str, total: int, *, show: bool) -> Generator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields what to call with the work that is done."""
    if not (show and sys.stderr.isatty()):
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as view:
        task = view.add_task(text, total=total)
        yield lambda done: view.update(task, advance=done)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
