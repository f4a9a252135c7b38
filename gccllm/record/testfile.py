"""The two files that the test store keeps of a function, as bytes: "Test store" in `docs/internals/formats.md`.

`.tests` is

    gccllm-tests SCHEMA BLAKE2B-256-OF-THE-REST LENGTH-OF-THE-REST LENGTH-OF-THE-FIRST-FRAME\\n
    zstd frame: `Head` as JSON
    zstd frame: distinct pages, 4096 bytes each

and `.bench` is made like an entry: `gccllm-bench SCHEMA CHECKSUM LENGTH\\n` and `Benched` as JSON. Whatever is wrong
with one is a TestsError with a named reason. History: 1 = first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import zstandard
from pydantic import Field, ValidationError

from gccllm.base.core import PAGE_BYTES, Reasoned
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.record.capture import CaptureError, read_head, write_head
from gccllm.record.reservoir import Kept, Reservoir
from gccllm.store.entry import Bench, Frozen

SCHEMA = 1
"""Of recorded tests."""
BENCH_SCHEMA = 2
"""Of benches; every recording build writes them again. History: 1 = the context held facts on callers."""
MAX_HEAD = 64 << 20
"""Bytes of a head that a reader unpacks; a writer stays far below."""


class TestsError(Reasoned):
    """The bytes are no whole file of this schema. `reason` is TESTS_CORRUPT or TESTS_VERSION."""

    __test__ = False  # not a pytest class


class Coverage(Frozen):
    """The measured worth of the recorded tests alone; a file of its own, `.coverage`."""

    stamp: str
    """Checksum of the tests that were looked at: of others this says nothing."""
    edges: tuple[int, int]
    """(taken, all) of the baseline."""
    mutants: tuple[int, int]
    """(killed, all)."""
    tests: int
    """Tests that replay, of those kept."""


class Row(Frozen):
    """One recorded call."""

    head: str
    """Base64 of the capture up to the contents of its pages; no page is dirty."""
    pages: tuple[int, ...]
    """Which of the distinct pages are its contents, in order."""
    digest: str
    weight: float = Field(gt=0, allow_inf_nan=False)
    pinned: bool = False


class Head(Frozen):
    """All of a `.tests` file but its pages."""

    key: str
    total: int
    """Calls of the program in all processes and runs."""
    runs: int
    threshold: float
    bound: float
    """Highest rank and lowest draw that were not enough (see `gccllm.record.reservoir`)."""
    dropped: dict[str, int]
    ticks: float
    """Mean ticks of a call, weighted; the page faults of the recording are in it."""
    pages: int
    rows: tuple[Row, ...] = ()


class Benched(Frozen):
    """A function that the record build knows: with this its recorded calls can be replayed."""

    key: str
    function: str
    source: str
    symbols: tuple[str, ...]
    """Names of the data symbols, in the order of a capture's table."""
    bench: Bench
    callee: Callable[[str], str] = Field(default=lambda name: "", exclude=True)
    """Slices of functions of other units, by name, as the store has them; not part of the file."""


# --- benches ------------------------------------------------------------------------------------------------------


def dump_bench(known: Benched) -> bytes:
    data = json.dumps(known.model_dump(mode="json"), indent=2, sort_keys=True).encode() + b"\n"
    return f"gccllm-bench {BENCH_SCHEMA} {_checksum(data)} {len(data)}\n".encode() + data


def load_bench(raw: bytes, key: str) -> Benched:
    """Raises TestsError."""
    _, data = _opened(raw, b"gccllm-bench", 4, BENCH_SCHEMA)
    try:
        known = Benched.model_validate_json(data)
    except ValidationError as error:
        raise TestsError(Reason.TESTS_CORRUPT, str(error).splitlines()[0]) from error
    if known.key != key:
        raise TestsError(Reason.TESTS_CORRUPT, "it is of another key")
    return known


# --- tests --------------------------------------------------------------------------------------------------------


