"""The records that pass between the stages. Plain data: no stage's code, no imports from other packages of ours.

Words are those of the design: a *target* is one function under work, its *baseline* gcc's own body; a *candidate* is
untrusted text; a *test* is one input state; an *observation* is what a run did, without judgement; a *verdict* is never
a bool.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gccllm.base.reasons import Reason


@dataclass(frozen=True, slots=True)
class Request:
    """One assembler call of a build, as the shim hands it over."""

    text: str
    """gcc's assembly, latin-1 decoded: every byte is one character."""
    as_argv: tuple[str, ...]
    """The assembler's arguments (without argv[0])."""
    gcc_options: tuple[str, ...]
    """COLLECT_GCC_OPTIONS, unquoted: every option of this compile, response files expanded, no inputs."""
    driver_argv: tuple[str, ...]
    """The driver's own arguments (with inputs), -O3 already added; empty when unknown."""
    compiler: str
    """Path of the real gcc."""
    assembler: str
    """Path of the real as."""
    cwd: Path
    unit_key: str = ""
    """Key of the unit cache, computed by the shim; empty: do not write the unit cache."""
    build: str = ""
    """Which build the compile is part of (`build_budget`); empty: not known."""


# --- tests ----------------------------------------------------------------------------------------

ARENAS = 12
"""Number of test memory arenas."""
ARENA_BYTES = 1 << 16
"""Size of an arena; the pages before and after each are unmapped."""
ARENA_BASE = 0x7F5A_0000_0000
ARENA_STRIDE = 0x100_0000


def arena_address(arena: int) -> int:
    """Address of the first byte of an arena. It ends at `+ ARENA_BYTES`; both neighbours fault."""
    return ARENA_BASE + arena * ARENA_STRIDE


SYMBOL_BASE = 0x2C5D_0080_0000
SYMBOL_STRIDE = 1 << 24


def symbol_address(number: int) -> int:
    """What stands in a test for the address of the data symbol `Test.symbols[number]`: no memory is ever there."""
    return SYMBOL_BASE + number * SYMBOL_STRIDE


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes placed in an arena before the call. What no region covers is filled from `Test.fill`."""

    arena: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class GlobalBytes:
    """Bytes written over a data symbol of the image (unit globals the function touches) before the call."""

    symbol: str
    offset: int
    data: bytes


PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a recorded call, at the address it had in the program; content is that before the call."""

    address: int
    """A multiple of PAGE_BYTES, outside of the replayer's own address map."""
    data: bytes
    """PAGE_BYTES of it. Equal pages of several tests may share one object."""
    is_writable: bool = True
    """Whether the program could write it."""


@dataclass(frozen=True, slots=True)
class Test:
    """One input state. Pointers are addresses in arenas (`arena_address`), data symbols (`symbol_address`) or pages."""

    __test__ = False  # not a pytest class

    ints: tuple[int, ...] = ()
    """Up to six unsigned 64-bit values: rdi, rsi, rdx, rcx, r8, r9. Unused ones are poisoned by the replayer.
    The undefined upper bits of narrow arguments are part of the value: make them junk."""
    int_bytes: tuple[int, ...] = ()
    """Defined low bytes (1, 2, 4, 8) of each of `ints`; the second poison flips what lies above."""
    vectors: tuple[int, ...] = ()
    """Up to eight unsigned 128-bit values: xmm0..xmm7."""
    vector_bytes: tuple[int, ...] = ()
    """Defined low bytes (4, 8, 16) of each of `vectors`, 16 where missing; the second poison flips what lies above."""
    stack: tuple[int, ...] = ()
    """8-byte stack argument slots, first at 8(%rsp) on entry."""
    regions: tuple[Region, ...] = ()
    globals: tuple[GlobalBytes, ...] = ()
    symbols: tuple[str, ...] = ()
    """Data symbols that pointers of this test point into."""
    fill: int = 0
    """Seed of the junk that covers the rest of every used arena."""
    arenas: int = 0
    """Number of arenas in use (0..arenas-1 are mapped, the rest fault)."""
    label: str = ""
    """Input class: `tiny`, `small`, `medium`, `large`, `edge`, `overlap`, `fuzz`, or the harvest's own word."""
    pages: tuple[Page, ...] = ()
    """Memory of a recorded call, by address; disjoint. Around what the function touches lies whatever was there."""
    weight: float = 1.0
    """How many calls of the program this one stands for."""
    mxcsr: int = 0x1F80
    """Rounding (and that of x87 code), flush to zero, denormals are zero: the bits of `layout.MXCSR_MODES`."""
    changes: int = 0
    """Seed of what stubs change in memory, as functions of other units may (`changes.h`); 0: nothing."""
    kept: int = 0
    """A bit for each arena that they leave alone, because `restrict` lets nobody else change it."""
    spare: int = 0
    """The arena that they may move another one to; 0: none. Nothing else points there."""


class Slot(enum.StrEnum):
    """A place where the ABI returns a value."""

    RAX = "rax"
    RDX = "rdx"
    XMM0 = "xmm0"
    XMM1 = "xmm1"
    ST0 = "st0"
    ST1 = "st1"


@dataclass(frozen=True, slots=True)
class Returned:
    """`size` low bytes of `slot` hold (part of) the result; nothing else of the register is compared."""

    slot: Slot
    size: int


