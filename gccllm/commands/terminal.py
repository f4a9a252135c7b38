"""Terminal helpers: width, tables that drop columns rather than cut letters, the pager."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table

PIPE_WIDTH = 160
ROOM = 30
"""Characters that running text or a long name needs of a line; other columns go before it gets less."""


SPELLED = str.maketrans({"█": "#", "→": ">", "…": ".", "━": "-", "╸": "-", "╺": "-", "─": "-"})
"""What we print beyond ASCII, for a terminal or a file that has no such characters."""


def _spelled(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    meant = error.object[error.start : error.end].translate(SPELLED)
    return meant.encode("ascii", "replace").decode(), error.end


def take_any_text() -> None:
    """Standard output takes every character from now on; what its encoding lacks is spelled."""
    codecs.register_error("gccllm-spelled", _spelled)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="gccllm-spelled")


def console() -> Console:
    """A pipe or a CI log has no width of its own: running text is set to a readable one, and no table is cut."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


@contextmanager
def paged(out: Console) -> Iterator[None]:
    """Through $PAGER (else less) what is printed inside, on a terminal; straight on in a pipe."""
    if not sys.stdout.isatty() or not out.is_terminal:
        yield
        return
    os.environ.setdefault("LESS", "FRX")  # as git does: colours, and no pager for what fits
    with out.pager(styles=True):
        yield


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    is_right: bool = False
    wraps: bool = False
    worth: int = 0
    """Where the table is too wide the least worth goes first; 0: never."""


def natural_width(out: Console, table: Table) -> int:
    return out.measure(table, options=out.options.update(max_width=1 << 20)).maximum


def print_table(out: Console, table: Table) -> None:
    """On a terminal as wide as that; in a pipe as wide as it needs, so that a line stays a line."""
    if not out.is_terminal:
        table.width = natural_width(out, table)
    out.print(table, crop=False)


def print_rows(
    out: Console, columns: Sequence[Column], rows: Sequence[Sequence[RenderableType]], title: str | None = None
) -> None:
    """A table without the columns that a terminal has no room for. What wraps does so if it must."""
    left = list(range(len(columns)))
    while out.is_terminal and natural_width(out, _table(columns, rows, left, room=ROOM)) > out.width:
        least = min((n for n in left if columns[n].worth), key=lambda n: columns[n].worth, default=None)
        if least is None:
            break
        left.remove(least)
    table = _table(columns, rows, left)
    table.title, table.title_justify = title, "left"
    print_table(out, table)


def fits(out: Console, columns: Sequence[Column], rows: Sequence[Sequence[RenderableType]]) -> bool:
    """Whether the columns that never go have their room, nothing wrapped."""
    kept = [n for n, column in enumerate(columns) if not column.worth]
    return not out.is_terminal or natural_width(out, _table(columns, rows, kept)) <= out.width


def _table(
    columns: Sequence[Column], rows: Sequence[Sequence[RenderableType]], shown: Sequence[int], room: int | None = None
) -> Table:
    """The columns of these numbers. `room`: characters that one which wraps takes at most."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for n in shown:
        column = columns[n]
        justify: JustifyMethod = "right" if column.is_right else "left"
        width = room if column.wraps else None
        table.add_column(column.name, justify=justify, no_wrap=not column.wraps, overflow="fold", max_width=width)
    for row in rows:
        table.add_row(*(row[n] for n in shown))
    return table
