"""Which bytes of registers, and which flags, are looked at behind a place in a body.

One backward dataflow over the decoded instructions, asked in two ways. `live`: what may be looked at; all else is
dead, so anything may lie there. `read_first`: what is surely looked at before it is written: code that does so with
nothing defined there has no meaning. General registers are followed in parts of 1, 2, 4 and 8 bytes, vectors in 16, 32
and 64.

Not covered: x87 and MMX registers, MXCSR, memory; values that are live but have no influence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from iced_x86 import FlowControl, OpAccess, OpKind, Register, RegisterInfo

from gccllm.x86.convention import CALLER_SAVED, INTEGER_ARGUMENTS, VECTOR_ARGUMENTS, Convention
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import full_name, info_of
from gccllm.x86.paths import Edges, successors
from gccllm.x86.registers import GENERAL, MASKS, VECTORS

Places = frozenset[str]
"""`RAX:4` is the part of rax above 2 bytes and within 4; mask registers and flags have one name each."""

NOTHING: Places = frozenset()
FLAG_NAMES = tuple(f"flag{i}" for i in range(6))
"""By iced's RflagsBits: OF SF ZF AF CF PF."""
_HIGH = (Register.AH, Register.BH, Register.CH, Register.DH)
_PARTS = dict.fromkeys(GENERAL, (1, 2, 4, 8)) | dict.fromkeys(VECTORS, (16, 32, 64))

EXTENSIONS = frozenset({"MOV", "MOVZX", "MOVSX", "MOVSXD"})
# The low k bytes of the result depend on the low k bytes of the register operands only.
_LOW = EXTENSIONS | frozenset(
    {"ADD", "SUB", "AND", "OR", "XOR", "IMUL", "LEA", "SHL", "SAL", "NEG", "NOT", "INC", "DEC"}
)


# --- places ---------------------------------------------------------------------------------------


def width_of(register: int) -> int:
    """Bytes of a part (iced's number) counted from its whole's lowest; ah and the like count as 2."""
    return 2 if register in _HIGH else int(RegisterInfo(register).size)


def low_bytes(register: str, width: int) -> Places:
    """The low `width` bytes of a register."""
    if register not in _PARTS:
        return frozenset({register})
    return frozenset(f"{register}:{part}" for part in _PARTS[register] if part <= width)


def whole(registers: Iterable[str]) -> Places:
    return NOTHING.union(*(low_bytes(r, 64) for r in registers))


def flags(mask: int) -> Places:
    return frozenset(name for i, name in enumerate(FLAG_NAMES) if mask >> i & 1)


_EVERYTHING = whole((*GENERAL, *VECTORS, *MASKS)) | frozenset(FLAG_NAMES)
_CLOBBERED = whole(CALLER_SAVED) | frozenset(FLAG_NAMES)
_PASSED = whole((*INTEGER_ARGUMENTS, *VECTOR_ARGUMENTS, "RAX"))


# --- one instruction ------------------------------------------------------------------------------


def written(insn: Insn) -> Places:
    """Everything that may be different behind it."""
    effects = insn.effects
    return whole(effects.writes | effects.keeps) | flags(effects.flags_written | effects.flags_undefined)


def _kills(insn: Insn) -> Places:
    """What is certainly overwritten. A 4-byte write clears the upper half too."""
    effects, raw = insn.effects, insn.raw
    # A count of zero leaves the flags, and so does a comparison of no elements.
    counts = any(
        raw.op_kind(n) == OpKind.REGISTER and raw.op_register(n) == Register.CL for n in range(1, raw.op_count)
    )
    out = NOTHING if counts or raw.has_rep_prefix or raw.has_repne_prefix else flags(effects.flags_written)
    for used in info_of(raw).used_registers():
        name = full_name(used.register)
        if name not in effects.writes or used.access not in (OpAccess.WRITE, OpAccess.READ_WRITE):
            continue
        if name in GENERAL and width_of(used.register) >= 4:
            out |= low_bytes(name, 8)
        elif used.register not in _HIGH:
            out |= low_bytes(name, width_of(used.register))
    return out


