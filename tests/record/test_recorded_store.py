"""The test store: what goes in comes out, nobody else can read it, damage is a miss with a name, the sample is fair."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import re
import signal
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gccllm.base.core import PAGE_BYTES
from gccllm.base.reasons import Reason
from gccllm.record.capture import Counts, RecordedCall
from gccllm.record.reservoir import Reservoir, draw_of, identity
from gccllm.record.store import TestStore
from gccllm.store.entry import Bench
from tests.kit.calls import HEAP, KEY, RSP, STACK, call, ints, known

SOURCE = "int f(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }"
BENCH = Bench(slice="f:\n\tret\n", baseline="\tret\n", facts={})


def store_at(place: Path, **budget: int) -> TestStore:
    store = TestStore(place / "tests", **budget)
    store.put_bench(KEY, BENCH, "f", "unit.c", ("table",))
    return store


def kept(store: TestStore) -> list[RecordedCall]:
    recorded = store.read(KEY)
    assert recorded is not None, store.problems
    return list(recorded.calls)


# --- in and out -------------------------------------------------------------------------------------


def test_a_call_comes_back_without_what_no_test_needs(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    given = call(memory=ints(1, 2, 3), changed=b"\xee" * PAGE_BYTES, symbols=((HEAP, 64),), rdi=HEAP, rsi=3, rbx=9)
    store.add(KEY, [given], Counts(KEY, "f", 40, 1, {"busy": 2}))
    recorded = store.load(KEY)
    assert recorded is not None
    (got,) = recorded.calls
    assert replace(got, pages=()) == replace(given, pages=())
    assert got.pages[0].content == given.pages[0].content
    assert [page.after for page in got.pages] == [None, None]
    below, above = (RSP + 8 - STACK), PAGE_BYTES - (RSP + 8 - STACK)
    assert got.pages[1].content == bytes(below) + b"\x5c" * above, "what lies below the stack pointer is nobody's"
    assert (recorded.function, recorded.source, recorded.names) == ("f", "unit.c", ("table",))
    assert (recorded.total, recorded.weights, recorded.ticks) == (40, (40.0,), 1000.0)
    head = store.head(KEY)
    assert head is not None
    assert head.dropped == {"busy": 2}


def test_equal_pages_are_kept_once(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    noise = random.Random(1).randbytes(PAGE_BYTES)
    store.add(KEY, [call(memory=noise, rsi=n) for n in range(100)], 100)
    assert store.path(KEY).stat().st_size < 40_000, "100 calls of a page that does not compress"
    assert sorted(c.before.rsi for c in kept(store)) == list(range(100))
    assert {c.pages[0].content for c in kept(store)} == {noise}


def test_the_same_call_of_two_runs_is_one_with_both_weights(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for _ in range(2):
        store.add(KEY, [call(memory=ints(1), rsi=1), call(memory=ints(2), rsi=1)], 1000)
    recorded = store.read(KEY)
    assert recorded is not None
    assert (recorded.total, recorded.weights) == (2000, (1000.0, 1000.0))


def test_calls_that_differ_only_in_junk_are_the_same_by_the_signature(tmp_path: Path) -> None:
    store = known(tmp_path, SOURCE)
    junk = [call(memory=ints(1, 2), rdi=HEAP, rsi=n << 32 | 2, rdx=n, rbx=n) for n in range(5)]
    store.add(KEY, [*junk, call(memory=ints(1, 2), rdi=HEAP, rsi=1)], 60)
    recorded = store.read(KEY)
    assert recorded is not None
    assert sorted(recorded.weights) == [10.0, 50.0]
    assert identity(junk[0]) != identity(junk[1])


def test_tests_of_an_unknown_function_are_a_miss(tmp_path: Path) -> None:
    store = TestStore(tmp_path)
    assert store.load(KEY) is None
    store.add(KEY, [call()], 1)
    assert store.load(KEY) is None, "without its bench"
    assert store.head(KEY) is not None
    assert store.problems == []
    with pytest.raises(ValueError, match="not a key"):
        store.add("../../etc", [call()], 1)


def test_only_the_user_can_read_any_of_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = store_at(tmp_path)
        store.add(KEY, [call()], 1)
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in store.root.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in [store.root, *store.root.rglob("*")] if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


# --- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tests", "bench"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: raw[:-10], Reason.TESTS_CORRUPT),
        (lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:], Reason.TESTS_CORRUPT),
        (lambda raw: raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:], Reason.TESTS_CORRUPT),
        (lambda raw: b"", Reason.TESTS_CORRUPT),
        (lambda raw: b"gccllm-tests\n", Reason.TESTS_CORRUPT),
        (lambda raw: re.sub(rb" \d ", b" 999 ", raw, count=1), Reason.TESTS_VERSION),
    ],
    ids=["truncated", "header-bit", "payload-bit", "empty", "short", "newer"],
)
def test_a_damaged_file_is_a_miss_with_its_reason_until_the_next_recording(  # type: ignore[no-untyped-def]
    tmp_path: Path, kind: str, damage, reason: Reason
) -> None:
    store = store_at(tmp_path)
    store.add(KEY, [call()], 5)
    path = store.path(KEY, kind)
    path.write_bytes(damage(path.read_bytes()))
    assert store.load(KEY) is None
    assert [problem[0] for problem in store.problems] == [reason]
    assert store.problems[0][1].startswith(f"{path}: ")
    store.put_bench(KEY, BENCH, "f", "unit.c", ())
    store.add(KEY, [call()], 3)
    recorded = store.load(KEY)
    assert recorded is not None
    assert recorded.total == (3 if kind == "tests" else 8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.integers(0, 10_000))
def test_no_damage_is_more_than_a_miss(tmp_path: Path, at: int, bit: int, cut: int) -> None:
    store = store_at(tmp_path)
    store.path(KEY).unlink(missing_ok=True)
    store.add(KEY, [call(memory=ints(*range(9)), rdi=HEAP)], 5)
    raw = bytearray(store.path(KEY).read_bytes())
    raw[at % len(raw)] ^= 1 << bit
    store.path(KEY).write_bytes(raw)
    assert store.load(KEY) is None
    store.path(KEY).write_bytes(raw[: cut % len(raw)])
    assert store.load(KEY) is None
    assert store.head(KEY) is None
    assert store.stored(KEY) is None


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    bomb = zstandard.ZstdCompressor().compress(bytes(80 << 20))
    check = hashlib.blake2b(bomb, digest_size=32).hexdigest()
    store.path(KEY).write_bytes(f"gccllm-tests 1 {check} {len(bomb)} {len(bomb)}\n".encode() + bomb)
    assert store.head(KEY) is None
    assert "the cap is" in store.problems[0][1]


# --- many writers -----------------------------------------------------------------------------------


def _add_many(place: Path, first: int) -> None:
    store = TestStore(place / "tests")
    for n in range(first, first + 10):
        store.add(KEY, [call(rsi=n)], 1)


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    writers = [multiprocessing.Process(target=_add_many, args=(tmp_path, 100 * n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    recorded = store.read(KEY)
    assert recorded is not None
    assert recorded.total == 40
    assert sorted(c.before.rsi for c in recorded.calls) == sorted(100 * n + i for n in range(4) for i in range(10))


def _add_forever(place: Path) -> None:
    n = 0
    while True:
        n += 1
        TestStore(place / "tests").add(KEY, [call(memory=random.Random(n).randbytes(PAGE_BYTES), rsi=n)], 1)


def test_a_killed_writer_leaves_whole_files_and_no_lock(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.add(KEY, [call()], 1)
    rng = random.Random(3)
    for _ in range(8):
        writer = multiprocessing.Process(target=_add_forever, args=(tmp_path,))
        writer.start()
        before = store.read(KEY)
        deadline = time.monotonic() + 60
        while (now := store.read(KEY)) == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.random() / 100)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert now is not None
    assert store.problems == []
    with store.locked(KEY):
        assert store.read(KEY) is not None


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "tests").write_text("a file in the way")
    with pytest.raises(OSError):
        TestStore(tmp_path / "tests").add(KEY, [call()], 1)


# --- the sample -------------------------------------------------------------------------------------


def test_a_full_function_keeps_its_budget_of_calls_and_of_bytes(tmp_path: Path) -> None:
    store = store_at(tmp_path, max_calls=20)
    for run in range(5):
        store.add(KEY, [call(memory=ints(run, n), rsi=n) for n in range(24)], 2400)
    recorded = store.read(KEY)
    assert recorded is not None
    assert (len(recorded.calls), recorded.total) == (20, 12_000)
    assert sum(recorded.weights) == pytest.approx(12_000)
    assert len(set(recorded.weights)) == 1, "calls of one weight stay of one weight"

    small = TestStore(tmp_path / "small", max_bytes=64 * PAGE_BYTES)
    small.put_bench(KEY, BENCH, "f", "unit.c", ())
    rng = random.Random(5)
    small.add(KEY, [call(memory=rng.randbytes(3 * PAGE_BYTES)) for _ in range(40)], 40)
    small.add(KEY, [call(memory=rng.randbytes(50 * PAGE_BYTES))], 1)
    pages = {page.content for one in kept(small) for page in one.pages}
    assert 58 <= len(pages) <= 64
    head = small.head(KEY)
    assert head is not None
    assert head.dropped == {"large": 1, "sampled": 40 - len(head.rows)}


def test_the_sample_over_runs_is_fair() -> None:
    """A run of 100 processes with few calls and one with one process of many: shares are those of the calls."""
    shares = []
    for seed in range(60):
        pool = Reservoir(max_calls=50)
        for n in range(100):
            pool.add([call(rsi=seed, rdx=n)], 10)
        pool.prune()
        other = Reservoir(max_calls=50)
        other.add([call(rsi=seed, rdx=1000 + n) for n in range(24)], 3000)
        pool.merge(other)
        weights = pool.weights()
        assert sum(weights.values()) == pytest.approx(4000)
        shares.append(sum(w for d, w in weights.items() if pool.items[d].call.before.rdx >= 1000) / 4000)
    assert sum(shares) / len(shares) == pytest.approx(0.75, abs=0.03)


def test_a_short_run_of_something_rare_is_not_lost_beside_a_long_one() -> None:
    """100 calls beside a million: none of the 200 places would go to them by weight."""
    pool = Reservoir(max_calls=200)
    for process in range(30):
        pool.add([call(rsi=process, rdx=n) for n in range(24)], 33_000)
    pool.prune()
    rare = Reservoir(max_calls=200)
    rare.add([call(rsi=1000, rdx=n) for n in range(24)], 100)
    pool.merge(rare)
    weights = [w for d, w in pool.weights().items() if pool.items[d].call.before.rsi == 1000]
    assert len(weights) >= 1
    assert len(pool.items) <= 200
    assert sum(weights) < 2000


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10_000)), min_size=1, max_size=6), st.integers(1, 25))
@settings(max_examples=40, deadline=None)
def test_a_merged_sample_is_the_sample_of_all(processes: list[tuple[int, int]], budget: int) -> None:
    one, merged = Reservoir(max_calls=budget), Reservoir(max_calls=budget)
    for number, (count, total) in enumerate(processes):
        calls = [call(rsi=number, rdx=n) for n in range(count)]
        one.add(calls, total)
        part = Reservoir(max_calls=budget)
        part.add(calls, total)
        part.prune()
        merged.merge(part)
    one.prune()
    assert (one.items.keys(), one.threshold, one.bound) == (merged.items.keys(), merged.threshold, merged.bound)
    assert (one.weights(), one.total) == (merged.weights(), merged.total)


def test_chosen_calls_stay_whatever_comes(tmp_path: Path) -> None:
    store = store_at(tmp_path, max_calls=10)
    store.add(KEY, [call(rsi=n) for n in range(10)], 1000)
    with store.locked(KEY):
        pool = store.stored(KEY)
        assert pool is not None
        chosen = min(pool.items, key=lambda digest: pool.items[digest].rank)
        pool.choose([chosen], 4)
        assert len(pool.items) == 4
        store.replace(KEY, pool)
    for run in range(1, 20):
        store.add(KEY, [call(rsi=100 * run + n) for n in range(10)], 1000)
    recorded = store.read(KEY)
    assert recorded is not None
    assert chosen in recorded.digests
    assert recorded.weights[recorded.digests.index(chosen)] == pytest.approx(100, rel=0.5)
    assert sum(recorded.weights) == pytest.approx(recorded.total)


@settings(deadline=None)
@given(st.text("0123456789abcdef", min_size=32, max_size=32))
def test_a_draw_is_above_zero_and_at_most_one(digest: str) -> None:
    assert 0 < draw_of(digest) <= 1
