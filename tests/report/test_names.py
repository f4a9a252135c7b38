"""Function names as people read them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gccllm import engine
from gccllm.base import config
from gccllm.base.names import named, spoken
from gccllm.base.reasons import Reason
from gccllm.commands import maintenance, report, watch
from gccllm.commands.cli import main
from gccllm.pipeline import Decision
from gccllm.store import Store
from tests.kit.rewrites import KEY, MANGLED, SPOKEN, rewrite


def at(width: int) -> Console:
    return Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_all_are_asked_for_at_once_and_c_names_stay() -> None:
    assert spoken([MANGLED, "main", "_Znot mangled"]) == {
        MANGLED: SPOKEN, "main": "main", "_Znot mangled": "_Znot mangled",
    }  # fmt: skip


def test_without_a_demangler_names_stay_mangled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert spoken([MANGLED]) == {MANGLED: MANGLED}


def test_a_name_without_parameters_means_all_that_have_it() -> None:
    known = {"_Z1fi", "_Z1fd", "_Z1gi", "f"}
    assert named("f(int)", known) == {"_Z1fi"}
    assert named("g", known) == {"_Z1gi"}
    assert named("f", known) == {"f"}, "what it is called in the object file comes first"
    assert named("h", known) == set()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_table_cuts_a_name(width: int) -> None:
    console = at(width)
    report.print_entries(console, [rewrite(function=MANGLED), rewrite(function="stats_longest_line_of_all_files")])
    rows = said(console)
    assert all(word in rows for word in (*SPOKEN.split(), "stats_longest_line_of_all_files"[:20]))
    assert "…" not in rows


def test_narrow_terminals_lose_columns_and_wide_ones_have_all() -> None:
    narrow, wide = at(60), at(200)
    for console in (narrow, wide):
        report.print_entries(console, [rewrite()])
    assert "evidence" not in said(narrow)
    assert "speed-up" in said(narrow)
    assert all(column.name in said(wide) for column in report._ENTRY_COLUMNS)


def test_explain_watch_and_progress_speak_c_plus_plus(tmp_path: Path) -> None:
    console = at(80)
    report.print_decisions(console, [Decision(MANGLED, "queued", Reason.BUDGET)])
    assert said(console).startswith(f"{SPOKEN} queued budget What that means")
    event = {"event": "worked", "source": "/v.cc", "function": MANGLED, "outcome": "accepted", "seconds": 2}
    assert watch.words(event) == f"v.cc: {SPOKEN}: accepted after 2 s"
    engine.note_step(tmp_path, MANGLED, "timing")
    assert (tmp_path / "status").read_text() == f"{SPOKEN} (timing)\n"


def test_a_rewrite_is_verified_by_its_c_plus_plus_name(store: Store, tmp_path: Path) -> None:
    store.put(rewrite(function=MANGLED, isa_level=99))
    store.put(rewrite(key="b" * 64, isa_level=99))
    console = at(200)
    maintenance.verify(store, config.load(tmp_path), console, ["image::total"], False)
    assert said(console).startswith(f"{SPOKEN} not here")
    assert "0 of 1 rewrites stand" in said(console)


def test_machines_get_the_mangled_name(store: Store) -> None:
    store.put(rewrite(function=MANGLED))
    assert f'"function": "{MANGLED}"' in CliRunner().invoke(main, ["cache", "ls", "--json", "--all"]).output
    assert KEY in CliRunner().invoke(main, ["show", MANGLED, "--json"]).output
