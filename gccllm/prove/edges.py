"""Branches that no input takes, proved on the machine code.

An input for every edge of the baseline is asked for before a function is touched. Some edges have none: compilers keep
checks that the program can never fail. Here such edges are shown infeasible, whatever the arguments and memory hold.

    assume  no edge of a set is ever taken, and leave them out of the graph
    show    for each of them, that on every path through what is left the condition to take it is false
    else    give those that could not be shown back to the graph, and begin again

That is induction over the length of an execution: the first edge of the set that one would take contradicts the second
line. Blocks are gone through in reverse postorder with one `Machine` each, joined by if-then-else. Where a loop is
entered, whatever the loop writes is unknown, but for the invariants below.

Invariants: at a loop's head, comparisons of registers that it writes with constants of the code and with registers that
it leaves alone; those that hold on entry and after each round are kept, the others dropped until none falls (Houdini:
Flanagan and Leino, FME 2001).

Covered: whatever `steps` has formulas for. Not covered: facts that need the content of memory after a call or a loop
that stores, relations between registers that a loop changes, floating-point values. What cannot be shown within
the time is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import z3

from gccllm.assembly.body import Body
from gccllm.assembly.cfg import Cfg, Edge, cfg
from gccllm.assembly.code import by_line
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.prove.machine import Machine, accessed
from gccllm.prove.memory import Bits, unknown_bool
from gccllm.prove.steps import step
from gccllm.x86.decode import Insn
from gccllm.x86.registers import GENERAL

QUERY_COST = 1_500_000
"""For one question, in the solver's own unit of work: about half a second, and the same answer on every machine."""
ADDRESSES = 1 << 56
"""What lies above faults, with five levels of page tables too."""
MOST_INVARIANTS = 160
MOST_SUSPECTS = 16
"""More edges than these are hardly all infeasible."""


@dataclass(frozen=True)
class Invariant:
    """A comparison that holds whenever a loop's head is reached."""

    head: int
    register: str
    bits: int
    relation: str
    other: int | str
    """A constant, or a register that the loop leaves alone."""

    def formula(self, at: Machine) -> Any:
        def low(register: str) -> Bits:
            value = at.registers[register]
            return value if self.bits == 64 else z3.Extract(self.bits - 1, 0, value)

        other = low(self.other) if isinstance(self.other, str) else z3.BitVecVal(self.other, self.bits)
        return _RELATIONS[self.relation](low(self.register), other)


_RELATIONS = {
    "<=u": z3.ULE, ">=u": z3.UGE, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b,
    "<u": z3.ULT, ">u": z3.UGT, "<": lambda a, b: a < b, ">": lambda a, b: a > b,
}  # fmt: skip
_WITH_CONSTANTS = ("<=u", ">=u", "<=", ">=")


@dataclass(frozen=True)
class Reached:
    """When a block is reached, and with what."""

    when: Any
    machine: Machine


def infeasible(body: Body, suspects: Iterable[Edge], tools: Toolchain, deadline: Deadline) -> frozenset[Edge]:
    """Those of `suspects`, edges of `cfg(body)`, that no execution takes.

    Raises BodyError when it does not assemble.
    """
    graph = cfg(body)
    assumed = frozenset(suspects) & graph.edges
    if not assumed or len(assumed) > MOST_SUSPECTS or graph.falls_off or graph.unresolved:
        return frozenset()
    proof = Proof(graph, by_line(body, tools), deadline)
    without = proof.fixpoint(assumed, with_invariants=False)
    return without if without == assumed else proof.fixpoint(assumed, with_invariants=True) | without


