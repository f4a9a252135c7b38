"""Hardening, compared on the object: what the baseline's code does against attackers, a candidate does too.

Each fact is read from the baseline and asked of the candidate; no option is followed. Covered: checked library calls,
`notrack` jump tables, int3 behind returns and indirect jumps (-mharden-sls=all, =return), registers zeroed before
returns (-fzero-call-used-regs), frame pointers, frames of a page (-fstack-clash-protection).

Some baselines show nothing although an option asks for hardening: they never return, have no indirect jump, or use no
registers but those of the result. With such an option (`asked`) a candidate may not do what the baseline never does,
and zeroes all that it uses.

Not covered: what leaves no trace in this baseline and is asked for by no option of `asked`: a stack protector
for arrays that only the candidate has; frame pointers where the baseline is a leaf, in which gcc sets up none;
-fharden-*. Vector registers where they are forbidden: attributes and options
decline such functions, so their use is no matter of the object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iced_x86 import FlowControl, OpKind, RegisterInfo

from gccllm.assembly import BodyError
from gccllm.base.reasons import Reason
from gccllm.x86.convention import CALL_RESULTS, CALLER_SAVED, INTEGER_ARGUMENTS, VECTOR_ARGUMENTS
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import full_name
from gccllm.x86.paths import loops, straight_end, successors
from gccllm.x86.registers import GENERAL, MASKS, VECTORS

_OTHER_GENERAL = tuple(r for r in GENERAL if r in CALLER_SAVED and r not in INTEGER_ARGUMENTS)
_CLASSES = (INTEGER_ARGUMENTS, _OTHER_GENERAL, VECTOR_ARGUMENTS, VECTORS[len(VECTOR_ARGUMENTS) :], MASKS)
"""Registers that a choice of -fzero-call-used-regs= takes or leaves together."""


_OPTIONS = {"-fzero-call-used-regs=": ("zeroes", "skip"), "-mharden-sls=": ("traps", "none")}
"""Option -> (what it asks for, its word for nothing)."""


def asked(options: Sequence[str]) -> frozenset[str]:
    """`zeroes` where registers are to be zeroed before returns, `traps` where int3 is to follow exits."""
    words = {head: option.removeprefix(head) for option in options for head in _OPTIONS if option.startswith(head)}
    return frozenset(_OPTIONS[head][0] for head, word in words.items() if word != _OPTIONS[head][1])


def check_hardening(code: Code, baseline: Code, wanted: frozenset[str] = frozenset()) -> None:
    """Raises BodyError(HARDENING). `wanted`: what options ask for, of `asked`.

    The leading endbr64 is put back by the splice whether the candidate has it or not.
    """
    for symbol in sorted(baseline.calls):
        if symbol.endswith(("_chk", "__stack_chk_fail")) and symbol not in code.calls:
            raise BodyError(Reason.HARDENING, f"{symbol} is not called any more")
    if baseline.insns and baseline.insns[0].mnemonic == "ENDBR64":
        for insn in code.insns:
            if insn.is_indirect_jump and insn.relocation is None and insn.code[0] != 0x3E:
                raise BodyError(Reason.HARDENING, f"an indirect jump without notrack: {insn}")
    for flow in (FlowControl.RETURN, FlowControl.INDIRECT_BRANCH):
        if wanted and any(i.flow == flow for i in code.insns) and not any(i.flow == flow for i in baseline.insns):
            raise BodyError(Reason.HARDENING, "a return or an indirect jump that the baseline has not")
    _check_traps(code, baseline)
    _check_zeroed(code, baseline, "zeroes" in wanted)
    if keeps_frame_pointer(baseline):
        _check_frame_pointer(code)


def returns(code: Code) -> list[int]:
    """Indices of its returns."""
    return [at for at, insn in enumerate(code.insns) if insn.flow == FlowControl.RETURN]


# --- int3 ---------------------------------------------------------------------------------------------


def is_speculation_trap(code: Code, insn: Insn) -> bool:
    """An int3 that only speculation reaches: right behind a return or an indirect jump, and no branch leads to it."""
    at = code.at[insn.offset]
    behind = at > 0 and insn.mnemonic == "INT3" and _leaves(code.insns[at - 1])
    return behind and all(other.target != insn.offset for other in code.insns)


def _leaves(insn: Insn) -> bool:
    return insn.flow in (FlowControl.RETURN, FlowControl.INDIRECT_BRANCH)


def _check_traps(code: Code, baseline: Code) -> None:
    for flow in (FlowControl.RETURN, FlowControl.INDIRECT_BRANCH):
        theirs = list(_trapped(baseline, flow))
        # A baseline that has no indirect jump says by its returns what it would put behind one.
        asked = any(theirs) or (not theirs and any(_trapped(baseline, FlowControl.RETURN)))
        if asked and not all(_trapped(code, flow)):
            raise BodyError(Reason.HARDENING, "no int3 behind a return or an indirect jump")


def _trapped(code: Code, flow: int) -> Iterator[bool]:
    """For each exit of that kind, whether an int3 follows it."""
    for at, insn in enumerate(code.insns):
        if insn.flow == flow:
            yield at + 1 < len(code.insns) and code.insns[at + 1].mnemonic == "INT3"


# --- zeroed registers ---------------------------------------------------------------------------------


def zeroed_before(code: Code, at: int) -> tuple[frozenset[str], frozenset[str]]:
    """(registers that are zero at a return by the instructions right before it, those of them that nobody read since).

    A zero that the code computes with is no hardening; one that a move spreads may be.
    """
    zero: set[str] = set()
    used: set[str] = set()
    for insn in (code.insns[i] for i in straight_end(code, at)):
        cleared = _cleared(insn, zero)
        effects = insn.effects
        if not cleared:
            used |= effects.reads
            if effects.memory is not None:
                used |= {effects.memory.base, effects.memory.index}
        zero -= effects.writes | effects.keeps
        used -= cleared
        zero |= cleared
    return frozenset(zero), frozenset(zero - used)


def _cleared(insn: Insn, zero: set[str]) -> set[str]:
    """Registers that the instruction makes zero as a whole."""
    raw = insn.raw
    if insn.mnemonic == "VZEROALL":
        return set(VECTORS[:16])
    if raw.op_count < 2 or raw.op_kind(0) != OpKind.REGISTER:
        return set()
    target = full_name(raw.op_register(0))
    registers = {full_name(raw.op_register(i)) for i in range(raw.op_count) if raw.op_kind(i) == OpKind.REGISTER}
    has_memory = insn.effects.memory is not None
    if target in GENERAL:
        source = full_name(raw.op_register(1)) if raw.op_kind(1) == OpKind.REGISTER else ""
        is_self = insn.mnemonic in ("XOR", "SUB") and source == target
        is_copy = insn.mnemonic == "MOV" and source in zero
        is_number = insn.mnemonic == "MOV" and not source and not has_memory and raw.immediate(1) == 0
        is_whole = RegisterInfo(raw.op_register(0)).size >= 4
        return {target} if is_whole and (is_self or is_copy or is_number) and not insn.relocations else set()
    word = insn.mnemonic.removeprefix("V")
    is_xor = word in ("PXOR", "PXORD", "PXORQ", "XORPS", "XORPD", "KXORB", "KXORW", "KXORD", "KXORQ")
    return {target} if is_xor and len(registers) == 1 and not has_memory and not raw.has_op_mask else set()


def _touched(code: Code) -> frozenset[str]:
    """Caller-saved registers that it reads or writes, but for the zeroing before its returns."""
    zeroing = {i for at in returns(code) for i in straight_end(code, at) if _cleared(code.insns[i], set())}
    out: set[str] = set()
    for at, insn in enumerate(code.insns):
        if at not in zeroing:
            out |= insn.effects.reads | insn.effects.writes | insn.effects.keeps
    return frozenset(out & CALLER_SAVED)


def _check_zeroed(code: Code, baseline: Code, is_asked: bool) -> None:
    exits = returns(baseline)
    if not exits:
        return
    theirs = frozenset.intersection(*(zeroed_before(baseline, at)[1] for at in exits))
    # A result that is zero at every return may be just that, and says nothing by itself.
    if not theirs - CALL_RESULTS and not is_asked:
        return
    touched, wanted = _touched(baseline), _touched(code)
    left = touched - theirs
    excused = {r for row in _CLASSES if left & set(row) - CALL_RESULTS for r in row if r not in theirs}
    results = left & CALL_RESULTS
    must = (theirs - touched) | (wanted - results - excused)
    stack = [_pushes_of_zero(baseline, at) for at in exits]
    for at in returns(code):
        missing = must - zeroed_before(code, at)[0]
        if missing:
            raise BodyError(Reason.HARDENING, f"not zeroed before a return: {', '.join(sorted(missing)[:6])}")
        if _pushes_of_zero(code, at) < min(stack):
            raise BodyError(Reason.HARDENING, "the x87 registers are not zeroed before a return")


def _pushes_of_zero(code: Code, at: int) -> int:
    return sum(code.insns[i].mnemonic == "FLDZ" for i in straight_end(code, at))


# --- frame pointer ------------------------------------------------------------------------------------


def keeps_frame_pointer(code: Code) -> bool:
    """Whether rbp points to the frame, with the caller's rbp in it, as soon as there is one."""
    return any(_sets_up(code, at) for at in range(len(code.insns)))


