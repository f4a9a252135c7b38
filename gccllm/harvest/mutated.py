"""Small mutations of recorded states: calls that the program might have made.

A state is opaque: which bytes are a length, a flag or a pointer is not known, only which of them the baseline read. So
a change acts on an argument, or on a word that was read, and treats the word as what it looks like: an address of the
state's own memory is a pointer, a small number may be a length. The result is an input like any other and is kept only
where the baseline is defined on it (`harvest.probe`).

Covers integer and floating arguments, words in recorded pages and in data, NULL, and pointers that come to point where
others do, or a little further. Not covered: new memory (a longer list than any recorded one), and several words that
must change together, but for a value that is put in two places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from gccllm.base.core import Page, Test
from gccllm.harvest.floats import specials
from gccllm.harvest.types import CType, Floating, Integer, Place, Pointer, Signature
from gccllm.sandbox.trace import Intervals

SMALL = 1 << 20
"""Numbers up to here may be lengths, counts, indices."""
STEPS = (1, 2, 4, 8, 16, -1)
"""Elements that pointers are moved by: another alignment for vectors, the next element, the one before."""
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Known:
    """What a change may know of the function."""

    signature: Signature
    numbers: tuple[int, ...] = ()
    """Constants of its code: comparisons are likely to be made with them."""
    symbols: Mapping[str, int] = field(default_factory=dict)
    """Addresses, in the image, of the data that tests may fill: the unit's own and that of other units."""


def mutated(parent: Test, reads: Intervals, known: Known, rng: Random) -> Test | None:
    """`parent` with one to three changes; None when none found something to act on. Equal draws give equal tests.

    reads  what the baseline reads on `parent`, (n, 2) addresses
    """
    state = Pieces(parent, reads, known)
    changes, weights = list(_CHANGES), list(_CHANGES.values())
    changed = 0
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        for _ in range(6):  # a change may find nothing to act on
            if rng.choices(changes, weights)[0](state, rng):
                changed += 1
                break
    return replace(state.test(), fill=rng.getrandbits(32)) if changed else None


def swept(parent: Test, reads: Intervals, known: Known, most: int = 600) -> list[Test]:
    """Each argument and each word that was read, one after the other, at the ends of its range and at NULL; pointer
    arguments a little further on.

    A branch on one word is then taken for certain, where chance would need many draws. One value for all words before
    the next value, so that each word of a parent that reads much is changed once at least.
    """
    whole = Pieces(parent, reads, known)
    numbers = [whole.get_argument(place) for place, _ in whole.arguments(Integer)]
    made: list[Test] = []
    for step in STEPS:
        for place, size in whole.movable():
            state = Pieces(parent, reads, known)
            state.put_argument(place, state.get_argument(place) + step * size)
            made.append(state.test())
    for value in (-1, 0, 1, None, *numbers):
        for place, _ in whole.arguments(Integer, Pointer):
            state = Pieces(parent, reads, known)
            state.put_argument(place, 1 << 8 * place.size - 1 if value is None else value)
            made.append(state.test())
        for address, size in whole.words() + whole.wide_words():
            state = Pieces(parent, reads, known)
            state.put(address, size, 1 << 8 * size - 1 if value is None else value)
            made.append(state.test())
            if len(made) >= most:
                return made
    return made


