"""Comparisons that take as long for equal data as for other data keep doing so.

A loop that reads two places, stores nothing and never branches on what it read may be a comparison of secrets, written
so that its time tells nothing. Nothing in the source says so; a candidate for such a function may therefore not branch
on what it read in a loop either. The setting `early_exits` allows it.

Not covered: functions whose baseline branches on data somewhere in a loop (all is as before for them), tables looked up
by data, instructions whose time depends on their operands, comparisons in loops that store too.
"""

from __future__ import annotations

from iced_x86 import FlowControl

from gccllm.assembly import BodyError
from gccllm.base.reasons import Reason
from gccllm.x86.decode import Code, Insn
from gccllm.x86.effects import ARITHMETIC_FLAGS
from gccllm.x86.paths import Edges, loops, successors

_FLAGS = "FLAGS"


def check_exits(code: Code, baseline: Code) -> None:
    """Raises BodyError(EARLY_EXIT)."""
    if folds_two_places(baseline) and not data_branches(baseline) and (found := data_branches(code)):
        raise BodyError(Reason.EARLY_EXIT, f"a branch on data in a loop: {found[0]}")


def folds_two_places(code: Code) -> bool:
    """Whether a loop of it reads through two addresses and stores nothing."""
    for loop in loops(successors(code)):
        memory = [m for at in loop if (m := code.insns[at].effects.memory) and code.insns[at].mnemonic != "LEA"]
        read = {(m.base, m.index) for m in memory if m.is_read and m.base not in ("RIP", "RSP")}
        if len(read) > 1 and not any(m.is_written for m in memory):
            return True
    return False


def data_branches(code: Code) -> list[Insn]:
    """Conditional branches in loops, or out of them, that depend on what a loop read from memory."""
    edges = successors(code)
    looping = frozenset().union(*loops(edges))
    tainted = _tainted(code, edges, looping)
    return [
        insn for at, insn in enumerate(code.insns)
        if at in looping and insn.flow == FlowControl.CONDITIONAL_BRANCH and _FLAGS in tainted[at]
    ]  # fmt: skip


def _tainted(code: Code, edges: Edges, looping: frozenset[int]) -> list[set[str]]:
    """Before each instruction: what may hold data that a loop read (registers, FLAGS)."""
    before: list[set[str]] = [set() for _ in code.insns]
    todo = list(range(len(code.insns)))
    while todo:
        at = todo.pop()
        after = _step(code.insns[at], set(before[at]), at in looping)
        for to in edges[at]:
            if not after <= before[to]:
                before[to] |= after
                todo.append(to)
    return before


def _step(insn: Insn, held: set[str], is_looping: bool) -> set[str]:
    effects = insn.effects
    memory = effects.memory if insn.mnemonic != "LEA" else None
    reads_data = is_looping and memory is not None and memory.is_read and memory.base not in ("RIP", "RSP")
    beside = {memory.base, memory.index} if memory is not None else set()
    from_flags = bool(effects.flags_read) and _FLAGS in held
    is_data = reads_data or from_flags or bool(held & (effects.reads - beside))
    written = effects.writes - {"RSP"}
    held = held - effects.writes
    sets_flags = effects.flags_written & ARITHMETIC_FLAGS
    if sets_flags:
        held.discard(_FLAGS)
    if is_data:
        held |= written | effects.keeps | ({_FLAGS} if sets_flags else set())
    return held