def _sets_up(code: Code, at: int) -> bool:
    insn = code.insns[at]
    return at > 0 and str(insn.raw) == "mov rbp,rsp" and str(code.insns[at - 1].raw) == "push rbp"


def _check_frame_pointer(code: Code) -> None:
    """rbp is the frame's at every call and in every loop, and is written by nothing else."""
    edges = successors(code)
    looping = frozenset().union(*loops(edges))
    for insn in code.insns:
        is_own = insn.mnemonic in ("PUSH", "POP", "LEAVE", "CALL", "RET") or str(insn.raw) == "mov rbp,rsp"
        if "RBP" in insn.effects.writes | insn.effects.keeps and not is_own:
            raise BodyError(Reason.HARDENING, f"the frame pointer is written: {insn}")
    seen: set[tuple[int, bool]] = set()
    todo = [(0, False)]
    while todo:
        at, is_framed = todo.pop()
        if (at, is_framed) in seen:
            continue
        seen.add((at, is_framed))
        insn = code.insns[at]
        if not is_framed and (at in looping or insn.is_call):
            raise BodyError(Reason.HARDENING, f"no frame pointer at {insn}")
        is_framed = _sets_up(code, at) or (is_framed and "RBP" not in insn.effects.writes)
        todo += [(to, is_framed) for to in edges[at]]
