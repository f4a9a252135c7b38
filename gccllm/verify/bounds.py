"""Bounds that no test reaches: a number to compare with that the baseline has not.

Tests run over some ten thousand elements, over millions where the input can be made large (`harvest.large`). A
candidate that clamps a length to 60,000 without a branch passes all of those that are shorter. So a number from 4,096
on that it compares with, or chooses by such a comparison, must be the baseline's: itself, one more or less, a sum or
difference of two, or shifted; masks of a vector's signs are free. From 2^31 - 1 on it is a width, which `widths` and
`harvest.wide` look at.

Not covered: bounds that are computed, or kept in memory; smaller ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from iced_x86 import OpKind

from gccllm.assembly import BodyError
from gccllm.base.reasons import Reason
from gccllm.verify.widths import reached_by
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import full_name
from gccllm.x86.paths import Edges, successors

_MASKS = re.compile(r"V?(?:P?MOVMSK\w+)|KMOV[BWDQ]")
LEAST, END = 4096, (1 << 31) - 1
_IMMEDIATE = frozenset(
    getattr(OpKind, name) for name in ("IMMEDIATE8", "IMMEDIATE16", "IMMEDIATE32", "IMMEDIATE64", "IMMEDIATE8TO16",
                                       "IMMEDIATE8TO32", "IMMEDIATE8TO64", "IMMEDIATE32TO64")
)  # fmt: skip


def check_bounds(code: Code, baseline: Code) -> None:
    """Raises BodyError(FAR_BOUND)."""
    known: set[int] | None = None
    for insn, number in compared(code):
        known = related(baseline) if known is None else known
        if not {number - 1, number, number + 1} & known:
            raise BodyError(Reason.FAR_BOUND, f"{number} in {insn}")


def compared(code: Code) -> Iterator[tuple[Insn, int]]:
    """Every far number that a comparison, or a choice by one, has as an operand: its own, or brought by a move."""
    edges = successors(code)
    for at, insn in enumerate(code.insns):
        number = _immediate(insn)
        if number is None or not LEAST <= abs(number) < END:
            continue
        if insn.mnemonic == "CMP" and not _is_of_mask(code, edges, at):
            yield insn, number
        if insn.mnemonic != "MOV" or insn.raw.op_kind(0) != OpKind.REGISTER:
            continue
        (register,) = insn.effects.writes
        for user in reached_by(code, edges, at, register):
            if register in user.effects.reads and (user.mnemonic == "CMP" or user.mnemonic.startswith("CMOV")):
                yield user, number
                break


def _is_of_mask(code: Code, edges: Edges, at: int) -> bool:
    """Whether what is compared at `at` is a vector's signs, wherever it comes from: all set or not."""
    raw = code.insns[at].raw
    register = full_name(raw.op_register(0)) if raw.op_kind(0) == OpKind.REGISTER else ""
    above: dict[int, list[int]] = {}
    for place, row in enumerate(edges):
        for to in row:
            above.setdefault(to, []).append(place)
    seen: set[int] = set()
    todo = list(above.get(at, ()))
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        if register not in code.insns[here].effects.writes:
            if here == 0:
                return False
            todo += above.get(here, ())
        elif not _MASKS.fullmatch(code.insns[here].mnemonic):
            return False
    return bool(seen)


def related(baseline: Code) -> set[int]:
    """Numbers of the baseline, their sums and differences, shifted ones, and those with another sign."""
    own: set[int] = set()
    for insn in baseline.insns:
        if (number := _immediate(insn)) is not None:
            own.add(number)
        if insn.mnemonic == "LEA" and insn.effects.memory is not None:
            own.add(insn.effects.memory.displacement)
    sums = {a + b for a in own for b in own} | {a - b for a in own for b in own}
    shifted = {number << by for number in own for by in range(1, 9)} | {
        number >> by for number in own for by in (1, 2, 3)
    }
    whole = own | sums | shifted
    return whole | {-number for number in whole}


def _immediate(insn: Insn) -> int | None:
    """Its immediate operand, signed as the operation has it."""
    raw = insn.raw
    for place in range(raw.op_count):
        if raw.op_kind(place) in _IMMEDIATE:
            number = int(raw.immediate(place))
            return number - (1 << 64) if number >= 1 << 63 else number
    return None
