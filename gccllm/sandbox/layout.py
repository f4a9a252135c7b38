"""Every address, record format and bit that the replayer and its Python side share.

This module is the specification: `header()` prints the C header `native/layout.h`, and a test holds the two equal.
All records are little-endian and packed as written here; sizes are bytes, times are milliseconds unless named `ticks`
(time-stamp counter).

Address map of the replaying process (its own code is position independent and lies elsewhere):

    CONTROL        one page: scratch slots of stubs and of instrumented code
    IMAGE_IMPORTS  addresses of library functions, for stubs
    LOG            the access log of traced runs; the page behind it is unmapped
    image          code, constants, stubs and writable data of the linked image, each at a fixed offset (`*_AT`) from
                   its base, so that the addresses of a unit's own functions and data do not depend on the candidates
                   linked beside them. The base is like a PIE's; IMAGE_LOW for code that is not position independent
    arenas         see `gccllm.base.core`
    stack          the test stack between two unmapped pages
    pages          those of recorded calls, wherever they were in the program; `is_page_address` says where they may be

Image, arenas and stack lie where the `placement` of the process says; the constants here are the canonical one.

The payload of a LOAD: the contents of pages, each once, PAGE bytes apiece; the addresses of all pages, 8 bytes each,
ascending; then the tests. The number of contents is in the request's `entry`, that of addresses in its `flags`.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Collection
from typing import Final

import numpy as np

from gccllm.base.core import ARENA_BASE, ARENA_BYTES, ARENA_STRIDE, ARENAS

VERSION: Final = 4
PAGE: Final = 4096

CONTROL: Final = 0x1000_0000
IMAGE_IMPORTS: Final = 0x1800_0000
"""Eight-byte slots up to a zero: each the address of a name, which the replayer replaces by that of the function."""
IMAGE_BASE: Final = 0x5598_4000_0000
IMAGE_LOW: Final = 0x2000_0000
TEXT_AT: Final = 0
RODATA_AT: Final = 0x0800_0000
STUBS_AT: Final = 0x0C00_0000
DATA_AT: Final = 0x1000_0000
IMAGE_BYTES: Final = 0x1800_0000
LOG_BASE: Final = 0x4000_0000
LOG_BYTES: Final = 1 << 26
STACK_BASE: Final = 0x7FFD_9C40_0000
STACK_BYTES: Final = 1 << 20
ENTRY_AT: Final = STACK_BYTES - 2048 - 8
STACK_ENTRY: Final = STACK_BASE + ENTRY_AT
"""rsp when the function starts: the return address lies here, stack arguments above it."""

# Slots of the control page, reachable by 32-bit absolute addresses.
SLOT_RETURN: Final = CONTROL + 0x00
SLOT_LOG: Final = CONTROL + 0x08
SLOT_SAVE_A: Final = CONTROL + 0x10
SLOT_SAVE_B: Final = CONTROL + 0x18
SLOT_SAVE_C: Final = CONTROL + 0x20
SLOT_BASE: Final = CONTROL + 0x28
SLOT_OWN_THREAD: Final = CONTROL + 0x30
SLOT_IMAGE_THREAD: Final = CONTROL + 0x38
"""FS_BASE of the replayer, and of an image that has thread-local data."""
SLOT_VECTOR: Final = CONTROL + 0x80

MAX_TESTS: Final = 1 << 15
"""Tests in one request; `replay.run` splits longer lists."""
PAYLOAD_BYTES: Final = 1 << 28
MAX_IMAGE_DATA: Final = 1 << 20
"""Writable data of an image: it is reset and digested for every test."""
MAX_PAGES: Final = 1 << 15
"""Addresses of pages in one LOAD: 128 MiB."""
PAGE_FIRST: Final = 1 << 16
PAGE_END: Final = 0x7FFF_FFFF_F000
"""Recorded pages lie in between: the user's half of the address space, above what the kernel keeps unmapped."""
MAX_CALLS: Final = 1024
"""Logged calls in one test; one more ends it as a timeout."""
MAX_CALLEES: Final = 256
TICK_MS: Final = 4
"""Period of the CPU-time interval timer; time limits are rounded up to it."""
TIMING_TICK_MS: Final = 200
"""The same in timed runs, where every tick disturbs a sample."""
MAX_TIMED: Final = 1024
"""Tests in one timing request."""
MAX_TIMED_CALLS: Final = 2048
"""Calls in one sample."""
MAX_TIMED_PAGES: Final = 1 << 16
"""Pages of all the tests of one timing request, each test's own counted."""
MAX_COPIES: Final = 16
MXCSR_DEFAULT: Final = 0x1F80
MXCSR_MODES: Final = 0xE040
"""The bits that a test may set: rounding, flush to zero, denormals are zero. All exceptions stay masked."""
X87_DEFAULT: Final = 0x37F
FP_FLAGS: Final = 0x3D
"""Sticky exception flags, of MXCSR as of the x87 status word. Not that of denormal operands: no standard has it."""
ERRNO_BEFORE: Final = 7777


