"""Buffers of chosen values: every path through the code sees each value that its comparisons test for.

A comparison that is off by one shows on one value only, and vector code holds the comparison in several places: in each
loop for the same work, and in an unrolled remainder once for each position. An input that happens to hold that
value just there is rare. So inputs that together cover every edge are filled again. The first, over as many elements as
leave the longest remainder, holds one value everywhere: any value of a byte, for wider integers one near a constant of
the code or near the sum of two, for floating point a special one or a neighbour of a constant. The others, which are
about their loops, hold all these values in turn.

Covers buffers of numbers, each alone and all together. Not covered: values that matter in two places at once, and
those that are computed from tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import numpy as np

from gccllm.assembly.cfg import Edge
from gccllm.harvest.floats import specials
from gccllm.harvest.run import Ran
from gccllm.harvest.scene import Scene
from gccllm.harvest.sweep import reach
from gccllm.harvest.types import Floating, Integer
from gccllm.harvest.values import Dictionary

LABEL = "uniform"
BLOCKS = 3
LONGEST = 63
"""Elements of the first input: one less than a vector of 64 bytes, so every remainder has its greatest length."""
MOST, FEW = 256, 32
"""Values; the second where a block is only written, and where all blocks hold the same."""
PARENTS = 8
"""Inputs filled for one block, at most."""
TURNS = 64
"""Tests made of one input whose values take turns, at most."""


def uniform(pool: Sequence[Ran], dictionary: Dictionary, rng: Random) -> list[Scene]:
    """Scenes whose buffers hold chosen values; empty where nothing runs over a buffer of numbers."""
    scenes: list[Scene] = []
    blocks = {block: kind for block in range(BLOCKS) if (kind := _kind(pool, block)) is not None}
    written = {block for block in blocks if all(_is_written(ran, block) for ran in pool)}
    for block, kind in blocks.items():
        values = elements(dictionary, kind, MOST, rng)
        is_read = block not in written or len(written) == len(blocks)
        for number, parent in enumerate(parents(pool, block)):
            if number == 0:
                scenes += [_filled(parent, [block], [value]) for value in values[: MOST if is_read else FEW]]
                alike = [one for one, other in blocks.items() if (type(other), other.size) == (type(kind), kind.size)]
                if len(alike) > 1:
                    scenes += [_filled(parent, alike, [value]) for value in values[:FEW]]
            elif is_read:
                count = reach(parent, block)
                starts = range(0, len(values), count)[:TURNS]
                scenes += [_filled(parent, [block], values[at : at + count]) for at in starts]
    return scenes


def parents(pool: Sequence[Ran], block: int) -> list[Ran]:
    """Inputs that run over a block and together take the edges that such inputs take: a long one first."""
    left = [ran for ran in pool if 0 < reach(ran, block) <= LONGEST + 2]
    found: list[Ran] = []
    taken: set[Edge] = set()
    while left and len(found) < PARENTS:
        best = max(left, key=lambda ran: (len(ran.edges - taken) if found else 0, reach(ran, block) == LONGEST,
                                          reach(ran, block), ran.work))  # fmt: skip
        if found and not best.edges - taken:
            break
        found.append(best)
        taken |= best.edges
        left.remove(best)
    return found


def elements(dictionary: Dictionary, kind: Integer | Floating, most: int, rng: Random) -> list[bytes]:
    """Up to `most` elements that code for such numbers may compare with."""
    if isinstance(kind, Integer):
        return [value.to_bytes(kind.size, "little") for value in turning_points(dictionary, kind.size, most, rng)]
    number = np.float32 if kind.size == 4 else np.float64
    constants = np.array([sign * value for value in dictionary.floats for sign in (1, -1)], number)
    near = [np.nextafter(constants, number(to)) for to in (-np.inf, np.inf)]
    drawn = specials(kind.size) + [value.tobytes() for values in (constants, *near) for value in values]
    return list(dict.fromkeys(drawn))[:most]


def turning_points(dictionary: Dictionary, size: int, most: int, rng: Random) -> list[int]:
    """Up to `most` values of `size` bytes, not negative: near constants of the code, near sums of two, any others."""
    end = 1 << 8 * size
    ints = dictionary.ints[:40]
    near = {(value + by) % end for value in ints for by in (-1, 0, 1)}
    near |= {0, 1, end - 1, end // 2, end // 2 - 1}
    sums = {(a + b + by) % end for a in ints for b in ints for by in (-1, 0, 1)} - near
    rest = set(range(end)) - near - sums if size == 1 else set()
    drawn: list[int] = []
    for values in (near, sums, rest):
        drawn += rng.sample(sorted(values), min(len(values), most - len(drawn)))
    return drawn


def _kind(pool: Sequence[Ran], block: int) -> Integer | Floating | None:
    """What the block holds in most inputs that run over it; None when that is no plain number."""
    kinds = Counter(ran.scene.blocks[block].scalar for ran in pool if reach(ran, block))
    kind = kinds.most_common(1)[0][0] if kinds else None
    if isinstance(kind, Integer) and not kind.is_bool and not kind.values:
        return kind
    return kind if isinstance(kind, Floating) and kind.size in (4, 8) else None


def _is_written(ran: Ran, block: int) -> bool:
    return not reach(ran, block) or ran.wrote[block] is not None


def _filled(parent: Ran, blocks: Sequence[int], values: Sequence[bytes]) -> Scene:
    """A copy of the input with the elements in turn in these blocks, wherever it touched them."""
    made = parent.scene.copy()
    made.label = LABEL
    size = len(values[0])
    for block in blocks:
        if not reach(parent, block):
            continue
        extent, scalar = parent.extents[block], parent.scene.blocks[block].scalar
        if extent is None or scalar is None or scalar.size != size:
            continue
        data = made.blocks[block].data
        # The zero that ends a text stays where it is.
        ends = not any(data[extent[1] - size : extent[1]])
        count = (extent[1] - extent[0]) // size - ends
        data[extent[0] : extent[0] + count * size] = b"".join(values[at % len(values)] for at in range(count))
    return made
