"""Recorded calls made by hand, and real benches for them, for the tests of the test store and its commands."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from gccllm.base.core import PAGE_BYTES
from gccllm.base.scratch import scratch
from gccllm.harvest.abi import convention_of
from gccllm.harvest.wire import facts_of
from gccllm.record.capture import RecordedCall, RecordedPage, Registers, write_head
from gccllm.record.store import TestStore
from gccllm.store.entry import Bench
from gccllm.verify.screen import Context
from tests.kit.targets import target_of

KEY = "5a" * 32
HEAP = 0x7F12_3456_7000
STACK = 0x7FFC_0000_1000
RSP = STACK + 0x808


def call(
    key: str = KEY,
    *,
    number: int = 1,
    seen: int = 1,
    ticks: int = 1000,
    memory: bytes = b"",
    at: int = HEAP,
    changed: bytes | None = None,
    symbols: tuple[tuple[int, int], ...] = (),
    xmm: tuple[int, ...] = (0,) * 8,
    **registers: int,
) -> RecordedCall:
    """A call with `memory` from `at` on, registers as on entry; `changed`: the first page after it."""
    skip = at % PAGE_BYTES
    padded = bytes(skip) + memory
    padded += bytes(-len(padded) % PAGE_BYTES)
    pages = [
        RecordedPage(at - skip + start, padded[start : start + PAGE_BYTES], changed if start == 0 else None)
        for start in range(0, len(padded), PAGE_BYTES)
    ]
    pages.append(RecordedPage(STACK, b"\x5c" * PAGE_BYTES))
    before = Registers(rsp=RSP, xmm=xmm, mxcsr=0x1F80, **registers)
    return RecordedCall(
        key, number, seen, ticks, 0x5555_0000_1234, 0x7F00_0000_0740, before, Registers(rax=7, xmm=(1, 2)),
        symbols, tuple(pages),
    )  # fmt: skip


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


@cache
def real_bench(source: str, name: str = "f") -> Bench:
    """What the record build stores of a function: compiled by the real gcc, types from its debug information."""
    with scratch() as place:
        path = place / "unit.c"
        path.write_text(source)
        target = target_of(path, name, ["-O2"], place)
        context = Context(name, arguments=convention_of(target.signature).live_in)
        return Bench(slice=target.text, baseline=target.body.text(), facts=facts_of(target, context))


def known(where: Path, source: str, *, key: str = KEY, name: str = "f", symbols: tuple[str, ...] = ()) -> TestStore:
    """A test store that has the bench of one function."""
    store = TestStore.of(where / "store")
    store.put_bench(key, real_bench(source, name), name, "unit.c", symbols)
    return store


def write_capture(call: RecordedCall) -> bytes:
    """The bytes of a capture, as the recorder writes them."""
    dirty = [page.after for page in call.pages if page.after is not None]
    return write_head(call) + b"".join([*(page.content for page in call.pages), *dirty])
