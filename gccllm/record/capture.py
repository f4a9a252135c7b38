"""The files that a recorded run leaves: one recorded call (`*.cap`) and the counts of a process (`*.counts`).

`docs/internals/recording.md`, "Files of a run", is the specification. A reader takes only what is whole: every length,
flag and address is checked before it is used, and whatever else is wrong with a file is a `CaptureError` with a named
reason.

Not covered: whether the state makes sense. Only a replay shows that (`gccllm.record.lower`).
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.core import PAGE_BYTES, Reasoned
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.regular import read_regular

MAGIC = b"GLLMCAP1"
VERSION = 1
MAX_PAGES = 1 << 15
MAX_SYMBOLS = 1 << 12
ADDRESS_END = 1 << 47
"""One past the last address that a program can have."""

KEY = re.compile(r"[0-9a-f]{64}")

DIRTY, WRITABLE, WHOLE = 1, 2, 4
"""Flags of a page."""

GENERAL = (
    "rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax", "r10", "rbx", "rbp", "r12", "r13", "r14", "r15", "rsp", "rflags",
)  # fmt: skip
"""The registers of a capture, in the file's order."""

_HEAD = struct.Struct("<8sIIII64s5Q16Q16QQ16Q4QQ")
_SYMBOL = struct.Struct("<QQ")
_PAGE = struct.Struct("<QII")
_HALF = (1 << 64) - 1
_WORD = re.compile(r"([A-Za-z0-9_.-]+)=([0-9]{1,20})")


class CaptureError(Reasoned):
    """The bytes are no whole capture (or counts) of this version. `reason` is CAPTURE_CORRUPT or CAPTURE_VERSION."""


@dataclass(frozen=True, slots=True)
class Registers:
    """Register contents at the entry of a function (xmm0 to xmm7) or after its return (xmm0 and xmm1)."""

    rdi: int = 0
    rsi: int = 0
    rdx: int = 0
    rcx: int = 0
    r8: int = 0
    r9: int = 0
    rax: int = 0
    r10: int = 0
    rbx: int = 0
    rbp: int = 0
    r12: int = 0
    r13: int = 0
    r14: int = 0
    r15: int = 0
    rsp: int = 0
    rflags: int = 0
    xmm: tuple[int, ...] = ()
    """128-bit values."""
    mxcsr: int = 0


@dataclass(frozen=True, slots=True)
class RecordedPage:
    """One page that a recorded call touched, or that was recorded whole."""

    address: int
    content: bytes
    """Before the call."""
    after: bytes | None = None
    """After it, when the call wrote to the page; the test store does not keep it."""
    is_writable: bool = True
    is_whole: bool = False
    """Recorded because it could not be watched: not known to be touched."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call of a function as the recorder saw it."""

    key: str
    number: int
    """Which call of the process this was."""
    seen: int
    """Calls of the process up to the moment the file was written."""
    ticks: int
    """Time-stamp-counter ticks of the recorded run, page faults included: an upper bound."""
    resume: int
    """Address of the function's resume label in the program."""
    fs_base: int
    before: Registers
    after: Registers
    symbols: tuple[tuple[int, int], ...] = ()
    """Address and size in the program of each data symbol that the function's slice names."""
    pages: tuple[RecordedPage, ...] = ()

    def at(self, address: int, size: int) -> bytes | None:
        """`size` bytes that were recorded at `address`, inside of one page; None when they were not."""
        base = address & -PAGE_BYTES
        for page in self.pages:
            if page.address == base and address - base + size <= PAGE_BYTES:
                return page.content[address - base : address - base + size]
        return None


@dataclass(frozen=True, slots=True)
class Counts:
    """What one process counted for one function."""

    key: str
    name: str
    calls: int
    captured: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Samples that came to nothing, by the recorder's word for why."""


def read_capture(source: Path | bytes) -> RecordedCall:
    """One capture, from its file or its bytes. Raises CaptureError for anything not whole; OSError from the file."""
    raw = _bytes_of(source)
    call, dirty, at = read_head(raw)
    pages, rest = len(call.pages), sum(dirty)
    want = at + (pages + rest) * PAGE_BYTES
    if len(raw) != want:
        raise _corrupt(f"{pages} pages, {rest} of them dirty: want {want} bytes, got {len(raw)}")
    after = at + pages * PAGE_BYTES
    filled = []
    for number, page in enumerate(call.pages):
        start = at + number * PAGE_BYTES
        changed = None
        if dirty[number]:
            changed, after = raw[after : after + PAGE_BYTES], after + PAGE_BYTES
        filled.append(dataclasses.replace(page, content=raw[start : start + PAGE_BYTES], after=changed))
    return dataclasses.replace(call, pages=tuple(filled))


