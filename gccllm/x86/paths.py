"""Where control goes inside a decoded body, by index of instruction: successors, loops, straight ends.

Over-approximated: an indirect jump goes to every place that a jump table of the body leads to. Calls return.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from gccllm.x86.decode import Code

Edges = tuple[tuple[int, ...], ...]


def successors(code: Code) -> Edges:
    """Instruction -> the instructions that may come next; none after an exit."""
    tables = [
        code.jump_table(section, label)
        for section, labels in code.labels.items() if section != ".text" for label in labels
    ]  # fmt: skip
    anywhere = tuple(sorted({code.at[t] for table in tables if table for t in table}))
    rows: list[tuple[int, ...]] = []
    for at, insn in enumerate(code.insns):
        row = [at + 1] if not insn.ends_flow and at + 1 < len(code.insns) else []
        if insn.target is not None and insn.target in code.at:
            row.append(code.at[insn.target])
        rows.append(tuple(row) if not insn.is_indirect_jump or insn.relocation else anywhere)
    return tuple(rows)


def loops(edges: Edges) -> list[frozenset[int]]:
    """The instructions of each loop (strongly connected component), inner loops of a loop not told apart."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[frozenset[int]] = []
    for root in range(len(edges)):
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for to in rest:
                if to not in index:
                    index[to] = low[to] = len(index)
                    stack.append(to)
                    on_stack.add(to)
                    work.append((to, iter(edges[to])))
                    break
                if to in on_stack:
                    low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = set()
                    while node not in part:
                        one = stack.pop()
                        on_stack.discard(one)
                        part.add(one)
                    if len(part) > 1 or node in edges[node]:
                        found.append(frozenset(part))
    return found


def inner_loops(edges: Edges, loop: frozenset[int]) -> list[frozenset[int]]:
    """The loops inside a loop, found by taking out where it is entered (its instruction of lowest offset that is)."""
    entered = {to for at, row in enumerate(edges) for to in row if at not in loop and to in loop} or {min(loop)}
    kept = loop - entered
    part: Sequence[tuple[int, ...]] = [
        tuple(to for to in row if to in kept) if at in kept else () for at, row in enumerate(edges)
    ]
    return loops(tuple(part))


def straight_end(code: Code, at: int) -> range:
    """The instructions before `at` that run whenever it does, one after the other, up to the last join or branch."""
    edges = successors(code)
    before: dict[int, int] = {}
    for to in itertools.chain.from_iterable(edges):
        before[to] = before.get(to, 0) + 1
    start = at
    while start and before.get(start, 0) == 1 and edges[start - 1] == (start,) and not code.insns[start - 1].is_call:
        start -= 1
    return range(start, at)
