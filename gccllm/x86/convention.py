"""What code and its surroundings agree on where it is entered and left.

    live-in     registers and stack slots that hold a value at the entry
    exits       the ways out, each with what is looked at behind it
    preserved   registers that are at every exit as they were at the entry
    frame       whose the memory below the stack pointer is

A function under the System V psABI is one instance, made of its signature (`harvest.abi.convention_of`). A clone is
another made the same way: gcc's private arrangements are off, so its signature is all that differs. A part of a
function's body would have several exits, every register that it leaves alone among the preserved, and a frame that is
the surrounding code's memory.

Source: System V psABI for AMD64, section 3.2.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gccllm.x86.registers import GENERAL_ROWS, MASK_ROWS, VECTOR_ROWS, Row


def _in_order(rows: tuple[Row, ...], role: str) -> tuple[str, ...]:
    """Names of the registers with a role, by the number they have in it."""
    chosen = [row for row in rows if getattr(row, role) is not None]
    return tuple(row.name for row in sorted(chosen, key=lambda row: int(getattr(row, role))))


INTEGER_ARGUMENTS = _in_order(GENERAL_ROWS, "argument")
VECTOR_ARGUMENTS = _in_order(VECTOR_ROWS, "argument")
CALL_RESULTS = frozenset((*_in_order(GENERAL_ROWS, "result"), *_in_order(VECTOR_ROWS, "result")))
CALLEE_SAVED = tuple(row.name for row in GENERAL_ROWS if row.is_preserved and row.name != "RSP")
"""The stack pointer is another matter: what it has to be at a return, a call decides."""
CALLER_SAVED = frozenset(row.name for row in (*GENERAL_ROWS, *VECTOR_ROWS, *MASK_ROWS) if not row.is_preserved)
"""What a call may clobber, the flags not counted."""
ARGUMENTS: Mapping[str, tuple[str, ...]] = {"int": INTEGER_ARGUMENTS, "vector": VECTOR_ARGUMENTS}
"""Registers that arguments are passed in, by file, in order."""


class Frame(enum.Enum):
    """Whose the memory below the stack pointer at the entry is."""

    OWN = "the code's own, and nobody's behind an exit"


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out: register -> low bytes of it that are looked at behind it."""

    live_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Convention:
    """`live_in` and the like name whole registers (RDI, ZMM0). The stack pointer is in none of them."""

    live_in: frozenset[str] = frozenset()
    pointers: frozenset[str] = frozenset()
    """Those of `live_in` that hold addresses."""
    stack_in: int = 0
    """Eightbytes above the return address that hold a value."""
    exits: tuple[Exit, ...] = (Exit(),)
    preserved: tuple[str, ...] = CALLEE_SAVED
    frame: Frame = Frame.OWN

    @property
    def live_out(self) -> Mapping[str, int]:
        """Of all exits together."""
        out: dict[str, int] = {}
        for one in self.exits:
            for register, size in one.live_out.items():
                out[register] = max(size, out.get(register, 0))
        return out

    def with_live_in(self, registers: frozenset[str]) -> Convention:
        """The same with these registers holding a value, and no others."""
        return replace(self, live_in=registers)


SYSV = Convention(
    frozenset((*INTEGER_ARGUMENTS, *VECTOR_ARGUMENTS)), exits=(Exit(dict.fromkeys(sorted(CALL_RESULTS), 8)),)
)
"""What a function of unknown signature may be given in registers, and may return."""


def integer_result(size: int) -> Exit:
    """A return of an integer, or two, of `size` bytes together."""
    parts = zip(_in_order(GENERAL_ROWS, "result"), (min(size, 8), max(size - 8, 0)), strict=True)
    return Exit({register: part for register, part in parts if part})
