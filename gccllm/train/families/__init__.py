"""Families of pairs. Each `draw(rng)` composes one pair; `FAMILIES` gives their share of the corpus."""

from __future__ import annotations

import random
from collections.abc import Callable

from gccllm.train.families import bits, folds, modular, moves, scans, strings, twins
from gccllm.train.shapes import Pair

FAMILIES: dict[str, tuple[int, Callable[[random.Random], Pair]]] = {
    "scan": (20, scans.draw),
    "string": (14, strings.draw),
    "twin": (12, twins.draw),
    "fold": (20, folds.draw),
    "modular": (14, modular.draw),
    "bits": (10, bits.draw),
    "moves": (10, moves.draw),
}


def draw(rng: random.Random) -> Pair:
    names = list(FAMILIES)
    name = rng.choices(names, [FAMILIES[n][0] for n in names])[0]
    return FAMILIES[name][1](rng)
