"""Whether other instructions in the place of one make a difference: for whom it does not, and where it would.

`difference` is the formula. `Equivalence` asks whether it can hold at all where control comes there: a mutant for which
it cannot is the same function, and no test can be missing for it. The states that come there are those of `edges`: more
than there are, never fewer.

Covered: instructions that `steps` has formulas for. Not covered: all others, vector registers among them, and
differences that fade later (of registers that nobody reads, `verify.dead` knows).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import iced_x86 as iced
import z3

from gccllm.assembly.body import Body
from gccllm.assembly.cfg import cfg
from gccllm.assembly.code import by_line, code_of
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.prove.edges import Proof
from gccllm.prove.machine import FLAGS, Machine
from gccllm.prove.steps import is_modelled, step
from gccllm.x86.convention import SYSV
from gccllm.x86.decode import Insn
from gccllm.x86.liveness import FLAG_NAMES, live
from gccllm.x86.registers import GENERAL


def difference(at: Machine, line: Insn, instead: Sequence[Insn]) -> tuple[Any, Any]:
    """(where control goes, a general register or a store; a flag) ends otherwise with `instead` than with `line`."""
    if line.raw.is_jcc_short_or_near:
        taken = [one.raw.condition_code for one in instead if one.raw.is_jcc_short_or_near]
        holds = at.holds(line.raw.condition_code)
        return (holds if not taken else holds != at.holds(taken[0])), z3.BoolVal(False)
    ends = []
    for lines in ((line,), instead):
        machine = Machine(at.registers, at.flags, at.memory.fork())
        for one in lines:
            machine = step(machine, one)
        ends.append(machine)
    first, second = ends
    parts = [first.registers[name] != second.registers[name] for name in GENERAL]
    flags = [first.flags[name] != second.flags[name] for name in FLAGS]
    return z3.Or(*parts, first.memory.differs(second.memory)), z3.Or(*flags)


class Equivalence:
    """Asks about changes of one body. Raises BodyError when it does not assemble."""

    def __init__(self, body: Body, tools: Toolchain, deadline: Deadline) -> None:
        self.tools = tools
        self.body = body
        self.graph = cfg(body)
        self.code, self.lines = code_of(body, tools), by_line(body, tools)
        self.proof = Proof(self.graph, self.lines, deadline)
        self.is_followed = not (self.graph.falls_off or self.graph.unresolved)
        self.reached = self.proof.run(self.graph, frozenset())[0] if self.is_followed else {}

    def holds(self, line: int, other: Body) -> bool:
        """Whether `other`, in which other instructions are in the place of that line, is shown to be the same."""
        instead = range(line, line + 1 + len(other.lines) - len(self.body.lines))
        if (
            self.body.lines[:line] + self.body.lines[line + 1 :] != other.lines[:line] + other.lines[instead.stop :]
            or self.body.constants != other.constants
        ):
            return False  # more has changed
        goes_to = self.body.lines[line].target
        if any(other.lines[n].target != goes_to for n in instead):
            return False
        changed = by_line(other, self.tools)
        block = self.graph.block_of_line[line]
        lines = [changed[n] for n in instead if n in changed]
        original = self.lines.get(line)
        if original is None or len(lines) != len(instead) or not self.is_followed:
            return False
        if not all(is_modelled(one) for one in (original, *lines)):
            return False
        if any(is_transfer(one) for one in (original, *lines)) and not _are_alike(original, lines):
            return False
        if block not in self.reached:
            return True  # control never comes there
        before = self.proof.through(block, self.reached[block], line)
        main, flags = difference(before.machine, original, lines)
        if live(self.code, self.code.at[original.offset] + 1, SYSV) & set(FLAG_NAMES):
            main = z3.Or(main, flags)
        return self.proof.is_impossible(z3.And(before.when, main))


def is_transfer(line: Insn) -> bool:
    return bool(line.raw.flow_control != iced.FlowControl.NEXT)


def _are_alike(original: Insn, lines: Sequence[Insn]) -> bool:
    """A jump on a condition, and none or another in its place, to the same place."""
    if not original.raw.is_jcc_short_or_near:
        return False
    return not lines or (len(lines) == 1 and lines[0].raw.is_jcc_short_or_near)
