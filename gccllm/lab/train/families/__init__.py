"""Families of pairs. Each `draw(rng)` composes one pair; `FAMILIES` gives their share of the corpus.

`HELD` are ideas for the test split alone: their pairs' families are called `held-...`, and no module draws the same
idea for training under another name.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from gccllm.lab.train.families import (
    bits,
    folds,
    hashes,
    mixed,
    modular,
    moves,
    nested,
    scans,
    search,
    sorts,
    strings,
    tables,
    twins,
)  # fmt: skip
from gccllm.lab.train.shapes import Pair

Draw = Callable[[random.Random], Pair]

FAMILIES: dict[str, tuple[int, Draw]] = {
    "scan": (13, scans.draw),
    "fold": (16, folds.draw),
    "moves": (14, moves.draw),
    "modular": (12, modular.draw),
    "bits": (10, bits.draw),
    "search": (4, search.draw),
    "hashes": (5, hashes.draw),
    "string": (10, strings.draw),
    "twin": (9, twins.draw),
    "tables": (5, tables.draw),
    "nested": (8, nested.draw),
    "sorts": (4, sorts.draw),
    "mixed": (110, mixed.draw),
}
HELD: tuple[Draw, ...] = (
    bits.draw_held, folds.draw_held, hashes.draw_held, modular.draw_held, moves.draw_held, nested.draw_held,
    search.draw_held, sorts.draw_held,
    strings.draw_held, tables.draw_held, twins.draw_held,
)  # fmt: skip
HELD_SHARE = 0.03


def draw(rng: random.Random) -> Pair:
    if rng.random() < HELD_SHARE:
        return rng.choice(HELD)(rng)
    names = list(FAMILIES)
    name = rng.choices(names, [FAMILIES[n][0] for n in names])[0]
    return FAMILIES[name][1](rng)