class RequestKind(enum.IntEnum):
    LOAD = 1  # payload: pages and test records; kept until the next LOAD
    RUN = 2  # run one entry on all loaded tests
    TIME = 3  # payload: pairs to time; see `timing.h`
    CALLEES = 4  # payload: CALLEE records


class Flag(enum.IntFlag):
    POISON = 1  # the second pattern of junk in dead registers
    FORK_EACH = 2  # one child process per test
    TRACE = 4  # send the log


class Status(enum.IntEnum):
    DIED = 0
    OK = 1
    FAULT = 2
    TIMEOUT = 3
    SYSCALL = 4
    ABI = 5
    SKIPPED = 6  # not run: `give_up_after` time-outs came before


class AbiBit(enum.IntFlag):
    """What `Observation.abi` says is wrong."""

    RSP = 1
    RBX = 2
    RBP = 4
    R12 = 8
    R13 = 16
    R14 = 32
    R15 = 64
    DF = 128
    MXCSR = 256
    X87_CONTROL = 512
    X87_STACK = 1024
    CALLER_FRAME = 2048  # bytes above the stack arguments were written
    CALL_ALIGNMENT = 4096  # rsp not 16-byte aligned, or DF set, at a call


class Error(enum.IntEnum):
    """Why the replayer could not do a request at all."""

    NONE = 0
    SANDBOX = 3
    BAD_REQUEST = 4
    MEMORY = 5
    COLLISION = 6  # a recorded page lies where this process has memory of its own


class Event(enum.IntEnum):
    """Low four bits of `site` in a LOG entry. Bits 4..15 are the width in bytes, bits 16.. the line or block.

    READ, WRITE, BOTH touch `width` bytes at `address`. With the RANGE bit they touch width * length bytes. Without it,
    length 0 is a plain access; else the entry before is a MASK whose address field is the mask of lanes, and length is
    the bytes of a lane, plus PACKED when the lanes in use lie side by side. Gathers and scatters: a MASK, then an entry
    for each lane with length LANE plus its number << 16.
    """

    READ = 1
    WRITE = 2
    BOTH = 3
    BLOCK = 4  # a basic block begins
    ENTER = 5  # the function begins (recursion enters again)
    LEAVE = 6  # the function ends
    MASK = 7
    RANGE = 8


PACKED: Final = 0x100
LANE: Final = 0x200
SITE_READ: Final = Event.READ | Event.RANGE | 1 << 4
"""`site` of a library call's entry: `length` bytes were read."""
SITE_WRITE: Final = Event.WRITE | Event.RANGE | 1 << 4


REQUEST: Final = struct.Struct("<IIQIIIIQ")
"""magic, kind, entry, flags, deadline_ms, give_up_after, x87 results, payload bytes."""
REPLY: Final = struct.Struct("<IIIIQ")
"""magic, error, observations, 0, log bytes."""
REQUEST_MAGIC: Final = 0x47435251
REPLY_MAGIC: Final = 0x47435250

TEST: Final = struct.Struct("<IIIIIIQ6Q16B16QIIII")
"""record bytes, arenas, stack slots, patches, pages, 0, fill, ints, defined bytes of six ints (0: unused), two zeros,
defined bytes of eight vectors (0: unused), vectors as pairs of words, MXCSR, a bit for each arena that no stub changes,
how stubs change memory (0: not at all; see `changes.h`), the arena that they may move another to (0: none). Then the
stack slots, the patches, the pages."""
PATCH: Final = struct.Struct("<QQ")
"""address, bytes; the data follows, padded to 8. Patches are applied in order."""
PAGE_REF: Final = struct.Struct("<IIII")
"""number of the address, number of the content, 1 when the program could write the page, 0. Ascending addresses."""
CALLEE: Final = struct.Struct("<I6B8B16BBBBBBBQ")
"""stack arguments; defined bytes of the integer registers (0: unused), of the vector registers, of the stack slots;
bytes returned in rax, rdx, xmm0, xmm1; 1 when the vector results are of `float`; 0; the address of the function itself
where it is to run, else 0."""

