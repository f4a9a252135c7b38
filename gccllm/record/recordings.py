"""The recorded calls that a build uses: tests with their weights, and the share of time of each function.

Where nothing was ever recorded every answer is "nothing", and none of the recording's modules is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gccllm.assembly import BodyError, Function, Module
from gccllm.base.core import Decline, Test
from gccllm.harvest.target import HarvestTarget
from gccllm.sandbox.image import build_image
from gccllm.store.entry import RecordingRecord

if TYPE_CHECKING:
    from gccllm.record.store import TestStore

FAULT_TICKS = 12_000
"""Ticks that the recording itself adds to a call for each page it touches: a fault, a handler, a system call."""


@dataclass(frozen=True)
class RecordedTests:
    """The recorded tests of one function."""

    key: str
    stamp: str
    tests: tuple[Test, ...]
    calls: float
    """Calls of the program that they stand for."""
    unfit: int
    """Recorded calls that could not be made into tests."""

    def record(self, tests: Iterable[Test]) -> RecordingRecord:
        """What an entry keeps. `tests` are those that every candidate ran."""
        labels = [test.label for test in tests]
        return RecordingRecord(
            key=self.key,
            stamp=self.stamp,
            calls=self.calls,
            recorded=labels.count("recorded") + labels.count("shortened"),
            mutated=labels.count("mutated"),
        )


class Recordings:
    """The recordings beside one store of rewrites."""

    def __init__(self, store_dir: Path) -> None:
        self.store_dir = store_dir

    @cached_property
    def store(self) -> TestStore | None:
        if not (self.store_dir / "tests").is_dir():
            return None
        from gccllm.record.store import TestStore

        return TestStore.of(self.store_dir)

    def key(self, module: Module, function: Function) -> str:
        """The test key of a function; empty where nothing was recorded, or nothing can be."""
        if self.store is None:
            return ""
        from gccllm.record.keys import test_key

        try:
            return test_key(module, function)
        except (BodyError, Decline):
            return ""

    def callee(self, name: str) -> str:
        """The slice of a function of another unit; empty when there is none."""
        return self.store.callee(name) if self.store is not None else ""

    def stamp(self, key: str) -> str:
        """The checksum that the recording's file carries; empty when there is none. Reads one line."""
        return self.store.stamp(key) if self.store is not None and key else ""

    def has_new_calls(self, key: str, known: RecordingRecord | None) -> bool:
        """Whether there is a recording, and not the one that `known` speaks of."""
        stamp = self.stamp(key)
        return bool(stamp) and (known is None or known.stamp != stamp)

    def unused(self, key: str) -> RecordingRecord | None:
        """What an entry keeps of a recording when the function failed before there were tests."""
        stamp = self.stamp(key)
        return RecordingRecord(key=key, stamp=stamp, calls=0) if stamp else None

    def supply(self, key: str, target: HarvestTarget) -> RecordedTests | None:
        """The tests recorded for a baseline; None when there are none. Raises what a harvest raises."""
        stamp = self.stamp(key)
        recorded = self.store.load(key) if self.store is not None and stamp else None
        if recorded is None:
            return None
        from gccllm.record.lower import lower

        image = build_image(target.workdir, target.text, target.tools, target.signature.callees, name="recorded")
        tests, unfit = [], 0
        for call, weight in zip(recorded.calls, recorded.weights, strict=True):
            try:
                test = lower(call, target.signature, image.symbols, recorded.names)
            except ValueError:
                unfit += 1
            else:
                tests.append(replace(test, weight=weight))
        return RecordedTests(key, stamp, tuple(tests), float(recorded.total), unfit)

    def heat(self, module: Module) -> dict[str, float] | None:
        """Share of the unit's recorded time by function; None when no function of it was called in a recording.

        A function that was watched and never called has share 0; one that was never watched, or not since it was last
        compiled for recording, is not in the answer. Ticks are those of the recorded calls less what the recording
        itself took: good to a small factor.
        """
        if self.store is None:
            return None
        spent: dict[str, float] = {}
        watched: dict[str, float] = {}
        newest = 0.0
        for function in module.functions.values():
            key = self.key(module, function)
            if not key:
                continue
            if (head := self.store.head(key)) is not None:
                newest = max(newest, self.store.path(key).stat().st_mtime)
                pages = [len(row.pages) for row in head.rows]
                spent[function.name] = head.total * net_ticks(head.ticks, sum(pages) / max(len(pages), 1))
            elif (bench := self.store.path(key, "bench")).exists():
                watched[function.name] = bench.stat().st_mtime
        total = sum(spent.values())
        if total <= 0:
            return None
        never = {name: 0.0 for name, since in watched.items() if since <= newest}
        return {name: value / total for name, value in spent.items()} | never


def net_ticks(ticks: float, pages: float) -> float:
    """Mean ticks of a call without the faults that the recording took; never less than a twentieth of them."""
    return max(ticks - FAULT_TICKS * pages, ticks / 20, 1.0)
