"""Operands of instructions as `addresses` knows them: what they hold, what is loaded from the frame, what is stored.

Stack slots are known by their place; a load from a private constant gives its number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from iced_x86 import OpKind, Register, RegisterInfo

from gccllm.verify.address_values import ADDRESS, CLEAN, LOADED, Known, added, cut, joined, mixed
from gccllm.x86.decode import Code, Insn, Relocation
from gccllm.x86.effects import full_name

RETURN_ADDRESS: tuple[object, int] = ("entry", 0)
_HIGH_BYTES = (Register.AH, Register.BH, Register.CH, Register.DH)
_IMMEDIATES = (OpKind.IMMEDIATE32, OpKind.IMMEDIATE64, OpKind.IMMEDIATE32TO64)


def _is_immediate(insn: Insn, relocation: Relocation) -> bool:
    """Whether the relocation is of the number in the instruction, which comes last, and not of its memory operand."""
    kinds = {insn.raw.op_kind(i) for i in range(insn.raw.op_count)}
    return bool(kinds & {*_IMMEDIATES}) and relocation.offset + (8 if OpKind.IMMEDIATE64 in kinds else 4) == insn.end


@dataclass
class State:
    registers: dict[str, Known]
    """Those that are not clean, and constants."""
    slots: dict[tuple[object, int], Known]
    flags: Known = CLEAN

    def copy(self) -> State:
        return State(dict(self.registers), dict(self.slots), self.flags)

    def of(self, register: str) -> Known:
        return self.registers.get(register, CLEAN)

    def put(self, register: str, value: Known) -> None:
        if value == CLEAN:
            self.registers.pop(register, None)
        else:
            self.registers[register] = value


def merge(old: State | None, new: State) -> State | None:
    if old is None:
        return new.copy()
    out = State({}, {}, joined(old.flags, new.flags))
    for name in old.registers.keys() | new.registers.keys():
        out.put(name, joined(old.of(name), new.of(name)))
    for place in old.slots.keys() | new.slots.keys():
        out.slots[place] = joined(old.slots.get(place, CLEAN), new.slots.get(place, CLEAN))
    return None if out == old else out


@dataclass
class Operands:
    code: Code
    found: dict[str, Insn] = field(default_factory=dict)
    """Kind of use that no address is for -> the first instruction with it."""

    def say(self, use: str, insn: Insn) -> None:
        self.found.setdefault(use, insn)

    # --- operands -----------------------------------------------------------------------------------

    def reached(self, insn: Insn, state: State) -> Known:
        """The address of the memory operand; wide in all cases."""
        memory = insn.effects.memory
        assert memory is not None
        value = Known(number=memory.displacement & (1 << 64) - 1)
        if memory.base == "RIP" or any(not _is_immediate(insn, r) for r in insn.relocations):
            value = ADDRESS
        for register, factor in ((memory.base, 1), (memory.index, memory.scale)):
            if register and register != "RIP":
                value = added(value, state.of(register), factor)
        return value

    def operand(self, insn: Insn, i: int, state: State) -> Known:
        raw = insn.raw
        kind = raw.op_kind(i)
        if kind == OpKind.REGISTER:
            register = raw.op_register(i)
            value = state.of(full_name(register))
            size = RegisterInfo(register).size
            return mixed(value, dropped=8) if register in _HIGH_BYTES else cut(value, size)
        if kind == OpKind.MEMORY:
            return self.loaded(insn, state)
        if any(_is_immediate(insn, r) for r in insn.relocations):
            return ADDRESS
        try:
            return Known(number=int(raw.immediate(i)) & (1 << 64) - 1)
        except ValueError:
            return CLEAN

    def loaded(self, insn: Insn, state: State) -> Known:
        memory = insn.effects.memory
        assert memory is not None
        relocation = insn.relocation
        if relocation is not None and "GOT" in relocation.kind and "TP" not in relocation.kind:
            return ADDRESS
        if insn.is_thread_local:
            return CLEAN
        if relocation is not None and memory.base == "RIP" and relocation.section and memory.size <= 8:
            start = relocation.addend + insn.end - relocation.offset
            data = self.code.sections[relocation.section].data[start : start + memory.size]
            return Known(number=int.from_bytes(data, "little"))
        where = self.reached(insn, state)
        if where.stack and memory.index and where.place is None:
            return mixed(*self.above(insn, state), dropped=64)
        if where.place is not None:
            frame, start = where.place
            held = [v for (f, o), v in state.slots.items() if f == frame and o < start + memory.size and start < o + 8]
            exact = state.slots.get(where.place)
            if exact is not None and memory.size >= 8 and len(held) == 1:
                return exact
            return mixed(*held, dropped=64) if held else CLEAN
        is_foreign = memory.base not in ("", "RIP", "RSP") and not where.stack
        return LOADED if is_foreign and memory.size == 8 else CLEAN

    @staticmethod
    def above(insn: Insn, state: State) -> list[Known]:
        """What an array of the frame could reach by an index: the slots above its start, but for the return address."""
        memory = insn.effects.memory
        base = state.of(memory.base).place if memory is not None else None
        if memory is None or base is None:
            return [value for place, value in state.slots.items() if place != RETURN_ADDRESS]
        frame, start = base[0], base[1] + memory.displacement
        return [v for (f, o), v in state.slots.items() if f == frame and o + 8 > start and (f, o) != RETURN_ADDRESS]

    def write(self, insn: Insn, i: int, value: Known, state: State) -> None:
        """Operand `i` becomes `value`."""
        raw = insn.raw
        if raw.op_kind(i) == OpKind.REGISTER:
            register = raw.op_register(i)
            size = RegisterInfo(register).size
            old = state.of(full_name(register))
            state.put(full_name(register), cut(value, size) if size >= 4 else mixed(old, value, dropped=0))
        elif raw.op_kind(i) == OpKind.MEMORY:
            self.store(insn, value, state)

    def store(self, insn: Insn, value: Known, state: State) -> None:
        memory = insn.effects.memory
        assert memory is not None
        where = self.reached(insn, state) if not insn.is_thread_local else CLEAN
        if where.place is None:
            if value.is_bits:
                self.say("bits of an address are stored", insn)
            return
        frame, start = where.place
        for f, o in [*state.slots]:
            if f == frame and start <= o and o + 8 <= start + max(memory.size, 8):
                del state.slots[f, o]
        for step in range(0, max(memory.size, 1), 8):
            if not value.is_clean:
                state.slots[frame, start + step] = cut(value, memory.size)
