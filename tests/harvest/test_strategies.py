"""Each strategy reaches its aim on a real function, seen in the tests that come out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gccllm.base.core import Test, arena_address
from gccllm.harvest.probe import DOUBTFUL, UNDEFINED
from tests.kit.harvest import arena_end, harvested, memory, prefix, signed

SCAN = "int f(const int *a, int n) { for (int i = 0; i < n; i++) if (a[i] < 0) return i; return -1; }"
COPY = "void f(uint8_t *d, const uint8_t *s, int n) { for (int i = 0; i < n; i++) d[i] = s[i]; }"


def rows(code: str) -> list[tuple[list[int], int]]:
    """(elements, n) for every test of `int f(const int *a, int n)`. Elements behind an exit may be missing."""
    out = []
    for test in harvested(code).tests:
        n = signed(test.ints[1], 4)
        data = prefix(test, test.ints[0], 4 * max(n, 0))
        out.append(([signed(int.from_bytes(data[i : i + 4], "little"), 4) for i in range(0, len(data) - 3, 4)], n))
    return out


def exit_of(elements: list[int]) -> int | None:
    return next((i for i, v in enumerate(elements) if v < 0), None)


def test_a_scan_meets_hits_at_the_first_the_last_and_no_element() -> None:
    hits = [(exit_of(a), n) for a, n in rows(SCAN) if n > 4]
    assert any(at == 0 for at, _ in hits)
    assert any(at == n - 1 for at, n in hits)
    assert any(at is None and len(a) == n for a, n in rows(SCAN) for at in [exit_of(a)] if n > 4)


def test_sizes_around_vector_widths_are_all_there() -> None:
    sizes = {n for _, n in rows(SCAN)}
    assert {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65} <= sizes


def test_exits_are_swept_over_every_position() -> None:
    assert set(range(16)) <= {exit_of(a) for a, _ in rows(SCAN)}


def test_all_edges_of_a_scan_are_taken() -> None:
    found = harvested(SCAN)
    assert found.edges_taken == found.edges_all > 0
    assert not found.missing


def test_buffers_end_at_a_guard_page_and_start_behind_one() -> None:
    tests = [t for t in harvested(COPY).tests if 0 < signed(t.ints[2], 4) < 64]
    assert any(t.ints[1] + signed(t.ints[2], 4) == arena_end(t.ints[1]) for t in tests)
    assert any(t.ints[1] == arena_end(t.ints[1]) - 65536 for t in tests)


def test_buffers_overlap_in_both_directions_and_coincide() -> None:
    gaps = [t.ints[1] - t.ints[0] for t in harvested(COPY).tests if abs(t.ints[1] - t.ints[0]) < signed(t.ints[2], 4)]
    assert any(gap > 0 for gap in gaps)
    assert any(gap < 0 for gap in gaps)
    assert 0 in gaps


def test_restrict_is_respected() -> None:
    code = COPY.replace("*d", "*restrict d").replace("*s,", "*restrict s,")
    tests = harvested(code).tests
    assert tests
    assert all(arena_end(t.ints[0]) != arena_end(t.ints[1]) for t in tests if t.ints[0] and t.ints[1])


def test_an_end_pointer_gets_ends() -> None:
    code = "long f(const int *p, const int *e) { long s = 0; while (p < e) s += *p++; return s; }"
    spans = [(t.ints[1] - t.ints[0]) // 4 for t in harvested(code).tests if arena_end(t.ints[0] or arena_address(0))]
    assert {1, 4, 8, 16, 17} <= set(spans)


def test_lists_of_many_lengths_are_built() -> None:
    code = """struct n { int v; struct n *next; };
    struct n *f(struct n *p) {
      struct n *r = 0;
      while (p) { struct n *q = p->next; p->next = r; r = p; p = q; }
      return r; }"""
    lengths = set()
    for test in harvested(code).tests:
        at, length = test.ints[0], 0
        while at and length < 300 and (data := memory(test, at + 8, 8)) is not None:
            at, length = int.from_bytes(data, "little"), length + 1
        lengths.add(length)
    assert {0, 1, 2, 3, 8} <= lengths


def test_trees_are_searched_to_hits_and_misses() -> None:
    code = """struct t { int k; struct t *l, *r; };
    int f(const struct t *t, int k) { while (t) { if (k == t->k) return 1; t = k < t->k ? t->l : t->r; } return 0; }"""
    found = harvested(code)
    assert found.edges_taken == found.edges_all
    depths = set()
    for test in found.tests:
        at, depth, k = test.ints[0], 0, signed(test.ints[1], 4)
        while at and depth < 300 and (data := memory(test, at, 24)) is not None:
            here = signed(int.from_bytes(data[:4], "little"), 4)
            depth += 1
            if here == k:
                break
            at = int.from_bytes(data[8:16] if k < here else data[16:24], "little")
        depths.add(depth)
    assert max(depths) >= 5


def test_index_arrays_stay_inside_what_they_index() -> None:
    code = """long f(const int *x, const unsigned long *p, int n) {
      unsigned long s = 0; for (int i = 0; i < n; i++) s += p[x[i]]; return s; }"""
    good = 0
    for test in harvested(code).tests:
        n = signed(test.ints[2], 4)
        data = memory(test, test.ints[0], 4 * n) if n > 3 else None
        if data is not None:
            indices = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
            good += max(indices) < n and len(set(indices)) > 2
    assert good >= 5


def test_rows_of_two_dimensions_are_filled() -> None:
    code = """int f(int n, int a[][16]) {
      int s = 0; for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) s ^= a[i][j]; return s; }"""
    found = harvested(code)
    sizes = {signed(t.ints[0], 4) for t in found.tests if t.label not in (DOUBTFUL, UNDEFINED)}
    assert set(range(17)) <= sizes
    assert max(sizes) <= 16  # beyond, the inner index leaves its row


@pytest.mark.parametrize(
    ("code", "label", "takes"),
    [
        # Beyond 16 the inner index leaves its row, for which gcc has code all the same.
        ("int f(int n, int a[][16]) { int s = 0; for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) s ^= a[i][j];"
         " return s; }", UNDEFINED, lambda test: signed(test.ints[0], 4) > 16),
        ("unsigned f(unsigned n) { unsigned s = 1; for (unsigned i = 0; i != n; i++) { s = s * s + i;"
         " if (i == 100000) return 7; } return s; }", DOUBTFUL, lambda test: test.ints[0] & 0xFFFFFFFF > 100000),
    ],
    ids=["undefined", "slow"],
)  # fmt: skip
def test_an_edge_that_no_better_input_takes_has_a_doubtful_one(
    code: str, label: str, takes: Callable[[Test], bool]
) -> None:
    found = harvested(code)
    doubtful = [test for test in found.tests if test.label == label]
    assert found.edges_taken == found.edges_all
    assert doubtful
    assert any(takes(test) for test in doubtful)


def test_where_every_edge_is_taken_no_input_is_doubtful() -> None:
    code = "int f(int n, const int *a) { int s = 0; for (int i = 0; i < n; i++) s ^= a[i]; return s; }"
    assert not any(test.label == DOUBTFUL for test in harvested(code).tests)


def test_a_struct_with_a_pointer_and_a_length_is_understood() -> None:
    code = """struct v { const short *data; size_t len; };
    long f(const struct v *v) { long s = 0; for (size_t i = 0; i < v->len; i++) s += v->data[i]; return s; }"""
    found = harvested(code)
    assert found.edges_taken == found.edges_all
    lengths = {int.from_bytes(d, "little") for t in found.tests if (d := memory(t, t.ints[0] + 8, 8)) is not None}
    assert len(lengths & set(range(1, 70))) > 20


def test_strings_are_compared_as_equal_and_as_differing_late() -> None:
    code = "int f(const char *a, const char *b) { while (*a && *a == *b) a++, b++; return (uint8_t)*a - (uint8_t)*b; }"
    common = set()
    for test in harvested(code).tests:
        a, b = (memory(test, at, 40) for at in test.ints[:2])
        if a and b and test.ints[0] != test.ints[1]:
            a, b = a.split(b"\0")[0], b.split(b"\0")[0]
            common.add("equal" if a == b and a else "late" if a[:3] == b[:3] and a != b and len(a) > 3 else "early")
    assert common == {"equal", "late", "early"}


def test_globals_are_set() -> None:
    code = "static int table[8]; int f(int i) { return table[i & 7]++; } int g(void) { return table[0]; }"
    tests = harvested(code).tests
    assert len({piece.data for t in tests for piece in t.globals}) > 5


def test_comparisons_with_constants_are_met_on_both_sides() -> None:
    code = """int f(const int *a, int n) {
      int c = 0; for (int i = 0; i < n; i++) c += a[i] == 48611 || a[i] == -7; return c; }"""
    values = {v for a, _ in rows(code) for v in a}
    assert {48610, 48611, 48612, -7} <= values