OBSERVATION: Final = np.dtype([
    ("status", "<u4"), ("signal", "<u4"), ("fault", "<u8"), ("abi", "<u4"), ("calls_made", "<u4"),
    ("rax", "<u8"), ("rdx", "<u8"), ("xmm0", "<u8", 2), ("xmm1", "<u8", 2), ("st0", "<u8", 2), ("st1", "<u8", 2),
    ("memory", "<u8", 2), ("calls", "<u8", 2), ("ticks", "<u8"), ("log_start", "<u8"), ("log_end", "<u8"),
    ("fp_flags", "<u4"), ("error", "<u4"),
])  # fmt: skip
"""`fp_flags`: exception flags that the call left set; `error`: errno, which was ERRNO_BEFORE."""
TIME: Final = struct.Struct("<IIIIQQQ32Q")
"""rounds, passes over the tests of a round, copies of the first function, of the second, seed, ticks that a pass should
take, entry of an empty function, then addresses of the copies: MAX_COPIES of the first (the later half is the
control's), MAX_COPIES of the second."""
SAMPLE: Final = np.dtype([
    ("first", "<u8"), ("second", "<u8"), ("control", "<u8"), ("calls", "<u8"), ("empty", "<u8"),
])  # fmt: skip
"""One round: ticks of the first function, the second, another copy of the first, each the sum over `calls` calls;
`empty` is what one call of an empty function takes. Sent in the place of the log."""
LOG: Final = np.dtype([("site", "<u4"), ("length", "<u4"), ("address", "<u8")])

# Library functions that have no state and whose answer depends on their arguments and the memory these name only. They
# run for real, from the replayer's own static copy.
MEMORY_FUNCTIONS: Final = (
    "bcmp", "memchr", "memcmp", "memcpy", "memmem", "memmove", "mempcpy", "memrchr", "memset", "rawmemchr", "stpcpy",
    "strcasecmp", "strcat", "strchr", "strchrnul", "strcmp", "strcpy", "strcspn", "strlen", "strncasecmp", "strncat",
    "strncmp", "strncpy", "strnlen", "strpbrk", "strrchr", "strspn", "strstr",
)  # fmt: skip
CTYPE_FUNCTIONS: Final = (
    "__ctype_b_loc", "__ctype_tolower_loc", "__ctype_toupper_loc", "isalnum", "isalpha", "isblank", "iscntrl",
    "isdigit", "isgraph", "islower", "isprint", "ispunct", "isspace", "isupper", "isxdigit", "tolower", "toupper",
)  # fmt: skip
MATH_FUNCTIONS: Final = tuple(
    name + suffix
    for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign", "cos", "cosh", "erf",
        "erfc", "exp", "exp2", "expm1", "fabs", "fdim", "floor", "fma", "fmax", "fmin", "fmod", "frexp", "hypot",
        "ilogb", "ldexp", "llrint", "llround", "log", "log10", "log1p", "log2", "logb", "lrint", "lround", "modf",
        "nearbyint", "nextafter", "pow", "remainder", "rint", "round", "roundeven", "scalbln", "scalbn", "sin",
        "sincos", "sinh", "sqrt", "tan", "tanh", "trunc",
    )
    for suffix in ("", "f")
)  # fmt: skip
OTHER_FUNCTIONS: Final = ("abs", "ffs", "ffsl", "ffsll", "labs", "llabs")
CHECKED_COPIES: Final = (
    "__memcpy_chk", "__memmove_chk", "__memset_chk", "__strcat_chk", "__strcpy_chk", "__strncpy_chk",
)  # fmt: skip
IMPORTS: Final = tuple(sorted(MEMORY_FUNCTIONS + CTYPE_FUNCTIONS + MATH_FUNCTIONS + OTHER_FUNCTIONS + CHECKED_COPIES))
TRACED_PREFIX: Final = "gccllm_traced_"
"""`gccllm_traced_memcpy` logs the ranges it touches, then is memcpy. Exists for `TRACED_IMPORTS`."""
TRACED_IMPORTS: Final = tuple(sorted(MEMORY_FUNCTIONS + CHECKED_COPIES))
HOOKS: Final = ("gccllm_log_call", "gccllm_poison_return")
"""Entry points of the replayer itself that stubs jump to, imported like library functions."""


