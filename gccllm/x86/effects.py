"""What one instruction reads and writes: registers, flags, memory.

iced-x86 says it by operand. Added here is what it depends on in truth: idioms whose result is the same whatever the
register held, and forms that carry lanes through without looking at them. A test asks the processor about each kind.

Covers general, vector and mask registers, flags, memory operands. Does not look at values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from iced_x86 import (
    Instruction,
    InstructionInfo,
    InstructionInfoFactory,
    MemorySizeInfo,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterInfo,
    UsedMemory,
)

from gccllm.x86.registers import VECTORS


def names_in(enumeration: object) -> dict[int, str]:
    """Of iced-x86: number to name."""
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int) and not k.startswith("_")}


MNEMONICS = names_in(Mnemonic)
REGISTERS = names_in(Register)

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

# Forms that carry the rest of a register through: what they merge is not looked at.
_MERGES = {
    "CVTSI2SS", "CVTSI2SD", "CVTSS2SD", "CVTSD2SS", "SQRTSS", "SQRTSD", "RCPSS", "RSQRTSS", "ROUNDSS", "ROUNDSD",
    "MOVSS", "MOVSD", "MOVLPS", "MOVLPD", "MOVHPS", "MOVHPD", "PINSRB", "PINSRW", "PINSRD", "PINSRQ", "INSERTPS",
    "VCVTSI2SS", "VCVTSI2SD", "VCVTSS2SD", "VCVTSD2SS", "VCVTUSI2SS", "VCVTUSI2SD", "VSQRTSS", "VSQRTSD", "VROUNDSS",
    "VROUNDSD", "VRNDSCALESS", "VRNDSCALESD", "VMOVSS", "VMOVSD", "VPINSRB", "VPINSRW", "VPINSRD", "VPINSRQ",
}  # fmt: skip


_FACTORY = InstructionInfoFactory()


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
    merged: frozenset[str]
    """Lanes of these go into the result as they are. They are not among `reads`: whether they are defined is no
    concern of the instruction."""
    flags_read: int
    flags_written: int
    flags_undefined: int
    memory: Memory | None
    wide_write: bool
    """Writes bits above 127 of one of the first sixteen vector registers with something that is not zero by form."""


@dataclass(frozen=True, slots=True)
class Access:
    """Memory that an instruction reads or writes, named or implied. Registers by full names, empty for none."""

    segment: str
    base: str
    index: str
    size: int
    """Bytes; 0 where that is not known."""
    is_read: bool
    is_written: bool
    is_conditional: bool
    """May not happen (masked, `rep` with rcx 0, cmov)."""


@cache
def full_name(register: int) -> str:
    """RAX for eax, ZMM1 for xmm1; empty for none."""
    return "" if register == Register.NONE else REGISTERS[RegisterInfo(register).full_register]


def info_of(raw: Instruction) -> InstructionInfo:
    """The registers and the memory that iced-x86 says it uses."""
    return _FACTORY.info(raw)


def effects_of(raw: Instruction) -> Effects:
    """What it reads and writes, its relocation aside."""
    mnemonic = MNEMONICS[raw.mnemonic]
    info = info_of(raw)
    reads, writes, keeps, passed = set(), set(), set(), set()
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
        ones = (1 << 8 * RegisterInfo(raw.op0_register).size) - 1
        if raw.op_kind(0) == OpKind.REGISTER and raw.immediate(1) & ones == (ones if mnemonic == "OR" else 0):
            reads -= set(operands)
    elif mnemonic in _MERGES and operands and raw.op_kind(0) == OpKind.REGISTER:
        has_three = raw.op_count > 2 and mnemonic.startswith("V")
        merged = operands[min(1, len(operands) - 1)] if has_three else operands[0]
        last = operands[-1] if raw.op_kind(raw.op_count - 1) == OpKind.REGISTER else ""
        if merged != last:
            reads.discard(merged)
            passed.add(merged)
    wide = _is_wide_write(raw, info)
    return Effects(
        frozenset(reads), frozenset(writes), frozenset(keeps), frozenset(passed),
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
            int(MemorySizeInfo(raw.memory_size).size), access in _WRITES | _KEEPS, access in _READS,
        )  # fmt: skip
    return None


def accesses_of(raw: Instruction) -> tuple[Access, ...]:
    """The memory that it reads or writes; none for lea, nop and prefetches."""

    def base(used: UsedMemory) -> str:
        is_operand = not used.base and used.displacement == raw.memory_displacement
        return "RIP" if raw.is_ip_rel_memory_operand and is_operand else full_name(used.base)

    return tuple(
        Access(
            full_name(used.segment), base(used), full_name(used.index),
            int(MemorySizeInfo(used.memory_size).size) if used.memory_size else 0,
            used.access in _READS, used.access in _WRITES | _KEEPS,
            used.access not in _WRITES | {OpAccess.READ},
        )
        for used in info_of(raw).used_memory()
        if used.access in _READS | _WRITES | _KEEPS
    )  # fmt: skip
