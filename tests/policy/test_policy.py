"""Who is eligible: each decline has an example that meets it and a neighbour that does not."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.assembly import Module, cfg
from gccllm.base.core import Decline
from gccllm.base.events import Log
from gccllm.base.options import LAUNCHER_ADDS, PRIVATE
from gccllm.base.reasons import Reason, Scope
from gccllm.commands.oneshot import request_for
from gccllm.harvest.side import SideCompile
from gccllm.store.entry import Entry
from gccllm.unit import hotness, policy
from gccllm.unit.plan import find_source, plan
from gccllm.unit.session import UnitSession
from tests.kit.settings import LOOP, settings

ROOT = Path(__file__).resolve().parents[2]


def unit_reason(
    options: list[str], text: str = '\t.ident\t"GCC: (X) 12"\n', as_argv: tuple[str, ...] = ()
) -> Reason | None:
    try:
        policy.declines_unit([*LAUNCHER_ADDS, *options], as_argv, text, settings())
    except Decline as decline:
        return decline.reason
    return None


@pytest.mark.parametrize(
    ("label", "speedup", "reason"),
    [
        ("small", 1.05, Reason.NOT_FASTER),
        ("small", 1.11, None),
        ("recorded-short", 1.05, None),
        ("recorded-short", 1.01, Reason.NOT_FASTER),
    ],
)
def test_a_stored_rewrite_meets_the_limits_of_today(label: str, speedup: float, reason: Reason | None) -> None:
    entry = Entry.load(next((ROOT / "cache" / "rewrites").glob("*.entry")).read_bytes())
    assert entry.evidence is not None
    timing = entry.evidence.timing.model_copy(update={"speedup": speedup, "classes": {label: speedup}})
    evidence = entry.evidence.model_copy(update={"timing": timing})
    assert policy.admits(entry.model_copy(update={"evidence": evidence}), settings()) is reason


@pytest.mark.parametrize("row", policy.UNIT_ROWS, ids=lambda row: row.example)
def test_each_row_declines_its_example(row: policy.UnitRow) -> None:
    assert re.fullmatch(row.pattern, row.example)
    assert unit_reason(["-O2", row.example]) is row.reason


@pytest.mark.parametrize("row", [r for r in policy.UNIT_ROWS if r.unless], ids=lambda row: row.unless)
def test_a_later_option_takes_a_decline_back(row: policy.UnitRow) -> None:
    assert unit_reason(["-O2", row.example, row.unless]) is None
    assert unit_reason(["-O2", row.unless, row.example]) is row.reason


@pytest.mark.parametrize(
    "options", [["-O2", "-Wall"], ["-O1", "-mcmodel=small"], ["-Ofast"], ["-O0", "-O3"], ["-O", "-g3"]]
)
def test_ordinary_options_are_not_declined(options: list[str]) -> None:
    assert unit_reason(options) is None


@pytest.mark.parametrize("options", [[], ["-O0"], ["-O3", "-Og"], ["-O2", "-Os"], ["-O3", "-O0"]])
def test_a_debug_or_size_build_is_left_alone(options: list[str]) -> None:
    assert unit_reason(options) is Reason.OPTIMISATION_OFF


@pytest.mark.parametrize(
    ("version", "reason"),
    [("(Debian 10.2.1-6) 10.2.1 20210110", Reason.GCC_UNVERIFIED), ("(GNU) 9.5.0", Reason.GCC_UNVERIFIED),
     ("(GNU) 11.3.0", None)],
)  # fmt: skip
def test_units_of_a_gcc_that_says_too_little_are_left_alone(version: str, reason: Reason | None) -> None:
    assert unit_reason(["-O2"], text=f'f:\n\tret\n\t.ident\t"GCC: {version}"\n') is reason


def test_text_that_gcc_did_not_print_is_left_alone() -> None:
    assert unit_reason(["-O2"], text="f:\n\tret\n") is Reason.NOT_GCC_OUTPUT


@pytest.mark.parametrize("argument", ["-a", "-al=x.lst", "-ahlms"])
def test_a_listing_is_of_gccs_own_text(argument: str) -> None:
    assert unit_reason(["-O2"], as_argv=(argument,)) is Reason.ASSEMBLER_LISTING


FUNCTIONS = {
    Reason.UNSUPPORTED_CODE: "int f(int n) { __builtin_unreachable(); }",
    Reason.ASM_INLINE: 'int f(int n, int s) { for (int i = 0; i < n; i++) __asm__("incl %0" : "+r"(s)); return s; }',
    Reason.ATOMIC: "int f(int *p, int n) { for (int i = 0; i < n; i++) __atomic_add_fetch(p + i, 1, 5); return *p; }",
    Reason.TLS: "int f(__seg_fs int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }",
    Reason.INDIRECT_CALL: "int f(int (*g)(int), int n) { int s = 0; for (int i = 0; i < n; i++) s += g(i); return s; }",
    Reason.SETJMP: "#include <setjmp.h>\njmp_buf b; int g(void);"
    " int f(int n) { while (n-- > 0) if (setjmp(b) == 0) n -= g(); return n; }",
}


@pytest.mark.parametrize("reason", FUNCTIONS, ids=str)
def test_each_static_reason_has_a_function_that_meets_it(tmp_path: Path, reason: Reason) -> None:
    (tmp_path / "t.c").write_text(FUNCTIONS[reason] + "\n")
    text = request_for(tmp_path / "t.c", ["-O2"]).text
    module = Module.parse(text.replace("\tud2\n", ""))  # gcc 16 prints one where older ones print nothing
    with pytest.raises(Decline) as caught:
        policy.declines_function(module.functions["f"], settings())
    assert caught.value.reason is reason


def test_a_plain_loop_is_eligible_and_a_straight_line_is_not_hot(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text(
        LOOP + "int g(int x) { return x * 3; }\nint h(int n) { return n < 2 ? n : h(n - 1) + h(n - 2); }\n"
    )
    module = Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text)
    warm, left = hotness.rank(module, settings())
    assert {heat.function.name for heat in warm} == {"f", "h"}
    assert [(one.function.name, one.reason) for one in left] == [("g", Reason.NOT_HOT)]


INTERPRETER = """
int f(const unsigned char *p, int n) {
    static void *const to[] = {&&add, &&sub, &&end};
    goto *to[*p];
add: n += p[1]; p += 2; goto *to[*p];
sub: n -= p[1]; p += 2; goto *to[*p];
end: return n;
}
"""


def test_an_interpreter_is_not_called_cold_because_nobody_can_follow_its_jumps(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text(INTERPRETER)
    module = Module.parse(request_for(tmp_path / "t.c", ["-O3"]).text)
    warm, _ = hotness.rank(module, settings())
    assert [heat.function.name for heat in warm] == ["f"]
    with pytest.raises(Decline) as caught:
        policy.declines_function(module.functions["f"], settings())
    assert caught.value.reason is Reason.UNSUPPORTED_CODE


def test_deeper_loops_come_first_and_a_profile_outranks_depth(tmp_path: Path) -> None:
    deep = "void g(int *a, int n) { for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) a[i] ^= a[j] * 7; }\n"
    (tmp_path / "t.c").write_text(LOOP + deep)
    module = Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text)
    assert [h.function.name for h in hotness.rank(module, settings())[0]] == ["g", "f"]
    assert [h.function.name for h in hotness.rank(module, settings(), {"f": 0.9, "g": 0.1})[0]] == ["f", "g"]
    assert [h.function.name for h in hotness.rank(module, settings(), {"f": 0.9})[0]] == ["f"]


def test_recorded_time_ranks_where_there_is_no_profile(tmp_path: Path) -> None:
    """Watched and never called is not hot; what was not watched is ranked after, by the static guess."""
    deep = "void g(int *a, int n) { for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) a[i] ^= a[j] * 7; }\n"
    (tmp_path / "t.c").write_text(LOOP + deep + deep.replace(" g(", " h(") + "int k(int x) { return x * 3; }\n")
    module = Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text)

    def ranked(recorded: dict[str, float], profile: dict[str, float] | None = None) -> list[str]:
        return [heat.function.name for heat in hotness.rank(module, settings(), profile, recorded)[0]]

    assert ranked({"f": 0.9, "g": 0.1}) == ["f", "g", "h"]
    assert ranked({"f": 1.0, "g": 0.0}) == ["f", "h"]
    assert ranked({"k": 1.0}) == ["k", "h", "g", "f"] or ranked({"k": 1.0}) == ["k", "g", "h", "f"]
    assert ranked({"f": 1.0, "g": 0.0}, {"g": 0.5}) == ["g"]  # a profile outranks it


def test_globs_exclude_and_include(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text(LOOP + "int g(int x) { return x * 3; }\n")
    module = Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text)
    assert [h.function.name for h in hotness.rank(module, settings(exclude="f*", include="g"))[0]] == ["g"]


@pytest.mark.parametrize(
    "glob", ["_Z*5totalEPKii", "image::total", "image::t*", "image::total(int const*, int)", "*int)"]
)
def test_globs_match_a_c_plus_plus_name_in_every_spelling(tmp_path: Path, glob: str) -> None:
    total = "int total(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }"
    (tmp_path / "t.cc").write_text(f'namespace image {{ {total} }}\nextern "C" {LOOP}')
    module = Module.parse(request_for(tmp_path / "t.cc", ["-O2"]).text)
    for name, is_left in (("exclude", True), ("only", False)):
        given = settings(**{name: [glob]})
        warm, left = hotness.rank(module, given)
        named = {one.function.name for one in left} if is_left else {heat.function.name for heat in warm}
        assert named == {"_ZN5image5totalEPKii"}
        assert {one.detail.partition(" ")[0] for one in left} == {name}


CALLED = """
static __attribute__((noinline)) int sum(int *a, int n) { int s = 0; while (n--) s += a[n]; return s; }
int sum_all(int *a, int n);
"""
LOOPED = "{ int s = 0; while (n--) s += a[n] * n; return s; }"


def set_up(where: Path, code: str, **given: object) -> dict[str, str]:
    """function -> the rule by which a build does not wait for it; empty where it does."""
    (where / "t.c").write_text(code)
    module = Module.parse(request_for(where / "t.c", ["-O2"]).text)
    return {heat.function.name: heat.set_up for heat in hotness.rank(module, settings(**given))[0]}


@pytest.mark.parametrize(
    ("name", "word"),
    [("table_init", "init"), ("usage", "usage"), ("dump_state", "dump"), ("config_read", "config"),
     ("initial_sum", ""), ("reprint", ""), ("exits", "")],
)  # fmt: skip
def test_a_build_does_not_wait_for_what_is_called_like_set_up_code(tmp_path: Path, name: str, word: str) -> None:
    rule = f"`{word}` in its name" if word else ""
    assert set_up(tmp_path, f"int {name}(int *a, int n) {LOOPED}") == {name: rule}
    assert set_up(tmp_path, f"__attribute__((hot)) int {name}(int *a, int n) {LOOPED}") == {name: ""}
    assert set_up(tmp_path, f"int {name}(int *a, int n) {LOOPED}", include=name) == {name: ""}


@pytest.mark.parametrize(
    ("callers", "rule"),
    [
        ("int table_init(int *a, int n) { return sum(a, n) + 1; }", "called by table_init alone, outside loops"),
        ("int table_init(int *a, int n) { int s = 0; while (n--) s ^= sum(a, n); return s; }", ""),
        ("int table_init(int *a, int n) { return sum(a, n) + 1; } int f(int *a) { return sum(a, 9) + 2; }", ""),
        ("int table_init(int *a, int n) { return sum(a, n) + 1; } int (*hook)(int *, int) = sum;", ""),
        ("int main(int n, char **v) { return sum((int *)v, n) + 1; }", ""),
    ],
    ids=["set-up code", "set-up code, in a loop", "other code too", "through a pointer", "main, once"],
)
def test_what_only_set_up_code_calls_is_set_up_code(tmp_path: Path, callers: str, rule: str) -> None:
    assert set_up(tmp_path, CALLED + callers)["sum"] == rule


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        ("__attribute__((cold)) " + LOOP, Reason.COLD, "gcc placed it in .text.unlikely"),
        ("__attribute__((destructor)) void f(void) { extern int a[]; for (int i = 0; i < 99; i++) a[i] ^= i; }",
         Reason.COLD, "gcc placed it in .text.exit"),
        ("int main(int n, char **v) { return n * 3 + !v; }", Reason.NOT_HOT, "no loop, no recursion"),
    ],
    ids=["cold", "destructor", "main's straight line"],
)  # fmt: skip
def test_cold_code_is_left_with_its_rule(tmp_path: Path, code: str, reason: Reason, detail: str) -> None:
    (tmp_path / "t.c").write_text(code)
    [left] = hotness.rank(Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text), settings())[1]
    assert (left.reason, left.detail) == (reason, detail)


COROUTINE = """
char *encode(const unsigned char *p, const unsigned char *end, char *out, int *step, const char *digits) {
    switch (*step) {
        while (1) {
    case 0: if (p == end) { *step = 0; return out; }
            *out++ = digits[*p++ >> 2];
    case 1: if (p == end) { *step = 1; return out; }
            *out++ = digits[*p++ & 63];
        }
    }
    return out;
}
"""


def test_a_loop_that_is_entered_in_two_places_is_a_loop(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text(COROUTINE)
    module = Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text)
    assert not cfg(module.functions["encode"].body).loops
    [heat] = hotness.rank(module, settings())[0]
    assert heat.depth == 1


def test_a_profile_knows_better_than_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text(LOOP.replace(" f(", " table_init("))
    module = Module.parse(request_for(tmp_path / "t.c", ["-O2"]).text)
    assert [heat.set_up for heat in hotness.rank(module, settings(), {"table_init": 0.5})[0]] == [""]
    assert [heat.set_up for heat in hotness.rank(module, settings(), None, {"table_init": 0.5})[0]] == [""]
    [left] = hotness.rank(module, settings(), {"other": 1.0})[1]
    assert left.detail == "it has no sample in the profile"


def test_the_plan_finds_the_source_again(tmp_path: Path) -> None:
    (tmp_path / "a b.c").write_text(LOOP)
    unit = plan(request_for(Path("a b.c"), ["-O2", "-DX=1", "-MD", "-g"], cwd=tmp_path), settings())
    assert unit.source == (tmp_path / "a b.c").resolve()
    assert "-D X=1" in " ".join(unit.flags)
    assert not {"-MD", "-g", "-S", "-o"} & set(unit.flags)


@pytest.mark.parametrize("word", ["src/t.c", "./src/t.c", "src/../src/t.c"])
def test_the_source_is_compiled_again_under_the_name_that_the_build_used(tmp_path: Path, word: str) -> None:
    """Or else an assertion's __FILE__ makes other code, and nothing can be said of its types."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "t.c").write_text(f"#include <assert.h>\n{LOOP.replace('return', 'assert(s != 3); return')}")
    given = request_for(tmp_path / word, ["-O2"], cwd=tmp_path)
    flags = ["-O2", *LAUNCHER_ADDS]
    text = subprocess.run(["gcc", *flags, "-S", "-o", "-", word], cwd=tmp_path, capture_output=True, check=True).stdout
    request = replace(given, text=text.decode("latin-1"), driver_argv=(*flags, "-S", "-o", "-", word))
    unit = plan(request, settings())
    assert unit.spelled == word
    assert unit.source == (tmp_path / "src" / "t.c").resolve()
    assert UnitSession(unit, settings(), Log(tmp_path)).signature("f")


