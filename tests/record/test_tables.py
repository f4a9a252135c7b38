"""The tables of `gccllm tests` on narrow terminals: columns go before a letter or a figure does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gccllm.commands import record_report as report
from gccllm.commands.minimise import Minimised, Worth
from gccllm.harvest.long import Looked
from gccllm.harvest.wire import signature_of
from tests.kit.calls import HEAP, KEY, call, ints, known

NAME = "stats_longest_line_of_all_files"
WIDTHS = [40, 80, 120]
MANY = """
int stats_longest_line_of_all_files(const int *first_file, const int *second_file, long offset, long most, int flags) {
    int s = 0;
    for (long i = 0; i < most; i++) s += first_file[i] ^ second_file[offset + i] ^ flags;
    return s;
}
"""


def terminal(width: int) -> Console:
    return Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue().splitlines()
    assert "…" not in "".join(said)
    return said


def words(console: Console) -> list[str]:
    return " ".join(lines(console)).split()


def row(**changes: Any) -> dict[str, Any]:
    return {
        "key": KEY, "function": NAME, "source": "src/statistics/lines.c", "calls": 1234567890, "kept": 4321,
        "size": 64 << 20, "runs": 987, "edges": (123, 456), "mutants": (1111, 2222), **changes,
    }  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_ls_keeps_names_and_figures(width: int) -> None:
    console = terminal(width)
    report.print_rows(console, [row(), row(function="f", calls=1, kept=1)], is_with_uncalled=True)
    said = words(console)
    assert "4321" in said
    assert NAME in "".join(said)
    assert all(len(line) <= width for line in lines(console))
    if width >= 80:
        assert {NAME, "1234567890", "123/456"} <= set(said)


@pytest.mark.parametrize("width", WIDTHS)
def test_minimise_keeps_names_and_figures(width: int) -> None:
    worth = Worth((), (), (123, 456), (1111, 2222))
    console = terminal(width)
    report.print_minimised(console, [Minimised(NAME, (4321, 64 << 20), (64, 1 << 20), worth, worth, 17)])
    said = " ".join(words(console))
    assert "4321 -> 64" in said
    assert all(len(line) <= width for line in lines(console))
    if width >= 80:
        assert all(figure in said for figure in (NAME, "123/456 -> 123/456"))


def test_undefined_behaviour_comes_with_how_to_find_it() -> None:
    worth = Worth((Looked(why="undefined behaviour"),), (frozenset(),), (0, 9), (0, 0))
    assert [line for line in report.worth_words(worth) if "-fsanitize=undefined" in line]


@pytest.mark.parametrize("width", WIDTHS)
def test_show_keeps_each_argument(width: int, tmp_path: Path) -> None:
    store = known(tmp_path, MANY, name=NAME)
    numbers = {"rdx": 1234567890123, "rcx": 9876543210, "r8": 0x7FFFFFFF}
    store.add(KEY, [call(memory=ints(*range(9)), rdi=HEAP, rsi=HEAP + 16, **numbers)], 6000)
    recorded, bench = store.read(KEY), store.bench(KEY)
    assert recorded is not None
    assert bench is not None
    worth = Worth((Looked(why="it reads what was not recorded"),), (frozenset(),), (123, 456), (1111, 2222))
    console = terminal(width)
    report.print_tests(console, store, report.Examined(recorded, signature_of(bench.bench), worth), 20)
    said = " ".join(words(console))
    assert all(figure in said for figure in ("1234567890123", "9876543210", "2147483647", "page 0+0x10"))
    assert all(name in said for name in ("first_file", "second_file", "offset", "most", "flags"))
