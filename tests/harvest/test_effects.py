"""Effects and attributes that gcc's assembly does not show are found in its tree dump, callees' too."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Module
from gccllm.base.dump import DUMP_OPTION
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.effects import HARMLESS, UnitFacts, attribute_list, facts_in, reached

TOOLS = Toolchain.find()

EFFECTS = """\
#include <stdatomic.h>
extern volatile int port;
static inline int read_port(void) { return port; }
int cast(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += *(volatile int *)(p + i); return s; }
int inlined(int n) { int s = 0; for (int i = 0; i < n; i++) s += read_port(); return s; }
int barrier(int n) { int s = 0; for (int i = 0; i < n; i++) { __asm__("" ::: "memory"); s ^= i * n; } return s; }
int relaxed(atomic_int *p, int n)
{ int s = 0; for (int i = 0; i < n; i++) s += atomic_load_explicit(p + i, memory_order_relaxed); return s; }
int plain(int *a, int n)
{ int c[4] = {0}; for (int i = 0; i < n; i++) { int d[2]; d[i & 1] = a[i]; c[a[i] & 3] += d[a[i] & 1]; } return c[1]; }
int called(int *p) __asm__("by_another_name");
int called(int *p) { return *(volatile int *)p; }
"""


def looked_at(where: Path, source: str, *flags: str, language: str = "c") -> tuple[UnitFacts, Module]:
    path = where / "unit"
    path.write_text(source)
    dump = where / "dump"
    ran = TOOLS.compile(["-O3", *flags, "-w", f"{DUMP_OPTION}={dump}", "-S", "-x", language, str(path), "-o", "-"])
    assert ran.ok, ran.err
    return facts_in(dump.read_text()), Module.parse(ran.out.decode())


def declined(where: Path, source: str, *flags: str, language: str = "c") -> dict[str, Reason]:
    facts, module = looked_at(where, source, *flags, language=language)
    causes = {name: facts.decline(module, name) for name in module.functions}
    return {name: cause[0] for name, cause in causes.items() if cause}


def test_volatile_atomic_and_empty_assembly_are_seen_and_plain_code_is_not(tmp_path: Path) -> None:
    assert declined(tmp_path, EFFECTS) == {
        "cast": Reason.VOLATILE,
        "inlined": Reason.VOLATILE,
        "barrier": Reason.ASM_INLINE,
        "relaxed": Reason.ATOMIC,
        "by_another_name": Reason.VOLATILE,
    }


def test_a_statement_is_told_in_the_words_of_its_source(tmp_path: Path) -> None:
    facts, _ = looked_at(tmp_path, EFFECTS)
    assert {name: detail for name, (reason, detail) in facts.effects.items() if reason is Reason.VOLATILE} == {
        "cast": "reads volatile memory (unit:4)",
        "inlined": "reads volatile `port` (unit:3)",
        "by_another_name": "reads volatile `*(volatile int *)p` (unit:12)",
    }


NULL = """
struct item { int value; };
extern struct item *head;
int walk(int k%s) {
    struct item *p = 0;
    int s = 0;
    for (int i = 0; i < k; i++) { if (i & 1) p = head; s += i; }
    if (!p) s += p->value;
    return s;
}
"""


def test_a_path_on_which_a_pointer_is_null_is_not_called_volatile(tmp_path: Path) -> None:
    facts, _ = looked_at(tmp_path, NULL % "")
    assert facts.effects["walk"] == (Reason.NULL_PATH, "reads volatile `(*(struct item *)0B).value` (unit:8)")
    assert declined(tmp_path, NULL % "", "-fno-isolate-erroneous-paths-dereference") == {}
    both = (NULL % ", volatile int *q").replace("return s;", "return s + *q;")
    assert declined(tmp_path, both) == {"walk": Reason.VOLATILE}


def test_the_name_of_a_file_is_no_effect(tmp_path: Path) -> None:
    for name in ("__sync_1.c", "a__atomic_b.c", "__asm__.c", "{v}.c"):
        plain = f'# 1 "{name}"\nint f(int *a, int n) {{ int s = 0; while (n--) s += a[n]; return s; }}\n'
        is_odd = name == "{v}.c"  # this one is taken for an effect: braces may stand in no place that is skipped
        assert bool(declined(tmp_path, plain)) is is_odd, name


def test_cxx_functions_go_by_their_assembler_names(tmp_path: Path) -> None:
    source = "namespace n { int f(volatile int *p, int k) { int s = 0; while (k--) s += *p; return s; } }\n"
    assert declined(tmp_path, source, language="c++") == {"_ZN1n1fEPVii": Reason.VOLATILE}


CALLEES = """\
#include <x86intrin.h>
#define APART static __attribute__((noinline))
extern volatile int port;
int other(int (*)(int), int);
APART int deepest(int x) { return port + x; }
APART int deep(int x) { return deepest(x) * 3; }
APART int hook(int x) { return port - x; }
APART int pure_one(int x) { return x * x + 7; }
APART int through(int (*f)(int), int x) { return f(x) + 1; }
APART long clock_of(void) { return __rdtsc(); }
APART int locked(int *p) { return __sync_fetch_and_add(p, 1); }
#define LOOP(name, what) long name(int *p, int n) { long s = 0; for (int i = 0; i < n; i++) s += what; return s; }
LOOP(calls_deep, deep(p[i]))
LOOP(passes_hook, other(hook, p[i]))
LOOP(calls_pointer, through(pure_one, p[i]))
LOOP(reads_clock, clock_of() - p[i])
LOOP(locks, locked(p + i))
LOOP(calls_pure, pure_one(p[i]))
LOOP(calls_other_unit, other(0, p[i]))
int last_call(int *p, int n) { for (int i = 0; i < n; i++) p[i] = 0; return deep(n); }
__asm__(".type\tby_hand,@function\\nby_hand:\\n\\tret");
int by_hand(int);
LOOP(calls_top_level_assembly, by_hand(p[i]))
"""


def test_a_function_has_the_effects_of_all_that_it_reaches(tmp_path: Path) -> None:
    found = declined(tmp_path, CALLEES, "-fno-ipa-cp", "-fno-pic")
    callees = {"deepest", "deep", "hook", "through", "clock_of", "locked"}
    assert {name: reason for name, reason in found.items() if name not in callees} == {
        "calls_deep": Reason.VOLATILE,
        "passes_hook": Reason.VOLATILE,
        "calls_pointer": Reason.EFFECTS_UNKNOWN,
        "reads_clock": Reason.EFFECTS_UNKNOWN,
        "locks": Reason.ATOMIC,
        "last_call": Reason.VOLATILE,
        "calls_top_level_assembly": Reason.EFFECTS_UNKNOWN,
    }


def test_a_function_that_the_dump_does_not_list_has_unknown_effects(tmp_path: Path) -> None:
    facts, module = looked_at(tmp_path, CALLEES)
    without = UnitFacts({}, {name: said for name, said in facts.attributes.items() if name != "pure_one"})
    cause = without.decline(module, "calls_pure")
    assert cause == (Reason.EFFECTS_UNKNOWN, "in pure_one: pure_one is not in gcc's dump")


def test_recursion_ends(tmp_path: Path) -> None:
    _, module = looked_at(tmp_path, "int g(int); int f(int n) { return n ? g(n - 1) + g(n / 2) : 1; }\n"
                          "__attribute__((noinline)) int g(int n) { return n ? f(n - 1) * f(n / 3) : 2; }")  # fmt: skip
    assert set(reached(module, "f")) == {"f", "g"}


HARMFUL = [
    'target("general-regs-only")', 'target("arch=x86-64")', 'target("avx2")', 'optimize("fast-math")', "ms_abi",
    "sysv_abi", "force_align_arg_pointer", 'zero_call_used_regs("used")', "no_stack_protector", "stack_protect",
    "patchable_function_entry(4)", 'function_return("thunk-inline")', 'indirect_branch("thunk")',
    'target_clones("avx2","default")', 'section(".text.ram")', "returns_twice", "constructor", "simd",
    'fentry_name("hook")', "nocf_check",
]  # fmt: skip


@pytest.mark.parametrize("attribute", HARMFUL)
def test_attribute_that_decides_code_declines_the_function_and_its_callers(attribute: str, tmp_path: Path) -> None:
    found = declined(
        tmp_path,
        f"__attribute__((noinline, {attribute})) void set(int *p, int n) {{ for (int i = 0; i < n; i++) p[i] = n; }}\n"
        "void caller(int *p, int n) { while (n--) set(p, n); }\nint apart(int *p) { return *p; }\n",
        "-fcf-protection" if attribute == "nocf_check" else "-fcf-protection=none",
    )
    # Callers of clones go through a symbol that the program's start resolves: nobody knows to which.
    assert found.pop("caller") is (Reason.EFFECTS_UNKNOWN if "clones" in attribute else Reason.ATTRIBUTE)
    assert set(found.values()) == {Reason.ATTRIBUTE}
    assert "apart" not in found


@pytest.mark.parametrize("language", ["c", "c++"])
def test_pragmas_and_attributes_of_cxx_count(language: str, tmp_path: Path) -> None:
    source = """\
