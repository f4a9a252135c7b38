"""Inputs that take a way through machine code, found with an SMT solver.

    way ── blocks, as formulas (`machine`) ── what its jumps ask for ── a model ── registers and bytes of memory

A branch that no input took may need a value that nobody would guess: a count of 0xfffffff8 together with a length that
makes up for it. The solver is asked for registers and memory with which control goes a given way, from the first block
to a return. Of a recorded state that came near as much is kept as can be: each argument, and each word that the way
reads, is an assumption, and what the solver names as the reason for a contradiction is given up, numbers before
addresses.

The answer is a guess like any other input: calls, vector registers and whatever else `steps` has no formula for are
free in it. Whether it is defined, and which edges it takes, a run of the baseline says.

Source: Godefroid, Klarlund and Sen, DART (PLDI 2005), with whole ways for executions; Godefroid, Levin and Molnar,
Automated Whitebox Fuzz Testing (NDSS 2008).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import iced_x86 as iced
import z3

from gccllm.assembly.cfg import Cfg
from gccllm.assembly.syntax import Flow
from gccllm.base.deadline import Deadline
from gccllm.prove.change import difference
from gccllm.prove.machine import Machine, accessed
from gccllm.prove.memory import Bits, Step, Trail, byte_of
from gccllm.prove.steps import step
from gccllm.x86.decode import Insn

QUERY_COST = 3_000_000
"""For one question, in the solver's own unit of work: about a second, and the same answer on every machine."""
MOST_CODE = 500
"""Instructions of a way."""
GIVE_UP = 200
"""Questions after which a way is left: each gives up an assumption, or tells what the last answer had wrong."""
CALL_COST = 40
"""Blocks that a way may be longer if that spares a call, after which nothing is known of memory."""


@dataclass(frozen=True)
class Start:
    """What is given before the first instruction."""

    registers: Mapping[str, int]
    """Values that cannot be otherwise: the stack pointer."""
    symbols: Mapping[str, int]
    """Addresses of data."""
    first: int
    end: int
    """Addresses that may be accessed."""
    constant: Callable[[int], int | None]
    """The byte at an address that no input can change; None where one can."""
    content: Callable[[int], int | None]
    """The byte there in a state that came near; None where it has no memory."""
    arguments: Mapping[str, int]
    """Registers of such a state."""
    pointers: Sequence[str] = ()
    """Registers that hold addresses of objects, which are aligned where possible."""


@dataclass(frozen=True)
class Change:
    """Other instructions in the place of one."""

    line: int
    instead: tuple[Insn, ...]


@dataclass(frozen=True)
class Solved:
    """Registers of arguments; bytes that are read; addresses of all that is accessed, (first byte, size)."""

    registers: Mapping[str, int]
    memory: Mapping[int, int]
    accessed: tuple[tuple[int, int], ...]


# --- ways through the graph ---------------------------------------------------------------------------------------


def ways(graph: Cfg, over: Sequence[int], count: int, rng: Random) -> Iterator[tuple[tuple[int, ...], int]]:
    """Up to `count` ways from the first block over an edge, or a block alone, to a return; and the number of blocks up
    to there.

    The shortest comes first. The others are the shortest by costs drawn at random, every second one with further rounds
    of the loops it meets.
    """
    seen = set()
    ends = frozenset(n for n in range(len(graph.blocks)) if not graph.successors[n])
    costs = [1.0 + CALL_COST * _calls(graph, n) for n in range(len(graph.blocks))]
    for number in range(count):
        drawn = [cost * (1.0 if number == 0 else rng.uniform(0.1, 1.0)) for cost in costs]
        before, after = _shortest(graph, 0, frozenset(over[:1]), drawn), _shortest(graph, over[-1], ends, drawn)
        if before is None or after is None:
            return
        if number % 2:
            before = _with_rounds(graph, before, drawn, rng)
        way = (*before, *after[2 - len(over) :])
        if way not in seen:
            seen.add(way)
            yield way, len(before) + len(over) - 1


def onward(graph: Cfg, block: int) -> tuple[int, ...]:
    """The shortest way from a block to a return; empty when there is none."""
    ends = frozenset(n for n in range(len(graph.blocks)) if not graph.successors[n])
    costs = [1.0 + CALL_COST * _calls(graph, n) for n in range(len(graph.blocks))]
    return tuple(_shortest(graph, block, ends, costs) or ())


def fits(graph: Cfg, way: Sequence[int]) -> bool:
    return sum(graph.blocks[n].last - graph.blocks[n].first for n in way) <= MOST_CODE


def _calls(graph: Cfg, block: int) -> int:
    lines = graph.body.lines[graph.blocks[block].first : graph.blocks[block].last]
    return sum(line.flow in (Flow.CALL, Flow.INDIRECT_CALL) for line in lines)


