"""Which inputs are defined, and what the baseline does on them.

An input counts as defined when the baseline ends well and soon under both poisons with the same result, the trapping
build does not trap, and, where that build agrees with the baseline at all, it agrees here too. The last rule catches
what traps miss: reads of uninitialised memory, broken aliasing rules, and NaNs whose payload C leaves open. What traps
or is slow is kept aside, for edges that nothing else takes (`Probe.last_resort`).

What traps is undefined in C, but not in gcc's machine code. Programs rely on that without knowing, so a rewrite has to
agree there too (`Probe.undefined_by_language`), unless a setting allows it the language's freedom: GCCLLM_UB=language.

A recorded state has no guard pages that a wild access would run into, and a page of another test may lie where it has
none. So one rule more for those: the traced baseline touches only the test's own pages, arenas and the image's data.
"""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from gccllm.assembly import Body, BodyError, Module, cfg, is_pointed_to, reachable, replaceable, slice_text
from gccllm.base.core import Quit, RunStatus, Test
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.generate import GlobalSymbol
from gccllm.harvest.scene import DoesNotFit, Extent, Scene, extents, lower
from gccllm.harvest.types import Signature
from gccllm.sandbox import image, layout, replay, trace
from gccllm.sandbox.environment import STRICT, UNSEEN, Environment, environment_of
from gccllm.sandbox.trace import Intervals, Trace

SLOW_TICKS = 150_000
"""Tests slower than this (about 60 us) are left out: hundreds of candidates run every test. The faster of two runs
counts, so that only inputs near the limit depend on the machine."""
NO_LIMIT = 1 << 62
"""Ticks: a slow call is a call."""
GIVE_UP = 10
"""Time-outs in one batch after which its rest is not run."""

MOST_DOUBTFUL, DOUBTFUL_BATCH = 3000, 48
LAST_RESORT = "doubtful"
MOST_UNDEFINED, UNDEFINED_TESTS = 960, 160
"""Inputs that trap: remembered, and of these chosen as tests."""
UNDEFINED = "undefined"

Edge = tuple[int, int]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HarvestTarget:
    """One function to find inputs for."""

    name: str
    text: str
    """`assembly.slice_text` of it."""
    body: Body
    signature: Signature
    tools: Toolchain
    workdir: Path
    ubsan_text: str | None = None
    """The same slice out of the trapping side compile; None when there is none."""
    symbols: tuple[GlobalSymbol, ...] = ()
    """Writable data that the function may touch, and what another unit may have other contents of."""
    environment: Environment = STRICT
    """What its callers may look at beside results and memory."""
    as_gcc: bool = True
    """Whether a rewrite agrees with gcc's machine code where C leaves behaviour undefined."""

    @classmethod
    def of(
        cls,
        module: Module,
        name: str,
        signature: Signature,
        tools: Toolchain,
        workdir: Path,
        trapping: Module | None = None,
        options: Sequence[str] = (),
        *,
        as_gcc: bool = True,
    ) -> HarvestTarget:
        """From the parsed unit and that of the trapping side compile. Raises Quit or BodyError.

        `options`: those of the compile, which say what of the unit another may replace. Without them the text does.
        """
        others = replaceable(module, options)
        objects = reachable(module, name, others)[1]
        symbols = []
        for symbol in objects:
            known = module.objects[symbol]
            size = int(known.size) if known.size.isdigit() else _common_size(known.common)
            if (known.is_writable or symbol in others) and size and not symbol.startswith(".L"):
                variable = signature.variables.get(symbol.split(".")[0])
                symbols.append(GlobalSymbol(symbol, size, variable, is_pointed_to(module, symbol)))
        return cls(
            name, slice_text(module, name, replaceable=others), module.functions[name].body, signature, tools, workdir,
            trapping_slice(trapping, module, name, others), tuple(symbols), environment_of(options), as_gcc,
        )  # fmt: skip


def trapping_slice(
    trapping: Module | None, module: Module, name: str, others: AbstractSet[str] = frozenset()
) -> str | None:
    """The function and all it reaches out of the trapping side compile; None where it is not there.

    `others`: names of `module` that another unit may replace. What gcc inlined into the baseline is the unit's own
    there too. Raises BodyError as `reachable` does.
    """
    if trapping is None:
        return None
    functions = reachable(module, name, others)[0]
    called = frozenset(ref for one in functions for ref in module.functions[one].refs) & others
    try:
        return slice_text(trapping, name, replaceable=called)
    except (BodyError, ValueError, Quit):
        return None


def _common_size(common: str) -> int:
    words = common.split(",")
    return int(words[1]) if len(words) > 1 and words[1].strip().isdigit() else 0


