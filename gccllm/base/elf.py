"""An ELF file as its sections, symbols, relocations and segments.

pyelftools reads headers and finds the tables; rows of the two long tables are decoded here, all at once: one by one
they cost most of the time that reading an object takes. Names and numbers are those of the ELF specification.

Covered: 64-bit little-endian objects, programs and libraries. Not covered: 32-bit and big-endian files (ELFError),
relocations for the dynamic linker, DWARF (`harvest.dwarf`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, NamedTuple

from elftools.common.exceptions import ELFError as ELFError
from elftools.elf.elffile import ELFFile

_SYMBOL = Struct("<IBBHQQ")  # Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size
_RELOCATION = Struct("<QIIq")  # Elf64_Rela: r_offset, the type and the symbol of r_info, r_addend

SHN_UNDEF, SHN_ABS = 0, 0xFFF1
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_FUNC, STT_SECTION, STT_FILE, STT_TLS, STT_GNU_IFUNC = 2, 3, 4, 6, 10
_SHF_WRITE, _SHF_ALLOC, _SHF_TLS = 1, 2, 0x400


class Symbol(NamedTuple):
    """`section`: its number, or SHN_UNDEF, SHN_ABS."""

    name: str
    bind: int
    kind: int
    section: int
    value: int
    size: int

    @property
    def is_undefined(self) -> bool:
        return self.section == SHN_UNDEF


class Relocation(NamedTuple):
    """A place that the linker fills in. `name`: the symbol's, or its section's where it has none."""

    offset: int
    kind: int
    symbol: Symbol
    name: str
    addend: int


class Section:
    """A section's header; its contents are read when asked for."""

    def __init__(self, number: int, raw: Any) -> None:
        self._raw = raw
        self.number = number
        self.name: str = raw.name
        self.kind: str = raw["sh_type"]
        self.flags: int = raw["sh_flags"]
        self.size: int = raw["sh_size"]
        self.align: int = raw["sh_addralign"]
        self.applies_to: int = raw["sh_info"]
        """Of relocations: the number of the section that they change."""

    @property
    def is_loaded(self) -> bool:
        return bool(self.flags & _SHF_ALLOC)

    @property
    def is_writable_data(self) -> bool:
        return bool(self.flags & _SHF_WRITE) and self.is_loaded and self.size > 0

    @property
    def is_thread_data(self) -> bool:
        return bool(self.flags & _SHF_TLS) and self.size > 0

    @property
    def data(self) -> bytes:
        """Empty where the file holds none (.bss)."""
        return bytes(self._raw.data()) if self.kind != "SHT_NOBITS" else b""


class Segment:
    """A part of a program as it lies in memory and in the file."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.kind: str = raw["p_type"]
        self.address: int = raw["p_vaddr"]
        self.size: int = raw["p_memsz"]
        self.file_offset: int = raw["p_offset"]
        self.file_size: int = raw["p_filesz"]

    @property
    def data(self) -> bytes:
        return bytes(self._raw.data())


class Elf:
    """Tables are read at the first question, from a stream that must be open then. Raises ELFError."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = ELFFile(stream)

    @classmethod
    def of(cls, content: Path | bytes) -> Elf:
        """Raises ELFError, OSError."""
        return cls(io.BytesIO(content.read_bytes() if isinstance(content, Path) else content))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        return tuple(Section(number, raw) for number, raw in enumerate(self._file.iter_sections()))

    def section(self, name: str) -> Section | None:
        """The first of this name."""
        return next((one for one in self.sections if one.name == name), None)

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """.symtab, or .dynsym where that was stripped; the first row, which is no symbol, included."""
        tables = {raw["sh_type"]: raw for raw in self._file.iter_sections()}
        table = tables.get("SHT_SYMTAB") or tables.get("SHT_DYNSYM")
        if table is None:
            return ()
        names = self._file.get_section(table["sh_link"]).data()
        return tuple(
            Symbol(_text(names, name), info >> 4, info & 15, section, value, size)
            for name, info, _, section, value, size in self._rows(_SYMBOL, table.data())
        )

    def relocations(self, section: Section) -> tuple[Relocation, ...]:
        """Those of a section, in the order of the file."""
        return tuple(
            Relocation(offset, kind, symbol, symbol.name or self._section_name(symbol), addend)
            for table in self.sections
            if table.kind == "SHT_RELA" and table.applies_to == section.number
            for offset, kind, number, addend in self._rows(_RELOCATION, table.data)
            for symbol in (self.symbols[number],)
        )

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(map(Segment, self._file.iter_segments()))

    def _section_name(self, symbol: Symbol) -> str:
        return self.sections[symbol.section].name if symbol.section < len(self.sections) else ""

    def _rows(self, row: Struct, content: bytes) -> Iterator[Any]:
        if self._file.elfclass != 64 or not self._file.little_endian or len(content) % row.size:
            raise ELFError("not a 64-bit little-endian file with whole tables")
        return row.iter_unpack(content)


def _text(names: bytes, at: int) -> str:
    """The string there; empty where there is none."""
    end = names.find(b"\0", at)
    return names[at:end].decode("utf-8", "replace") if end >= 0 else ""
