"""What `gccllm tests gc` removes from the test store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gccllm.base.limits import DAY_S
from gccllm.record.store import TestStore

LEFTOVER_S = 3600.0
"""Age at which a temporary file counts as abandoned."""


@dataclass(frozen=True)
class Garbage:
    """A file (or those of one function) that `gccllm tests gc` removes."""

    paths: tuple[Path, ...]
    why: str
    size: int


def garbage(store: TestStore, days: float, now: float | None = None) -> Iterator[Garbage]:
    """Tests without a bench, damaged files, what neither a build nor a recording used for `days`, leftovers."""
    now = now or time.time()
    for key in store.keys():  # noqa: SIM118
        tests, bench = store.path(key), store.path(key, "bench")
        there = tuple(path for path in (tests, store.path(key, "coverage"), bench) if path.exists())
        if bench.exists() and store.bench(key) is None:
            yield _garbage(there, "the bench is damaged")
        elif tests.exists() and not bench.exists():
            yield _garbage(there, "its bench is gone")
        elif there and now - max(path.stat().st_mtime for path in there) > DAY_S * days:
            yield _garbage(there, f"not used for {days:g} days")
        elif tests.exists() and store.stored(key) is None:
            yield _garbage((tests,), "damaged")
    for name in store.callees():
        path = store.callee_path(name)
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > DAY_S * days:
                yield _garbage((path,), f"not used for {days:g} days")
    leftovers = (*store.root.glob("[0-9a-f][0-9a-f]/.*.*"), *store.root.glob("callees/.*.*"))
    for leftover in leftovers:
        with contextlib.suppress(OSError):
            if now - leftover.stat().st_mtime > LEFTOVER_S:
                yield _garbage((leftover,), "a write that was interrupted")


def _garbage(paths: tuple[Path, ...], why: str) -> Garbage:
    return Garbage(paths, why, sum(path.stat().st_size for path in paths))
