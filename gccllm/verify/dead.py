"""Changes of one place in a body that nothing can observe: liveness of register bytes and flags over decoded code.

`is_dead_change` is sound and shallow. It compares two decodings that differ in one run of instructions without control
flow, stores or faults of their own, and says True only when everything that they may leave different is dead behind
them. Liveness is kept by bytes for general registers (`movzbl` and `movsbl` agree in the lowest), so a value of which
only the low part is ever used may differ above. A comparison with its sides exchanged is the same one where only
equality is asked. Not covered: values that are live but always equal.
"""

from __future__ import annotations

from collections.abc import Sequence

from iced_x86 import FlowControl, InstructionInfoFactory, OpAccess, OpKind, Register, RegisterExt

from gccllm.assembly import Body, Line
from gccllm.x86.decode import Decoded, Insn, full_name
from gccllm.x86.registers import CALLEE_SAVED, CALLER_SAVED, GENERAL, INTEGER_ARGUMENTS, VECTOR_ARGUMENTS

Places = frozenset[str]
"""`RAX:4` is the part of rax above 2 bytes and within 4; other registers and flags have one name each."""

_NOTHING: Places = frozenset()
_FLAG_NAMES = tuple(f"flag{i}" for i in range(6))
_ZERO_FLAG = "flag2"
"""By iced's RflagsBits: OF SF ZF AF CF PF."""
_HIGH = (Register.AH, Register.BH, Register.CH, Register.DH)
_FAULTS = frozenset({"DIV", "IDIV"})
_EXTENSIONS = frozenset({"MOV", "MOVZX", "MOVSX", "MOVSXD"})
_SELF_EXTENSIONS = {"CDQE": 4, "CWDE": 2}

# The low k bytes of the result depend on the low k bytes of the register operands only.
_LOW = _EXTENSIONS | frozenset(
    {"ADD", "SUB", "AND", "OR", "XOR", "IMUL", "LEA", "SHL", "SAL", "NEG", "NOT", "INC", "DEC"}
)


def is_dead_change(a: Body, b: Body, original: Decoded, changed: Decoded, results: frozenset[str]) -> bool:
    """Bodies `a` and `b` with their decodings. `results`: registers (RAX, ZMM0 ...) holding the result at a return."""
    if a.constants != b.constants or len(original.insns) != a.instructions or len(changed.insns) != b.instructions:
        return False
    start, old_lines, new_lines = _difference(a.lines, b.lines)
    if any(line.is_label for line in (*old_lines, *new_lines)) or not (old_lines or new_lines):
        return False
    first = sum(not line.is_label for line in a.lines[:start])
    old = original.insns[first : first + len(old_lines)]
    new = changed.insns[first : first + len(new_lines)]
    if any(not _is_harmless(insn) for insn in (*old, *new)):
        return False
    loads = [_load(insn) for insn in old if insn.effects.memory is not None and insn.effects.memory.is_read]
    if any(_load(i) not in loads for i in new if i.effects.memory is not None and i.effects.memory.is_read):
        return False
    written = _NOTHING.union(*(_writes(i) for i in (*old, *new)))
    if len(old) == len(new) == 1 and _is_reversed_compare(old_lines[0], new_lines[0]):
        written -= {_ZERO_FLAG}
    written -= _agreeing(old, new)
    return not written & _live_after(original, first + len(old), results)


def argument_bytes(code: Decoded, results: frozenset[str]) -> dict[str, int]:
    """Low bytes (0, 1, 2, 4, 8) of each integer argument register that the result may depend on.

    All of them where control cannot be followed.
    """
    live = _live_after(code, 0, results)
    return {r: max((part for part in (1, 2, 4, 8) if f"{r}:{part}" in live), default=0) for r in INTEGER_ARGUMENTS}


def _is_reversed_compare(a: Line, b: Line) -> bool:
    return a.mnemonic == b.mnemonic and a.mnemonic.startswith("cmp") and a.operands == b.operands[::-1]


def _agreeing(old: Sequence[Insn], new: Sequence[Insn]) -> Places:
    """Bytes that both runs leave with the same value, where two extensions of one source (or none of itself) meet."""
    if len(old) > 1 or len(new) > 1:
        return _NOTHING
    known = [_extension(insn) for insn in (*old, *new)]
    forms = [form for form in known if form is not None]
    if len(forms) < len(known) or not forms:
        return _NOTHING
    target, source, _ = forms[0]
    if any(form[:2] != (target, source) for form in forms) or ((not old or not new) and source != target):
        return _NOTHING
    return _bytes(target, min(form[2] for form in forms))


def _extension(insn: Insn) -> tuple[str, object, int] | None:
    """(target register, source, bytes of the source) of a move with or without extension."""
    raw = insn.raw
    if insn.mnemonic in _SELF_EXTENSIONS:
        return "RAX", "RAX", _SELF_EXTENSIONS[insn.mnemonic]
    if insn.mnemonic not in _EXTENSIONS or raw.op_kind(0) != OpKind.REGISTER:
        return None
    target = full_name(raw.op_register(0))
    if raw.op_kind(1) == OpKind.REGISTER:
        return target, full_name(raw.op_register(1)), _width(raw.op_register(1))
    memory = insn.effects.memory
    if memory is None:
        return None
    return target, (memory.base, memory.index, memory.scale, memory.displacement, insn.is_thread_local), memory.size


def _difference(a: Sequence[Line], b: Sequence[Line]) -> tuple[int, Sequence[Line], Sequence[Line]]:
    """Index of the first differing line and the differing runs."""
    start, end, shorter = 0, 0, min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    return start, a[start : len(a) - end], b[start : len(b) - end]