_RESERVED: Final = (
    (CONTROL, CONTROL + PAGE),
    (IMAGE_IMPORTS, IMAGE_LOW + IMAGE_BYTES),
    (IMAGE_BASE, IMAGE_BASE + IMAGE_BYTES),
    (LOG_BASE, LOG_BASE + LOG_BYTES + PAGE),
    (ARENA_BASE - PAGE, ARENA_BASE + ARENAS * ARENA_STRIDE),
    (STACK_BASE - PAGE, STACK_BASE + STACK_BYTES + PAGE),
)
"""What the address map above takes, with the pages that must stay unmapped."""


def is_page_address(address: int) -> bool:
    """Whether a page may be mapped there: aligned, in the user's half, outside of the fixed address map."""
    return not len(no_page_addresses((address,)))


def no_page_addresses(addresses: Collection[int]) -> list[int]:
    """Those of the addresses at which no page may be mapped."""
    if any(not PAGE_FIRST <= address < PAGE_END for address in (min(addresses), max(addresses))):
        return [address for address in addresses if not PAGE_FIRST <= address < PAGE_END]
    at = np.fromiter(addresses, np.uint64, len(addresses))
    bad = at % PAGE != 0
    for low, high in _RESERVED:
        bad |= (at >= low) & (at < high)
    return [int(address) for address in at[bad]]


def is_image_data(address: int) -> bool:
    """Whether the writable data of an image is there, high or low, in the canonical placement."""
    return any(base + DATA_AT <= address < base + IMAGE_BYTES for base in (IMAGE_BASE, IMAGE_LOW))


def is_image(address: int) -> bool:
    """Whether any part of an image is there, in the canonical placement."""
    return any(base <= address < base + IMAGE_BYTES for base in (IMAGE_BASE, IMAGE_LOW))


def imports_header() -> str:
    """The C header `native/imports.h`: one X(name) line a library function, one T(name) line a traced one."""
    lines = ["/* Generated by gccllm/sandbox/layout.py, the specification; a test compares the two. */"]
    lines += [f"X({name})" for name in IMPORTS]
    lines += [f"T({name})" for name in TRACED_IMPORTS]
    return "\n".join(lines) + "\n"


def header() -> str:
    """The C header `native/layout.h`."""
    placed = {"ARENA_BASE", "ARENA_STRIDE", "STACK_BASE", "STACK_ENTRY", "IMAGE_BASE", "IMAGE_LOW"}
    numbers: list[tuple[str, int]] = [
        (name, value)
        for name, value in globals().items()
        if name.isupper() and isinstance(value, int) and not name.startswith("_") and name not in placed
    ]
    numbers += [("ARENAS", ARENAS), ("ARENA_BYTES", ARENA_BYTES)]
    numbers += [("TEST_BYTES", TEST.size), ("CALLEE_BYTES", CALLEE.size)]
    numbers += [("PAGE_REF_BYTES", PAGE_REF.size)]
    numbers += [("OBSERVATION_BYTES", OBSERVATION.itemsize), ("REQUEST_BYTES", REQUEST.size)]
    numbers += [("REPLY_BYTES", REPLY.size), ("LOG_ENTRY_BYTES", LOG.itemsize)]
    numbers += [("TIME_BYTES", TIME.size), ("SAMPLE_BYTES", SAMPLE.itemsize)]
    for prefix, members in (
        ("KIND", RequestKind), ("FLAG", Flag), ("STATUS", Status), ("ABI", AbiBit), ("ERROR", Error),
    ):  # fmt: skip
        numbers += [(f"{prefix}_{member.name}", int(member)) for member in members]
    seen: dict[str, int] = {}
    for name, value in numbers:
        seen.setdefault(name, value)
    lines = ["/* Generated by gccllm/sandbox/layout.py, the specification; a test compares the two. */", "#pragma once"]
    lines += [f"#define {name} {value:#x}{'' if value < 1 << 31 else 'ul'}" for name, value in seen.items()]
    return "\n".join(lines) + "\n"
