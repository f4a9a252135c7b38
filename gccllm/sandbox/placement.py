"""Where the parts of a replaying process lie: canonical for most runs, as a program might have them for others.

Tests hold canonical addresses, so that they are the same for a seed. `Moves` turns them into those of another placement
when a test is encoded. Every run of the search and of the gates is canonical; `judge` then runs baseline and candidate
again under freshly drawn placements, which no candidate can know.

Pointers are recognised by value: a word that is a canonical address, wherever it occurs, is treated as one. A number
that is one by chance moves along; both sides then see the same other number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

from gccllm.base.core import (
    ARENA_BASE,
    ARENA_BYTES,
    ARENA_STRIDE,
    ARENAS,
    PAGE_BYTES,
    SYMBOL_BASE,
    SYMBOL_STRIDE,
    Test,
    arena_address,
    symbol_address,
)
from gccllm.sandbox import layout

_WORD = (1 << 64) - 1
_HALF_STRIDE = ARENA_STRIDE // 2
_GAP = 1 << 24
"""Unmapped bytes wanted on both sides of what is placed."""


@dataclass(frozen=True)
class Placement:
    """Addresses of the image, if it is position independent and if not, of the stack's lowest byte, and of each arena;
    and rsp at entry."""

    image: int = layout.IMAGE_BASE
    low: int = layout.IMAGE_LOW
    stack: int = layout.STACK_BASE
    entry: int = layout.STACK_ENTRY
    arenas: tuple[int, ...] = tuple(arena_address(i) for i in range(ARENAS))

    def words(self, image: int) -> str:
        """As the replayer's second argument, with an image at `image`."""
        return ",".join(f"{address:x}" for address in (image, self.stack, self.entry, *self.arenas))


CANONICAL = Placement()


def drawn(rng: Random, taken: Iterable[int] = ()) -> Placement:
    """A placement as Linux gives them: image and some arenas like a PIE and its heap, others like mappings.

    taken  addresses of pages that must stay free. Where there are any, a low image stays where it is: words of pages
           that point into it look like numbers
    """
    used = sorted(set(taken))
    has_pages = bool(used)

    def place(low: int, high: int, size: int) -> int:
        while True:
            at = rng.randrange(low // PAGE_BYTES, (high - size) // PAGE_BYTES) * PAGE_BYTES
            if not any(at - _GAP - PAGE_BYTES < page < at + size + _GAP for page in used):
                used.extend((at, at + size))
                return at

    low = (
        layout.IMAGE_LOW
        if has_pages
        else place(layout.LOG_BASE + 2 * layout.LOG_BYTES, 0x7F00_0000, layout.IMAGE_BYTES)
    )
    image = place(0x5555_5555_4000, 0x5655_5555_4000, layout.IMAGE_BYTES)
    quarter = rng.randrange(0x7FFC, 0x7FFF) << 32  # no stack here crosses 4 GB: who looks for its addresses reads half
    stack = place(quarter, quarter + (1 << 32), layout.STACK_BYTES)
    heap, mapped = (image + layout.IMAGE_BYTES + _GAP, 0x5666_0000_0000), (0x7EAA_0000_0000, 0x7FFB_0000_0000)
    entry = stack + layout.ENTRY_AT - 16 * rng.randrange(256)
    return Placement(
        image, low, stack, entry, tuple(place(*rng.choice((heap, mapped)), ARENA_BYTES) for _ in range(ARENAS))
    )


class Moves:
    """From the words of a test to addresses under a placement, in an image."""

    def __init__(self, placement: Placement, image_base: int, known: Mapping[str, int]) -> None:
        self._known = known
        self._arenas = [there - arena_address(i) for i, there in enumerate(placement.arenas)]
        self._image = image_base - layout.IMAGE_BASE if image_base >> 32 else 0

    @property
    def is_canonical(self) -> bool:
        return not self._image and not any(self._arenas)

    def of(self, symbols: tuple[str, ...]) -> Callable[[int], int]:
        """What a word becomes in a test with these `symbols`. Raises KeyError for one that is not known."""
        moves = [self._known[name] - symbol_address(number) for number, name in enumerate(symbols)]
        first = SYMBOL_BASE - SYMBOL_STRIDE // 2

        def move(word: int) -> int:
            number = (word - ARENA_BASE + _HALF_STRIDE) // ARENA_STRIDE
            if 0 <= number < ARENAS:
                return word + self._arenas[number]
            if layout.IMAGE_BASE <= word < layout.IMAGE_BASE + layout.IMAGE_BYTES:
                return word + self._image
            number = (word - first) // SYMBOL_STRIDE
            return word + moves[number] if 0 <= number < len(moves) else word

        return move


_UPPER = {low >> 32 for low in range(ARENA_BASE - _HALF_STRIDE, ARENA_BASE + ARENAS * ARENA_STRIDE, 1 << 24)}
_UPPER |= {(layout.IMAGE_BASE + at) >> 32 for at in (0, layout.IMAGE_BYTES - 1)} | {SYMBOL_BASE >> 32}
_CANONICAL_WORD = re.compile(b"|".join(re.escape(upper.to_bytes(4, "little")) for upper in sorted(_UPPER)), re.DOTALL)


def moved(data: bytes, move: Callable[[int], int]) -> bytes:
    """`data` with every word moved that `move` changes, aligned or not."""
    out: bytearray | None = None
    for found in _CANONICAL_WORD.finditer(data):
        at = found.start() - 4
        if at < 0:
            continue
        word = int.from_bytes(data[at : at + 8], "little")
        if (there := move(word)) != word:
            out = bytearray(data) if out is None else out
            out[at : at + 8] = (there & _WORD).to_bytes(8, "little")
    return data if out is None else bytes(out)


def moved_test(test: Test, move: Callable[[int], int]) -> Test:
    """The test with every word moved that `move` changes; pages stay as they are."""
    return replace(
        test,
        ints=tuple(map(move, test.ints)),
        stack=tuple(map(move, test.stack)),
        regions=tuple(replace(one, data=moved(one.data, move)) for one in test.regions),
        globals=tuple(replace(one, data=moved(one.data, move)) for one in test.globals),
    )
