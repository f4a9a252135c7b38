"""The registers of x86-64: their names and numbers, and what the System V psABI uses them for.

One row a register. A register goes by its full name in capitals (`RDI`, `ZMM3`, `K1`), as iced-x86 spells it; the
names of its parts are as an assembler wants them. A test holds the rows to what the assembler and iced-x86 make of
them.

Not covered: x87 and MMX registers, segment and control registers, rip.

Source: System V psABI for AMD64, sections 3.2 and 3.6.2 (figure 3.36).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Row(NamedTuple):
    """One register."""

    parts: tuple[str, ...]
    """Names of the whole and of its low parts, the widest first."""
    number: int
    """In the encoding of an instruction."""
    dwarf: int
    argument: int | None = None
    """It holds the argument of this number, counted among integers or among vectors."""
    result: int | None = None
    is_preserved: bool = False
    """A function leaves it as it was."""
    high: str = ""
    """Name of bits 8 to 15."""

    @property
    def name(self) -> str:
        return self.parts[0].upper()


# fmt: off
GENERAL_ROWS = (
    Row(("rax", "eax", "ax", "al"), 0, 0, result=0, high="ah"),
    Row(("rcx", "ecx", "cx", "cl"), 1, 2, argument=3, high="ch"),
    Row(("rdx", "edx", "dx", "dl"), 2, 1, argument=2, result=1, high="dh"),
    Row(("rbx", "ebx", "bx", "bl"), 3, 3, is_preserved=True, high="bh"),
    Row(("rsp", "esp", "sp", "spl"), 4, 7, is_preserved=True),
    Row(("rbp", "ebp", "bp", "bpl"), 5, 6, is_preserved=True),
    Row(("rsi", "esi", "si", "sil"), 6, 4, argument=1),
    Row(("rdi", "edi", "di", "dil"), 7, 5, argument=0),
    Row(("r8", "r8d", "r8w", "r8b"), 8, 8, argument=4),
    Row(("r9", "r9d", "r9w", "r9b"), 9, 9, argument=5),
    *(Row((f"r{i}", f"r{i}d", f"r{i}w", f"r{i}b"), i, i, is_preserved=i >= 12) for i in range(10, 16)),
)
VECTOR_ROWS = tuple(
    Row((f"zmm{i}", f"ymm{i}", f"xmm{i}"), i, 17 + i if i < 16 else 51 + i,
        argument=i if i < 8 else None, result=i if i < 2 else None)
    for i in range(32)
)
MASK_ROWS = tuple(Row((f"k{i}",), i, 118 + i) for i in range(8))
# fmt: on


def _names(rows: tuple[Row, ...]) -> tuple[str, ...]:
    return tuple(row.name for row in rows)


GENERAL = _names(GENERAL_ROWS)
VECTORS = _names(VECTOR_ROWS)
MASKS = _names(MASK_ROWS)
DWARF: Mapping[str, int] = {row.name: row.dwarf for row in (*GENERAL_ROWS, *VECTOR_ROWS, *MASK_ROWS)}


class Part(NamedTuple):
    """What an operand names: so many bytes of a register, from `first` on."""

    register: str
    size: int
    first: int = 0


PARTS: Mapping[str, Part] = {
    f"%{name}": Part(row.name, size)
    for rows, sizes in ((GENERAL_ROWS, (8, 4, 2, 1)), (VECTOR_ROWS, (64, 32, 16)), (MASK_ROWS, (8,)))
    for row in rows
    for name, size in zip(row.parts, sizes, strict=True)
} | {f"%{row.high}": Part(row.name, 1, first=1) for row in GENERAL_ROWS if row.high}
"""By AT&T operand (`%edi`)."""
_SPELLED: Mapping[Part, str] = {part: operand for operand, part in PARTS.items()}


def att(register: str, size: int = 8) -> str:
    """The AT&T operand for the low `size` bytes of a register: `%edi` of RDI and 4."""
    return _SPELLED[Part(register, size)]
