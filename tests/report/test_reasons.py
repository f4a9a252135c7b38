"""What a user is told about a function that was left alone, and what can be done."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from gccllm.base import config
from gccllm.base.config import OTHER_VARIABLES, SETTINGS
from gccllm.base.events import Log, read
from gccllm.base.reasons import Reason
from gccllm.commands import oneshot, report
from gccllm.commands.cli import main
from gccllm.pipeline import Decision, _gain
from gccllm.store import Store
from tests.kit.rewrites import rewrite

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


def test_an_answer_that_the_last_build_did_not_take_is_not_told_again() -> None:
    stored = Decision("f", "declined", Reason.MUTANTS_SURVIVED, "9 of 10", rewrite(created=100.0))
    noisy = {"event": "function", "word": "queued", "reason": "noisy", "detail": "2 equal candidates"}
    told = oneshot._in_mode(stored, "inline", {"f": {**noisy, "at": 101.0}})
    assert (told.word, told.reason, told.detail) == ("queued", Reason.NOISY, "2 equal candidates")
    assert oneshot._in_mode(stored, "inline", {"f": {**noisy, "at": 99.0}}) is stored
    assert oneshot._in_mode(stored, "inline", {}) is stored


def test_what_the_last_build_declined_is_declined_still(source: Path, store: Store) -> None:
    log = Log(store.user, source=str(source))
    log.write("function", Reason.VOLATILE, function="f", word="declined", detail="p->x")
    assert explained(source) == {"f": ("volatile", "p->x")}
    log.write("function", Reason.NOTHING_FASTER, function="f", word="declined", key="a" * 64)
    assert explained(source) == {"f": ("untried", "")}, "the store has forgotten it"


def test_a_source_that_changed_since_is_another(source: Path, store: Store) -> None:
    Log(store.user, source=str(source)).write("function", Reason.VOLATILE, function="f", word="declined")
    later = source.stat().st_mtime + 10
    os.utime(source, (later, later))
    assert explained(source) == {"f": ("untried", "")}


@pytest.mark.parametrize(
    ("given", "opt", "launched"),
    [
        ("-O2 -g", "o3", "-O2 -O3 {ours} -g"),
        ("-O2 -g", "keep", "-O2 {ours} -g"),
        ("-O1 -Ofast", "o3", "-O1 -Ofast {ours}"),
        ("-O2 -Os", "o3", "-O2 -Os"),
        ("-O2", "untouched", "-O2"),
        ("-g", "o3", "-g"),
    ],
)
def test_flags_are_those_that_the_launcher_makes_of_them(
    prefix: Path, tmp_path: Path, given: str, opt: str, launched: str
) -> None:
    made = oneshot.as_launched(given.split(), opt)
    assert made == tuple(launched.format(ours="-fno-ipa-ra -fno-ipa-stack-alignment").split())
    (tmp_path / "cc").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "cc").chmod(0o755)
    env = {**os.environ, "GCCLLM_OPT": opt, "GCCLLM_CC": str(tmp_path / "cc")}
    argv = [prefix / "bin" / "gcc-llm", *given.split(), "-c", "a.c"]
    assert subprocess.run(argv, env=env, capture_output=True, text=True).stdout.split() == [*made, "-c", "a.c"]


@pytest.mark.parametrize("compiler", ["/nowhere/gcc", sys.executable])
def test_a_compiler_that_is_none_is_named(source: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    monkeypatch.setenv("GCCLLM_CC", compiler)
    done = CliRunner().invoke(main, ["explain", str(source), "-O2"])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: foreign_compiler: the real compiler is not gcc ({compiler}")
    assert "set GCCLLM_CC" in done.output


def test_what_a_reason_speaks_of_is_said() -> None:
    console = Console(width=80, file=io.StringIO())
    what = {
        "does_not_compile": ("model", "candidate"),
        "engine_crashed": ("shim", "engine"),
        "prompt_unknown": ("model", "proposer"),
        "recorded_since": ("store", "store"),
    }
    events = [{"event": event, "reason": reason} for reason, (event, _) in what.items()]
    report.print_stats(console, report.summarise(events), [])
    assert isinstance(console.file, io.StringIO)
    words = [line.split()[:2] for line in console.file.getvalue().splitlines()]
    rows = [row for row in words if row and row[0] in what]
    assert rows == [[reason, word] for reason, (_, word) in what.items()]


def test_who_only_looks_leaves_no_trace_in_the_counts(source: Path, store: Store) -> None:
    explained(source)
    assert list(read(store.user)) == []


def test_a_unit_that_was_only_queued_was_seen(store: Store) -> None:
    (store.user / "queue" / ("a" * 64)).mkdir(parents=True)
    (store.user / "queue" / ("a" * 64) / "request").touch()
    said = CliRunner().invoke(main, ["stats", "--all"]).output
    assert said.startswith("1 unit seen, ")
    assert "1 unit waits for `gccllm tune`" in said


def test_a_unit_that_only_tune_has_worked_on_was_seen() -> None:
    event = {"event": "function", "cwd": "/src", "source": "/src/a.c", "function": "f", "word": "admitted"}
    unit = {"event": "unit", "cwd": "/src", "source": "/src/a.c"}
    assert report.summarise([event])["units"] == report.summarise([event, unit])["units"] == 1


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


VOLATILES = """\
struct in { int kept;
            volatile int mask; };