def _shortest(graph: Cfg, start: int, ends: frozenset[int], costs: Sequence[float]) -> list[int] | None:
    queue: list[tuple[float, int, tuple[int, ...]]] = [(0.0, start, (start,))]
    done = set()
    while queue:
        cost, block, way = heapq.heappop(queue)
        if block in ends:
            return list(way)
        if block not in done:
            done.add(block)
            for other in graph.successors[block]:
                heapq.heappush(queue, (cost + costs[other], other, (*way, other)))
    return None


def _with_rounds(graph: Cfg, way: Sequence[int], costs: Sequence[float], rng: Random) -> list[int]:
    """`way` with further rounds of the loops whose heads it meets."""
    out: list[int] = []
    for block in way:
        tails = frozenset(a for a, b in graph.back_edges if b == block)
        if tails and block not in out and (around := _shortest(graph, block, tails, costs)) is not None:
            out += around * rng.choice((0, 0, 1, 1, 2, 3))
        out.append(block)
    return out


# --- one way ------------------------------------------------------------------------------------------------------


def solve(
    graph: Cfg,
    lines: Mapping[int, Insn],
    way: Sequence[int],
    start: Start,
    deadline: Deadline,
    change: Change | None = None,
) -> Solved | None:
    """Registers and memory with which control goes `way`; None when there are none, or none were found in time.

    lines   `assembly.code.by_line`
    change  must make a difference to a register, to a store or to where control goes, the last time control comes there
    """
    return _Question(graph, lines, start, deadline).ask(way, change)


