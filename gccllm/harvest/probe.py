"""Which inputs are defined, and what the baseline does on them.

An input is defined when the baseline terminates normally and soon under both poisons with the same result, the trapping
build does not trap, and, where that build agrees with the baseline at all, it agrees here too. The last rule catches
what traps miss: reads of uninitialised memory, broken aliasing rules, and NaNs whose payload C leaves open. Inputs that
trap or are slow are kept aside, for edges that no other input covers (`Probe.doubtful_tests`).

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
from dataclasses import replace

import numpy as np

from gccllm.assembly import Module, cfg
from gccllm.assembly.cfg import Edge
from gccllm.base.core import Decline, RunStatus, Test
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason
from gccllm.harvest.run import GIVE_UP, Ran, Run, State
from gccllm.harvest.scene import DoesNotFit, Extent, Scene, extents, lower
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.trapping import Mask, TrappingBuild
from gccllm.sandbox import image, layout, trace
from gccllm.sandbox.compare import Raw, differs
from gccllm.sandbox.environment import UNSEEN
from gccllm.sandbox.replay import Replayer
from gccllm.sandbox.trace import Trace

SLOW_TICKS = 150_000
"""Tests slower than this (about 60 us) are left out: hundreds of candidates run every test. The faster of two runs
counts, so that only inputs near the limit depend on the machine."""
NO_LIMIT = 1 << 62
"""Ticks: however slow a recorded call is, it was made."""

MOST_DOUBTFUL, DOUBTFUL_BATCH = 3000, 48
DOUBTFUL = "doubtful"
MOST_UNDEFINED, UNDEFINED_TESTS = 960, 160
"""Inputs that trap: remembered, and of these chosen as tests."""
UNDEFINED = "undefined"


class Probe:
    """Runs the baseline, its trapping build and its traced build on scenes. A context manager."""

    def __init__(self, target: HarvestTarget) -> None:
        self.target = target
        self.returned = target.signature.returned
        self.discards: Counter[str] = Counter()
        self.all_edges = cfg(target.body).edges
        self.taken: set[Edge] = set()
        self.traced = trace.traced_name(target.name)
        inner, names = trace.instrument_callees(Module.parse(target.text), target.name, target.tools)
        text = target.text + inner + trace.instrument(target.body, target.name, traced=names, tools=target.tools)
        built = image.build_image(target.workdir, text, target.tools, target.signature.callees, name="harvest")
        self.replayer = Replayer(built, self.returned, deadline_ms=LIMITS.harvest_ms)
        self.trapping = TrappingBuild.of(target, built)
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

    def __exit__(self, *exception: object) -> None:
        self.replayer.close()
        if self.trapping is not None:
            self.trapping.close()

    @contextlib.contextmanager
    def patient(self, deadline_ms: int) -> Iterator[None]:
        """A longer deadline inside."""
        self.be_patient(deadline_ms)
        try:
            yield
        finally:
            self.be_patient(LIMITS.harvest_ms)

    def be_patient(self, deadline_ms: int) -> None:
        """A longer deadline from now on."""
        self.replayer.deadline_ms = deadline_ms
        if self.trapping is not None:
            self.trapping.be_patient(deadline_ms)

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
        """Whether the baseline terminates normally, with one result under both poisons, in a fresh process that has no
        page but the test's own: any other access faults."""
        self.replayer.close()
        seen = [self.replayer.run_raw(self.target.name, [test], poison=n) for n in (0, 1)]
        well = seen[0]["status"][0] == layout.Status.OK
        return bool(well) and not differs(seen[0], seen[1], self.returned, UNSEEN).any()

    def defined_tests(self, tests: Sequence[Test], slow_ticks: int = SLOW_TICKS) -> list[Test]:
        """Those of the tests that are defined, in order."""
        return [tests[i] for i, _ in self._defined(tests, slow_ticks)]

    def _defined(self, tests: Sequence[Test], slow_ticks: int) -> list[tuple[int, int]]:
        """(position, ticks) of every test that is defined; fills `unrun`."""
        self.unrun, self.timed_out, self.refused = set(), set(), {}
        if not tests:
            return []
        keep, seen = self._defined_in_batch(tests, slow_ticks)
        self.unrun = {int(i) for i in np.flatnonzero(seen["status"] == layout.Status.SKIPPED)}
        self.timed_out = {int(i) for i in np.flatnonzero(seen["status"] == layout.Status.TIMEOUT)}
        return [(int(i), int(seen["ticks"][i])) for i in np.flatnonzero(keep)]

    def _defined_in_batch(self, tests: Sequence[Test], slow_ticks: int) -> tuple[Mask, Raw]:
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
        differing = differs(first[chosen], again, self.returned, UNSEEN) & ~slow
        self._doubt(tests, keep, slow & ~unlucky)
        self._narrow(keep, slow, "too slow")
        self._narrow(keep, differing[~slow], "depends on undefined bits")
        if self.trapping is not None:
            trapped, differing = self.trapping.verdicts(tests, first, keep)
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
                if len(strange := trace.outside_test(seen, ran.test, self.replayer)):
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
        """Those of `made` that terminate normally, with one result under both poisons and in both builds: the ones
        whose result differs from that of the same input of `usual`, and the others."""
        name = self.target.name
        before = self.replayer.run_raw(name, usual, give_up_after=GIVE_UP)
        seen = [self.replayer.run_raw(name, made, poison=n, give_up_after=GIVE_UP) for n in (0, 1)]
        steady = ~differs(seen[0], seen[1], self.returned, UNSEEN)
        steady &= np.minimum(seen[0]["ticks"], seen[1]["ticks"]) <= SLOW_TICKS
        if self.trapping is not None and self.trapping.is_comparable:
            # C leaves open which of two NaNs is the result, and much else on which gcc's own builds do not agree.
            steady &= self.trapping.agrees(made, seen[0])
        other = differs(before, seen[0], self.returned, UNSEEN)
        changed, rest = np.flatnonzero(steady & other), np.flatnonzero(steady & ~other)
        return [made[int(i)] for i in changed], [made[int(i)] for i in rest]

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

    def doubtful_tests(self) -> list[Test]:
        """The doubtful inputs that cover edges which no other input covers.

        C may leave open what happens there; the baseline's machine code does not, as long as its results are the same
        under both poisons. A candidate is held to them, so an edge taken like this costs rewrites, never correctness.
        """
        found: list[Test] = []
        for start in range(0, len(self.doubtful), DOUBTFUL_BATCH):
            if not self.missing:
                break
            for state in self._steady(self.doubtful[start : start + DOUBTFUL_BATCH], DOUBTFUL):
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
        """Those on which the baseline terminates normally, with one result under both poisons; not traced yet."""
        states = [State(replace(test, weight=0.0, label=label), 0) for test in tests]
        if not states:
            return []
        seen = [self.replayer.run_raw(self.target.name, [one.test for one in states], poison=n) for n in (0, 1)]
        well = (seen[0]["status"] == layout.Status.OK) & (seen[1]["status"] == layout.Status.OK)
        return [states[int(i)] for i in np.flatnonzero(well & ~differs(seen[0], seen[1], self.returned, UNSEEN))]

    @property
    def missing(self) -> list[Edge]:
        return sorted(self.all_edges - self.taken)


def no_inputs(discards: Counter[str]) -> Decline:
    return Decline(Reason.NO_INPUTS, ", ".join(f"{what}: {count}" for what, count in discards.most_common(4)))
