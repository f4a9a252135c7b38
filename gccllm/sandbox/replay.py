"""Running entries of an image on tests, confined, in another process.

`Replayer.run` returns what happened; it judges nothing, and nothing here knows what should happen (`compare`). A crash,
hang or kill of the replaying process is an observation (DIED), never an exception.

Raises Decline(SANDBOX_UNAVAILABLE) when the kernel refuses the confinement or there is no replayer, and
Decline(PAGES_UNMAPPABLE) when a test's pages cannot be mapped where they were: then nothing ran.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gccllm.base.core import Decline, Observation, Returned, Slot, Test
from gccllm.base.deadline import Deadline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.compare import Raw, decode_observation
from gccllm.sandbox.encode import RECORDS, Batch, encode, with_pages
from gccllm.sandbox.image import Image
from gccllm.sandbox.placement import CANONICAL, Moves, Placement
from gccllm.sandbox.program import replayer_path

_LAYOUTS = 8
"""Processes started, each with other random addresses, until recorded pages find their places free."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Two functions to time against each other: the names of their copies, each at another place."""

    first: Sequence[str]
    second: Sequence[str]
    empty: str
    """A function that only returns."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How `Replayer.time` measures."""

    rounds: int
    passes: int
    """Calls of every input of a sample, never back to back."""
    target_ticks: int
    """Length of a sample."""
    seed: int
    limit_s: float
    """For all rounds together."""


# --- running --------------------------------------------------------------------------------------


