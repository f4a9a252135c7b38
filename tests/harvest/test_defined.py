"""Inputs on which C leaves the behaviour open are thrown away, and the reason is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gccllm.base.core import Decline, arena_address
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.harvest.harvest import QUICK, harvest, more_near
from gccllm.harvest.probe import UNDEFINED
from gccllm.harvest.scene import lifted, lower
from gccllm.harvest.side import SideCompile
from tests.kit.harvest import PRELUDE, harvested, memory, scratch, signature, signed
from tests.kit.targets import target_of

SUM = "int f(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }"


def test_signed_overflow_is_no_defined_input() -> None:
    found = harvested(SUM)
    assert found.discards["undefined behaviour"] > 0
    for test in (test for test in found.tests if test.label != UNDEFINED):
        n = signed(test.ints[1], 4)
        data = memory(test, test.ints[0], 4 * n) if n > 0 else None
        if data is not None:
            total = 0
            for i in range(n):
                total += signed(int.from_bytes(data[4 * i : 4 * i + 4], "little"), 4)
                assert -(2**31) <= total < 2**31


def test_unsigned_overflow_is_not() -> None:
    found = harvested(SUM.replace("int *a", "unsigned *a").replace("int s", "unsigned s"))
    assert "undefined behaviour" not in found.discards


def test_results_that_depend_on_uninitialised_memory_are_dropped() -> None:
    code = """__attribute__((noinline)) static void fill(int *t, int n) { for (int i = 0; i < n; i++) t[i] = i; }
    int f(int n) { int t[64]; if (n < 0 || n > 64) return 0; fill(t, n); return t[5]; }"""
    found = harvested(code)
    sizes = {signed(t.ints[0], 4) for t in found.tests}
    assert any(6 <= n <= 64 for n in sizes)
    assert not sizes & set(range(6))


def test_faults_and_endless_loops_are_dropped() -> None:
    found = harvested("unsigned f(const unsigned *p) { while (*p) p += *p; return *p; }")
    assert found.discards["fault"] > 0
    assert found.tests


def test_a_function_without_any_defined_input_is_named() -> None:
    with pytest.raises(Decline) as decline:
        harvested("int f(int *p) { *(volatile int *)0 = 1; return *p; }")
    assert decline.value.reason is Reason.NO_INPUTS
    assert "fault" in decline.value.detail


def test_the_same_seed_gives_the_same_tests() -> None:
    place = scratch()
    (place / "t.c").write_text(PRELUDE + SUM)
    target = target_of(place / "t.c", "f", ["-O3"], place)
    first, second = (harvest(target, 3, 60, QUICK) for _ in range(2))
    assert first.tests == second.tests
    assert first.tests != harvest(target, 4, 60, QUICK).tests


def test_more_inputs_near_given_ones_are_new_and_defined() -> None:
    place = scratch()
    (place / "t.c").write_text(PRELUDE + SUM)
    target = target_of(place / "t.c", "f", ["-O3"], place)
    near = harvest(target, 3, 60, QUICK).tests[:20]
    more = more_near(target, near, 3)
    assert len(more) > 40
    assert not set(more) & set(near)


def test_more_inputs_may_cost_more_where_a_loop_in_a_candidate_needs_it() -> None:
    """An unrolled loop over columns that runs twice in the product of square matrices needs many rows too."""
    place = scratch()
    code = """void f(const unsigned *a, const unsigned *b, unsigned *restrict c, unsigned long n) {
      for (unsigned long i = 0; i < n; i++) for (unsigned long j = 0; j < n; j++) {
        unsigned s = 0;
        for (unsigned long k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j];
        c[i * n + j] = s; } }"""
    (place / "t.c").write_text(PRELUDE + code)
    target = target_of(place / "t.c", "f", ["-O3"], place)
    near = harvest(target, 3, 60, QUICK).tests
    assert max(test.ints[3] for test in more_near(target, near[:20], 3)) > max(test.ints[3] for test in near)


def test_a_test_survives_the_way_back_to_a_scene() -> None:
    code = """struct n { int v; struct n *next; };
    int f(struct n *p, int k) { while (p && p->v != k) p = p->next; return p != 0; }"""
    known = signature(code)
    for test in harvested(code).tests[:50]:
        again = lower(lifted(test, known), known)
        assert again.ints[0] == test.ints[0]
        for region in test.regions:
            at = arena_address(region.arena) + region.offset
            assert memory(again, at, len(region.data)) == region.data


def test_a_side_compile_of_other_code_is_refused() -> None:
    place = scratch()
    source = place / "t.c"
    source.write_text(SUM)
    tools = Toolchain.find()
    text = tools.compile(["-O3", "-S", str(source), "-o", "-"]).out.decode("latin-1")
    side = SideCompile(tools, ["-O3"], source)
    assert side.typed(text, place).sources.rows
    with pytest.raises(Decline) as decline:
        replace(side, flags=["-O1"]).typed(text, place)
    assert decline.value.reason is Reason.SIDE_COMPILE
    with pytest.raises(Decline) as late:
        replace(side, deadline_s=0.0).typed(text, place)
    assert late.value.reason is Reason.DEADLINE  # which nothing remembers: a busy machine says nothing of the source


def test_what_an_option_defines_does_not_trap() -> None:
    source = scratch() / "t.c"
    source.write_text("int f(int a, int b) { return a + b; }")
    tools = Toolchain.find()
    builds = [SideCompile(tools, flags, source).trapping() for flags in (["-O3"], ["-O3", "-fwrapv"])]
    plain, wrapping = (build.text() if build else None for build in builds)
    assert plain is not None
    assert "ud2" in plain
    assert wrapping is not None
    assert "ud2" not in wrapping


def test_pure_library_functions_run_for_real() -> None:
    found = harvested("int f(char *s) { size_t n = strlen(s); for (size_t i = 0; i < n; i++) s[i] ^= 1; return n; }")
    assert found.edges_taken == found.edges_all
    assert found.discards.get("fault", 0) < 60
