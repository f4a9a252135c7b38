"""Untrusted text becomes a body, or a named refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body, BodyError
from gccllm.base.limits import LIMITS
from gccllm.base.reasons import Reason

SUM = """
# a comment
.L2:    movl (%rdi, %rax, 4), %ecx   # another
\taddl\t%ecx, %edx ;
\tjne .L2
\tmulsd .LC0(%rip), %xmm0
\trep stosq
\tvmovups (%rdi), %zmm1{%k1}{z}
\tret
\t.section\t.rodata.cst8,"aM",@progbits,8
\t.align 8
.LC0:\t.long 0, 1074397184
"""


def refused(text: str) -> tuple[Reason, str]:
    with pytest.raises(BodyError) as caught:
        Body.parse(text)
    return caught.value.reason, caught.value.detail


def test_a_body_prints_as_it_parses() -> None:
    body = Body.parse(SUM)
    assert Body.parse(body.text()) == body
    assert [line.mnemonic for line in body.lines] == ["", "movl", "addl", "jne", "mulsd", "stosq", "vmovups", "ret"]
    assert body.lines[1].operands == ("(%rdi,%rax,4)", "%ecx")
    assert body.lines[5].prefixes == ("rep",)
    assert body.lines[6].operands == ("(%rdi)", "%zmm1{%k1}{z}")
    (constant,) = body.constants
    assert (constant.label, constant.align, constant.size) == (".LC0", 8, 8)
    assert constant.directives == ((".long", "0"), (".long", "1074397184"))


@pytest.mark.parametrize(
    "line",
    ['.incbin "/etc/passwd"', '.include "x"', ".globl main", ".byte 0xcc", ".long 7", ".set a, b", "a = 4",
     ".macro m", ".rept 9", ".org 4", ".cfi_startproc", ".text", '.section .init_array,"aw"', ".p2align 4",
     '.section .rodata,"awx"', ".pushsection .text", ".symver a, b", ".type f, @function", ".popsection"],
)  # fmt: skip
def test_directives_are_refused(line: str) -> None:
    assert refused(f"\t{line}\n\tret\n")[0] is Reason.DIRECTIVE


@pytest.mark.parametrize(
    "line",
    ["nop; nop", "jmp 1f", "1: nop", "jmp .+2", "main: nop", "jmp .L9", 'movl "x", %eax', "/* open", "???",
     "movl (%rax, %ebx", "lock", "movb $'a', %al", ".L1: nop\n.L1: nop", "{vex}"],
)  # fmt: skip
def test_what_is_no_plain_instruction_is_refused(line: str) -> None:
    if line == "lock":
        assert Body.parse("\tlock\n\tret\n").lines[0].mnemonic == "lock"  # an instruction to the assembler too
        return
    assert refused(f"\t{line}\n\tret\n")[0] is Reason.UNPARSABLE


@pytest.mark.parametrize(
    "data",
    [".zero 99999999", ".zero 4, 0xff", ".long .", '.string "\\q"', ".quad 1f", ".incbin \"x\"", ".fill 3", ".zero -1",
     ".long 4 + (3)", '.ascii "a" "b"'],
)  # fmt: skip
def test_constants_hold_plain_data_only(data: str) -> None:
    assert refused(f"\tret\n\t.section .rodata\n.LC0:\n\t{data}\n")[0] is Reason.DIRECTIVE


def test_instructions_do_not_follow_constants() -> None:
    assert refused("\tret\n\t.section .rodata\n.LC0:\n\t.long 4\n\tnop\n")[0] is Reason.UNPARSABLE


def test_sizes_are_limited() -> None:
    assert refused("\tnop\n" * (LIMITS.body_instructions + 1))[0] is Reason.TOO_LONG
    assert refused("#" * (LIMITS.body_bytes + 1))[0] is Reason.TOO_LONG
    assert refused("\tret\n\t.section .rodata\n.LC0:\n" + "\t.zero 9999\n" * 99)[0] is Reason.TOO_LONG
    assert Body.parse("\tnop\n" * LIMITS.body_instructions).instructions == LIMITS.body_instructions
    assert refused("# nothing\n")[0] is Reason.UNPARSABLE


def test_renaming_reaches_every_own_label_and_no_other_symbol() -> None:
    body = Body.parse(
        "\tleaq .LT(%rip), %rdx\n\tjmp *%rax\n.La:\n\tcall helper@PLT\n\tmovl table+4(%rip), %eax\n\tret\n"
        "\t.section .rodata\n.LT:\n\t.long .La-.LT\n"
    )
    renamed = body.renamed("x7")
    assert renamed.labels.keys() == {".Lx7_a"}
    assert renamed.constants[0].label == ".Lx7_T"
    assert renamed.constants[0].directives == ((".long", ".Lx7_a-.Lx7_T"),)
    assert renamed.externals == body.externals == {"helper", "table"}
    assert body.replace_symbol("helper", "other").calls == ("other",)


def test_the_targets_of_calls_are_seen_in_every_spelling() -> None:
    body = Body.parse("\tcall a\n\tcall b@PLT\n\tcall *c@GOTPCREL(%rip)\n\tcall *%rax\n\tjne d\n\tjmp e\n")
    assert body.calls == ("a", "b", "c", "d", "e")


def test_a_leading_endbr64_can_be_taken_off() -> None:
    body = Body.parse("\tendbr64\n\tret\n")
    assert [line.mnemonic for line in body.without_endbr().lines] == ["ret"]
    assert body.without_endbr().without_endbr() == body.without_endbr()


WORDS = st.sampled_from(
    ["mov", "%rax", "$7", "(%rdi)", ".L1", ":", ",", "\n", "\t", " ", ";", "#", '"', ".section", ".rodata", ".long",
     "jmp", "1", "f", "rep", "{", "}", "\x85", "\xa0", "é", "\\", "/*", "*/", "=", ".", "$", "@", "+", "ret"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_refused_or_prints_to_itself(text: str) -> None:
    try:
        body = Body.parse(text)
    except BodyError:
        return
    assert Body.parse(body.text()) == body


def test_a_constant_behind_an_aligned_one_of_its_section_is_as_aligned() -> None:
    """clang aligns the first of several; here they come from two sections, which are one in a body."""
    four = "\t.long 1\n\t.long 2\n\t.long 3\n\t.long 4\n"
    body = Body.parse(
        "\taddps .LA(%rip), %xmm0\n\taddps .LB(%rip), %xmm0\n"
        "\taddss .LC(%rip), %xmm0\n\taddss .LD(%rip), %xmm0\n\tret\n"
        f'\t.section .rodata.cst16,"aM",@progbits,16\n\t.p2align 4\n.LA:\n{four}'
        '\t.section .rodata.cst4,"aM",@progbits,4\n\t.p2align 2\n.LC:\n\t.long 1\n.LD:\n\t.long 2\n'
        f'\t.section .rodata.cst16,"aM",@progbits,16\n.LB:\n{four}'
    )
    assert {constant.label: constant.align for constant in body.constants} == {".LA": 16, ".LB": 16, ".LC": 4, ".LD": 4}
    assert Body.parse(body.text()) == body
