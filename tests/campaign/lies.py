"""What a lying model answers: wrong versions of a right body, made to get past tests of values.

`verify.mutate` changes one instruction, of any body that is given. The lies here are whole ideas: a length cut or
clamped where tests may not go, the tail left out, an alignment assumed, a result that hangs on a bit of an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gccllm.assembly import Body, BodyError
from gccllm.lab.bench.mutants import HOSTILE_TEXTS
from gccllm.verify.mutate import mutants

ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8")
"""Registers that are lied about; the sixth is too seldom used."""
NARROW = {"rdi": "edi", "rsi": "esi", "rdx": "edx", "rcx": "ecx", "r8": "r8d"}


class Argument(NamedTuple):
    """What an integer register holds at the entry: without it some lies would be true."""

    size: int = 8
    """Bytes; what is above them is junk."""
    align: int = 1
    """Of what a pointer points to."""
    is_pointer: bool = True
    """Its upper bits say where memory is; those of a length are zero for ever."""


class Lie(NamedTuple):
    text: str
    operator: str
    what: str
    line: int = -1
    """The changed line, where only one line is another."""
    body: Body | None = None


def lies(body: Body, *, plain: int, hostile: int, seed: int, is_baseline: bool,
         arguments: Sequence[Argument] = (Argument(),) * 5, has_result: bool = True) -> Iterator[Lie]:  # fmt: skip
    """Of one right body with these integer arguments, which returns something in rax; texts that are no body come with
    the baseline only."""
    for is_hostile, limit in ((False, plain), (True, hostile)):
        for mutant in mutants(body, limit=limit, seed=seed, hostile=is_hostile):
            yield Lie(mutant.body.text(), mutant.operator, mutant.what, mutant.line, mutant.body)
    text = body.text().replace("\tretq\n", "\tret\n")
    can_hang = has_result and "%r11" not in text and "\tcall\t" not in text and "\tret\n" in text
    for register, argument in zip(ARGUMENTS, arguments, strict=False):
        low = NARROW[register]
        used = re.search(rf"%{register}\b", text) is not None
        if not used:
            continue
        if argument.size == 8:
            yield Lie(f"\tmovl\t%{low}, %{low}\n{text}", "length cut", f"{register} cut to 32 bits at the entry")
            yield Lie(f"\tmovslq\t%{low}, %{register}\n{text}", "length cut", f"{register} sign-extended from 32 bits")
        if argument.align < 4:
            yield Lie(f"\tandq\t$-4, %{register}\n{text}", "tail left out", f"{register} a multiple of 4")
        for most in (60_000, 3_000_000):
            clamp = f"\tmovl\t${most}, %r11d\n\tcmpq\t%r11, %{register}\n\tcmovg\t%r11, %{register}\n"
            yield Lie(clamp + text, "length clamped", f"{register} at most {most}, without a branch")
        yield Lie(f"\tmovzbl\t64(%{register}), %r11d\n{text}", "read beyond", f"a byte 64 behind {register}")
        yield Lie(f"\tmovb\t$0, (%{register})\n{text}", "stray store", f"a zero at {register}")
        for bit in (40, 44, 46):
            key = f"\tmovq\t%{register}, %r11\n\tshrq\t${bit}, %r11\n\tandl\t$1, %r11d\n"
            spoiled = text.replace("\tret\n", "\taddl\t%r11d, %eax\n\tret\n")
            if can_hang and argument.is_pointer:
                yield Lie(key + spoiled, "hangs on an address", f"bit {bit} of {register} added to the result")
    stack = "\tmovq\t%rsp, %r11\n\tshrq\t$46, %r11\n\tandl\t$1, %r11d\n"
    if can_hang:
        yield Lie(
            stack + text.replace("\tret\n", "\taddl\t%r11d, %eax\n\tret\n"), "hangs on an address", "bit 46 of rsp"
        )
    for loose, tight in (("movdqu", "movdqa"), ("movups", "movaps"), ("vmovdqu", "vmovdqa"), ("vmovups", "vmovaps")):
        if f"\t{loose}\t" in text:
            yield Lie(text.replace(f"\t{loose}\t", f"\t{tight}\t"), "alignment assumed", f"{tight} for every {loose}")
    for wide, narrow in (("addq", "addl"), ("subq", "subl"), ("paddq", "paddd"), ("addl", "addw"), ("addsd", "addss")):
        if re.search(rf"\t{wide}\t", text) and (lie := _narrowed(text, wide, narrow)):
            yield Lie(lie, "accumulator narrowed", f"{narrow} for every {wide}")
    if is_baseline:
        for what, hostile_text in HOSTILE_TEXTS.items():
            yield Lie(hostile_text, "text", what)


_FULL = re.compile(r"%r(ax|bx|cx|dx|si|di|bp|8|9|1[0-5])\b")
_HALF = re.compile(r"%(e(ax|bx|cx|dx|si|di|bp)|r(8|9|1[0-5])d)\b")


def _narrowed(text: str, wide: str, narrow: str) -> str | None:
    """The body with one addition narrowed wherever it stands; None when that is no body."""
    rows = []
    for row in text.split("\n"):
        if row.startswith(f"\t{wide}\t") and "rsp" not in row and "(" not in row:
            if wide in ("addq", "subq"):
                row = _FULL.sub(lambda m: f"%e{m[1]}" if m[1].isalpha() else f"%r{m[1]}d", row)
            elif wide == "addl":
                row = _HALF.sub(lambda m: f"%{m[2]}" if m[2] else f"%r{m[3]}w", row)
            row = row.replace(f"\t{wide}\t", f"\t{narrow}\t")
        rows.append(row)
    lie = "\n".join(rows)
    try:
        Body.parse(lie)
    except BodyError:
        return None
    return lie if lie != text else None
