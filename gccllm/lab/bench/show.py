"""Tables and progress of the benchmarks: Rich on a terminal, aligned plain lines in a pipe or a log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

Item = TypeVar("Item")


def console() -> Console:
    found = Console(highlight=False)
    # A log has no width of its own; nothing may be cut or wrapped there.
    return found if found.is_terminal else Console(highlight=False, width=400, no_color=True)


def table(out: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print `rows` (strings) under `columns`; the columns named in `numbers` are set flush right."""
    if out.is_terminal:
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            shown.add_column(name, justify="right" if name in numbers else "left")
        for row in rows:
            shown.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        out.print(shown)
        return
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        cells = (
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for cell, width, name in zip(row, widths, columns, strict=True)
        )
        out.print("  ".join(cells).rstrip(), markup=False, soft_wrap=True)


def _style(cell: str) -> str:
    if cell.startswith(("NO", "died", "failed")):
        return "bold red"
    return "green" if cell in ("admitted", "yes") else ""


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def progress(out: Console, items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items, with a bar on a terminal and nothing in a log (whoever consumes them prints lines of its own)."""
    if not out.is_terminal:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(what, total=len(items))
        for item in items:
            bar.update(task, description=f"{what}: {item}")
            yield item
            bar.advance(task)
