"""An assembled body, decoded: instructions with their effects, control flow, relocations, sections.

Everything the screen says is read from the object file that the real assembler made, never from text. One object
holds one body under one global name; the assembler is asked to keep local labels, so that the extent of every private
constant is known.

Covers what iced-x86 decodes (for effects: general registers, vector and mask registers, flags, x87 stack depth).
Does not look at values.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from elftools.elf.enums import ENUM_RELOC_TYPE_x64
from iced_x86 import CpuidFeature, Decoder, FlowControl, Instruction, Register

from gccllm.base.elf import STB_LOCAL, STT_SECTION, Elf
from gccllm.base.scratch import scratch
from gccllm.base.toolchain import Toolchain
from gccllm.x86.effects import MNEMONICS, Access, Effects, accesses_of, effects_of, names_in

FEATURES = names_in(CpuidFeature)
_RELOCATIONS = {v: k.removeprefix("R_X86_64_") for k, v in ENUM_RELOC_TYPE_x64.items() if isinstance(v, int)}
_RELOCATIONS |= {41: "GOTPCRELX", 42: "REX_GOTPCRELX"}  # elftools does not know them

GOT = frozenset({"GOTPCREL", "GOTPCRELX", "REX_GOTPCRELX"})
"""Relocations of the address of a symbol's entry in the global offset table."""


@dataclass(frozen=True, slots=True)
class Relocation:
    """`kind` is the psABI name without R_X86_64_; `section` is set when it refers into this object."""

    offset: int
    kind: str
    symbol: str
    section: str
    addend: int


@dataclass(frozen=True)
class Insn:
    """One decoded instruction. `target` is the offset a direct branch inside the body goes to."""

    offset: int
    code: bytes
    raw: Instruction
    relocations: tuple[Relocation, ...]
    private: tuple[str, int] | None = None
    """The private label that its text names, and the number behind it: an object knows only the section."""

    @cached_property
    def mnemonic(self) -> str:
        return MNEMONICS[self.raw.mnemonic]

    @cached_property
    def effects(self) -> Effects:
        return effects_of(self.raw)

    @cached_property
    def accesses(self) -> tuple[Access, ...]:
        """What it does not really read or write (lea, nop, prefetch) is none."""
        return accesses_of(self.raw)

    @property
    def end(self) -> int:
        return self.offset + len(self.code)

    @property
    def flow(self) -> int:
        return int(self.raw.flow_control)

    @property
    def relocation(self) -> Relocation | None:
        return self.relocations[0] if self.relocations else None

    @property
    def symbol(self) -> str:
        """What its relocation names, a private constant included; empty without one."""
        if self.relocation is None:
            return ""
        return self.relocation.symbol or (self.private[0] if self.private else self.relocation.section)

    @property
    def addend(self) -> int:
        """Bytes behind `symbol`."""
        if self.relocation is None:
            return 0
        if self.private is not None:
            return self.private[1]
        # It counts from the field, the machine from the end of the instruction.
        behind = self.end - self.relocation.offset if self.raw.is_ip_rel_memory_operand else 0
        return self.relocation.addend + behind

    @property
    def is_immediate(self) -> bool:
        """The symbol is in an immediate, not in the address of memory."""
        decoder = Decoder(64, self.code)
        fields = decoder.get_constant_offsets(decoder.decode())
        place = self.offset + fields.immediate_offset
        return fields.has_immediate and self.relocation is not None and self.relocation.offset == place

    @property
    def slot(self) -> str:
        """`GOTPCREL` or `GOTTPOFF` where the memory is an entry of the global offset table, which the linker fills in
        with the symbol's address, or its distance from the thread pointer."""
        kind = self.relocation.kind if self.relocation is not None else ""
        return "GOTPCREL" if kind in GOT else kind if kind == "GOTTPOFF" else ""

    @property
    def is_thread_local(self) -> bool:
        """Its memory operand counts from the thread pointer."""
        return self.effects.memory is not None and self.raw.segment_prefix == Register.FS

    @property
    def is_call(self) -> bool:
        return self.flow in (int(FlowControl.CALL), int(FlowControl.INDIRECT_CALL))

    @property
    def is_indirect_jump(self) -> bool:
        return self.flow == int(FlowControl.INDIRECT_BRANCH)

    @property
    def is_branch(self) -> bool:
        return self.flow in (FlowControl.CONDITIONAL_BRANCH, FlowControl.UNCONDITIONAL_BRANCH)

    @property
    def is_tail_jump(self) -> bool:
        """A direct jump to a symbol."""
        return self.flow == FlowControl.UNCONDITIONAL_BRANCH and bool(self.relocations)

    @property
    def target(self) -> int | None:
        return int(self.raw.near_branch_target) if self.is_branch and not self.relocations else None

    @property
    def ends_flow(self) -> bool:
        return self.flow in (
            FlowControl.UNCONDITIONAL_BRANCH,
            FlowControl.INDIRECT_BRANCH,
            FlowControl.RETURN,
            FlowControl.INTERRUPT,
            FlowControl.EXCEPTION,
        )

    @property
    def features(self) -> frozenset[str]:
        return frozenset(FEATURES[f] for f in self.raw.cpuid_features())

    def __str__(self) -> str:
        return f"{self.offset:#x}: {self.raw}"


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    flags: int
    data: bytes
    relocations: tuple[Relocation, ...]


