"""What a run of the checked build (`instrument`) did: edges taken, bytes read, bytes written.

`trace` runs an instrumented entry and condenses its log with numpy. Left out: the test stack (the own frame; writes
above the frame are an ABI violation), reads of the image's constants and of tables inside the C library. Kept is every
access to a recorded page, also to one of another test: `outside_test` finds these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gccllm.assembly.cfg import Edge
from gccllm.base.core import (
    ARENA_BASE,
    ARENA_BYTES,
    ARENA_STRIDE,
    ARENAS,
    Observation,
    RunStatus,
    Test,
    arena_address,
)
from gccllm.sandbox import layout
from gccllm.sandbox.compare import decode_observation
from gccllm.sandbox.instrument import instrument, instrument_callees, traced_name
from gccllm.sandbox.layout import Event
from gccllm.sandbox.replay import Replayer

__all__ = [
    "Intervals",
    "Trace",
    "beginning",
    "blocks_in_order",
    "instrument",
    "instrument_callees",
    "merged",
    "minus",
    "outside_test",
    "trace",
    "trace_many",
    "traced_name",
]  # fmt: skip

Intervals = npt.NDArray[np.uint64]
"""(n, 2): first byte and one past the last, sorted, disjoint, not adjacent."""

DEADLINE_FACTOR = 10
"""A traced run may take this much longer than a plain one."""

# Plain integers: member access costs more than the arithmetic it is used in.
_READ, _WRITE, _BLOCK, _ENTER, _LEAVE, _RANGE = (
    int(e) for e in (Event.READ, Event.WRITE, Event.BLOCK, Event.ENTER, Event.LEAVE, Event.RANGE)
)


@dataclass(frozen=True)
class Trace:
    """What one instrumented run did.

    `reads` and `writes` cover the arenas, recorded pages and the image's writable data; writes also anything else but
    the own stack.
    `overflow`: the log was too small, and everything here is incomplete.
    """

    status: RunStatus
    edges: frozenset[Edge] = frozenset()
    blocks: frozenset[int] = frozenset()
    reads: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    writes: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    overflow: bool = False
    steps: int = 0
    """Entries in the log: a deterministic measure of the work done."""
    observation: Observation | None = None


def trace(replayer: Replayer, entry: str, test: Test) -> Trace:
    """Run the instrumented `entry` once."""
    return trace_many(replayer, entry, [test])[0]


def trace_many(replayer: Replayer, entry: str, tests: Sequence[Test]) -> list[Trace]:
    """One trace a test, in order; several tests share a log where they fit."""
    out: list[Trace] = []
    group = 64
    deadline_ms = DEADLINE_FACTOR * replayer.deadline_ms
    while len(out) < len(tests):
        todo = tests[len(out) : len(out) + group]
        seen, log = replayer.run_traced(entry, todo, deadline_ms)
        pages = np.unique(np.array([p.address for t in todo[: len(seen)] for p in t.pages], np.uint64))
        for n, row in enumerate(seen):
            start, end = (int(row[k]) // layout.LOG.itemsize for k in ("log_start", "log_end"))
            one = _condensed(log[start:end], decode_observation(row), replayer, pages)
            if one.overflow and n > 0:
                break  # the entries before left too little room: again, first in its own log
            out.append(one)
        group = max(1, min(64, group * 2 if n + 1 == len(todo) else n))
    return out


def blocks_in_order(replayer: Replayer, entry: str, test: Test) -> list[int]:
    """The basic blocks that the instrumented `entry` went through; empty where it calls itself or fails."""
    seen, log = replayer.run_traced(entry, [test], DEADLINE_FACTOR * replayer.deadline_ms)
    kind = log["site"] & 15
    if seen[0]["status"] != layout.Status.OK or (kind == _ENTER).sum() > 1:
        return []
    return [int(block) for block in log["site"][kind == _BLOCK] >> 16]


def beginning(replayer: Replayer, entry: str, test: Test, entries: int, deadline_ms: int) -> Intervals:
    """Bytes that the instrumented `entry` touches in its first log entries, however the run ends."""
    _, log = replayer.run_traced(entry, [test], deadline_ms)
    log = log[:entries]
    return merged(np.concatenate(_touched(log, (log["site"] & 15).astype(np.uint32))))


def _condensed(
    log: npt.NDArray[np.void], seen: Observation, replayer: Replayer, pages: npt.NDArray[np.uint64]
) -> Trace:
    """`pages`: addresses of all that are mapped, ascending."""
    end = layout.LOG_BASE + layout.LOG_BYTES
    overflow = seen.status is RunStatus.FAULT and end <= seen.fault_address < end + layout.PAGE
    kind = (log["site"] & 15).astype(np.uint32)
    edges, blocks = _edges(log, kind)
    if overflow:
        return Trace(seen.status, edges, blocks, overflow=True, steps=len(log), observation=seen)
    reads, writes = _touched(log, kind)
    low, high = replayer.image.writable
    outside = _outside_arenas(reads) & ((reads[:, 0] < low) | (reads[:, 0] >= high))
    if len(pages):
        base = reads[:, 0] // layout.PAGE * layout.PAGE
        outside &= pages[np.minimum(np.searchsorted(pages, base), len(pages) - 1)] != base
    return Trace(
        seen.status, edges, blocks, merged(reads[~outside]), merged(writes), overflow, len(log), seen,
    )  # fmt: skip


def _outside_arenas(rows: Intervals) -> npt.NDArray[np.bool_]:
    last = ARENA_BASE + ARENAS * ARENA_STRIDE
    return (rows[:, 0] < ARENA_BASE) | (rows[:, 0] >= last)


def _edges(log: npt.NDArray[np.void], kind: npt.NDArray[np.uint32]) -> tuple[frozenset[Edge], frozenset[int]]:
    control = log["site"][(kind >= _BLOCK) & (kind <= _LEAVE)]
    what, number = control & 15, control >> 16
    entered = number[what == _BLOCK]
    blocks = frozenset(int(b) for b in np.unique(entered))
    if (what == _ENTER).sum() <= 1:
        pairs = np.unique(entered[:-1].astype(np.uint64) << np.uint64(32) | entered[1:])
        return frozenset((int(p) >> 32, int(p) & 0xFFFF_FFFF) for p in pairs), blocks
    # Recursion: the block before is that of the same activation.
    edges: set[Edge] = set()
    stack: list[int] = []
    for event, block in zip(what.tolist(), number.tolist(), strict=True):
        if event == _ENTER:
            stack.append(-1)
        elif event == _LEAVE:
            if stack:
                stack.pop()
        elif stack:
            if stack[-1] >= 0:
                edges.add((stack[-1], block))
            stack[-1] = block
    return frozenset(edges), blocks


def _touched(log: npt.NDArray[np.void], kind: npt.NDArray[np.uint32]) -> tuple[Intervals, Intervals]:
    """Unmerged intervals read and written, own stack and control page left out."""
    at = np.flatnonzero(((kind & 3) != 0) & ((kind & 7) <= 3) & (kind != _RANGE))
    rows = log[at]
    how = kind[at]
    width = (rows["site"] >> 4 & 0xFFF).astype(np.uint64)
    length = rows["length"].astype(np.uint64)
    ranged = (how & _RANGE) != 0
    lane = ~ranged & ((rows["length"] & layout.LANE) != 0)
    masked = ~ranged & ~lane & (length != 0)
    size = np.where(ranged, width * length, width)
    start = rows["address"]
    spans = np.stack([start, start + size], axis=1)
    plain = ~masked & (size > 0)
    if lane.any():
        number = rows["length"] >> 16
        mask = log["address"][np.where(lane, at - 1 - number.astype(np.intp), 0)]
        plain &= ~lane | (mask >> number.astype(np.uint64) & np.uint64(1)).astype(np.bool_)
    parts, hows = [spans[plain]], [how[plain]]
    if masked.any():
        lanes, which = _lanes(rows[masked], log["address"][at[masked] - 1])
        parts.append(lanes)
        hows.append(how[masked][which])
    spans, how = np.concatenate(parts), np.concatenate(hows)
    base, top = layout.STACK_BASE - layout.PAGE, layout.STACK_BASE + layout.STACK_BYTES
    own = ((spans[:, 0] >= base) & (spans[:, 0] < top)) | (
        (spans[:, 0] >= layout.CONTROL) & (spans[:, 0] < layout.CONTROL + layout.PAGE)
    )
    spans, how = spans[~own], how[~own]
    return spans[(how & _READ) != 0], spans[(how & _WRITE) != 0]


def _lanes(rows: npt.NDArray[np.void], masks: npt.NDArray[np.uint64]) -> tuple[Intervals, npt.NDArray[np.intp]]:
    """Intervals of the lanes in use, and the row each belongs to."""
    lane = (rows["length"] & 0xFF).astype(np.uint64)
    width = (rows["site"] >> 4 & 0xFFF).astype(np.uint64)
    packed = (rows["length"] & layout.PACKED) != 0
    bits = (masks[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    bits[np.arange(64)[None, :] >= (width // lane)[:, None]] = 0
    count = bits.sum(axis=1)
    for i in np.flatnonzero(packed):
        bits[i] = np.arange(64) < count[i]
    which, index = np.nonzero(bits)
    start = rows["address"][which] + index.astype(np.uint64) * lane[which]
    return np.stack([start, start + lane[which]], axis=1), which


def outside_test(seen: Trace, test: Test, replayer: Replayer) -> Intervals:
    """Bytes that the run touched and that are not the test's own memory: what lay there came from another test.

    A test on which the baseline does that is no test: its outcome depends on the company it runs in.
    """
    own = [(p.address, p.address + layout.PAGE) for p in test.pages]
    own += [(arena_address(i), arena_address(i) + ARENA_BYTES) for i in range(test.arenas)]
    own.append(replayer.image.writable)
    return minus(merged(np.concatenate([seen.reads, seen.writes])), merged(np.array(own, np.uint64)))


# --- interval arithmetic --------------------------------------------------------------------------


def merged(spans: Intervals) -> Intervals:
    """Sorted, disjoint, not adjacent intervals of the same bytes."""
    if not len(spans):
        return np.zeros((0, 2), np.uint64)
    spans = spans[np.argsort(spans[:, 0], kind="stable")]  # far faster than unique rows
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.ones(len(spans), np.bool_)
    first[1:] = spans[1:, 0] > reach[:-1]
    starts = np.flatnonzero(first)
    return np.stack([spans[starts, 0], np.maximum.reduceat(spans[:, 1], starts)], axis=1)


def minus(left: Intervals, right: Intervals) -> Intervals:
    """Bytes of `left` that are not in `right`; both merged, and so is the result."""
    if not len(left) or not len(right):
        return left
    edges = np.concatenate([left[:, 0], left[:, 1], right[:, 0], right[:, 1]])
    step = np.repeat(np.array([1, -1, -2, 2]), [len(left), len(left), len(right), len(right)])
    order = np.argsort(edges, kind="stable")
    edges, depth = edges[order], np.cumsum(step[order])
    at = np.flatnonzero((depth[:-1] == 1) & (edges[1:] > edges[:-1]))
    return merged(np.stack([edges[at], edges[at + 1]], axis=1))
