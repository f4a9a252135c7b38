"""Inputs in which two pieces of memory overlap: two blocks that pointers reach, or a block and a data symbol.

Derived from defined inputs, once their accesses are known: for every pair of which the baseline writes one, by how
pointers reach them (an argument, a field, a global), so that no pair depends on luck. One block is put into the
other's arena, or into the symbol; every pointer to it follows. They coincide, or are apart by 1, 2, ... elements either
way, up to where only the last element of one is shared. Pointers to pieces of one block (rows) are moved likewise.

What is excluded: what `restrict` says is apart, memory of a returned record, symbols whose address is never taken, and,
unless the unit is compiled without strict aliasing, objects of types that C assumes not to alias. A static array counts
even if its address is only taken to reach its elements: a candidate that relies on that is refuted.

Not covered: two data symbols (a linker never overlaps them), blocks beyond the first eleven, three pieces at once,
types declared `may_alias`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gccllm.base.core import ARENA_BYTES
from gccllm.harvest.generate import GlobalSymbol
from gccllm.harvest.run import Ran
from gccllm.harvest.scene import SHARED, Extent, Ref, Scene, shift_pointers
from gccllm.harvest.types import CType, Floating, Integer, Pointer, Signature, flat, may_overlap

LABEL = "overlap"
SHIFTS = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32)
"""Elements apart, in either direction; besides, half of what is touched, and all but one of it."""
PARENTS = 6
"""Inputs that each shift is tried on."""
PAIRS = 24
EACH = 36
"""Tests kept for a pair."""
MOST = 180
_MARGIN = 1024
"""Bytes kept free before what overlaps, in its arena."""


@dataclass(frozen=True)
class Pair:
    """How pointers reach the two; the second is put into the first."""

    host: str
    guest: str


@dataclass(frozen=True)
class Piece:
    """Memory that one input touches, as seen from its first byte; `block` is -1 for a data symbol."""

    path: str
    block: int
    touched: Extent
    size: int
    is_written: bool
    of: CType | None


class Apart(NamedTuple):
    """Which two, and the distance in bytes between what is touched first of them."""

    pair: Pair
    by: int


Made = tuple[Apart, Scene]


def overlapped(pool: Sequence[Ran], signature: Signature, symbols: Sequence[GlobalSymbol]) -> list[list[Made]]:
    """Scenes for every pair that may overlap, one list a pair."""
    known: dict[Pair, list[tuple[Ran, Piece, Piece]]] = {}
    for ran in pool:
        if ran.traced and len(ran.scene.blocks) < SHARED:
            found = pieces(ran, signature, symbols)
            for host, guest in pairs(found, signature.strict_aliasing):
                known.setdefault(Pair(host.path, guest.path), []).append((ran, host, guest))
    most = sorted(known.items(), key=lambda one: -len(one[1]))[:PAIRS]
    each = PARENTS if len(most) < PAIRS // 4 else PARENTS // 2
    made = [[made for one in parents(rans, each) for made in _shifted(pair, *one)] for pair, rans in most]
    return made + _rows(pool)


def parents(rans: Sequence[tuple[Ran, Piece, Piece]], most: int) -> list[tuple[Ran, Piece, Piece]]:
    """Some of different sizes, none of the smallest: of what is touched in one element little can overlap."""
    ranked = sorted(rans, key=lambda one: (min(_length(one[1]), _length(one[2])), one[0].work))
    later = ranked[len(ranked) // 3 :]
    most = min(most, len(later))
    return [later[(2 * i + 1) * len(later) // (2 * most)] for i in range(most)]


def pieces(ran: Ran, signature: Signature, symbols: Sequence[GlobalSymbol]) -> list[Piece]:
    """What the input touches of blocks that may overlap others, and of data symbols."""
    scene = ran.scene
    apart = {
        ref.block
        for param, value in zip(signature.params, scene.args, strict=True)
        if param.is_result or (isinstance(param.type, Pointer) and param.type.restrict)
        for ref in value.refs.values()
    }
    found = []
    for number, path in paths(scene).items():
        block, extent = scene.blocks[number], ran.extents[number]
        if extent is not None and number not in apart and not block.is_restrict:
            found.append(Piece(path, number, extent, 0, ran.wrote[number] is not None, block.of or block.scalar))
    for known in symbols:
        if known.is_pointed_to and known.symbol in ran.symbols:
            touched, is_written = ran.symbols[known.symbol]
            of = known.variable.type if known.variable else None
            found.append(Piece(known.symbol, -1, touched, known.size, is_written, of))
    return found


def paths(scene: Scene) -> dict[int, str]:
    """For every block that pointers reach, the first path there: `0` is what parameter 0 points to, `0.8` what a
    pointer 8 bytes into that points to, `table.0` what a global points to."""
    found: dict[int, str] = {}
    fresh = [(str(i), value.refs) for i, value in enumerate(scene.args)]
    fresh += [(f"{name}.", value.refs) for name, value in scene.globals]
    while fresh:
        path, refs = fresh.pop(0)
        for at, ref in sorted(refs.items()):
            if ref.block not in found:
                found[ref.block] = f"{path}.{at}" if at or path.endswith(".") else path
                fresh.append((f"{found[ref.block]}>", scene.blocks[ref.block].refs))
    return found


def pairs(found: Sequence[Piece], strict: bool) -> Iterator[tuple[Piece, Piece]]:
    """(host, guest) of pieces that may overlap and of which one is written; a symbol is always the host."""
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            host, guest = (other, one) if other.block < 0 else (one, other)
            if guest.block < 0 or (host.block < 0 and _length(guest) > host.size):
                continue
            if (one.is_written or other.is_written) and may_overlap(one.of, other.of, strict):
                yield host, guest


def _rows(pool: Sequence[Ran]) -> list[list[Made]]:
    """Scenes in which two pointers in memory, to pieces of one block, point close to one another."""
    known: dict[Pair, list[Made]] = {}
    for ran in sorted(pool, key=lambda ran: -ran.work):
        if not ran.traced or len(ran.scene.blocks) >= SHARED:
            continue
        for path, holder in _holders(ran.scene):
            ends: dict[int, list[int]] = {}
            for at, ref in sorted(holder.items()):
                block = ran.scene.blocks[ref.block]
                if ran.wrote[ref.block] is not None and not block.refs and not block.is_restrict:
                    ends.setdefault(ref.block, []).append(at)
            for places in (places for places in ends.values() if len(places) > 1):
                for other in {places[1], places[-1]}:
                    pair = Pair(f"{path}@{places[0]}", f"{path}@{other}")
                    if len(known.setdefault(pair, [])) < PARENTS * len(SHIFTS):
                        known[pair] += _near(ran.scene, path, places[0], other, pair)
    return list(known.values())[:PAIRS]


def _holders(scene: Scene) -> list[tuple[str, dict[int, Ref]]]:
    """Everything in memory that holds pointers, by its path."""
    found = [(path, scene.blocks[number].refs) for number, path in sorted(paths(scene).items())]
    return found + [(name, value.refs) for name, value in scene.globals]


def _near(scene: Scene, path: str, first: int, second: int, pair: Pair) -> Iterator[Made]:
    for count in SHIFTS:
        made = scene.copy()
        made.label = LABEL
        holder = dict(_holders(made))[path]
        block = made.blocks[holder[first].block]
        by = count * max(block.align, block.scalar.size if block.scalar else 1)
        holder[second] = Ref(holder[first].block, holder[first].offset + by)
        yield Apart(pair, by), made


def _length(piece: Piece) -> int:
    return piece.touched[1] - piece.touched[0]


def element(piece: Piece) -> int:
    inner = flat(piece.of) if piece.of is not None else None
    return max(inner.size if inner is not None else 1, 1)


def _shifted(pair: Pair, ran: Ran, host: Piece, guest: Piece) -> Iterator[Made]:
    """Copies of the input with the guest at every distance."""
    align = ran.scene.blocks[guest.block].align
    step = -(-element(guest) // align) * align
    if isinstance(of := flat(host.of) if host.of else None, Integer | Floating) and of.size > step:
        step = -(-of.size // align) * align
    far = {
        _length(host) // 2 // step,
        _length(host) // step - 1,
        _length(guest) // 2 // step,
        _length(guest) // step - 1,
    }
    for count in sorted({*SHIFTS, *(n for n in far if n > 0)}):
        for by in {count * step, -count * step}:
            if -_length(guest) < by < _length(host) and (scene := put(ran.scene, host, guest, by)) is not None:
                yield Apart(pair, by), scene


def put(scene: Scene, host: Piece, guest: Piece, by: int) -> Scene | None:
    """A copy in which the first touched byte of the guest is `by` bytes behind that of the host, up to alignment.

    None where it does not fit.
    """
    made = scene.copy()
    made.label = LABEL
    block = made.blocks[guest.block]
    if host.block < 0:
        block.home = host.path
        block.place = (host.touched[0] + by - guest.touched[0]) // block.align * block.align
        if not 0 <= block.place + guest.touched[0] <= block.place + guest.touched[1] <= host.size:
            return None
        return _inside(made, guest.block, host.size)
    room = made.blocks[host.block]
    block.home = host.block
    align = max(block.align, room.align)
    # Both move until nothing of what is touched lies before the arena.
    first = min(host.touched[0], host.touched[0] + by)
    room.place = -(-(_MARGIN - first) // align) * align
    block.place = (room.place + host.touched[0] + by - guest.touched[0]) // block.align * block.align
    last = max(room.place + host.touched[1], block.place + guest.touched[1])
    return made if last <= ARENA_BYTES else None


def _inside(scene: Scene, number: int, size: int) -> Scene:
    """Cuts the data of a block in a symbol down to the symbol; its pointers keep what they point to."""
    block = scene.blocks[number]
    if (before := max(0, -block.place)) > 0:
        block.refs = {at - before: ref for at, ref in block.refs.items() if at >= before}
        del block.data[:before]
        block.place += before
        shift_pointers(scene, number, before)
    del block.data[max(0, size - block.place) :]
    block.refs = {at: ref for at, ref in block.refs.items() if at + 8 <= len(block.data)}
    return scene


def chosen(found: Sequence[tuple[Apart, Ran]]) -> list[Ran]:
    """Of every pair the same number, as far as there are so many: new edges first, then every distance in turns.

    Of each distance the input that touches most comes first: a wide vector fits in it.
    """
    columns: dict[Pair, list[tuple[tuple[bool, int, int], Ran]]] = {}
    turns: Counter[Apart] = Counter()
    for apart, ran in sorted(found, key=lambda one: -one[1].work):
        turns[apart] += 1
        columns.setdefault(apart.pair, []).append(((not ran.fresh, turns[apart], abs(apart.by)), ran))
    ranked = [[ran for _, ran in sorted(column, key=lambda one: one[0])][:EACH] for column in columns.values()]
    longest = max(map(len, ranked), default=0)
    return [column[turn] for turn in range(longest) for column in ranked if turn < len(column)][:MOST]