@dataclass(frozen=True)
class Code:
    """One body as the assembler made it."""

    name: str
    insns: tuple[Insn, ...]
    sections: Mapping[str, Section]
    """Every section that would take up memory at run time, and any other with content that is not the linker's own."""
    labels: Mapping[str, tuple[int, ...]]
    """Section to the sorted offsets of the local labels in it."""
    defined: frozenset[str]
    """Symbols it defines, without local labels."""
    undefined: frozenset[str]
    marks: Mapping[int, int]
    """Line of the text to the offset of its mark."""

    @property
    def size(self) -> int:
        return self.insns[-1].end if self.insns else 0

    @cached_property
    def at(self) -> Mapping[int, int]:
        """Offset of an instruction to its index."""
        return {insn.offset: i for i, insn in enumerate(self.insns)}

    @cached_property
    def relocations(self) -> tuple[Relocation, ...]:
        return tuple(itertools.chain.from_iterable(s.relocations for s in self.sections.values()))

    @cached_property
    def features(self) -> frozenset[str]:
        return frozenset(itertools.chain.from_iterable(insn.features for insn in self.insns))

    @cached_property
    def calls(self) -> frozenset[str]:
        """Symbols called or tail-jumped to."""
        return frozenset(i.relocation.symbol for i in self.insns if i.relocation and (i.is_call or i.is_tail_jump))

    @cached_property
    def subroutines(self) -> frozenset[int]:
        """Indices of its own instructions that it calls."""
        calls = (i.raw.near_branch_target for i in self.insns if i.raw.is_call_near and not i.relocations)
        return frozenset(self.at[offset] for offset in calls if offset in self.at)

    @property
    def terminal_calls(self) -> frozenset[str]:
        """Callees whose call is the last instruction: gcc knows that they do not return."""
        last = self.insns[-1] if self.insns else None
        if last is None or not last.is_call or last.relocation is None:
            return frozenset()
        return frozenset({last.relocation.symbol})

    def extent(self, section: str, offset: int) -> tuple[int, int]:
        """The labelled piece of `section` that holds `offset`: [start, end)."""
        marks = self.labels.get(section, ())
        start = max((m for m in marks if m <= offset), default=0)
        end = min((m for m in marks if m > offset), default=len(self.sections[section].data))
        return start, end

    def jump_table(self, section: str, offset: int) -> tuple[int, ...] | None:
        """Offsets in the body that the table at `offset` leads to; None if it is not a whole table of such.

        Two shapes, gcc's own: 4-byte `target - table` entries, and (where absolute addresses are allowed) 8-byte
        addresses.
        """
        data = self.sections.get(section)
        if data is None or offset not in self.labels.get(section, ()):
            return None
        start, end = self.extent(section, offset)
        entries = {r.offset: r for r in data.relocations if start <= r.offset < end}
        if not entries:
            return None
        width = 8 if next(iter(entries.values())).kind == "64" else 4
        length = max(entries) + width
        if set(entries) != set(range(start, length, width)) or any(data.data[length:end]):
            return None
        targets = []
        for entry in entries.values():
            if entry.section != ".text" or entry.kind != ("64" if width == 8 else "PC32"):
                return None
            targets.append(entry.addend - (0 if width == 8 else entry.offset - start))
        return tuple(dict.fromkeys(targets)) if all(t in self.at for t in targets) else None