def _is_harmless(insn: Insn) -> bool:
    memory = insn.effects.memory
    stores = memory is not None and memory.is_written
    has_stack = insn.mnemonic in ("PUSH", "POP", "LEAVE") or insn.raw.is_string_instruction
    return insn.flow == FlowControl.NEXT and not stores and not has_stack and insn.mnemonic not in _FAULTS


def _load(insn: Insn) -> object:
    memory, relocation = insn.effects.memory, insn.relocation
    where = (memory.base, memory.index, memory.scale, memory.displacement, memory.size) if memory is not None else None
    named = None if relocation is None else (relocation.symbol, relocation.section, relocation.addend)
    return where, insn.is_thread_local, named


# --- places ---------------------------------------------------------------------------------------


def _width(register: int) -> int:
    """Bytes of the register counted from its full register's lowest; ah and the like count as 2."""
    return 2 if register in _HIGH else int(RegisterExt.size(register))


def _bytes(register: str, width: int) -> Places:
    """The low `width` bytes of a register."""
    if register not in GENERAL:
        return frozenset({register})
    return frozenset(f"{register}:{part}" for part in (1, 2, 4, 8) if part <= width)


def _all(registers: Sequence[str] | frozenset[str]) -> Places:
    return _NOTHING.union(*(_bytes(r, 8) for r in registers))


_EVERYTHING: Places = _all((*GENERAL, *CALLER_SAVED)) | frozenset(_FLAG_NAMES)
_ALWAYS: Places = _all(("RSP", *CALLEE_SAVED))


def _flags(mask: int) -> Places:
    return frozenset(name for i, name in enumerate(_FLAG_NAMES) if mask >> i & 1)


def _writes(insn: Insn) -> Places:
    """Everything that may be different behind it."""
    effects = insn.effects
    return _all(effects.writes | effects.keeps) | _flags(effects.flags_written | effects.flags_undefined)


_INFO = InstructionInfoFactory()


def _kills(insn: Insn) -> Places:
    """What is certainly overwritten. A 4-byte write clears the upper half too."""
    effects = insn.effects
    out = _flags(effects.flags_written | effects.flags_undefined)
    for used in _INFO.info(insn.raw).used_registers():
        name = full_name(used.register)
        if name in effects.writes and used.access in (OpAccess.WRITE, OpAccess.READ_WRITE):
            if name not in GENERAL or _width(used.register) >= 4:
                out |= _bytes(name, 8)
            elif used.register not in _HIGH:
                out |= _bytes(name, _width(used.register))
    return out


def _reads(insn: Insn, out: Places) -> Places:
    """What is looked at, given what is looked at behind."""
    effects, raw = insn.effects, insn.raw
    found = _flags(effects.flags_read)
    limit = 8
    address: set[int] = set()
    is_low = insn.mnemonic in _LOW and (raw.op_count > 1 or insn.mnemonic != "IMUL")
    if is_low and not _flags(effects.flags_written) & out and raw.op_kind(0) == OpKind.REGISTER:
        target = full_name(raw.op_register(0))
        limit = max((part for part in (1, 2, 4, 8) if f"{target}:{part}" in out), default=0)
        limit = min(limit, _width(raw.op_register(0)))
        if insn.mnemonic != "LEA":
            address = {raw.memory_base, raw.memory_index}
    for used in _INFO.info(raw).used_registers():
        name = full_name(used.register)
        if name not in effects.reads or used.access in (OpAccess.WRITE, OpAccess.COND_WRITE):
            continue
        width = _width(used.register)
        is_count = insn.mnemonic in ("SHL", "SAL") and raw.op_kind(1) == OpKind.REGISTER and name == "RCX"
        if used.register not in address and not is_count:
            width = min(width, limit)
        found |= _bytes(name, width)
    return found


# --- liveness -------------------------------------------------------------------------------------


def _live_after(code: Decoded, index: int, results: frozenset[str]) -> Places:
    """What may be read from instruction `index` on; everything when an indirect jump is in the way."""
    if any(i.is_indirect_jump for i in code.insns):
        return _EVERYTHING
    live: list[Places] = [_NOTHING] * (len(code.insns) + 1)
    live[-1] = _EVERYTHING
    kills = [_kills(insn) for insn in code.insns]
    changed = True
    while changed:
        changed = False
        for i in range(len(code.insns) - 1, -1, -1):
            insn = code.insns[i]
            out = live[i + 1] if not insn.ends_flow else _NOTHING
            if insn.target is not None:
                out |= live[code.at[insn.target]] if insn.target in code.at else _EVERYTHING
            value = _before(insn, out, kills[i], results)
            if value != live[i]:
                live[i], changed = value, True
    return live[index]


def _before(insn: Insn, out: Places, kills: Places, results: frozenset[str]) -> Places:
    if insn.flow == FlowControl.RETURN:
        return _ALWAYS | _all(results)
    if insn.is_call or insn.is_tail_jump:
        arguments = _all((*INTEGER_ARGUMENTS, *VECTOR_ARGUMENTS, "RAX"))
        kept = (out - _all(CALLER_SAVED) - frozenset(_FLAG_NAMES)) if insn.is_call else _NOTHING
        return kept | arguments | _reads(insn, _EVERYTHING) | _ALWAYS
    if insn.ends_flow and insn.target is None:
        return _EVERYTHING
    return (out - kills) | _reads(insn, out)
