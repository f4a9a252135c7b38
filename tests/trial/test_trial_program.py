"""Whole programs in mode `trial`: with gcc's bodies, with each body by itself and with many at once, they do what gcc's
program does."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.trial.contests import PLACEBO
from tests.kit.trial import TrialBuild

UNIT = r"""
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define OWN __attribute__((noinline))

static _Thread_local long calls;
static const char *const names[] = {"zero", "one", "two", "three"};
static jmp_buf back;

OWN long sum(const int *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i]; calls++; return s; }
OWN int pick(int x) {
    switch (x) {
    case 0: return 7; case 1: return sum((int[]){1, 2, 3}, 3); case 2: return 11; case 3: return calls;
    case 4: return -4; case 5: return 19; case 6: return abs(x - 100); case 7: return 3; default: return x;
    }
}
OWN const char *name(unsigned n) { return n < 4 ? names[n] : "many"; }
OWN int counter(int n) { static int count; for (int i = 0; i < n; i++) count += i ^ n; return count; }
OWN int another(const int *a, int n) { static int count = 40; while (n--) count += a[n] * 3; return count; }
OWN int same(int i, int n) { static const int t[] = {1, 2, 3}; int s = 0; while (n--) s += t[(i + n) % 3]; return s; }
OWN int other(int i, int n) { static const int t[] = {5, 6, 7}; int s = 0; while (n--) s += t[i * n % 3]; return s; }
OWN double mean(int n, ...) {
    va_list list; double s = 0; va_start(list, n);
    for (int i = 0; i < n; i++) s += va_arg(list, double);
    va_end(list); return s / n;
}
OWN void square(double *re, double *im, int n) {
    for (int i = 0; i < n; i++) { double r = re[i] * re[i] - im[i] * im[i]; im[i] = 2 * re[i] * im[i]; re[i] = r; }
}
OWN int jumps(int n, const int *a) {
    if (n == 0) longjmp(back, 5);
    for (int i = 0; i < n; i++) n -= a[i] == 300;
    return jumps(n - 1, a) + 1;
}
OWN int catches(int n, const int *a) { volatile int v = n; if (setjmp(back)) return v; return jumps(n, a); }
OWN size_t wide(int n) {
    char room[n + 1];
    for (int i = 0; i < n; i++) room[i] = 'a' + i % 26;
    room[n] = 0;
    return strcspn(room, "z");
}
OWN int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(void) {
    int a[100]; double re[17], im[17];
    for (int i = 0; i < 100; i++) a[i] = i * 7919 % 101;
    for (int i = 0; i < 17; i++) re[i] = i / 3., im[i] = 1 - i / 7.;
    qsort(a, 100, sizeof *a, compare);
    printf("%ld %d %s\n", sum(a, 100), a[50], name(2));
    for (int i = 0; i < 9; i++)
        printf("%d %d %d %d %d\n", pick(i), counter(i), another(a, i), same(i, 9), other(i, 9));
    square(re, im, 17);
    printf("%.17g %.17g %.17g\n", re[3], im[16], mean(3, 1., 2., 4.));
    printf("%d %zu %ld\n", catches(5, a), wide(33), calls);
    return 3;
}
"""
LINKS = {
    "by default": (), "static": ("-static",), "no pie": ("-fno-pie", "-no-pie"), "PIC": ("-fPIC", "-pie"),
    "gc sections": ("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"),
    "debug": ("-g",), "hardened": ("-fstack-protector-all", "-fcf-protection", "-D_FORTIFY_SOURCE=2"),
}  # fmt: skip


@pytest.fixture
def work(prefix: Path, tmp_path: Path) -> TrialBuild:
    return TrialBuild(prefix, tmp_path)


@pytest.mark.parametrize("words", LINKS.values(), ids=LINKS.keys())
def test_every_body_does_what_gccs_does(work: TrialBuild, words: tuple[str, ...]) -> None:
    work.write(unit_c=UNIT)
    work.build("-O2", *words, "unit.c", "-o", "program")
    work.build_plainly(*words, "unit.c", "-o", "plain")
    want = work.run("plain")
    assert want[0] == 3
    assert work.run("program") == want
    assert {"sum", "pick", "square", "mean"} <= set(work.contests)
    assert work.every_body_gives(want, "program") > 20


# --- which body runs -----------------------------------------------------------------------------

SUM = """
__attribute__((noinline)) int NAME(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
"""
LOOK = r"""
#include <stdio.h>
#include <string.h>
/* As trial/text.py lays the records out: slot, name, count, bodies. */
extern const char *__start_gccllm_trial[][16], *__stop_gccllm_trial[][16];
void look(void) {
    for (const char *(*one)[16] = __start_gccllm_trial; one < __stop_gccllm_trial; one++)
        for (int body = 0; body < 13; body++)
            if ((*one)[1] != NULL && (*one)[0] == (*one)[3 + body]) printf("%.16s=%d\\n", (*one)[1], body);
}
""".replace("\\\\", "\\")
MAIN = """
#include <stdio.h>
void look(void);
int which(const int *a, int n);
int main(void) { int a[] = {1, 2, 3}; look(); return which(a, 3) != 6; }
"""


@pytest.fixture(scope="module")
def chooser(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> TrialBuild:
    """A program that prints which body each function runs."""
    work = TrialBuild(prefix, tmp_path_factory.mktemp("chooser"))
    work.write(unit_c=SUM.replace("NAME", "which"), look_c=LOOK, main_c=MAIN)
    work.build("-O2", "-c", "unit.c")
    work.build_plainly("unit.o", "look.c", "main.c", "-o", "program")
    return work


def test_the_variable_chooses_the_body(chooser: TrialBuild) -> None:
    (one,) = chooser.every_contest
    assert one.contenders[0].recipe == PLACEBO
    assert len(one.contenders) > 3
    for body in range(len(one.contenders) + 1):
        assert chooser.run("program", {one.identity: body}) == (0, f"{one.identity}={body}\n")


def test_the_last_choice_of_a_function_counts_and_others_are_ignored(chooser: TrialBuild) -> None:
    (one,) = chooser.every_contest
    for words in ("{id}=1,{id}=2", "ffffffffffffffff=1,{id}=2", "{id}=2,ffffffffffffffff=3", "{id}=2,", "{id}=2,x"):
        assert chooser.run("program", words.format(id=one.identity)) == (0, f"{one.identity}=2\n")


RUBBISH = (
    "=", ",", "x", "{id}=", "{id}=x", "{id}=/", "{id}=z", "{id}=~", "{id}=-1", "ffffffffffffffff=1", "{short}=1",
    ",{id}=1", "x,{id}=1", "=1,{id}=1", "{short}=11", "{id}=\x7f", "0" * 100_000, "{id}",
)  # fmt: skip


@pytest.mark.parametrize("words", RUBBISH, ids=range(len(RUBBISH)))
def test_what_is_no_choice_runs_gccs_own_body(chooser: TrialBuild, words: str) -> None:
    (one,) = chooser.every_contest
    given = words.format(id=one.identity, short=one.identity[:-1])
    assert chooser.run("program", given) == (0, f"{one.identity}=0\n")


def test_a_choice_after_one_that_is_too_high_still_counts(chooser: TrialBuild) -> None:
    (one,) = chooser.every_contest
    assert chooser.run("program", f"{one.identity}=~,{one.identity}=1") == (0, f"{one.identity}=1\n")


def test_constructors_that_run_first_get_gccs_own_body(work: TrialBuild) -> None:
    early = MAIN + "static int early(int c, char **v, char **e) { look(); return 0; }\n"
    early += '__attribute__((section(".preinit_array"), used)) static int (*first)(int, char **, char **) = early;'
    work.write(unit_c=SUM.replace("NAME", "which"), look_c=LOOK, main_c=early)
    work.build("-O2", "-c", "unit.c")
    work.build_plainly("unit.o", "look.c", "main.c", "-o", "program")
    (one,) = work.every_contest
    assert work.run("program", {one.identity: 2}) == (0, f"{one.identity}=0\n{one.identity}=2\n")


def test_the_programs_own_constructors_get_the_chosen_body(work: TrialBuild) -> None:
    late = MAIN + "__attribute__((constructor(101))) static void late(void) { look(); }"
    work.write(unit_c=SUM.replace("NAME", "which"), look_c=LOOK, main_c=late)
    work.build("-O2", "-c", "unit.c")
    work.build_plainly("unit.o", "look.c", "main.c", "-o", "program")
    (one,) = work.every_contest
    assert work.run("program", {one.identity: 2}) == (0, f"{one.identity}=2\n" * 2)


def test_ifunc_resolvers_run_before_the_choice(work: TrialBuild) -> None:
    source = (
        SUM.replace("NAME", "which")
        + """
    static int one(void) { return 1; }
    static int few(void) { return 2; }
    static void *resolve(void) { static const int a[] = {4, 5, 6}; return which(a, 3) == 15 ? one : few; }
    int chosen(void) __attribute__((ifunc("resolve")));
    """
    )
    main = (
        MAIN.replace("which(a, 3) != 6", "which(a, 3) + chosen()")
        .replace("look();", "")
        .replace("int main", "int chosen(void); int main")
    )
    work.write(unit_c=source, main_c=main)
    work.build("-O2", "unit.c", "main.c", "-o", "program")
    assert work.every_body_gives((7, ""), "program") > 3


# --- several images and units ----------------------------------------------------------------------


def test_a_shared_library_and_its_program_choose_each_for_itself(work: TrialBuild) -> None:
    source = SUM.replace("NAME", "which")
    main = MAIN.replace("int which(", "int mine(").replace("which(a, 3) != 6", "mine(a, 3) + which(a, 3) != 12")
    work.write(
        unit_c=source, look_c=LOOK, look2_c=LOOK.replace("void look", "void look2"),
        mine_c=SUM.replace("NAME", "mine"), main_c=main.replace(
            "void look(void);", "void look(void); void look2(void); int which(const int *, int);"
        ).replace("look();", "look(); look2();"),
    )  # fmt: skip
    work.build("-O2", "-fPIC", "-c", "unit.c")
    work.build_plainly("-shared", "-fPIC", "unit.o", "look2.c", "-o", "libunit.so")
    work.build("-O2", "-c", "mine.c")
    work.build_plainly("main.c", "mine.o", "look.c", "-L.", "-lunit", "-Wl,-rpath,.", "-o", "program")
    mine, which = work.contests["mine"].identity, work.contests["which"].identity
    assert work.run("program", {mine: 2, which: 1}) == (0, f"{mine}=2\n{which}=1\n")
    assert work.run("program", {which: 3}) == (0, f"{mine}=0\n{which}=3\n")


def test_two_units_with_the_same_static_names_choose_each_for_itself(work: TrialBuild) -> None:
    static = "static " + SUM.replace("NAME", "which") + "int NAME(const int *a, int n) { return which(a, n) + NUMBER; }"
    main = MAIN.replace("int which(", "int one(const int *, int); int two(").replace(
        "which(a, 3) != 6", "one(a, 3) * 100 + two(a, 3) != 708"
    )
    work.write(
        one_c=static.replace("NAME", "one").replace("NUMBER", "1"),
        two_c=static.replace("NAME", "two").replace("NUMBER", "2"), look_c=LOOK, main_c=main,
    )  # fmt: skip
    work.build("-O2", "-c", "one.c", "two.c")
    work.build_plainly("one.o", "two.o", "look.c", "main.c", "-o", "program")
    first, second = (one.identity for one in work.every_contest if one.function == "which")
    assert first != second
    status, said = work.run("program", {first: 1, second: 2})
    assert status == 0
    assert {f"{first}=1", f"{second}=2"} <= set(said.split())


# --- C++ -------------------------------------------------------------------------------------------

CXX = r"""
#include <cstdio>
#include <vector>
void throws(long s);
extern "C" __attribute__((noinline)) long deep(const int *a, int n) {
    long s = 0;
    for (int i = 0; i < n; i++) s += a[i] * (long)i;
    throws(s);
    for (int i = 0; i < n; i++) s ^= a[i];
    return s;
}
template <class T> __attribute__((noinline)) T fold(const std::vector<T> &v) {
    T s{};
    for (T x : v) s = s * 31 + x;
    return s;
}
__attribute__((noinline)) void throws(long s) { if (s > 40) throw s; }
long other(int n);
int main() {
    int a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int n = 0; n < 9; n++)
        try { std::printf("%ld\n", deep(a, n)); } catch (long s) { std::printf("caught %ld\n", s); }
    std::vector<int> v(a, a + 8);
    std::printf("%d %ld\n", fold(v), other(8));
    return 0;
}
"""
OTHER = r"""
#include <vector>
template <class T> __attribute__((noinline)) T fold(const std::vector<T> &v) {
    T s{};
    for (T x : v) s = s * 31 + x;
    return s;
}
long other(int n) { std::vector<int> v; for (int i = 0; i < n; i++) v.push_back(i); return fold(v); }
"""


def test_exceptions_pass_through_every_body_and_comdat_groups_merge(work: TrialBuild) -> None:
    work.write(unit_cc=CXX, other_cc=OTHER)
    work.build("-O2", "unit.cc", "other.cc", "-o", "program", compiler="g++")
    work.build_plainly("unit.cc", "other.cc", "-o", "plain", compiler="g++")
    want = work.run("plain")
    assert want[1].count("caught") == 3
    assert work.run("program") == want
    functions = [one.function for one in work.every_contest]
    assert "deep" in functions
    assert sum("fold" in name for name in functions) >= 1
    assert work.every_body_gives(want, "program") > 5


TRACE = r"""
#include <execinfo.h>
#include <stdio.h>
#include <unwind.h>
static int frames;
static _Unwind_Reason_Code count(struct _Unwind_Context *c, void *p) { return frames++, _URC_NO_REASON; }
__attribute__((noinline)) void trace(long s) { frames = 0; _Unwind_Backtrace(count, 0); printf("%ld %d\n", s, frames); }
__attribute__((noinline)) long deep(const int *a, int n) {
    long s = 0;
    for (int i = 0; i < n; i++) { s += a[i] * (long)i; if (i == n / 2) trace(s); }
    for (int i = 0; i < n; i++) s ^= a[i];
    return s;
}
__attribute__((noinline)) long outer(const int *a, int n) {
    char room[64] = "";
    for (int i = 0; i < n; i++) room[i & 63] ^= (char)a[i];
    long s = deep(a, n);
    for (int i = 0; i < n; i++) s += room[i & 63];
    return s;
}
int main(void) { int a[40]; for (int i = 0; i < 40; i++) a[i] = i; return outer(a, 40) & 63; }
"""


def test_a_backtrace_through_every_body_reaches_main(work: TrialBuild) -> None:
    work.write(unit_c=TRACE)
    work.build("-O2", "unit.c", "-o", "program")
    work.build_plainly("unit.c", "-o", "plain")
    want = work.run("plain")
    assert work.run("program") == want
    assert {"deep", "outer"} <= set(work.contests)
    assert work.every_body_gives(want, "program") > 5


# --- string literals ---------------------------------------------------------------------------------

LITERALS = r"""
#include <string.h>
static const char *usual(void) { return "the usual way"; }
__attribute__((noinline)) const char *choose(const int *a, int n) {
    int s = 0;
    for (int i = 0; i < n; i++) s += a[i] * 3;
    return s ? usual() : "another";
}
__attribute__((noinline)) int is_usual(const char *way, const int *a, int n) {
    int s = 0;
    for (int i = 0; i < n; i++) s ^= a[i];
    return (way == usual()) + 2 * (s == 0) + 4 * (strlen(way) > 3);
}
"""
SAYS = """
#include <stdio.h>
const char *choose(const int *, int);
int is_usual(const char *, const int *, int);
int main(void) { int a[] = {1, 2, 3}; printf("%d\\n", is_usual(choose(a, 3), a, 3)); return 0; }
"""


def test_a_string_literal_is_one_object_whoever_names_it(work: TrialBuild) -> None:
    work.write(unit_c=LITERALS, main_c=SAYS)
    work.build("-O2", "-c", "unit.c")
    work.build_plainly("unit.o", "main.c", "-o", "program")
    assert work.contests.keys() == {"choose", "is_usual"}
    for one, body in work.choices():
        assert work.run("program", {one.identity: body}) == (0, "7\n"), (one.function, body)


TWINS = r"""
#include <stdio.h>
static void first(void) {
    unsigned long n = 2;
    do { if (1) printf("n=%ld\n", n); else for (;;) puts("?"); } while (--n);
}
static void second(void) {
    unsigned long n = 2;
    do { if (1) printf("n=%ld\n", n); else while (1) puts("?"); } while (--n);
}
int main(void) { first(); second(); first(); return 0; }
"""


def test_a_callee_that_one_compile_has_merged_with_another_comes_along(work: TrialBuild) -> None:
    work.write(unit_c=TWINS)
    work.build("-O2", "unit.c", "-o", "program")
    assert "main" in work.contests
    for one, body in work.choices():
        assert work.run("program", {one.identity: body}) == (0, "n=2\nn=1\n" * 3)