struct state { int a; struct in in; };
static volatile int counter;
volatile int *port;
int member(struct state *L, int n) { int s = 0; for (int i = 0; i < n; i++) s += L[i].a; return s; }
int variable(int *a, int n) { int s = 0; for (int i = 0; i < n; i++) {
    s += a[i] * counter; } return s; }
int pointer(int n) { for (int i = 0; i < n; i++) *port = i * i; return n; }
static int get(void *p) { return *(volatile int *)p; }
int inlined(void *q, int n) { int s = 0; while (n--) s += get(q); return s; }
"""


def test_what_is_volatile_is_named_with_its_line(source: Path) -> None:
    source.write_text(VOLATILES)
    result = oneshot.explain(source, ["-O2"], config.load(source.parent), is_work=True)
    assert {d.function: d.detail for d in result.decisions if d.reason is Reason.VOLATILE} == {
        "member": "its arguments lead to volatile `L->in.mask` (a.c:2)",
        "variable": "reads volatile `counter` (a.c:8)",
        "pointer": "writes volatile `*port` (a.c:9)",
        "inlined": "reads volatile `*(volatile int *)q` (a.c:10)",
    }


def test_no_line_of_explain_holds_a_recipes_flags() -> None:
    entry = rewrite(recipe="clang-wide: clang 19 -O3 -msse3", attempts=[{
        "proposer": "recompile", "recipe": "gcc-wide: gcc -O3 -mavx", "outcome": "refuted",
    }, {"proposer": "model", "recipe": "model.gguf, beam of 8, 0, level 4", "outcome": "refuted"}])  # fmt: skip
    console = Console(width=80, file=io.StringIO())
    report.print_decisions(console, [Decision("f", "admitted", None, _gain(entry), entry)], verbose=True)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "clang-wide, " in said
    assert "gcc-wide: refuted" in said
    assert "model.gguf, beam of 8, answer 1, for x86-64-v4: refuted" in " ".join(said.split())
    assert not re.search(r" -[Om]", said)


def test_each_next_step_is_told_once(source: Path) -> None:
    source.write_text("int f(int x) { return x + 1; }\nint g(int x) { return x + 2; }\n")
    said = CliRunner().invoke(main, ["explain", str(source), "-O2"]).output
    assert said.count("not_hot: no loop, no recursion\n") == 2
    assert said.count("not_hot (2 functions): ") == 1
    assert said.count(Reason.NOT_HOT.next_step) == 1


def test_what_is_not_hot_comes_last_and_a_long_detail_is_shortened() -> None:
    edges = Decision("loops", "declined", Reason.EDGES_MISSED, "; ".join(f"edge {n}" for n in range(9)))
    for verbose in (False, True):
        console = Console(width=80, file=io.StringIO())
        report.print_decisions(console, [Decision("a", "declined", Reason.NOT_HOT, "no loop"), edges], verbose)
        assert isinstance(console.file, io.StringIO)
        first, second, *_ = console.file.getvalue().splitlines()
        assert second == "a      declined   not_hot: no loop"
        shown = edges.detail if verbose else "edge 0; edge 1; 7 more (-v)"
        assert first == f"loops  declined   edges_missed: {shown}"


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
    assert all(name in letters for name in OTHER_VARIABLES)


def test_config_says_that_a_key_is_set_and_not_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setenv("GCCLLM_ENDPOINT_KEY", "secret")
    for words in (["config"], ["config", "--json"]):
        said = CliRunner().invoke(main, words).output
        assert "GCCLLM_ENDPOINT_KEY" in said
        assert "secret" not in said
    assert json.loads(said)["variables"]["GCCLLM_ENDPOINT_KEY"]["is_set"] is True


def test_a_build_that_did_not_use_gcc_llm_is_noticed(store: Store) -> None:
    assert CliRunner().invoke(main, ["stats"]).output.startswith("no unit seen: ")