extern "C" int plain(int x) { return x * 3; }
#pragma GCC push_options
#pragma GCC target("avx2")
extern "C" int wide(int x) { return x * 3 + 1; }
#pragma GCC pop_options
#pragma GCC optimize("O1")
extern "C" int narrow(int x) { return x * 3 + 2; }
"""
    found = declined(tmp_path, source if language == "c++" else source.replace('extern "C" ', ""), language=language)
    assert found == {"wide": Reason.ATTRIBUTE, "narrow": Reason.ATTRIBUTE}


def test_harmless_attributes_decline_nothing(tmp_path: Path) -> None:
    source = """\
#define A(...) __attribute__((__VA_ARGS__))
A(noinline, noclone, hot, used, aligned(64), visibility("hidden"), nonnull(1), nothrow, leaf, pure)
A(access(read_only, 1)) int f(const int *p) { return *p; }
A(malloc, returns_nonnull, alloc_size(1), assume_aligned(16), warn_unused_result)
void *g(int x) { return (void *)(long)x; }
A(weak, cold, unused, deprecated("old (really)"), format(printf, 1, 2)) int h(const char *s, ...) { return *s; }
A(noreturn) void i(void) { for (;;) { } }
"""
    assert declined(tmp_path, source) == {}
    facts, _ = looked_at(tmp_path, source)
    assert facts.attributes["h"] == ("cold", 'deprecated ("old (really)")', "format (printf, 1, 2)", "unused", "weak")


def test_words_change_with_effects_and_attributes_of_what_is_reached(tmp_path: Path) -> None:
    def words(middle: str) -> str:
        source = (
            f"extern VOLATILE int port; ATTRIBUTE static int get(int x) {{ return {middle}; }}\n"
            "long f(int *p, int n) { long s = 0; for (int i = 0; i < n; i++) s += get(p[i]); return s; }\n"
        )
        noinline = "-DATTRIBUTE=__attribute__((noinline MORE))"
        facts, module = looked_at(tmp_path, source, noinline, *flags)
        return facts.words(module, "f")

    flags = ["-DVOLATILE=", "-DMORE="]
    plain = words("x + port")
    assert plain == words("x - port")
    flags = ["-DVOLATILE=volatile", "-DMORE="]
    assert words("x + port") != plain
    flags = ["-DVOLATILE=", "-DMORE=,cold"]
    assert words("x + port") != plain


def test_a_compile_with_debug_information_gives_the_same_facts(tmp_path: Path) -> None:
    facts, _ = looked_at(tmp_path, EFFECTS)
    dump = tmp_path / "dump"
    unit = str(tmp_path / "unit")
    ran = TOOLS.compile(["-O3", "-g", "-w", "-S", "-x", "c", unit, "-o", "/dev/null", f"{DUMP_OPTION}={dump}"])
    assert ran.ok
    told = facts_in(dump.read_text())
    assert told.attributes == facts.attributes
    assert {name: reason for name, (reason, _) in told.effects.items()} == {
        name: reason for name, (reason, _) in facts.effects.items()
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(HARMLESS)),
            st.sampled_from(["", ' ("a, b (c")', " (1, 2)", " (printf, 1, 2)", " ((unsigned char) 3)", ' ("\\"")']),
        ).map("".join),
        max_size=6,
    )
)
def test_lists_of_attributes_are_taken_apart(attributes: list[str]) -> None:
    assert attribute_list(f"(({', '.join(attributes)}))") == attributes


def test_a_row_of_attributes_that_is_not_understood_is_no_harmless_one(tmp_path: Path) -> None:
    assert attribute_list('((deprecated ("half') == ['((deprecated ("half']
    source = '__attribute__((deprecated("two\\nlines (((\\""), target("avx2"))) int f(int x) { return x; }\n'
    assert declined(tmp_path, source) == {"f": Reason.ATTRIBUTE}
