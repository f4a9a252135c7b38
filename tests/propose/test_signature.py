"""Types as words: from declarations as people write them, and the head that an answer gets."""

from __future__ import annotations

import pytest

from gccllm.propose.signature import CSignature


@pytest.mark.parametrize(
    ("declaration", "words"),
    [
        ("int f(const unsigned char *s, size_t n)", ("=i32", ":pu8", ":u64")),
        ("static inline long count(const char text[], unsigned limit)", ("=i64", ":pi8", ":u32")),
        ("void g(double *restrict a, float b, uint16_t c)", ("=v", ":pf64", ":f32", ":u16")),
        ("char *h(void)", ("=pi8",)),
        ("const void *m(const void *p, int c, size_t n)", ("=pv", ":pv", ":i32", ":u64")),
        ("int deep(char **v, struct node *n)", ("=i32", ":pv", ":pv")),
        ("void m(int n, long long A[8][8])", ("=v", ":i32", ":pi64")),
        ("unsigned u(unsigned)", ("=u32", ":u32")),
    ],
)
def test_a_declaration_has_words(declaration: str, words: tuple[str, ...]) -> None:
    found = CSignature.parse(declaration)
    assert found is not None
    assert found.words == words


@pytest.mark.parametrize(
    "declaration",
    [
        "struct big f(int x)",
        "int f(int a, int b, int c, int d, int e, int g, int h)",
        "int f(int (*compare)(int, int))",
        "int f(const char *format, ...)",
        "long double f(long double x)",
        "",
    ],
)
def test_what_has_no_words_is_none(declaration: str) -> None:
    assert CSignature.parse(declaration) is None


def test_the_head_names_parameters_by_position() -> None:
    found = CSignature.parse("int f(const unsigned char *s, const void *p, size_t n)")
    assert found is not None
    assert found.head("f") == "i32 f(u8 *a, u8 *b, u64 c)"
