"""An input in symbolic form: blocks of memory that point to one another, not yet at any address.

A scene can be placed several ways (loosely, flush against either guard page), mutated, and trimmed; `lower` makes the
`Test` of it. Pointers are (block, offset) pairs until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gccllm.base.core import ARENA_BASE, ARENA_BYTES, ARENAS, GlobalBytes, Region, Test, arena_address, symbol_address
from gccllm.harvest.types import CType, Floating, Integer, Pointer, Signature, flat

Intervals = npt.NDArray[np.uint64]
SLACK = 192
"""Bytes that `trimmed` keeps on either side of what was touched."""


class Ref(NamedTuple):
    """A pointer: byte `offset` in block number `block`; the offset may lie outside of the block."""

    block: int
    offset: int


@dataclass
class Block:
    """One piece of memory. `scalar` says what it mostly holds, for mutation."""

    data: bytearray
    align: int
    scalar: CType | None = None
    refs: dict[int, Ref] = field(default_factory=dict)
    place: int = 0
    """Offset in its arena of byte 0; may be negative, or push the end out: what does not fit is cut off."""
    of: CType | None = None
    """The type that pointers to it point to, where one is known."""
    is_restrict: bool = False
    """What points to it is `restrict`: nothing else may overlap it."""
    home: int | str | None = None
    """Where it lies instead of in an arena of its own: in that of another block, or in a data symbol."""
    base: int | None = None
    """Address of byte 0 where somebody else lays it out, as pages; `data` is empty then."""

    def copy(self) -> Block:
        return replace(self, data=bytearray(self.data), refs=dict(self.refs))


@dataclass
class Value:
    """Bytes of an argument or a global, with pointers at some offsets."""

    data: bytes
    refs: dict[int, Ref] = field(default_factory=dict)


@dataclass
class Scene:
    """All arguments, memory and globals of one call."""

    args: list[Value]
    """One for each parameter of the signature."""
    blocks: list[Block]
    globals: list[tuple[str, Value]] = field(default_factory=list)
    label: str = ""
    size: int = 0
    """The nominal number of elements it was made for."""
    choices: tuple[tuple[str, str], ...] = ()
    """Which strategies made it: (decision, option)."""
    fill: int = 0
    junk: int = 0
    """Seed of the undefined upper bits of narrow arguments."""
    changes: int = 0
    """As in `Test`: what functions of other units do to memory."""

    def copy(self) -> Scene:
        return replace(
            self,
            args=[Value(v.data, dict(v.refs)) for v in self.args],
            blocks=[b.copy() for b in self.blocks],
            globals=[(name, Value(v.data, dict(v.refs))) for name, v in self.globals],
        )


MOVES = 1 << 6
"""The bit of `changes` that has what lies in an arena be moved."""
SHARED = ARENAS - 1
"""The arena of all blocks that have no arena of their own."""


class DoesNotFit(Exception):
    """The scene needs more memory than the arenas have."""


def _widened(piece: bytes, size: int, junk: Random) -> int:
    """A value in a register or word of `size` bytes. What is above it is undefined by the ABI: zeros or the sign, as in
    most programs, which a candidate must get along with too, or anything."""
    low, above = int.from_bytes(piece, "little"), 8 * (size - len(piece))
    if above <= 0:
        return low
    sign = (1 << above) - 1 if piece and piece[-1] & 0x80 else 0
    return low | (0, sign, junk.getrandbits(above))[junk.randrange(3)] << (8 * len(piece))


def arena_of(block: int) -> int:
    return min(block, SHARED)


def lower(scene: Scene, signature: Signature) -> Test:
    """The test of a scene. Raises DoesNotFit."""
    places = _places(scene)

    symbols = sorted({block.home for block in scene.blocks if isinstance(block.home, str)})
    bases = [_home_address(scene, number, symbols) + place for number, place in enumerate(places)]
    regions = []
    pieces = [GlobalBytes(name, 0, bytes(_resolved(bytearray(v.data), v.refs, bases))) for name, v in scene.globals]
    for number, block in enumerate(scene.blocks):
        data = _resolved(block.data, block.refs, bases)
        start = places[number]
        begin, end = max(0, -start), min(len(data), ARENA_BYTES - start)
        if isinstance(block.home, str):  # cut to the symbol by whoever put it there
            pieces.append(GlobalBytes(block.home, start, bytes(data)))
        elif begin < end:
            home = arena_of(number if block.home is None else block.home)
            regions.append(Region(home, start + begin, bytes(data[begin:end])))
    ints = [0] * 6
    int_bytes = [0] * 6
    vectors = [0] * 8
    vector_bytes = [0] * 8
    stack: dict[int, int] = {}
    used = {"int": 0, "vector": 0}
    junk = Random(scene.junk)
    kept = 0
    for param, value in zip(signature.params, scene.args, strict=True):
        if isinstance(param.type, Pointer) and param.type.restrict:
            kept |= sum({1 << arena_of(ref.block) for ref in value.refs.values()})
        given = bytes(_resolved(bytearray(value.data), value.refs, bases))
        for number, place in enumerate(param.places):
            piece = given[8 * number : 8 * number + 8]
            if place.file == "vector":
                vector_bytes[place.index] = len(piece)
                vectors[place.index] = _widened(piece, 16, junk)
                used["vector"] = max(used["vector"], place.index + 1)
                continue
            low = _widened(piece, 8, junk)
            if place.file == "int":
                ints[place.index] = low
                int_bytes[place.index] = place.size
                used["int"] = max(used["int"], place.index + 1)
            else:
                stack[place.index] = low
    moves = bool(scene.changes & MOVES)
    spare = len(scene.blocks) if moves and 0 < len(scene.blocks) < ARENAS else 0
    return Test(
        ints=tuple(ints[: used["int"]]),
        int_bytes=tuple(int_bytes[: used["int"]]),
        vectors=tuple(vectors[: used["vector"]]),
        vector_bytes=tuple(vector_bytes[: used["vector"]]),
        stack=tuple(stack[i] for i in range(len(stack))),
        regions=tuple(regions),
        globals=tuple(pieces),
        symbols=tuple(symbols),
        fill=scene.fill,
        arenas=min(len(scene.blocks), ARENAS) + (spare > 0),
        label=scene.label,
        changes=scene.changes,
        kept=kept if scene.changes else 0,
        spare=spare,
    )


def _home_address(scene: Scene, number: int, symbols: list[str]) -> int:
    home, base = scene.blocks[number].home, scene.blocks[number].base
    if base is not None:
        return base
    if isinstance(home, str):
        return symbol_address(symbols.index(home))
    return arena_address(arena_of(number if home is None else home))


def _resolved(data: bytearray, refs: dict[int, Ref], bases: list[int]) -> bytearray:
    """`data` with addresses at its references; `bases` are those of the blocks."""
    if not refs:
        return data
    data = bytearray(data)
    last = len(data) - 8
    for at, (block, offset) in refs.items():
        if 0 <= at <= last:
            data[at : at + 8] = (bases[block] + offset & (1 << 64) - 1).to_bytes(8, "little")
    return data


def _places(scene: Scene) -> list[int]:
    places = [block.place for block in scene.blocks]
    at = 0
    for number in range(SHARED, len(scene.blocks)):
        if len(scene.blocks) == SHARED + 1:
            break  # it has its arena to itself
        block = scene.blocks[number]
        at = -(-at // 16) * 16
        places[number] = at
        at += len(block.data)
        if at > ARENA_BYTES:
            raise DoesNotFit
    return places


Extent = tuple[int, int]
"""First and one past the last byte touched, relative to the start of a block."""


def extents(scene: Scene, touched: Intervals) -> list[Extent | None]:
    """The extent of every block under `touched`, address intervals [low, high) of one run; None where untouched.

    touched  (n, 2) uint64
    Blocks that share the last arena get None, and those in data symbols; blocks that were put into one arena all get
    what was touched there.
    """
    found: list[Extent | None] = [None] * len(scene.blocks)
    alone = min(len(scene.blocks), SHARED if len(scene.blocks) > ARENAS else ARENAS)
    for number in range(alone):
        home = scene.blocks[number].home
        if isinstance(home, str):
            continue
        base = arena_address(number if home is None else home)
        mine = touched[(touched[:, 0] >= base) & (touched[:, 0] < base + ARENA_BYTES)]
        if len(mine):
            start = base + scene.blocks[number].place
            found[number] = (int(mine[:, 0].min()) - start, int(mine[:, 1].max()) - start)
    return found


def tightened(scene: Scene, found: list[Extent | None], side: str) -> Scene:
    """A copy with every block's extent flush against the guard page at its end (`trailing`) or start (`leading`).

    Alignment is kept, so up to `align - 1` bytes may stay between. Bytes outside of the extent are kept where the arena
    has room for them. An untouched block ends up with its pointers' target at the edge.
    """
    tight = scene.copy()
    for number, block in enumerate(tight.blocks):
        if (len(tight.blocks) > ARENAS and number >= SHARED) or block.home is not None:
            continue
        extent = found[number]
        if extent is None:
            target = _target(tight, number)
            extent = (target, target)
        guests = [other for other in tight.blocks if other.home == number]
        if guests:
            align = max(block.align, *(other.align for other in guests))
            start = block.place + extent[0] if side == "leading" else block.place + extent[1] - ARENA_BYTES
            for other in (block, *guests):
                other.place -= start // align * align if side == "leading" else -(-start // align) * align
        elif side == "trailing":
            block.place = (ARENA_BYTES - extent[1]) // block.align * block.align
        else:
            block.place = -(extent[0] // block.align * block.align)
    return tight


def _target(scene: Scene, block: int) -> int:
    """Where in `block` the arguments point; 0 when none does."""
    for value in scene.args:
        for ref in value.refs.values():
            if ref.block == block:
                return ref.offset
    return 0


def trimmed(scene: Scene, found: list[Extent | None]) -> Scene:
    """A copy without the data further than SLACK bytes from what was touched: junk serves as well there."""
    small = scene.copy()
    for number, block in enumerate(small.blocks):
        extent = found[number]
        if (len(small.blocks) > ARENAS and number >= SHARED) or isinstance(block.home, str):
            continue
        low, high = extent if extent else (0, 64)
        low, high = max(0, low - SLACK), max(0, high + SLACK)
        if high < len(block.data):
            del block.data[high:]
            block.refs = {at: ref for at, ref in block.refs.items() if at + 8 <= high}
        low = min(low, len(block.data)) // max(block.align, 16) * max(block.align, 16)
        if low > 4096:
            del block.data[:low]
            block.place += low
            block.refs = {at - low: ref for at, ref in block.refs.items() if at >= low}
            shift_pointers(small, number, low)
    return small


def shift_pointers(scene: Scene, block: int, by: int) -> None:
    """Let every pointer into `block` follow when its first `by` bytes are gone."""
    holders = [v.refs for v in scene.args] + [v.refs for _, v in scene.globals] + [b.refs for b in scene.blocks]
    for refs in holders:
        for at, ref in refs.items():
            if ref.block == block:
                refs[at] = Ref(block, ref.offset - by)


def integer_of(value: Value, ctype: CType) -> int | None:
    """The value of an integer argument; None for other types."""
    if not isinstance(ctype, Integer):
        return None
    return int.from_bytes(value.data[: ctype.size], "little", signed=ctype.signed)


def integer_value(number: int, ctype: Integer) -> Value:
    """`number` wrapped into the type."""
    return Value((number & (1 << 8 * ctype.size) - 1).to_bytes(ctype.size, "little"))


def lifted(test: Test, signature: Signature) -> Scene:
    """The scene of a test: `lower` gives the test back, up to junk. Words that are arena addresses become pointers."""
    used = test.arenas - (test.spare > 0)
    blocks = [Block(bytearray(), 16, None) for _ in range(used)]
    for block, arena in zip(blocks, range(used), strict=True):
        mine = [region for region in test.regions if region.arena == arena]
        if mine:
            block.place = min(region.offset for region in mine)
            block.data = bytearray(max(r.offset + len(r.data) for r in mine) - block.place)
            for region in mine:
                at = region.offset - block.place
                block.data[at : at + len(region.data)] = region.data

    def pointer(word: int) -> Ref | None:
        for number, block in enumerate(blocks):
            offset = word - arena_address(number)
            if -4096 <= offset <= ARENA_BYTES + 4096:
                return Ref(number, offset - block.place)
        return None

    def pointers(data: bytes | bytearray, first: int) -> dict[int, Ref]:
        words = {at: data[at : at + 8] for at in range(first, len(data) - 7, 8) if data[at + 5] == ARENA_BASE >> 40}
        found = {at: pointer(int.from_bytes(word, "little")) for at, word in words.items()}
        return {at: ref for at, ref in found.items() if ref is not None}

    for block in blocks:
        block.refs = pointers(block.data, -block.place % 8)
    args = []
    for param in signature.params:
        words = {"int": test.ints, "vector": test.vectors, "stack": test.stack}
        data = b"".join((words[p.file][p.index] & (1 << 64) - 1).to_bytes(8, "little") for p in param.places)
        found = {at: pointer(int.from_bytes(data[at : at + 8], "little")) for at in range(0, len(data), 8)}
        refs = {at: ref for at, ref in found.items() if ref is not None}
        args.append(Value(data[: max(param.type.size, 1)], refs))
        if isinstance(param.type, Pointer) and refs:
            inner = flat(param.type.to)
            target = blocks[refs[0].block]
            target.scalar = inner if isinstance(inner, Integer | Floating) else target.scalar
            target.align = max(inner.align, 1)
    values = [integer_of(v, p.type) for v, p in zip(args, signature.params, strict=True)]
    longest = max((len(b.data) // max(b.scalar.size if b.scalar else 1, 1) for b in blocks), default=0)
    size = max((v for v in values if v is not None and 0 <= v <= longest), default=min(longest, 64))
    pieces = [(piece.symbol, Value(piece.data, pointers(piece.data, 0))) for piece in test.globals if piece.offset == 0]
    return Scene(args, blocks, pieces, test.label, size, fill=test.fill, changes=test.changes)
