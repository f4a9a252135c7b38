"""Signatures out of real objects: what gcc's DWARF says, and where the ABI puts it."""

from __future__ import annotations

import pytest

from gccllm.base.core import Decline, Returned, Slot
from gccllm.base.reasons import Reason
from gccllm.harvest.types import Array, Integer, Pointer, Record, describe, unmakeable
from tests.kit.harvest import signature


def places(code: str) -> list[list[tuple[str, int, int]]]:
    return [[(p.file, p.index, p.size) for p in param.places] for param in signature(code).params]


def test_integers_and_floats_have_register_files_of_their_own() -> None:
    assert places("long f(int a, double b, char c, float d) { return a + b + c + d; }") == [
        [("int", 0, 4)], [("vector", 0, 8)], [("int", 1, 1)], [("vector", 1, 4)],
    ]  # fmt: skip


def test_the_seventh_integer_is_on_the_stack() -> None:
    got = places("long f(long a, long b, long c, long d, long e, long g, int h) { return a+b+c+d+e+g+h; }")
    assert got[6] == [("stack", 0, 4)]


def test_a_small_struct_is_split_over_both_files() -> None:
    assert places("struct s { double x; int y; }; double f(struct s v) { return v.x + v.y; }") == [
        [("vector", 0, 8), ("int", 0, 8)]
    ]


def test_a_large_struct_is_on_the_stack_and_a_large_result_is_written_through_a_hidden_pointer() -> None:
    found = signature("struct s { long a[3]; }; struct s f(struct s v, int k) { v.a[0] += k; return v; }")
    hidden, value, k = found.params
    assert hidden.is_result
    assert hidden.places[0].index == 0
    assert [p.file for p in value.places] == ["stack"] * 3
    assert (k.places[0].file, k.places[0].index) == ("int", 1)
    assert found.returned == (Returned(Slot.RAX, 8),)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("void f(int *p) { *p = 1; }", ()),
        ("_Bool f(int a) { return a; }", (Returned(Slot.RAX, 1),)),
        ("float f(float a) { return a; }", (Returned(Slot.XMM0, 4),)),
        ("struct p { long a; double b; }; struct p f(struct p v) { return v; }",
         (Returned(Slot.RAX, 8), Returned(Slot.XMM0, 8))),
    ],
)  # fmt: skip
def test_results(code: str, expected: tuple[Returned, ...]) -> None:
    assert signature(code).returned == expected


def test_qualifiers_typedefs_enums_and_rows_are_seen_through() -> None:
    code = """
    typedef const uint8_t *bytes; enum colour { RED = 3, BLUE = 7 };
    int f(bytes restrict p, int a[][64], enum colour c, const char *s, long m[4][8]) {
      return p[0] + a[1][2] + c + s[0] + m[1][1]; }"""
    p, a, c, s, m = (param.type for param in signature(code).params)
    assert describe(p) == "const u8* restrict"
    assert isinstance(a, Pointer)
    assert isinstance(a.to, Array)
    assert a.to.count == 64
    assert isinstance(c, Integer)
    assert c.values == (3, 7)
    assert isinstance(s, Pointer)
    assert isinstance(s.to, Integer)
    assert s.to.is_text
    assert describe(m) == "i64[8]*"


def test_a_record_may_point_to_itself_and_have_bit_fields() -> None:
    found = signature("struct n { unsigned a:3, b:9; struct n *next; }; int f(struct n *p) { return p->next->b; }")
    pointer = found.params[0].type
    assert isinstance(pointer, Pointer)
    record = pointer.to
    assert isinstance(record, Record)
    assert [f.bits for f in record.fields] == [(0, 3), (3, 9), None]
    link = record.fields[2].type
    assert isinstance(link, Pointer)
    assert link.to is record


def test_callees_are_described_and_those_that_may_write_are_not_pure() -> None:
    code = 'double a(int, float, const char *); void b(int *); int f(int *p) { b(p); return a(1, 2, "x") > 0; }'
    callees = signature(code).callees
    assert (callees["a"].ints, callees["a"].vectors, callees["a"].is_pure) == ((4, 8), (4,), True)
    assert callees["a"].returns == (Returned(Slot.XMM0, 8),)
    assert not callees["b"].is_pure


def test_statics_have_types() -> None:
    found = signature("static int table[16]; int f(int i) { static long calls; calls++; return table[i & 15]++; }")
    assert describe(found.variables["table"].type) == "i32[16]"
    assert describe(found.variables["calls"].type) == "i64"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("int f(volatile int *p) { return *p; }", Reason.VOLATILE),
        ("struct s { volatile int x; }; int f(struct s *p) { return p->x; }", Reason.VOLATILE),
        ("int f(_Atomic int *p) { return *p; }", Reason.ATOMIC),
        ("long double f(long double x) { return x; }", Reason.UNSUPPORTED_TYPE),
        ("_Complex double f(_Complex double x) { return x; }", Reason.UNSUPPORTED_TYPE),
        ("int f(int n, ...) { return n; }", Reason.VARIADIC),
        ("int g(int n) { return n; }", Reason.NO_TYPES),
    ],
)
def test_what_no_input_is_made_for_is_named(code: str, reason: Reason) -> None:
    with pytest.raises(Decline) as decline:
        signature(code)
    assert decline.value.reason is reason


@pytest.mark.parametrize(
    "param", ["int (*g)(int)", "_Complex double *z", "__int128 *wide", "long double rows[4][4]", "int (**g)(int)"]
)
def test_what_a_pointer_leads_to_may_have_no_values(param: str) -> None:
    """Recorded calls have them, so the signature is read; the harvest refuses where there are none."""
    found = signature(f"int f(int n, {param}) {{ return n; }}")
    assert unmakeable(found)
    assert [place.file for p in found.params for place in p.places] == ["int", "int"]


def test_pointers_to_plain_types_have_values() -> None:
    assert (
        unmakeable(signature("struct s { int x; }; int f(struct s *p, char **q, int m[3][3], void *v) { return 0; }"))
        == ""
    )


def test_a_function_pointer_deep_in_a_record_does_not_matter() -> None:
    assert signature("struct s { int (*g)(int); int x; }; int f(struct s *p) { return p->x; }").params


def test_methods_and_references_of_cpp_are_pointers() -> None:
    code = "struct s { int x; int get(const int &k) const; }; int s::get(const int &k) const { return x + k; }"
    found = signature(code, "_ZNK1s3getERKi", "-x", "c++")
    assert [describe(p.type) for p in found.params] == ["const struct s*", "const i32*"]
