"""Changes to recorded states: what may change, what never does, and the same seed gives the same states."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.core import PAGE_BYTES, GlobalBytes, Page, Test
from gccllm.harvest.mutated import Known, mutated, swept
from gccllm.harvest.types import Floating, Integer, Param, Place, Pointer, Record, Signature, Void

HEAP, FAR, TABLE = 0x5555_0000_0000, 0x7FFF_1000_0000, 0x6200_0000_0000
INT, LONG, DOUBLE = Integer(4, signed=True), Integer(8, signed=False), Floating(8)


def signature(*params: Param) -> Signature:
    return Signature("f", params, INT, (), {}, {})


def state(**more: object) -> Test:
    """f(list, n): a page with a pointer and a length, a page that it points to, and a global."""
    first = (FAR + 64).to_bytes(8, "little") + (5).to_bytes(4, "little") + bytes(range(256))
    pages = (Page(HEAP, first.ljust(PAGE_BYTES, b"\0")), Page(FAR, bytes(range(256)) * 16, is_writable=False))
    given = {"ints": (HEAP, 0xABCD_0000_0007), "int_bytes": (8, 4), "pages": pages, **more}
    return Test(globals=(GlobalBytes("table", 0, bytes(range(32))),), label="recorded", **given)  # type: ignore[arg-type]


def pointer(name: str, index: int, **more: bool) -> Param:
    return Param(name, Pointer(Void(), **more), (Place("int", index, 8),))


def integer(name: str, index: int) -> Param:
    return Param(name, INT, (Place("int", index, 4),))


KNOWN = Known(signature(pointer("list", 0), integer("n", 1)), (17, 4096), {"table": TABLE})
READS = np.array([[HEAP, HEAP + 12], [FAR + 64, FAR + 128], [TABLE, TABLE + 8]], np.uint64)


def bytes_changed(before: Test, after: Test) -> set[int]:
    """Addresses of bytes in memory that differ."""
    assert [p.address for p in before.pages] == [p.address for p in after.pages]
    assert [(g.symbol, g.offset, len(g.data)) for g in before.globals] == [
        (g.symbol, g.offset, len(g.data)) for g in after.globals
    ]
    both = [(p.address, p.data, q.data) for p, q in zip(before.pages, after.pages, strict=True)]
    both += [(TABLE, p.data, q.data) for p, q in zip(before.globals, after.globals, strict=True)]
    return {base + i for base, a, b in both for i in range(len(a)) if a[i] != b[i]}


@settings(deadline=None)
@given(st.integers(0, 1 << 32))
def test_only_arguments_and_bytes_that_were_read_change(seed: int) -> None:
    parent = state()
    made = mutated(parent, READS, KNOWN, Random(seed))
    assert made is not None
    inside = {a for low, high in READS for a in range(int(low), int(high))}
    assert bytes_changed(parent, made) <= inside
    assert made.ints != parent.ints or bytes_changed(parent, made) or made.fill != parent.fill
    # Bits above the defined ones are the program's junk: they stay.
    assert made.ints[1] >> 32 == parent.ints[1] >> 32
    assert made.int_bytes == parent.int_bytes
    assert [p.is_writable for p in made.pages] == [True, False]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1 << 32))
def test_equal_seeds_give_equal_states(seed: int) -> None:
    assert mutated(state(), READS, KNOWN, Random(seed)) == mutated(state(), READS, KNOWN, Random(seed))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from((HEAP, FAR, TABLE, 0, HEAP - 4)), st.integers(0, 5000), st.integers(1, 40)),
        max_size=5,
    ),
    st.integers(0, 1 << 32),
)
def test_no_set_of_reads_is_too_odd(spans: list[tuple[int, int, int]], seed: int) -> None:
    """Reads across the end of a page, of memory that is not the test's, of single bytes, none at all."""
    reads = np.array([(base + low, base + low + n) for base, low, n in spans], np.uint64).reshape(-1, 2)
    made = mutated(state(), reads, KNOWN, Random(seed))
    assert made is None or all(len(page.data) == PAGE_BYTES for page in made.pages)


