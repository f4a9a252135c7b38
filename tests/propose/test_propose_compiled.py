"""Bodies of provenance: what is refused, with its nearest neighbour that is not, and what comes along with a body."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, BodyError
from gccllm.base.reasons import Reason
from gccllm.propose.compiled import BY_NAME, COMPILED, CompiledBodies
from gccllm.propose.protocol import Isa
from tests.kit.units import Make

OWN = "__attribute__((noinline)) "
SUM = OWN + "long sum(const int *a, int n) { long s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }\n"


def bodies(unit_of: Make, source: str, *flags: str, name: str = "unit.c") -> CompiledBodies:
    return CompiledBodies(unit_of(source, *(flags or ("-O3",)), name=name), Isa(0, 5))


def body(made: CompiledBodies, name: str, recipe: str = "O2") -> Body:
    return made.body(name, BY_NAME[recipe])


def refusal(made: CompiledBodies, name: str, recipe: str = "O2") -> tuple[Reason, str]:
    with pytest.raises(BodyError) as caught:
        body(made, name, recipe)
    return caught.value.reason, caught.value.detail


def mnemonics(made: Body) -> set[str]:
    return {line.mnemonic for line in made.lines}


@pytest.mark.parametrize("recipe", COMPILED, ids=[recipe.name for recipe in COMPILED])
def test_every_recipe_gives_a_body(unit_of: Make, recipe: object) -> None:
    made = bodies(unit_of, SUM)
    assert body(made, "sum", recipe.name).lines  # type: ignore[attr-defined]


def test_a_recipe_costs_one_compile(unit_of: Make) -> None:
    made = bodies(unit_of, SUM + SUM.replace("sum", "sum2"))
    body(made, "sum"), body(made, "sum2")
    assert len(made.unit._modules) == 1


# --- levels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", [Isa(0, 0), Isa(0, 3), Isa(0, 5), Isa(3, 4)], ids=str)
def test_levels_that_the_unit_has_or_may_not_use_are_no_recipes(unit_of: Make, isa: Isa) -> None:
    offered = {recipe.level for recipe in CompiledBodies(unit_of(SUM), isa).recipes()}
    known = {recipe.level for recipe in COMPILED}
    assert offered == {0} | {level for level in known if isa.permitted < level <= isa.allowed}


@pytest.mark.parametrize(
    ("types", "levels"),
    [("typedef float v8 __attribute__((vector_size(32)));\n", False), ("typedef float v8;\n", True)],
    ids=["vector", "scalar"],
)
def test_a_source_with_vector_types_of_its_own_gets_no_other_level(unit_of: Make, types: str, levels: bool) -> None:
    """Where a wide vector lies in a call depends on the options."""
    offered = {recipe.name for recipe in bodies(unit_of, types + SUM).recipes()}
    assert {"O2", "unrolled"} <= offered
    assert ("v3" in offered) == levels


def test_macros_of_another_level_do_not_show_in_the_source(unit_of: Make) -> None:
    source = OWN + "int level(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i];\n"
    source += "#ifdef __AVX2__\n return s + 1000;\n#else\n return s + 77;\n#endif\n}\n"
    text = body(bodies(unit_of, source), "level", "v3").text()
    assert "77" in text
    assert "1000" not in text


def test_macros_of_another_optimisation_do_not_show_in_the_source(unit_of: Make) -> None:
    source = "#ifdef __OPTIMIZE__\n#define N 77\n#else\n#define N 99\n#endif\n" + SUM.replace(
        "return s", "return s + N"
    )
    assert "77" in body(bodies(unit_of, source), "sum", "scalar").text()


# --- clones --------------------------------------------------------------------------------------------

CLONES = """
static OWN int scaled(const int *a, int n, int by) { int s = 0; for (int i = 0; i < n; i++) s += a[i] * by; return s; }
int one(const int *a) { return scaled(a, 100, 3) + 1; }
int two(const int *a) { return scaled(a, 100, 3) + 2; }
""".replace("OWN", OWN)


def test_a_clone_is_no_target(unit_of: Make) -> None:
    made = bodies(unit_of, CLONES)
    assert made.unit.baseline is not None
    (clone,) = (name for name in made.unit.baseline.functions if name.startswith("scaled."))
    assert refusal(made, clone) == (
        Reason.OTHER_SYMBOLS, "it is a clone: another compile may make it for other constants",
    )  # fmt: skip


def test_a_caller_of_a_clone_brings_along_what_it_calls(unit_of: Make) -> None:
    """gcc's own text has the clone only, with parameters of its own."""
    made = body(bodies(unit_of, CLONES), "one")
    assert made.externals == set()
    assert any(line.label.startswith(".Lcallee") for line in made.lines)


def test_a_callee_that_gccs_own_text_has_is_called_there(unit_of: Make) -> None:
    source = "int scaled(const int *, int, int);\n" + CLONES.replace("static ", "").replace(
        OWN, "__attribute__((noipa)) "
    )
    assert body(bodies(unit_of, source), "one").externals == {"scaled"}


