"""Captures and counts: what is written is read, and nothing that is not whole gets past the reader."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.core import PAGE_BYTES
from gccllm.base.reasons import Reason
from gccllm.record.capture import (
    CaptureError,
    Counts,
    RecordedCall,
    RecordedPage,
    Registers,
    read_capture,
    read_counts,
)
from tests.kit.calls import HEAP, KEY, call, ints, write_capture

patient = settings(deadline=None)  # the machine may be busy

_U64 = st.integers(0, 2**64 - 1)
_REGISTERS = st.builds(
    Registers,
    **dict.fromkeys(["rdi", "rsi", "rdx", "r8", "r9", "rax", "rbx", "r15", "rsp", "rflags", "mxcsr"], _U64),
    xmm=st.tuples(*[st.integers(0, 2**128 - 1)] * 8),
)
_PAGES = st.lists(
    st.builds(
        lambda n, fill, after, writable, whole: RecordedPage(
            n * PAGE_BYTES, bytes([fill]) * PAGE_BYTES, after and bytes([after]) * PAGE_BYTES, writable, whole
        ),
        st.integers(1, 2**35 - 1),
        st.integers(0, 255),
        st.none() | st.integers(1, 255),
        st.booleans(),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda page: page.address,
)
_CALLS = st.builds(
    RecordedCall,
    key=st.text("0123456789abcdef", min_size=64, max_size=64),
    number=_U64,
    seen=_U64,
    ticks=_U64,
    resume=_U64,
    fs_base=_U64,
    before=_REGISTERS,
    after=_REGISTERS.map(lambda r: Registers(rax=r.rax, rsp=r.rsp, xmm=r.xmm[:2], mxcsr=r.mxcsr)),
    symbols=st.lists(st.tuples(st.integers(0, 2**46), st.integers(0, 2**20)), max_size=3).map(tuple),
    pages=_PAGES.map(tuple),
)


def outcome(read: Callable[[bytes], Any], raw: bytes) -> Any:
    """What was read, or the reason why nothing was; any other exception fails the test."""
    try:
        return read(raw)
    except CaptureError as error:
        return error.reason


SAMPLE = write_capture(call(memory=ints(*range(1500)), changed=bytes(PAGE_BYTES), symbols=((HEAP, 64),), rdi=HEAP))


@patient
@given(_CALLS)
def test_what_is_written_is_read(made: RecordedCall) -> None:
    assert read_capture(write_capture(made)) == made


@patient
@given(st.integers(0, len(SAMPLE) - 1))
def test_a_truncated_capture_is_refused(length: int) -> None:
    with pytest.raises(CaptureError):
        read_capture(SAMPLE[:length])


@patient
@given(st.binary(min_size=1, max_size=3 * PAGE_BYTES))
def test_a_capture_with_something_behind_it_is_refused(more: bytes) -> None:
    with pytest.raises(CaptureError):
        read_capture(SAMPLE + more)


@patient
@given(st.integers(0, 640), st.integers(0, 7))
def test_a_flipped_bit_of_the_header_is_refused_or_another_value(at: int, bit: int) -> None:
    raw = bytearray(SAMPLE)
    raw[at] ^= 1 << bit
    assert outcome(read_capture, bytes(raw)) != read_capture(SAMPLE)


@patient
@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(CaptureError):
        read_capture(b"GLLMCAP1" + raw)
    with pytest.raises(CaptureError):
        read_capture(raw)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (8, struct.pack("<I", 2), Reason.CAPTURE_VERSION),
        (7, b"2", Reason.CAPTURE_VERSION),
        (0, b"X", Reason.CAPTURE_CORRUPT),
        (12, struct.pack("<I", 1 << 31), Reason.CAPTURE_CORRUPT),
        (20, b"\1", Reason.CAPTURE_CORRUPT),
        (24, b"G", Reason.CAPTURE_CORRUPT),
        (576, struct.pack("<Q", HEAP + 8), Reason.CAPTURE_CORRUPT),
        (576, struct.pack("<Q", 1 << 47), Reason.CAPTURE_CORRUPT),
        (576, struct.pack("<Q", HEAP + PAGE_BYTES), Reason.CAPTURE_CORRUPT),
        (584, struct.pack("<I", 8), Reason.CAPTURE_CORRUPT),
        (588, struct.pack("<I", 1), Reason.CAPTURE_CORRUPT),
        (560, struct.pack("<Q", 1 << 60), Reason.CAPTURE_CORRUPT),
    ],
    ids=[
        "newer", "newer-magic", "magic", "page-count", "reserved", "key", "page-misaligned", "page-of-the-kernel",
        "page-twice", "unknown-flag", "page-reserved", "symbol-of-the-kernel",
    ],
)  # fmt: skip
def test_each_wrong_field_has_its_reason(offset: int, value: bytes, reason: Reason) -> None:
    raw = SAMPLE[:offset] + value + SAMPLE[offset + len(value) :]
    with pytest.raises(CaptureError) as error:
        read_capture(raw)
    assert error.value.reason is reason


def test_a_file_is_read_like_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.cap").write_bytes(SAMPLE)
    assert read_capture(tmp_path / "x.cap") == read_capture(SAMPLE)


def test_memory_is_found_by_its_address() -> None:
    made = call(memory=ints(1, 2, 3))
    assert made.at(HEAP + 4, 8) == ints(2, 3)
    assert made.at(HEAP + PAGE_BYTES, 4) is None


# --- counts -----------------------------------------------------------------------------------------


def test_counts_are_read_with_their_words() -> None:
    raw = f"{KEY} f 1000 24 busy=3 over_budget=71\n{KEY} g.part.0 0 0\n".encode()
    assert read_counts(raw) == [
        Counts(KEY, "f", 1000, 24, {"busy": 3, "over_budget": 71}),
        Counts(KEY, "g.part.0", 0, 0, {}),
    ]


@patient
@given(st.binary(max_size=300))
def test_any_bytes_are_counts_or_refused_by_name(raw: bytes) -> None:
    rows = outcome(read_counts, raw)
    assert rows is Reason.CAPTURE_CORRUPT or rows or raw == b""


@patient
@given(st.integers(1, 94))
def test_a_line_without_its_end_is_refused(length: int) -> None:
    with pytest.raises(CaptureError):
        read_counts(f"{KEY} f 1000 24 busy=3 over_budget=71\n".encode()[:length])
