"""`gccllm show`: the evidence first, the model's words, a pager on a terminal only."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from rich.console import Console

from gccllm.commands.cli import main
from gccllm.commands.show import print_entry, shown_c, shown_code
from gccllm.store import Entry, Store
from tests.kit.rewrites import KEY, MANGLED, SPOKEN, rewrite
from tests.kit.terminal import on_a_terminal

ANSWER = "i32 k = SUM2( i32 , c , b , a , x * y ) ; return k ;"


def shown(entry: Entry, width: int = 80) -> str:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as said:
        print_entry(console, entry)
    return said.get()


def test_the_evidence_comes_first_then_the_answer_then_the_code() -> None:
    text = shown(rewrite(answer=ANSWER, isa_level=4))
    labels = ["speed-up", "tests", "edges", "mutants", "needs", "compiler", "date", "made", "The", "_gcc"]
    places = [re.search(rf"^{label.replace('_', ' ')}", text, re.M) for label in labels]
    assert all(places)
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts)
    assert "x86-64-v4 (AVX512BW" in text


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("model.gguf, beam of 8, 0, level 5", "model: model.gguf, beam of 8, answer 1, for icelake, zen4"),
        ("large.gguf, level 4", "model: large.gguf, for x86-64-v4"),
        ("gcc-wide: gcc -O3 -mavx2", "model: gcc-wide: gcc -O3 -mavx2"),
    ],
)
def test_a_recipes_level_has_its_name(stored: str, said: str) -> None:
    assert said in shown(rewrite(proposer="model", recipe=stored), width=200)


def test_a_name_is_whole_at_forty_columns() -> None:
    text = shown(rewrite(function=MANGLED), width=40)
    assert SPOKEN in text
    assert MANGLED in text


def test_a_line_of_code_is_wrapped_and_never_cut() -> None:
    last = "vpermi2b .LC0(%rip), %zmm16, %zmm17"
    text = shown(rewrite(body=f"\tret\n{last}\n"), width=40)
    assert last not in text
    assert "%zmm17" in text


def test_a_long_table_of_constants_is_one_line() -> None:
    rows = "\t.byte\t1\n" * 254 + "\t.value\t513\n" + '\t.string\t"a\\0"\n'
    text = f"\tret\n\t.section\t.rodata\n.LC0:\n{rows}.LC1:\n\t.long\t7\n"
    assert shown_code(text) == [
        "  ret", "  .section .rodata", ".LC0:", "  # 259 bytes of constants in 256 rows", ".LC1:", "  .long 7",
    ]  # fmt: skip


def test_the_built_in_models_answer_is_a_line_a_statement() -> None:
    assert shown_c(ANSWER) == "i32 k = SUM2(i32, c, b, a, x * y);\nreturn k;"
    assert shown_c("for ( ; ; ) { f ( ) ; }") == "for (;;) {\nf ();\n}"


def test_an_entry_from_elsewhere_moves_no_cursor() -> None:
    with pytest.raises(ValidationError):
        Entry.model_validate(rewrite().model_dump() | {"answer": "\x1b[2J"})
    assert "\x1b" not in shown(rewrite(body="\tret\x1b[2J\n", recipe="gcc: \x1b[2J", source="\x1b[2J.c"))


def test_a_remembered_failure_says_what_can_be_done(store: Store) -> None:
    entry = Entry(
        key=KEY,
        situation={},
        function="f",
        source="a.c",
        outcome="nothing",
        reason="edges_missed",
        detail="3 of 4",
        created=1.0,
    )
    store.put(entry)
    said = CliRunner().invoke(main, ["show", "f"]).output
    assert "(3 of 4)" in said
    assert "gccllm record -- COMMAND" in said


@pytest.mark.parametrize("name", [MANGLED, SPOKEN, "image::total", KEY[:6]])
def test_a_function_goes_by_all_its_names(store: Store, name: str) -> None:
    store.put(rewrite(function=MANGLED))
    ran = CliRunner().invoke(main, ["show", name])
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith(SPOKEN)


def test_no_name_is_no_function(store: Store) -> None:
    store.put(rewrite())
    assert "the store has nothing about ''" in CliRunner().invoke(main, ["show", ""]).output


def test_others_of_that_name_are_told_of(store: Store) -> None:
    store.put(rewrite(created=2.0))
    store.put(rewrite(key="b" * 64, source="other.c", created=1.0))
    said = CliRunner().invoke(main, ["show", rewrite().function]).output
    assert f"1 more of that name: {'b' * 12} (other.c)" in said


def test_a_terminal_has_a_pager_and_a_pipe_has_none(store: Store, tmp_path: Path) -> None:
    store.put(rewrite())
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nsed 's/^/PAGED /'\n")
    pager.chmod(0o755)
    argv = [sys.executable, "-m", "gccllm.commands.cli", "show", rewrite().function]
    env = {**os.environ, "PAGER": str(pager), "TERM": "xterm", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    piped = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert "PAGED" not in piped.stdout
    assert "PAGED " in on_a_terminal(argv, tmp_path, env)
