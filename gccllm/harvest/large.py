"""Inputs of up to twenty million elements, for what overflows only there: bytes summed in 32 bits, ints counted in 16.

They are derived from existing tests. Some value in such a test controls how far the function goes (the knob): an
integer argument, a number in a record or a global, an end pointer, or the zero that ends a text. An experiment finds
it, and how many bytes of which block each unit of it adds: with half the value the baseline must touch less. That block
is then laid out again over many pages with one repeated content, which an encoded test holds once; less where the
baseline writes.

An input is kept when it is defined, by the rules of `probe`, and terminates in time: with quadratic work only the
smallest sizes do, or none. Not covered: lists and trees, lengths computed from two numbers that must agree, memory that
grows downwards, accumulators that overflow beyond twenty million elements.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gccllm.base.core import ARENAS, PAGE_BYTES, Page, Test
from gccllm.base.deadline import NEVER, Deadline
from gccllm.base.limits import LIMITS
from gccllm.harvest.overlap import paths
from gccllm.harvest.probe import Probe
from gccllm.harvest.run import Ran
from gccllm.harvest.scene import Block, Ref, Scene, Value, lifted, lower
from gccllm.harvest.target import HarvestTarget
from gccllm.harvest.types import CType, Floating, Integer, Pointer, Record, Signature, flat, leaves

LABEL = "huge"
SIZES = ((1 << 16) + 7, (1 << 17) + 5, 400_003, 20_000_003)
"""Elements."""
READ_BYTES, WRITTEN_BYTES = 100 << 20, 3 << 20
"""Most of all that grows in one test; less where some of it is written."""
BASES = 40
"""Tests that are looked at for what grows."""
GROWING, MOST_GROWING = 4, 2
"""Kinds of growth that tests are made of, and of those of the largest size."""
FIRST = 0x7E10_0000_0000
APART = 1 << 27
"""Between pieces, so that no two contents ever share a page."""


class Knob(NamedTuple):
    """A place that says how far the function goes."""

    holder: str
    """`argument`, `block`, `global`: an integer there. `end`: a pointer there, in the argument. `zero`: the first zero
    element of the block."""
    number: int
    """Of the argument, the block or the global."""
    at: int
    size: int
    """Bytes of the integer, or of the elements that a zero ends."""
    signed: bool = False


@dataclass(frozen=True)
class Growth:
    """A scene with a knob at `value`, and (block, bytes touched, bytes a unit adds, whether written) of what grows."""

    scene: Scene
    knob: Knob
    value: int
    grows: tuple[tuple[int, int, int, bool], ...]


def enlarged(target: HarvestTarget, tests: Sequence[Test], deadline: Deadline = NEVER) -> list[Test]:
    """Large defined inputs made of small ones. Raises Decline(DEADLINE), and what making a `Probe` does."""
    deadline = deadline.within(LIMITS.large_s)
    found: list[Test] = []
    with Probe(target) as probe:
        growths = growing(probe, tests)
        probe.be_patient(LIMITS.long_ms)
        for number, growth in enumerate(growths):
            slow = probe.discards["timeout"]
            for size in SIZES if number < MOST_GROWING else SIZES[:-1]:
                for turn, made in enumerate(sized(growth, target.signature, size, number)):
                    deadline.check("making large inputs")
                    found += probe.defined_tests([made], 1 << 62)
                    # The first one shows whether there is time for the others, and for larger ones.
                    if turn == 0 and probe.discards["timeout"] != slow:
                        break
                if probe.discards["timeout"] != slow:
                    break
    return found


# --- what grows -----------------------------------------------------------------------------------


def growing(probe: Probe, tests: Sequence[Test]) -> list[Growth]:
    """The growth for every knob that has one, from the test that goes furthest; those of most memory first."""
    signature = probe.target.signature
    best: dict[tuple[str, str, int], Growth] = {}
    usable = [test for test in tests if not test.pages and not test.symbols and test.arenas]
    scenes = [lifted(test, signature) for test in usable[:: max(1, len(usable) // BASES)]]
    pairs = [
        (scene, knob, value)
        for scene in scenes
        for knob in knobs(scene, signature)
        if (value := get(scene, knob)) is not None and 4 <= value <= 1 << 14
    ]
    before = probe.defined([scene for scene, _, _ in pairs])
    halved = probe.defined([turned(scene, knob, value // 2) for scene, knob, value in pairs])
    probe.trace(ran for ran in [*before, *halved] if ran is not None)
    for (scene, knob, value), full, half in zip(pairs, before, halved, strict=True):
        if full is not None and half is not None and full.traced and half.traced:
            grows = tuple(_grown(full, half, value - value // 2))
            where = paths(scene).get(knob.number, "") if knob.holder in ("block", "zero") else str(knob.number)
            key = (knob.holder, where, knob.at)
            if grows and (key not in best or (len(grows), value) > (len(best[key].grows), best[key].value)):
                best[key] = Growth(scene, knob, value, grows)
    return sorted(best.values(), key=lambda growth: -len(growth.grows))[:GROWING]


def _grown(full: Ran, half: Ran, units: int) -> Iterator[tuple[int, int, int, bool]]:
    for number, (more, less) in enumerate(zip(full.extents, half.extents, strict=True)):
        if more is None or less is None or full.scene.blocks[number].refs:
            continue
        unit, rest = divmod(more[1] - less[1], units)
        if more[0] == less[0] >= 0 and unit > 0 and not rest:
            yield number, more[1], unit, full.wrote[number] is not None


def knobs(scene: Scene, signature: Signature) -> Iterator[Knob]:
    """All places of a scene that may say how far to go."""
    for number, (param, value) in enumerate(zip(signature.params, scene.args, strict=True)):
        if isinstance(param.type, Integer | Record):
            yield from (Knob("argument", number, at, t.size, t.signed) for at, t in _integers(param.type))
        if (ref := value.refs.get(0)) is None or not isinstance(param.type, Pointer):
            continue
        inner = flat(param.type.to)
        if isinstance(inner, Record):
            fields = _integers(inner)
            yield from (Knob("block", ref.block, ref.offset + at, t.size, t.signed) for at, t in fields)
        if isinstance(inner, Integer) and ref.offset % inner.size == 0:
            yield Knob("zero", ref.block, ref.offset, inner.size)
        if any(other.refs.get(0, ref).block == ref.block for i, other in enumerate(scene.args) if i != number):
            yield Knob("end", number, 0, 8)
    for number, (name, value) in enumerate(scene.globals):
        variable = signature.variables.get(name.split(".")[0])
        if variable is not None and variable.type.size == len(value.data):
            yield from (Knob("global", number, at, t.size, t.signed) for at, t in _integers(variable.type))


def _integers(ctype: CType) -> list[tuple[int, Integer]]:
    """Whole numbers of 4 bytes or more in a type: smaller ones cannot say what is large."""
    if isinstance(ctype, Integer):
        found: list[tuple[int, CType]] = [(0, ctype)]
    else:
        found = list(leaves(ctype)) if isinstance(ctype, Record) else []
    return [(at, one) for at, one in found if isinstance(one, Integer) and one.size >= 4 and not one.values]


def _data(scene: Scene, knob: Knob) -> bytes | bytearray:
    if knob.holder in ("block", "zero"):
        return scene.blocks[knob.number].data
    return scene.args[knob.number].data if knob.holder == "argument" else scene.globals[knob.number][1].data


def get(scene: Scene, knob: Knob) -> int | None:
    """Where the knob is, in its units; None where it is not there."""
    if knob.holder == "end":
        ref = scene.args[knob.number].refs[0]
        starts = [v.refs[0].offset for v in scene.args if 0 in v.refs and v.refs[0].block == ref.block]
        return ref.offset - min(starts)
    data = _data(scene, knob)
    if knob.holder == "zero":
        zero = bytes(knob.size)
        places = range(knob.at, len(data) - knob.size + 1, knob.size)
        return next((i for i, at in enumerate(places) if data[at : at + knob.size] == zero), None)
    if not 0 <= knob.at <= len(data) - knob.size:
        return None
    return int.from_bytes(data[knob.at : knob.at + knob.size], "little", signed=knob.signed)


def turned(scene: Scene, knob: Knob, value: int) -> Scene:
    """A copy with the knob at `value`; a zero moves only to where there is data."""
    made = scene.copy()
    if knob.holder == "end":
        ref, now = made.args[knob.number].refs[0], get(scene, knob)
        assert now is not None
        made.args[knob.number].refs[0] = Ref(ref.block, ref.offset - now + value)
        return made
    data = bytearray(_data(made, knob))
    at, word = knob.at, (value & (1 << 8 * knob.size) - 1).to_bytes(knob.size, "little")
    if knob.holder == "zero":
        at, word = knob.at + value * knob.size, bytes(knob.size)
    data[at : at + knob.size] = word
    if knob.holder in ("block", "zero"):
        made.blocks[knob.number].data = data
    elif knob.holder == "argument":
        made.args[knob.number] = Value(bytes(data), made.args[knob.number].refs)
    else:
        name, old = made.globals[knob.number]
        made.globals[knob.number] = (name, Value(bytes(data), old.refs))
    return made


# --- large tests ----------------------------------------------------------------------------------


def sized(growth: Growth, signature: Signature, size: int, number: int) -> Iterator[Test]:
    """The scene with `size` elements in what grows, once for each content; nothing where they do not fit."""
    knob, scene = growth.knob, growth.scene
    kinds = element_types(scene, signature)
    widths = [max(kinds[block].size if block in kinds else 1, 1) for block, _, _, _ in growth.grows]
    units = min(max(1, size * width // unit) for width, (_, _, unit, _) in zip(widths, growth.grows, strict=True))
    ends = [touched + unit * (units - growth.value) for _, touched, unit, _ in growth.grows]
    most = WRITTEN_BYTES if any(is_written for _, _, _, is_written in growth.grows) else READ_BYTES
    if sum(ends) > most:
        units = growth.value + (most - sum(t for _, t, _, _ in growth.grows)) // sum(u for _, _, u, _ in growth.grows)
        ends = [touched + unit * (units - growth.value) for _, touched, unit, _ in growth.grows]
    is_number = knob.holder not in ("zero", "end")
    if units < SIZES[0] // 16 or (is_number and units >= 1 << (8 * knob.size - knob.signed)):
        return
    small = turned(scene, knob, units) if knob.holder != "zero" else scene.copy()
    small.label = LABEL
    arguments = [
        value.data[:8]
        for number, (value, param) in enumerate(zip(scene.args, signature.params, strict=True))
        if isinstance(param.type, Integer) and (knob.holder, knob.number) != ("argument", number)
    ]
    for turn, is_for_most in enumerate(turns(kinds.get(growth.grows[0][0]), len(arguments))):
        if size == SIZES[-1] and not is_for_most:
            continue
        pages: list[Page] = []
        for n, ((block, _, _, is_written), end) in enumerate(zip(growth.grows, ends, strict=True)):
            first = FIRST + ((number * ARENAS + n) * 32 + turn) * APART
            small.blocks[block] = Block(bytearray(), PAGE_BYTES, base=first)
            usual, is_text = bytes(scene.blocks[block].data), knob.holder == "zero"
            content = contents(kinds.get(block), usual, arguments, is_text)[turn]
            zero = (knob.at + units * knob.size, knob.size) if is_text and knob.number == block else None
            pages += _laid(first, content if n == 0 else content._replace(last=b""), end, is_written, zero)
        yield replace(lower(small, signature), pages=tuple(pages))


class Content(NamedTuple):
    """What lies in memory that grows: `element` again and again, and `last`, if not empty, as the last one."""

    element: bytes
    last: bytes = b""


def _laid(first: int, content: Content, end: int, is_written: bool, zero: tuple[int, int] | None) -> list[Page]:
    """Pages from `first` to that of byte `end`; `zero` is where a zero element is, and its size.

    Elements are as long as a power of two, and at multiples of that.
    """
    page = (content.element * (PAGE_BYTES // len(content.element) + 1))[:PAGE_BYTES]
    pages = [Page(first + at, page, is_written) for at in range(0, max(end, zero[0] if zero else 0) + 64, PAGE_BYTES)]
    placed = [(zero[0], bytes(zero[1]))] if zero else []
    if size := len(content.last):
        placed.append((((zero[0] if zero else end) - size) // size * size, content.last))
    for at, word in placed:
        number, offset = divmod(at, PAGE_BYTES)
        data = pages[number].data
        pages[number] = replace(pages[number], data=data[:offset] + word + data[offset + len(word) :])
    return pages


def element_types(scene: Scene, signature: Signature) -> dict[int, CType]:
    """The scalar type that pointers to a block point to, in arguments and in the records behind them."""
    found: dict[int, CType] = {}

    def note(ctype: CType, refs: dict[int, Ref], base: int) -> None:
        for at, leaf in leaves(ctype) if not isinstance(ctype, Pointer) else [(0, ctype)]:
            if isinstance(leaf, Pointer) and (ref := refs.get(base + at)) is not None and ref.block not in found:
                inner = flat(leaf.to)
                if isinstance(inner, Record):
                    note(inner, scene.blocks[ref.block].refs, ref.offset)
                elif isinstance(inner, Integer | Floating):
                    found[ref.block] = inner

    for param, value in zip(signature.params, scene.args, strict=True):
        note(param.type, value.refs, 0)
    for name, value in scene.globals:
        if (variable := signature.variables.get(name.split(".")[0])) is not None:
            note(variable.type, value.refs, 0)
    return found


def turns(kind: CType | None, arguments: int) -> list[bool]:
    """For each of `contents` whether it is for the largest size too: few are."""
    largest = 1 if isinstance(kind, Integer) and kind.signed else 0
    return [turn in (largest, 4) for turn in range(5)] + [True] * arguments + [False] * arguments + [True]


def contents(kind: CType | None, usual: bytes, arguments: Sequence[bytes], is_text: bool) -> list[Content]:
    """Extremes, one, what the small input had; each integer argument; ones up to an argument, or an extreme.

    usual    data of the small input
    is_text  no element may be zero
    """
    size = kind.size if kind is not None else 1
    if isinstance(kind, Floating):
        made = [struct.pack("<f" if size == 4 else "<d", number) for number in (1e30, 0.1, -1.0, 1.0)]
    else:
        one = (1).to_bytes(size, "little")
        made = [b"\xff" * size, b"\xff" * (size - 1) + b"\x7f", one if is_text else bytes(size - 1) + b"\x80", one]
    usual = usual[: PAGE_BYTES // 16 // size * size] or b"\1" * size
    usual = usual[: 1 << (len(usual).bit_length() - 1)]  # a page must hold it a whole number of times
    if is_text and any(not any(usual[at : at + size]) for at in range(0, len(usual), size)):
        usual = b"\x55" * size
    given = [word[:size].ljust(size, b"\0") for word in arguments]
    given = [word if any(word) or not is_text else b"\x2a" * size for word in given]
    largest = made[1 if isinstance(kind, Integer) and kind.signed else 0]
    plain = [Content(element) for element in (*made, usual, *given)]
    return plain + [Content(made[3], last) for last in (*given, largest)]
