"""A call of a function in this very process, its memory taken by hand, is the same call in the replayer."""

from __future__ import annotations

import ctypes
import mmap
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.core import PAGE_BYTES, GlobalBytes, Observation, Returned, RunStatus, Slot, Test
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.dwarf import signature_of
from gccllm.harvest.types import Signature
from gccllm.record.capture import RecordedCall, RecordedPage, Registers
from gccllm.record.lower import NEAR, Moved, Unfit, lower, move
from gccllm.sandbox import layout
from gccllm.sandbox.image import Image, build_image
from gccllm.sandbox.replay import Replayer

TOOLS = Toolchain.find()
NAMES = ["counter", "table", "head", "limit", "names", "primes"]
SOURCE = """
struct node { struct node *next; const int *where; long value; };
struct out { long sum; double scaled; };
struct wide { long a, b, c; };
long counter = 1000;
int table[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
struct node *head;
int *limit = table + 16;
const char *const names[3] = {"ab", "cde", "f"};
const int primes[4] = {2, 3, 5, 7};
long work(struct node *n, struct out *o, short scale, double x, struct wide w) {
  long s = 0;
  for (; n; n = n->next) { s += *n->where * n->value; if (n->where == table + 3) counter++; }
  for (int *p = table; p < limit; p++) s += *p;
  if (head) s += head->value;
  o->sum = s; o->scaled = x * scale;
  return s + counter * 1000000 + w.a + w.c;
}
int *last(long *unused) { return limit - 1; }
double half(float x, double y) { return x / 2 + y; }
"""


@dataclass(frozen=True)
class World:
    """The source loaded into this process, and its image."""

    library: ctypes.CDLL
    image: Image
    signatures: dict[str, Signature]

    def symbols(self) -> tuple[tuple[int, int], ...]:
        sizes = {"counter": 8, "table": 64, "head": 8, "limit": 8, "names": 24, "primes": 16}
        return tuple((ctypes.addressof(ctypes.c_char.in_dll(self.library, name)), sizes[name]) for name in NAMES)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    where = tmp_path_factory.mktemp("world")
    source = where / "unit.c"
    source.write_text(SOURCE)
    subprocess.run([TOOLS.gcc, "-O2", "-g", "-c", source, "-o", where / "unit.o"], check=True)
    subprocess.run([TOOLS.gcc, "-O2", "-S", source, "-o", where / "unit.s"], check=True)
    flags = ["-O2", "-shared", "-fPIC", "-Wl,-Bsymbolic"]
    subprocess.run([TOOLS.gcc, *flags, source, "-o", where / "unit.so"], check=True)
    library = ctypes.CDLL(str(where / "unit.so"))
    library.work.restype = ctypes.c_long
    built = build_image(where, (where / "unit.s").read_text(), TOOLS)
    return World(library, built, {n: signature_of(where / "unit.o", n) for n in ("work", "last", "half")})


class Memory:
    """Pages of this process with chosen words in them."""

    def __init__(self, pages: int) -> None:
        self.map = mmap.mmap(-1, pages * PAGE_BYTES)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))

    def put(self, offset: int, *words: int) -> int:
        data = b"".join((word & (1 << 64) - 1).to_bytes(8, "little") for word in words)
        self.map[offset : offset + len(data)] = data
        return self.base + offset


def recorded(address: int, *, is_writable: bool = True, is_whole: bool = False) -> RecordedPage:
    base = address // PAGE_BYTES * PAGE_BYTES
    return RecordedPage(base, ctypes.string_at(base, PAGE_BYTES), None, is_writable, is_whole)


