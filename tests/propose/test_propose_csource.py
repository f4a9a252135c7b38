"""Finding a function's C text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.propose import csource

SOURCE = """\
#include <stdint.h>
#define f(x) ((x) + 1) /* a macro, no definition { */
/* int f(int a) { return 0; } */
static const char text[] = "int f(int a) {";
int g(int a);
extern int f (int a);

/* adds */
static inline int
(unused)(int a) { return a; }

struct pair { int a, b; };

static struct pair *
g2(struct pair *p, int n)
{
  for (int i = 0; i < n; i++) { if ('{' == n) return p; }
  return f(n) ? p : 0;
}

__attribute__((noinline)) unsigned long long
f(int a) __attribute__((hot))
{ // } not here
  return g(a) + sizeof "}";
}
"""


def test_definition_is_told_from_declarations_calls_comments_and_macros() -> None:
    found = csource.find(SOURCE, "f")
    assert found is not None
    assert found.text.startswith("__attribute__((noinline)) unsigned long long\nf(int a)")
    assert found.text.endswith('sizeof "}";\n}')
    assert SOURCE[found.start : found.end] == found.text


def test_signature_is_the_declaration_on_one_line() -> None:
    found = csource.find(SOURCE, "g2")
    assert found is not None
    assert found.signature == "static struct pair * g2(struct pair *p, int n)"


@pytest.mark.parametrize("name", ["g", "nothing", "return", "if", "pair", "f;", "", "text"])
def test_what_is_not_defined_as_a_function_is_not_found(name: str) -> None:
    assert csource.find(SOURCE, name) is None


def test_two_definitions_are_one_too_many() -> None:
    assert csource.find("#ifdef A\nint f(void) { return 1; }\n#else\nint f(void) { return 2; }\n#endif\n", "f") is None


def test_definition_inside_extern_c_is_found() -> None:
    found = csource.find('extern "C" {\nint f(void) { return 1; }\n}\n', "f")
    assert found is not None
    assert found.text == "int f(void) { return 1; }"


@given(st.text(alphabet="f(){};\"'/*#\\\n int", max_size=200))
def test_any_text_is_searched_without_an_error(source: str) -> None:
    found = csource.find(source, "f")
    assert found is None or (found.text.endswith("}") and "f" in found.text)


@given(st.text(max_size=200))
def test_blanking_keeps_length_and_lines(source: str) -> None:
    blank = csource.blanked(source)
    assert len(blank) == len(source)
    assert [i for i, c in enumerate(blank) if c == "\n"] == [i for i, c in enumerate(source) if c == "\n"]