class Pieces:
    """A test taken apart: arguments as numbers, memory as pieces at addresses."""

    def __init__(self, parent: Test, reads: Intervals, known: Known) -> None:
        self.parent = parent
        self.known = known
        self.files = {"int": list(parent.ints), "vector": list(parent.vectors), "stack": list(parent.stack)}
        self.pages = {page.address: bytearray() for page in parent.pages}
        """Contents of those that were changed; empty as long as a page is the parent's."""
        self.by_address = {page.address: page for page in parent.pages}
        self.globals = [bytearray(piece.data) for piece in parent.globals]
        self.bases = [known.symbols.get(piece.symbol, 0) + piece.offset for piece in parent.globals]
        spans = ((int(low), int(high)) for low, high in reads)
        self.reads = [(low, high) for low, high in spans if self.find(low) is not None]

    # --- memory ---

    def find(self, address: int) -> tuple[int, int, int] | None:
        """(-1 and the page's address, or a piece's number and its base; bytes to its end) of what holds `address`."""
        page = address & ~0xFFF
        if page in self.by_address:
            return -1, page, page + len(self.by_address[page].data) - address
        for number, base in enumerate(self.bases):
            if base <= address < base + len(self.globals[number]):
                return number, base, base + len(self.globals[number]) - address
        return None

    def get(self, address: int, size: int) -> int:
        """The number at `address`, which `find` knows with `size` bytes behind it."""
        place = self.find(address)
        assert place is not None
        number, base, _ = place
        data = self.globals[number] if number >= 0 else self.pages[base] or self.by_address[base].data
        return int.from_bytes(data[address - base : address - base + size], "little")

    def put(self, address: int, size: int, value: int) -> None:
        place = self.find(address)
        assert place is not None
        number, base, _ = place
        if number < 0 and not self.pages[base]:
            self.pages[base] = bytearray(self.by_address[base].data)
        data = self.globals[number] if number >= 0 else self.pages[base]
        data[address - base : address - base + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def draw(self, rng: Random, sizes: tuple[int, ...]) -> tuple[int, int] | None:
        """(address, size) of an aligned number that was read whole; small pieces as often as long ones."""
        if not self.reads:
            return None
        low, high = rng.choice(self.reads)
        size = rng.choice(sizes)
        first = -(-low // size) * size
        count = (high - first) // size
        if count <= 0:
            return None
        address = first + size * rng.choice((0, count - 1, rng.randrange(count), rng.randrange(count)))
        place = self.find(address)
        return (address, size) if place is not None and place[2] >= size else None

    def words(self) -> list[tuple[int, int]]:
        """(address, size) of what was read, cut into aligned words; pointers whole, other numbers 4 bytes at most.

        Short pieces first: fields and heads of chains rather than arrays.
        """
        found = []
        for low, high in sorted(self.reads, key=lambda span: span[1] - span[0]):
            at = low
            while at < high:
                size = next(n for n in (8, 4, 2, 1) if at % n == 0 and at + n <= high)
                place = self.find(at)
                if place is None or place[2] < size:
                    break
                if size == 8 and not self.is_pointer(self.get(at, 8)):
                    size = 4
                found.append((at, size))
                at += size
        return found

    def wide_words(self) -> list[tuple[int, int]]:
        """Where two neighbours of `words` may be one number of 8 bytes: -1 is not -1 in one half of it."""
        halves = {address for address, size in self.words() if size == 4}
        return [(at, 8) for at in sorted(halves) if at % 8 == 0 and at + 4 in halves]

    def is_pointer(self, value: int) -> bool:
        return self.find(value) is not None

    # --- arguments ---

    def get_argument(self, place: Place) -> int:
        return self.files[place.file][place.index] & (1 << 8 * place.size) - 1

    def put_argument(self, place: Place, value: int) -> None:
        """The bytes above the defined ones stay as they are."""
        mask = (1 << 8 * place.size) - 1
        old = self.files[place.file][place.index]
        self.files[place.file][place.index] = old & ~mask | value & mask

    def arguments(self, *kinds: type[CType]) -> list[tuple[Place, CType]]:
        """Places that the test fills, of parameters of these kinds; every eightbyte of others counts as a number."""
        found: list[tuple[Place, CType]] = []
        for param in self.known.signature.params:
            for place in param.places:
                if place.index < len(self.files[place.file]) and not param.is_result:
                    is_scalar = isinstance(param.type, Integer | Floating | Pointer)
                    ctype = param.type if is_scalar else Integer(place.size, signed=False)
                    if isinstance(ctype, kinds):
                        found.append((place, ctype))
        return found

    def movable(self) -> list[tuple[Place, int]]:
        """Pointer arguments into the state's own memory, with the size of what they point to; none of `restrict`."""
        return [
            (place, ctype.to.size or 1)
            for place, ctype in self.arguments(Pointer)
            if isinstance(ctype, Pointer) and not ctype.restrict and self.is_pointer(self.get_argument(place))
        ]

    def pointers(self, rng: Random) -> list[int]:
        """Some addresses that the state itself holds: in arguments and in memory that was read."""
        found = [self.get_argument(place) for place, _ in self.arguments(Pointer)]
        for _ in range(12):
            if (drawn := self.draw(rng, (8,))) is not None:
                found.append(self.get(*drawn))
        return [value for value in found if self.is_pointer(value)]

    # --- back ---

    def test(self) -> Test:
        pages = tuple(
            Page(page.address, bytes(self.pages[page.address]), page.is_writable) if self.pages[page.address] else page
            for page in self.parent.pages
        )
        pieces = zip(self.parent.globals, self.globals, strict=True)
        return replace(
            self.parent,
            ints=tuple(self.files["int"]),
            vectors=tuple(self.files["vector"]),
            stack=tuple(self.files["stack"]),
            pages=pages,
            globals=tuple(replace(piece, data=bytes(data)) for piece, data in pieces),
        )


# --- changes: each says whether it found something to act on ------------------------------------------


def _near(number: int, state: Pieces, rng: Random) -> list[int]:
    """Numbers worth trying in place of one."""
    found = [number + 1, number - 1, number // 2, number * 2, 0, 1, -1, number + rng.randrange(-9, 10)]
    found.append(rng.randrange(100))
    found += [state.get_argument(place) for place, _ in state.arguments(Integer)]
    if state.known.numbers:
        found += [rng.choice(state.known.numbers) + rng.randrange(-1, 2)] * 2
    return found


def _change_integer(state: Pieces, rng: Random) -> bool:
    places = state.arguments(Integer)
    if not places:
        return False
    place, ctype = rng.choice(places)
    assert isinstance(ctype, Integer)
    now = state.get_argument(place)
    if ctype.is_bool or ctype.values:
        value = rng.choice(ctype.values or (0, 1))
    else:
        signed = now - (1 << 8 * place.size) if ctype.signed and now >> 8 * place.size - 1 else now
        edges = [ctype.lowest, ctype.highest, -1, 1 << 8 * ctype.size - 1]
        value = rng.choice([*_near(signed, state, rng), -signed, rng.choice(edges)])
        if (drawn := state.draw(rng, (4, 8))) is not None and rng.random() < 0.15:
            value = state.get(*drawn)  # what is looked for, or just misses
    return _replace(state, place, value)


def _replace(state: Pieces, place: Place, value: int) -> bool:
    before = state.get_argument(place)
    state.put_argument(place, value)
    return state.get_argument(place) != before


def _change_floating(state: Pieces, rng: Random) -> bool:
    places = state.arguments(Floating)
    if not places:
        return False
    place, ctype = rng.choice(places)
    return _replace(state, place, int.from_bytes(rng.choice(specials(ctype.size)), "little"))


def _null_argument(state: Pieces, rng: Random) -> bool:
    places = [place for place, ctype in state.arguments(Pointer) if isinstance(ctype, Pointer) and not ctype.nonnull]
    return bool(places) and _replace(state, rng.choice(places), 0)


def _alias_arguments(state: Pieces, rng: Random) -> bool:
    """One pointer argument becomes another, or a pointer out of memory. `restrict` forbids it."""
    places = [place for place, ctype in state.arguments(Pointer) if isinstance(ctype, Pointer) and not ctype.restrict]
    if not places:
        return False
    others = state.pointers(rng)
    return bool(others) and _replace(state, rng.choice(places), rng.choice(others))


def _move_argument(state: Pieces, rng: Random) -> bool:
    """A pointer argument moves by a few elements: the rest of a buffer, and other alignments."""
    places = state.movable()
    if not places:
        return False
    place, size = rng.choice(places)
    return _replace(state, place, state.get_argument(place) + size * rng.choice(STEPS))


def _change_length(state: Pieces, rng: Random) -> bool:
    """A small number in memory."""
    for _ in range(4):
        drawn = state.draw(rng, (4, 8, 4, 2))
        if drawn is not None and state.get(*drawn) <= SMALL:
            now = state.get(*drawn)
            choices = _near(now, state, rng)
            if (other := state.draw(rng, (drawn[1],))) is not None and state.get(*other) <= SMALL:
                choices += [state.get(*other) + rng.randrange(-1, 2)] * 2
            state.put(*drawn, rng.choice(choices))
            return state.get(*drawn) != now
    return False


def _change_number(state: Pieces, rng: Random) -> bool:
    """Any number in memory that is no pointer: its bits, its edges, another one of that size, a byte of it."""
    drawn = state.draw(rng, (1, 1, 2, 4, 4, 8))
    if drawn is None:
        return False
    address, size = drawn
    now = state.get(address, size)
    if size == 8 and state.is_pointer(now):
        return False
    bits = 8 * size
    choices = [now ^ 1 << rng.randrange(bits), rng.getrandbits(bits), 0, -1, 1 << bits - 1, (1 << bits - 1) - 1]
    choices += _near(now, state, rng)
    if (other := state.draw(rng, (size,))) is not None:
        choices += [state.get(*other), state.get(*other) + rng.choice((-1, 1))] * 2
    state.put(address, size, rng.choice(choices))
    return state.get(address, size) != now


def _null_pointer(state: Pieces, rng: Random) -> bool:
    return _redirect(state, rng, lambda now: 0)


def _alias_pointer(state: Pieces, rng: Random) -> bool:
    """A pointer in memory comes to point where another one does: shared tails, cycles, empty ranges."""
    others = state.pointers(rng)
    return bool(others) and _redirect(state, rng, lambda now: rng.choice(others))


def _move_pointer(state: Pieces, rng: Random) -> bool:
    """A pointer in memory moves by a small step: cursors and ends of ranges."""
    return _redirect(state, rng, lambda now: now + rng.choice((-16, -8, -4, -1, 1, 4, 8, 16)))


def _redirect(state: Pieces, rng: Random, target: Callable[[int], int]) -> bool:
    for _ in range(4):
        drawn = state.draw(rng, (8,))
        if drawn is not None and state.is_pointer(now := state.get(*drawn)):
            state.put(*drawn, target(now) & _MASK)
            return state.get(*drawn) != now
    return False


def _copy_number(state: Pieces, rng: Random) -> bool:
    """A number in memory becomes an argument's value, or one of two neighbours: what is searched for is found."""
    size = rng.choice((1, 4, 4, 8))
    first, second = state.draw(rng, (size,)), state.draw(rng, (size,))
    if first is None or second is None or (size == 8 and state.is_pointer(state.get(*second))):
        return False
    numbers = [state.get_argument(place) for place, _ in state.arguments(Integer)]
    now = state.get(*second)
    state.put(*second, rng.choice(numbers) if numbers and rng.random() < 0.4 else state.get(*first))
    return state.get(*second) != now


Change = Callable[[Pieces, Random], bool]

_CHANGES: Mapping[Change, float] = {
    _change_integer: 3.0,
    _change_floating: 1.0,
    _null_argument: 0.5,
    _alias_arguments: 0.5,
    _move_argument: 0.5,
    _change_length: 2.5,
    _change_number: 3.0,
    _null_pointer: 1.0,
    _alias_pointer: 0.8,
    _move_pointer: 0.4,
    _copy_number: 1.2,
}
"""How often each is tried, to the others."""
