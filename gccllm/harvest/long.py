"""Long recorded calls: which of them are usable inputs, why others are not, and shortened versions of them.

    short   traced, and run by every candidate
    long    timed only: alone in the replayer, so that stray accesses fault, in two processes, under both poisons
    shorter the same call with less to do, for every gate: traced like a short one

A call is shortened by a knob: one word that controls how far the function goes. That is an argument, a number that it
reads from memory, or a pointer to the end of what another one points to. An experiment finds it, as in `large`: with
half of it the baseline must do less. The shorter call keeps the pages that its own run touches.
It is an input like any other, held to the rules of `probe`, and labelled `shortened`.

What takes more than MOST_TIMED_TICKS is timed shortened, too: as long as the limit allows.

Not covered: two numbers that must agree, the length of a list or a tree; such a call is timed, where it can be, and no
shorter one is made of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from gccllm.base.core import PAGE_BYTES, Page, Test
from gccllm.base.limits import LIMITS
from gccllm.harvest.mutated import Known, Pieces
from gccllm.harvest.probe import SLOW_TICKS, Probe
from gccllm.harvest.run import State
from gccllm.harvest.types import Integer, Place, Pointer
from gccllm.harvest.workload import TICKS_OF_WORK
from gccllm.sandbox.trace import Intervals, beginning

SHORTENED = "shortened"
BATCH = 48
MOST_PATIENT = 8
"""Such calls that are run, the heaviest first."""
TRACED_TICKS = 40_000_000
"""Ticks of all long calls that are traced as a whole; others are run alone."""
MOST_TIMED_TICKS = 75_000_000
"""Ticks (30 ms) of a call that is timed as it is: some hundred calls are timed for one verdict."""
MOST_SHORTENED = 4
"""Long calls of which shorter ones are made, the heaviest."""
SHORT_RUN = 64
"""Neighbouring pages that are kept whole during the search for a knob."""
BEGINNING = 90_000
"""Log entries that are searched for knobs, and for the accesses of a shorter call."""
LEAST, MOST_KNOBS, HEADER = 64, 24, 256
"""Smallest value of a knob, how many are tried, and the longest piece of memory in which words are."""
PAIRS = ((16, 32), (128, 256), (1024, 2048), (8192, 16384))
"""Values of a knob at which the work is compared."""
LATE = "no time was left for it"
LENGTHS = (67, 65, 34, 33, 32, 31, 19, 17, 16, 15, 9, 8, 7, 5, 4, 3, 2, 1, 0)


@dataclass
class Looked:
    """The result of replaying a recorded call."""

    state: State | None = None
    """The state that is timed; None when the call does not replay."""
    why: str = ""
    """Why it does not replay, or is timed shorter than it was."""
    shorter: list[State] = field(default_factory=list)
    """Shortened versions of it, traced."""
    is_long: bool = False

    @property
    def functional(self) -> list[State]:
        """What every candidate can run."""
        return self.shorter or ([self.state] if self.state is not None and not self.is_long else [])


def look(
    probe: Probe, tests: Sequence[Test], known: Known, is_over: Callable[[], bool] = lambda: False
) -> list[Looked]:
    """For each recorded call what it is worth; those without time left (`is_over`) carry that as the reason."""
    found = [Looked(why=LATE) for _ in tests]
    long = _run(probe, tests, found, is_over)
    long.sort(key=lambda n: -tests[n].weight)
    ticks = 0
    for turn, number in enumerate(long):
        one = found[number]
        one.is_long = True
        if is_over():
            one.state, one.why = None, LATE
            continue
        if turn < MOST_SHORTENED:
            _shorten(probe, tests[number], one, known)
        if one.state is None:
            continue
        state = one.state
        ticks += state.ticks
        state.work = _work(state, one.shorter)
        if ticks <= TRACED_TICKS and not one.shorter:
            probe.trace([state])
            one.is_long = not state.traced
        if not state.traced and not _is_its_own(probe, state):
            one.state, one.why = None, state.why or "alone in the replayer it ends otherwise: it wants other memory"
    return found


def _work(state: State, shorter: Sequence[State]) -> int:
    """A guess from the ticks."""
    longest = max(shorter, key=lambda one: one.work, default=None)
    each = longest.work / max(longest.ticks, 1) if longest is not None else 1 / TICKS_OF_WORK
    return int(state.ticks * each)


def refusals(found: Sequence[Looked]) -> Counter[str]:
    """Why calls do not replay, each reason with its number."""
    return Counter(one.why for one in found if one.state is None)


def _run(probe: Probe, tests: Sequence[Test], found: list[Looked], is_over: Callable[[], bool]) -> list[int]:
    """Fill `found` with what is short; the numbers of what is long."""
    long, late = [], []
    waiting = list(range(len(tests)))
    while waiting and not is_over():
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        states = probe.untraced_states([tests[n] for n in batch])
        short = [state for state in states if state is not None and state.ticks <= SLOW_TICKS]
        probe.trace(short)
        for at, (number, state) in enumerate(zip(batch, states, strict=True)):
            if state is None:
                found[number].why = probe.refused.get(at, "")
                continue
            if state.ticks > SLOW_TICKS:
                long.append(number)
            elif not state.traced:
                found[number].why = state.why
                continue
            found[number].state, found[number].why = state, ""
        late += [batch[at] for at in sorted(probe.timed_out)]
        # Too many calls before them were too long: that says nothing of these.
        waiting += [batch[at] for at in sorted(probe.unrun)]
    late.sort(key=lambda n: -tests[n].weight)
    with probe.patient(LIMITS.long_ms):
        for number in late[:MOST_PATIENT]:
            if is_over():
                break
            found[number].state = probe.untraced_states([tests[number]])[0]
            found[number].why = probe.refused.get(0, "")
            long.append(number)
    return long


def _is_its_own(probe: Probe, state: State) -> bool:
    """Whether a call that was not traced ends as it did, alone and in other processes."""
    with probe.patient(LIMITS.long_ms):
        return all(probe.ends_alone(state.test) for _ in range(2))


# --- shorter ones ---------------------------------------------------------------------------------


class Knob(NamedTuple):
    """A word that controls how far the function goes."""

    place: Place | None
    """Of an argument; None: in memory."""
    address: int = 0
    size: int = 8
    start: int = 0
    """A pointer to an end is moved down towards this one."""
    unit: int = 1

    def get(self, pieces: Pieces) -> int:
        raw = pieces.get_argument(self.place) if self.place else pieces.get(self.address, self.size)
        return (raw - self.start) // self.unit

    def turned(self, test: Test, value: int, known: Known) -> Test:
        pieces, raw = Pieces(test, _NOTHING, known), self.start + value * self.unit
        if self.place is not None:
            pieces.put_argument(self.place, raw)
        else:
            pieces.put(self.address, self.size, raw)
        return replace(pieces.test(), label=SHORTENED, weight=0.0)


_NOTHING: Intervals = np.zeros((0, 2), np.uint64)


@dataclass(frozen=True)
class Growth:
    """How the work grows with a knob: as much as `work` at `value`, `each` more for one more."""

    knob: Knob
    value: int
    work: float
    each: float

    def reach(self, work: float) -> int:
        return max(int(self.value + (work - self.work) / self.each), 0)


def _shorten(probe: Probe, test: Test, one: Looked, known: Known) -> None:
    """Make shorter calls; where the call itself takes too long to be timed, a shorter one replaces it."""
    spans = beginning(probe.replayer, probe.traced, test, BEGINNING, LIMITS.long_ms)
    small = _cut(test, spans, SHORT_RUN)
    best: tuple[Growth, list[State]] | None = None
    growths, fresh = _growing(probe, small, test, spans, known)
    one.shorter += fresh
    for growth in growths:
        made = _made(probe, small, test, growth, known)
        if made and (best is None or made[-1].work > best[1][-1].work):
            best = growth, made
        one.shorter += made
    is_late = one.state is None or _fastest(probe, one.state) > MOST_TIMED_TICKS
    if is_late and best is not None:
        one.state, one.why = _timed(probe, test, best[0].knob, best[1][-1], known), _limit(one)
    elif is_late and one.state is not None:
        one.state, one.why = None, f"{_limit(one)}, and what would make it shorter was not found"


def _fastest(probe: Probe, state: State) -> int:
    """Its ticks; near the limit on a busy machine a few more runs decide."""
    if state.ticks > MOST_TIMED_TICKS:
        with probe.patient(LIMITS.long_ms):
            again = [one.ticks for _ in range(4) if (one := probe.untraced_states([state.test])[0]) is not None]
        state.ticks = min([state.ticks, *again])
    return state.ticks


def _limit(one: Looked) -> str:
    return one.why or f"it takes more than {MOST_TIMED_TICKS / 2.5e6:.0f} ms"


def _timed(probe: Probe, test: Test, knob: Knob, short: State, known: Known) -> State | None:
    """The longest of the shorter calls that can be timed."""
    whole = knob.get(Pieces(test, _NOTHING, known))
    each = short.ticks / max(knob.get(Pieces(short.test, _NOTHING, known)), 1)
    value = int(min(MOST_TIMED_TICKS / each, whole))
    with probe.patient(LIMITS.long_ms):
        for _ in range(5):
            value = value * 4 // 5
            made = replace(knob.turned(test, value, known), label=test.label, weight=test.weight)
            state = probe.untraced_states([made])[0]
            if state is not None and state.ticks <= MOST_TIMED_TICKS:
                return state
            if state is not None:
                value = int(value * MOST_TIMED_TICKS / state.ticks)
            else:
                value //= 2
    return None


def _made(probe: Probe, small: Test, test: Test, growth: Growth, known: Known) -> list[State]:
    """Shorter calls along one knob, in the order of their work, with the pages that they touch."""
    most = min(growth.reach(0.9 * LIMITS.most_work), growth.knob.get(Pieces(test, _NOTHING, known)) - 1)
    lengths = {most, most - 1, most * 3 // 4 - 2, most // 2 - 3, most // 3 + 1, most // 5, most // 9 + 2, most // 33}
    lengths |= {n for n in LENGTHS if n < most}
    tests = [growth.knob.turned(small, n, known) for n in sorted(lengths) if n >= 0]
    states = [state for state in probe.defined_states(tests) if state.work <= LIMITS.most_work]
    own = [_cut(state.test, state.touched, 0) for state in states]
    fresh = [state for state in states if state.fresh]
    states = fresh + [state for state in probe.defined_states(own) if not state.fresh]
    return sorted(states, key=lambda state: state.work)


def _growing(probe: Probe, small: Test, test: Test, spans: Intervals, known: Known) -> tuple[list[Growth], list[State]]:
    """Knobs with which the work grows, the one that goes furthest first; and inputs that covered an edge in the
    search."""
    pieces = Pieces(test, spans[spans[:, 1] - spans[:, 0] <= np.uint64(HEADER)], known)
    plan = [(knob, pair) for knob in list(_knobs(pieces))[:MOST_KNOBS] for pair in PAIRS if pair[1] < knob.get(pieces)]
    tests = [knob.turned(small, value, known) for knob, pair in plan for value in pair]
    traced = {id(state.test): state for state in probe.defined_states(tests, 1 << 62)}
    best: dict[Knob, Growth] = {}
    for turn, (knob, pair) in enumerate(plan):
        less, more = (traced.get(id(tests[2 * turn + side])) for side in (0, 1))
        if less is not None and more is not None and more.work > 1.3 * less.work:
            each = (more.work - less.work) / (pair[1] - pair[0])
            best[knob] = Growth(knob, pair[1], more.work, each)
    fresh = [state for state in traced.values() if state.fresh]
    return sorted(best.values(), key=lambda growth: -growth.work)[:3], fresh


def _knobs(pieces: Pieces) -> Iterator[Knob]:
    for place, _ in pieces.arguments(Integer):
        if place.size >= 4 and LEAST <= pieces.get_argument(place) < 1 << 8 * place.size - 1:
            yield Knob(place, size=place.size)
    pointers = [(pieces.get_argument(place), place, ctype) for place, ctype in pieces.arguments(Pointer)]
    words = [(address, size, pieces.get(address, size)) for address, size in pieces.words()[: 4 * MOST_KNOBS]]
    words += [(address, size, pieces.get(address, size)) for address, size in pieces.wide_words()[: 4 * MOST_KNOBS]]
    starts = sorted({value for value, _, _ in pointers} | {value for _, size, value in words if size == 8})
    ends = _runs(pieces)

    def starting(end: int) -> int:
        """The nearest pointer before it into the same run of pages; 0: none."""
        return max((at for at in starts if at < end and ends(at) >= end > at + PAGE_BYTES), default=0)

    for value, place, ctype in pointers:
        if start := starting(value):
            size = (isinstance(ctype, Pointer) and ctype.to.size) or 1
            yield Knob(place, start=start, unit=size)
    for address, size, value in words:
        if size >= 4 and LEAST <= value < 1 << 31:
            yield Knob(None, address, size)
        elif size == 8 and (start := starting(value)):
            yield Knob(None, address, size, start, 8)


def _runs(pieces: Pieces) -> Callable[[int], int]:
    """Where the run of neighbouring pages that holds an address ends; 0 where none does."""
    ends: dict[int, int] = {}
    for address in sorted(pieces.by_address, reverse=True):
        ends[address] = ends.get(address + PAGE_BYTES, address + PAGE_BYTES)
    return lambda at: ends.get(at & -PAGE_BYTES, 0)


def _cut(test: Test, spans: Intervals, most: int) -> Test:
    """The test without those pages of runs longer than `most` that are not in `spans`."""
    touched = {page for low, high in spans for page in range(int(low) & -PAGE_BYTES, int(high), PAGE_BYTES)}
    kept: list[Page] = []
    run: list[Page] = []
    pages: list[Page | None] = [*sorted(test.pages, key=lambda page: page.address), None]
    for page in pages:
        if page is not None and run and page.address == run[-1].address + PAGE_BYTES:
            run.append(page)
            continue
        kept += run if len(run) <= most else [one for one in run if one.address in touched]
        run = [page] if page is not None else []
    return replace(test, pages=tuple(kept))
