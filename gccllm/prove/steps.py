"""What x86-64 instructions do to general registers, arithmetic flags and memory, as formulas.

Covered: moves, integer arithmetic, logic, shifts, conditional moves and sets, pushes and pops. Of everything else what
it may change becomes unknown, so that a formula never says more than the machine does: the effects come from iced-x86,
and what writes memory at an address that is not known makes all of memory unknown.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import iced_x86 as iced
import z3

from gccllm.prove.machine import FLAGS, Machine, Unmodelled, address_of, is_register, operand_bits, read, write
from gccllm.prove.memory import Bits, unknown, unknown_bool
from gccllm.x86.convention import CALLER_SAVED
from gccllm.x86.decode import Insn

RFLAGS = {
    "cf": iced.RflagsBits.CF, "zf": iced.RflagsBits.ZF, "sf": iced.RflagsBits.SF, "of": iced.RflagsBits.OF,
    "pf": iced.RflagsBits.PF,
}  # fmt: skip
_WIDEST = 64
"""Bytes of the widest store that changes only what it says."""


def _results(value: Bits) -> dict[str, Any]:
    """The flags that say what a result is."""
    top = value.size() - 1
    low = z3.Extract(7, 0, value)
    parity = z3.Extract(0, 0, low)
    for i in range(1, 8):
        parity ^= z3.Extract(i, i, low)
    return {"zf": value == 0, "sf": z3.Extract(top, top, value) == 1, "pf": parity == 0}


def _negative(value: Bits) -> Any:
    return z3.Extract(value.size() - 1, value.size() - 1, value) == 1


def _added(a: Bits, b: Bits, carry: Bits) -> tuple[Bits, dict[str, Any]]:
    wide = z3.ZeroExt(1, a) + z3.ZeroExt(1, b) + carry
    value = z3.Extract(a.size() - 1, 0, wide)
    over = z3.And(_negative(a) == _negative(b), _negative(value) != _negative(a))
    return value, {"cf": _negative(wide), "of": over, **_results(value)}


def _subtracted(a: Bits, b: Bits, borrow: Bits | None = None) -> tuple[Bits, dict[str, Any]]:
    value = a - b
    less = z3.ULT(a, b)
    if borrow is not None:
        wide = z3.ZeroExt(1, a) - z3.ZeroExt(1, b) - borrow
        value, less = z3.Extract(a.size() - 1, 0, wide), _negative(wide)
    over = z3.And(_negative(a) != _negative(b), _negative(value) != _negative(a))
    return value, {"cf": less, "of": over, **_results(value)}


def _carry(at: Machine, bits: int) -> Bits:
    return z3.If(at.flags["cf"], z3.BitVecVal(1, bits), z3.BitVecVal(0, bits))


def _binary(operation: str) -> Callable[[Machine, Insn], Machine]:
    def run(at: Machine, line: Insn) -> Machine:
        bits = operand_bits(line, 0)
        a, b = read(at, line, 0), read(at, line, 1, bits)
        if operation in ("add", "adc"):
            value, flags = _added(a, b, _carry(at, bits + 1) if operation == "adc" else z3.BitVecVal(0, bits + 1))
        elif operation in ("sub", "cmp", "sbb"):
            value, flags = _subtracted(a, b, _carry(at, bits + 1) if operation == "sbb" else None)
        else:
            value = a & b if operation in ("and", "test") else a | b if operation == "or" else a ^ b
            flags = {"cf": z3.BoolVal(False), "of": z3.BoolVal(False), **_results(value)}
        after = at if operation in ("cmp", "test") else write(at, line, 0, value)
        return after.with_flags(**flags)

    return run


def _step_by_one(sign: int) -> Callable[[Machine, Insn], Machine]:
    def run(at: Machine, line: Insn) -> Machine:
        a = read(at, line, 0)
        one = z3.BitVecVal(1, a.size())
        value, flags = _subtracted(a, one) if sign < 0 else _added(a, one, z3.BitVecVal(0, a.size() + 1))
        del flags["cf"]
        return write(at, line, 0, value).with_flags(**flags)

    return run


def _shift(operation: str) -> Callable[[Machine, Insn], Machine]:
    def run(at: Machine, line: Insn) -> Machine:
        bits = operand_bits(line, 0)
        a = read(at, line, 0)
        count = read(at, line, 1, 8) & (63 if bits == 64 else 31)
        by = z3.ZeroExt(bits - 8, count) if bits > 8 else count
        value = {"shl": lambda: a << by, "sal": lambda: a << by, "shr": lambda: z3.LShR(a, by), "sar": lambda: a >> by}[
            operation
        ]()
        after = write(at, line, 0, value)
        known = z3.simplify(count)
        if not z3.is_bv_value(known):
            return after.with_flags(**{f: unknown_bool() for f in FLAGS})  # a count of zero leaves them
        if (n := known.as_long()) == 0:
            return after
        # The last bit that left; where all of them did, and for more than one place, less is certain.
        place = bits - n if operation in ("shl", "sal") else n - 1
        left = z3.Extract(place, place, a) == 1 if 0 <= place < bits else unknown_bool()
        return after.with_flags(cf=left, of=unknown_bool(), **_results(value))

    return run


def _mov(at: Machine, line: Insn) -> Machine:
    bits = operand_bits(line, 0)
    return write(at, line, 0, read(at, line, 1, bits))


def _extend(signed: bool) -> Callable[[Machine, Insn], Machine]:
    def run(at: Machine, line: Insn) -> Machine:
        value, bits = read(at, line, 1), operand_bits(line, 0)
        more = bits - value.size()
        return write(at, line, 0, z3.SignExt(more, value) if signed else z3.ZeroExt(more, value))

    return run


def _lea(at: Machine, line: Insn) -> Machine:
    return write(at, line, 0, z3.Extract(operand_bits(line, 0) - 1, 0, address_of(at, line)))


def _cmov(at: Machine, line: Insn) -> Machine:
    condition = at.holds(line.raw.condition_code)
    return write(at, line, 0, z3.If(condition, read(at, line, 1), read(at, line, 0)))


def _set(at: Machine, line: Insn) -> Machine:
    condition = at.holds(line.raw.condition_code)
    return write(at, line, 0, z3.If(condition, z3.BitVecVal(1, 8), z3.BitVecVal(0, 8)))


def _not(at: Machine, line: Insn) -> Machine:
    return write(at, line, 0, ~read(at, line, 0))


def _neg(at: Machine, line: Insn) -> Machine:
    a = read(at, line, 0)
    value, flags = _subtracted(z3.BitVecVal(0, a.size()), a)
    return write(at, line, 0, value).with_flags(**flags)


def _imul(at: Machine, line: Insn) -> Machine:
    one = line.raw
    if one.op_count == 1:
        raise Unmodelled("a product in two registers")
    bits = operand_bits(line, 0)
    a, b = (read(at, line, 0), read(at, line, 1)) if one.op_count == 2 else (read(at, line, 1), read(at, line, 2, bits))
    return write(at, line, 0, a * b).with_flags(**{f: unknown_bool() for f in FLAGS})


def _push(at: Machine, line: Insn) -> Machine:
    value = read(at, line, 0, 64)
    if value.size() != 64:
        raise Unmodelled("a push of less than a register")
    below = at.registers["RSP"] - 8
    return at.with_register("RSP", below).store(below, value)


def _pop(at: Machine, line: Insn) -> Machine:
    if not is_register(line.raw, 0):
        raise Unmodelled("a pop into memory")
    top = at.registers["RSP"]
    return at.with_register("RSP", top + 8).put(line.raw.op0_register, at.load(top, 8))


def _widen(target: str, bits: int) -> Callable[[Machine, Insn], Machine]:
    """cltq and its like: the lower half of `rax`, extended."""

    def run(at: Machine, line: Insn) -> Machine:
        low = z3.Extract(bits - 1, 0, at.registers["RAX"])
        if target == "RAX":
            value = z3.SignExt(bits, low)
            return at.with_register(target, value if bits == 32 else z3.ZeroExt(32, value))
        sign = z3.If(_negative(low), z3.BitVecVal(-1, bits), z3.BitVecVal(0, bits))
        return at.with_register(target, sign if bits == 64 else z3.ZeroExt(32, sign))

    return run


def _call(at: Machine, line: Insn) -> Machine:
    return at.forgetting(CALLER_SAVED, memory=True)


def _nothing(at: Machine, line: Insn) -> Machine:
    return at


_STEPS: Mapping[str, Callable[[Machine, Insn], Machine]] = {
    **{name: _binary(name) for name in ("add", "adc", "sub", "sbb", "cmp", "and", "test", "or", "xor")},
    **{name: _shift(name) for name in ("shl", "sal", "shr", "sar")},
    "inc": _step_by_one(1), "dec": _step_by_one(-1), "not": _not, "neg": _neg, "imul": _imul, "mov": _mov,
    "movzx": _extend(False), "movsx": _extend(True), "movsxd": _extend(True), "lea": _lea, "push": _push, "pop": _pop,
    "cdqe": _widen("RAX", 32), "cwde": _widen("RAX", 16), "cdq": _widen("RDX", 32),
    "cqo": _widen("RDX", 64), "call": _call, "nop": _nothing, "endbr64": _nothing,
}  # fmt: skip


def is_modelled(line: Insn) -> bool:
    """Whether all that an instruction does to a machine is in its formula, or unknown there."""
    name = line.mnemonic.lower()
    is_conditional = line.raw.condition_code != iced.ConditionCode.NONE
    return name in _STEPS or (is_conditional and (name[:3] in _CONDITIONAL or line.raw.is_jcc_short_or_near))


def step(at: Machine, line: Insn) -> Machine:
    """The machine after one instruction. Jumps change nothing; the flow is the caller's."""
    one = line.raw
    if one.is_jcc_short_or_near or one.flow_control in (
        iced.FlowControl.UNCONDITIONAL_BRANCH, iced.FlowControl.INDIRECT_BRANCH,
    ):  # fmt: skip
        return at
    name = line.mnemonic.lower()
    run = _CONDITIONAL.get(name[:3]) if one.condition_code != iced.ConditionCode.NONE else _STEPS.get(name)
    if run is not None and not (one.has_rep_prefix or one.has_repne_prefix or one.has_lock_prefix):
        try:
            return run(at, line)
        except Unmodelled:
            pass
    return _forget(at, line)


_CONDITIONAL = {"cmo": _cmov, "set": _set}


def _forget(at: Machine, line: Insn) -> Machine:
    """All that an instruction may change is unknown after it."""
    one = line.raw
    if one.flow_control in (iced.FlowControl.CALL, iced.FlowControl.INDIRECT_CALL):
        return _call(at, line)
    known = dict(at.registers)
    for name in known.keys() & (line.effects.writes | line.effects.keeps):
        known[name] = unknown(64)
    flags = {name: unknown_bool() if one.rflags_modified & RFLAGS[name] else at.flags[name] for name in FLAGS}
    after = Machine(known, flags, at.memory)
    for access in line.accesses:
        if access.is_written:
            try:
                exact = access.size and access.size <= _WIDEST and one.op_kind(0) == iced.OpKind.MEMORY
                if not exact or access.is_conditional:
                    raise Unmodelled("a store of no certain extent")
                after = after.store(address_of(at, line), unknown(8 * access.size))
            except Unmodelled:
                after = replace(after, memory=after.memory.forgotten())
    return after
