"""The size of a body's stack frame, against the baseline's: a rewrite runs in threads that have a stack for gcc's code.

Over a page, -fstack-clash-protection would need probes, and a guard page may be jumped over: refused unless the
baseline itself moves the stack pointer so far at once. In a function that calls itself every level pays: there less is
allowed.

Not covered: the frames of functions that the candidate calls and the baseline does not (memcpy and its like).
"""

from __future__ import annotations

from iced_x86 import OpKind

from gccllm.assembly import BodyError
from gccllm.reasons import Reason
from gccllm.verify.decode import Decoded, Insn
from gccllm.verify.paths import successors

ALLOWED = 384
"""Bytes of stack pointer below the baseline's deepest: a few spilled registers of a wide loop. With the red zone's 128,
a rewrite writes at most 512 bytes more of the stack. Measured: of 600 bodies that the recipes give for the kernels, the
deepest is 152 bytes below its baseline."""
ALLOWED_RECURSIVE = 64
"""The same where the body calls itself."""
PAGE = 4096
_END = 1 << 30


def check_frame(code: Decoded, baseline: Decoded) -> None:
    """Raises BodyError(FRAME)."""
    ours, theirs = depth(code), depth(baseline)
    allowed = ALLOWED_RECURSIVE if code.name in code.calls else ALLOWED
    if ours > theirs + allowed:
        raise BodyError(Reason.FRAME, f"{ours} bytes, the baseline {theirs}")
    if (
        ours >= PAGE and max((_taken(i) for i in baseline.insns), default=0) <= PAGE
    ):  # probed a page at a time, or small
        raise BodyError(Reason.FRAME, f"{ours} bytes without probes")


def depth(code: Decoded) -> int:
    """Bytes below the return address that the stack pointer may reach at most; `_END` where that grows in a loop.

    Where the pointer is set back from a register it counts as still down: never too little.
    """
    edges = successors(code)
    below = {0: 0}
    todo = [0] if code.insns else []
    while todo:
        at = todo.pop()
        after = max(below[at] + _taken(code.insns[at]), 0)
        if after > PAGE << 12:
            return _END
        for to in edges[at]:
            if after > below.get(to, -1):
                below[to] = after
                todo.append(to)
    return max((below[at] + max(_taken(code.insns[at]), 0) for at in below), default=0)


def _taken(insn: Insn) -> int:
    """Bytes by which the instruction moves the stack pointer down; negative for up."""
    raw = insn.raw
    if insn.is_call or insn.mnemonic == "RET" or "RSP" not in insn.effects.writes:
        return 0
    if insn.mnemonic in ("PUSH", "POP"):
        return -int(raw.stack_pointer_increment)
    if insn.mnemonic in ("SUB", "ADD", "AND") and raw.op_kind(1) not in (OpKind.REGISTER, OpKind.MEMORY):
        by = int(raw.immediate(1))
        by -= (by >> 63) << 64
        return {"SUB": by, "ADD": -by, "AND": -by}[insn.mnemonic]
    memory = insn.effects.memory
    if insn.mnemonic == "LEA" and memory is not None and memory.base == "RSP" and not memory.index:
        return -memory.displacement
    return 0
