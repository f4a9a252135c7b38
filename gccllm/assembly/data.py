"""Private data of a body: constants, the directives they are made of, and what is known of their addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gccllm.assembly.syntax import BodyError, has_numeric_label, normal_operand, split_commas, symbols
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason

_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)")
_STRING = re.compile(r'"(?:[^"\\]|\\[0-7]{1,3}|\\x[0-9a-fA-F]{1,2}|\\[bfnrt"\\])*"', re.DOTALL)
_SECTION = re.compile(r"\.(rodata|data\.rel\.ro)(?:\.[A-Za-z0-9_.$\x80-\xff]*)?")

# Directive -> (name we print, bytes a value). Strings are counted by length.
DATA = {
    ".byte": (".byte", 1),
    ".value": (".value", 2), ".short": (".value", 2), ".hword": (".value", 2), ".2byte": (".value", 2),
    ".word": (".value", 2),
    ".long": (".long", 4), ".int": (".long", 4), ".4byte": (".long", 4),
    ".quad": (".quad", 8), ".8byte": (".quad", 8),
    ".zero": (".zero", 0), ".skip": (".zero", 0), ".space": (".zero", 0),
    ".string": (".string", 1), ".asciz": (".string", 1), ".ascii": (".ascii", 1),
}  # fmt: skip
STRINGS = (".string", ".ascii")
"""Directives whose argument is a string, in the names that we print."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Private read-only data. `directives` are (name, arguments) such as (".long", "7") or (".long", ".L4-.L3")."""

    label: str
    directives: tuple[tuple[str, str], ...]
    align: int = 1
    section: str = ".rodata"
    """`.rodata`, or `.data.rel.ro` for tables of addresses in position-independent code."""

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(name for directive, args in self.directives if directive not in STRINGS for name in symbols(args))

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(_data_size(name, args) for name, args in self.directives)

    def text(self, known: int = 1) -> str:
        """`known`: what its address is a multiple of anyway; more than it asks for is denied, or a reader would take
        it for asked."""
        rows = [f"\t.align\t{self.align}"] if self.align > 1 or known > 1 else []
        rows.append(f"{self.label}:")
        rows.extend(f"\t{name}\t{args}" for name, args in self.directives)
        return "\n".join(rows)


def data(name: str, args: str) -> list[tuple[str, str]]:
    """A data directive as (name, argument) pairs, one a value, in our own spelling.

    Raises BodyError(DIRECTIVE) for other directives and for forms that are not allowed.
    """
    if name not in DATA:
        raise BodyError(Reason.DIRECTIVE, name[:40])
    ours, _ = DATA[name]
    out: list[tuple[str, str]] = []
    parts = split_commas(args)
    if ours == ".zero":
        if len(parts) == 2 and parts[1] == "0":
            parts.pop()
        if len(parts) != 1 or not re.fullmatch(r"[0-9]{1,7}", parts[0]):
            raise BodyError(Reason.DIRECTIVE, f"{name} {args}"[:80])
    for part in parts:
        if ours in STRINGS:
            if not _STRING.fullmatch(part):
                raise BodyError(Reason.DIRECTIVE, f"{name} {part}"[:80])
            out.append((ours, part))
            continue
        value = normal_operand(part)
        if not _INTEGER.fullmatch(value):
            if not re.fullmatch(r"[A-Za-z0-9_.$@+\-\x80-\xff]+", value) or has_numeric_label(value):
                raise BodyError(Reason.DIRECTIVE, f"{name} {part}"[:80])
            if "." in symbols(value):
                raise BodyError(Reason.DIRECTIVE, f"location counter: {part}"[:80])
        out.append((ours, value))
    return out


def data_bytes(name: str, args: str) -> int:
    """What a data directive adds. Raises BodyError, KeyError or ValueError for one that is not understood."""
    return sum(_data_size(*pair) for pair in data(name, args))


def _data_size(name: str, args: str) -> int:
    if name == ".zero":
        return int(args)
    if name in STRINGS:
        plain = re.sub(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", "_", args[1:-1])
        return len(plain) + (name == ".string")
    return DATA[name][1]


def alignment(name: str, args: str) -> int:
    """Bytes that `.align`, `.balign` or `.p2align` asks for. Raises BodyError(DIRECTIVE)."""
    first = args.split(",", 1)[0].strip(" \t")
    if not re.fullmatch(r"[0-9]{1,4}", first):
        raise BodyError(Reason.DIRECTIVE, f"{name} {args}"[:80])
    value = int(first)
    if name == ".p2align":
        value = 1 << value if value <= 12 else LIMITS.body_alignment_bytes + 1
    value = max(value, 1)
    if value > LIMITS.body_alignment_bytes or value & (value - 1):
        raise BodyError(Reason.DIRECTIVE, f"{name} {args}"[:80])
    return value


class Place:
    """What is known of the address at which the next byte of a section lies: a multiple of `known`.

    Compilers align the first of several constants and put others of the same size behind it.
    """

    def __init__(self, base: int = 1) -> None:
        self.base, self.offset = base, 0

    def align(self, bytes_: int) -> None:
        if self.base >= bytes_:
            self.offset = -(-self.offset // bytes_) * bytes_
        else:
            self.base, self.offset = bytes_, 0

    def pass_over(self, name: str, args: str) -> None:
        """A data directive. One that is not understood leaves nothing known."""
        try:
            self.offset += data_bytes(name, args)
        except (BodyError, KeyError, ValueError):
            self.base, self.offset = 1, 0

    @property
    def known(self) -> int:
        return min(self.base, self.offset & -self.offset) if self.offset else self.base


def constant_section(name: str) -> str:
    """Our section for a constant: `.rodata` or `.data.rel.ro`; "" when it is neither."""
    match = _SECTION.fullmatch(name)
    return f".{match[1]}" if match else ""
