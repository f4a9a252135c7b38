"""Control flow of a body: basic blocks, edges, dominators, natural loops.

Jump tables are resolved through the private constants that the indirect jump can reach. Covered: direct branches,
`jmp *.L4(,%rax,8)`, and position-independent tables (`.long .L5-.L4`) found by the address load before the jump; where
several tables are possible, the edges are those of all of them. A tail call is an exit, not an edge. Not covered: a
call that never returns and is not in `runtime.NORETURN` has a fall-through edge that is never taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from gccllm.assembly.body import Body, Line
from gccllm.assembly.syntax import BodyError, Flow
from gccllm.base.reasons import Reason
from gccllm.x86.registers import PARTS

Edge = tuple[int, int]

_REGISTER = re.compile(r"%(?:r[a-z0-9]+|e[a-z]{2})")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines `first` to `last` (exclusive) of the body, its labels included; the number is its place in `Cfg.blocks`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A natural loop; loops with one header are one loop. Depth 1 is outermost."""

    header: int
    blocks: frozenset[int]
    depth: int


@dataclass(frozen=True)
class Cfg:
    body: Body
    blocks: tuple[Block, ...]
    edges: frozenset[Edge]
    unresolved: tuple[int, ...]
    """Lines with an indirect jump that reaches no jump table of the body: taken as tail calls."""
    falls_off: bool
    """Control can run past the last line (a final call counts as one that does not return)."""

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        return _adjacent(len(self.blocks), self.edges)

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        return _adjacent(len(self.blocks), ((b, a) for a, b in self.edges))

    @cached_property
    def block_of_line(self) -> tuple[int, ...]:
        return tuple(n for n, block in enumerate(self.blocks) for _ in range(block.first, block.last))

    @cached_property
    def reachable(self) -> frozenset[int]:
        """Blocks on some path from the entry."""
        return frozenset(self.postorder)

    @cached_property
    def postorder(self) -> tuple[int, ...]:
        seen = {0}
        order: list[int] = []
        stack = [(0, iter(self.successors[0]))]
        while stack:
            block, rest = stack[-1]
            for following in rest:
                if following not in seen:
                    seen.add(following)
                    stack.append((following, iter(self.successors[following])))
                    break
            else:
                order.append(block)
                stack.pop()
        return tuple(order)

    @cached_property
    def dominators(self) -> dict[int, int]:
        """Reachable block -> its immediate dominator; the entry is its own.

        Source: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm", 2001.
        """
        number = {block: n for n, block in enumerate(self.postorder)}
        above: dict[int, int] = {0: 0}
        changed = True
        while changed:
            changed = False
            for block in reversed(self.postorder):
                if block == 0:
                    continue
                best: int | None = None
                for before in self.predecessors[block]:
                    if before not in above:
                        continue
                    if best is None:
                        best = before
                        continue
                    left, right = before, best
                    while left != right:
                        while number[left] < number[right]:
                            left = above[left]
                        while number[right] < number[left]:
                            right = above[right]
                    best = left
                if best is not None and above.get(block) != best:
                    above[block] = best
                    changed = True
        return above

    def dominates(self, one: int, other: int) -> bool:
        """Every path from the entry to `other` goes through `one` (a block dominates itself)."""
        above = self.dominators
        while other in above:
            if other == one:
                return True
            if other == 0:
                return False
            other = above[other]
        return False

    @cached_property
    def back_edges(self) -> frozenset[Edge]:
        """Edges to a dominator of their source."""
        return frozenset((a, b) for a, b in self.edges if a in self.reachable and self.dominates(b, a))

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Natural loops by header. Irreducible cycles (entered in two places) are not among them."""
        members: dict[int, set[int]] = {}
        for tail, header in sorted(self.back_edges):
            inside = members.setdefault(header, {header})
            todo = [tail]
            while todo:
                block = todo.pop()
                if block not in inside:
                    inside.add(block)
                    todo.extend(p for p in self.predecessors[block] if p in self.reachable)
        return tuple(
            Loop(header, frozenset(inside), sum(header in other for other in members.values()))
            for header, inside in sorted(members.items())
        )

    @cached_property
    def is_cyclic(self) -> bool:
        """Some block can be entered twice in one call."""
        place = {block: n for n, block in enumerate(self.postorder)}
        return any(a in place and place[b] >= place[a] for a, b in self.edges)


def cfg(body: Body) -> Cfg:
    """The control-flow graph of a body; block 0 is the entry. Raises BodyError(UNSUPPORTED_CODE) without any code."""
    lines = body.lines
    if not lines:  # what gcc makes of a function that cannot be reached
        raise BodyError(Reason.UNSUPPORTED_CODE, "no instruction")
    leaders = {0}
    for at, line in enumerate(lines):
        if line.label:
            if not (at and lines[at - 1].label):
                leaders.add(at)
        elif (line.stops or line.flow is Flow.BRANCH) and at + 1 < len(lines):
            leaders.add(at + 1)
    starts = sorted(leaders)
    blocks = tuple(Block(a, b) for a, b in zip(starts, [*starts[1:], len(lines)], strict=True))
    place = [0] * len(lines)
    for n, block in enumerate(blocks):
        for at in range(block.first, block.last):
            place[at] = n
    edges: set[Edge] = set()
    unresolved: list[int] = []
    falls_off = False
    tables = _tables(body)
    for n, block in enumerate(blocks):
        at = block.last - 1
        last = lines[at]
        kind = Flow.NEXT if last.label else last.flow
        if kind in (Flow.BRANCH, Flow.JUMP) and last.target in body.labels:
            edges.add((n, place[body.labels[last.target]]))
        elif kind is Flow.INDIRECT_JUMP:
            reached = _reached(body, tables, block, at)
            if reached:
                edges.update((n, place[body.labels[label]]) for label in reached)
            else:
                unresolved.append(at)
        if last.label or not last.stops:
            if n + 1 < len(blocks):
                edges.add((n, n + 1))
            elif kind not in (Flow.CALL, Flow.INDIRECT_CALL):
                falls_off = True
    return Cfg(body, blocks, frozenset(edges), tuple(unresolved), falls_off)


def _adjacent(count: int, edges: Iterable[Edge]) -> tuple[tuple[int, ...], ...]:
    out: list[list[int]] = [[] for _ in range(count)]
    for a, b in sorted(edges):
        out[a].append(b)
    return tuple(tuple(row) for row in out)


def _tables(body: Body) -> dict[str, tuple[str, ...]]:
    """Jump tables: label of the constant -> code labels among its entries, without repeats."""
    out: dict[str, tuple[str, ...]] = {}
    for constant in body.constants:
        targets = tuple(dict.fromkeys(s for s in constant.symbols if s in body.labels))
        if targets:
            out[constant.label] = targets
    return out


def _reached(body: Body, tables: dict[str, tuple[str, ...]], block: Block, at: int) -> tuple[str, ...]:
    """Code labels that the indirect jump on line `at` can reach; () when none of the tables can be meant."""
    if not tables:
        return ()
    named = _table_named(body.lines[at], tables)
    if named:
        return tables[named]
    operand = body.lines[at].operands[0]
    if "(" in operand and "," not in operand:
        return ()  # through one pointer in memory: a tail call
    # Follow the jump's register back to the load from a table and the table's address register.
    wanted = {name for operand in body.lines[at].operands for name in _named(operand)}
    loads_a_pointer = is_indexed = "," in operand
    for where in range(at - 1, block.first - 1, -1):
        line = body.lines[where]
        if line.label or not line.operands:
            continue
        if not _REGISTER.fullmatch(line.operands[-1]) or wanted.isdisjoint(_named(line.operands[-1])):
            continue
        if line.mnemonic.startswith("mov") and "(" in line.operands[0]:
            loads_a_pointer = True
            is_indexed = is_indexed or "," in line.operands[0]
        named = _table_named(line, tables)
        if named:
            return tables[named]
        wanted.update(name for operand in line.operands[:-1] for name in _named(operand))
    if loads_a_pointer and not is_indexed:
        return ()  # a function pointer out of an object
    known = {
        named
        for line in body.lines
        if line.operands
        and (named := _table_named(line, tables))
        and _REGISTER.fullmatch(line.operands[-1])
        and not wanted.isdisjoint(_named(line.operands[-1]))
    }
    return tuple(dict.fromkeys(label for name in tables if name in (known or tables) for label in tables[name]))


def _named(operand: str) -> set[str]:
    """The general registers that an operand names, as gcc prints 32- and 64-bit ones."""
    return {PARTS[name].register for name in _REGISTER.findall(operand) if name in PARTS}


def _table_named(line: Line, tables: dict[str, tuple[str, ...]]) -> str:
    return next((name for name in line.symbols if name in tables), "")
