"""Sections as directives switch between them, and statements in their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gccllm.assembly.data import DATA
from gccllm.assembly.syntax import Statement, split_commas, words

DATA_DIRECTIVES = frozenset(DATA) | frozenset(
    (".uleb128", ".sleb128", ".octa", ".float", ".double", ".single", ".fill", ".dc.a", ".nops")
)

_AROUND = frozenset(
    words(
        """.align .balign .p2align .type .size .globl .global .weak .weakref .local .hidden .internal .protected .comm
        .lcomm .set .equ .equiv .symver .section .text .data .bss .pushsection .popsection .previous .file .ident
        .loc"""
    )
)


def is_known(directive: str) -> bool:
    """Whether it is known what a directive adds to data: an object is the sum of what stands in it."""
    return directive in DATA_DIRECTIVES or directive in _AROUND or directive.startswith(".cfi_")


class NotLossless(ValueError):
    """The text cannot be parsed such that printing it gives the same text, or its meaning is not plain."""


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    flags: str = ""
    kind: str = ""
    group: str = ""
    """COMDAT group, or ""."""
    directive: str = ""
    """Text that switches to it again."""

    @property
    def is_code(self) -> bool:
        return "x" in self.flags or self.name == ".text" or self.name.startswith(".text.")

    @property
    def is_allocated(self) -> bool:
        return "a" in self.flags or self.name in (".text", ".data", ".bss")

    @property
    def is_writable(self) -> bool:
        return "w" in self.flags or self.name in (".data", ".bss")


TEXT = Section(".text", "ax", "@progbits", "", "\t.text")
PLAIN = {
    ".text": TEXT,
    ".data": Section(".data", "aw", "@progbits", "", "\t.data"),
    ".bss": Section(".bss", "aw", "@nobits", "", "\t.bss"),
}
_KNOWN_FLAGS = {".rodata": "a", ".data": "aw", ".bss": "aw", ".tdata": "awT", ".tbss": "awT", ".init_array": "aw",
                ".text": "ax", ".eh_frame": "a", ".ctors": "aw", ".dtors": "aw", ".fini_array": "aw"}  # fmt: skip


class Item(NamedTuple):
    """A statement in its place: `at` is the index of its physical line."""

    at: int
    statement: Statement
    section: Section
    in_asm: bool = False
    """Between #APP and #NO_APP."""


def switch(name: str, args: str, known: dict[str, Section]) -> Section | None:
    """The section that a directive switches to, or None when it is no switch."""
    if name in PLAIN:
        if args and args != "0":
            raise NotLossless(f"subsection: {name} {args}")
        return PLAIN[name]
    if name == ".subsection":
        raise NotLossless("subsection")
    if name not in (".section", ".pushsection"):
        return None
    parts = split_commas(args)
    section = parts[0].strip('"') if parts else ""
    flags = parts[1].strip('"') if len(parts) > 1 and parts[1].startswith('"') else ""
    if not flags and section in known:
        return known[section]
    if not flags and section in PLAIN:
        return PLAIN[section]
    if not flags:
        stem = next((s for s in _KNOWN_FLAGS if section == s or section.startswith(s + ".")), "")
        flags = _KNOWN_FLAGS.get(stem, "")
    kind = parts[2] if len(parts) > 2 else ""
    group = ""
    if "G" in flags:
        at = 4 if "M" in flags else 3
        group = parts[at].strip('"') if len(parts) > at else ""
    directive = "\t.section\t" + args
    made = Section(section, flags, kind, group, directive)
    if not group:
        known.setdefault(section, made)
    return made
