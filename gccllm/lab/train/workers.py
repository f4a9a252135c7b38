"""Rewards from several processes, or from a Ray cluster.

The function that scores is given once and must be picklable by name; it takes a list of items and returns as many
results. A batch is cut into pieces. A worker that dies, or is silent for too long, costs its own piece only: the piece
comes back as `lost` results (undecided, not wrong) and a fresh worker takes the place. An exception in the function is
an error of ours and is raised here.

Covered: crashes, kills, hangs of a worker. Not covered: two workers timing at once disturb each other; leave a core
to each of them, or score in this process.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerError(Exception):
    """The function raised, or Ray is not there."""


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """A worker's life: a piece in, (ok, results or traceback) out, until the pipe closes."""
    try:
        while True:
            piece = pipe.recv()
            try:
                pipe.send((True, function(piece)))
            except Exception:
                pipe.send((False, traceback.format_exc()))
    except (EOFError, OSError, KeyboardInterrupt):
        pass


class Workers(Generic[Item, Result]):
    """Callable like the function itself; close it, or use it in `with`.

    count: processes; 0 runs the function in this one. address: of a Ray cluster (`auto`: the one of this machine),
    which then decides how many. piece: items a worker gets at a time. lost: makes the result of an item whose worker
    died.
    """

    deadline_s = 300.0
    """Most seconds for a piece."""

    def __init__(
        self, function: Callable[[list[Item]], list[Result]], lost: Callable[[Item], Result], *, count: int = 0,
        address: str | None = None, piece: int = 32,
    ) -> None:  # fmt: skip
        if count < 0 or piece < 1:
            raise ValueError(f"{count} workers with {piece} items each")
        self.function, self.lost, self.piece = function, lost, piece
        self.deaths = 0
        """Workers that died or were stopped so far."""
        self.answered = 0
        """Pieces that came back so far."""
        self._ray = _Ray(function, address) if address else None
        # spawn: a fork of a process with torch's threads in it may hang
        self._context = multiprocessing.get_context("spawn")
        self._workers = [] if self._ray else [self._start() for _ in range(count)]

    def _start(self) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self.function, theirs), daemon=True)
        process.start()
        theirs.close()  # so that the worker's death is the end of the pipe
        return process, ours

    def _replace(self, i: int) -> None:
        process, pipe = self._workers[i]
        process.kill()
        process.join()
        pipe.close()
        self.deaths += 1
        if not self.answered and self.deaths >= 3 * len(self._workers):
            raise WorkerError("the workers die at once: can the function be imported in a fresh process?")
        self._workers[i] = self._start()

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """One result for each item, in their order. Raises WorkerError when the function does."""
        pieces = [list(items[at : at + self.piece]) for at in range(0, len(items), self.piece)]
        if self._ray:
            found = self._ray.run(pieces, self.deadline_s)
            self.deaths += sum(results is None for results in found)
        elif self._workers:
            found = self._run(pieces)
        else:
            found = [self.function(piece) for piece in pieces]
        made: list[Result] = []
        for piece, results in zip(pieces, found, strict=True):
            if results is not None and len(results) != len(piece):
                raise WorkerError(f"{len(results)} results for {len(piece)} items")
            made += [self.lost(item) for item in piece] if results is None else results
        return made

    def _run(self, pieces: list[list[Item]]) -> list[list[Result] | None]:
        found: list[list[Result] | None] = [None] * len(pieces)
        waiting = list(range(len(pieces)))[::-1]
        busy: dict[int, tuple[int, float]] = {}  # worker -> piece, when it has to be there
        while waiting or busy:
            for i in range(len(self._workers)):
                if waiting and i not in busy:
                    busy[i] = (waiting.pop(), time.monotonic() + self.deadline_s)
                    with contextlib.suppress(OSError):  # it died while idle; the end of the pipe says so below
                        self._workers[i][1].send(pieces[busy[i][0]])
            pipes = {self._workers[i][1]: i for i in busy}
            first = min(end for _, end in busy.values())
            for ready in wait(list(pipes), max(0.0, first - time.monotonic())):
                i = pipes[ready]  # type: ignore[index]
                number, _ = busy.pop(i)
                try:
                    ok, results = self._workers[i][1].recv()
                except (EOFError, OSError):
                    self._replace(i)
                    continue
                if not ok:
                    self.close()
                    raise WorkerError(results)
                self.answered += 1
                found[number] = results
            for i in [i for i, (_, end) in busy.items() if time.monotonic() >= end]:
                busy.pop(i)
                self._replace(i)
        return found

    def close(self) -> None:
        for process, pipe in self._workers:
            process.kill()
            process.join()
            pipe.close()
        self._workers = []

    def __enter__(self) -> Workers[Item, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Ray:
    """The same on Ray. Raises WorkerError when Ray is not installed or not reachable."""

    def __init__(self, function: Callable[[Any], Any], address: str) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise WorkerError(f"scoring on {address} needs Ray: pip install ray ({error})") from error
        if not self._ray.is_initialized():
            try:
                self._ray.init(address=address, logging_level="warning")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise WorkerError(f"no Ray cluster at {address}: {error}") from error
        # tried once: a piece that killed its worker would kill the next one too
        self._task = self._ray.remote(max_retries=0)(function)

    def run(self, pieces: list[list[Any]], deadline_s: float) -> list[list[Any] | None]:
        """Results by piece; None where the worker died. The deadline runs once the pieces before are there."""
        errors = self._ray.exceptions
        tasks = [self._task.remote(piece) for piece in pieces]
        found: list[list[Any] | None] = []
        for task in tasks:
            try:
                found.append(self._ray.get(task, timeout=deadline_s))
            except errors.RayTaskError as error:
                raise WorkerError(str(error)) from error
            except errors.GetTimeoutError:
                self._ray.cancel(task, force=True)
                found.append(None)
            except errors.RayError:
                found.append(None)
        return found
