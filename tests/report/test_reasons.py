"""What a user is told about a function that was left alone, and what can be done."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gccllm import config, oneshot, report
from gccllm.cli import main
from gccllm.config import OTHER_VARIABLES, SETTINGS
from gccllm.events import Log, read
from gccllm.reasons import Reason
from gccllm.store import Store

MODES = ("inline", "queue", "cached", "record", "off")
LOOP = "int f(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"


@pytest.fixture
def source(store: Store, tmp_path: Path) -> Path:
    path = tmp_path / "a.c"
    path.write_text(LOOP)
    return path


def explained(source: Path, **env: str) -> dict[str, tuple[str, str]]:
    """function -> (reason, detail) of `explain`."""
    result = oneshot.explain(
        source, ["-O2"], config.load(source.parent, {**env, "GCCLLM_CACHE_DIR": str(source.parent / "store")})
    )
    return {d.function: (d.reason.label if d.reason else "", d.detail) for d in result.decisions}


@pytest.mark.parametrize(
    ("mode", "reason"), [("inline", Reason.UNTRIED), ("queue", Reason.QUEUED), ("cached", Reason.NOT_IN_STORE)]
)
def test_a_reason_is_of_the_mode_that_builds_have(source: Path, mode: str, reason: Reason) -> None:
    assert explained(source, GCCLLM_MODE=mode) == {"f": (reason.label, "")}
    assert reason.mode in ("", mode)


@pytest.mark.parametrize("mode", MODES)
def test_no_reason_tells_of_another_mode(source: Path, mode: str) -> None:
    result = oneshot.explain(source, ["-O2"], config.load(source.parent).with_values(mode=mode))
    given = [d.reason for d in result.decisions if d.reason] + ([result.unit_reason] if result.unit_reason else [])
    assert given
    assert all(reason.mode in ("", mode) for reason in given)


def test_what_the_last_build_said_is_said_again(source: Path, store: Store) -> None:
    log = Log(store.user, source=str(source))
    log.write("function", Reason.NOISY, function="f", word="queued", detail="3 equal candidates")
    assert explained(source) == {"f": ("noisy", "3 equal candidates")}
    log.write("function", Reason.NOT_IN_STORE, function="f", word="queued")
    assert explained(source) == {"f": ("untried", "")}, "that build had another mode"


def test_who_only_looks_leaves_no_trace_in_the_counts(source: Path, store: Store) -> None:
    explained(source)
    assert list(read(store.user)) == []


def test_mode_cached_queues_nothing() -> None:
    event = {"event": "function", "function": "f", "word": "queued", "reason": "not_in_store"}
    found = report.summarise([event])
    assert found["functions"] == {"admitted": 0, "declined": 1, "queued": 0}
    assert found["queued"] == {}


def test_the_setting_that_leaves_a_function_out_is_named(source: Path) -> None:
    assert explained(source, GCCLLM_ONLY="g*,h") == {"f": ("excluded", "only = g*,h, from env")}


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        ("int f(int (*g)(int), int n) { int s = 0; while (n--) s += g(n); return s; }", "indirect_call", "call *%"),
        ("void f(int *p, int n) { while (n--) __atomic_fetch_add(p + n, 1, 5); }", "atomic", "lock "),
        ('void f(int n) { while (n--) __asm__ volatile("nop # here"); }', "asm_inline", "nop # here"),
    ],
)
def test_the_instruction_is_named(source: Path, code: str, reason: str, detail: str) -> None:
    source.write_text(code)
    said, shown = explained(source)["f"]
    assert said == reason
    assert shown.startswith(detail)


def test_the_volatile_member_is_named(source: Path) -> None:
    source.write_text(
        "struct in { volatile int mask; }; struct state { int a; struct in in; };\n"
        "int f(struct state *L, int n) { int s = 0; for (int i = 0; i < n; i++) s += L[i].a; return s; }\n"
    )
    result = oneshot.explain(source, ["-O2"], config.load(source.parent), is_work=True)
    assert [(d.reason, d.detail) for d in result.decisions] == [(Reason.VOLATILE, "L->in.mask")]


def test_each_next_step_is_told_once(source: Path) -> None:
    source.write_text("int f(int x) { return x + 1; }\nint g(int x) { return x + 2; }\n")
    said = CliRunner().invoke(main, ["explain", str(source), "-O2"]).output
    assert said.count("not_hot:") == 3, "of two functions, and what can be done"
    assert said.count(Reason.NOT_HOT.next_step) == 1


def test_stats_say_what_can_be_done(source: Path) -> None:
    console = Console(width=80, file=io.StringIO())
    event = {"event": "function", "function": "f", "word": "declined", "reason": "too_large"}
    report.print_stats(console, report.summarise([event]), [])
    assert isinstance(console.file, io.StringIO)
    assert "GCCLLM_MAX_INSTRUCTIONS" in console.file.getvalue()


def test_a_unit_left_alone_says_what_can_be_done(source: Path) -> None:
    said = CliRunner().invoke(main, ["explain", str(source), "-O0"]).output
    assert "(-O0)" in said
    assert f"What can be done: {Reason.OPTIMISATION_OFF.next_step}" in said


def test_next_steps_name_only_what_there_is() -> None:
    variables = {s.env for s in SETTINGS} | OTHER_VARIABLES.keys()
    steps = " ".join(reason.next_step for reason in Reason)
    assert set(re.findall(r"GCCLLM_\w+", steps)) <= variables
    assert set(re.findall(r"`gccllm (\w+)", steps)) <= set(main.commands)
    assert set(re.findall(r"setting `(\w+)`", steps)) <= {s.name for s in SETTINGS}


@pytest.mark.parametrize("width", [40, 80, 160])
def test_config_shows_each_value_and_where_it_is_from(width: int) -> None:
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    settings = config.load(Path("/"), {"GCCLLM_ENDPOINT": "http://" + "%" * 100})
    report.print_settings(console, settings)
    assert isinstance(console.file, io.StringIO)
    letters = "".join(console.file.getvalue().split())
    assert "…" not in letters
    assert letters.count("%") == 100
    assert all(setting.env in letters and setting.name in letters for setting in SETTINGS)
    assert letters.count("default") >= len(SETTINGS) - 1