@pytest.fixture
def call(world: World) -> RecordedCall:
    """`work` on a list that points into the table and into a constant, with `head` set; called for real."""
    heap, stack = Memory(3), Memory(4)
    symbols = dict(zip(NAMES, (address for address, _ in world.symbols()), strict=True))
    third = heap.put(2 * PAGE_BYTES + 64, 0, symbols["table"] + 12, 1)
    second = heap.put(PAGE_BYTES + 8, third, symbols["primes"] + 8, 5)
    first = heap.put(512, second, symbols["table"] + 12, -7)
    ctypes.c_long.in_dll(world.library, "head").value = second
    rsp = stack.base + 2 * PAGE_BYTES + 1024
    out = stack.put(2 * PAGE_BYTES + 2048, 0, 0)
    stack.put(2 * PAGE_BYTES + 1024, 0x4141, 11, 22, 33)
    stack.put(PAGE_BYTES, *range(1, 500))  # the function's own frame in the program
    before = Registers(
        rdi=first, rsi=out, rdx=0xBAD0_0000_0003, rsp=rsp,
        xmm=(int.from_bytes(struct.pack("<d", 2.5), "little") | 0xFEED << 64, *(0,) * 7),
    )  # fmt: skip
    globals_pages = {symbols[name] // PAGE_BYTES * PAGE_BYTES for name in ("counter", "table", "head", "limit")}
    read_only = {symbols["primes"] // PAGE_BYTES * PAGE_BYTES}
    pages = [recorded(a) for a in (first, second, third, rsp, stack.base + PAGE_BYTES, *globals_pages)]
    pages += [recorded(a, is_writable=False) for a in read_only]

    class Wide(ctypes.Structure):
        _fields_ = (("a", ctypes.c_long), ("b", ctypes.c_long), ("c", ctypes.c_long))

    result = world.library.work(
        ctypes.c_void_p(first), ctypes.c_void_p(out), ctypes.c_short(3), ctypes.c_double(2.5), Wide(11, 22, 33)
    )
    after = Registers(rax=result & (1 << 64) - 1, xmm=(0, 0))
    ctypes.c_long.in_dll(world.library, "counter").value -= 2
    assert struct.unpack("<d", ctypes.string_at(out + 8, 8))[0] == 7.5
    return RecordedCall("0" * 64, 1, 1, 0, 0, 0, before, after, world.symbols(), tuple(pages))


def replayed(world: World, entry: str, test: Test, **how: int) -> Observation:
    with Replayer(world.image, world.signatures[entry].returned) as replayer:
        return replayer.run(entry, [test], **how)[0]


def faithful(observation: Observation, call: RecordedCall, returns: Iterable[Returned]) -> bool:
    """Whether a replay of the baseline gave the recorded results. A measure of health: what a test is, replay decides.

    A recorded pointer into the unit's own data counts when the replay's points into the image's. Results on the x87
    stack are not recorded and not looked at.
    """
    if observation.status is not RunStatus.OK:
        return False
    xmm = (*call.after.xmm, 0, 0)
    recorded = {Slot.RAX: call.after.rax, Slot.RDX: call.after.rdx, Slot.XMM0: xmm[0], Slot.XMM1: xmm[1]}
    for result in returns:
        if result.slot not in recorded:
            continue
        got = observation.returned[result.slot][: result.size]
        want = recorded[result.slot].to_bytes(16, "little")[: result.size]
        if got != want and not (result.size == 8 and _is_moved(call, want, got)):
            return False
    return True


def _is_moved(call: RecordedCall, want: bytes, got: bytes) -> bool:
    there, here = (int.from_bytes(data, "little") for data in (want, got))
    known = any(start <= there <= start + size for start, size in call.symbols)
    return known and layout.is_image(here)


def test_a_real_call_gives_its_result_again(world: World, call: RecordedCall) -> None:
    test = lower(call, world.signatures["work"], world.image, NAMES)
    for poison in (0, 1):
        seen = replayed(world, "work", test, poison=poison)
        assert seen.status is RunStatus.OK
        assert faithful(seen, call, world.signatures["work"].returned)
    other = replace(call, after=replace(call.after, rax=call.after.rax ^ 1))
    assert not faithful(seen, other, world.signatures["work"].returned)


def test_addresses_of_an_image_serve_as_well_as_the_image(world: World, call: RecordedCall) -> None:
    how = world.signatures["work"]
    assert lower(call, how, world.image, NAMES) == lower(call, how, world.image.symbols, NAMES)


def test_arguments_lie_where_the_types_say(world: World, call: RecordedCall) -> None:
    test = lower(call, world.signatures["work"], world.image, NAMES)
    assert test.ints == (call.before.rdi, call.before.rsi, 0xBAD0_0000_0003)
    assert test.int_bytes == (8, 8, 2)
    assert test.vectors == call.before.xmm[:1]
    assert test.vector_bytes == (8,)
    assert test.stack == (11, 22, 33)
    assert (test.arenas, test.regions, test.weight, test.label) == (0, (), 1.0, "recorded")


def test_own_data_moves_and_the_rest_of_the_program_stays(world: World, call: RecordedCall) -> None:
    test = lower(call, world.signatures["work"], world.image, NAMES)
    here = world.image.symbols
    pieces = {piece.symbol: piece for piece in test.globals}
    assert set(pieces) == {"counter", "table", "head", "limit"}
    assert pieces["counter"] == GlobalBytes("counter", 0, (1000).to_bytes(8, "little"))
    assert pieces["limit"].data == (here["table"] + 64).to_bytes(8, "little")
    second = call.pages[1].address + 8
    assert pieces["head"].data == second.to_bytes(8, "little")
    page = next(p for p in test.pages if p.address == call.pages[0].address)
    assert page.data[520:528] == (here["table"] + 12).to_bytes(8, "little")
    page = next(p for p in test.pages if p.address == call.pages[1].address)
    assert page.data[16:24] == (here["primes"] + 8).to_bytes(8, "little")


def test_the_own_frame_is_not_part_of_the_test(world: World, call: RecordedCall) -> None:
    test = lower(call, world.signatures["work"], world.image, NAMES)
    rsp = call.before.rsp
    home = rsp // PAGE_BYTES * PAGE_BYTES
    addresses = [p.address for p in test.pages]
    assert home - PAGE_BYTES not in addresses
    page = test.pages[addresses.index(home)]
    assert page.data[: rsp + 32 - home] == bytes(rsp + 32 - home)
    # Without a pointer into the caller's frame its page is not there either.
    elsewhere = replace(call, before=replace(call.before, rsi=call.before.rdi))
    assert home not in {p.address for p in lower(elsewhere, world.signatures["work"], world.image, NAMES).pages}


def test_a_pointer_that_is_returned_is_faithful_where_it_moved_with_its_data(world: World) -> None:
    there = dict(zip(NAMES, world.symbols(), strict=True))
    before = Registers(rsp=0x7FFF_0000_0000, rdi=0)
    after = Registers(rax=there["table"][0] + 60, xmm=(0, 0))
    call = RecordedCall("0" * 64, 1, 1, 0, 0, 0, before, after, world.symbols(), (recorded(there["limit"][0]),))
    test = lower(call, world.signatures["last"], world.image, NAMES)
    seen = replayed(world, "last", test)
    assert int.from_bytes(seen.returned[Slot.RAX], "little") == world.image.symbols["table"] + 60
    assert faithful(seen, call, world.signatures["last"].returned)
    assert not faithful(seen, replace(call, after=Registers(rax=0x1234)), world.signatures["last"].returned)


def test_floating_results_are_compared_bit_by_bit(world: World) -> None:
    x, y = (int.from_bytes(struct.pack(form, v), "little") for form, v in (("<f", 3.0), ("<d", 0.25)))
    before = Registers(rsp=0x7FFF_0000_0000, xmm=(x | 0xAAAA << 32, y | 0xBBBB << 64, *(0,) * 6))
    result = int.from_bytes(struct.pack("<d", 1.75), "little")
    call = RecordedCall("0" * 64, 1, 1, 0, 0, 0, before, Registers(xmm=(result | 5 << 64, 0)), world.symbols())
    test = lower(call, world.signatures["half"], world.image, NAMES)
    assert (test.vectors, test.vector_bytes) == (before.xmm[:2], (4, 8))
    seen = replayed(world, "half", test)
    assert faithful(seen, call, world.signatures["half"].returned)
    assert not faithful(seen, replace(call, after=Registers(xmm=(result ^ 1, 0))), [Returned(Slot.XMM0, 8)])


# --- which pages stay -----------------------------------------------------------------------------

NONE = Signature("f", (), None, (), {}, {})
DATA, HEAP, STACK, THREAD = 0x5555_0000_3000, 0x5555_7000_0000, 0x7FFE_0000_5000, 0x7F11_0000_0000


def page(address: int, words: dict[int, int] | None = None, *, whole: bool = False) -> RecordedPage:
    content = bytearray(PAGE_BYTES)
    for offset, word in (words or {}).items():
        content[offset : offset + 8] = word.to_bytes(8, "little")
    return RecordedPage(address, bytes(content), None, True, whole)


def kept(pages: Sequence[RecordedPage], symbols: dict[str, tuple[int, int]], rsp: int = STACK + 256) -> set[int]:
    call = RecordedCall("0" * 64, 1, 1, 0, 0, 0, Registers(rsp=rsp), Registers(), tuple(symbols.values()), tuple(pages))
    image = {name: layout.IMAGE_BASE + layout.DATA_AT + 64 * i for i, name in enumerate(symbols)}
    return {p.address for p in lower(call, NONE, image, list(symbols)).pages}


@pytest.mark.parametrize(
    ("word", "stays"),
    [
        (0, False),
        (DATA + 0x10, False),  # into the symbol: moved with it
        (DATA + 0x40, False),  # one past its end
        (DATA + 0x48, True),  # into what lies beside it
        (DATA - NEAR, True),  # into what may reach here
        (DATA - NEAR - 8, False),
        (DATA + PAGE_BYTES + 8, False),
    ],
)
def test_a_page_of_own_data_stays_where_something_points_beside_it(word: int, stays: bool) -> None:
    found = kept([page(DATA), page(HEAP, {8: word})], {"x": (DATA, 0x40)})
    assert found == ({DATA, HEAP} if stays else {HEAP})


def test_a_page_of_nothing_but_own_data_never_stays() -> None:
    whole = {"x": (DATA - 64, 2 * PAGE_BYTES)}
    assert kept([page(DATA), page(HEAP, {8: DATA - 256})], whole) == {HEAP}


@pytest.mark.parametrize(
    ("word", "stays"), [(0, False), (STACK + 248, False), (STACK + 264, True), (STACK + PAGE_BYTES, True)]
)
def test_the_callers_page_stays_where_something_points_above_the_frame(word: int, stays: bool) -> None:
    assert kept([page(STACK), page(HEAP, {8: word})], {}) == ({STACK, HEAP} if stays else {HEAP})


def test_the_thread_control_block_stays_only_when_pointed_to() -> None:
    for word, want in ((0, {HEAP}), (THREAD + 40, {HEAP, THREAD})):
        assert kept([page(THREAD, whole=True), page(HEAP, {0: word})], {}) == want


def test_what_a_page_that_stays_points_to_stays_as_well() -> None:
    pages = [page(HEAP, {0: STACK + 512}), page(STACK, {512: THREAD}), page(THREAD, whole=True)]
    assert kept(pages, {}) == {HEAP, STACK, THREAD}
    assert kept(pages[1:], {}) == set()


def test_a_page_beside_the_control_block_stays_where_a_buffer_ends_in_it() -> None:
    buffer = page(THREAD - 2 * PAGE_BYTES)
    around = [page(THREAD + PAGE_BYTES * n, whole=True) for n in (-1, 0, 1)]
    assert kept([buffer, *around], {}) == {buffer.address, THREAD - PAGE_BYTES}


def test_pages_right_below_the_frame_go_and_others_stay() -> None:
    pages = [page(STACK - PAGE_BYTES * n) for n in (0, 1, 2, 4)]
    assert kept(pages, {}) == {STACK - 4 * PAGE_BYTES}


def test_what_cannot_be_a_test_has_a_named_reason() -> None:
    call = RecordedCall("0" * 64, 1, 1, 0, 0, 0, Registers(rsp=STACK), Registers(), ((DATA, 8),), ())
    with pytest.raises(Unfit) as unfit:
        lower(call, NONE, {}, ["x", "y"])
    assert unfit.value.reason is Reason.CAPTURE_CORRUPT
    with pytest.raises(Unfit) as unfit:
        kept([page(layout.STACK_BASE)], {})
    assert unfit.value.reason is Reason.PAGES_UNMAPPABLE


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=5),
    st.lists(st.integers(0, 300), max_size=30),
)
def test_words_move_with_the_symbol_they_point_into(symbols: list[tuple[int, int]], words: list[int]) -> None:
    moved, end = [], 0
    for number, (gap, size) in enumerate(symbols):
        moved.append(Moved(str(number), end + gap, size, 1 << 40 | number << 20))
        end += gap + size
    got = move(np.array(words, np.uint64), moved).tolist()
    for word, new in zip(words, got, strict=True):
        inside = [m for m in moved if m.start <= word < m.end] or [m for m in moved if word == m.end]
        assert new == (word - inside[0].start + inside[0].to if inside else word)
