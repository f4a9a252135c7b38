"""Prompts as text and back; answers as text."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body
from gccllm.base.core import Decline
from gccllm.base.reasons import Reason
from gccllm.propose import Attempt, Isa, Prompt, prompt_text
from gccllm.propose.prompt_text import bare_body, parse_answer, recover, user_message
from gccllm.propose.signature import CSignature

characters = string.printable.replace("\r", "").replace("\x0b", "").replace("\x0c", "")
lines = (
    st.lists(st.text(alphabet=characters, max_size=40), min_size=1, max_size=6)
    .map(lambda rows: "\n".join(rows).strip("\n") + "\n")
    .filter(str.strip)
)
words = st.text(alphabet=string.ascii_letters + "_", min_size=1, max_size=12)


@given(
    st.builds(
        Prompt,
        function=words,
        baseline=lines,
        scalar=st.just("") | lines,
        isa=st.builds(Isa, st.integers(0, 6), st.integers(0, 6)),
        signature=st.just("int f(const int *a, int n)"),
        c_source=st.none() | lines,
        types=st.just(CSignature("i32", ("pi32", "i32"))),
        attempts=st.lists(st.builds(Attempt, lines, words, words, st.sampled_from(["asm", "c"])), max_size=3).map(
            tuple
        ),
    )
)
def test_every_prompt_is_recovered_from_its_text(prompt: Prompt) -> None:
    assert recover(user_message(prompt)) == prompt


@given(st.text())
def test_recover_never_raises(text: str) -> None:
    recover(text)
    recover("Function: `f`\n\nInstruction sets: level 3 (0 without a guard): x\n\n" + text)


def reason_or_answer(text: str) -> Reason | prompt_text.Answer:
    try:
        return parse_answer(text)
    except Decline as decline:
        return decline.reason


@given(st.text())
def test_any_text_is_parsed_or_refused_by_name(text: str) -> None:
    result = reason_or_answer(text)
    if isinstance(result, Reason):
        assert result in (Reason.NO_CODE, Reason.TOO_LONG)
    else:
        assert result.dialect in ("asm", "c")
        assert result.code.strip()


@given(st.text(alphabet="`asmc \n", max_size=60), st.text(alphabet="`asmc \n", max_size=60))
def test_fences_in_any_arrangement_give_code_or_no_code(before: str, after: str) -> None:
    result = reason_or_answer(before + "```asm\n\tret\n```" + after)
    assert result is Reason.NO_CODE or isinstance(result, prompt_text.Answer)


@pytest.mark.parametrize(
    ("text", "dialect", "code"),
    [
        ("```asm\n\tret\n```", "asm", "\tret\n"),
        ("Here:\n```x86asm\n\tret\n```\nIt is fast.", "asm", "\tret\n"),
        ("```c\nint f(void) { return 1; }\n```", "c", "int f(void) { return 1; }\n"),
        ("```\nint f(void) { return 1; }\n```", "c", "int f(void) { return 1; }\n"),
        ("```\n\tret\n```", "asm", "\tret\n"),
        ("```asm\n\tret", "asm", "\tret\n"),  # never closed
        ("```asm\n\tnop\n```\nBetter:\n```asm\n\tret\n```", "asm", "\tret\n"),
        ("```asm\n\tret\n```\nOutput:\n```\nok\n```", "asm", "\tret\n"),  # a marked block before an unmarked one
        ("<think>```asm\n\tnop\n```</think>```asm\n\tret\n```", "asm", "\tret\n"),
        ("```asm\r\n\tret\r\n```\r\n", "asm", "\tret\n"),
        ("~~~asm\n\tret\n~~~", "asm", "\tret\n"),
    ],
)
def test_answer_forms(text: str, dialect: str, code: str) -> None:
    assert parse_answer(text) == prompt_text.Answer(dialect, code)


@pytest.mark.parametrize(
    "text", ["", "no code at all", "``` \n\n```", "```asm\n```", "<think>```asm\n\tret\n```</think>"]
)
def test_answer_without_code_is_refused(text: str) -> None:
    with pytest.raises(Decline) as caught:
        parse_answer(text)
    assert caught.value.reason is Reason.NO_CODE


@pytest.mark.parametrize("text", ["x" * (prompt_text.MAX_ANSWER + 1), "```asm\n" + "\tnop\n" * 20_000 + "```"])
def test_huge_answer_is_refused(text: str) -> None:
    with pytest.raises(Decline) as caught:
        parse_answer(text)
    assert caught.value.reason is Reason.TOO_LONG


GCC_STYLE = """\
	.file	"f.c"
	.text
	.p2align 4
	.globl	f
	.type	f, @function
f:
.LFB0:
	.cfi_startproc
	endbr64
	movaps	.LC0(%rip), %xmm0   # load
	.p2align 4,,10
	ret
	.cfi_endproc
	.size	f, .-f
	.section	.rodata
	.align 16
.LC0:
	.quad	1
	.quad	2
	.ident	"GCC"
	.section	.note.GNU-stack,"",@progbits
"""


def test_directives_around_a_body_are_dropped_and_alignment_of_constants_is_kept() -> None:
    body = Body.parse(bare_body(GCC_STYLE.replace('\t.ident\t"GCC"\n', ""), "f"))
    assert [line.mnemonic for line in body.lines if line.mnemonic] == ["movaps", "ret"]
    assert body.constants[0].align == 16


@pytest.mark.parametrize(
    "hostile", ['\t.incbin "/etc/passwd"', "\t.section .init_array", "\t.macro x", '\t.include "a"']
)
def test_directives_that_do_something_are_left_to_be_refused(hostile: str) -> None:
    assert hostile.strip().split()[0] in bare_body(f"f:\n{hostile}\n\tret\n", "f")


@given(st.text(alphabet='.:\t\n "#fretsction,@', max_size=80))
def test_bare_body_never_raises(code: str) -> None:
    bare_body(code, "f")