def _reads(insn: Insn, out: Places, merged: frozenset[str] = frozenset()) -> Places:
    """What is looked at, given what is looked at behind; and what lanes of `merged` are."""
    effects, raw = insn.effects, insn.raw
    found = flags(effects.flags_read)
    limit = 64
    address: set[int] = set()
    is_low = insn.mnemonic in _LOW and (raw.op_count > 1 or insn.mnemonic != "IMUL")
    if is_low and not flags(effects.flags_written) & out and raw.op_kind(0) == OpKind.REGISTER:
        target = full_name(raw.op_register(0))
        limit = max((part for part in (1, 2, 4, 8) if f"{target}:{part}" in out), default=0)
        limit = min(limit, width_of(raw.op_register(0)))
        if insn.mnemonic != "LEA":
            address = {raw.memory_base, raw.memory_index}
    for used in info_of(raw).used_registers():
        name = full_name(used.register)
        if name not in effects.reads | merged or used.access in (OpAccess.WRITE, OpAccess.COND_WRITE):
            continue
        width = width_of(used.register)
        is_count = insn.mnemonic in ("SHL", "SAL") and raw.op_kind(1) == OpKind.REGISTER and name == "RCX"
        if used.register not in address and not is_count:
            width = min(width, limit)
        found |= low_bytes(name, width)
    return found


# --- a body ---------------------------------------------------------------------------------------


def live(code: Code, index: int, convention: Convention) -> Places:
    """What may be looked at from instruction `index` on; everything when an indirect jump is in the way."""
    if any(insn.is_indirect_jump for insn in code.insns):
        return _EVERYTHING
    always = whole(("RSP", *convention.preserved))
    returned = always | whole(convention.live_out)

    def before(insn: Insn, out: Places) -> Places:
        if insn.flow == FlowControl.RETURN:
            return returned
        if insn.is_call or insn.is_tail_jump:
            kept = out - _CLOBBERED if insn.is_call else NOTHING
            return kept | _PASSED | _reads(insn, _EVERYTHING) | always
        if insn.ends_flow and insn.target is None:
            return _EVERYTHING
        return (out - _kills(insn)) | _reads(insn, out, insn.effects.merged)

    edges = tuple((*row, len(code.insns)) if _leaves_text(code, at) else row for at, row in enumerate(successors(code)))
    return _settled(code, edges, before, _EVERYTHING)[index]


def _leaves_text(code: Code, at: int) -> bool:
    """Whether control goes on where there is no instruction."""
    insn = code.insns[at]
    falls = not insn.ends_flow and at + 1 == len(code.insns)
    return falls or (insn.target is not None and insn.target not in code.at)


def read_first(code: Code) -> frozenset[str]:
    """Registers, but for the stack pointer, of which something is looked at before it is written, on some path.

    Pushes do not count: where it is popped again, nobody has looked. Nor does what a callee may be passed.
    """

    def before(insn: Insn, out: Places) -> Places:
        looked_at = _reads(insn, _EVERYTHING) if insn.mnemonic != "PUSH" else NOTHING
        return (out - (_CLOBBERED if insn.is_call else _kills(insn))) | looked_at

    found = {place.partition(":")[0] for place in _settled(code, successors(code), before, NOTHING)[0]}
    return frozenset(found & {*GENERAL, *VECTORS, *MASKS} - {"RSP"})


def _settled(code: Code, edges: Edges, before: Callable[[Insn, Places], Places], end: Places) -> list[Places]:
    """The least solution before each instruction; `end` is what there is behind the last."""
    at_start = [NOTHING] * len(code.insns) + [end]
    changed = True
    while changed:
        changed = False
        for at in range(len(code.insns) - 1, -1, -1):
            value = before(code.insns[at], NOTHING.union(*(at_start[to] for to in edges[at])))
            if value != at_start[at]:
                at_start[at], changed = value, True
    return at_start