def many(known: Known, parent: Test, count: int = 400) -> list[Test]:
    rng = Random(3)
    made = (mutated(parent, READS, known, rng) for _ in range(count))
    return [test for test in made if test is not None]


def test_pointers_become_null_and_come_to_point_where_others_do() -> None:
    made = many(KNOWN, state())
    heads = {int.from_bytes(test.pages[0].data[:8], "little") for test in made}
    assert 0 in heads  # the list ends
    assert HEAP in heads  # it points to its own head
    assert {test.ints[0] for test in made} >= {0, FAR + 64}


def test_lengths_in_memory_are_tried_around_and_against_arguments() -> None:
    lengths = {int.from_bytes(test.pages[0].data[8:12], "little") for test in many(KNOWN, state(), 2000)}
    assert lengths >= {0, 1, 4, 6, 7, 10}  # near 5, its half and double, and n, which is 7


def test_constants_of_the_code_are_tried() -> None:
    assert any(abs((test.ints[1] & 0xFFFFFFFF) - 4096) <= 1 for test in many(KNOWN, state()))


def test_restrict_and_references_are_kept() -> None:
    known = Known(signature(pointer("a", 0, restrict=True, nonnull=True), integer("n", 1)))
    assert {test.ints[0] for test in many(known, state())} == {HEAP}


def test_floating_arguments_take_special_values_and_keep_their_upper_half() -> None:
    known = Known(signature(Param("x", DOUBLE, (Place("vector", 0, 8),))))
    made = many(known, state(ints=(), int_bytes=(), vectors=(7 << 64 | 0x3FF0_0000_0000_0000,), vector_bytes=(8,)), 200)
    values = {test.vectors[0] for test in made}
    assert len(values) > 5
    assert {value >> 64 for value in values} == {7}


def test_arguments_on_the_stack_and_records_by_value_change() -> None:
    pair = Record("pair", 16)
    known = Known(
        signature(Param("p", pair, (Place("int", 0, 8), Place("int", 1, 8))), Param("s", LONG, (Place("stack", 0, 8),)))
    )
    made = many(known, state(ints=(1, 2), int_bytes=(8, 8), stack=(3,)), 200)
    assert len({test.ints[0] for test in made}) > 5
    assert len({test.ints[1] for test in made}) > 5
    assert len({test.stack for test in made}) > 5


def test_the_hidden_pointer_to_a_result_stays() -> None:
    hidden = Param("result", Pointer(Void()), (Place("int", 0, 8),), is_result=True)
    assert {test.ints[0] for test in many(Known(signature(hidden, integer("n", 1))), state())} == {HEAP}


def test_nothing_to_change_gives_nothing() -> None:
    assert mutated(Test(), np.zeros((0, 2), np.uint64), Known(signature()), Random(1)) is None


def test_a_sweep_tries_every_word_that_was_read_and_every_argument() -> None:
    parent = state()
    made = swept(parent, READS, KNOWN)
    changed = [bytes_changed(parent, test) for test in made]
    words = {min(addresses) // 4 * 4 for addresses in changed if addresses}
    assert words == {HEAP, HEAP + 8, *range(FAR + 64, FAR + 128, 4), TABLE, TABLE + 4}
    assert all(max(addresses) - min(addresses) < 8 for addresses in changed if addresses)
    lengths = {int.from_bytes(test.pages[0].data[8:12], "little") for test in made}
    assert lengths >= {0, 1, 7, 1 << 31, (1 << 32) - 1}
    assert {test.ints[0] for test in made} >= {0}
    assert {test.ints[1] & 0xFFFFFFFF for test in made} >= {0, 1, 1 << 31, (1 << 32) - 1}
    assert len(swept(parent, READS, KNOWN, most=9)) <= 9
