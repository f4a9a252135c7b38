"""An assembled body, decoded: instructions with their effects, control flow, relocations, sections.

Everything the screen says is read from the object file that the real assembler made, never from text. One object
holds one body under one global name; the assembler is asked to keep local labels, so that the extent of every private
constant is known.

Covers what iced-x86 decodes (for effects: general registers, vector and mask registers, flags, x87 stack depth).
Does not look at values.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_RELOC_TYPE_x64
from iced_x86 import (
    CpuidFeature,
    Decoder,
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterInfo,
)

from gccllm.base.toolchain import Toolchain
from gccllm.x86.registers import VECTORS


def _names(enumeration: object) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int) and not k.startswith("_")}


MNEMONICS = _names(Mnemonic)
REGISTERS = _names(Register)
FEATURES = _names(CpuidFeature)
_RELOCATIONS = {v: k.removeprefix("R_X86_64_") for k, v in ENUM_RELOC_TYPE_x64.items() if isinstance(v, int)}
_RELOCATIONS |= {41: "GOTPCRELX", 42: "REX_GOTPCRELX"}  # elftools does not know them

_READS = {OpAccess.READ, OpAccess.COND_READ, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
_WRITES = {OpAccess.WRITE, OpAccess.READ_WRITE}
_KEEPS = {OpAccess.COND_WRITE, OpAccess.READ_COND_WRITE}

# Flags by iced's RflagsBits: OF SF ZF AF CF PF DF IF AC UIF.
ARITHMETIC_FLAGS = 0x3F
DIRECTION_FLAG = 0x40

# Both operands the same register: the result does not depend on it.
_IDIOMS = {
    "SBB", "PCMPEQB", "PCMPEQW", "PCMPEQD", "PCMPEQQ", "VPCMPEQB", "VPCMPEQW", "VPCMPEQD", "VPCMPEQQ", "PXOR", "VPXOR",
    "PCMPGTB", "PCMPGTW", "PCMPGTD", "PCMPGTQ", "VPCMPGTB", "VPCMPGTW", "VPCMPGTD", "VPCMPGTQ", "XORPS", "XORPD",
    "VXORPS", "VXORPD", "VPXORD", "VPXORQ", "PSUBB", "PSUBW", "PSUBD", "PSUBQ", "VPSUBB", "VPSUBW", "VPSUBD", "VPSUBQ",
    "PANDN", "VPANDN", "VPANDND", "VPANDNQ", "ANDNPS", "ANDNPD", "KXNORB", "KXNORW", "KXNORD", "KXNORQ", "KXORB",
    "KXORW", "KXORD", "KXORQ",
}  # fmt: skip

# Scalar forms that only carry the rest of a register through: what they merge is not looked at.
_MERGES = {
    "CVTSI2SS", "CVTSI2SD", "CVTSS2SD", "CVTSD2SS", "SQRTSS", "SQRTSD", "RCPSS", "RSQRTSS", "ROUNDSS", "ROUNDSD",
    "MOVSS", "MOVSD", "MOVLPS", "MOVLPD", "MOVHPS", "MOVHPD", "PINSRB", "PINSRW", "PINSRD", "PINSRQ", "INSERTPS",
    "VCVTSI2SS", "VCVTSI2SD", "VCVTSS2SD", "VCVTSD2SS", "VCVTUSI2SS", "VCVTUSI2SD", "VSQRTSS", "VSQRTSD", "VROUNDSS",
    "VROUNDSD", "VRNDSCALESS", "VRNDSCALESD", "VMOVSS", "VMOVSD", "VPINSRB", "VPINSRW", "VPINSRD", "VPINSRQ",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relocation:
    """`kind` is the psABI name without R_X86_64_; `section` is set when it refers into this object."""

    offset: int
    kind: str
    symbol: str
    section: str
    addend: int


@dataclass(frozen=True, slots=True)
class Memory:
    """One explicit memory operand. `base` and `index` are full register names or empty."""

    base: str
    index: str
    scale: int
    displacement: int
    """Signed."""
    size: int
    is_written: bool
    is_read: bool


@dataclass(frozen=True, slots=True)
class Effects:
    """Register effects in full register names (RAX, ZMM3, K1); flags as iced's bit masks."""

    reads: frozenset[str]
    writes: frozenset[str]
    """Written on every execution."""
    keeps: frozenset[str]
    """Written or left alone, depending on values."""
    flags_read: int
    flags_written: int
    flags_undefined: int
    memory: Memory | None
    wide_write: bool
    """Writes bits above 127 of one of the first sixteen vector registers with something that is not zero by form."""