class RunStatus(enum.StrEnum):
    OK = "ok"
    FAULT = "fault"  # SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP
    TIMEOUT = "timeout"
    SYSCALL = "syscall"  # refused by the sandbox
    ABI = "abi"  # returned, but rsp, a callee-saved register, DF, MXCSR or the x87 control word is off
    DIED = "died"  # the process is gone


@dataclass(frozen=True, slots=True)
class Observation:
    """What one run of one entry on one test did."""

    status: RunStatus
    signal: int = 0
    fault_address: int = 0
    abi: int = 0
    """Bit mask of `gccllm.sandbox.layout.AbiBit`."""
    returned: Mapping[Slot, bytes] = field(default_factory=dict)
    """Raw register contents: rax, rdx 8 bytes; xmm 16; st 10."""
    memory: bytes = b""
    """128-bit digest of all arenas in use (junk included) and the image's writable data after the call."""
    calls: bytes = b""
    """128-bit digest of the sequence of stubbed calls: callee, arguments, memory at the call."""
    ticks: int = 0
    """Time-stamp-counter ticks of the call itself; for limits, not for timing decisions."""
    fp_flags: int = 0
    """Floating-point exception flags set after the call (they are clear before it), as in MXCSR."""
    errno: int = 0
    """errno after the call; before it is `layout.ERRNO_BEFORE`."""


@dataclass(frozen=True, slots=True)
class CalleeSpec:
    """What the stub of a function of another unit must know. Whatever its type says, the function may change memory."""

    ints: tuple[int, ...] = ()
    """Defined bytes (1, 2, 4, 8) of each argument in an integer register, in order."""
    vectors: tuple[int, ...] = ()
    """4 (float) or 8 (double) for each argument in a vector register, in order."""
    stack: tuple[int, ...] = ()
    """Defined bytes of each 8-byte stack slot."""
    returns: tuple[Returned, ...] = ()
    is_float: bool = False
    """Results in vector registers are `float`, else `double`."""
    is_pure: bool = True
    """False: it takes a pointer through which it may write, or returns one: where its code is known, that runs."""
    returns_pointer: bool = False
    """It returns a pointer, or a result in memory: no stub can do that."""


@dataclass(frozen=True, slots=True)
class FarData:
    """Data of another unit, of which recorded calls say what it holds: an image has `size` bytes in its place."""

    size: int


@dataclass(frozen=True, slots=True)
class FarCode:
    """A function of another unit that runs for real: what it is called with is logged as with a stub."""

    spec: CalleeSpec
    text: str
    """`assembly.slice_text` of it, from the build that recorded."""
    more: tuple[tuple[str, str], ...] = ()
    """(name, text) of the functions of further units that it may come to call."""


External = CalleeSpec | FarData | FarCode
"""What an image puts in the place of an external symbol."""


# --- the function under work ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposer's answer for one function: untrusted until every gate has passed."""

    body: str
    """Body text (see `gccllm.assembly.body`): AT&T instructions, .L labels, then private constants."""
    proposer: str
    """`recompile` or `model`."""
    recipe: str
    """How to get it again: compiler and flags, or model, seed and sample number."""
    dialect: str = "asm"
    answer: str = ""
    """The raw answer, when it is not the body (dialect `c`)."""


class Outcome(enum.StrEnum):
    ACCEPTED = "accepted"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of a candidate. Only `accepted` may change a build."""

    outcome: Outcome
    stage: str
    """`parse`, `assemble`, `screen`, `replay`, `contract`, `adequacy`, `confirm`, `large`, `timing`."""
    reason: Reason | None = None
    detail: str = ""
    """The values compared, e.g. `rax: want 7, got 8`."""
    test: Test | None = None
    """A replayable input that shows it, where the stage has one."""

    @property
    def is_accepted(self) -> bool:
        return self.outcome is Outcome.ACCEPTED

    @property
    def failure(self) -> str | None:
        """Why it is not accepted, in words."""
        if self.is_accepted:
            return None
        return f"{self.reason.label if self.reason else self.outcome}: {self.detail}"


def accepted(stage: str, detail: str = "") -> Verdict:
    return Verdict(Outcome.ACCEPTED, stage, detail=detail)


def refuted(stage: str, reason: Reason, detail: str = "", test: Test | None = None) -> Verdict:
    return Verdict(Outcome.REFUTED, stage, reason, detail, test)


def undecided(stage: str, reason: Reason, detail: str = "") -> Verdict:
    return Verdict(Outcome.UNDECIDED, stage, reason, detail)


@dataclass(frozen=True, slots=True)
class Timing:
    """A measured speed-up: time(baseline) / time(candidate), above 1 is better; medians of paired ratios."""

    speedup: float
    low: float
    """Lower end of the 95% interval of the median (order statistics)."""
    high: float
    classes: Mapping[str, float] = field(default_factory=dict)
    """Speed-up per input class."""
    baseline_ns: float = 0.0
    """Median time of one baseline call, over the classes."""
    aa: float = 1.0
    """The A/A control of the same session: baseline over baseline."""
    rounds: int = 0
    processes: int = 0


class Reasoned(Exception):
    """What ends work for a named reason. Its kinds are caught apart."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.label}: {detail}" if detail else reason.label)
        self.reason = reason
        self.detail = detail


class Decline(Reasoned):
    """A stage ends work on a unit or function for a named reason."""
