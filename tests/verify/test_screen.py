"""The static gate, case by case: `tests/cases/screen/*.s` holds a baseline, a candidate and the expected verdict."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gccllm.assembly import Body, BodyError, Module
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.verify import screen as gate
from gccllm.x86.decode import Code, assemble
from gccllm.x86.forbidden import FORBIDDEN, FORMS, refusal

CASES = sorted((Path(__file__).parent.parent / "cases" / "screen").glob("*.s"))
TOOLS = Toolchain.find()


def read_case(path: Path) -> tuple[str, gate.Context, Body, Body]:
    head, _, rest = path.read_text().partition("--- baseline\n")
    baseline, _, candidate = rest.partition("--- candidate\n")
    fields = dict(row.split(": ") for row in head.splitlines())
    verdict = fields.pop("verdict")
    context = gate.Context("target")
    for name, value in fields.items():
        kind = type(getattr(context, name))
        context = replace(context, **{name: kind(value.split()) if kind is frozenset else kind(int(value))})
    return verdict, context, Body.parse(baseline), Body.parse(candidate)


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_case(path: Path) -> None:
    expected, context, baseline, candidate = read_case(path)
    known = gate.read_baseline(baseline, context, TOOLS)
    verdict = gate.screen(candidate, known, context, TOOLS).verdict
    words = [str(verdict.outcome), *([verdict.reason.label] if verdict.reason else [])]
    assert " ".join(words) == expected, verdict.detail


def test_every_baseline_passes_against_itself() -> None:
    for baseline in {read_case(path)[2] for path in CASES}:
        known = gate.read_baseline(baseline, gate.Context("target"), TOOLS)
        assert gate.screen(baseline, known, gate.Context("target"), TOOLS).verdict.is_accepted


def test_every_static_reason_has_a_case() -> None:
    seen = {path.read_text().split("\n")[0].split()[-1] for path in CASES}
    elsewhere = {
        # Refused before the screen, by the parser or the judge.
        Reason.COPY, Reason.UNPARSABLE, Reason.DIRECTIVE, Reason.TOO_LONG, Reason.DOES_NOT_COMPILE, Reason.NO_CODE,
        Reason.FORBIDDEN_C,
        # Refused by the checked build; no body is known that the flow accepts and that has no unwind table.
        Reason.UNSUPPORTED_INSTRUCTION, Reason.CFI,
        # Of bodies that gcc compiles (tests/propose/test_propose_compiled.py).
        Reason.OTHER_SYMBOLS, Reason.FUSED, Reason.LOOSE_FLOATS,
    }  # fmt: skip
    names = [reason.label for reason in Reason]
    static = names[names.index("copy") : names.index("wrong_value")]
    assert {name for name in static if name not in seen} == {reason.label for reason in elsewhere}


def test_forbidden_table_is_sorted_and_unique() -> None:
    names = [row.mnemonic for row in FORBIDDEN]
    assert names == sorted(set(names))


def decoded(text: str) -> Code:
    code = assemble("target", f"{text}\n.L1:\n\tret\n", TOOLS)
    assert isinstance(code, Code), code
    return code


@pytest.mark.parametrize("row", FORBIDDEN, ids=lambda r: r.mnemonic)
def test_forbidden_example_is_refused(row) -> None:
    (found,) = [i for i in decoded(f"\t{row.example}").insns if i.mnemonic == row.mnemonic]
    assert refusal(found) == (row.reason, str(found))


@pytest.mark.parametrize("form", [f for f in FORMS if f.example], ids=lambda f: f.name)
def test_forbidden_form_is_refused_and_its_neighbour_is_not(form) -> None:
    refused = refusal(decoded(f"\t{form.example}").insns[0])
    assert refused is not None
    assert refused[0] is form.reason
    assert refusal(decoded(f"\t{form.neighbour}").insns[0]) is None


def test_bytes_that_are_no_instruction_are_refused() -> None:
    assert refusal(decoded("\t.byte 6").insns[0]) is not None


@pytest.mark.parametrize(
    "text",
    [
        '\tret\n\t.section .evil,"awx"\n\t.byte 1',
        "\tret\n\t.data\n\t.long 1",
        '\tret\n\t.section .init_array,"aw"\n\t.quad target',
    ],
)
def test_writable_or_executable_sections_are_refused(text: str) -> None:
    code = assemble("target", text, TOOLS)
    assert isinstance(code, Code)
    with pytest.raises(BodyError) as said:
        gate.check_sections(code)
    assert said.value.reason is Reason.DIRECTIVE


def test_a_second_definition_is_refused() -> None:
    code = assemble("target", "\tret\n\t.globl main\nmain:\n\tret", TOOLS)
    baseline = gate.read_baseline(Body.parse("ret"), gate.Context("target"), TOOLS)
    assert isinstance(code, Code)
    with pytest.raises(BodyError) as said:
        gate.check_symbols(code, baseline, gate.Context("target"))
    assert said.value.reason is Reason.DIRECTIVE


def test_level_and_features_are_reported() -> None:
    context = gate.Context("target")
    baseline = gate.read_baseline(Body.parse("\tmovl\t%edi, %eax\n\tret"), context, TOOLS)
    body = Body.parse("\tandn\t%edi, %edi, %eax\n\tret")
    plain = gate.screen(body, baseline, context, TOOLS)
    assert (plain.level, "BMI1" in plain.features) == (3, True)
    allowed = gate.screen(body, baseline, replace(context, march=frozenset({"BMI1"})), TOOLS)
    assert allowed.level == 0


@pytest.mark.parametrize("flags", [("-O3", "-march=native"), ("-O2",), ("-O3", "-funroll-loops")], ids=" ".join)
def test_gcc_s_own_other_bodies_are_not_refused(flags: tuple[str, ...]) -> None:
    source = "\n".join(
        f"{kind} f{i}(const {kind} *restrict p, {kind} *restrict q, int n, {kind} k)"
        f"{{ {kind} s = 0; {loop} return s; }}"
        for i, (kind, loop) in enumerate(
            (kind, loop)
            for kind in ("int", "unsigned char", "long", "float", "double")
            for loop in (
                "for (int i = 0; i < n; i++) s += p[i];",
                "for (int i = 0; i < n; i++) q[i] = p[i] * k;",
                "for (int i = n; i-- > 0;) { if (p[i] > k) s++; q[i] = s; }",
                "for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) q[i] += p[j] - k;",
            )
        )
    )
    modules = {}
    for row in (("-O3",), flags):
        ran = TOOLS.compile([*row, "-S", "-x", "c", "-", "-o", "-"], stdin=source.encode())
        modules[row] = Module.parse(ran.out.decode())
    refused = {}
    for name, function in modules["-O3",].functions.items():
        context = gate.Context(name)
        known = gate.read_baseline(function.body, context, TOOLS)
        verdict = gate.screen(modules[flags].functions[name].body, known, context, TOOLS).verdict
        if not verdict.is_accepted:
            refused[name] = (verdict.reason, verdict.detail)
    assert not refused


def test_the_stamp_covers_all_code_that_the_gate_loads() -> None:
    """A mark of a screened entry stands for today's gate only."""
    asked = "import sys, gccllm.verify.screen; print(*(name for name in sys.modules if name.startswith('gccllm.')))"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} == set(gate._ROOMS)
