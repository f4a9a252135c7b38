"""C answers: what they may hold, and that they become bodies."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.propose import CompileUnit, Isa, Prompt, c_dialect
from gccllm.propose.c_dialect import checked, compile_answer
from tests.kit.units import Make

SUM = "int f(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }"


def ask(unit: CompileUnit | None, allowed: int = 0) -> Prompt:
    return Prompt("f", "\tret\n", isa=Isa(0, allowed), unit=unit)


def refusal(code: str, prompt: Prompt) -> Reason:
    with pytest.raises(Decline) as caught:
        compile_answer(code, prompt)
    return caught.value.reason


def test_plain_c_becomes_a_body(unit_of: Make) -> None:
    body = Body.parse(compile_answer("int f(const int *a, int n) { return n ? a[0] : 0; }", ask(unit_of(SUM))))
    assert body.lines[-1].mnemonic == "ret"
    assert body.externals == frozenset()


def test_intrinsics_up_to_the_level_allowed_compile_and_beyond_it_do_not(unit_of: Make) -> None:
    code = """
    #include <immintrin.h>
    int f(const int *a, int n) {
      __m256i s = _mm256_setzero_si256();
      for (int i = 0; i + 8 <= n; i += 8) s = _mm256_add_epi32(s, _mm256_loadu_si256((const __m256i *)(a + i)));
      return _mm256_extract_epi32(s, 0);
    }"""
    unit = unit_of(SUM)
    assert "%ymm" in compile_answer(code, ask(unit, 3))
    assert refusal(code, ask(unit, 0)) is Reason.DOES_NOT_COMPILE


def test_answer_takes_the_place_of_the_function_and_sees_the_units_types_and_flags(
    unit_of: Make, tmp_path: Path
) -> None:
    (tmp_path / "own.h").write_text("struct node { int value; struct node *next; };\n")
    source = (
        '#include "own.h"\nint f(struct node *n) { int s = 0; for (; n; n = n->next) s += n->value; return s + K; }\n'
    )
    unit = unit_of(source, "-O3", "-DK=41")
    assert "$41" in compile_answer("int f(struct node *n) { return n ? n->value : K; }", ask(unit))


def test_helpers_and_tables_of_the_answer_come_along(unit_of: Make) -> None:
    code = """
    static const unsigned char table[4] = {9, 8, 7, 1};
    static inline int pick(int i) { return table[i & 3]; }
    int f(const int *a, int n) { return pick(n) + a[0]; }"""
    body = Body.parse(compile_answer(code, ask(unit_of(SUM))))
    assert body.constants
    assert body.externals == frozenset()


def test_static_function_keeps_its_name_although_the_answer_could_be_inlined(unit_of: Make) -> None:
    unit = unit_of("static int f(int x) { while (x & 1) x >>= 1; return x; }\nint g(int x) { return f(x) + f(x + 1); }")
    assert compile_answer("static int f(int x) { return x / (~x & -~x); }", ask(unit)).endswith("ret\n")


def test_loop_does_not_become_a_call_that_the_baseline_does_not_make(unit_of: Make) -> None:
    code = "void f(char *p, long n) { for (long i = 0; i < n; i++) p[i] = 0; }"
    assert Body.parse(compile_answer(code, ask(unit_of(code)))).calls == ()


def test_compiler_error_is_told_without_our_paths(unit_of: Make) -> None:
    with pytest.raises(Decline) as caught:
        compile_answer("int f(const int *a, int n) { return b; }", ask(unit_of(SUM)))
    assert caught.value.reason is Reason.DOES_NOT_COMPILE
    assert "undeclared" in caught.value.detail
    assert "/" not in caught.value.detail


@pytest.mark.parametrize("code", ["", "int g(void) { return 1; }", "int f(int);", "f"])
def test_answer_without_the_function_holds_no_code(code: str, unit_of: Make) -> None:
    assert refusal(code, ask(unit_of(SUM))) is Reason.NO_CODE


def test_without_a_unit_nothing_is_compiled() -> None:
    assert refusal(SUM, ask(None)) is Reason.DOES_NOT_COMPILE


def test_compile_that_takes_too_long_is_stopped(unit_of: Make) -> None:
    unit = unit_of(SUM)
    with pytest.raises(Decline) as caught:
        compile_answer(SUM, ask(unit), deadline_s=0.001)
    assert caught.value.reason is Reason.DOES_NOT_COMPILE


HOSTILE = (
    '#include "/etc/passwd"\n',
    "#include </etc/passwd>\n",
    "#include <../../etc/passwd>\n",
    "#include <stdio.h>\n",
    "#include_next <stdint.h>\n",
    '#define P "/etc/passwd"\n#include P\n',
    "#inc\\\nlude <stdio.h>\n",
    "%:include <stdio.h>\n",
    "??=include <stdio.h>\n",
    "/* */ # /* */ include <stdio.h>\n",
    "#embed <stdio.h>\n",
    "#line 3\n",
    '#pragma GCC target("avx")\n',
    "#pragma GCC push_options\n",
    "#pragma weak f\n",
    "#if 1\n#endif\n",
    'asm(".incbin \\"/etc/passwd\\"");\n',
    '__asm__("nop");\n',
    '__as\\\nm__("nop");\n',
    '#define A(x, y) x##y\nA(as, m)("nop");\n',
    '_Pragma("GCC optimize 0")\n',
    "__attribute__((constructor)) static void g(void) {}\n",
    "__attribute__((__constructor__)) static void g(void) {}\n",
    '__attribute__((section(".init_array"))) int x;\n',
    '__attribute__((unused, section("x"))) static int x;\n',
    '#define S section("x")\n__attribute__((S)) static int x;\n',
    '__attribute__((alias("g"))) int h(void);\n',
    '#define unused section("x")\n__attribute__((unused)) static int x;\n',
    "extern int system(const char *);\n",
    "static volatile int x;\n",
    "static __thread int x;\n",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_reaches_outside_the_answer_is_refused(hostile: str, unit_of: Make) -> None:
    assert refusal(hostile + SUM, ask(unit_of(SUM))) is Reason.FORBIDDEN_C


@pytest.mark.parametrize(
    "harmless",
    [
        "#include <immintrin.h>\n#include <stdint.h>\n",
        '// asm("x"), extern\n/* #include <stdio.h> */\n',
        "#define STEP 8\n#define MIN(a, b) ((a) < (b) ? (a) : (b))\n",
        "static inline __attribute__((always_inline)) int g(int x) { return x; }\n",
        "typedef int v4 __attribute__((vector_size(16), aligned(4)));\n",
    ],
)
def test_neighbours_of_hostile_text_are_accepted(harmless: str, unit_of: Make) -> None:
    assert compile_answer(harmless + SUM, ask(unit_of(SUM)))


def test_loop_pragmas_are_accepted(unit_of: Make) -> None:
    code = SUM.replace("for", "\n#pragma GCC unroll 4\nfor")
    assert compile_answer(code, ask(unit_of(SUM)))


@given(st.text(alphabet="#include <>\"'/*\\\n_asm?%:()", max_size=120))
def test_any_text_is_checked_or_refused_by_name(code: str) -> None:
    try:
        text = checked(code)
    except Decline as decline:
        reason: Reason | None = decline.reason
    else:
        reason = None
        assert "asm" not in c_dialect.csource.blanked(text, directives=False).split()
    assert reason in (None, Reason.FORBIDDEN_C, Reason.TOO_LONG)


def test_huge_answer_is_refused(unit_of: Make) -> None:
    assert refusal("int x;\n" * 20_000 + SUM, ask(unit_of(SUM))) is Reason.TOO_LONG
