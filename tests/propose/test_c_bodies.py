"""The insides of C functions become bodies, many in one compile; what no answer may hold does not reach gcc."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, canonical
from gccllm.base.deadline import Deadline
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.propose import CompileUnit, Isa, Prompt
from gccllm.propose.c_bodies import Setting, candidates, compile_answers, refusal, unit_flags
from gccllm.propose.protocol import Failure
from gccllm.propose.signature import CSignature
from tests.kit.units import Make

TYPES = CSignature("i32", ("pu8", "i64"))
TOOLS = Toolchain.find()
GOOD = "return COUNT(b, a, IN(48, 9));"


def compiled(*answers: str, level: int = 0, unit: CompileUnit | None = None) -> list[Body | Failure]:
    return compile_answers(answers, "f", Setting(TYPES, TOOLS, unit, level))


def reason(made: Body | Failure) -> Reason | None:
    return made.reason if isinstance(made, Failure) else None


def one(made: Body | Failure) -> Body:
    assert isinstance(made, Body), made
    return made


@pytest.mark.parametrize("level", [0, 3, 5])
def test_answer_becomes_a_body_at_every_level(level: int) -> None:
    body = one(compiled(GOOD, level=level)[0])
    assert body.lines[-1].mnemonic in ("ret", "jmp") or any(line.mnemonic == "ret" for line in body.lines)
    assert Body.parse(body.text()) == body
    assert ("%ymm" in body.text()) == (level == 3)
    assert ("%zmm" in body.text()) == (level == 5)


def test_bad_answers_are_left_out_and_the_others_unharmed() -> None:
    made = compiled("return 1 +;", GOOD, "return COUNT(b, a, x == z);", "return NOPE(a);", GOOD, "return b->c;")
    assert [reason(m) for m in made] == [
        Reason.DOES_NOT_COMPILE, None, Reason.DOES_NOT_COMPILE, Reason.UNKNOWN_SYMBOL, None, Reason.DOES_NOT_COMPILE,
    ]  # fmt: skip
    assert canonical(one(made[1])) == canonical(one(made[4])) == canonical(one(compiled(GOOD)[0]))
    assert isinstance(made[2], Failure)
    assert "'z' undeclared" in made[2].detail


@pytest.mark.parametrize("answer", [
    'asm("hlt"); return 0;', "__asm__(0); return 0;", '__builtin_trap(); return 0;', "#include <stdio.h>\nreturn 0;",
    "return 0; } int g(void) { return 1;", 'return "a"[0];', "return 'a';", "__attribute__((noreturn)) return 0;",
    "extern int z; return z;", "volatile int k = 0; return k;", "return \\\n0;", "static int k; return k++;", "goto k;",
    "return fn0(a, b);", "return 0; // no\n", "struct {int k;} s; return 0;", "return $0;", "return L_;", "{",
])  # fmt: skip
def test_forbidden_answer_does_not_reach_gcc(answer: str) -> None:
    if answer == "return L_;":  # an unknown name is for gcc to refuse
        assert reason(compiled(answer)[0]) is Reason.DOES_NOT_COMPILE
        return
    refused = refusal(answer)
    assert refused is not None
    assert refused.reason is Reason.FORBIDDEN_C
    assert reason(compiled(answer)[0]) is Reason.FORBIDDEN_C


def test_long_or_empty_answers_are_refused() -> None:
    assert [reason(m) for m in compiled("return " + "1 + " * 2000 + "1;", "  ")] == [Reason.TOO_LONG, Reason.NO_CODE]


def test_nothing_to_compile_runs_no_compiler() -> None:
    assert compile_answers([], "f", Setting(TYPES, Toolchain("/nonexistent"))) == []


def test_compiler_that_fails_is_a_failure_of_each_answer() -> None:
    made = compile_answers([GOOD, GOOD], "f", Setting(TYPES, Toolchain("/nonexistent")))
    assert [reason(m) for m in made] == [Reason.DOES_NOT_COMPILE] * 2


def test_constants_come_along_and_no_symbol_is_left_open() -> None:
    body = one(compiled(GOOD)[0])
    assert body.constants
    assert body.externals == frozenset()


def test_loop_becomes_no_call() -> None:
    types = CSignature("v", ("pu8", "i64"))
    (made,) = compile_answers(["for (i64 i = 0; i < b; i++) a[i] = 0;"], "f", Setting(types, TOOLS))
    assert one(made).calls == ()


def test_code_model_of_the_unit_is_kept_and_its_optimisation_is_not(unit_of: Make) -> None:
    unit = unit_of(
        "int f(void) { return 1; }", "-O2", "-fPIC", "-mno-red-zone", "-march=x86-64-v3", "-fno-plt", "-DA=1"
    )
    assert unit_flags(unit) == ("-fPIC", "-mno-red-zone", "-fno-plt")
    assert "(%rip)" in one(compiled(GOOD, unit=unit)[0]).text()


def test_hardening_is_not_in_the_body(unit_of: Make) -> None:
    unit = unit_of("int f(void) { return 1; }", "-O2", "-fcf-protection=full", "-fstack-protector-all")
    text = one(compiled(GOOD, unit=unit)[0]).text()
    assert "endbr64" not in text
    assert "%fs" not in text


def ask(permitted: int, allowed: int, baseline: str = "\tret\n") -> Prompt:
    return Prompt("f", baseline, isa=Isa(permitted, allowed), types=TYPES)


def made_of(prompt: Prompt, *answers: str) -> tuple[list[str], list[Failure]]:
    failures: list[Failure] = []
    words = [f"answer {i}" for i in range(len(answers))]
    found = list(candidates(answers, prompt, words, failures, Deadline(30)))
    assert all(c.dialect == "c" and c.proposer == "model" and c.answer in answers for c in found)
    return [c.recipe for c in found], failures


def test_candidates_come_for_the_highest_level_and_for_the_one_without_guard() -> None:
    assert made_of(ask(0, 5), GOOD)[0] == ["answer 0, level 5", "answer 0, level 0"]
    assert made_of(ask(3, 3), GOOD)[0] == ["answer 0, level 3"]


def test_equal_bodies_come_once_and_the_baseline_never() -> None:
    scalar = one(compiled("return b ? a[0] : 0;")[0])
    assert made_of(ask(0, 5), "return b ? a[0] : 0;", "return b != 0 ? a[0] : 0;")[0] == ["answer 0, level 5"]
    assert made_of(ask(0, 5, canonical(scalar)), "return b ? a[0] : 0;")[0] == []


def test_failure_is_told_once_an_answer() -> None:
    recipes, failures = made_of(ask(0, 5), "return 1 +;", GOOD)
    assert len(recipes) == 2
    assert [f.reason for f in failures] == [Reason.DOES_NOT_COMPILE]
