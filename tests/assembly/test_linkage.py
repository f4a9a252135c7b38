"""What another unit may have in the place of a unit's own: as gcc's code for each of them shows."""

from __future__ import annotations

import pytest

from gccllm.assembly import reachable, replaceable, slice_text
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from tests.kit.units import module

SOURCE = """
#define NOINLINE __attribute__((noinline))
__attribute__((weak)) int weak_function(int c) { return c * 3 + 1; }
__attribute__((weak)) const int weak_data[2] = {3, 3};
const int data[2] = {1, 2}; int counter[4];
static NOINLINE int local_function(int x) { return x * 2 + counter[1]; }
NOINLINE int global_function(int x) { return x * 3; }
__attribute__((visibility("hidden"))) NOINLINE int hidden_function(int x) { return x * 5; }
__attribute__((visibility("protected"))) NOINLINE int protected_function(int x) { return x * 7; }
NOINLINE int behind_alias(int x) { return x + 9; }
int weak_alias(int) __attribute__((weak, alias("behind_alias")));
int f(int x) { return weak_function(x) + weak_data[x & 1] + data[x & 1] + local_function(x) + global_function(x)
                      + hidden_function(x) + protected_function(x) + weak_alias(x); }
int recurses(int n) { return n < 2 ? 1 : n * recurses(n - 1) + recurses(n - 2); }
"""
WEAK = {"weak_function", "weak_data", "weak_alias"}
EXPORTED = {"counter", "global_function", "behind_alias", "f", "recurses"}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), WEAK),
        (("-fPIE",), WEAK),
        (("-fno-pic",), WEAK),
        (("-fPIC",), WEAK | EXPORTED),
        (("-fpic", "-fno-semantic-interposition"), WEAK),
        (("-fPIC", "-fvisibility=hidden"), WEAK),
        (("-fPIC", "-fPIE"), WEAK),
    ],
)
def test_weak_names_always_and_exported_ones_in_a_library(flags: tuple[str, ...], expected: set[str]) -> None:
    assert replaceable(module(SOURCE, "-O2", *flags), flags) == expected


def test_without_options_the_code_says_that_it_is_for_a_library() -> None:
    assert replaceable(module(SOURCE, "-O2", "-fPIC"), ()) == WEAK | EXPORTED


def test_copies_of_one_definition_are_not_replaceable() -> None:
    text = "template <class T> T twice(T x) { return x + x; } template int twice<int>(int);"
    unit = module(text + " inline int g(int x) { return x; } int (*p)(int) = g;", "-O2", "-fPIC", language="c++")
    assert replaceable(unit, ("-fPIC",)) == {"p"}


def test_a_slice_leaves_the_functions_out_and_makes_the_data_writable() -> None:
    unit = module(SOURCE, "-O2", "-fPIC")
    others = replaceable(unit, ("-fPIC",))
    functions, objects = reachable(unit, "f", others)
    assert set(functions) == {"f", "local_function", "hidden_function", "protected_function"}
    assert set(objects) == {"weak_data", "data", "counter"}
    text = slice_text(unit, "f", replaceable=others)
    assert "weak_function:" not in text
    before = text[: text.index("weak_data:")]
    assert before.rindex("\t.data\n") > before.rindex("\t.text\n")


def test_a_function_that_calls_itself_stays_with_itself_as_gcc_has_it() -> None:
    unit = module(SOURCE, "-O2", "-fPIC")
    assert reachable(unit, "recurses", replaceable(unit, ("-fPIC",)))[0] == ("recurses",)


def test_one_name_cannot_mean_two_functions() -> None:
    """A helper calls the function under work by the name that another unit may take."""
    text = """
    __attribute__((weak)) int f(int n);
    static __attribute__((noinline, noipa)) int helper(int n) { return n > 2 ? f(n - 1) + 1 : n; }
    int f(int n) { return helper(n) * 3; }"""
    unit = module(text, "-O2")
    with pytest.raises(Decline) as error:
        slice_text(unit, "f", replaceable=replaceable(unit, ()))
    assert error.value.reason is Reason.REPLACEABLE
