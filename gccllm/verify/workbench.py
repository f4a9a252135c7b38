"""The function under test, and what its baseline does on every test, computed once.

The adequacy score and the judge both run many bodies on the same tests. They share the images, the baseline's
observations and the order in which tests are run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gccllm.assembly import Body, BodyError, Module, NotLossless, cfg
from gccllm.assembly.cfg import Edge
from gccllm.base.core import Decline, External, Returned, Test
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.sandbox import layout
from gccllm.sandbox.compare import Raw, differs, forget_undefined_flags
from gccllm.sandbox.environment import STRICT, Environment
from gccllm.sandbox.image import AssembleError, Image, build_image
from gccllm.sandbox.placement import CANONICAL, Placement
from gccllm.sandbox.replay import Replayer
from gccllm.sandbox.trace import Trace, blocks_in_order, instrument, instrument_callees, trace_many, traced_name
from gccllm.verify.screen import Baseline, Context, read_baseline
from gccllm.x86.convention import Convention, Exit
from gccllm.x86.registers import PARTS

More = Callable[[Sequence[Test], Deadline], Sequence[Test]]
"""Asks the harvest for further defined inputs near the given ones."""


MOST_NEAR = 24
"""Tests whose path is traced."""


class Near(NamedTuple):
    """A test close to what is wanted, and its path: the blocks of the body that it entered, in order."""

    test: Test
    blocks: tuple[int, ...]


class Solver(Protocol):
    """Asks an SMT solver (`prove.inputs`) for defined inputs, starting from nearby tests."""

    def inputs_covering(
        self, body: Body, edges: Sequence[Edge], near: Sequence[Near], deadline: Deadline
    ) -> list[Test]:
        """Inputs that may cover edges of `body`."""

    def distinguishing_inputs(
        self, body: Body, changes: Sequence[tuple[int, Body]], near: Sequence[Near], deadline: Deadline
    ) -> list[Test]:
        """Inputs on which `body` and its variants, each with one line changed, may differ. `changes`: line and
        variant."""


MOST_BAD = 0.02
"""Share of inputs found defined in another process that may turn out not to be."""
CHANCE = (layout.Status.TIMEOUT, layout.Status.DIED)
"""Statuses that a busy machine can cause."""
PATIENCE = 25
"""Times the usual deadline for a test that exceeded it."""
FIRST_TESTS = 40
"""Size of the quick list that weeds out most wrong bodies."""


@dataclass
class Workbench:
    """One function under test. `tests` grow when the harvest is asked for `more`; nothing else changes."""

    name: str
    text: str
    """`assembly.slice_text` of the function."""
    baseline: Body
    tests: list[Test]
    returns: tuple[Returned, ...]
    context: Context
    tools: Toolchain
    workdir: Path
    callees: Mapping[str, External] = field(default_factory=dict)
    scalar: Body | None = None
    """The body of a side compile with -fno-tree-vectorize and the like, for `adequacy`; None: only the baseline."""
    more: More | None = None
    solver: Solver | None = None
    seed: int = 0
    large: Callable[[Deadline], Sequence[Test]] | None = None
    """Makes defined inputs too large to be among `tests`."""
    environment: Environment = STRICT
    """What a candidate must leave like the baseline beside results and memory."""
    deadline: Deadline = NEVER
    """After it nothing is linked, run or asked for: Decline(DEADLINE)."""

    def __post_init__(self) -> None:
        self._observed: dict[int, Raw] = {}
        self._traces: list[Trace] = []
        self._serial = 0

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
        return instrument(body.replace_symbol(self.name, entry), entry, traced=names, tools=self.tools)

    def image(self, entries: Sequence[str], *, traced: bool = False, placement: Placement = CANONICAL) -> Image:
        """The slice with these function texts behind it, where the placement says, if it can.

        Raises AssembleError, Decline. Only what the slice itself has of 32-bit addresses lets it lie low: a candidate
        that has some does not link beside one that has none.
        """
        self.deadline.check("linking")
        self._serial += 1
        extra = self.traced_callees[0] if traced else ""
        text = self.text + extra + "".join(entries)
        base = placement.low if self._base == layout.IMAGE_LOW else placement.image
        return build_image(self.workdir, text, self.tools, self.callees, name=f"bench{self._serial}", base=base)

    @cached_property
    def _base(self) -> int:
        return build_image(self.workdir, self.text, self.tools, self.callees, name="slice").base

    def replayer(self, image: Image, placement: Placement = CANONICAL) -> Replayer:
        return Replayer(image, self.returns, deadline_ms=self.deadline_ms, placement=placement)

    @property
    def deadline_ms(self) -> int:
        """CPU time allowed a test. Harvested tests take a fraction of a millisecond."""
        return LIMITS.replay_ms

    # --- the baseline -----------------------------------------------------------------------------

    @property
    def convention(self) -> Convention:
        """As the screen has it, with every register that holds some of the result but for the x87 stack's."""
        places = {PARTS[f"%{one.slot}"].register: one.size for one in self.returns if f"%{one.slot}" in PARTS}
        return replace(self.context.convention, exits=(Exit(places),))

    @cached_property
    def screened_baseline(self) -> Baseline:
        """Raises BodyError when the baseline cannot be assembled alone."""
        return read_baseline(self.baseline, self.context, self.tools)

    @cached_property
    def _base_image(self) -> Image:
        return self.image([self.traced_text(self.baseline, BASELINE)], traced=True)

    def observed(self, poison: int) -> Raw:
        """The baseline on all tests. Raises Decline(NO_INPUTS) if it fails on one that was not `take`n."""
        done = len(self._observed[0]) if self._observed else 0
        if done < len(self.tests) or not self._observed:
            rows = self._baseline_on(self.tests[done:])
            for i in np.flatnonzero(~_terminated_normally(rows))[:1]:
                raise Decline(Reason.NO_INPUTS, f"{self._said(rows, i)} on test {done + int(i)}")
            self._note(rows)
        return self._observed[poison]

    def take(self, fresh: Sequence[Test]) -> int:
        """Add inputs on which the baseline terminates normally here too; returns their number.

        They were found defined in another process: a read beyond their own memory may have hit something there by
        chance. Raises Decline(NO_INPUTS) when that is more than a few.
        """
        self.observed(0)
        rows = self._baseline_on(fresh)
        well = _terminated_normally(rows)
        bad = np.flatnonzero(~well)
        if len(bad) > MOST_BAD * len(fresh) + 1:
            raise Decline(Reason.NO_INPUTS, f"{self._said(rows, bad[0])} on {len(bad)} of {len(fresh)} tests")
        self.tests.extend(test for test, is_good in zip(fresh, well, strict=True) if is_good)
        self._note([one[well] for one in rows])
        return int(well.sum())

    def _baseline_on(self, tests: Sequence[Test]) -> list[Raw]:
        """Its observations under either poison."""
        with self.replayer(self._base_image) as replayer:
            return [self.patiently(replayer, self.name, tests, n) for n in (0, 1)]

    def _note(self, rows: Sequence[Raw]) -> None:
        forget_undefined_flags(*rows)
        for n in (0, 1):
            known = self._observed.get(n)
            self._observed[n] = rows[n] if known is None else np.concatenate([known, rows[n]])

    def _said(self, rows: Sequence[Raw], at: int) -> str:
        """The baseline's status there, in words."""
        ends = [layout.Status(int(one[at]["status"])) for one in rows]
        return f"the baseline ends with {next(end for end in ends if end != layout.Status.OK).name.lower()}"

    def wanted(self, replayer: Replayer, tests: Sequence[Test]) -> Raw:
        """What the baseline does on tests in another replayer than its own; flags that depend on junk are left open."""
        first, second = (replayer.run_raw(self.name, tests, poison=n) for n in (0, 1))
        forget_undefined_flags(first, second)
        return first

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

    def patiently(
        self, replayer: Replayer, entry: str, tests: Sequence[Test], poison: int = 0, *, fork_each: bool = False
    ) -> Raw:
        """`Replayer.run_raw`, where a time-out, or the death of the replayer, counts only if it is repeated.

        A shared machine charges a process for time that others used, and kills it when memory is short. The second run
        has a much longer deadline.
        """
        seen = replayer.run_raw(entry, tests, poison=poison, fork_each=fork_each, give_up_after=1)
        while (late := np.flatnonzero(np.isin(seen["status"], CHANCE))).size:
            with replayer.within(PATIENCE * self.deadline_ms):
                again = replayer.run_raw(entry, [tests[int(late[0])]], poison=poison)
            if again[0]["status"] in CHANCE:
                break
            seen[late[0]] = again[0]
            unrun = np.flatnonzero(seen["status"] == layout.Status.SKIPPED)
            left = [tests[int(i)] for i in unrun]
            if left:
                seen[unrun] = replayer.run_raw(entry, left, poison=poison, fork_each=fork_each, give_up_after=1)
        return seen

    def quick(self) -> list[int]:
        """Indices of a short, cheap and varied part of the tests: spread over the cheaper three quarters."""
        ticks = self.observed(0)["ticks"]
        cheap = np.argsort(ticks, kind="stable")[: max(1, 3 * len(ticks) // 4)]
        step = max(1, len(cheap) // FIRST_TESTS)
        return sorted(int(i) for i in cheap[::step][:FIRST_TESTS])

    def wrong(
        self, replayer: Replayer, entry: str, chosen: Sequence[int], poison: int,
        environment: Environment | None = None,
    ) -> tuple[list[int], Raw]:  # fmt: skip
        """Tests (indices out of `chosen`) on which `entry` differs from the baseline; all that was observed.

        `environment`: what is compared beside results and memory, if not the bench's.
        """
        self.deadline.check("running the tests")
        got = replayer.run_raw(entry, [self.tests[i] for i in chosen], poison=poison, give_up_after=1)
        return self._differing(chosen, got, poison, environment or self.environment), got

    def patiently_wrong(
        self, replayer: Replayer, entry: str, chosen: Sequence[int], poison: int
    ) -> tuple[list[int], Raw]:
        """`wrong`, with time-outs that count only if they come again (`patiently`)."""
        self.deadline.check("running the tests")
        got = self.patiently(replayer, entry, [self.tests[i] for i in chosen], poison)
        return self._differing(chosen, got, poison, self.environment), got

    def _differing(self, chosen: Sequence[int], got: Raw, poison: int, environment: Environment) -> list[int]:
        bad = differs(self.observed(poison)[list(chosen)], got, self.returns, environment)
        return [chosen[int(i)] for i in np.flatnonzero(bad)]

    def ask_for_edges(self, body: Body, edges: Sequence[Edge], near: Sequence[Near]) -> int:
        """Let the solver find inputs that cover edges of `body`; returns their number."""
        return self._asked(lambda solver: solver.inputs_covering(body, edges, near, self.deadline))

    def ask_for_differences(self, body: Body, changes: Sequence[tuple[int, Body]], near: Sequence[Test]) -> int:
        """Let the solver find inputs that distinguish `body` from its variants; returns their number."""
        gone: list[Near] = []
        if self.solver is not None and body is self.baseline:
            with self.replayer(self._base_image) as replayer:
                gone = near_of(replayer, traced_name(BASELINE), near)
        return self._asked(lambda solver: solver.distinguishing_inputs(body, changes, gone, self.deadline))

    def _asked(self, question: Callable[[Solver], list[Test]]) -> int:
        self.deadline.check("asking the solver")
        fresh: list[Test] = []
        if self.solver is not None:
            with contextlib.suppress(Decline, BodyError, AssembleError):
                fresh = question(self.solver)
        return self.take(fresh) if fresh else 0

    @cached_property
    def large_tests(self) -> list[Test]:
        """Made once; may be empty. Raises Decline(DEADLINE), among others, which are no verdict."""
        return list(self.large(self.deadline)) if self.large is not None else []

    def ask_for_more(self, near: Sequence[Test]) -> int:
        """Let the harvest find inputs near `near`; returns their number."""
        if self.more is None:
            return 0
        self.deadline.check("asking for more inputs")
        fresh = list(self.more(near, self.deadline))
        return self.take(fresh) if fresh else 0


BASELINE = "gccllm_baseline"


def _terminated_normally(rows: Sequence[Raw]) -> npt.NDArray[np.bool_]:
    first, second = (one["status"] == layout.Status.OK for one in rows)
    return np.asarray(first & second, np.bool_)


def near_of(replayer: Replayer, entry: str, tests: Sequence[Test]) -> list[Near]:
    """Tests with their path through the checked build `entry`, the shortest first."""
    gone = [Near(test, tuple(blocks_in_order(replayer, entry, test))) for test in tests[:MOST_NEAR]]
    return sorted((one for one in gone if one.blocks), key=lambda one: len(one.blocks))
