"""Values that change when half of their bits are lost: 2^32 in 8 bytes, 2^16 in 4, pointers likewise.

A loop over n elements cannot run 2^32 times here, but a search that ends early returns the same for any larger n, and
arithmetic works on any number. So defined inputs are tried again with huge numbers in place of
each integer argument, and those that the baseline tolerates are kept. Pointers get a zero low half by being placed at
the first byte of the first arena.

Covers integer arguments in registers and on the stack, elements of the memory that was touched, and every pointer, in
arguments and in memory, to the front of what was touched. Not covered: integers inside of records passed by value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from gccllm.base.core import ARENAS, arena_address
from gccllm.harvest.run import Ran
from gccllm.harvest.scene import SHARED, Ref, Scene, integer_of, integer_value
from gccllm.harvest.types import Integer, Signature

LABEL = "wide"
HALVES = {8: (32, 16), 4: (16, 8), 2: (8,)}
"""Size of an integer to the numbers of low bits that it might be cut to."""
PARENTS = 128
"""Inputs that each probing value is tried on; half as many where the cut is not in the middle."""
SURVIVORS = 32
"""Inputs, of those that survived a probing value, that the other values are tried on."""
ELEMENT_SCENES = 48
EACH = {"zero": 16, "small": 8, "shifted": 8}
"""Tests kept for each argument and kind of value cut in the middle; `FEW` of the other kinds and cuts."""
FEW = 3
MOST = 128
POINTERS = 6
"""Tests kept for each pointer argument, and for the pointers in each block."""

assert arena_address(0) & 0xFFFFFFFF == 0


class Kind(NamedTuple):
    """What was changed: parameter number (-1 for memory), bits kept by the mistake, and how."""

    where: int
    bits: int
    how: str
    is_middle: bool = True
    """Whether the cut is at half of the bits."""


Made = tuple[Kind, Scene]


def integers(signature: Signature) -> list[tuple[int, Integer]]:
    """(number, type) of parameters that hold numbers; no truth values, no enumerations."""
    found = [(number, param.type) for number, param in enumerate(signature.params)]
    return [(n, t) for n, t in found if isinstance(t, Integer) and t.size in HALVES and not (t.is_bool or t.values)]


def parents(pool: Sequence[Ran], most: int) -> list[Ran]:
    """Inputs that touched different pieces of memory, from those that did least to those that did most."""
    different = {(tuple(ran.extents), ran.edges): ran for ran in pool if ran.traced}
    rans = sorted(different.values(), key=lambda ran: ran.work)
    # Denser towards little work: most that goes wrong does so in the first vectors.
    steps = [i * i * len(rans) // (most * most) for i in range(most)]
    return [rans[at] for at in dict.fromkeys(max(i, at) for i, at in enumerate(steps))] if len(rans) > most else rans


def probing(pool: Sequence[Ran], where: int, ctype: Integer, bits: int) -> list[Made]:
    """Each parent with a low part of zero, above it one, or minus one: early exits are not affected."""
    return [
        (Kind(where, bits, how, bits == 4 * ctype.size), with_integer(ran.scene, where, ctype, number))
        for ran in parents(pool, PARENTS if bits == 4 * ctype.size else PARENTS // 2)
        for how, number in (("zero", 1 << bits), ("negative", -(1 << bits)))
    ]


def following(survivors: Sequence[Ran], where: int, ctype: Integer, bits: int) -> list[Made]:
    """The other values, for inputs that survived a probing one. `survivors` are those parents."""
    made = []
    for number, ran in enumerate(parents(survivors, SURVIVORS)):
        old = integer_of(ran.scene.args[where], ctype) or 0
        low = old & (1 << bits) - 1
        values = {
            "shifted": (low or 1) << bits,
            "small": (1 << bits) + 1 + number % 3,
            "same": (1 << bits) + low,
            "odd": (1 << bits + 1) + 5,
            "minus": low - (1 << bits),
        }
        made += [
            (Kind(where, bits, how, bits == 4 * ctype.size), with_integer(ran.scene, where, ctype, v))
            for how, v in values.items()
        ]
    return made


def with_integer(scene: Scene, where: int, ctype: Integer, number: int) -> Scene:
    made = scene.copy()
    made.label = LABEL
    made.args[where] = integer_value(number, ctype)
    return made


def elements(pool: Sequence[Ran], rng: Random) -> list[Made]:
    """Some touched element of a block of integers gets a low half of zero."""
    made: list[Made] = []
    for ran in parents(pool, ELEMENT_SCENES):
        for block, extent in enumerate(ran.extents):
            scalar = ran.scene.blocks[block].scalar
            # Records hold words of any size: eight bytes are as good a guess as any.
            size = 8 if ran.scene.blocks[block].refs else scalar.size if isinstance(scalar, Integer) else 1
            if extent is None or size not in HALVES:
                continue
            slots = [
                at
                for at in range(-(-max(extent[0], 0) // size) * size, extent[1] - size + 1, size)
                if not any(at - 7 <= ref < at + size for ref in ran.scene.blocks[block].refs)
            ]
            if slots:
                scene = ran.scene.copy()
                scene.label = LABEL
                at, bits = rng.choice(slots), HALVES[size][0]
                number = rng.choice((1, 1, rng.getrandbits(bits) or 1, 1 << bits - 1)) << bits
                data = scene.blocks[block].data
                if at + size <= len(data):
                    data[at : at + size] = number.to_bytes(size, "little")
                    made.append((Kind(-1, bits, f"block {block}"), scene))
    return made


def chosen(found: Sequence[tuple[Kind, Ran]]) -> list[Ran]:
    """Some of every kind, those that touched different memory, in turns over the kinds up to `MOST`."""
    kinds: dict[Kind, list[Ran]] = {}
    for kind, ran in found:
        kinds.setdefault(kind, []).append(ran)
    wanted = {kind: EACH.get(kind.how, FEW) if kind.is_middle else FEW for kind in kinds}
    columns = [parents(rans, wanted[kind]) for kind, rans in kinds.items()]
    longest = max(map(len, columns), default=0)
    return [column[turn] for turn in range(longest) for column in columns if turn < len(column)][:MOST]


# --- pointers -------------------------------------------------------------------------------------


def based(pool: Sequence[Ran]) -> list[Scene]:
    """Inputs with some pointer at the first byte of the first arena: for each pointer argument, then for others."""
    holders: dict[tuple[str, int], list[tuple[Ran, Ref]]] = {}
    for ran in pool:
        if ran.traced and len(ran.scene.blocks) <= ARENAS:
            for holder, ref in movable(ran):
                holders.setdefault(holder, []).append((ran, ref))
    scenes = []
    for known in holders.values():
        refs = {id(ran): ref for ran, ref in known}
        rans = [ran for ran, _ in known]
        scenes += [first_at(ran.scene, refs[id(ran)]) for ran in parents(rans, POINTERS)]
    return scenes


def movable(ran: Ran) -> Iterator[tuple[tuple[str, int], Ref]]:
    """Pointers with nothing touched before them in their block, and what holds them."""

    def is_front(ref: Ref) -> bool:
        extent = ran.extents[ref.block] if ref.block < min(len(ran.extents), SHARED) else (-1, 0)
        return ref.offset >= 0 and (extent is None or ref.offset <= extent[0])

    held = set()
    for number, value in enumerate(ran.scene.args):
        for ref in value.refs.values():
            if is_front(ref):
                held.add(ref)
                yield ("argument", number), ref
    for number, block in enumerate(ran.scene.blocks):
        inner = sorted(ref for ref in block.refs.values() if is_front(ref) and ref not in held)
        if inner:
            yield ("block", number), inner[len(inner) // 2]


def first_at(scene: Scene, ref: Ref) -> Scene:
    """A copy in which `ref` is the address of the first arena: its block changes places with the first one."""
    made = scene.copy()
    made.label = LABEL
    blocks = made.blocks
    blocks[0], blocks[ref.block] = blocks[ref.block], blocks[0]
    blocks[0].place = -ref.offset
    renamed = {0: ref.block, ref.block: 0}
    for refs in [v.refs for v in made.args] + [v.refs for _, v in made.globals] + [b.refs for b in blocks]:
        for at, old in refs.items():
            refs[at] = Ref(renamed.get(old.block, old.block), old.offset)
    return made
