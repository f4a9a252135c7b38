"""`gccllm tests`: what tests are worth, which are kept, and what a person is told of them."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from gccllm.base.core import PAGE_BYTES
from gccllm.base.toolchain import Toolchain
from gccllm.commands import schema
from gccllm.commands.cli import main
from gccllm.commands.garbage import garbage
from gccllm.commands.minimise import cover, minimise, worth_of
from gccllm.commands.record_report import value_of
from gccllm.harvest.wire import signature_of
from gccllm.record.capture import Counts, RecordedCall
from gccllm.record.store import TestStore
from tests.kit.calls import HEAP, KEY, RSP, call, ints, known

BRANCHY = """
int f(const int *p, int n) {
    int s = 0;
    if (!p) return -1;
    for (int i = 0; i < n; i++)
        if (p[i] < 0) s -= 3; else s += p[i];
    return s;
}
"""
TABLE = """
static int table[64]; int used;
void keep(void) { table[used & 63] = used; }
int f(int key, double scale, short low, unsigned char flag, const int *p, float more, long s1, long s2, int s3) {
    int s = 0;
    for (int i = 0; i < 64; i++) if (table[i] == key) s += i + p[0] + low + flag + s3 + (scale > more) + (s1 < s2);
    return s;
}
"""
TOOLS = Toolchain.find()


def positives(n: int, seed: int, weight_of: int = 1) -> RecordedCall:
    rng = random.Random(seed)
    return call(memory=ints(*(rng.randrange(1, 100) for _ in range(n))), rdi=HEAP, rsi=n, seen=weight_of, rbp=seed)


def filled(where: Path) -> TestStore:
    """Many calls of one kind; one with negative numbers, one of NULL, one of nothing, one that cannot be replayed."""
    store = known(where, BRANCHY)
    store.add(KEY, [positives(4 + n % 9, n) for n in range(60)], 6000)
    odd = [call(memory=ints(5, -5, 6), rdi=HEAP, rsi=3), call(rdi=0, rsi=3), call(memory=ints(1), rdi=HEAP, rsi=0)]
    broken = call(rdi=0x1000, rsi=2)
    store.add(KEY, [*odd, broken], Counts(KEY, "f", 4, 4, {"busy": 1}))
    return store


def invoke(where: Path, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    monkeypatch.setenv("GCCLLM_CACHE_DIR", str(where / "store"))
    return CliRunner().invoke(main, ["tests", *args])


# --- worth ------------------------------------------------------------------------------------------


def test_worth_is_what_replaying_shows(tmp_path: Path) -> None:
    store = filled(tmp_path)
    bench, recorded = store.bench(KEY), store.read(KEY)
    assert bench is not None
    assert recorded is not None
    worth = worth_of(bench, recorded, TOOLS, tmp_path)
    by_call = {(c.before.rdi, c.before.rsi, n): n for n, c in enumerate(recorded.calls)}
    (broken,) = (n for (rdi, _, _), n in by_call.items() if rdi == 0x1000)
    (null,) = (n for (rdi, _, _), n in by_call.items() if rdi == 0)
    (mixed,) = (n for (rdi, rsi, _), n in by_call.items() if rdi == HEAP and rsi == 3)
    assert worth.replayed == 63
    assert worth.looked[broken].state is None
    assert worth.facts[broken] == frozenset()
    assert worth.edges[0] == worth.edges[1] > 4
    assert worth.mutants[0] > 5
    others = frozenset[object]().union(*(f for n, f in enumerate(worth.facts) if n not in (null, mixed)))
    assert {fact for fact in worth.facts[null] - others if fact[0] == "edge"}, "only NULL takes the early return"
    assert {fact for fact in worth.facts[mixed] - others if fact[0] == "mutant"}, "only it meets a negative number"
    assert worth.takes(mixed) > worth.takes(null) > 0
    assert worth.kills(mixed) > worth.kills(null)


def test_a_cover_shows_all_and_none_of_it_is_idle(tmp_path: Path) -> None:
    store = filled(tmp_path)
    bench, recorded = store.bench(KEY), store.read(KEY)
    assert bench is not None
    assert recorded is not None
    worth = worth_of(bench, recorded, TOOLS, tmp_path)
    chosen = cover(worth, recorded.weights)
    everything = frozenset[object]().union(*worth.facts)
    assert frozenset[object]().union(*(worth.facts[n] for n in chosen)) == everything
    assert 2 <= len(chosen) <= 12
    assert all(worth.looked[n].state is not None for n in chosen)


# --- minimise ---------------------------------------------------------------------------------------


def test_minimising_keeps_coverage_and_weight_with_few_tests(tmp_path: Path) -> None:
    store = filled(tmp_path)
    done = minimise(store, KEY, TOOLS, keep=12)
    assert done is not None
    assert (done.before[0], done.after[0]) == (64, 12)
    assert done.after[1] < done.before[1]
    assert done.worth_after.edges == done.worth_before.edges
    assert done.worth_after.mutants[0] >= done.worth_before.mutants[0] - 1
    recorded = store.read(KEY)
    assert recorded is not None
    assert {c.before.rdi for c in recorded.calls} == {0, HEAP}, "NULL stays, what does not replay goes"
    assert sum(recorded.weights) == pytest.approx(recorded.total) == pytest.approx(6004)
    light = [w for c, w in zip(recorded.calls, recorded.weights, strict=True) if c.before.rdi == 0]
    assert light[0] < 10, "a rare call that is kept for its edge stays a rare call"
    coverage = store.coverage(KEY)
    assert coverage is not None
    assert (coverage.edges, coverage.tests) == (done.worth_after.edges, 12)
    again = minimise(store, KEY, TOOLS, keep=12)
    assert again is not None
    assert (again.before[0], again.after[0]) == (12, 12)


def test_coverage_is_of_the_tests_that_were_looked_at(tmp_path: Path) -> None:
    store = filled(tmp_path)
    minimise(store, KEY, TOOLS, keep=12)
    assert store.coverage(KEY) is not None
    store.add(KEY, [positives(30, 999)], 50)
    assert store.coverage(KEY) is None


# --- what a person sees -----------------------------------------------------------------------------


def test_arguments_are_shown_by_their_types(tmp_path: Path) -> None:
    store = known(tmp_path, TABLE, symbols=("table",))
    bench = store.bench(KEY)
    assert bench is not None
    signature = signature_of(bench.bench)
    table = 0x5555_0000_4000
    scale, more = (int.from_bytes(struct.pack(*packed), "little") for packed in (("<d", 2.5), ("<f", -0.75)))
    xmm = (scale, 0xFFFF << 32 | more)
    made = call(
        memory=ints(1), at=HEAP + 0x120, xmm=xmm, symbols=((table, 256),),
        rdi=0xDEAD_0000_FFFF_FFFE, rsi=0x1_8000, rdx=0x2FF, rcx=HEAP + 0x120, r8=2**64 - 9, r9=table + 16,
    )  # fmt: skip
    shown = {param.name: value_of(made, param, ("table",)) for param in signature.params}
    assert shown == {
        "key": "-2", "scale": "2.5", "low": "-32768", "flag": "255", "p": "page 0+0x120", "more": "-0.75",
        "s1": "-9", "s2": str(table + 16), "s3": str(0x5C5C5C5C),
    }  # fmt: skip
    pointer = next(param for param in signature.params if param.name == "p")
    for address, says in [
        (0, "NULL"), (table + 16, "table+0x10"), (0x7777_0000, "0x77770000, not touched"), (RSP + 8, "page 1+0x810"),
    ]:  # fmt: skip
        assert value_of(call(memory=b"1", symbols=((table, 256),), rcx=address), pointer, ("table",)) == says


def test_ls_and_show_say_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    ran = invoke(tmp_path, monkeypatch, "ls", "--all")
    assert ran.exit_code == 0, ran.output
    assert all(word in ran.output for word in ("f ", "unit.c", "6004", "64", KEY[:12]))
    ran = invoke(tmp_path, monkeypatch, "show", "f")
    assert ran.exit_code == 0, ran.output
    assert "6004 calls in 2 runs, 64 kept; dropped: busy 1" in ran.output
    assert "63 replay" in ran.output
    assert "page 0+0x0" in ran.output
    assert "44 more; --all shows them" in ran.output
    ran = invoke(tmp_path, monkeypatch, "show", KEY[:8], "--json")
    told = json.loads(ran.output)
    assert schema.missing("tests show", told) == []
    (shown,) = told["functions"]
    assert len(shown["tests"]) == 64
    broken = [test for test in shown["tests"] if not test["replays"]]
    assert [test["arguments"] for test in broken] == [{"p": "0x1000, not touched", "n": "2"}]
    ran = invoke(tmp_path, monkeypatch, "ls", "--all", "--json")
    told = json.loads(ran.output)
    assert schema.missing("tests ls", told) == []
    (row,) = told["functions"]
    assert row["edges"][0] == row["edges"][1] > 0, "show has found that out"


def test_show_without_a_working_bench_still_shows_the_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)
    bench = store.bench(KEY)
    assert bench is not None
    store.put_bench(KEY, bench.bench.model_copy(update={"slice": "nonsense\n"}), "f", "unit.c", ())
    ran = invoke(tmp_path, monkeypatch, "show", "f")
    assert "its tests cannot be replayed" in ran.output
    assert "page 0+0x0" in ran.output
    (told,) = json.loads(invoke(tmp_path, monkeypatch, "show", "f", "--json").stdout)["functions"]
    assert told["why"].startswith("its tests cannot be replayed: ")
    assert {test["replays"] for test in told["tests"]} == {None}
    ran = invoke(tmp_path, monkeypatch, "minimise")
    assert ran.exit_code == 1
    assert "f: left as it is" in ran.output
    head = store.head(KEY)
    assert head is not None
    assert len(head.rows) == 64


def test_minimise_reports_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    ran = invoke(tmp_path, monkeypatch, "minimise", "f", "--keep", "10")
    assert ran.exit_code == 0, ran.output
    assert "64 -> 10" in ran.output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["show", "nothing"], "the test store has no tests of 'nothing'"),
        (["minimise", "nothing"], "the test store has no tests of 'nothing'"),
        (["show"], "Missing argument 'FUNCTION'"),
        (["minimise", "--keep", "0"], "0 is not in the range"),
        (["gc", "--days", "-1"], "-1.0 is not in the range"),
    ],
)
def test_bad_input_is_one_line(args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = invoke(tmp_path, monkeypatch, *args)
    assert ran.exit_code in (1, 2)
    errors = [line for line in ran.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert says in errors[0]


def test_an_empty_store_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["ls"], ["gc"], ["minimise"]):
        assert invoke(tmp_path, monkeypatch, *command).exit_code == 0
    assert "GCCLLM_MODE=record" in invoke(tmp_path, monkeypatch, "ls").output


# --- gc ---------------------------------------------------------------------------------------------


def keyed(first: str) -> str:
    return first * 32


def age(store: TestStore, key: str, days: float) -> None:
    for kind in ("tests", "bench"):
        if store.path(key, kind).exists():
            os.utime(store.path(key, kind), (time.time() - 86400 * days,) * 2)


@pytest.fixture
def cluttered(tmp_path: Path) -> TestStore:
    """A function in use, one that is old, one without its bench, one that is damaged, a file half written."""
    store = known(tmp_path, BRANCHY)
    bench = store.bench(KEY)
    assert bench is not None
    for first in ("0a", "0b", "0c", "0d"):
        store.put_bench(keyed(first), bench.bench, f"f{first}", "unit.c", ())
        store.add(keyed(first), [call(keyed(first), rdi=0, rsi=1)], 1)
    age(store, keyed("0b"), 100)
    store.path(keyed("0c"), "bench").unlink()
    store.path(keyed("0d")).write_bytes(b"gccllm-tests 1 no")
    leftover = store.path(keyed("0a")).parent / ".half.1234.abcd"
    leftover.write_bytes(bytes(PAGE_BYTES))
    os.utime(leftover, (time.time() - 7200,) * 2)
    return store


def test_gc_removes_what_nobody_needs_and_only_that(
    cluttered: TestStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(cluttered.root.rglob("*"))
    ran = invoke(tmp_path, monkeypatch, "gc", "--dry-run")
    assert sorted(cluttered.root.rglob("*")) == before
    for why in ("not used for 90 days", "its bench is gone", "damaged", "a write that was interrupted"):
        assert why in ran.output
    assert "5 files, " in ran.output
    assert "would be removed" in ran.output
    ran = invoke(tmp_path, monkeypatch, "gc")
    gone = set(before) - set(cluttered.root.rglob("*"))
    assert gone == {
        cluttered.path(keyed("0b")), cluttered.path(keyed("0b"), "bench"), cluttered.path(keyed("0c")),
        cluttered.path(keyed("0d")), cluttered.path(keyed("0a")).parent / ".half.1234.abcd",
    }  # fmt: skip
    assert cluttered.load(keyed("0a")) is not None
    assert cluttered.bench(KEY) is not None, "known, not called yet"


def test_gc_keeps_the_functions_that_others_may_call(cluttered: TestStore) -> None:
    cluttered.put_callee("fresh", "")
    cluttered.put_callee("old", "")
    os.utime(cluttered.callee_path("old"), (time.time() - 86400 * 100,) * 2)
    assert [item.paths[0].stem for item in garbage(cluttered, 90) if item.paths[0].parent.name == "callees"] == ["old"]
    assert cluttered.callee("old") == ""
    assert not any(item.paths[0].parent.name == "callees" for item in garbage(cluttered, 90)), "read: in use again"


def test_use_by_a_build_keeps_tests_alive(cluttered: TestStore) -> None:
    age(cluttered, keyed("0a"), 100)
    assert cluttered.read(keyed("0a")) is not None
    assert any("not used" in item.why and keyed("0a") in item.paths[0].name for item in garbage(cluttered, 90))
    assert cluttered.load(keyed("0a")) is not None
    assert not any(keyed("0a") in item.paths[0].name for item in garbage(cluttered, 90))


def test_gc_all_forgets_everything(cluttered: TestStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluttered.put_callee("fresh", "")
    assert invoke(tmp_path, monkeypatch, "gc", "--all").exit_code == 0
    assert [path.name for path in cluttered.root.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_a_table_of_nothing_is_not_printed() -> None:
    from gccllm.commands.record_report import print_minimised

    said = io.StringIO()
    print_minimised(Console(file=said), [])
    assert said.getvalue() == ""
