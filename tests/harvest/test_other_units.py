"""Functions and data of other units: what they may do while the function under work runs, a test has to do."""

from __future__ import annotations

import pytest

from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from tests.kit.harvest import verdicts

WRONG = frozenset({Reason.WRONG_VALUE, Reason.WRONG_MEMORY, Reason.WRONG_CALLS, Reason.FAULTED})


CALLS = {
    "a global": (
        "extern int scale; void step(int);",
        "int f(int n) { int s = 0; for (int i = 0; i < n; i++) { step(i); s ^= scale + i; } return s; }",
        "int f(int n) { int s = 0, k = scale; for (int i = 0; i < n; i++) { step(i); s ^= k + i; } return s; }",
    ),
    "what a const pointer points to": (
        "int look(const int *);",
        "int f(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s ^= look(p) ^ p[1]; return s; }",
        "int f(int *p, int n) { int s = 0, k = n > 0 ? p[1] : 0; for (int i = 0; i < n; i++) s ^= look(p) ^ k;"
        " return s; }",
    ),
    "a static of the unit, by a function that calls back": (
        "static int count; void note(int); void bump(void) { count++; }",
        "int f(int n) { int s = 0; for (int i = 0; i < n; i++) { note(i); s ^= count + i; } return s; }",
        "int f(int n) { int s = 0, k = count; for (int i = 0; i < n; i++) { note(i); s ^= k + i; } return s; }",
    ),
    "a buffer, which moves": (
        "struct out { unsigned char *at; long used; }; void flush(struct out *);",
        "void f(struct out *o, const unsigned char *s, long n) { for (long i = 0; i < n; i++) { o->at[i & 7] ="
        " s[i & 7]; flush(o); } }",
        "void f(struct out *o, const unsigned char *s, long n) { if (n <= 0) return; unsigned char *at = o->at;"
        " for (long i = 0; i < n; i++) { at[i & 7] = s[i & 7]; flush(o); } }",
    ),
    "a list": (
        "struct node { struct node *next; int key; }; void visit(int);",
        "int f(struct node *a) { int s = 0; for (; a; a = a->next) { visit(a->key); s ^= a->key; } return s; }",
        "int f(struct node *a) { int s = 0; while (a) { struct node *b = a->next; int k = a->key; visit(k); s ^= k;"
        " a = b; } return s; }",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CALLS)
def test_a_called_function_may_change(what: str) -> None:
    head, right, wrong = CALLS[what]
    same, other = verdicts(head.replace("extern int", "int") + right, head.replace("extern int", "int") + wrong)
    assert same.is_accepted, same
    assert other.reason in WRONG, other


def test_nobody_else_changes_what_restrict_names() -> None:
    head = "void step(int); int f(const int *restrict p, int n) "
    once = head + "{ int s = 0, k = n > 0 ? p[0] : 0; for (int i = 0; i < n; i++) { step(i); s ^= k + i; } return s; }"
    same, other = verdicts(
        head + "{ int s = 0; for (int i = 0; i < n; i++) { step(i); s ^= p[0] + i; } return s; }", once
    )
    assert same.is_accepted, same
    assert other.is_accepted, other


LOOP = """
unsigned f(const unsigned char *p, long n) {{ unsigned s = 0; for (long i = 0; i < n; i++) s += {}; return s; }}
"""
REPLACEABLE = {
    "a weak function": ("__attribute__((weak)) int g(int c) { return c * 3 + 1; }", "g(p[i])", "p[i] * 3 + 1", ()),
    "a function of a library": ("__attribute__((noinline)) int g(int c) { return c * 3 + 1; }", "g(p[i])",
                                "p[i] * 3 + 1", ("-fPIC",)),
    "weak data": ("__attribute__((weak)) const unsigned g[2] = {3, 5};", "p[i] * g[i & 1]", "p[i] * (i & 1 ? 5u : 3u)",
                  ()),
}  # fmt: skip


@pytest.mark.parametrize("what", REPLACEABLE)
def test_another_unit_may_take_the_place_of(what: str) -> None:
    head, used, assumed, flags = REPLACEABLE[what]
    same, other = verdicts(head + LOOP.format(used), head + LOOP.format(assumed), flags=flags)
    assert same.is_accepted, same
    assert other.reason in WRONG, other


def test_a_weak_alias_is_called_as_nobody_knows_what() -> None:
    """The debug information says nothing of it."""
    head = 'int h(int c) { return c * 3 + 1; } extern int g(int) __attribute__((weak, alias("h")));'
    with pytest.raises(Decline) as error:
        verdicts(head + "int f(int *p, long n) { int s = 0; for (long i = 0; i < n; i++) s += g(p[i]); return s; }")
    assert error.value.reason is Reason.CALLEE_UNKNOWN


def test_what_only_the_unit_names_may_be_assumed() -> None:
    head = '__attribute__((visibility("hidden"), noinline)) unsigned g(unsigned c) { return c * 3 + 1; }'
    for flags in (("-fPIC",), ("-fPIE",)):
        same, other = verdicts(head + LOOP.format("g(p[i])"), head + LOOP.format("p[i] * 3u + 1"), flags=flags)
        assert same.is_accepted, same
        assert other.is_accepted, other


def test_a_stand_in_cannot_give_an_address() -> None:
    with pytest.raises(Decline) as error:
        verdicts("int *where(int); int f(int n) { int s = 0; for (int i = 0; i < n; i++) s += *where(i); return s; }")
    assert error.value.reason is Reason.IMPURE_CALLEE


def test_the_own_frame_must_stay_out_of_sight() -> None:
    """No stub changes what lies there, so an address of it in memory ends the test."""
    with pytest.raises(Decline) as error:
        verdicts(
            "struct s { int *at; }; void step(void); int f(struct s *q) { int x = 5; q->at = &x; step(); return x; }"
        )
    assert error.value.reason is Reason.NO_INPUTS
