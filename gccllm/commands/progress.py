"""What `gccllm tune` shows: on a terminal a line a worker and a bar with the time left; in a pipe finished units."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gccllm.base.deadline import Deadline
from gccllm.base.words import counted

RECENT = 100
"""Functions of earlier work that the first estimate rests on."""


@dataclass
class Pace:
    """Seconds that functions have taken."""

    seconds: float = 0.0
    functions: int = 0

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> Pace:
        """From the log of earlier work."""
        recent = deque((float(event["seconds"]) for event in events if event["event"] == "worked"), RECENT)
        return cls(sum(recent), len(recent))

    def took(self, functions: int, seconds: float) -> None:
        self.functions += functions
        self.seconds += seconds

    def left_s(self, waiting: Iterable[int], at_work: Iterable[tuple[int, float]], jobs: int) -> float | None:
        """Seconds until all is done, by as many workers; None before the first function.

        waiting   functions of each unit that wait
        at_work   functions of each unit that are worked on, and for how many seconds
        """
        if not self.functions:
            return None
        each = self.seconds / self.functions
        parts = [each * functions for functions in waiting]
        parts += [max(0.0, each * functions - spent) for functions, spent in at_work]
        return max(sum(parts) / jobs, max(parts, default=0.0))


@dataclass
class UnderWork:
    name: str
    functions: int
    since: float
    step: str = "begun"


class Board:
    """Told what happens, by unit. Use it in `with`."""

    def __init__(self, console: Console, pace: Pace, deadline: Deadline) -> None:
        self._console, self._pace, self._deadline = console, pace, deadline
        self._waiting: list[int] = []
        self._at_work: dict[Hashable, UnderWork] = {}
        self._all, self._ended, self._jobs = 0, 0, 1
        self._live = Live(console=console, get_renderable=self._drawn, auto_refresh=False, transient=True)

    def expect(self, functions: Sequence[int], jobs: int) -> None:
        """Units to come, by how many functions they have, and how many workers there are."""
        self._waiting, self._all, self._ended, self._jobs = list(functions), len(functions), 0, jobs

    def begin(self, unit: Hashable, name: str, functions: int) -> None:
        self._waiting.remove(functions)
        self._at_work[unit] = UnderWork(name, functions, time.monotonic())

    def step(self, unit: Hashable, step: str) -> None:
        self._at_work[unit].step = step

    def end(self, unit: Hashable, seconds: float | None = None) -> None:
        """`seconds` that it took; None: it was lost, which says nothing of the pace."""
        functions = self._at_work.pop(unit).functions
        self._ended += 1
        if seconds is not None:
            self._pace.took(functions, seconds)

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)

    def draw(self) -> None:
        if self._console.is_terminal:
            self._live.refresh()

    def _drawn(self) -> Group:
        bar = Table.grid(padding=(0, 1))
        share = f"{self._ended}/{counted(self._all, 'unit')}"
        bar.add_row(ProgressBar(self._all, self._ended, 20), share, self._estimate())
        lines = (f"{one.name}: {one.step.removeprefix(f'{one.name}: ')}" for one in self._at_work.values())
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis", style="dim") for line in lines), bar)

    def _estimate(self) -> str:
        now = time.monotonic()
        at_work = [(one.functions, now - one.since) for one in self._at_work.values()]
        left = self._pace.left_s(self._waiting, at_work, self._jobs)
        return "" if left is None else f"about {in_words(min(left, self._deadline.left))} left"

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()


def in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