def read_head(raw: bytes) -> tuple[RecordedCall, list[bool], int]:
    """The call with its pages still empty, which of them are dirty, and where the contents begin."""
    if raw[:7] != MAGIC[:7] or len(raw) < 12:
        raise _corrupt("no capture header")
    version = int.from_bytes(raw[8:12], "little")
    if raw[:8] != MAGIC or version != VERSION:
        raise CaptureError(Reason.CAPTURE_VERSION, f"{raw[:8]!r} {version}, this version reads {MAGIC!r} {VERSION}")
    if len(raw) < _HEAD.size:
        raise _corrupt(f"{len(raw)} bytes, the header alone has {_HEAD.size}")
    _, _, n_pages, n_symbols, zero, key_bytes, *rest = _HEAD.unpack_from(raw)
    key = key_bytes.decode("latin-1")
    if not KEY.fullmatch(key):
        raise _corrupt("the key is not 64 hex digits")
    if zero or n_pages > MAX_PAGES or n_symbols > MAX_SYMBOLS:
        raise _corrupt(f"{n_pages} pages, {n_symbols} symbols, reserved word {zero}")
    at = _HEAD.size + n_symbols * _SYMBOL.size
    end = at + n_pages * _PAGE.size
    if len(raw) < end:
        raise _corrupt(f"the tables of {n_symbols} symbols and {n_pages} pages end at {end} of {len(raw)} bytes")
    symbols = tuple(_SYMBOL.iter_unpack(raw[_HEAD.size : at]))
    if any(start + size > ADDRESS_END for start, size in symbols):
        raise _corrupt("a symbol lies outside of every program")
    pages, dirty, known = [], [], set()
    for address, flags, reserved in _PAGE.iter_unpack(raw[at:end]):
        if address % PAGE_BYTES or address >= ADDRESS_END or address in known:
            raise _corrupt(f"a page at {address:#x}")
        if reserved or flags & ~(DIRTY | WRITABLE | WHOLE):
            raise _corrupt(f"page {address:#x} has flags {flags:#x} {reserved:#x}")
        known.add(address)
        dirty.append(bool(flags & DIRTY))
        pages.append(RecordedPage(address, b"", None, bool(flags & WRITABLE), bool(flags & WHOLE)))
    number, seen, ticks, resume, fs_base = rest[:5]
    call = RecordedCall(
        key, number, seen, ticks, resume, fs_base,
        _registers(rest[5:21], rest[21:37], rest[37]), _registers(rest[38:54], rest[54:58], rest[58]),
        symbols, tuple(pages),
    )  # fmt: skip
    return call, dirty, end


def write_head(call: RecordedCall) -> bytes:
    """A capture up to the contents of its pages."""
    head = _HEAD.pack(
        MAGIC, VERSION, len(call.pages), len(call.symbols), 0, call.key.encode("ascii"),
        call.number, call.seen, call.ticks, call.resume, call.fs_base,
        *_general(call.before), *_halves(call.before.xmm, 8), call.before.mxcsr,
        *_general(call.after), *_halves(call.after.xmm, 2), call.after.mxcsr,
    )  # fmt: skip
    symbols = b"".join(_SYMBOL.pack(*symbol) for symbol in call.symbols)
    pages = b"".join(
        _PAGE.pack(
            page.address, DIRTY * (page.after is not None) | WRITABLE * page.is_writable | WHOLE * page.is_whole, 0
        )
        for page in call.pages
    )
    return head + symbols + pages


def read_counts(source: Path | bytes) -> list[Counts]:
    """The counts of one process, a row a function. Raises CaptureError for a line that is none; OSError."""
    text = _bytes_of(source).decode("utf-8", "surrogateescape")
    rows = []
    for line in text.split("\n")[:-1]:
        words = line.split(" ")
        numbers = [int(word) for word in words[2:4] if word.isascii() and word.isdigit() and len(word) <= 20]
        pairs = [_WORD.fullmatch(word) for word in words[4:]]
        if len(numbers) != 2 or not KEY.fullmatch(words[0]) or not words[1] or None in pairs:
            raise _corrupt(f"no line of counts: {line[:120]!r}")
        dropped = {pair[1]: int(pair[2]) for pair in pairs if pair is not None}
        rows.append(Counts(words[0], words[1], numbers[0], numbers[1], dropped))
    if text and not text.endswith("\n"):
        raise _corrupt("the last line of counts has no end")
    return rows


def _bytes_of(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return read_regular(source, LIMITS.recording_bytes)[0]
    except OSError as error:
        if error.errno:
            raise
        raise _corrupt(str(error.strerror)) from error


def _corrupt(detail: str) -> CaptureError:
    return CaptureError(Reason.CAPTURE_CORRUPT, detail)


def _general(registers: Registers) -> list[int]:
    return [getattr(registers, name) for name in GENERAL]


def _registers(general: Sequence[int], halves: Sequence[int], mxcsr: int) -> Registers:
    xmm = tuple(low | high << 64 for low, high in zip(halves[::2], halves[1::2], strict=True))
    return Registers(**dict(zip(GENERAL, general, strict=True)), xmm=xmm, mxcsr=mxcsr)


def _halves(values: Sequence[int], count: int) -> list[int]:
    padded = [*values, *([0] * (count - len(values)))]
    return [half for value in padded for half in (value & _HALF, value >> 64)]