@dataclass(frozen=True, slots=True)
class Insn:
    """One decoded instruction. `target` is the offset a direct branch inside the body goes to."""

    offset: int
    code: bytes
    raw: Instruction
    mnemonic: str
    relocations: tuple[Relocation, ...]
    effects: Effects

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
class Decoded:
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


def assemble(name: str, body: str, tools: Toolchain, workdir: Path) -> Decoded | Refused:
    """Assemble one body (text of `Body.text()`) under a global name and decode it. The object is removed again."""
    output = workdir / "screen.o"
    ran = tools.assemble(f"\t.text\n\t.globl\t{name}\n{name}:\n{body}\n", output, "-L")
    if not ran.ok:
        return Refused(ran.err.strip()[:2000] or "the assembler failed")
    try:
        return decode(name, output.read_bytes())
    finally:
        output.unlink(missing_ok=True)


# Sections the assembler writes for itself.
_OWN = frozenset({"", ".symtab", ".strtab", ".shstrtab", ".note.gnu.property"})


def decode(name: str, content: bytes) -> Decoded:
    """Decode an object that holds one body at offset 0 of `.text`."""
    elf = ELFFile(io.BytesIO(content))
    table = elf.get_section_by_name(".symtab")
    names = [section.name for section in elf.iter_sections()]
    relocations: dict[str, list[Relocation]] = {}
    for section in elf.iter_sections():
        if section["sh_type"] not in ("SHT_RELA", "SHT_REL"):
            continue
        for entry in section.iter_relocations():
            symbol = table.get_symbol(entry["r_info_sym"])
            inside = symbol["st_shndx"] if isinstance(symbol["st_shndx"], int) else None
            is_own = inside is not None and symbol["st_info"]["bind"] == "STB_LOCAL"
            relocations.setdefault(names[section["sh_info"]], []).append(
                Relocation(
                    entry["r_offset"],
                    _RELOCATIONS.get(entry["r_info_type"], str(entry["r_info_type"])),
                    "" if is_own else symbol.name,
                    names[inside] if is_own and inside is not None else "",
                    entry["r_addend"] + (symbol["st_value"] if is_own else 0),
                )
            )
    sections = {
        s.name: Section(s.name, s["sh_flags"], b"" if s["sh_type"] == "SHT_NOBITS" else s.data(),
                        tuple(relocations.get(s.name, ())))
        for s in elf.iter_sections()
        if s["sh_type"] not in ("SHT_RELA", "SHT_REL") and s.name not in _OWN and s["sh_size"]
    }  # fmt: skip
    labels: dict[str, list[int]] = {}
    defined, undefined = set(), set()
    for symbol in table.iter_symbols():
        where, kind = symbol["st_shndx"], symbol["st_info"]["type"]
        if kind == "STT_SECTION" or not symbol.name:
            continue
        if where == "SHN_UNDEF":
            undefined.add(symbol.name)
        elif symbol.name.startswith(".L") and isinstance(where, int):
            labels.setdefault(names[where], []).append(symbol["st_value"])
        else:
            defined.add(symbol.name)
    text = sections.get(".text", Section(".text", 0, b"", ()))
    return Decoded(
        name,
        _decode_text(text),
        sections,
        {k: tuple(sorted(set(v))) for k, v in labels.items()},
        frozenset(defined),
        frozenset(undefined),
    )


def _decode_text(text: Section) -> tuple[Insn, ...]:
    by_offset = sorted(text.relocations, key=lambda r: r.offset)
    insns, at = [], 0
    factory = InstructionInfoFactory()
    for raw in Decoder(64, text.data, ip=0):
        start = at
        while at < len(by_offset) and by_offset[at].offset < raw.next_ip:
            at += 1
        mnemonic = MNEMONICS[raw.mnemonic]
        insns.append(
            Insn(
                raw.ip,
                text.data[raw.ip : raw.next_ip],
                raw,
                mnemonic,
                tuple(by_offset[start:at]),
                _effects(raw, mnemonic, factory),
            )
        )
    return tuple(insns)