def test_a_side_compile_that_fails_is_not_tried_again_for_each_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.c").write_text(LOOP)
    session = UnitSession(plan(request_for(tmp_path / "t.c", ["-O2"]), settings()), settings(), Log(tmp_path))
    (tmp_path / "t.c").write_text(LOOP.replace("+=", "-="))
    tried: list[object] = []
    typed = SideCompile.typed
    monkeypatch.setattr(SideCompile, "typed", lambda *args: tried.append(1) or typed(*args))
    for _ in range(3):
        with pytest.raises(Decline) as decline:
            _ = session.known
        assert decline.value.reason is Reason.SIDE_COMPILE
    assert len(tried) == 1


def test_a_unit_with_private_arrangements_is_left_alone() -> None:
    for name in PRIVATE:
        assert unit_reason(["-O2", f"-f{name}"]) is Reason.PRIVATE_ARRANGEMENTS
        assert unit_reason(["-O2", f"-f{name}", f"-fno-{name}"]) is None


@pytest.mark.parametrize("option", ["-ffixed-r10", "-mincoming-stack-boundary=3", "-mstackrealign", "-fcall-saved-r10",
                                    "-fharden-compares", "-fnever-heard-of"])  # fmt: skip
def test_an_option_that_no_row_knows_declines(option: str) -> None:
    assert unit_reason(["-O2", option]) is Reason.OPTION_UNKNOWN


def test_standard_input_has_no_source(tmp_path: Path) -> None:
    text = subprocess.run(
        ["gcc", "-O2", "-S", "-x", "c", "-", "-o", "-"], input=LOOP.encode(), capture_output=True, check=True
    )
    request = request_for(_written(tmp_path), ["-O2"])
    stdin = type(request)(text.stdout.decode("latin-1"), (), ("-O2",), ("-O2", "-x", "c", "-"), "gcc", "as", tmp_path)
    assert find_source(stdin)[0] is None


def _written(tmp_path: Path) -> Path:
    (tmp_path / "t.c").write_text(LOOP)
    return tmp_path / "t.c"


def test_reason_labels_are_unique_stable_words() -> None:
    labels = [reason.label for reason in Reason]
    assert len(set(labels)) == len(labels)
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", label) for label in labels)
    assert all(reason.says and reason.scope in Scope for reason in Reason)