@dataclass
class Run:
    """A defined input and what is known of it."""

    test: Test
    ticks: int
    edges: frozenset[Edge] = frozenset()
    work: int = 0
    """Entries in the log of the traced run: a deterministic measure of how much was done."""
    traced: bool = False
    fresh: bool = False
    """It took an edge that no input before it took."""
    why: str = ""
    """Why it could not be traced."""


@dataclass(kw_only=True)
class Ran(Run):
    """A defined input that was made: its scene can be changed and placed elsewhere."""

    scene: Scene
    extents: list[Extent | None] = field(default_factory=list)
    wrote: list[Extent | None] = field(default_factory=list)
    """As `extents`, of stores alone."""
    symbols: dict[str, tuple[Extent, bool]] = field(default_factory=dict)
    """What is touched of each data symbol of the unit, and whether any of it is written."""


@dataclass(kw_only=True)
class State(Run):
    """A defined input that was recorded, or made of a recorded one: it stays where it is."""

    reads: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    """What the baseline reads of it."""
    touched: Intervals = field(default_factory=lambda: np.zeros((0, 2), np.uint64))
    """What it reads or writes."""


class Probe:
    """Runs the baseline, its trapping build and its traced build on scenes. A context manager."""

    def __init__(self, target: HarvestTarget) -> None:
        self.target = target
        self.returned = target.signature.returned
        self.discards: Counter[str] = Counter()
        self.all_edges = cfg(target.body).edges
        self.taken: set[Edge] = set()
        callees = target.signature.callees
        self.traced = trace.traced_name(target.name)
        inner, names = trace.instrument_callees(Module.parse(target.text), target.name, target.tools)
        text = target.text + inner + trace.instrument(target.body, target.name, traced=names, tools=target.tools)
        built = image.build_image(target.workdir, text, target.tools, callees, name="harvest")
        self.replayer = replay.Replayer(built, self.returned, deadline_ms=LIMITS.harvest_ms)
        self.trapping: replay.Replayer | None = None
        if target.ubsan_text is not None:
            try:
                second = image.build_image(target.workdir, target.ubsan_text, target.tools, callees, name="trapping")
                self.trapping = replay.Replayer(second, self.returned, deadline_ms=4 * LIMITS.harvest_ms)
            except (image.AssembleError, Quit):
                self.trapping = None
        self.agreed = self.disagreed = 0
        self.doubtful: list[Test] = []
        """Inputs that were discarded as slow or undefined, for edges that no other input takes."""
        self.trapped: list[Test] = []
        """Inputs on which the trapping build traps: a sample of all that were seen, in order."""
        self.traps_seen, self.trap_stride = 0, 1
        self.unrun: set[int] = set()
        """Positions in the last batch that were not run, because too many before them timed out."""
        self.timed_out: set[int] = set()
        self.refused: dict[int, str] = {}
        """Why, for positions in the last batch that are not defined."""

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.replayer.close()
        if self.trapping is not None:
            self.trapping.close()

    @contextlib.contextmanager
    def patient(self, deadline_ms: int) -> Iterator[None]:
        """Let inputs run for longer inside."""
        self.be_patient(deadline_ms)
        try:
            yield
        finally:
            self.be_patient(LIMITS.harvest_ms)

    def be_patient(self, deadline_ms: int) -> None:
        """Let inputs run for longer from now on."""
        self.replayer.deadline_ms = deadline_ms
        if self.trapping is not None:
            self.trapping.deadline_ms = 4 * deadline_ms

    # --- is it defined? -----------------------------------------------------------------------

    def defined(self, scenes: Sequence[Scene], slow_ticks: int = SLOW_TICKS) -> list[Ran | None]:
        """For each scene what ran, or None when the input is to be discarded; the reasons are counted."""
        tests: list[Test | None] = []
        for scene in scenes:
            try:
                tests.append(lower(scene, self.target.signature))
            except DoesNotFit:
                self.discards["does not fit the arenas"] += 1
                tests.append(None)
        at = [i for i, test in enumerate(tests) if test is not None]
        given = [test for test in tests if test is not None]
        out: list[Ran | None] = [None] * len(scenes)
        for i, ticks in self._defined(given, slow_ticks):
            out[at[i]] = Ran(given[i], ticks, scene=scenes[at[i]])
        self.unrun = {at[i] for i in self.unrun}
        return out

    def defined_states(self, tests: Sequence[Test], slow_ticks: int = SLOW_TICKS) -> list[State]:
        """Those of the tests that are defined and keep to their own memory, traced, in order."""
        states = [state for state in self.untraced_states(tests, slow_ticks) if state is not None]
        self.trace(states)
        return [state for state in states if state.traced]

    def untraced_states(self, tests: Sequence[Test], slow_ticks: int = NO_LIMIT) -> list[State | None]:
        """For each test the state when it is defined; whether it keeps to its own memory is not looked at."""
        states: list[State | None] = [None] * len(tests)
        for i, ticks in self._defined(tests, slow_ticks):
            states[i] = State(tests[i], ticks)
        return states

    def ends_alone(self, test: Test) -> bool:
        """Whether the baseline ends well, and alike under both poisons, in a fresh process that has no page but the
        test's own: what else it would touch faults."""
        self.replayer.close()
        seen = [self.replayer.run_raw(self.target.name, [test], poison=n) for n in (0, 1)]
        well = seen[0]["status"][0] == layout.Status.OK
        return bool(well) and not replay.differs(seen[0], seen[1], self.returned, UNSEEN).any()

    def defined_tests(self, tests: Sequence[Test], slow_ticks: int = SLOW_TICKS) -> list[Test]:
        """Those of the tests that are defined, in order."""
        return [tests[i] for i, _ in self._defined(tests, slow_ticks)]

    def _defined(self, tests: Sequence[Test], slow_ticks: int) -> list[tuple[int, int]]:
        """(position, ticks) of every test that is defined; fills `unrun`."""
        self.unrun, self.timed_out, self.refused = set(), set(), {}
        if not tests:
            return []
        keep, seen = self._runs_well(tests, slow_ticks)
        self.unrun = {int(i) for i in np.flatnonzero(seen["status"] == layout.Status.SKIPPED)}
        self.timed_out = {int(i) for i in np.flatnonzero(seen["status"] == layout.Status.TIMEOUT)}
        return [(int(i), int(seen["ticks"][i])) for i in np.flatnonzero(keep)]

    def _runs_well(self, tests: Sequence[Test], slow_ticks: int) -> tuple[Mask, replay.Raw]:
        """Which tests are defined; what was observed first, with the ticks of the faster of two runs."""
        first = self.replayer.run_raw(self.target.name, tests, give_up_after=GIVE_UP)
        status = first["status"]
        for value in np.unique(status):
            if value not in (layout.Status.OK, layout.Status.SKIPPED):
                self.discards[layout.Status(int(value)).name.lower()] += int((status == value).sum())
                for i in np.flatnonzero(status == value):
                    self.refused[int(i)] = self._how_it_ended(first[i])
        keep: Mask = status == layout.Status.OK
        chosen = np.flatnonzero(keep)
        again = self.replayer.run_raw(
            self.target.name, [tests[int(i)] for i in chosen], poison=1, give_up_after=GIVE_UP
        )
        first["ticks"][chosen] = np.minimum(first["ticks"][chosen], again["ticks"])
        unlucky = np.isin(again["status"], (layout.Status.TIMEOUT, layout.Status.SKIPPED))
        first["status"][chosen[unlucky]] = again["status"][unlucky]  # near the limit, or behind such
        slow = (first["ticks"][chosen] > slow_ticks) | unlucky
        # Exception flags may depend on junk that is never read as a number; candidates are held to them all the same.
        differing = replay.differs(first[chosen], again, self.returned, UNSEEN) & ~slow
        self._doubt(tests, keep, slow & ~unlucky)
        self._narrow(keep, slow, "too slow")
        self._narrow(keep, differing[~slow], "depends on undefined bits")
        if self.trapping is not None:
            trapped, differing = self._trapping_disagrees(tests, first, keep)
            self._doubt(tests, keep, trapped)
            self._remember_trapped([tests[int(i)] for i in np.flatnonzero(keep)[trapped]])
            self._narrow(keep, trapped, "undefined behaviour")
            self._narrow(keep, differing, "differs between optimisation levels")
        return keep, first

    def _narrow(self, keep: Mask, bad: Mask, what: str) -> None:
        """Drop from `keep` those of its members that are `bad`, (number kept,), and count them."""
        self.discards[what] += int(bad.sum())
        at = np.flatnonzero(keep)[bad]
        self.refused |= {int(i): what for i in at}
        keep[at] = False

    def _how_it_ended(self, seen: np.void) -> str:
        status = int(seen["status"])
        if status == layout.Status.TIMEOUT:
            return f"it takes more than {self.replayer.deadline_ms} ms"
        if status == layout.Status.FAULT and seen["signal"] == signal.SIGSEGV:
            return f"it touches {int(seen['fault']):#x}, which was not recorded"
        if status == layout.Status.FAULT:
            return f"signal {int(seen['signal'])}"
        return f"the replay ended with {layout.Status(status).name.lower()}"

    def _doubt(self, tests: Sequence[Test], keep: Mask, which: Mask) -> None:
        """Remember those members of `keep` that `which`, (number kept,), says."""
        room = max(MOST_DOUBTFUL - len(self.doubtful), 0)
        self.doubtful += [tests[int(i)] for i in np.flatnonzero(keep)[which]][:room]

    def _remember_trapped(self, tests: Sequence[Test]) -> None:
        """Keep a sample spread evenly over the search: when it is full, every second one goes and half as many come."""
        if not self.target.as_gcc:
            return
        for test in tests:
            self.traps_seen += 1
            if self.traps_seen % self.trap_stride == 0:
                self.trapped.append(test)
            if len(self.trapped) > MOST_UNDEFINED:
                del self.trapped[::2]
                self.trap_stride *= 2

    def _trapping_disagrees(self, tests: Sequence[Test], first: replay.Raw, keep: Mask) -> tuple[Mask, Mask]:
        """Of those kept, which trap; of those that do not, which end otherwise than the baseline does."""
        assert self.trapping is not None
        kept = np.flatnonzero(keep)
        askable = np.array([self._fits_trapping(tests[int(i)]) for i in kept], np.bool_)
        chosen = kept[askable]
        shared = [self._for_trapping(tests[int(i)]) for i in chosen]
        seen = self.trapping.run_raw(self.target.name, shared, give_up_after=GIVE_UP)
        good = seen["status"] == layout.Status.OK
        other = good & replay.differs(first[chosen], seen, self.returned, UNSEEN)
        self.agreed += int((good & ~other).sum())
        self.disagreed += int(other.sum())
        if self.agreed < self.disagreed:
            # Most results differ: so do the builds (writable data laid out otherwise, contracted floats).
            other[:] = False
        # In a recorded state it may miss a page that only the optimised body had no need of: only a trap counts there.
        lacking = np.array([bool(test.pages) for test in shared], np.bool_) & (seen["signal"] != signal.SIGILL)
        trapped, differing = np.zeros(len(kept), np.bool_), np.zeros(len(kept), np.bool_)
        trapped[askable] = (seen["status"] == layout.Status.FAULT) & ~lacking
        differing[askable] = other
        return trapped, differing[~trapped]

    def _fits_trapping(self, test: Test) -> bool:
        """Whether the trapping build can run it: a recorded state holds addresses of the image's data."""
        assert self.trapping is not None
        if not all(name in self.trapping.image.symbols for name in test.symbols):
            return False
        return not test.pages or self._is_laid_out_alike

    @cached_property
    def _is_laid_out_alike(self) -> bool:
        assert self.trapping is not None
        here, there = self.replayer.image.symbols, self.trapping.image.symbols
        return all(here.get(one.symbol) == there.get(one.symbol) for one in self.target.symbols)

    def _for_trapping(self, test: Test) -> Test:
        assert self.trapping is not None
        known = self.trapping.image.symbols
        if all(piece.symbol in known for piece in test.globals):
            return test
        return replace(test, globals=tuple(piece for piece in test.globals if piece.symbol in known))

    # --- what does it do? ---------------------------------------------------------------------

    def trace(self, rans: Iterable[Run]) -> None:
        """Trace inputs that were not traced yet. Those that take an edge first become `fresh`.

        An input whose trace fails or overflows, and a state that touches memory not its own, keeps `traced` False.
        """
        todo = [ran for ran in rans if not ran.traced]
        traces = trace.trace_many(self.replayer, self.traced, [ran.test for ran in todo])
        for ran, seen in zip(todo, traces, strict=True):
            if seen.status is not RunStatus.OK or seen.overflow:
                self.discards["not traceable"] += 1
                ran.why = f"its trace has more than {layout.LOG_BYTES // layout.LOG.itemsize} entries"
                if not seen.overflow:
                    ran.why = f"traced, it ended with {seen.status}"
                continue
            if isinstance(ran, State):
                if len(strange := trace.foreign(seen, ran.test, self.replayer)):
                    self.discards["touches what was not recorded"] += 1
                    ran.why = f"it touches {int(strange[0][0]):#x}, which was not recorded"
                    continue
                ran.reads = seen.reads
                ran.touched = trace.merged(np.concatenate([seen.reads, seen.writes]))
            elif isinstance(ran, Ran):
                ran.extents = extents(ran.scene, np.concatenate([seen.reads, seen.writes]))
                ran.wrote = extents(ran.scene, seen.writes)
                ran.symbols = self._touched_symbols(seen)
            ran.traced = True
            ran.edges = frozenset(seen.edges)
            ran.fresh = not ran.edges <= self.taken
            ran.work = seen.steps
            self.taken |= ran.edges

    def in_mode(self, usual: Sequence[Test], made: Sequence[Test]) -> tuple[list[Test], list[Test]]:
        """Those of `made` that end well, and alike under both poisons and in both builds: the ones that end otherwise
        than the same input of `usual` does, and the others."""
        name = self.target.name
        before = self.replayer.run_raw(name, usual, give_up_after=GIVE_UP)
        seen = [self.replayer.run_raw(name, made, poison=n, give_up_after=GIVE_UP) for n in (0, 1)]
        steady = ~replay.differs(seen[0], seen[1], self.returned, UNSEEN)
        steady &= np.minimum(seen[0]["ticks"], seen[1]["ticks"]) <= SLOW_TICKS
        if self.trapping is not None and self.agreed >= self.disagreed:
            # Which of two NaNs comes out is left open, and so is much else that gcc's own builds do not agree on.
            theirs = self.trapping.run_raw(name, [self._for_trapping(test) for test in made], give_up_after=GIVE_UP)
            agreeing = ~replay.differs(seen[0], theirs, self.returned, UNSEEN)
            steady &= agreeing | np.array([not self._fits_trapping(test) for test in made], np.bool_)
        other = replay.differs(before, seen[0], self.returned, UNSEEN)
        telling, rest = np.flatnonzero(steady & other), np.flatnonzero(steady & ~other)
        return [made[int(i)] for i in telling], [made[int(i)] for i in rest]

    def _touched_symbols(self, seen: Trace) -> dict[str, tuple[Extent, bool]]:
        found: dict[str, tuple[Extent, bool]] = {}
        for one in self.target.symbols:
            start = self.replayer.image.symbols.get(one.symbol, 0)
            reads, writes = (
                rows[(rows[:, 1] > start) & (rows[:, 0] < start + one.size)] for rows in (seen.reads, seen.writes)
            )
            if len(rows := np.concatenate([reads, writes])):
                low, high = int(rows[:, 0].min()) - start, int(rows[:, 1].max()) - start
                found[one.symbol] = (max(low, 0), min(high, one.size)), bool(len(writes))
        return found

    def last_resort(self) -> list[Test]:
        """Of the doubtful inputs those that take edges which no other input takes.

        C may leave open what happens there; the baseline's machine code does not, as long as its results are the same
        under both poisons. A candidate is held to them, so an edge taken like this costs rewrites, never correctness.
        """
        found: list[Test] = []
        for start in range(0, len(self.doubtful), DOUBTFUL_BATCH):
            if not self.missing:
                break
            for state in self._steady(self.doubtful[start : start + DOUBTFUL_BATCH], LAST_RESORT):
                self.trace([state])
                found += [state.test] * state.fresh
        return found

    def undefined_by_language(self) -> list[Test]:
        """Inputs on which C leaves open what happens and gcc's machine code does not: of every path some, in turns.

        They say what a rewrite has to compute; they do not say what the function's inputs are like.
        """
        states = self._steady(self.trapped, UNDEFINED)
        for start in range(0, len(states), DOUBTFUL_BATCH):
            self.trace(states[start : start + DOUBTFUL_BATCH])
        turn: Counter[frozenset[Edge]] = Counter()
        ranked: list[tuple[int, Test]] = []
        for state in states:
            if state.traced:
                turn[state.edges] += 1
                ranked.append((turn[state.edges], state.test))
        return [test for _, test in sorted(ranked, key=lambda one: one[0])[:UNDEFINED_TESTS]]

    def _steady(self, tests: Sequence[Test], label: str) -> list[State]:
        """Those on which the baseline ends well, and alike under both poisons; not traced yet."""
        states = [State(replace(test, weight=0.0, label=label), 0) for test in tests]
        if not states:
            return []
        seen = [self.replayer.run_raw(self.target.name, [one.test for one in states], poison=n) for n in (0, 1)]
        well = (seen[0]["status"] == layout.Status.OK) & (seen[1]["status"] == layout.Status.OK)
        return [states[int(i)] for i in np.flatnonzero(well & ~replay.differs(seen[0], seen[1], self.returned, UNSEEN))]

    @property
    def missing(self) -> list[Edge]:
        return sorted(self.all_edges - self.taken)


def no_inputs(discards: Counter[str]) -> Quit:
    return Quit(Reason.NO_INPUTS, ", ".join(f"{what}: {count}" for what, count in discards.most_common(4)))