@dataclass(frozen=True, slots=True)
class Refused:
    """The assembler did not take the text."""

    message: str


def mark(line: int) -> str:
    """A label that says where a line begins. No operand can name it: it is quoted, and has a blank."""
    return f'"{_MARK}{line}":'


_MARK = "line "


def assemble(name: str, body: str, tools: Toolchain) -> Code | Refused:
    """Assemble one body (text of `Body.text()`) and decode it. It calls itself `name`, if that is not empty."""
    head = f"\t.globl\t{name}\n{name}:" if name else "\n"
    with scratch() as place:
        output = place / "body.o"
        ran = tools.assemble(f"\t.text\n{head}\n{body}\n", output, "-L")
        if not ran.ok:
            return Refused(ran.err.strip()[:2000] or "the assembler failed")
        return decode(name, output.read_bytes())


# Sections the assembler writes for itself.
_OWN = frozenset({"", ".symtab", ".strtab", ".shstrtab", ".note.gnu.property"})


def decode(name: str, content: bytes) -> Code:
    """Decode an object that holds one body at offset 0 of `.text`."""
    elf = Elf.of(content)
    names = [section.name for section in elf.sections]
    relocations: dict[str, list[Relocation]] = {}
    for section in elf.sections:
        for row in elf.relocations(section):
            where = row.symbol.section
            is_own = row.symbol.bind == STB_LOCAL and not row.symbol.is_undefined and where < len(names)
            relocations.setdefault(section.name, []).append(
                Relocation(
                    row.offset,
                    _RELOCATIONS.get(row.kind, str(row.kind)),
                    "" if is_own else row.symbol.name,
                    names[where] if is_own else "",
                    row.addend + (row.symbol.value if is_own else 0),
                )
            )
    sections = {
        section.name: Section(section.name, section.flags, section.data, tuple(relocations.get(section.name, ())))
        for section in elf.sections
        if section.kind not in ("SHT_RELA", "SHT_REL") and section.name not in _OWN and section.size
    }
    labels: dict[str, list[int]] = {}
    marks: dict[int, int] = {}
    defined, undefined = set(), set()
    for symbol in elf.symbols:
        if symbol.kind == STT_SECTION or not symbol.name:
            continue
        if symbol.name.startswith(_MARK):
            marks[int(symbol.name.removeprefix(_MARK))] = symbol.value
        elif symbol.is_undefined:
            undefined.add(symbol.name)
        elif symbol.name.startswith(".L") and symbol.section < len(names):
            labels.setdefault(names[symbol.section], []).append(symbol.value)
        else:
            defined.add(symbol.name)
    text = sections.get(".text", Section(".text", 0, b"", ()))
    return Code(
        name,
        _decode_text(text),
        sections,
        {k: tuple(sorted(set(v))) for k, v in labels.items()},
        frozenset(defined),
        frozenset(undefined),
        marks,
    )


def _decode_text(text: Section) -> tuple[Insn, ...]:
    by_offset = sorted(text.relocations, key=lambda r: r.offset)
    insns, at = [], 0
    for raw in Decoder(64, text.data, ip=0):
        start = at
        while at < len(by_offset) and by_offset[at].offset < raw.next_ip:
            at += 1
        insns.append(Insn(raw.ip, text.data[raw.ip : raw.next_ip], raw, tuple(by_offset[start:at])))
    return tuple(insns)
