"""Changes of one place in a body that nothing can observe: liveness of registers and flags over decoded code.

`is_dead_change` is sound and shallow. It compares two decodings that differ in one run of instructions without control
flow, stores or faults of their own, and says True only when everything that either run writes is dead behind it.
A comparison with its sides exchanged is the same one where only equality is asked. Not covered: other values that are
live but always equal.
"""

from __future__ import annotations

from collections.abc import Sequence

from iced_x86 import FlowControl

from gccllm.assembly import Body, Line
from gccllm.verify.abi_flow import CALLER_SAVED, INTEGER_ARGUMENTS, VECTOR_ARGUMENTS
from gccllm.verify.decode import CALLEE_SAVED, GENERAL, Decoded, Insn

_ALWAYS = frozenset({"RSP", *CALLEE_SAVED})
_FAULTS = frozenset({"DIV", "IDIV"})
_FLAG_NAMES = tuple(f"flag{i}" for i in range(6))
_ZERO_FLAG = "flag2"
"""By iced's RflagsBits: OF SF ZF AF CF PF."""


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
    after = _live_after(original, first + len(old), results)
    written = frozenset[str]().union(*(_writes(i) for i in (*old, *new)))
    if len(old) == len(new) == 1 and _is_reversed_compare(old_lines[0], new_lines[0]):
        written -= {_ZERO_FLAG}  # equality does not care which side is which
    return not written & after


def _is_reversed_compare(a: Line, b: Line) -> bool:
    return a.mnemonic == b.mnemonic and a.mnemonic.startswith("cmp") and a.operands == b.operands[::-1]


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
    return memory, None if relocation is None else (relocation.symbol, relocation.section, relocation.addend)


def _flags(mask: int) -> frozenset[str]:
    return frozenset(name for i, name in enumerate(_FLAG_NAMES) if mask >> i & 1)


def _writes(insn: Insn) -> frozenset[str]:
    effects = insn.effects
    return effects.writes | effects.keeps | _flags(effects.flags_written | effects.flags_undefined)


def _live_after(code: Decoded, index: int, results: frozenset[str]) -> frozenset[str]:
    """What may be read from instruction `index` on; everything when an indirect jump is in the way."""
    everything = frozenset((*GENERAL, *CALLER_SAVED, *_FLAG_NAMES))
    if any(i.is_indirect_jump for i in code.insns):
        return everything
    live: list[frozenset[str]] = [frozenset()] * (len(code.insns) + 1)
    live[-1] = everything
    changed = True
    while changed:
        changed = False
        for i in range(len(code.insns) - 1, -1, -1):
            insn = code.insns[i]
            out = live[i + 1] if not insn.ends_flow else frozenset[str]()
            if insn.target is not None:
                out |= live[code.at[insn.target]] if insn.target in code.at else everything
            value = _before(insn, out, results)
            if value != live[i]:
                live[i], changed = value, True
    return live[index]


def _before(insn: Insn, out: frozenset[str], results: frozenset[str]) -> frozenset[str]:
    effects = insn.effects
    reads = effects.reads | _flags(effects.flags_read)
    if insn.flow == FlowControl.RETURN:
        return _ALWAYS | results
    if insn.is_call or insn.is_tail_jump:
        arguments = frozenset((*INTEGER_ARGUMENTS, *VECTOR_ARGUMENTS, "RAX"))
        kept = (out - CALLER_SAVED - frozenset(_FLAG_NAMES)) if insn.is_call else frozenset[str]()
        return kept | arguments | reads | _ALWAYS
    if insn.ends_flow and insn.target is None:
        return frozenset(reads)
    kills = effects.writes | _flags(effects.flags_written | effects.flags_undefined)
    return (out - kills) | reads