def test_the_address_of_a_function_that_gccs_own_text_has_not_is_refused(unit_of: Make) -> None:
    """Somebody might compare it."""
    source = "void keep(void *);\nvoid known(void) { keep(0); }\n" + CLONES
    made = bodies(unit_of, source)
    clone = source.replace("scaled(a, 100, 3) + 1", "(keep(scaled), scaled(a, 100, 3) + 1)")
    made.unit.__dict__["preprocessed"] = clone.encode()
    reason, detail = refusal(made, "one")
    assert reason is Reason.OTHER_SYMBOLS
    assert detail.startswith("the address of ")


# --- floats --------------------------------------------------------------------------------------------

DOUBLES = SUM.replace("long", "double").replace("int *a", "double *a")
COMPLEX = """typedef struct { float r, i; } number;
OWN void multiply(number *to, const number *a, const number *b, int n) {
    for (int i = 0; i < n; i++) {
        number x = a[i], y = b[i];
        to[i].r = x.r * y.r - x.i * y.i;
        to[i].i = x.r * y.i + x.i * y.r;
    }
}
""".replace("OWN", OWN)


def test_a_body_that_fuses_multiplications_and_additions_is_refused(unit_of: Make) -> None:
    """gcc 12 makes vfmaddsub of these where it may, whatever -ffp-contract says; AVX-512 has it without -mfma."""
    made = bodies(unit_of, COMPLEX)
    reason, detail = refusal(made, "multiply", "v4")
    assert (reason, detail[:9]) == (Reason.FUSED, "vfmaddsub")
    assert not any("vfm" in word for word in mnemonics(body(made, "multiply", "v3")))


def test_where_gccs_own_text_fuses_no_body_computes_floats(unit_of: Make) -> None:
    """-mfma permits both; a recipe that rounds twice would print other digits."""
    source = SUM + DOUBLES.replace("sum", "dot").replace("a[i]", "a[i] * a[i + 1]")
    fuses = bodies(unit_of, source, "-O3", "-mfma")
    reason, detail = refusal(fuses, "dot")
    assert (reason, detail[:22]) == (Reason.FUSED, "gcc's own text has vfm")
    assert body(fuses, "sum").lines
    assert body(bodies(unit_of, source, "-O3", "-mfma", "-ffp-contract=off"), "dot", "unrolled").lines


@pytest.mark.parametrize(
    "flag",
    ["-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-fassociative-math", "-fno-signed-zeros", "-mfpmath=387"],
)
def test_in_a_unit_of_loose_floats_no_body_computes_them(unit_of: Make, flag: str) -> None:
    """Two compiles may round differently, so no body is as good as gcc's own."""
    made = bodies(unit_of, SUM + DOUBLES.replace("sum", "total"), "-O3", flag)
    assert refusal(made, "total")[0] is Reason.LOOSE_FLOATS
    assert body(made, "sum").lines


@pytest.mark.parametrize("flags", [("-Ofast", "-fno-fast-math"), ("-ffast-math", "-fno-fast-math"), ("-Ofast", "-O3")])
def test_a_unit_that_takes_it_back_has_bodies(unit_of: Make, flags: tuple[str, ...]) -> None:
    assert body(bodies(unit_of, DOUBLES, "-O3", *flags), "sum").lines


@pytest.mark.parametrize(
    "asks",
    [
        '__attribute__((optimize("fast-math"))) ', '__attribute__((optimize("Ofast"))) ',
        '__attribute__((__optimize__("-funsafe-math-optimizations"))) ', '#pragma GCC optimize("associative-math")\n',
        '#pragma GCC optimize "Ofast"\n',
        '__attribute__((optimize("no-trapping-math", "no-signed-zeros"))) ',
    ],
)  # fmt: skip
def test_a_source_that_asks_for_loose_floats_has_no_bodies(unit_of: Make, asks: str) -> None:
    assert refusal(bodies(unit_of, asks + DOUBLES), "sum")[0] is Reason.LOOSE_FLOATS


def test_a_source_that_asks_for_another_level_has_bodies(unit_of: Make) -> None:
    assert body(bodies(unit_of, '__attribute__((optimize("O2"))) ' + DOUBLES), "sum", "unrolled").lines


# --- names ---------------------------------------------------------------------------------------------


def counting(name: str, step: str, kind: str = "static long") -> str:
    return (
        OWN + f"long {name}(const int *a, int n) {{ {kind} count; while (n--) count += a[n] {step}; return count; }}\n"
    )


def test_variables_of_one_name_in_two_functions_are_refused(unit_of: Make) -> None:
    made = bodies(unit_of, counting("f", "+ 1") + counting("g", "+ 2"))
    for name in ("f", "g"):
        reason, detail = refusal(made, name)
        assert reason is Reason.OTHER_SYMBOLS
        assert detail.startswith("several functions have a variable like count.")


def test_variables_of_two_names_are_not(unit_of: Make) -> None:
    made = bodies(unit_of, counting("f", "+ 1") + counting("g", "+ 2").replace("count", "total"))
    assert {symbol.partition(".")[0] for name in ("f", "g") for symbol in body(made, name).externals} == {
        "count",
        "total",
    }


