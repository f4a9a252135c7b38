"""The machine in formulas: 16 registers of 64 bits, five flags, memory; and the operands of instructions in it.

Vector registers are not modelled: what comes out of them is unknown.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import iced_x86 as iced
import z3

from gccllm.prove.memory import Array, Bits, Memory, unknown, unknown_bool
from gccllm.x86.decode import Insn
from gccllm.x86.effects import full_name
from gccllm.x86.registers import GENERAL

FLAGS = ("cf", "zf", "sf", "of", "pf")
_CONDITIONS = {value: name.lower() for name, value in vars(iced.ConditionCode).items() if isinstance(value, int)}
_BY_BITS = frozenset(("bt", "btc", "btr", "bts"))
"""Their memory lies where the number of the bit says, from the operand on."""
_HIGH = frozenset((iced.Register.AH, iced.Register.BH, iced.Register.CH, iced.Register.DH))


@dataclass(frozen=True)
class Machine:
    registers: Mapping[str, Bits]
    flags: Mapping[str, Any]
    memory: Memory

    @classmethod
    def arbitrary(cls, memory: Memory | None = None) -> Machine:
        """`memory`: how it is kept; an array unless given."""
        registers = {r: unknown(64) for r in GENERAL}
        return cls(registers, {f: unknown_bool() for f in FLAGS}, memory if memory is not None else Array.arbitrary())

    def forgetting(self, registers: frozenset[str], memory: bool) -> Machine:
        """With these registers, all flags and, if asked, memory unknown."""
        known = {name: unknown(64) if name in registers else value for name, value in self.registers.items()}
        return Machine(known, {f: unknown_bool() for f in FLAGS}, self.memory.forgotten() if memory else self.memory)

    def with_register(self, name: str, value: Bits) -> Machine:
        return replace(self, registers={**self.registers, name: value})

    def with_flags(self, **flags: Any) -> Machine:
        return replace(self, flags={**self.flags, **flags})

    # --- memory ---

    def load(self, address: Bits, size: int) -> Bits:
        return self.memory.load(address, size)

    def store(self, address: Bits, value: Bits) -> Machine:
        return replace(self, memory=self.memory.store(address, value))

    # --- parts of registers ---

    def get(self, register: int) -> Bits:
        full, size = _register(register)
        value = self.registers[full]
        if register in _HIGH:
            return z3.Extract(15, 8, value)
        return value if size == 8 else z3.Extract(8 * size - 1, 0, value)

    def put(self, register: int, value: Bits) -> Machine:
        full, size = _register(register)
        old = self.registers[full]
        if register in _HIGH:
            value = z3.Concat(z3.Extract(63, 16, old), value, z3.Extract(7, 0, old))
        elif size == 4:
            value = z3.ZeroExt(32, value)
        elif size < 4:
            value = z3.Concat(z3.Extract(63, 8 * size, old), value)
        return self.with_register(full, value)

    def holds(self, condition: int) -> Any:
        """A condition code, as jumps, moves and sets have it."""
        return _HOLDS[_CONDITIONS[condition]](self.flags)


def _register(register: int) -> tuple[str, int]:
    """(full name, bytes)"""
    return full_name(register), iced.RegisterInfo(register).size


_HOLDS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "o": lambda f: f["of"], "no": lambda f: z3.Not(f["of"]),
    "b": lambda f: f["cf"], "ae": lambda f: z3.Not(f["cf"]),
    "e": lambda f: f["zf"], "ne": lambda f: z3.Not(f["zf"]),
    "be": lambda f: z3.Or(f["cf"], f["zf"]), "a": lambda f: z3.Not(z3.Or(f["cf"], f["zf"])),
    "s": lambda f: f["sf"], "ns": lambda f: z3.Not(f["sf"]),
    "p": lambda f: f["pf"], "np": lambda f: z3.Not(f["pf"]),
    "l": lambda f: f["sf"] != f["of"], "ge": lambda f: f["sf"] == f["of"],
    "le": lambda f: z3.Or(f["zf"], f["sf"] != f["of"]), "g": lambda f: z3.And(z3.Not(f["zf"]), f["sf"] == f["of"]),
}  # fmt: skip


# --- operands -----------------------------------------------------------------------------------------------------


class Unmodelled(Exception):
    """An operand or a form that has no formula here."""


def is_register(one: iced.Instruction, n: int) -> bool:
    return bool(one.op_kind(n) == iced.OpKind.REGISTER)


def address_of(at: Machine, line: Insn) -> Bits:
    one = line.raw
    if one.memory_segment in (iced.Register.FS, iced.Register.GS):
        raise Unmodelled("segment")
    if line.slot:
        raise Unmodelled("the global offset table")
    displacement = one.memory_displacement
    if one.is_ip_rel_memory_operand:
        displacement -= one.next_ip
    total = z3.BitVecVal(displacement, 64)
    if line.symbol and not line.is_immediate:
        total += z3.BitVec(f"address of {line.symbol}", 64) + line.addend
    elif one.is_ip_rel_memory_operand:
        raise Unmodelled("an address in the code")
    if one.memory_base not in (iced.Register.NONE, iced.Register.RIP):
        total += at.registers[_general(one.memory_base)]
    if one.memory_index != iced.Register.NONE:
        total += at.registers[_general(one.memory_index)] * one.memory_index_scale
    return total


def accessed(at: Machine, line: Insn) -> list[Bits]:
    """The address that an instruction's memory operand accesses in any case, if there is one and it has a formula."""
    one = line.raw
    certain = any((access.is_read or access.is_written) and not access.is_conditional for access in line.accesses)
    if not certain or not any(one.op_kind(n) == iced.OpKind.MEMORY for n in range(one.op_count)):
        return []
    if line.mnemonic.lower() in _BY_BITS:
        return []
    try:
        return [address_of(at, line)]
    except Unmodelled:
        return []


def _general(register: int) -> str:
    full, size = _register(register)
    if size != 8 or full not in GENERAL:
        raise Unmodelled(full)
    return full


def operand_bits(line: Insn, n: int) -> int:
    one = line.raw
    if is_register(one, n):
        full, size = _register(one.op_register(n))
        if full not in GENERAL:
            raise Unmodelled(full)
        return 8 * size
    if one.op_kind(n) == iced.OpKind.MEMORY:
        size = int(iced.MemorySizeInfo(one.memory_size).size)
        if size not in (1, 2, 4, 8):
            raise Unmodelled("the size in memory")
        return 8 * size
    raise Unmodelled("the kind of operand")


def read(at: Machine, line: Insn, n: int, bits: int = 0) -> Bits:
    """Operand `n`; an immediate has `bits`."""
    one = line.raw
    if is_register(one, n):
        operand_bits(line, n)
        return at.get(one.op_register(n))
    if one.op_kind(n) == iced.OpKind.MEMORY and line.slot == "GOTPCREL" and operand_bits(line, n) == 64:
        return z3.BitVec(f"address of {line.symbol}", 64)
    if one.op_kind(n) == iced.OpKind.MEMORY:
        return at.load(address_of(at, line), operand_bits(line, n) // 8)
    if line.is_immediate:
        return unknown(bits)  # an address that the linker fills in
    try:
        return z3.BitVecVal(one.immediate(n), bits)
    except ValueError as error:
        raise Unmodelled("the kind of operand") from error


def write(at: Machine, line: Insn, n: int, value: Bits) -> Machine:
    if is_register(line.raw, n):
        operand_bits(line, n)
        return at.put(line.raw.op_register(n), value)
    return at.store(address_of(at, line), value)