@cache
def full_name(register: int) -> str:
    """RAX for eax, ZMM1 for xmm1; empty for none."""
    return "" if register == Register.NONE else REGISTERS[RegisterInfo(register).full_register]


def _effects(raw: Instruction, mnemonic: str, factory: InstructionInfoFactory) -> Effects:
    info = factory.info(raw)
    reads, writes, keeps = set(), set(), set()
    for used in info.used_registers():
        register = full_name(used.register)
        if used.access in _READS:
            reads.add(register)
        if used.access in _WRITES:
            writes.add(register)
        if used.access in _KEEPS:
            keeps.add(register)
    operands = [full_name(raw.op_register(i)) for i in range(raw.op_count) if raw.op_kind(i) == OpKind.REGISTER]
    if mnemonic in ("VZEROUPPER", "VZEROALL"):
        reads, writes = set(), (set() if mnemonic == "VZEROUPPER" else set(VECTORS[:16]))
    elif mnemonic in ("BSF", "BSR"):  # a zero source keeps the destination; compilers never rely on it
        writes, keeps = writes | keeps, set()
    elif mnemonic in _IDIOMS and len(operands) > 1 and operands[-1] == operands[-2] and raw.op_count == len(operands):
        reads -= set(operands)
        if raw.has_op_mask:
            reads.add(full_name(raw.op_mask))
    elif mnemonic in ("VPTERNLOGD", "VPTERNLOGQ") and raw.immediate(raw.op_count - 1) in (0, 0xFF):
        reads -= set(operands)
    elif mnemonic in ("OR", "AND") and len(operands) == 1 and raw.op_count == 2 and raw.op_kind(1) != OpKind.MEMORY:
        whole = (0xFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF) if mnemonic == "OR" else (0,)
        if raw.op_kind(0) == OpKind.REGISTER and raw.immediate(1) in whole:
            reads -= set(operands)
    elif mnemonic in _MERGES and operands and raw.op_kind(0) == OpKind.REGISTER:
        has_three = raw.op_count > 2 and mnemonic.startswith("V")
        merged = operands[min(1, len(operands) - 1)] if has_three else operands[0]
        last = operands[-1] if raw.op_kind(raw.op_count - 1) == OpKind.REGISTER else ""
        if merged != last:
            reads.discard(merged)
    wide = _is_wide_write(raw, info)
    return Effects(
        frozenset(reads), frozenset(writes), frozenset(keeps),
        raw.rflags_read & ARITHMETIC_FLAGS,
        (raw.rflags_modified & ~raw.rflags_undefined) & ARITHMETIC_FLAGS,
        raw.rflags_undefined & ARITHMETIC_FLAGS,
        _memory(raw, info), wide,
    )  # fmt: skip


def _is_wide_write(raw: Instruction, info: object) -> bool:
    if raw.op_count == 0 or raw.op_kind(0) != OpKind.REGISTER:
        return False
    register = raw.op_register(0)
    is_wide = Register.YMM0 <= register <= Register.YMM15 or Register.ZMM0 <= register <= Register.ZMM15
    return is_wide and info.op0_access in _WRITES | _KEEPS  # type: ignore[attr-defined]


def _memory(raw: Instruction, info: object) -> Memory | None:
    for i in range(raw.op_count):
        if raw.op_kind(i) != OpKind.MEMORY:
            continue
        access = info.op_access(i)  # type: ignore[attr-defined]
        displacement = raw.memory_displacement
        base = raw.memory_base
        if raw.is_ip_rel_memory_operand:
            displacement = 0
        elif displacement >> 63:
            displacement -= 1 << 64
        return Memory(
            full_name(base) if not raw.is_ip_rel_memory_operand else "RIP",
            full_name(raw.memory_index), raw.memory_index_scale, displacement,
            _access_bytes(raw), access in _WRITES | _KEEPS, access in _READS,
        )  # fmt: skip
    return None


def _access_bytes(raw: Instruction) -> int:
    from iced_x86 import MemorySizeInfo

    return int(MemorySizeInfo(raw.memory_size).size)