def test_tables_of_one_name_are_refused_where_they_may_be_confused(unit_of: Make) -> None:
    table = "{ static const int t[4] = {ROW}; int s = 0; while (n--) s += t[(i * n) & 3]; return s; }\n"
    rows = {"f": "1,2,3,9", "g": "5,6,7,4"}
    made = bodies(
        unit_of, "".join(f"{OWN}int {f}(int i, int n) {table.replace('ROW', row)}" for f, row in rows.items())
    )
    assert refusal(made, "f")[0] is Reason.OTHER_SYMBOLS


def test_an_object_that_another_compile_defines_otherwise_is_refused(unit_of: Make) -> None:
    """Its address may be compared; `__OPTIMIZE__` shows nothing here, so the definition is changed by hand."""
    source = "int table[4] = {1, 2, 3, 4};\n" + OWN
    source += "int f(int n) { int s = 0; while (n--) s += table[(n * n) & 3]; return s; }\n"
    made = bodies(unit_of, source)
    made.unit.__dict__["preprocessed"] = source.replace("{1, 2, 3, 4}", "{1, 2, 3, 5}").encode()
    assert refusal(made, "f") == (Reason.OTHER_SYMBOLS, "table is defined otherwise in gcc's own text")
    assert body(bodies(unit_of, source), "f").externals == {"table"}


def test_a_function_that_gcc_has_inlined_away_is_refused(unit_of: Make) -> None:
    made = bodies(unit_of, "static int small(int x) { return x + 1; }\n" + SUM)
    assert refusal(made, "small") == (Reason.NO_CANDIDATE, "inlined away")


def test_a_function_with_exception_tables_is_refused(unit_of: Make) -> None:
    source = (
        "void may(int); struct D { ~D(); };\n"
        + OWN
        + "void holds(int n) { D d; for (int i = 0; i < n; i++) may(i); }\n"
    )
    made = bodies(unit_of, source, name="unit.cc")
    assert refusal(CompiledBodies(cxx(made), Isa(0, 5)), "holds") == (Reason.NO_CANDIDATE, "inlined away")


def cxx(made: CompiledBodies) -> object:
    made.unit.language = "c++"
    return made.unit


# --- what comes along --------------------------------------------------------------------------------


def test_constants_come_along(unit_of: Make) -> None:
    source = OWN + "void scale(double *a, int n) { for (int i = 0; i < n; i++) a[i] = a[i] * 3.7 + 0.1; }\n"
    made = body(bodies(unit_of, source), "scale", "v3")
    assert made.constants
    assert made.externals == set()


def test_jump_tables_and_cold_parts_come_along(unit_of: Make) -> None:
    cases = "".join(f"case {n}: s += {n * n + 3} ^ n; break; " for n in range(9))
    source = OWN + "void fail(int) __attribute__((cold));\n" + OWN
    source += "int pick(const int *a, int n) { int s = 0; "
    source += f"while (n--) switch (a[n]) {{ {cases} default: fail(s); }} return s; }}\n"
    made = body(bodies(unit_of, source), "pick")
    assert made.externals == {"fail"}
    assert any(set(constant.symbols) & set(made.labels) for constant in made.constants)


def test_string_tables_of_its_own_come_along_or_stay_the_units(unit_of: Make) -> None:
    source = 'static const char *const names[] = {"zero", "one", "two"};\n' + OWN
    source += 'const char *name(unsigned n) { return n < 3 ? names[n] : "many"; }\n'
    made = body(bodies(unit_of, source), "name", "branchy")
    (many,) = made.externals - {"names"}
    assert many.startswith(".LC")  # gcc's own string: its address may be compared


def test_thread_local_data_stays_the_units(unit_of: Make) -> None:
    made = body(bodies(unit_of, "static _Thread_local long calls;\n" + SUM.replace("return", "calls++; return")), "sum")
    assert made.externals == {"calls"}
    assert "%fs:" in made.text()


def test_the_name_of_the_function_comes_along(unit_of: Make) -> None:
    """Each has a `__func__` and gcc numbers them as it likes, but its address means nothing."""
    source = "void say(const char *);\n" + SUM.replace("return", "say(__func__); return")
    made = bodies(unit_of, source + source.replace("sum", "other"))
    for name in ("sum", "other"):
        symbols = {one for one in body(made, name).externals if one.startswith("__func__.")}
        copies = body(made, name).constants
        assert made.unit.baseline is not None
        texts = [made.unit.baseline.objects[one].directives[-1][1] for one in symbols]
        assert f'"{name}"' in str(texts or copies)


def test_endbr_is_left_to_the_splice(unit_of: Make) -> None:
    assert "endbr64" not in mnemonics(body(bodies(unit_of, SUM, "-O3", "-fcf-protection"), "sum"))


def test_a_compile_that_fails_is_said_to(unit_of: Make) -> None:
    made = bodies(unit_of, SUM)
    made.unit.__dict__["preprocessed"] = b"int broken(\n"
    reason, detail = refusal(made, "sum")
    assert reason is Reason.RECIPE_FAILED
    assert detail.startswith("O2: ")
