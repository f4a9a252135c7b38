"""The unit as an index over its own lines."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body, BodyError, Module, NotLossless, canonical, cfg
from gccllm.base.reasons import Reason
from tests.kit.sources import C_EXAMPLES, CPP_EXAMPLES, corpus, units
from tests.kit.units import TOOLS, compiled, module


def check_unit(text: str) -> int:
    """What must hold of every unit; the number of its functions."""
    unit = Module.parse(text)
    assert unit.text() == text
    refusals: set[Reason] = set()
    for function in unit.functions.values():
        try:
            body = function.body
        except BodyError as error:
            refusals.add(error.reason)
            continue
        assert Body.parse(body.text()) == body
        text = canonical(body)
        assert canonical(Body.parse(text)) == text
        assert not cfg(body).falls_off or function.has_lsda
    assert refusals <= {Reason.UNSUPPORTED_CODE}
    return len(unit.functions)


def test_every_construction_under_a_spread_of_flags_round_trips() -> None:
    chosen = (unit for n, unit in enumerate(units()) if n % 5 == n // 12 % 5)
    assert sum(check_unit(compiled(source, *flags, language=language)) for language, source, flags in chosen) > 300


@pytest.mark.full
def test_three_thousand_units_round_trip() -> None:
    for language, source, flags in units(10):
        check_unit(compiled(source, *flags, language=language))
    for language, path, flags in corpus():
        ran = TOOLS.compile([*flags, "-w", "-S", "-x", language, str(path), "-o", "-"])
        if ran.ok:
            check_unit(ran.out.decode("latin-1"))


def test_everything_gcc_prints_around_a_function_is_known() -> None:
    unit = module(C_EXAMPLES[7], "-O3", "-fPIC")
    functions = unit.functions
    assert functions["weak7"].binding == "weak"
    assert functions["hidden7"].visibility == "hidden"
    assert functions["placed7"].section == ".custom.text"
    assert functions["start7"].binding == "local"
    assert functions["tick7"].uses_tls
    assert not functions["barrier7"].has_inline_asm  # gcc prints nothing for an empty template
    assert functions["swapped7"].has_inline_asm
    assert functions["atomic7"].has_lock
    assert not functions["weak7"].has_lock
    assert functions["weak7"].align == 16
    assert functions["weak7"].lines[0] == "weak7:"
    assert functions["weak7"].lines[-1].startswith("\t.size\tweak7,")


def test_the_table_of_a_computed_goto_comes_along_as_a_constant() -> None:
    function = module(C_EXAMPLES[7], "-O2").functions["label7"]
    assert function.has_computed_goto
    table = next(one for one in function.body.constants if one.label.startswith(".Lt."))
    assert set(table.symbols) <= function.body.labels.keys()


def test_a_table_of_labels_that_another_function_reads_is_no_functions_own() -> None:
    shared = (
        "static void *const *out; int f(int n) { static void *const t[] = {&&a, &&b}; out = t; goto *t[n & 1];"
        " a: return n; b: return n + 3; } void *g(int n) { return out[n]; }"
    )
    text = module(shared, "-O2").text().replace("g:\n", "g:\n\tleaq\tt.0(%rip), %rdx\n")
    with pytest.raises(BodyError) as caught:
        _ = Module.parse(text).functions["f"].body
    assert caught.value.reason is Reason.UNSUPPORTED_CODE


def test_a_cold_part_belongs_to_its_function() -> None:
    source = "void bad(int) __attribute__((cold,noreturn)); int f(int x){if(x<0) bad(x); return x*3;}"
    function = module(source, "-O2").functions["f"]
    assert function.parts == ("f.cold",)
    assert function.calls == ("bad",)
    assert {"bad"} == function.body.externals
    assert "f.cold" not in module(source, "-O2").functions


def test_a_jump_table_comes_along_as_a_constant() -> None:
    for flags in (("-O3", "-fPIC"), ("-O3", "-fno-pic")):
        body = module(C_EXAMPLES[0], *flags).functions["pick0"].body
        (table,) = (c for c in body.constants if any(s in body.labels for s in c.symbols))
        graph = cfg(body)
        jump = next(n for n, line in enumerate(body.lines) if line.mnemonic == "jmp" and line.operands[0][0] == "*")
        assert len(graph.successors[graph.block_of_line[jump]]) == len(set(table.symbols) & body.labels.keys())
        assert not graph.unresolved


def test_switch_conversion_tables_come_along_under_a_private_name() -> None:
    body = module(C_EXAMPLES[0], "-O3").functions["weigh0"].body
    assert any(c.label.startswith(".LCSWTCH.") for c in body.constants)
    assert not any("CSWTCH" in name for name in body.externals)


def test_aliases_of_constants_are_resolved() -> None:
    source = "double f(double*a,int n){double s=0.5;for(int i=0;i<n;i++)s+=__builtin_fabs(a[i])*3.25;return s;}"
    text = compiled(source, "-O3")
    assert "\t.set\t.LC" in text
    body = Module.parse(text).functions["f"].body
    assert {c.label for c in body.constants} == {n for n in body.references if n not in body.labels}


def test_base64_of_gcc_15_is_the_bytes_it_stands_for() -> None:
    text = '\t.section\t.rodata\n\t.type\ttable, @object\ntable:\n\t.base64\t"AAECg/8="\n\t.string\t"x"\n'
    unit = Module.parse(text)
    assert unit.text() == text
    assert unit.objects["table"].directives == ((".ascii", r'"\000\001\002\203\377"'), (".string", '"x"'))
    with pytest.raises(NotLossless):
        Module.parse(text.replace("AAECg/8=", "AAECg/8"))


def test_a_directive_in_data_that_nobody_knows_declines_the_unit() -> None:
    with pytest.raises(NotLossless, match=r"line 3: \.base85 in data"):
        Module.parse('\t.section\t.rodata\ntable:\n\t.base85\t"x"\n')


def test_data_of_the_unit_is_known_with_its_kind() -> None:
    objects = module(C_EXAMPLES[4], "-O3", "-fno-pic").objects
    assert objects["table4"].is_writable
    assert len(objects["table4"].directives) == 8
    assert objects["zeroed4"].common.startswith("zeroed4,256")
    assert not objects["fixed4"].is_writable
    assert objects["shared4"].binding == "global"
    assert objects["words4"].references
    relocated = module(C_EXAMPLES[4], "-O3", "-fPIC").objects["words4"]
    assert relocated.section.name.startswith(".data.rel.ro")
    assert not relocated.is_writable


def test_calls_through_pointers_are_told_from_calls_through_the_got() -> None:
    source = "int g(int); int f(int x){return g(x);} int h(int(*p)(int)){return p(3);}"
    functions = module(source, "-O2", "-fPIC", "-fno-plt").functions
    assert functions["f"].calls == ("g",)
    assert not functions["f"].has_indirect_call
    assert functions["h"].has_indirect_call


def test_comdat_and_exception_tables_are_seen() -> None:
    functions = module(CPP_EXAMPLES[0] + CPP_EXAMPLES[1], "-O2", language="c++").functions
    inline = next(f for name, f in functions.items() if "shared_inline" in name or "area" in name)
    assert inline.comdat == inline.name
    assert inline.binding == "weak"
    assert any(f.has_lsda for name, f in functions.items() if "tries" in name)


def test_the_stack_protector_is_seen_and_is_no_thread_local_data() -> None:
    function = module(C_EXAMPLES[6], "-O2", "-fstack-protector-all").functions["big6"]
    assert function.has_stack_protector
    assert not function.uses_tls
    assert not module(C_EXAMPLES[6], "-O2", "-fno-stack-protector").functions["big6"].has_stack_protector


def test_functions_of_top_level_asm_are_defined_but_not_ours() -> None:
    unit = module(C_EXAMPLES[8], "-O2")
    assert "raw_asm8" not in unit.functions
    assert unit.defines("raw_asm8")
    assert "call_raw8" in unit.functions
    assert "raw_asm8" not in unit.externals


def test_names_in_utf8_keep_every_byte() -> None:
    unit = module("int g\u00e0(int); int f\u00e0\u0105(int x){return g\u00e0(x)+1;}", "-O1")
    (name,) = unit.functions
    assert name.encode("latin-1").decode() == "f\u00e0\u0105"
    assert unit.functions[name].body.calls[0].encode("latin-1").decode() == "g\u00e0"


@pytest.mark.parametrize(
    "text",
    [".macro a\n.endm\n", '\t.include "x"\n', "\t.intel_syntax noprefix\n", "#APP\n", "/* open\n", '\t.string "open\n',
     "\t.popsection\n", "\t.text 1\n", ".rept 3\nnop\n.endr\n"],
)  # fmt: skip
def test_text_that_could_mean_something_else_is_declined(text: str) -> None:
    with pytest.raises(NotLossless):
        Module.parse(text)


BASE = compiled(C_EXAMPLES[0] + C_EXAMPLES[4], "-O2", "-g")
LINES = BASE.split("\n")
PIECES = st.sampled_from(
    [";", '"', "#", "/*", "\r", "\x00", "\x85", "\xa0", ".text", ":", "=", "\\", "#APP", ".L1:", "{"]
)


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 30), PIECES), min_size=1, max_size=4),
       st.booleans())  # fmt: skip
def test_mutated_text_round_trips_or_is_declined(edits: list[tuple[int, int, str]], cut: bool) -> None:
    lines = list(LINES)
    for at, column, piece in edits:
        lines[at] = lines[at][:column] + piece + lines[at][column:]
    text = "\n".join(lines)
    if cut:
        text = text[: edits[0][0] * 20]
    try:
        unit = Module.parse(text)
    except NotLossless:
        return
    assert unit.text() == text
    for function in unit.functions.values():
        with contextlib.suppress(BodyError):
            assert Body.parse(function.body.text()) == function.body
