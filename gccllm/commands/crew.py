"""A pool of worker processes, each with one task at a time, and a parent that follows their progress.

A worker is a fresh interpreter (spawn: no fork survives the threads of native libraries). It never sees a SIGINT: the
parent decides what Ctrl-C means, and z3 would take the signal for an order to give up a proof. SIGTERM, or the end of
the parent, is a KeyboardInterrupt in the worker, so that locks and children go as they should. Temporary files of a
worker are in a directory of its own, which it removes at its end, and the parent when it did not: an interrupt may come
between the creation of a file and its removal.

Covered: a worker that raises, is killed, or does not stop when asked to (killed after GRACE_S). Not covered: one that
hangs; tasks have deadlines of their own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Generic, TypeVar

from gccllm.base.deadline import Deadline

Task = TypeVar("Task")
Say = Callable[[Any], None]
"""How a running task reports its progress to the parent; what it reports must be picklable."""

GRACE_S = 10.0
"""For a worker that was asked to stop: as long as a native library may keep its interpreter busy."""


@dataclass(frozen=True, slots=True)
class Said(Generic[Task]):
    task: Task
    words: Any


@dataclass(frozen=True, slots=True)
class Done(Generic[Task]):
    task: Task
    result: Any


@dataclass(frozen=True, slots=True)
class Lost(Generic[Task]):
    """The task ended without a result."""

    task: Task
    why: str


News = Said[Task] | Done[Task] | Lost[Task]


class Crew(Generic[Task]):
    """At most `count` workers for `work`, which must be picklable by name. Use it in `with`."""

    def __init__(self, work: Callable[[Any, Say], Any], count: int) -> None:
        self._work, self._count = work, count
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Task]] = {}

    @property
    def has_room(self) -> bool:
        return len(self._busy) < self._count

    @property
    def at_work(self) -> list[Task]:
        return [task for _, task in self._busy.values()]

    def give(self, task: Task, words: Any) -> None:
        """Have a worker do `work(words, say)`; the news of it are about `task`."""
        worker = self._idle.pop() if self._idle else self._start()
        self._busy[worker.pipe] = (worker, task)
        with contextlib.suppress(OSError):  # it has died: the end of the pipe says so
            worker.pipe.send(words)

    def news(self, wait_s: float) -> Iterator[News[Task]]:
        """What the workers have to say; nothing when none says anything in `wait_s`."""
        for pipe in wait(list(self._busy), wait_s):
            assert isinstance(pipe, Connection)
            worker, task = self._busy[pipe]
            try:
                kind, words = pipe.recv()
            except (EOFError, OSError):
                del self._busy[pipe]
                yield Lost(task, worker.buried())
                continue
            if kind == "said":
                yield Said(task, words)
                continue
            del self._busy[pipe]
            self._idle.append(worker)
            yield Done(task, words) if kind == "done" else Lost(task, words)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        place = tempfile.mkdtemp(prefix="gccllm-")
        process = self._context.Process(target=_serve, args=(self._work, theirs, place), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the worker's death is the end of the pipe
        return _Worker(process, ours, place)

    def close(self) -> None:
        """End every worker; what they work on is lost."""
        workers = [*self._idle, *(worker for worker, _ in self._busy.values())]
        self._idle, self._busy = [], {}
        deadline = Deadline(GRACE_S)
        try:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.process.join(deadline.left)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.buried()

    def __enter__(self) -> Crew[Task]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    place: str

    def buried(self) -> str:
        """How it ended."""
        self.process.join()
        self.pipe.close()
        shutil.rmtree(self.place, ignore_errors=True)
        code = self.process.exitcode or 0
        return f"its worker was ended by {signal.Signals(-code).name}" if code < 0 else f"its worker left with {code}"


# --- in the worker ----------------------------------------------------------------------------------


def _serve(work: Callable[[Any, Say], Any], pipe: Connection, place: str) -> None:
    """The loop of a worker: tasks in, progress and results out, until it is asked to stop. `place`: for its files."""
    os.environ["TMPDIR"] = tempfile.tempdir = place
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            words = pipe.recv()
            try:
                pipe.send(("done", work(words, lambda said: pipe.send(("said", said)))))
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{os.path.basename(where.filename)}:{where.lineno}"
                pipe.send(("lost", f"{type(error).__name__}: {error} ({place})"))
    except (EOFError, OSError, KeyboardInterrupt):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        shutil.rmtree(place, ignore_errors=True)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)  # once is enough: a second must not cut the clearing up short
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
