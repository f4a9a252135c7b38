"""What `abi_flow` knows before an instruction: values of general registers, what is undefined, what is dirty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gccllm.x86.convention import Convention
from gccllm.x86.effects import ARITHMETIC_FLAGS
from gccllm.x86.registers import GENERAL, MASKS, VECTORS

FLAGS = "FLAGS"
RED_ZONE_BYTES = 128

Value = tuple[Any, ...]
DEFINED: Value = ("defined",)
UNDEFINED_AT_ENTRY: Value = ("undefined", "at entry")
UNDEFINED_AFTER_CALL: Value = ("undefined", "after a call")
# ("kept", register)            what a preserved register held at entry
# ("stack", frame, offset)      an address: `offset` above rsp at entry, or above a realigned rsp
# ("table" | "step" | "targets", section, offset)   a jump table, an entry of it, the code it leads to
# ("function", symbol)          an address loaded from the global offset table

ENTRY_FRAME = "entry"


@dataclass(slots=True)
class State:
    """What is known before an instruction, over all paths to it."""

    general: dict[str, Value]
    slots: dict[tuple[object, int], Value]
    """(frame, offset) of 8-byte stack slots that hold something worth following."""
    undefined: frozenset[str]
    """Vector and mask registers that may be undefined."""
    flags: int
    """Flags that may be undefined."""
    dirty: bool = False
    red: bool = False
    x87: int | None = 0
    framed: bool = False
    """rbp was made by `mov %rsp, %rbp`: gcc's unwind rows count from it then."""

    def copy(self) -> State:
        return replace(self, general=dict(self.general), slots=dict(self.slots))


def meet(a: Value, b: Value) -> Value:
    if a == b:
        return a
    for value in (a, b):
        if value[0] == "undefined":
            return value
    return UNDEFINED_AT_ENTRY if "kept" in (a[0], b[0]) else DEFINED


def merge(old: State | None, new: State) -> State | None:
    """The join of both, or None when `old` already says it."""
    if old is None:
        return new.copy()
    joined = State(
        {r: meet(old.general[r], new.general[r]) for r in GENERAL},
        {k: meet(v, new.slots[k]) for k, v in old.slots.items() if k in new.slots},
        old.undefined | new.undefined,
        old.flags | new.flags,
        old.dirty or new.dirty,
        old.red or new.red,
        old.x87 if old.x87 == new.x87 else None,
        old.framed and new.framed,
    )
    return None if joined == old else joined


def entry_state(convention: Convention) -> State:
    general: dict[str, Value] = {}
    for register in GENERAL:
        if register in convention.preserved:
            general[register] = ("kept", register)
        else:
            general[register] = DEFINED if register in convention.live_in else UNDEFINED_AT_ENTRY
    general["RSP"] = ("stack", ENTRY_FRAME, 0)
    return State(general, {}, frozenset({*VECTORS, *MASKS}) - convention.live_in, ARITHMETIC_FLAGS)
