"""Solved inputs: tests for uncovered edges, from the SMT solver (`prove.inputs`).

    uncovered edge ── paths over it: those of nearby inputs, then the shortest ── solve ── pages, arguments ── run

An answer is a state like a recorded one: pages at the addresses that the solver chose, or those of a nearby
state with a few words changed. It counts only where the baseline is defined on it, like every other input, and may be
one of the doubtful (`Probe.doubtful_tests`) where C leaves the behaviour undefined.

Not covered: paths of more than `inputs.MOST_CODE` instructions; vector arguments other than zero or those of the
nearby state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from gccllm.assembly.body import Body
from gccllm.assembly.cfg import Edge, cfg
from gccllm.assembly.code import by_line
from gccllm.base.core import PAGE_BYTES, GlobalBytes, Page, Test
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.elf import Elf
from gccllm.harvest.far import far_symbols
from gccllm.harvest.probe import Probe
from gccllm.harvest.run import Run
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.types import Pointer
from gccllm.sandbox import layout
from gccllm.verify.workbench import Near, near_of
from gccllm.x86.convention import INTEGER_ARGUMENTS
from gccllm.x86.decode import Insn

if TYPE_CHECKING:
    from gccllm.prove.inputs import Change, Solved, Start

SOLVED = "solved"
SOLVE_S, ONE_S = 10.0, 1.0
"""For all edges of one function, and for one path."""
WAYS, NEAR = 12, 2
"""Paths that are tried for an edge, and nearby inputs."""
TRIES = 3
"""Answers tried for one request of a gate, of which one must be defined."""
MOST_EDGES, PATIENCE = 40, 10
"""More edges than these are not tried, nor are any after so many in a row that none was found for: a function counts
only when all are taken."""
MOST_PAGES = 64


class Solving:
    """Finds tests that follow a path through `body`: that of the probe's baseline unless given."""

    def __init__(self, probe: Probe, seed: int, body: Body | None = None, deadline: Deadline = NEVER) -> None:
        self.probe = probe
        self.rng = Random(seed + 3)
        self.body = body or probe.target.body
        self.graph = cfg(self.body)
        self.deadline = deadline.within(SOLVE_S)

    @cached_property
    def lines(self) -> Mapping[int, Insn]:
        return by_line(self.body, self.probe.target.tools, self.probe.target.name)

    def chase(
        self, near: Callable[[int], Sequence[Run]], keep: Callable[[Sequence[Test]], object],
        is_over: Callable[[], bool],
    ) -> None:  # fmt: skip
        """A test for each uncovered edge of the baseline, until one covers it.

        near  inputs that reached a block
        """
        idle = 0
        missing = self.probe.missing if len(self.probe.missing) <= MOST_EDGES else []
        for edge in missing:
            if edge in self.probe.taken:
                continue
            doubted = len(self.probe.doubtful)
            least = sorted(near(edge[0]), key=lambda one: one.work)[:NEAR]
            for test in self.tests(edge, near_of(self.probe.replayer, self.probe.traced, [run.test for run in least])):
                keep([test])
                if edge in self.probe.taken or len(self.probe.doubtful) > doubted + 1:
                    break
            idle = 0 if edge in self.probe.taken or len(self.probe.doubtful) > doubted else idle + 1
            if idle == PATIENCE or is_over() or self.deadline.is_over:
                return

    def tests(self, over: Sequence[int], near: Sequence[Near], change: Change | None = None) -> Iterator[Test]:
        """Tests that cover an edge or a block and, if asked, distinguish a changed instruction from the original.

        near  tests that came to `over`, with the blocks of the body; recorded memory is kept as far as it can be
        """
        from gccllm.prove import inputs

        close = [one for one in near if over[0] in one.blocks]
        after = inputs.onward(self.graph, over[-1])[2 - len(over) :]
        for test, blocks in close[:NEAR]:
            before = blocks[: blocks.index(over[0]) + 1]
            yield from self.solved((*before, *after), len(before) + len(over) - 1, test if test.pages else None, change)
        parent = next((one.test for one in close if one.test.pages), None)
        for path, needed in inputs.ways(self.graph, over, WAYS, self.rng):
            if self.deadline.is_over:
                return
            yield from self.solved(path, needed, parent, change)

    def solved(
        self, path: Sequence[int], needed: int, parent: Test | None, change: Change | None
    ) -> Iterator[Test]:  # fmt: skip
        """A test that follows the path, or else its needed part."""
        from gccllm.prove import inputs

        for part in (path, path[:needed]):
            if inputs.fits(self.graph, part):
                start, deadline = self.start(parent), self.deadline.within(ONE_S)
                found = inputs.solve(self.graph, self.lines, part, start, deadline, change)
                if found is not None and (test := self.test(found, parent)) is not None:
                    yield test
                    return

    # --- what the solver is given ---

    def start(self, parent: Test | None) -> Start:
        from gccllm.prove.inputs import Start

        image = self.probe.replayer.image
        named = {line.symbol for line in self.lines.values()} & image.symbols.keys()
        held = _Content(parent, self.probe)
        arguments = dict(zip(INTEGER_ARGUMENTS, parent.ints, strict=False)) if parent is not None else {}
        used = {place.register: param for param in self.probe.target.signature.params
                for place in param.places if place.file == "int"}  # fmt: skip
        return Start(
            registers={"RSP": layout.STACK_ENTRY},
            symbols={name: image.symbols[name] for name in named},
            first=layout.PAGE_FIRST,
            end=layout.PAGE_END,
            constant=lambda address: self.constant(address) if held.far(address) is None else held.far(address),
            content=held.byte,
            arguments={name: value for name, value in arguments.items() if name in used},
            pointers=tuple(name for name, param in used.items() if isinstance(param.type, Pointer)),
        )

    def constant(self, address: int) -> int | None:
        return _byte(self.constants, address)

    @cached_property
    def constants(self) -> list[tuple[int, bytes]]:
        """(address, bytes) of the parts of the image that cannot be written."""
        image = self.probe.replayer.image
        parts = [part for part in Elf.of(image.path).segments if part.kind == "PT_LOAD"]
        return [(part.address, part.data) for part in parts if image.base <= part.address < image.writable[0]]

    # --- from its answer to a test ---

    def test(self, found: Solved, parent: Test | None) -> Test | None:
        """None where memory would have to lie where the replayer's own is, or there is too much of it."""
        from gccllm.prove.inputs import junk

        pages = {page.address: page for page in parent.pages} if parent is not None else {}
        content = {address: bytearray(page.data) for address, page in pages.items()}
        for first, size in found.accessed:
            for address in range(first // PAGE_BYTES * PAGE_BYTES, first + size, PAGE_BYTES):
                if not self.is_elsewhere(address) and address not in content:
                    if not layout.is_page_address(address):
                        return None
                    content[address] = bytearray(junk(address + n) for n in range(PAGE_BYTES))
        if len(content) > max(MOST_PAGES, len(pages)):
            return None
        stack = dict(enumerate(parent.stack)) if parent is not None else {}
        pieces: list[GlobalBytes] = []
        for address, byte in found.memory.items():
            if (page := address // PAGE_BYTES * PAGE_BYTES) in content:
                content[page][address - page] = byte
            elif layout.STACK_ENTRY + 8 <= address < layout.STACK_BASE + layout.STACK_BYTES:
                slot, n = divmod(address - layout.STACK_ENTRY - 8, 8)
                stack[slot] = stack.get(slot, 0) & ~(0xFF << 8 * n) | byte << 8 * n
            elif (piece := self.piece(address, byte)) is not None:
                pieces.append(piece)
        return replace(
            self.with_registers(parent or Test(), found, stack),
            pages=tuple(_page(address, bytes(data), pages.get(address)) for address, data in sorted(content.items())),
            globals=(*(parent.globals if parent is not None else ()), *pieces),
        )

    def with_registers(self, test: Test, found: Solved, stack: dict[int, int]) -> Test:
        ints, sizes = list(test.ints), list(test.int_bytes)
        vectors, widths = list(test.vectors), list(test.vector_bytes)
        slots = 0
        for place in (place for param in self.probe.target.signature.params for place in param.places):
            if place.file == "int":
                _put(ints, place.index, found.registers[place.register])
                _put(sizes, place.index, place.size)
            elif place.file == "vector" and place.index >= len(vectors):
                _put(vectors, place.index, 0)
                _put(widths, place.index, place.size)
            elif place.file == "stack":
                slots = max(slots, place.index + 1)
        return replace(
            test, ints=tuple(ints), int_bytes=tuple(sizes), vectors=tuple(vectors), vector_bytes=tuple(widths),
            stack=tuple(stack.get(i, 0) for i in range(slots)), label=SOLVED, weight=0.0,
        )  # fmt: skip

    def is_elsewhere(self, address: int) -> bool:
        """Whether memory is the image's or the stack's, not a page of the test."""
        return layout.is_image(address) or layout.STACK_BASE <= address < layout.STACK_BASE + layout.STACK_BYTES

    def piece(self, address: int, byte: int) -> GlobalBytes | None:
        for name, first, size in self.writable:
            if first <= address < first + size:
                return GlobalBytes(name, address - first, bytes((byte,)))
        return None

    @cached_property
    def writable(self) -> list[tuple[str, int, int]]:
        """(symbol, address, size) of data that a test may fill."""
        target, known = self.probe.target, self.probe.replayer.image.symbols
        named = [*((one.symbol, one.size) for one in target.symbols), *far_symbols(target.signature)]
        return [(name, known[name], size) for name, size in named if name in known]


class Solver:
    """Asked by the gates (`verify.workbench.Solver`): defined inputs for other bodies of one function."""

    def __init__(self, target: HarvestTarget, seed: int) -> None:
        self.target = target
        self.seed = seed

    def inputs_covering(
        self, body: Body, edges: Sequence[Edge], near: Sequence[Near], deadline: Deadline = NEVER
    ) -> list[Test]:
        if len(edges) > MOST_EDGES:
            return []
        with Probe(self.target) as probe:
            solving = Solving(probe, self.seed, body, deadline)
            return [test for edge in edges for test in _first(probe, solving.tests(edge, near))]

    def distinguishing_inputs(
        self, body: Body, changes: Sequence[tuple[int, Body]], near: Sequence[Near], deadline: Deadline = NEVER
    ) -> list[Test]:
        from gccllm.prove.inputs import Change

        found: list[Test] = []
        with Probe(self.target) as probe:
            solving = Solving(probe, self.seed, body, deadline)
            for line, other in changes:
                lines = by_line(other, self.target.tools)
                instead = range(line, line + 1 + len(other.lines) - len(body.lines))
                change = Change(line, tuple(lines[n] for n in instead if n in lines))
                found += _first(probe, solving.tests((solving.graph.block_of_line[line],), near, change))
        return found


def _first(probe: Probe, tests: Iterator[Test]) -> list[Test]:
    """The first of a few tests that is defined."""
    for test in islice(tests, TRIES):
        if states := probe.defined_states([test]):
            return [state.test for state in states]
    return []


class _Content:
    """The memory of a nearby state."""

    def __init__(self, parent: Test | None, probe: Probe) -> None:
        self.parent = parent
        self.pages = {page.address: page.data for page in parent.pages} if parent is not None else {}
        known = probe.replayer.image.symbols
        other = {name for name, _ in far_symbols(probe.target.signature)}
        pieces = parent.globals if parent is not None else ()
        placed = [(one.symbol in other, known.get(one.symbol, 0) + one.offset, one.data) for one in pieces]
        self.pieces = [(first, data) for is_far, first, data in placed if not is_far]
        self.far_pieces = [(first, data) for is_far, first, data in placed if is_far]

    def byte(self, address: int) -> int | None:
        page = address // PAGE_BYTES * PAGE_BYTES
        if page in self.pages:
            return self.pages[page][address - page]
        return _byte(self.pieces, address)

    def far(self, address: int) -> int | None:
        """The byte of another unit's data, which stays as it was recorded: it may be constant."""
        return _byte(self.far_pieces, address)


def _byte(parts: Sequence[tuple[int, bytes]], address: int) -> int | None:
    for first, data in parts:
        if first <= address < first + len(data):
            return data[address - first]
    return None


def _put(values: list[int], index: int, value: int) -> None:
    values += [0] * (index + 1 - len(values))
    values[index] = value


def _page(address: int, data: bytes, old: Page | None) -> Page:
    if old is None:
        return Page(address, data)
    return old if old.data == data else Page(address, data, old.is_writable)
