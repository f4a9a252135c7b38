"""Everything about one function under work, and the answers of its baseline, each computed once.

The adequacy score and the judge both run many bodies on the same tests: here are the image they are linked into, the
baseline's observations and the order in which tests are worth running.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from gccllm.assembly import Body, BodyError, Module, NotLossless, cfg, slice_text
from gccllm.assembly.cfg import Edge
from gccllm.core import Quit, Returned, StandIn, Test
from gccllm.reasons import Reason
from gccllm.toolchain import Toolchain
from gccllm.verify import layout
from gccllm.verify.image import AssembleError, Image, build_image
from gccllm.verify.replay import Raw, Replayer, differs
from gccllm.verify.screen import Baseline, Context, read_baseline
from gccllm.verify.trace import Trace, blocks_in_order, instrument, instrument_callees, trace_many, traced_name

More = Callable[[Sequence[Test]], Sequence[Test]]
"""Asks the harvest for further defined inputs near the given ones."""


MOST_NEAR = 24
"""Tests whose way is looked at."""


class Near(NamedTuple):
    """A test that came near to what is wanted, and the blocks of the body that it went through, in order."""

    test: Test
    blocks: tuple[int, ...]


class Solver(Protocol):
    """Asks an SMT solver (`prove.inputs`) for defined inputs, which starts from tests that came near."""

    def taking(self, body: Body, edges: Sequence[Edge], near: Sequence[Near]) -> list[Test]:
        """Inputs that may take edges of `body`."""

    def telling(self, body: Body, changes: Sequence[tuple[int, Body]], near: Sequence[Near]) -> list[Test]:
        """Inputs on which `body` and others, of which one line differs, may part. `changes`: the line and the other."""


FIRST_TESTS = 40
"""Size of the quick list that weeds out most wrong bodies."""


@dataclass
class Workbench:
    """One function under work. `tests` grow when the harvest is asked for `more`; nothing else changes."""

    name: str
    text: str
    """`assembly.slice_text` of the function."""
    baseline: Body
    tests: list[Test]
    returns: tuple[Returned, ...]
    context: Context
    tools: Toolchain
    workdir: Path
    callees: Mapping[str, StandIn] = field(default_factory=dict)
    scalar: Body | None = None
    """The body of a side compile with -fno-tree-vectorize and the like, for `adequacy`; None: only the baseline."""
    more: More | None = None
    solver: Solver | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._observed: dict[int, Raw] = {}
        self._traces: list[Trace] = []
        self._serial = 0

    @classmethod
    def of(
        cls,
        module: Module,
        name: str,
        *,
        tests: Sequence[Test],
        returns: tuple[Returned, ...],
        tools: Toolchain,
        workdir: Path,
        callees: Mapping[str, StandIn] | None = None,
        scalar: Module | None = None,
        more: More | None = None,
        arguments: frozenset[str] = frozenset(),
        march: frozenset[str] = frozenset(),
        seed: int = 0,
    ) -> Workbench:
        """From the parsed unit (and the parsed scalar side compile). Raises BodyError for what cannot be read."""
        context = Context(name, march, arguments=arguments, unit_functions=frozenset(module.functions))
        other = None
        if scalar is not None and name in scalar.functions:
            with contextlib.suppress(BodyError):
                other = scalar.functions[name].body
        return cls(
            name, slice_text(module, name), module.functions[name].body, list(tests), returns, context, tools, workdir,
            callees or {}, other, more, None, seed,
        )  # fmt: skip

    # --- bodies into images -----------------------------------------------------------------------

    def entry_text(self, body: Body, entry: str, align: int = 6) -> str:
        """A body as a global function for the image; its calls to itself stay with it."""
        own = body.renamed(entry).replace_symbol(self.name, entry)
        head = f"\t.text\n\t.p2align\t{align}\n\t.globl\t{entry}\n\t.type\t{entry}, @function\n{entry}:\n"
        return head + own.text()

    @cached_property
    def traced_callees(self) -> tuple[str, frozenset[str]]:
        """Text and names of the checked builds of its callees in the unit, whose accesses count as its own."""
        try:
            return instrument_callees(Module.parse(self.text), self.name, self.tools)
        except (NotLossless, BodyError):
            return "", frozenset()

    def traced_text(self, body: Body, entry: str) -> str:
        """The checked build of a body, as function `traced_name(entry)`. Raises BodyError."""
        names = self.traced_callees[1]
        return instrument(body, self.name, label=traced_name(entry), traced=names, tools=self.tools)

    def image(self, entries: Sequence[str], *, traced: bool = False) -> Image:
        """The slice with these function texts behind it. Raises AssembleError, Quit."""
        self._serial += 1
        extra = self.traced_callees[0] if traced else ""
        text = self.text + extra + "".join(entries)
        return build_image(self.workdir, text, self.tools, self.callees, name=f"bench{self._serial}")

    def replayer(self, image: Image) -> Replayer:
        return Replayer(image, self.returns, deadline_ms=self.deadline_ms)

    @property
    def deadline_ms(self) -> int:
        """CPU time allowed a test. Harvested tests take a fraction of a millisecond."""
        return 8

    # --- the baseline -----------------------------------------------------------------------------

    @cached_property
    def screened_baseline(self) -> Baseline:
        """Raises BodyError when the baseline cannot be assembled alone."""
        return read_baseline(self.baseline, self.context, self.tools, self.workdir)

    @cached_property
    def _base_image(self) -> Image:
        return self.image([self.traced_text(self.baseline, BASELINE)], traced=True)

    def observed(self, poison: int) -> Raw:
        """The baseline on all tests; only tests that came since the last call are run.

        Raises Quit(NO_INPUTS) if the baseline does not run well on one of them (the harvest promises that it does).
        """
        known = self._observed.get(poison)
        done = 0 if known is None else len(known)
        if done < len(self.tests) or known is None:
            with self.replayer(self._base_image) as replayer:
                fresh = replayer.run_raw(self.name, self.tests[done:], poison=poison)
            bad = np.flatnonzero(fresh["status"] != layout.Status.OK)
            if bad.size:
                raise Quit(Reason.NO_INPUTS, f"the baseline does not run well on test {done + int(bad[0])}")
            known = fresh if known is None else np.concatenate([known, fresh])
            self._observed[poison] = known
        return known

    def traces(self) -> list[Trace]:
        """The traced baseline on all tests, in order; only new tests are run. Raises BodyError."""
        done = len(self._traces)
        if done < len(self.tests):
            with self.replayer(self._base_image) as replayer:
                self._traces += trace_many(replayer, traced_name(BASELINE), self.tests[done:])
        return self._traces

    @cached_property
    def all_edges(self) -> frozenset[Edge]:
        return frozenset(cfg(self.baseline).edges)

    @property
    def edges_taken(self) -> frozenset[Edge]:
        return frozenset[Edge]().union(*(t.edges for t in self.traces())) & self.all_edges

    # --- running other bodies ---------------------------------------------------------------------

    def quick(self) -> list[int]:
        """Indices of a short, cheap and varied part of the tests: spread over the cheaper three quarters."""
        ticks = self.observed(0)["ticks"]
        cheap = np.argsort(ticks, kind="stable")[: max(1, 3 * len(ticks) // 4)]
        step = max(1, len(cheap) // FIRST_TESTS)
        return sorted(int(i) for i in cheap[::step][:FIRST_TESTS])

    def wrong(self, replayer: Replayer, entry: str, chosen: Sequence[int], poison: int) -> tuple[list[int], Raw]:
        """Tests (indices out of `chosen`) on which `entry` differs from the baseline; all that was observed."""
        want = self.observed(poison)[list(chosen)]
        got = replayer.run_raw(entry, [self.tests[i] for i in chosen], poison=poison, give_up_after=1)
        return [chosen[int(i)] for i in np.flatnonzero(differs(want, got, self.returns))], got

    def ask_for_edges(self, body: Body, edges: Sequence[Edge], near: Sequence[Near]) -> int:
        """Let the solver find inputs that take edges of `body`; returns how many came."""
        return self._asked(lambda solver: solver.taking(body, edges, near))

    def ask_for_differences(self, body: Body, changes: Sequence[tuple[int, Body]], near: Sequence[Test]) -> int:
        """Let the solver find inputs on which `body` and others, changed in one line, part; returns how many came."""
        gone: list[Near] = []
        if self.solver is not None and body is self.baseline:
            with self.replayer(self._base_image) as replayer:
                gone = near_of(replayer, traced_name(BASELINE), near)
        return self._asked(lambda solver: solver.telling(body, changes, gone))

    def _asked(self, question: Callable[[Solver], list[Test]]) -> int:
        fresh: list[Test] = []
        if self.solver is not None:
            with contextlib.suppress(Quit, BodyError, AssembleError):
                fresh = question(self.solver)
        self.tests.extend(fresh)
        return len(fresh)

    def ask_for_more(self, near: Sequence[Test]) -> int:
        """Let the harvest find inputs near `near`; returns how many came."""
        if self.more is None:
            return 0
        fresh = list(self.more(near))
        self.tests.extend(fresh)
        return len(fresh)


BASELINE = "gccllm_baseline"


def near_of(replayer: Replayer, entry: str, tests: Sequence[Test]) -> list[Near]:
    """Tests with the blocks of the checked build `entry` that they go through, those that go least far first."""
    gone = [Near(test, tuple(blocks_in_order(replayer, entry, test))) for test in tests[:MOST_NEAR]]
    return sorted((one for one in gone if one.blocks), key=lambda one: len(one.blocks))
