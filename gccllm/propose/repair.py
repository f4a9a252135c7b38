"""Repair of failing answers: the edits that the model considers likeliest, tried until some pass.

A small model's wrong answer is mostly a right one with a wrong number, comparison or type in it. An edit puts another
word in one place: one of the model's own alternatives there, or a sibling of the word (`<` for `<=`, another slot, a
neighbour of the same slot, the type of other sign). The cost of edits adds up in nats: how much less likely than the
answer itself the edited one is by the model, each place taken as independent. The search is best first, over one to
three edits at once, over all failing answers together.

An answer that passes the tests that lead the search may exploit their gaps: it counts only after held-out tests.

Cost: with the macros' plain loops and no optimiser (`prelude.plain`) about 2 ms of a busy core an answer, 0.7 ms of
them for the search itself: 320 to 400 answers a second of CPU, where wide loops at -Og gave 83 on the same rows beside
the same work.

Not covered: words added or taken away, answers that differ in more than three words.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from gccllm.base.deadline import Deadline
from gccllm.propose.beam import Answer

MAX_EDITS = 3
PER_EDIT = 1.0
"""Nats for each edit: one wrong word is likelier than two."""
SIBLING = 4.5
"""Nats by which a sibling is less likely than the word itself, where the model does not say."""
NEAR_SLOTS = 4
"""A spelled number may have been meant to be one of the first so many slots, or its neighbour."""
BATCH, MOST = 64, 256
"""Answers compiled and run together: in the first batch, and at most; each is twice as large as the one before."""

_KIN = (
    ("<", "<=", ">", ">="), ("==", "!="), ("<", "=="), ("<=", "=="), (">", "!="), (">=", "!="), ("+", "-"),
    ("&", "|", "^"), ("<<", ">>"), ("+=", "-="), ("&=", "|=", "^="), ("0", "1"),
    ("IN(", "OUT("), ("MAX(", "MIN("), ("ORS(", "ANDS(", "XORS("), ("COUNT(", "SUM("), ("FIRST(", "LAST("),
    ("i8", "u8"), ("i16", "u16"), ("i32", "u32"), ("i64", "u64"), ("i32", "i64"), ("u32", "u64"), ("f32", "f64"),
    ("a", "b", "c", "d", "e", "f"), ("x", "y"),
)  # fmt: skip
"""Words that are taken for one another."""
_SLOT = re.compile(r" kk(\d+)([a-z]?)")

Verdicts = Callable[[Sequence[str]], Sequence[bool]]
"""Whether each of some answers passes."""


@dataclass(frozen=True, slots=True)
class Edit:
    at: int
    token: int
    cost: float
    """Nats, at least 0."""


@dataclass(frozen=True, slots=True)
class Edited:
    """An answer to try."""

    ids: tuple[int, ...]
    text: str
    cost: float
    """Nats less likely than the likeliest of the seeds."""
    edits: int


def siblings(words: Sequence[str]) -> dict[int, tuple[int, ...]]:
    """For a word of C: words that occur in the same places. Ids."""
    ids = {word: i for i, word in enumerate(words)}
    found: dict[int, dict[int, None]] = {}
    for kin in _KIN:
        members = [ids[" " + word] for word in kin if " " + word in ids]
        for one in members:
            found.setdefault(one, {}).update(dict.fromkeys(other for other in members if other != one))
    slots = [(i, int(m[1]), m[2]) for i, word in enumerate(words) if (m := _SLOT.fullmatch(word))]
    for one, number, form in slots:
        near = [i for i, n, f in slots if i != one and (n == number or f == form)]
        found.setdefault(one, {}).update(dict.fromkeys(near))
    small = [i for i, word in enumerate(words) if re.fullmatch(r" \d+", word)]
    for one in small:
        value = int(words[one])
        near = [ids[f" {n}"] for n in (value - 1, value + 1) if f" {n}" in ids]
        near += [i for i, number, _ in slots if number < NEAR_SLOTS]
        found.setdefault(one, {}).update(dict.fromkeys(near))
    return {one: tuple(others) for one, others in found.items()}


def edits_of(seed: Answer, kin: Mapping[int, Sequence[int]]) -> list[Edit]:
    """Every edit of one place, cheapest first."""
    costs: dict[tuple[int, int], float] = {}
    for at, (token, log) in enumerate(zip(seed.ids, seed.logs, strict=False)):
        for other in kin.get(token, ()):
            costs[at, other] = SIBLING
        for other, likely in seed.alternatives[at] if at < len(seed.alternatives) else ():
            if other != token:
                cost = max(0.0, log - likely)
                costs[at, other] = min(cost, costs.get((at, other), cost))
    return sorted((Edit(at, token, cost) for (at, token), cost in costs.items()), key=lambda e: (e.cost, e.at, e.token))


def search(
    seeds: Sequence[Answer],
    kin: Mapping[int, Sequence[int]],
    accepts: Callable[[Sequence[int]], bool],
    decode: Callable[[Sequence[int]], str | None],
    limit: int,
) -> Iterator[Edited]:
    """Up to `limit` edited answers, likeliest first; no text twice, none of the seeds' own.

    `accepts`  whether ids make an answer (`constrain`)
    `decode`   its text, or None
    """
    if not seeds:
        return
    best = max(seed.log_likelihood for seed in seeds)
    edits = [edits_of(seed, kin) for seed in seeds]
    seen = {text for seed in seeds if (text := decode(seed.ids)) is not None}
    # A set of edits is a rising tuple of indices. Each is reached once: from itself without its last edit, by adding
    # the next one, or from the one whose last edit is the one before, by moving it on. Costs rise along both paths.
    heap: list[tuple[float, int, tuple[int, ...]]] = []

    def push(which: int, chosen: tuple[int, ...]) -> None:
        if chosen[-1] < len(edits[which]):
            cost = best - seeds[which].log_likelihood
            cost += sum(edits[which][i].cost + PER_EDIT for i in chosen)
            heapq.heappush(heap, (cost, which, chosen))

    for which in range(len(seeds)):
        push(which, (0,))
    given = 0
    while heap and given < limit:
        cost, which, chosen = heapq.heappop(heap)
        push(which, (*chosen[:-1], chosen[-1] + 1))
        if len(chosen) < MAX_EDITS:
            push(which, (*chosen, chosen[-1] + 1))
        made = _applied(seeds[which].ids, [edits[which][i] for i in chosen])
        text = decode(made) if made is not None and accepts(made) else None
        if made is not None and text is not None and text not in seen:
            seen.add(text)
            given += 1
            yield Edited(made, text, cost, len(chosen))


def _applied(ids: Sequence[int], edits: Sequence[Edit]) -> tuple[int, ...] | None:
    """The ids with every edit made; None when two are of one place."""
    if len({edit.at for edit in edits}) < len(edits):
        return None
    out = list(ids)
    for edit in edits:
        out[edit.at] = edit.token
    return tuple(out)


@dataclass
class Tally:
    """What a search did."""

    tried: int = 0
    passed: int = 0
    """On the tests that lead the search."""
    repaired: int = 0
    """On held-out tests too."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What compiles answers and runs them."""

    leading: Verdicts
    """On the tests that lead the search."""
    held_out: Verdicts
    """On tests that the search never saw."""


def repair(
    edited: Iterator[Edited], checks: Checks, deadline: Deadline, tally: Tally | None = None, wanted: int = 1
) -> list[Edited]:
    """Edited answers that pass, likeliest first: at most a batch more than wanted, fewer at the deadline."""
    tally = tally if tally is not None else Tally()
    found: list[Edited] = []
    batch = BATCH
    while len(found) < wanted and not deadline.is_over:
        tried = list(islice(edited, batch))
        if not tried:
            break
        batch = min(2 * batch, max(batch, MOST))
        tally.tried += len(tried)
        passing = [one for one, ok in zip(tried, checks.leading([t.text for t in tried]), strict=True) if ok]
        tally.passed += len(passing)
        if passing:
            stands = checks.held_out([one.text for one in passing])
            found += [one for one, ok in zip(passing, stands, strict=True) if ok]
            tally.repaired = len(found)
    return found