class Replayer:
    """A replaying process for one image. Use as a context manager, from one thread.

    `returns` says which result registers count (here they only give the x87 stack depth to expect).
    `deadline_ms` is CPU time a test, rounded up to `layout.TICK_MS`.
    """

    def __init__(
        self,
        image: Image,
        returns: tuple[Returned, ...] = (),
        *,
        deadline_ms: int = LIMITS.plain_ms,
        placement: Placement = CANONICAL,
    ) -> None:
        self.image = image
        self.placement = placement
        self.returns = returns
        self.deadline_ms = deadline_ms
        self.x87_results = sum(1 for r in returns if r.slot in (Slot.ST0, Slot.ST1))
        self._program = replayer_path()
        self._child: _Child | None = None
        self._loaded = Batch()
        self._encoded: dict[int, tuple[Test, bytes]] = {}
        self._moves = Moves(placement, image.base, image.symbols)
        self._moved_pages: dict[bytes, bytes] = {}

    def __enter__(self) -> Replayer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        child, self._child, self._loaded = self._child, None, Batch()
        if child is not None:
            child.close()

    @contextlib.contextmanager
    def within(self, deadline_ms: int) -> Iterator[None]:
        """Another CPU time a test inside."""
        usual, self.deadline_ms = self.deadline_ms, deadline_ms
        try:
            yield
        finally:
            self.deadline_ms = usual

    def run(
        self,
        entry: str,
        tests: Sequence[Test],
        *,
        poison: int = 0,
        fork_each: bool = False,
        give_up_after: int = 0,
    ) -> list[Observation]:
        """Call `entry` once on each test; one observation a test, in the order given.

        `poison` (0 or 1) selects the junk in registers and bytes that the function must not depend on.
        `fork_each`: a process per test, in shuffled order.
        `give_up_after`: after so many time-outs the remaining tests are reported as time-outs without being run.
        """
        raw = self.run_raw(entry, tests, poison=poison, fork_each=fork_each, give_up_after=give_up_after)
        return [decode_observation(row) for row in raw]

    def run_raw(
        self,
        entry: str,
        tests: Sequence[Test],
        *,
        poison: int = 0,
        fork_each: bool = False,
        give_up_after: int = 0,
    ) -> Raw:
        """`run`, as an array of `layout.OBSERVATION`: for comparing many candidates fast (see `differs`)."""
        flags = (layout.Flag.POISON if poison else 0) | (layout.Flag.FORK_EACH if fork_each else 0)
        order = list(range(len(tests)))
        if fork_each:
            random.Random(len(tests)).shuffle(order)
        else:
            order.sort(key=lambda i: tests[i].arenas)
        out = np.zeros(len(tests), layout.OBSERVATION)
        ordered = [tests[i] for i in order]
        at = 0
        for batch in [self._loaded] if self._holds(ordered) else self._batches(ordered):
            rows, _ = self._run_batch(entry, batch, int(flags), give_up_after)
            out[order[at : at + len(rows)]] = rows
            at += len(rows)
        return out

    def run_traced(self, entry: str, tests: Sequence[Test], deadline_ms: int) -> tuple[Raw, npt.NDArray[np.void]]:
        """Observations in the order given and the joint log; each observation says which part is its own (bytes).

        Of the first tests only, as many as fit into one request.
        """
        batch = self._loaded if self._holds(tests) else next(self._batches(tests))
        with self.within(deadline_ms):
            return self._run_batch(entry, batch, int(layout.Flag.TRACE), 0)

    def time(self, sides: Sides, tests: Sequence[Test], sampling: Sampling) -> Raw:
        """Time two functions against each other: one `layout.SAMPLE` a round.

        Both must have been shown to terminate normally on every test and to leave the same memory. An empty array: a
        call did neither after all, or all together took longer than the limit. Tests that no longer fit into one
        request are left out.
        """
        batch, pages = Batch(), 0
        for test in tests[: layout.MAX_TIMED]:
            pages += len(test.pages)
            level = replace(test, fill=0)
            if pages > layout.MAX_TIMED_PAGES or not batch.takes(level, encode(level, self.image)):
                break
        copies = [[self.image.symbols[n] for n in names[: layout.MAX_COPIES]] for names in (sides.first, sides.second)]
        addresses = [a for side in copies for a in (*side, *([0] * (layout.MAX_COPIES - len(side))))]
        head = layout.TIME.pack(
            sampling.rounds, sampling.passes, len(copies[0]), len(copies[1]), sampling.seed, sampling.target_ticks,
            self.image.symbols[sides.empty], *addresses,
        )  # fmt: skip
        try:
            self._load(batch)
            _, log = self._ask(_Request(layout.RequestKind.TIME, deadline_ms=600), [head], sampling.limit_s)
        except _Lost:
            self.close()
            return np.zeros(0, layout.SAMPLE)
        return log

    # --- one request ----

    def _batches(self, tests: Sequence[Test]) -> Iterator[Batch]:
        batch = Batch()
        for given in tests:
            record = self._record(given)
            test = with_pages(given, self._moves, self._moved_pages)
            if not batch.takes(test, record):
                yield batch
                batch = Batch()
                batch.takes(test, record)
        if batch.tests:
            yield batch

    def _record(self, test: Test) -> bytes:
        known = self._encoded.get(id(test))
        if known is None or known[0] is not test:
            if len(self._encoded) > RECORDS:
                self._encoded.clear()
            known = self._encoded[id(test)] = (test, encode(test, self.image, self.placement))
        return known[1]

    def _run_batch(self, entry: str, batch: Batch, flags: int, give_up_after: int) -> tuple[Raw, npt.NDArray[np.void]]:
        address = self.image.symbols[entry]
        if self._child is not None and self._child.process.poll() is not None:
            self.close()  # it died between requests: nothing was lost, start another
        n = len(batch.tests)
        try:
            if self._loaded is not batch:
                self._load(batch)
            # The replayer itself limits CPU time; this is for a machine so loaded, or a child so wild, that it cannot.
            limit_s = 30.0 + 20.0 * n * (self.deadline_ms + layout.TICK_MS) / 1000
            request = _Request(layout.RequestKind.RUN, address, flags, self.deadline_ms, give_up_after)
            seen, log = self._ask(request, (), min(limit_s, 600.0))
        except _Lost:
            self.close()
            return np.zeros(n, layout.OBSERVATION), np.zeros(0, layout.LOG)
        if len(seen) != n:
            self.close()
            return np.zeros(n, layout.OBSERVATION), np.zeros(0, layout.LOG)
        return seen, log

    def _load(self, batch: Batch) -> None:
        """Raises Decline(PAGES_UNMAPPABLE) when no layout of the process leaves the pages' places free."""
        self._loaded = Batch()
        payload = list(batch.payload())
        for _ in range(_LAYOUTS):
            try:
                self._ask(_Request(layout.RequestKind.LOAD, len(batch.contents), len(batch.addresses)), payload, 60.0)
            except _Collision:
                self.close()
                continue
            self._loaded = batch
            return
        raise Decline(Reason.PAGES_UNMAPPABLE, f"each of {_LAYOUTS} processes has memory of its own there")

    def _holds(self, tests: Sequence[Test]) -> bool:
        if self._child is None or len(self._loaded.tests) != len(tests):
            return False
        return all(a is b for a, b in zip(self._loaded.tests, tests, strict=True))

    def _start(self) -> _Child:
        if self._child is None:
            try:
                self._child = _Child([str(self._program), str(self.image.path), self.placement.words(self.image.base)])
            except OSError as error:
                raise Decline(Reason.SANDBOX_UNAVAILABLE, f"the replayer does not start: {error}") from error
            if self.image.callees:
                self._ask(_Request(layout.RequestKind.CALLEES), self.image.callees, 10.0)
        return self._child

    def _ask(self, request: _Request, payload: Sequence[bytes], limit_s: float) -> tuple[Raw, npt.NDArray[np.void]]:
        """Observations and log of one request. Raises _Lost, _Collision, Decline."""
        child, end = self._start(), Deadline(limit_s)
        child.write([request.packed(self.x87_results, sum(map(len, payload))), *payload])
        magic, error_code, count, _, log_bytes = layout.REPLY.unpack(child.read(layout.REPLY.size, end))
        if magic != layout.REPLY_MAGIC:
            raise _Lost
        if error_code == layout.Error.SANDBOX:
            raise Decline(Reason.SANDBOX_UNAVAILABLE, "seccomp or a resource limit was refused")
        if error_code == layout.Error.COLLISION:
            raise _Collision
        if error_code == layout.Error.MEMORY:
            raise Decline(Reason.PAGES_UNMAPPABLE, "the kernel refuses the mapping")
        if error_code:
            raise ValueError(f"the replayer refuses the request: {layout.Error(error_code).name}")
        seen = np.frombuffer(child.read(count * layout.OBSERVATION.itemsize, end), layout.OBSERVATION)
        log_type = layout.SAMPLE if request.kind is layout.RequestKind.TIME else layout.LOG
        log = np.frombuffer(child.read(log_bytes, end), log_type)
        return seen, log