class Proof:
    """Goes through a graph with formulas, until the deadline."""

    def __init__(self, graph: Cfg, lines: Mapping[int, Insn], deadline: Deadline) -> None:
        self.whole = graph
        self.lines = lines
        self.deadline = deadline
        self.start = Machine.arbitrary()
        self.written = [self._written(n) for n in range(len(graph.blocks))]

    def fixpoint(self, assumed: frozenset[Edge], with_invariants: bool) -> frozenset[Edge]:
        while assumed and not self.deadline.is_over:
            shown = self.shown(assumed, with_invariants)
            if shown == assumed:
                return assumed
            assumed = shown
        return frozenset()

    def shown(self, assumed: frozenset[Edge], with_invariants: bool) -> frozenset[Edge]:
        """Those of `assumed` that are never taken as long as none of them ever is."""
        graph = replace(self.whole, edges=self.whole.edges - assumed)
        invariants = self.candidates(graph, assumed) if with_invariants else frozenset()
        while True:
            reached, leaving = self.run(graph, invariants)
            fallen = {one for one in invariants if not self.is_kept(one, graph, leaving)}
            if not fallen:
                break
            invariants = invariants - fallen
        found = set()
        for a, b in assumed:
            if a not in reached:
                found.add((a, b))
            else:
                taken = self.taken(a, b, leaving[a])
                if self.is_impossible(taken):
                    found.add((a, b))
        return frozenset(found)

    def is_kept(self, one: Invariant, graph: Cfg, leaving: dict[int, Reached]) -> bool:
        """Whether it holds wherever control comes to its head from."""
        return all(
            self.is_impossible(z3.And(self.taken(a, one.head, leaving[a]), z3.Not(one.formula(leaving[a].machine))))
            for a in graph.predecessors[one.head]
            if a in leaving
        )

    def is_impossible(self, formula: Any) -> bool:
        left = int(1000 * self.deadline.left)
        if left <= 0:
            return False
        solver = z3.SolverFor("QF_AUFBV")
        solver.set("rlimit", QUERY_COST)
        solver.set("timeout", left)
        solver.add(formula)
        return bool(solver.check() == z3.unsat)

    # --- the graph ---

    def run(self, graph: Cfg, invariants: frozenset[Invariant]) -> tuple[dict[int, Reached], dict[int, Reached]]:
        """For each block that can be reached: what it finds, and what it leaves."""
        reached: dict[int, Reached] = {}
        leaving: dict[int, Reached] = {}
        heads = {b for a, b in graph.back_edges}
        order = list(reversed(graph.postorder))
        place = {block: n for n, block in enumerate(order)}
        for block in order:
            before = [a for a in graph.predecessors[block] if a in place]
            earlier = [a for a in before if place[a] < place[block]]
            entries = [Reached(self.taken(a, block, leaving[a]), leaving[a].machine) for a in earlier]
            if block == 0:
                entries.append(Reached(z3.BoolVal(True), self.start))
            if any(place[a] >= place[block] and (a, block) not in graph.back_edges for a in before):
                found = Reached(z3.BoolVal(True), Machine.arbitrary())  # entered from the side: nothing is known
            else:
                found = joined(entries)
            if block in heads:
                inside = next(loop.blocks for loop in graph.loops if loop.header == block)
                names = frozenset().union(*(self.written[n][0] for n in inside))
                found = replace(found, machine=found.machine.forgetting(names, any(self.written[n][1] for n in inside)))
                held = [one.formula(found.machine) for one in invariants if one.head == block]
                found = replace(found, when=z3.And(found.when, *held))
            reached[block] = found
            leaving[block] = self.through(block, found)
        return reached, leaving

    def through(self, block: int, at: Reached, until: int | None = None) -> Reached:
        """After a block, or before one of its lines. An access outside of the user's addresses ends an execution."""
        machine, ended = at.machine, [at.when]
        for n in range(self.whole.blocks[block].first, self.whole.blocks[block].last if until is None else until):
            if (line := self.lines.get(n)) is not None:
                ended += (z3.ULT(address, ADDRESSES) for address in accessed(machine, line))
                machine = step(machine, line)
        return Reached(z3.And(*ended) if len(ended) > 1 else at.when, machine)

    def taken(self, a: int, b: int, leaving: Reached) -> Any:
        """The condition that block `a` is reached and goes on to `b`."""
        last = self.whole.blocks[a].last - 1
        line, text = self.lines.get(last), self.whole.body.lines[last]
        others = self.whole.successors[a]
        if line is None or len(others) < 2:
            return leaving.when
        if not line.raw.is_jcc_short_or_near or len(others) > 2:
            return z3.And(leaving.when, unknown_bool())
        holds = leaving.machine.holds(line.raw.condition_code)
        jumps = self.whole.block_of_line[self.whole.body.labels[text.target]] == b
        return z3.And(leaving.when, holds if jumps else z3.Not(holds))

    # --- loops ---

    def _written(self, block: int) -> tuple[frozenset[str], bool]:
        """Registers that a block may change, and whether it may change memory."""
        before = self.start
        after = self.through(block, Reached(z3.BoolVal(True), before)).machine
        names = frozenset(r for r in GENERAL if after.registers[r] is not before.registers[r])
        return names, after.memory is not before.memory

    def candidates(self, graph: Cfg, assumed: frozenset[Edge]) -> frozenset[Invariant]:
        """What might hold at the heads of loops, of registers that the blocks before the edges look at."""
        looked_at = {
            name
            for a, _ in assumed
            for n in range(self.whole.blocks[a].first, self.whole.blocks[a].last)
            if (line := self.lines.get(n)) is not None
            for name in line.effects.reads | line.effects.writes | line.effects.keeps
        }
        constants = {0, 1} | {
            one.immediate(1) & (1 << 64) - 1
            for line in self.lines.values()
            if (one := line.raw).op_count == 2 and _is_comparison(line)
        }
        near = sorted({(c + d) & (1 << 64) - 1 for c in constants for d in (-1, 0, 1)})
        found: list[Invariant] = []
        for loop in graph.loops:
            changed = frozenset().union(*(self.written[n][0] for n in loop.blocks)) - {"RSP"}
            for name in sorted(looked_at & changed):
                for bits in (32, 64):
                    found += [Invariant(loop.header, name, bits, relation, other)
                              for other in sorted(looked_at & frozenset(GENERAL) - changed)
                              for relation in _RELATIONS]  # fmt: skip
                    found += [Invariant(loop.header, name, bits, relation, constant & (1 << bits) - 1)
                              for constant in near for relation in _WITH_CONSTANTS]  # fmt: skip
        return frozenset(found[:MOST_INVARIANTS])


def _is_comparison(line: Insn) -> bool:
    try:
        line.raw.immediate(1)
    except ValueError:
        return False
    return "cmp" in str(line.raw).split(" ")[0]


def joined(entries: list[Reached]) -> Reached:
    """One machine for several ways in."""
    first = entries[0]
    when, machine = first.when, first.machine
    for other in entries[1:]:
        registers = {r: _either(other.when, other.machine.registers[r], machine.registers[r]) for r in GENERAL}
        flags = {f: _either(other.when, other.machine.flags[f], value) for f, value in machine.flags.items()}
        machine = Machine(registers, flags, other.machine.memory.either(other.when, machine.memory))
        when = z3.Or(when, other.when)
    return Reached(when, machine)


def _either(condition: Any, one: Bits, other: Bits) -> Bits:
    return one if one is other or one.eq(other) else z3.If(condition, one, other)
