"""Values that mean something else without half of their bits are tested wherever the function is defined there."""

from __future__ import annotations

from gccllm.base.core import Test, arena_address
from tests.kit.harvest import harvested, prefix, signed

FIND = "const uint8_t *f(const uint8_t *p, int c, size_t n) { while (n--) if (*p++ == (uint8_t)c) return p; return 0; }"
POWER = "uint32_t f(uint32_t b, uint64_t e) { uint32_t r = 1; for (; e; e >>= 1, b *= b) if (e & 1) r *= b; return r; }"
NODES = "struct s { struct s *next; int v; };\n"
LAST = NODES + "int f(const struct s *p) { int v = 0; while (p) { v = p->v; p = p->next; } return v; }"
ZEROS = "long f(const long *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i] == 0; return s; }"
WORDS = "int f(const uint16_t *a, int n) { for (int i = 0; i < n; i++) if (a[i] == 9) return i; return -1; }"
LOW = (1 << 32) - 1


def wide(code: str) -> list[Test]:
    return [test for test in harvested(code).tests if test.label == "wide"]


def exits(code: str, bits: int) -> set[int]:
    """Positions of the byte looked for, over tests whose size has `bits` low bits of zero and more above."""
    found = set()
    for test in wide(code):
        if test.ints[2] >> bits and not test.ints[2] & (1 << bits) - 1:
            found.add(prefix(test, test.ints[0], 4096).find(test.ints[1] & 0xFF))
    return found


def test_a_search_that_ends_early_is_given_sizes_of_two_to_the_32() -> None:
    sizes = {test.ints[2] for test in wide(FIND)}
    assert 1 << 32 in sizes
    assert any(size >> 32 and 0 < size & LOW < 4 for size in sizes)
    assert any(size >> 63 for size in sizes)


def test_early_ends_lie_at_many_positions_then_too() -> None:
    found = exits(FIND, 32)
    assert 0 in found
    assert len(found) >= 6
    assert max(found) > 15


def test_numbers_that_do_not_count_elements_are_huge_too() -> None:
    exponents = {test.ints[1] for test in wide(POWER)}
    assert any(e and not e & LOW for e in exponents)
    assert any(e >> 32 and e & LOW for e in exponents)


def test_four_bytes_are_cut_to_two() -> None:
    sizes = {signed(test.ints[1], 4) for test in wide(WORDS)}
    assert any(size > 0 and size % 65536 == 0 for size in sizes)


def test_elements_have_a_low_half_of_zero() -> None:
    words = [prefix(test, test.ints[0], 8 * max(signed(test.ints[1], 4), 0)) for test in wide(ZEROS)]
    numbers = {int.from_bytes(data[i : i + 8], "little") for data in words for i in range(0, len(data) - 7, 8)}
    assert any(number and not number & LOW for number in numbers)


def test_the_first_and_an_inner_node_of_a_list_stand_where_the_low_half_is_zero() -> None:
    heads = {test.ints[0] == arena_address(0) for test in wide(LAST)}
    assert heads == {True, False}
    inner = [
        test
        for test in wide(LAST)
        if test.ints[0] not in (0, arena_address(0))
        and any(arena_address(0).to_bytes(8, "little") in region.data for region in test.regions)
    ]
    assert inner


def test_each_pointer_argument_in_turn_has_a_low_half_of_zero() -> None:
    copy = "void f(char *d, const char *s, size_t n) { for (size_t i = 0; i < n; i++) d[i] = s[i]; }"
    assert any(not test.ints[0] & LOW for test in wide(copy))
    assert any(not test.ints[1] & LOW and test.ints[0] & LOW for test in wide(copy))
