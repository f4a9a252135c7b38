"""Free recombination: sources, expressions, conditions, folds, searches and stores put together by a grammar.

The other families draw ideas, a template each; here a draw is a composition that few other draws share, so that what is
learnt is the parts and how they join. Where a composition is an idea held for the test split, under any name, it is
drawn again: HELD_IDEAS says by which answers they are known.

Covered: `mixed_folds`, `mixed_steps`. Not covered: floats, loops in loops, tables.
"""

from __future__ import annotations

import re
from random import Random

from gccllm.lab.train.families import mixed_folds, mixed_steps
from gccllm.lab.train.families.mixed_parts import Again
from gccllm.lab.train.shapes import Pair

HELD_IDEAS = {
    "held-parity": r"POPS?2?\(.*[&%] [12]\b|POP\(XORS",
    "held-width": r"(WIDTH|LOG2|LEADING)\((ORS|MAX)\(",
    "held-distinct-bits": r"POP\(ORS\(",
    "held-gap": r"FINDZ[^;]*- FINDZ",
    "held-often": r"(MAX|MIN)2?\(.*COUNT2?\([^;]*[!=]= [kmrs]\b",
    "held-check-and-hash": r"CRC.*HASH|HASH.*CRC",
    "held-same-hash": r"HASH.*HASH",
    "held-check-matches": r"CRC\w*\([^;]*==",
    "held-josephus": r"WRAP\(",
    "held-congruent": r"REM\(.*REM\(",
    "held-digit-max": r"(MAX|MIN)2?\([^;]*DIGITSUM",
    "held-rotate": r"REVERSE.*REVERSE",
    "held-level": r"(MAX|MIN)2?\(.*MAP\([^;]*(x - [kmrs]\b|[kmrs] - x)",
    "held-gram": r"DOTS\(",
    "held-nearest": r"DOTS\(",
    "held-range": r"BOUND\(.*BOUND\(",
    "held-next-element": r"BOUND\(.*\w\[k\]",
    "held-exchanges": r"SORT\(|PAIRS\(",
    "held-trim": r"FINDZ.*FINDLAST|FINDLAST\([^;]*~[^;]*;[^;]*\+ 1",
    "held-field": r"FINDZ\([^;]*\|[^;]*; (u64 m = |return )?[^;]*COUNT\(k,|FIND\(.*COUNT\(k,",
    "held-until": r"FIND\(.*(PUT|WHERE|MAP)\(k,",
    "held-period": r"FIND2\([^;]*, (\w), \1 \+ ",
    "held-valid": r"FIND\(.*NEXT\(",
    "held-signed": r"FIND2\(.*k \+ 1",
}
"""What the answer of each held idea looks like; no answer drawn here does."""

_KINDS = {
    mixed_folds.single: 24, mixed_folds.double: 14, mixed_folds.apart: 7, mixed_folds.monotone: 4,
    mixed_steps.find: 12, mixed_steps.find_two: 9, mixed_steps.last: 4, mixed_steps.until: 8, mixed_steps.level: 8,
    mixed_steps.kept: 6, mixed_steps.stored: 2, mixed_steps.words: 5,
}  # fmt: skip


def is_held(answer: str) -> bool:
    return any(re.search(pattern, answer) for pattern in HELD_IDEAS.values())


def draw(rng: Random) -> Pair:
    while True:
        kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
        try:
            pair = kind(rng)
        except Again:
            continue
        if not is_held(pair.answer):
            return pair
