"""The recompile proposer with the real compilers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gccllm.assembly import Body, canonical, isa
from gccllm.base import options
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain, run
from gccllm.propose import CompileUnit, Isa, Prompt, make_prompt
from gccllm.propose.recipes import LEVEL_FLAGS, RECIPES, Recipe, level_flags
from gccllm.propose.recompile import RecompileProposer
from gccllm.propose.unit import find_clang
from tests.kit.units import Make

DOT = """\
int dot(const int *a, const int *b, int n) {
  int s = 0;
  for (int i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}
"""


def prompt_for(unit: CompileUnit, name: str, isa: Isa | None = None) -> Prompt:
    assert unit.baseline is not None
    return make_prompt(unit.baseline.functions[name], unit, isa or Isa())


def test_each_recipe_row_is_unique_and_exact() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    for recipe in RECIPES:
        assert "-ffast-math" not in recipe.flags
        assert "contract=fast" not in recipe.flags
        assert recipe.compiler in ("gcc", "clang", "no clang")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_each_recipe_is_accepted_by_its_compiler(recipe: Recipe, unit_of: Make) -> None:
    clang = find_clang()
    if recipe.compiler == "clang" and clang is None:
        pytest.skip("no clang")
    proposer = RecompileProposer([recipe], clang=clang if recipe.compiler == "clang" else None)
    list(proposer.propose(prompt_for(unit_of(DOT, "-O1"), "dot", Isa(0, 5)), 5, 60))
    assert proposer.failures == []


def test_candidates_are_bodies_distinct_and_none_is_the_baseline(unit_of: Make) -> None:
    prompt = prompt_for(unit_of(DOT), "dot", Isa(0, 3))
    bodies = [canonical(Body.parse(c.body)) for c in RecompileProposer().propose(prompt, 50, 60)]
    assert len(bodies) >= 4
    assert len(set(bodies)) == len(bodies)
    assert prompt.baseline not in bodies


def test_wider_vectors_only_where_they_are_allowed(unit_of: Make) -> None:
    unit = unit_of(DOT)
    for allowed, wide in ((0, False), (3, True)):
        bodies = "".join(c.body for c in RecompileProposer().propose(prompt_for(unit, "dot", Isa(0, allowed)), 50, 60))
        assert ("%ymm" in bodies) is wide


def test_asking_for_n_gives_at_most_n(unit_of: Make) -> None:
    assert len(list(RecompileProposer().propose(prompt_for(unit_of(DOT), "dot"), 2, 60))) == 2


def test_earlier_attempts_do_not_come_again(unit_of: Make) -> None:
    from gccllm.propose import Attempt

    prompt = prompt_for(unit_of(DOT), "dot")
    first, second = RecompileProposer().propose(prompt, 2, 60)
    again = list(RecompileProposer().propose(prompt.with_attempts([Attempt(first.body, "not_faster")]), 1, 60))
    assert again[0].body == second.body


def test_private_constants_come_along(unit_of: Make) -> None:
    prompt = prompt_for(unit_of("void f(float *a, int n) { for (int i = 0; i < n; i++) a[i] *= 1.7f; }"), "f")
    candidates = [Body.parse(c.body) for c in RecompileProposer().propose(prompt, 9, 60)]
    assert candidates
    assert all(body.constants and not body.externals for body in candidates)


def test_floating_point_contraction_stays_out_unless_the_baseline_has_it(unit_of: Make) -> None:
    source = (
        "double f(double a, double b, double c) { double s = 0; for (int i = 0; i < 64; i++) s = s * a + b; return s; }"
    )
    own = unit_of(source, "-O3")
    assert not any("fma" in c.body for c in RecompileProposer().propose(prompt_for(own, "f", Isa(0, 3)), 50, 60))
    contracted = unit_of(source, "-O3", "-march=x86-64-v3")
    gcc_only = RecompileProposer([recipe for recipe in RECIPES if recipe.compiler == "gcc"], clang=None)
    assert all("fma" in c.body for c in gcc_only.propose(prompt_for(contracted, "f", Isa(3, 3)), 50, 60))


def test_function_whose_static_table_is_numbered_otherwise_keeps_its_contents(unit_of: Make) -> None:
    table = "static const int t[] = {5, 6, 7, 9};"
    unit = unit_of(f"int f(unsigned i) {{ {table} int s = 0; while (i) {{ s += t[i & 3]; i >>= 2; }} return s; }}")
    clang = find_clang()
    if clang is None:
        pytest.skip("no clang")
    bodies = list(
        RecompileProposer([Recipe("x", "clang", "own", "-O2")], clang=clang).propose(prompt_for(unit, "f"), 1, 60)
    )
    assert Body.parse(bodies[0].body).externals == frozenset()


def test_static_function_that_the_baseline_keeps_is_found_under_its_name(unit_of: Make) -> None:
    source = (
        "static __attribute__((noinline)) int f(const int *a, int n) { int s = 0; while (n--) s ^= a[n]; return s; }\n"
    )
    unit = unit_of(source + "int g(const int *a, int n) { return f(a, n) + f(a + 1, n); }", "-O2")
    assert unit.baseline is not None
    assert "f" in unit.baseline.functions
    assert list(RecompileProposer().propose(prompt_for(unit, "f"), 1, 60))


def test_no_candidate_calls_a_local_function_that_only_the_recompiled_unit_has(unit_of: Make) -> None:
    source = (
        "static int h(int x) { for (int i = 0; i < x; i++) x ^= x << 3; return x; }\n"
        "int f(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += h(a[i]); return s; }\n"
        "int k(int x) { return h(x) * h(x + 1) + h(x + 2); }\n"
    )
    unit = unit_of(source)
    assert unit.baseline is not None
    for candidate in RecompileProposer().propose(prompt_for(unit, "f"), 50, 60):
        assert Body.parse(candidate.body).externals <= unit.baseline.functions.keys()


def test_unit_is_compiled_once_per_recipe_for_all_its_functions(unit_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = unit_of(DOT + DOT.replace("dot", "dot2"))
    first, second = prompt_for(unit, "dot"), prompt_for(unit, "dot2")
    proposer = RecompileProposer()
    list(proposer.propose(first, 50, 60))
    monkeypatch.setattr("gccllm.propose.unit.run", lambda *a, **k: pytest.fail("compiled again"))
    assert list(proposer.propose(second, 50, 60))


def test_missing_unit_and_vanished_source_are_named(unit_of: Make) -> None:
    proposer = RecompileProposer()
    assert list(proposer.propose(Prompt("f", "\tret\n"), 5, 60)) == []
    assert [failure.reason for failure in proposer.failures] == [Reason.NO_SOURCE]
    unit = unit_of(DOT)
    prompt = prompt_for(unit, "dot")
    unit.source.unlink()
    assert list(proposer.propose(prompt, 5, 60)) == []
    assert {failure.reason for failure in proposer.failures[1:]} == {Reason.RECIPE_FAILED}


def test_no_time_gives_nothing(unit_of: Make) -> None:
    assert list(RecompileProposer().propose(prompt_for(unit_of(DOT), "dot"), 5, 0.0)) == []


def test_compiler_that_hangs_is_stopped(tmp_path: Path, unit_of: Make) -> None:
    prompt = prompt_for(unit_of(DOT), "dot")
    hanging = tmp_path / "clang"
    hanging.write_text("#!/bin/sh\nsleep 60\n")
    hanging.chmod(0o755)
    proposer = RecompileProposer([Recipe("x", "clang", "own", "-O3")], clang=str(hanging))
    assert list(proposer.propose(prompt, 5, 0.5)) == []


def test_hardening_of_the_baseline_is_asked_of_clang_too(unit_of: Make) -> None:
    cases = "".join(f"case {i}: return y {op};" for i, op in enumerate(("* 3", "- 7", "^ 5", "/ 9", "<< 2")))
    source = f"int f(int x, int y) {{ switch (x) {{ {cases} }} return 0; }}"
    unit = unit_of(source, "-O2", "-fcf-protection=full")
    for candidate in RecompileProposer().propose(prompt_for(unit, "f"), 50, 60):
        indirect = [line for line in candidate.body.splitlines() if "jmp" in line and "*" in line]
        assert all("notrack" in line for line in indirect)


def test_isa_levels_of_a_recipe() -> None:
    best, third = Recipe("b", "gcc", "best", ""), Recipe("t", "gcc", "v3", "")
    assert level_flags(best, 0, 5) == LEVEL_FLAGS[5]
    assert level_flags(best, 3, 3) == ()
    assert level_flags(best, 0, 0) == ()
    assert level_flags(third, 0, 2) is None
    assert level_flags(third, 3, 5) is None
    assert level_flags(third, 0, 5) == LEVEL_FLAGS[3]


@pytest.mark.parametrize("level", sorted(LEVEL_FLAGS))
def test_level_flags_permit_what_the_guard_of_that_level_tests(level: int) -> None:
    features = isa.march_features(LEVEL_FLAGS[level], Toolchain.find())
    permitted = set().union(*(row.features for row in isa.LEVELS if row.number <= min(level, 5)))
    assert permitted <= features | isa.LEVELS[0].features
    assert isa.level_of(features) == min(level, 5)


@pytest.mark.parametrize("level", sorted(LEVEL_FLAGS))
def test_level_flags_are_known_to_clang(level: int) -> None:
    clang = find_clang()
    if clang is None:
        pytest.skip("no clang")
    assert run([clang, *LEVEL_FLAGS[level], "-Werror", "-fsyntax-only", "-x", "c", "/dev/null"]).ok


def test_gcc_only_options_do_not_reach_clang() -> None:
    given = ("-O2", "-Ia", "-I", "b", "-D", "X=1", "-fipa-pta", "-std=gnu11", "-fwrapv", "-Wextra", "-include", "p.h")
    assert options.for_clang(given) == ("-Ia", "-I", "b", "-D", "X=1", "-std=gnu11", "-fwrapv", "-include", "p.h")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("-c a.c -o a.o -O2", "-O2"),
        ("-MD -MF a.d -MT a.o -Ix -I y", "-Ix -I y"),
        ("-g3 -ggdb -gsplit-dwarf -Wall -Werror -O3", "-Wall -O3"),
        ("-Wl,-z,now -L/x -lm -L /y -shared -pie -O1", "-O1"),
        ("-include a.h -isystem b -D A=1 -UX --param max-unroll-times=2",) * 2,
        (
            "-flto -fno-lto -save-temps -dumpdir x- -dumpbase a.c -march=native -mtune=generic",
            "-march=native -mtune=generic",
        ),
        ("-x c - -std=c99 -fPIC -fvisibility=hidden -pthread", "-std=c99 -fPIC -fvisibility=hidden -pthread"),
        ("-fsyntax-only -v -Q -fdump-tree-all -fprofile-use=x -fno-strict-aliasing", "-fno-strict-aliasing"),
    ],
)
def test_options_that_decide_the_code_are_kept_and_others_not(given: str, kept: str) -> None:
    assert " ".join(options.repeated(given.split())) == kept


def test_compiler_on_path_is_found_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("clang", "clang-15", "clang-19"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_clang() == str(tmp_path / "clang-19")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert find_clang() is None
    assert shutil.which("clang") is None
