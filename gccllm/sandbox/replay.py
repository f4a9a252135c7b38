"""Running entries of an image on tests, confined, in another process.

`Replayer.run` returns what happened; it judges nothing, and nothing here knows what should happen. `same` compares two
observations. A crash, hang or kill of the replaying process is an observation (DIED), never an exception.

Raises Quit(SANDBOX_UNAVAILABLE) when the kernel refuses the confinement or there is no replayer, and
Quit(PAGES_UNMAPPABLE) when a test's pages cannot be put where they were: then nothing ran.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from gccllm.base.core import Observation, Quit, Returned, RunStatus, Slot, Test
from gccllm.base.deadline import Deadline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.encode import RECORDS, Batch, encode, with_pages
from gccllm.sandbox.environment import STRICT, Environment
from gccllm.sandbox.image import Image
from gccllm.sandbox.placement import CANONICAL, Moves, Placement
from gccllm.sandbox.program import replayer_path

_STATUS = {
    layout.Status.DIED: RunStatus.DIED,
    layout.Status.OK: RunStatus.OK,
    layout.Status.FAULT: RunStatus.FAULT,
    layout.Status.TIMEOUT: RunStatus.TIMEOUT,
    layout.Status.SYSCALL: RunStatus.SYSCALL,
    layout.Status.ABI: RunStatus.ABI,
    layout.Status.SKIPPED: RunStatus.TIMEOUT,
}
_LAYOUTS = 8
"""Processes started, each with other random addresses, until recorded pages find their places free."""

Raw = npt.NDArray[np.void]


def decode_observation(row: Any) -> Observation:
    """One OBSERVATION record (a numpy void) as the shared type."""
    return Observation(
        status=_STATUS.get(int(row["status"]), RunStatus.DIED),  # type: ignore[call-overload]
        signal=int(row["signal"]),
        fault_address=int(row["fault"]),
        abi=int(row["abi"]),
        returned={
            Slot.RAX: row["rax"].tobytes(),
            Slot.RDX: row["rdx"].tobytes(),
            Slot.XMM0: row["xmm0"].tobytes(),
            Slot.XMM1: row["xmm1"].tobytes(),
            Slot.ST0: row["st0"].tobytes()[:10],
            Slot.ST1: row["st1"].tobytes()[:10],
        },
        memory=row["memory"].tobytes(),
        calls=row["calls"].tobytes(),
        ticks=int(row["ticks"]),
        fp_flags=int(row["fp_flags"]),
        errno=int(row["error"]),
    )


# --- running --------------------------------------------------------------------------------------


class Replayer:
    """A replaying process for one image. Use as a context manager, from one thread.

    `returns` says which result registers count (it only tells the x87 stack depth to expect here).
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
        self._child: subprocess.Popen[bytes] | None = None
        self._loaded = Batch()
        self._encoded: dict[int, tuple[Test, bytes]] = {}
        self._moves = Moves(placement, image.base, image.symbols)
        self._moved_pages: dict[bytes, bytes] = {}

    def __enter__(self) -> Replayer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        child, self._child, self._loaded = self._child, None, Batch()
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def run(
        self,
        entry: str,
        tests: Sequence[Test],
        *,
        poison: int = 0,
        fork_each: bool = False,
        deadline_ms: int | None = None,
        give_up_after: int = 0,
    ) -> list[Observation]:
        """Call `entry` once on each test; one observation a test, in the order given.

        `poison` (0 or 1) selects the junk in registers and bytes that the function must not depend on.
        `fork_each`: a process per test, in shuffled order.
        `give_up_after`: after so many time-outs the remaining tests are reported as time-outs without being run.
        """
        raw = self.run_raw(
            entry, tests, poison=poison, fork_each=fork_each, deadline_ms=deadline_ms, give_up_after=give_up_after
        )
        return [decode_observation(row) for row in raw]

    def run_raw(
        self,
        entry: str,
        tests: Sequence[Test],
        *,
        poison: int = 0,
        fork_each: bool = False,
        deadline_ms: int | None = None,
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
            rows, _ = self._run_batch(entry, batch, int(flags), deadline_ms or self.deadline_ms, give_up_after)
            out[order[at : at + len(rows)]] = rows
            at += len(rows)
        return out

    def run_traced(self, entry: str, tests: Sequence[Test], deadline_ms: int) -> tuple[Raw, npt.NDArray[np.void]]:
        """Observations in the order given and the joint log; each observation says which part is its own (bytes).

        Of the first tests only, as many as fit into one request.
        """
        batch = self._loaded if self._holds(tests) else next(self._batches(tests))
        return self._run_batch(entry, batch, int(layout.Flag.TRACE), deadline_ms, 0)

    def time(
        self,
        first: Sequence[str],
        second: Sequence[str],
        empty: str,
        tests: Sequence[Test],
        *,
        rounds: int,
        passes: int,
        target_ticks: int,
        seed: int,
        limit_s: float,
    ) -> Raw:
        """Time two functions against each other: one `layout.SAMPLE` a round.

        `first` and `second` name copies of the two at different places, `empty` a function that only returns. Every
        test must have been shown to run well and to leave the same memory under both. An empty array: a call did not
        end well, or left other memory, or all together took longer than `limit_s`. Tests that no longer fit into one
        request are left out.
        """
        batch, pages = Batch(), 0
        for test in tests[: layout.MAX_TIMED]:
            pages += len(test.pages)
            level = replace(test, fill=0)
            if pages > layout.MAX_TIMED_PAGES or not batch.takes(level, encode(level, self.image)):
                break
        sides = [[self.image.symbols[n] for n in names[: layout.MAX_COPIES]] for names in (first, second)]
        addresses = [a for side in sides for a in (*side, *([0] * (layout.MAX_COPIES - len(side))))]
        head = layout.TIME.pack(
            rounds, passes, len(sides[0]), len(sides[1]), seed, target_ticks, self.image.symbols[empty], *addresses
        )
        try:
            self._load(batch)
            _, log = self._ask(layout.RequestKind.TIME, 0, 0, 600, payload=[head], limit_s=limit_s)
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

    def _run_batch(
        self, entry: str, batch: Batch, flags: int, deadline_ms: int, give_up_after: int
    ) -> tuple[Raw, npt.NDArray[np.void]]:
        address = self.image.symbols[entry]
        if self._child is not None and self._child.poll() is not None:
            self.close()  # it died between requests: nothing was lost, start another
        n = len(batch.tests)
        try:
            if self._loaded is not batch:
                self._load(batch)
            # The replayer itself limits CPU time; this is for a machine so loaded, or a child so wild, that it cannot.
            limit_s = 30.0 + 20.0 * n * (deadline_ms + layout.TICK_MS) / 1000
            seen, log = self._ask(
                layout.RequestKind.RUN, address, flags, deadline_ms, give_up_after, limit_s=min(limit_s, 600.0)
            )
        except _Lost:
            self.close()
            return np.zeros(n, layout.OBSERVATION), np.zeros(0, layout.LOG)
        if len(seen) != n:
            self.close()
            return np.zeros(n, layout.OBSERVATION), np.zeros(0, layout.LOG)
        return seen, log

    def _load(self, batch: Batch) -> None:
        """Raises Quit(PAGES_UNMAPPABLE) when no layout of the process leaves the pages' places free."""
        self._loaded = Batch()
        payload = list(batch.payload())
        for _ in range(_LAYOUTS):
            try:
                self._ask(
                    layout.RequestKind.LOAD, len(batch.contents), len(batch.addresses), payload=payload, limit_s=60.0
                )
            except _Collision:
                self.close()
                continue
            self._loaded = batch
            return
        raise Quit(Reason.PAGES_UNMAPPABLE, f"each of {_LAYOUTS} processes has memory of its own there")

    def _holds(self, tests: Sequence[Test]) -> bool:
        if self._child is None or len(self._loaded.tests) != len(tests):
            return False
        return all(a is b for a, b in zip(self._loaded.tests, tests, strict=True))

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            try:
                self._child = subprocess.Popen(
                    [str(self._program), str(self.image.path), self.placement.words(self.image.base)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}, close_fds=True,
                    bufsize=0,
                )  # fmt: skip
            except OSError as error:
                raise Quit(Reason.SANDBOX_UNAVAILABLE, f"the replayer does not start: {error}") from error
            if self.image.callees:
                self._ask(layout.RequestKind.CALLEES, payload=self.image.callees, limit_s=10.0)
        return self._child

    def _ask(
        self,
        kind: layout.RequestKind,
        entry: int = 0,
        flags: int = 0,
        deadline_ms: int = 0,
        give_up_after: int = 0,
        *,
        payload: Sequence[bytes] = (),
        limit_s: float,
    ) -> tuple[Raw, npt.NDArray[np.void]]:
        child = self._start()
        assert child.stdin is not None
        size = sum(map(len, payload))
        head = layout.REQUEST.pack(
            layout.REQUEST_MAGIC, kind, entry, flags, deadline_ms, give_up_after, self.x87_results, size
        )
        deadline = Deadline(limit_s)
        try:
            for piece in (head, *payload):
                view = memoryview(piece)
                while view:
                    view = view[child.stdin.write(view) or 0 :]
        except OSError as error:
            _ended(child.wait())
            raise _Lost from error
        magic, error_code, count, _, log_bytes = layout.REPLY.unpack(self._read(layout.REPLY.size, deadline))
        if magic != layout.REPLY_MAGIC:
            raise _Lost
        if error_code == layout.Error.SANDBOX:
            raise Quit(Reason.SANDBOX_UNAVAILABLE, "seccomp or a resource limit was refused")
        if error_code == layout.Error.COLLISION:
            raise _Collision
        if error_code == layout.Error.MEMORY:
            raise Quit(Reason.PAGES_UNMAPPABLE, "the kernel refuses the mapping")
        if error_code:
            raise ValueError(f"the replayer refuses the request: {layout.Error(error_code).name}")
        seen = np.frombuffer(self._read(count * layout.OBSERVATION.itemsize, deadline), layout.OBSERVATION)
        log_type = layout.SAMPLE if kind is layout.RequestKind.TIME else layout.LOG
        log = np.frombuffer(self._read(log_bytes, deadline), log_type)
        return seen, log

    def _read(self, n: int, deadline: Deadline) -> bytes:
        child = self._child
        assert child is not None
        assert child.stdout is not None
        parts: list[bytes] = []
        while n:
            if not select.select([child.stdout], [], [], deadline.left)[0]:
                raise _Lost
            part = os.read(child.stdout.fileno(), min(n, 1 << 20))
            if not part:
                _ended(child.wait())
                raise _Lost
            parts.append(part)
            n -= len(part)
        return b"".join(parts)


def _ended(code: int) -> None:
    """Raises Quit for the exit codes that say why no image will ever run here."""
    if code == 4:
        raise Quit(Reason.SANDBOX_UNAVAILABLE, "the image cannot be mapped")
    if code == 6:
        raise Quit(Reason.SANDBOX_UNAVAILABLE, "thread-local data: this machine does not let a program set FS_BASE")


class _Lost(Exception):
    """The replaying process is gone or does not answer."""


class _Collision(Exception):
    """Recorded pages lie on memory of the replaying process."""


# --- comparing ------------------------------------------------------------------------------------


ANY_FLAGS = 0xFFFFFFFF
"""Exception flags of a baseline that it does not define."""


def forget_undefined_flags(first: Raw, second: Raw) -> None:
    """Set ANY_FLAGS where a baseline's flags depend on the poison, the two runs being one under each.

    gcc lets vector code work on junk in the upper part of an argument's register, which raises what it happens to.
    """
    differing = first["fp_flags"] != second["fp_flags"]
    first["fp_flags"][differing] = second["fp_flags"][differing] = ANY_FLAGS


def same(
    a: Observation, b: Observation, returns: tuple[Returned, ...], environment: Environment = STRICT
) -> str | None:
    """None when both ran well and agree on every result byte, all memory, all calls and the environment; else the
    difference in words. `a` is the baseline."""
    found = difference(a, b, returns, environment)
    return None if found is None else found[1]


def difference(
    a: Observation, b: Observation, returns: tuple[Returned, ...], environment: Environment = STRICT
) -> tuple[Reason, str] | None:
    """`same`, with the named reason."""
    if b.status is not RunStatus.OK:
        return _REFUSED.get(b.status, Reason.FAULTED), _says(b)
    if a.status is not RunStatus.OK:
        return Reason.WRONG_VALUE, f"the baseline does not define this input: {_says(a)}"
    # First: an answer taken at the wrong moment makes everything after it differ.
    if a.calls != b.calls:
        return Reason.WRONG_CALLS, "the calls, their arguments or the memory at a call differ"
    for result in returns:
        want, got = (o.returned[result.slot][: result.size] for o in (a, b))
        if want != got:
            return Reason.WRONG_VALUE, f"{result.slot}: want {_number(want)}, got {_number(got)}"
    if a.memory != b.memory:
        return Reason.WRONG_MEMORY, "the memory after the call differs"
    if environment.errno and a.errno != b.errno:
        return Reason.WRONG_ERRNO, f"want {_errno(a)}, got {_errno(b)}"
    if environment.fp_flags and a.fp_flags not in (b.fp_flags, ANY_FLAGS):
        return Reason.WRONG_FLAGS, f"want {_flags(a)}, got {_flags(b)}"
    return None


_REFUSED = {
    RunStatus.FAULT: Reason.FAULTED,
    RunStatus.DIED: Reason.FAULTED,
    RunStatus.TIMEOUT: Reason.TIMED_OUT,
    RunStatus.SYSCALL: Reason.SYSTEM_CALL,
    RunStatus.ABI: Reason.ABI_BROKEN,
}


def _says(o: Observation) -> str:
    if o.status is RunStatus.ABI:
        return "abi: " + ", ".join(str(bit.name).lower() for bit in layout.AbiBit(o.abi))
    if o.status is RunStatus.FAULT:
        return f"fault: signal {o.signal} at {o.fault_address:#x}"
    return str(o.status)


def _errno(o: Observation) -> str:
    return "errno as it was" if o.errno == layout.ERRNO_BEFORE else os.strerror(o.errno)


def _flags(o: Observation) -> str:
    return "+".join(name for bit, name in enumerate(_FLAGS) if o.fp_flags >> bit & 1) or "no flag"


_FLAGS = ("invalid", "denormal", "division by zero", "overflow", "underflow", "inexact")


def _number(data: bytes) -> str:
    return f"{int.from_bytes(data, 'little'):#x}"


def differs(a: Raw, b: Raw, returns: tuple[Returned, ...], environment: Environment = STRICT) -> npt.NDArray[np.bool_]:
    """Vectorised `difference(...) is not None` over two results of `run_raw`, (n,) and (n,) to (n,)."""
    bad: npt.NDArray[np.bool_] = (a["status"] != layout.Status.OK) | (b["status"] != layout.Status.OK)
    bad |= (a["memory"] != b["memory"]).any(axis=1) | (a["calls"] != b["calls"]).any(axis=1)
    for result in returns:
        width = layout.OBSERVATION[result.slot.value].itemsize
        want, got = (np.ascontiguousarray(x[result.slot.value]).view(np.uint8).reshape(len(x), width) for x in (a, b))
        bad |= (want[:, : result.size] != got[:, : result.size]).any(axis=1)
    if environment.fp_flags:
        bad |= (a["fp_flags"] != b["fp_flags"]) & (a["fp_flags"] != ANY_FLAGS)
    if environment.errno:
        bad |= a["error"] != b["error"]
    return bad