@dataclass(frozen=True, slots=True)
class _Request:
    """The head of a request; what the fields mean depends on the kind (`layout.RequestKind`)."""

    kind: layout.RequestKind
    entry: int = 0
    flags: int = 0
    deadline_ms: int = 0
    give_up_after: int = 0

    def packed(self, x87_results: int, size: int) -> bytes:
        """Before `size` bytes of payload."""
        return layout.REQUEST.pack(
            layout.REQUEST_MAGIC, self.kind, self.entry, self.flags, self.deadline_ms, self.give_up_after, x87_results,
            size,
        )  # fmt: skip


class _Child:
    """The replaying process and its two pipes. Raises OSError when it does not start."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, close_fds=True,
            bufsize=0,
        )  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Raises _Lost, Decline."""
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[self.stdin.write(view) or 0 :]
        except OSError as error:
            _ended(self.process.wait())
            raise _Lost from error

    def read(self, n: int, end: Deadline) -> bytes:
        """The next `n` bytes. Raises _Lost, Decline."""
        parts: list[bytes] = []
        while n:
            if not select.select([self.stdout], [], [], end.left)[0]:
                raise _Lost
            part = os.read(self.stdout.fileno(), min(n, 1 << 20))
            if not part:
                _ended(self.process.wait())
                raise _Lost
            parts.append(part)
            n -= len(part)
        return b"".join(parts)


def _ended(code: int) -> None:
    """Raises Decline for the exit codes that say why no image will ever run here."""
    if code == 4:
        raise Decline(Reason.SANDBOX_UNAVAILABLE, "the image cannot be mapped")
    if code == 6:
        raise Decline(Reason.SANDBOX_UNAVAILABLE, "thread-local data: this machine does not let a program set FS_BASE")


class _Lost(Exception):
    """The replaying process is gone or does not answer."""


class _Collision(Exception):
    """Recorded pages lie on memory of the replaying process."""
