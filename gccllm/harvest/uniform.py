"""Buffers of one value: every position of a remainder sees each value at which the code changes its mind.

A comparison that is off by one shows on one value only. In a loop any position will do; in an unrolled remainder each
position has a comparison of its own, and a buffer that happens to hold that value just there is rare. So inputs that
ran over as many elements as leave the longest remainder are filled with one value, for all values of a byte, and for
wider elements for those near the constants of the code and near their sums.

Covers buffers of integers, each alone and all together. Not covered: values that matter in two places at once, and
those that are computed from tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from gccllm.harvest.probe import Ran
from gccllm.harvest.scene import Scene
from gccllm.harvest.sweep import reach
from gccllm.harvest.types import Integer
from gccllm.harvest.values import Dictionary

LABEL = "uniform"
BLOCKS = 3
LENGTHS = (63, 15)
"""Elements run over: one less than a vector of 64 or of 16 bytes, so that every remainder in between is as long as it
gets. The second gets fewer values."""
MOST = 256
"""Values of a block that is read; of the second length, of results, and of all blocks together an eighth."""


def uniform(pool: Sequence[Ran], dictionary: Dictionary, rng: Random) -> list[Scene]:
    """Scenes whose buffers hold one value; empty where nothing runs over a buffer of integers."""
    scenes: list[Scene] = []
    blocks = {block: kind for block in range(BLOCKS) if (kind := _kind(pool, block)) is not None}
    written = {block for block in blocks if all(_is_written(ran, block) for ran in pool)}
    for length in LENGTHS:
        for block in blocks:
            parent = _parent(pool, block, length)
            if parent is None:
                continue
            is_main = length == LENGTHS[0] and (block not in written or len(written) == len(blocks))
            most = MOST if is_main else MOST // 8
            for value in turning_points(dictionary, blocks[block].size, most, rng):
                scenes.append(_filled(parent, {block: blocks[block]}, value))
        if len(blocks) > 1 and (parent := _parent(pool, next(iter(blocks)), length)) is not None:
            for value in turning_points(dictionary, min(kind.size for kind in blocks.values()), MOST // 8, rng):
                scenes.append(_filled(parent, blocks, value))
    return scenes


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


def _kind(pool: Sequence[Ran], block: int) -> Integer | None:
    """What the block holds in most inputs that run over it; None when that is no integer."""
    kinds = Counter(ran.scene.blocks[block].scalar for ran in pool if reach(ran, block))
    kind = kinds.most_common(1)[0][0] if kinds else None
    return kind if isinstance(kind, Integer) and not kind.is_bool and not kind.values else None


def _is_written(ran: Ran, block: int) -> bool:
    return not reach(ran, block) or ran.wrote[block] is not None


def _parent(pool: Sequence[Ran], block: int, length: int) -> Ran | None:
    """The input that runs over so many elements, or a few more, and works most."""
    near = [ran for ran in pool if length <= reach(ran, block) <= length + 2]
    return min(near, key=lambda ran: (reach(ran, block) != length, -ran.work), default=None)


def _filled(parent: Ran, kinds: dict[int, Integer], value: int) -> Scene:
    made = parent.scene.copy()
    made.label = LABEL
    for block, kind in kinds.items():
        if not reach(parent, block):
            continue
        extent, scalar = parent.extents[block], parent.scene.blocks[block].scalar
        if extent is None or scalar is None or scalar.size != kind.size:
            continue
        data, element = made.blocks[block].data, (value % (1 << 8 * kind.size)).to_bytes(kind.size, "little")
        # The zero that ends a text stays where it is.
        ends = not any(data[extent[1] - kind.size : extent[1]])
        count = (extent[1] - extent[0]) // kind.size - ends
        data[extent[0] : extent[0] + count * kind.size] = element * count
    return made
