"""The recorded side of a harvest: calls of the program, used beside generated inputs, and mutations of them.

    recorded ── defined? traced ──┬─ mutated toward uncovered edges ── defined? traced ─────────┐
       └─ long? shortened ────────┤                                                             │
                                  ├─ chosen: new edges, then every path in turn ◄───────────────┘
                                  └─ timing classes

Timing. The calls are a sample of what the program does, each with the number of calls that it stands for. They are
ordered by work and cut into classes that hold equal shares of all work; within a class an input is drawn in proportion
to its weight. `timing` takes the mean over the classes of what is gained in each, so how often and how long both count,
and a class that loses refuses the rewrite: none holds less than a third of the program's time in the function, but
where few calls were recorded. Every second call is held out.

Generated inputs stay as `Harvest.guard_classes`: they decide nothing, but a rewrite that is much slower there is
refused, because its entry may serve programs that were never recorded.

A long call is timed as it is, where that does not take too long; candidates are checked on shorter ones (`long`).

Not covered: calls that `long` finds no use for. They are counted, with the reason, in `said`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from gccllm.assembly.cfg import Edge
from gccllm.base.core import PAGE_BYTES, Test
from gccllm.base.limits import LIMITS
from gccllm.harvest.far import far_symbols
from gccllm.harvest.long import BATCH, Looked, look, refusals
from gccllm.harvest.mutated import Known, mutated, swept
from gccllm.harvest.probe import SLOW_TICKS, Probe
from gccllm.harvest.run import State
from gccllm.harvest.solved import SOLVED
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.workload import Tests
from gccllm.sandbox.encode import BATCH_BYTES
from gccllm.sandbox.image import Image
from gccllm.sandbox.layout import MAX_TIMED_PAGES

RECORDED = "recorded"
MUTATED = "mutated"
FEWEST_TIMED = 8
"""Different recorded calls from which they alone decide the speed-up; with ENOUGH_WORK in them, fewer suffice."""
CLASSES = ("recorded-short", "recorded-middle", "recorded-long")
ENOUGH_WORK = 20_000
"""Work of all inputs of a class with which few inputs suffice: a predictor cannot memorise so much."""
DECK = 256
"""Places in the deck of a class; an input may take several."""
DECK_TICKS = 200_000_000
"""Ticks of all in a deck: each is run some times before the first sample."""
DECK_BYTES = BATCH_BYTES // 2
"""Different pages of a deck, but of its first input: what is loaded for one timing."""
SWEPT, MOST_SWEPT = 4, 24
"""Parents whose words are all tried, at a time and in all."""
PATIENCE = 4
"""Batches of changed states in a row without a new edge after which the chase ends."""


class States:
    """Recorded calls and their mutants. `is_over` ends work early, as in the rest of the search."""

    def __init__(self, probe: Probe, numbers: Sequence[int], seed: int, is_over: Callable[[], bool]) -> None:
        self.probe = probe
        self.rng = Random(seed + 2)
        self.is_over = is_over
        self.known = known_of(probe.target, probe.replayer.image, numbers)
        self.recorded: list[State] = []
        """All defined ones, those for timing only included."""
        self.shortened: list[State] = []
        self.mutants: list[State] = []
        self.looked: list[Looked] = []
        self.given = 0.0
        """Weight of all recorded tests, and of those that cannot be used."""
        self.lost = 0.0

    def admit(self, tests: Sequence[Test]) -> None:
        """Keep what is defined. Equal tests become one, of their joint weight."""
        joined: dict[object, Test] = {}
        for test in tests:
            key = key_of(test)
            weight = test.weight + (joined[key].weight if key in joined else 0.0)
            joined[key] = replace(test, label=RECORDED, weight=weight)
        self.given = sum(test.weight for test in joined.values())
        self.looked = look(self.probe, list(joined.values()), self.known, self.is_over)
        self.recorded = [one.state for one in self.looked if one.state is not None]
        self.shortened = [state for one in self.looked for state in one.shorter]
        self.lost = self.given - sum(state.test.weight for state in self.recorded)

    @property
    def quick(self) -> list[State]:
        """Those short enough to be run by every candidate, and those that first covered an edge."""
        short = [
            one for one in self.recorded if one.fresh or (one.ticks <= SLOW_TICKS and one.work <= LIMITS.most_work)
        ]
        return short + self.shortened

    def chase(self, batches: int) -> None:
        """Mutate states close to an uncovered edge; keep what is new.

        First those that read least, word by word, and again whenever that, or a change at random, led to blocks that
        none had come to: an edge may need two words. A few changed states are made in any case: a recording may be one
        call many times.
        """
        if batches and not self.is_over():
            self.grow(self.quick, BATCH)
        tried: set[object] = set()
        self.sweep(tried)
        idle = 0
        for _ in range(batches):
            if not self.probe.missing or idle == PATIENCE or self.is_over():
                return
            before = len(self.probe.taken)
            self.grow(self.near(self.probe.missing), BATCH)
            while len(tried) < MOST_SWEPT and self.sweep(tried) and not self.is_over():
                pass
            idle = 0 if len(self.probe.taken) > before else idle + 1

    def sweep(self, tried: set[object]) -> bool:
        """Change every word of the states next to the uncovered edges, one state an edge; whether that covered one.

        `tried`: keys of the states that were changed so before; those changed now join them.
        """
        before = len(self.probe.taken)
        chosen: dict[object, State] = {}
        for edge in self.probe.missing:
            fresh = (one for one in self.near([edge]) if key_of(one.test) not in tried)
            if (least := min(fresh, key=lambda one: one.work, default=None)) is not None:
                chosen[key_of(least.test)] = least
        for key, state in list(chosen.items())[:SWEPT]:
            if self.is_over():
                break
            tried.add(key)
            self.keep(swept(state.test, state.reads, self.known), only_fresh=True)
        return len(self.probe.taken) > before

    def grow(self, parents: Sequence[State], count: int) -> list[State]:
        """Up to `count` new changed states that are defined. They are kept."""
        if not parents:
            return []
        drawn = [self.rng.choice(parents) for _ in range(count)]
        made = [mutated(parent.test, parent.reads, self.known, self.rng) for parent in drawn]
        tests = [test for test in made if test is not None]
        if self.probe.replayer.image.callees:  # half of them, and some that are as they were recorded
            tests = [replace(one, changes=self.rng.getrandbits(32)) if i % 2 else one for i, one in enumerate(tests)]
            tests += [replace(one.test, changes=self.rng.getrandbits(32)) for one in drawn[: count // 4]]
        return self.keep(tests)

    def keep(self, tests: Sequence[Test], only_fresh: bool = False, label: str = MUTATED) -> list[State]:
        """Those that are new and defined; `only_fresh`: and that covered a new edge."""
        seen = {key_of(state.test) for state in (*self.recorded, *self.mutants)}
        fresh: dict[object, Test] = {}
        for test in tests:
            if (key := key_of(test)) not in seen:
                fresh.setdefault(key, replace(test, weight=0.0, label=label))
        found: list[State] = []
        given = list(fresh.values())
        for start in range(0, len(given), BATCH):
            if not self.is_over():
                states = self.probe.defined_states(given[start : start + BATCH])
                found += [one for one in states if one.fresh or (one.work <= LIMITS.most_work and not only_fresh)]
        self.mutants += found
        return found

    def near(self, missing: Sequence[Edge]) -> list[State]:
        """States that reached the source of an uncovered edge; all of them if none did."""
        sources = {a for a, _ in missing}
        every = [*self.quick, *self.mutants]
        return [state for state in every if any({a, b} & sources for a, b in state.edges)] or every

    def solve(self, tests: Sequence[Test]) -> None:
        self.keep(tests, label=SOLVED)

    def chosen(self, most: int) -> list[Test]:
        """Tests for the candidates: those that first covered an edge, then those of every path in turn."""
        every = [*self.quick, *self.mutants]
        turn: Counter[frozenset[Edge]] = Counter()
        order: list[tuple[bool, int, int]] = []
        for number, state in enumerate(every):
            turn[state.edges] += 1
            order.append((not state.fresh, turn[state.edges], number))
        return [every[number].test for _, _, number in sorted(order)[:most]]

    def timing(self, fewest: int = FEWEST_TIMED) -> tuple[Tests, Tests]:
        """(deciding, held-out) classes; empty when fewer than `fewest` different calls were recorded."""
        if len(self.recorded) < fewest and sum(state.work for state in self.recorded) < ENOUGH_WORK:
            return {}, {}
        ranked = sorted(self.recorded, key=lambda state: state.work)
        deciding: Tests = {}
        confirming: Tests = {}
        for label, members in classes(ranked):
            tests = [replace(state.test, label=label) for state in timeable(members)]
            deciding[label] = deck(tests[::2])
            confirming[label] = deck(tests[1::2]) or deciding[label]
        return deciding, confirming

    @property
    def refused(self) -> dict[str, int]:
        """Why recorded calls do not replay, most frequent first."""
        return dict(refusals(self.looked).most_common())

    def said(self) -> list[str]:
        """Sentences for `explain`."""
        if not self.given:
            return []
        total = sum(state.test.weight for state in self.recorded)
        words = [
            f"recorded: {len(self.recorded)} different calls, which stand for {total:.0f}; {len(self.mutants)} defined "
            "states were made of them"
        ]
        if self.shortened:
            words.append(f"{len(self.shortened)} of the tests are recorded calls made shorter")
        limited = Counter(one.why for one in self.looked if one.state is not None and one.why)
        words += [f"timed shorter than they were, {count} calls: {why}" for why, count in limited.items()]
        if self.lost > 0.005 * self.given:
            why = ", ".join(f"{why} ({count})" for why, count in self.refused.items())
            words.append(f"recorded calls that do not replay: {self.lost / self.given:.0%} of the program's: {why}")
        return words


def known_of(target: HarvestTarget, image: Image, numbers: Sequence[int]) -> Known:
    names = [*(one.symbol for one in target.symbols), *(name for name, _ in far_symbols(target.signature))]
    symbols = {name: image.symbols[name] for name in names if name in image.symbols}
    return Known(target.signature, tuple(numbers), symbols)


def classes(ranked: Sequence[State]) -> list[tuple[str, list[State]]]:
    """Cut states, ordered by work, into as many classes of equal shares of the work as have enough variety."""
    shares = [state.test.weight * max(state.work, 1) for state in ranked]
    total = sum(shares)
    for count in (3, 2):
        parts: list[list[State]] = [[] for _ in range(count)]
        before = 0.0
        for state, share in zip(ranked, shares, strict=True):
            middle = before + share / 2
            parts[min(int(count * middle / total), count - 1)].append(state)
            before += share
        if all(is_varied(part) for part in parts):
            labels = CLASSES if count == len(CLASSES) else (CLASSES[0], CLASSES[-1])
            return list(zip(labels, parts, strict=True))
    return [(RECORDED, list(ranked))]


def is_varied(part: Sequence[State]) -> bool:
    """Whether it is too much for a branch predictor to memorise."""
    return len(part) >= FEWEST_TIMED or (len(part) >= 2 and sum(state.work for state in part) >= ENOUGH_WORK)


def timeable(members: Sequence[State]) -> list[State]:
    """Those, the heaviest first, that one timing has room and time for; the order of work is kept."""
    chosen: list[State] = []
    contents: set[bytes] = set()
    pages = ticks = 0
    for state in sorted(members, key=lambda state: -state.test.weight):
        more = contents.union(page.data for page in state.test.pages)
        pages, ticks = pages + len(state.test.pages), ticks + state.ticks
        if chosen and (pages > MAX_TIMED_PAGES or ticks > DECK_TICKS or len(more) * PAGE_BYTES > DECK_BYTES):
            break
        chosen.append(state)
        contents = more
    kept = set(map(id, chosen))
    return [state for state in members if id(state) in kept]


def deck(tests: Sequence[Test]) -> list[Test]:
    """Each test as often as its weight says, at least once; in all about `DECK` times at most."""
    if not tests:
        return []
    heaviest, lightest = max(test.weight for test in tests), min(test.weight for test in tests)
    if heaviest <= 1.5 * lightest:
        return list(tests)
    total = sum(test.weight for test in tests)
    places = min(DECK, MAX_TIMED_PAGES // max(max(len(test.pages) for test in tests), 1))
    unit = max(lightest, total / max(places - len(tests), len(tests)))
    return [test for test in tests for _ in range(max(1, round(test.weight / unit)))]


def key_of(test: Test) -> object:
    """What makes two tests one: all but labels, weights and junk."""
    return test.ints, test.vectors, test.stack, test.regions, test.globals, test.pages, test.changes
