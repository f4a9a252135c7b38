"""Changes of one place in a body that nothing can observe: liveness of register bytes and flags over decoded code.

`is_dead_change` is sound and shallow. It compares two decodings that differ in one run of instructions without control
flow, stores or faults of their own, and says True only when everything that they may leave different is dead behind
them. Liveness is kept by bytes for general registers (`movzbl` and `movsbl` agree in the lowest), so a value of which
only the low part is ever used may differ above. A comparison with its sides exchanged is the same one where only
equality is asked. Not covered: values that are live but always equal.
"""

from __future__ import annotations

from collections.abc import Sequence

from iced_x86 import FlowControl, OpKind

from gccllm.assembly import Body, Line
from gccllm.x86.convention import INTEGER_ARGUMENTS, Convention
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import full_name
from gccllm.x86.liveness import EXTENSIONS, FLAG_NAMES, NOTHING, Places, live, low_bytes, width_of, written

_ZERO_FLAG = FLAG_NAMES[2]
_FAULTS = frozenset({"DIV", "IDIV"})
_SELF_EXTENSIONS = {"CDQE": 4, "CWDE": 2}


def is_dead_change(a: Body, b: Body, original: Code, changed: Code, convention: Convention) -> bool:
    """Bodies `a` and `b` with their decodings."""
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
    changes = NOTHING.union(*(written(i) for i in (*old, *new)))
    if len(old) == len(new) == 1 and _is_reversed_compare(old_lines[0], new_lines[0]):
        changes -= {_ZERO_FLAG}
    changes -= _agreeing(old, new)
    return not changes & live(original, first + len(old), convention)


def argument_bytes(code: Code, convention: Convention) -> dict[str, int]:
    """Low bytes (0, 1, 2, 4, 8) of each integer argument register that the result may depend on.

    All of them where control cannot be followed.
    """
    asked = live(code, 0, convention)
    return {r: max((part for part in (1, 2, 4, 8) if f"{r}:{part}" in asked), default=0) for r in INTEGER_ARGUMENTS}


def _is_reversed_compare(a: Line, b: Line) -> bool:
    return a.mnemonic == b.mnemonic and a.mnemonic.startswith("cmp") and a.operands == b.operands[::-1]


def _agreeing(old: Sequence[Insn], new: Sequence[Insn]) -> Places:
    """Bytes that both runs leave with the same value, where two extensions of one source (or none of itself) meet."""
    if len(old) > 1 or len(new) > 1:
        return NOTHING
    known = [_extension(insn) for insn in (*old, *new)]
    forms = [form for form in known if form is not None]
    if len(forms) < len(known) or not forms:
        return NOTHING
    target, source, _ = forms[0]
    if any(form[:2] != (target, source) for form in forms) or ((not old or not new) and source != target):
        return NOTHING
    return low_bytes(target, min(form[2] for form in forms))


def _extension(insn: Insn) -> tuple[str, object, int] | None:
    """(target register, source, bytes of the source) of a move with or without extension."""
    raw = insn.raw
    if insn.mnemonic in _SELF_EXTENSIONS:
        return "RAX", "RAX", _SELF_EXTENSIONS[insn.mnemonic]
    if insn.mnemonic not in EXTENSIONS or raw.op_kind(0) != OpKind.REGISTER:
        return None
    target = full_name(raw.op_register(0))
    if raw.op_kind(1) == OpKind.REGISTER:
        return target, full_name(raw.op_register(1)), width_of(raw.op_register(1))
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
