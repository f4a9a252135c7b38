"""The store: what is put comes back, what is damaged is a miss with its own reason, and nothing is half-written."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.base.reasons import Reason
from gccllm.store import Entry, EntryError, Store
from gccllm.store.layers import write_atomically

KEY = "ab" * 32


def entry(key: str = KEY, **fields: object) -> Entry:
    return Entry.model_validate(
        {"key": key, "situation": {}, "function": "f", "source": "f.c", "outcome": "accepted", "created": 1.0} | fields
    )


def test_what_is_put_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(entry(body="\tret\n"))
    found = store.find(KEY)
    assert found is not None
    assert (found.entry.body, found.layer) == ("\tret\n", "user")


def test_the_same_entry_is_the_same_bytes() -> None:
    assert entry(refusals={"b": 1, "a": 2}).dump() == entry(refusals={"a": 2, "b": 1}).dump()


def test_an_unknown_key_is_a_miss_without_a_problem(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find("cd" * 32) is None
    assert store.problems == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: raw[:-10], Reason.ENTRY_CORRUPT),
        (lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:], Reason.ENTRY_CORRUPT),
        (lambda raw: raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:], Reason.ENTRY_CORRUPT),
        (lambda raw: b"", Reason.ENTRY_CORRUPT),
        (lambda raw: raw.replace(b"gccllm-entry 2 ", b"gccllm-entry 999 ", 1), Reason.ENTRY_VERSION),
    ],
    ids=["truncated", "header-bit", "payload-bit", "empty", "newer-schema"],
)
def test_a_damaged_entry_is_a_miss_with_its_reason(tmp_path: Path, damage, reason: Reason) -> None:  # type: ignore[no-untyped-def]
    store = Store(tmp_path)
    path = store.put(entry())
    path.write_bytes(damage(path.read_bytes()))
    assert store.find(KEY) is None
    assert [problem for problem, _ in store.problems] == [reason]


def test_a_corrupt_entry_is_moved_out_of_the_way_and_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(entry())
    path.write_bytes(b"junk")
    store.find(KEY)
    assert not path.exists()
    assert [p.read_bytes() for p in (tmp_path / "quarantine").iterdir()] == [b"junk"]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_do_anything_but_refuse(raw: bytes) -> None:
    with pytest.raises(EntryError):
        Entry.load(raw)


def test_an_accepted_project_entry_comes_before_a_users_failure(tmp_path: Path) -> None:
    Store(tmp_path / "project").put(entry(body="\tret\n"))
    Store(tmp_path / "user").put(entry(outcome="nothing", expires=time.time() + 60))
    found = Store(tmp_path / "user", tmp_path / "project").find(KEY)
    assert found is not None
    assert found.layer == "project"


def test_a_remembered_failure_expires(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(entry(outcome="nothing", reason="nothing_faster", expires=100.0))
    assert store.find(KEY, now=99.0) is not None
    assert store.find(KEY, now=101.0) is None


def test_a_mark_is_of_one_kind_and_one_thing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.mark("screened", "entry and situation")
    assert store.is_marked("screened", "entry and situation")
    assert not store.is_marked("vouched", "entry and situation")
    assert not store.is_marked("screened", "entry and another situation")


def test_what_was_taken_over_stays_apart_from_the_users_own(tmp_path: Path) -> None:
    Store(tmp_path / "other").put(entry(body="\tret\n"))
    other = Store(tmp_path / "none", tmp_path / "other").find(KEY)
    assert other is not None
    store = Store(tmp_path / "user")
    store.take_over(other)
    found = store.find(KEY)
    assert found is not None
    assert found.layer == "imported"


def test_the_first_half_of_a_key_says_whether_there_may_be_something(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.may_have(KEY[:32])
    store.put(entry())
    assert store.may_have(KEY[:32])
    assert not store.may_have("cd" * 16)


def test_a_failed_write_leaves_the_old_entry_and_no_scrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def _write_for_ever(path: str) -> None:
    n = 0
    while True:
        n += 1
        write_atomically(Path(path), entry(body=f"{n % 10}" * 100_000).dump())


def test_a_killed_writer_never_leaves_a_readable_half(tmp_path: Path) -> None:
    path = tmp_path / "rewrites" / f"{KEY}.entry"
    for _ in range(5):
        writer = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(str(path),))
        writer.start()
        while not path.exists():
            time.sleep(0.001)
        time.sleep(0.02)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert len(Entry.load(path.read_bytes()).body) == 100_000


def test_two_builds_do_not_work_on_the_same_function(tmp_path: Path) -> None:
    with Store(tmp_path).working_on(KEY, 0.0) as first, Store(tmp_path).working_on(KEY, 0.05) as second:
        assert (first, second) == (True, False)


def test_where_no_lock_can_be_made_the_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Store(tmp_path / "file").working_on(KEY, 0.0) as mine:
        assert mine
