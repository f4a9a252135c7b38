"""The log: one JSON line per decision, written nowhere near the build's stdout and stderr.

A line is appended in one write, so that parallel compiles do not mix. The file is halved to its newer part when it
grows over the cap. Losing the log never changes a build: every error here is swallowed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gccllm.base.reasons import Reason
from gccllm.base.stages import Stages

CAP_BYTES = 16 << 20


class Log:
    """Decisions of one process, appended to `<store>/log/events.jsonl`."""

    def __init__(self, store_dir: Path, **context: Any) -> None:
        self.path = store_dir / "log" / "events.jsonl"
        self.context = context
        self.watcher: Callable[[str, str], None] = lambda function, stage: None
        """Told of every step: the function under work (while there is none its file), and what is done for it."""
        self.stages = Stages()

    def bind(self, **context: Any) -> Log:
        """The same log with more words on every line."""
        other = Log.__new__(Log)
        other.path, other.context = self.path, {**self.context, **context}
        other.watcher, other.stages = self.watcher, self.stages
        return other

    def silent(self) -> Log:
        """The same log, and nothing is written: for who only looks."""
        other = self.bind()
        other.path = Path(os.devnull)
        return other

    def step(self, stage: str) -> None:
        """A stage begins: for who watches, and for what it costs."""
        self.stages.begin(stage)
        where = self.context.get("function") or Path(str(self.context.get("source", ""))).name
        self.watcher(str(where), stage)

    def write(self, event: str, reason: Reason | None = None, **words: Any) -> None:
        line = {"at": round(time.time(), 3), "event": event, **self.context, **words}
        if reason is not None:
            line["reason"] = reason.label
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if self.path.stat().st_size > CAP_BYTES:
                    _halve(self.path)
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(fd, (json.dumps(line, default=str) + "\n").encode())
            finally:
                os.close(fd)


def read(store_dir: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of the log, oldest first; a torn or foreign line is skipped."""
    path = store_dir / "log" / "events.jsonl"
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        for raw in file:
            try:
                line = json.loads(raw)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and "event" in line:
                yield line


def _halve(path: Path) -> None:
    data = path.read_bytes()
    keep = data[len(data) // 2 :]
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(keep[keep.find(b"\n") + 1 :])
    fresh.replace(path)
