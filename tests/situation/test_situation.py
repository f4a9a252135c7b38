"""A function's situation: whatever a verdict may depend on makes another key, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.base import config, options
from gccllm.base.core import Decline
from gccllm.base.events import Log
from gccllm.base.reasons import Reason
from gccllm.commands.oneshot import request_for
from gccllm.harvest.wire import facts_of
from gccllm.store.entry import Bench
from gccllm.unit.plan import plan
from gccllm.unit.session import UnitSession
from gccllm.unit.situation import Situation, bench_parts, steady

SOURCE = """
static const char *const names[] = {"red", "green"};
static __attribute__((noinline)) int weight(int c) { return c * 3 + names[c & 1][0]; }
int scale = 7;
typedef int num;
num total(const unsigned char *s, long n) {
    num sum = 0;
    for (long i = 0; i < n; i++) sum += weight(s[i]) * scale;
    return sum;
}
"""
OTHER = "int other(const char *s) { int n = 0; while (*s) n += *s++ == 'x'; return n; }\n"


def session_of(place: Path, source: str, flags: Sequence[str] = ("-O3",), **env: str) -> UnitSession:
    place.mkdir(exist_ok=True)
    (place / "t.c").write_text(source)
    settings = config.load(Path("/"), {f"GCCLLM_{name.upper()}": value for name, value in env.items()})
    return UnitSession(plan(request_for(place / "t.c", flags), settings), settings, Log(place))


def situation_of(place: Path, source: str, flags: Sequence[str] = ("-O3",), **env: str) -> Situation:
    session = session_of(place, source, flags, **env)
    return session.situation(session.unit.module.functions["total"])


EDITS = {
    "callee": (r"c \* 3", "c * 5"),
    "string behind a table": ("green", "brown"),
    "result widened": ("num total", "long total"),
    "signed made unsigned": ("typedef int num", "typedef unsigned num"),
    "parameter type": ("const unsigned char", "const signed char"),
    "global made static": ("int scale", "static int scale"),
    "global made weak": ("int scale", "__attribute__((weak)) int scale"),
    "restrict": (r"unsigned char \*s", "unsigned char *restrict s"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_of_what_a_verdict_stands_on_makes_another_key(edit: tuple[str, str], tmp_path: Path) -> None:
    edited = re.sub(*edit, SOURCE)
    assert edited != SOURCE
    assert situation_of(tmp_path / "a", SOURCE).key != situation_of(tmp_path / "b", edited).key


@pytest.mark.parametrize("edit", [("int scale", "volatile int scale"), (r"\{ return c", '{ __asm__(""); return c')])
def test_an_edit_after_which_no_rewrite_is_allowed_declines(edit: tuple[str, str], tmp_path: Path) -> None:
    assert situation_of(tmp_path / "a", SOURCE).key
    with pytest.raises(Decline):
        situation_of(tmp_path / "b", re.sub(*edit, SOURCE).replace("* scale", "* scale"))


@pytest.mark.parametrize("use", ["", " ^ kept"])
def test_a_unit_that_keeps_a_variable_in_a_register_is_left_alone(use: str, tmp_path: Path) -> None:
    source = 'register long kept __asm__("r15");\n' + SOURCE.replace("* scale", f"* scale{use}")
    with pytest.raises(Decline) as decline:
        situation_of(tmp_path, source)
    assert decline.value.reason is Reason.REGISTER_VARIABLE


@pytest.mark.parametrize("flag", ["-fwrapv", "-fno-strict-aliasing", "-frounding-math", "-march=x86-64-v3", "-fPIC",
                                  "-fno-math-errno", "-fcf-protection=none", "-fzero-call-used-regs=used"])  # fmt: skip
def test_an_option_that_means_something_makes_another_key(flag: str, tmp_path: Path) -> None:
    assert situation_of(tmp_path, SOURCE).key != situation_of(tmp_path, SOURCE, ("-O3", flag)).key


@pytest.mark.parametrize("setting", [{"isa": "baseline"}, {"ub": "language"}])
def test_a_setting_that_allows_less_or_more_makes_another_key(setting: dict[str, str], tmp_path: Path) -> None:
    assert situation_of(tmp_path, SOURCE).key != situation_of(tmp_path, SOURCE, **setting).key


def test_what_a_verdict_does_not_stand_on_leaves_the_key(tmp_path: Path) -> None:
    key = situation_of(tmp_path / "a", SOURCE).key
    assert situation_of(tmp_path / "b", f"// a comment\n{SOURCE}").key == key
    assert situation_of(tmp_path / "c", OTHER + SOURCE).key == key, "labels are numbered through a unit"
    assert situation_of(tmp_path / "d", SOURCE, ("-O3", "-Wall", "-DNDEBUG")).key == key


def test_without_a_side_compile_the_first_half_is_known(tmp_path: Path) -> None:
    session = session_of(tmp_path, SOURCE)
    function = session.unit.module.functions["total"]
    assert session.situation(function).key.startswith(Situation(session.told(function), {}).prefix)


TEXT = st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=5)


@given(TEXT, TEXT, TEXT, TEXT)
def test_keys_are_equal_only_where_all_parts_are(
    told: dict[str, str], asked: dict[str, str], other: dict[str, str], another: dict[str, str]
) -> None:
    one, two = Situation(told, asked), Situation(other, another)
    assert (one.key == two.key) == (told == other and one.parts == two.parts)


@given(st.sampled_from(["body", "slice", "types", "trapping", "schema", "options"]), st.text(min_size=1, max_size=4))
def test_an_entry_that_differs_in_any_part_is_refused_by_that_part(part: str, digest: str) -> None:
    parts = dict.fromkeys(("schema", "body", "slice", "options", "types", "trapping"), "0")
    situation = Situation(parts, {})
    assert situation.mismatch(parts) == ""
    assert situation.mismatch(parts | {part: "1" + digest}) == part
    assert situation.mismatch({name: value for name, value in parts.items() if name != part}) == part


def test_a_bench_of_another_function_is_refused(tmp_path: Path) -> None:
    session = session_of(tmp_path, SOURCE)
    situation = session.situation(session.unit.module.functions["total"])
    signature = session.signature("total")
    target = session.harvest_target("total", signature, tmp_path)
    bench = Bench(
        slice=target.text, baseline=target.body.text(), facts=facts_of(target, session.context("total", signature)),
        ubsan=target.ubsan_text or "",
    )  # fmt: skip
    assert bench_parts(bench).items() <= situation.parts.items()
    assert situation.foreign(bench) == ""
    widened = replace(target, signature=replace(signature, params=signature.params[:1]))
    changes = {
        "slice": {"slice": bench.slice.replace("leal", "leaq", 1)},
        "body": {"baseline": "\tret\n"},
        "trapping": {"ubsan": ""},
        "types": {"facts": facts_of(widened, session.context("total", signature))},
    }
    for part, change in changes.items():
        assert situation.foreign(bench.model_copy(update=change)) == part


@given(
    st.lists(
        st.sampled_from(["\tjmp\t.L3", ".L3:", ".L7:", "\tleaq\t.LC0(%rip), %rax", '\t.string\t".L3"']), max_size=8
    )
)
def test_numbering_labels_anew_tells_texts_apart(rows: list[str]) -> None:
    text = "\n".join(rows)
    renamed = "\n".join(row if '"' in row else row.replace(".L3", ".L33").replace(".L7", ".L3") for row in rows)
    assert steady(text) == steady(renamed)
    assert steady(steady(text)) == steady(text)


@pytest.mark.parametrize("row", options.ROWS, ids=lambda row: row.example)
def test_each_row_of_options_knows_its_example(row: options.Row) -> None:
    assert options.effect_of(row.example) is row.effect


@pytest.mark.parametrize("name", options.NAMES_FILE)
def test_an_option_that_the_unit_cache_passes_over_means_nothing(name: str) -> None:
    assert options.effect_of(name) is options.Effect.HARMLESS
    assert options.repeated([name, *["x"] * (name in options.WITH_WORD)]) == ()


@pytest.mark.parametrize(
    ("given_", "traps", "errno", "types"),
    [
        (["-O3"], True, True, True),
        (["-O1"], True, True, False),
        (["-O2", "-fno-strict-aliasing"], True, True, False),
        (["-Ofast"], False, False, True),
        (["-ffast-math", "-ftrapping-math", "-O2"], True, False, True),
        (["-O2", "-fno-math-errno"], True, False, True),
    ],
)
def test_what_options_say_of_floats_errno_and_types(given_: list[str], traps: bool, errno: bool, types: bool) -> None:
    assert options.traps_floats(given_) is traps
    assert options.sets_errno(given_) is errno
    assert options.assumes_types(given_) is types