class _Question:
    def __init__(self, graph: Cfg, lines: Mapping[int, Insn], start: Start, deadline: Deadline) -> None:
        self.graph = graph
        self.lines = lines
        self.start = start
        self.deadline = deadline
        self.trail = Trail()
        self.first = Machine.arbitrary(self.trail)
        for name, value in start.registers.items():
            self.first = self.first.with_register(name, z3.BitVecVal(value, 64))
        self.accesses: list[tuple[Bits, int]] = []
        self.solver = z3.SolverFor("QF_BV")
        self.solver.set("rlimit", QUERY_COST)
        for name, value in start.symbols.items():
            self.solver.add(z3.BitVec(f"address of {name}", 64) == value)
        self.kept: list[Any] = []
        """Names of what is to stay as it is, what is given up last first."""
        self.junk: set[str] = set()
        """Those of them that only make memory look used."""
        self.asked: set[tuple[int, int]] = set()
        self.told = 0

    def ask(self, way: Sequence[int], change: Change | None) -> Solved | None:
        at = self.first
        there = self.graph.block_of_line[change.line] if change is not None else -1
        last = max((n for n, block in enumerate(way) if block == there), default=-1)
        for n, (block, after) in enumerate(zip(way, [*way[1:], None], strict=True)):
            at = self.through(block, at, change if n == last else None)
            if after is not None:
                self.solver.add(self.condition(block, after, at))
        for address, size in self.accesses:
            self.solver.add(z3.UGE(address, self.start.first), z3.ULE(address, self.start.end - size))
        for name, value in self.start.arguments.items():
            self.keep(self.first.registers[name] == value, self.is_address(value))
        for name in self.start.pointers:
            self.keep(self.first.registers[name] & 15 == 0, False)
        for _ in range(GIVE_UP):
            answer = self.check()
            if answer == z3.unsat and self.kept and (named := {str(one) for one in self.solver.unsat_core()}):
                self.give_up(named)
            elif answer != z3.sat:
                return None
            elif self.is_true_to_memory(model := self.solver.model()):
                return self.solved(model)
        return None

    def give_up(self, named: set[str]) -> None:
        """Something that contradicts the way; all that is junk at once."""
        self.kept, before = [one for one in self.kept if str(one) not in named or str(one) not in self.junk], self.kept
        if len(self.kept) == len(before):
            del self.kept[max(n for n, one in enumerate(self.kept) if str(one) in named)]

    def is_address(self, value: int) -> bool:
        return self.start.content(value) is not None

    def check(self) -> Any:
        left = int(1000 * self.deadline.left)
        if left <= 0:
            return z3.unknown
        self.solver.set("timeout", left)
        return self.solver.check(*self.kept)

    def through(self, block: int, at: Machine, change: Change | None = None) -> Machine:
        for n in range(self.graph.blocks[block].first, self.graph.blocks[block].last):
            if (line := self.lines.get(n)) is not None:
                self.note(at, line)
                if change is not None and change.line == n:
                    main, flags = difference(at, line, change.instead)
                    self.solver.add(flags if z3.is_false(z3.simplify(main)) else main)
                at = step(at, line)
        return at

    def note(self, at: Machine, line: Insn) -> None:
        """The memory that an instruction accesses. Accesses by `rsp` alone are the frame's."""
        if (line.symbol and line.symbol not in self.start.symbols) or line.raw.memory_base == iced.Register.RSP:
            return
        for address in map(z3.simplify, accessed(at, line)):
            size = max(access.size for access in line.accesses) or 64
            self.accesses.append((address, size))
            if size >= 16 and is_aligned(line.raw):
                self.solver.add(address & size - 1 == 0)

    def condition(self, block: int, after: int, at: Machine) -> Any:
        """What makes control go from one block to the other; True where that cannot be said."""
        last = self.graph.blocks[block].last - 1
        line, others = self.lines.get(last), self.graph.successors[block]
        if line is None or len(others) != 2 or not line.raw.is_jcc_short_or_near:
            return z3.BoolVal(True)
        holds = at.holds(line.raw.condition_code)
        target = self.graph.body.lines[last].target
        jumps = self.graph.block_of_line[self.graph.body.labels[target]] == after
        return holds if jumps else z3.Not(holds)

    def is_true_to_memory(self, model: Any) -> bool:
        """Whether each load of the model has what lies there; if not, the solver is told what it has wrong."""
        before = self.told
        held: dict[int, tuple[Step, int]] = {}
        """Address to the access whose byte lies there."""
        is_first = True
        for one in self.trail.steps:
            if one.address is None:
                held, is_first = {}, False
                continue
            base, value = _number(model, one.address), _number(model, one.value)
            if is_first and not one.is_store and not any(base + n in held for n in range(one.size)):
                self.compare(one, base, value)
            for n in range(one.size):
                if not one.is_store and base + n in held:
                    other, m = held[base + n]
                    assert other.address is not None
                    if value >> 8 * n & 0xFF != _number(model, byte_of(other.value, m)):
                        self.tell(z3.Implies(one.address + n == other.address + m,
                                             byte_of(one.value, n) == byte_of(other.value, m)))  # fmt: skip
                elif one.is_store or is_first:
                    held[base + n] = one, n
        return self.told == before

    def compare(self, one: Step, base: int, value: int) -> None:
        """A first load with what is there: constants are as they are, what the near state has is kept if it can.

        Elsewhere lies junk, if it can: of zeros that are copied over zeros nobody sees whether they were.
        """
        fixed, near = (self.number(content, base, one.size) for content in (self.start.constant, self.start.content))
        if fixed is not None:
            if fixed != value:
                self.tell(z3.Implies(one.address == base, one.value == fixed))
        elif near is None:
            if (0, id(one)) not in self.asked:
                self.asked.add((0, id(one)))
                number = self.number(junk, 1 << 20 | len(self.asked) << 6, one.size)
                self.keep(one.value == number, is_address=False, is_junk=True)
        elif near != value and (base, id(one)) not in self.asked:
            self.asked.add((base, id(one)))
            self.keep(z3.Implies(one.address == base, one.value == near), self.is_address(near))

    @staticmethod
    def number(content: Callable[[int], int | None], address: int, size: int) -> int | None:
        there = [content(address + n) for n in range(size)]
        return None if None in there else sum(byte << 8 * n for n, byte in enumerate(there) if byte is not None)

    def tell(self, formula: Any) -> None:
        self.solver.add(formula)
        self.told += 1

    def keep(self, formula: Any, is_address: bool, is_junk: bool = False) -> None:
        """As it is, unless that contradicts the way. Addresses are given up last."""
        self.told += 1
        name = z3.Bool(f"kept {self.told}")
        if is_junk:
            self.junk.add(str(name))
        self.solver.add(z3.Implies(name, formula))
        self.kept.insert(0 if is_address else len(self.kept), name)

    def solved(self, model: Any) -> Solved:
        registers = {name: _number(model, value) for name, value in self.first.registers.items()}
        memory: dict[int, int] = {}
        stored: set[int] = set()
        for one in self.trail.steps:
            if one.address is None:
                break
            base, value = _number(model, one.address), _number(model, one.value)
            for n in range(one.size):
                if one.is_store:
                    stored.add(base + n)
                elif base + n not in stored:
                    memory.setdefault(base + n, value >> 8 * n & 0xFF)
        accessed = {(_number(model, address), size): None for address, size in self.accesses}
        return Solved(registers, memory, tuple(accessed))


_ANYWHERE = re.compile(r"v?(movdqu|movup[sd]|lddqu|pcmp[ei]str)")
_ALIGNED = re.compile(r"v(movdqa|movap[sd]|movntdqa?|movntp[sd])")


def junk(address: int) -> int:
    """A byte that depends on the address alone."""
    return (address * 0x9E3779B97F4A7C15 >> 40) & 0xFF


def is_aligned(one: iced.Instruction) -> bool:
    """Whether an instruction with a vector in memory faults where that is not aligned."""
    name = str(one).split(" ")[0]
    return bool(_ALIGNED.match(name)) if name.startswith("v") else not _ANYWHERE.match(name)


def _number(model: Any, value: Bits) -> int:
    return int(model.eval(value, model_completion=True).as_long())