def dump_tests(key: str, kept: Reservoir, runs: int) -> bytes:
    numbers: dict[bytes, int] = {}
    rows = tuple(
        Row(
            head=base64.b64encode(write_head(item.call)).decode(),
            pages=tuple(numbers.setdefault(page.content, len(numbers)) for page in item.call.pages),
            digest=digest,
            weight=item.weight,
            pinned=item.pinned,
        )
        for digest, item in kept.items.items()
    )
    head = Head(
        key=key,
        total=kept.total,
        runs=runs,
        threshold=kept.threshold,
        bound=kept.bound,
        dropped=dict(sorted(kept.dropped.items())),
        ticks=kept.ticks,
        pages=len(numbers),
        rows=rows,
    )
    packer = zstandard.ZstdCompressor(level=9)
    first = packer.compress(json.dumps(head.model_dump(mode="json"), sort_keys=True).encode())
    data = first + packer.compress(b"".join(numbers))
    return f"gccllm-tests {SCHEMA} {_checksum(data)} {len(data)} {len(first)}\n".encode() + data


def load_head(raw: bytes, key: str) -> tuple[Head, bytes]:
    """The head, and the frame of the pages still packed. Raises TestsError."""
    words, data = _opened(raw, b"gccllm-tests", 5)
    size = int(words[4]) if words[4].isdigit() and len(words[4]) < 20 else -1
    if not 0 <= size <= len(data):
        raise TestsError(Reason.TESTS_CORRUPT, f"a first frame of {words[4]!r} bytes")
    try:
        head = Head.model_validate_json(_unpacked(data[:size], MAX_HEAD))
    except ValidationError as error:
        raise TestsError(Reason.TESTS_CORRUPT, str(error).splitlines()[0]) from error
    if head.key != key:
        raise TestsError(Reason.TESTS_CORRUPT, "it is of another key")
    return head, data[size:]


def load_tests(raw: bytes, key: str, into: Reservoir) -> Head:
    """Fill an empty reservoir. Raises TestsError and leaves it empty then."""
    head, frame = load_head(raw, key)
    contents = _unpacked(frame, LIMITS.recording_bytes)
    if len(contents) != head.pages * PAGE_BYTES:
        raise TestsError(Reason.TESTS_CORRUPT, f"{len(contents)} bytes for {head.pages} pages")
    pages = [contents[at : at + PAGE_BYTES] for at in range(0, len(contents), PAGE_BYTES)]
    into.items = {row.digest: _item(key, row, pages) for row in head.rows}
    into.threshold, into.bound, into.total = head.threshold, head.bound, head.total
    into.dropped.update(head.dropped)
    return head


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _opened(raw: bytes, magic: bytes, words: int, schema: int = SCHEMA) -> tuple[list[bytes], bytes]:
    """The first line's words and the rest, once magic, schema, length and checksum are right. Raises TestsError."""
    line, newline, data = raw.partition(b"\n")
    found = line.split(b" ")
    if not newline or found[0] != magic or len(found) < 2 or not found[1].isdigit():
        raise TestsError(Reason.TESTS_CORRUPT, "no header")
    if found[1] != str(schema).encode():
        raise TestsError(Reason.TESTS_VERSION, f"schema {found[1].decode()[:20]}, this version reads {schema}")
    if len(found) != words or found[3] != str(len(data)).encode():
        raise TestsError(Reason.TESTS_CORRUPT, f"length: the header says {b' '.join(found[3:4])!r}, got {len(data)}")
    if _checksum(data).encode() != found[2]:
        raise TestsError(Reason.TESTS_CORRUPT, "checksum")
    return found, data


def _unpacked(frame: bytes, most: int) -> bytes:
    """Raises TestsError; never makes more than `most` bytes."""
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= most:
            raise TestsError(Reason.TESTS_CORRUPT, f"a frame of {size} bytes, the cap is {most}")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=most) if size else b""
    except zstandard.ZstdError as error:
        raise TestsError(Reason.TESTS_CORRUPT, f"zstd: {error}") from error


def _item(key: str, row: Row, pages: Sequence[bytes]) -> Kept:
    try:
        raw = base64.b64decode(row.head, validate=True)
        call, dirty, end = read_head(raw)
        int(row.digest, 16)
    except (CaptureError, binascii.Error, ValueError) as error:
        raise TestsError(Reason.TESTS_CORRUPT, f"a test's head: {error}") from error
    is_whole = end == len(raw) and call.key == key and not any(dirty) and len(row.digest) == 32
    if not is_whole or len(row.pages) != len(call.pages) or any(not 0 <= n < len(pages) for n in row.pages):
        raise TestsError(Reason.TESTS_CORRUPT, "a test's head and pages do not belong together")
    filled = tuple(replace(page, content=pages[n]) for page, n in zip(call.pages, row.pages, strict=True))
    return Kept(replace(call, pages=filled), row.digest, row.weight, row.pinned)
