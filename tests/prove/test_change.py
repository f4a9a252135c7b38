"""Changes are shown to make no difference only where they make none."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.prove.change import Equivalence

TOOLS = Toolchain.find()
TEXT = """
	movl	(%rdi), %eax
	andl	$15, %eax
	movl	%eax, %edx
	cmpl	$20, %edx
	jbe	.Lfew
	addl	$7, %eax
.Lfew:
	leaq	16(%rsi), %rcx
	movq	(%rsi), %r8
	cmpq	%rcx, %rsi
	jb	.Lout
	addl	$1, %eax
.Lout:
	movl	%eax, 4(%rdi)
	movdqu	(%rsi), %xmm0
	movdqu	%xmm0, (%rcx)
	paddd	%xmm0, %xmm0
	ret
"""


def is_same(old: str, *new: str, text: str = TEXT) -> bool:
    """One line of TEXT, and the lines in its place."""
    lines = text.strip("\n").split("\n")
    (at,) = [n for n, line in enumerate(lines) if line.strip().replace("\t", " ") == old]
    body = Body.parse(text)
    other = "\n".join([*lines[:at], *(f"\t{line}" for line in new), *lines[at + 1 :]]) + "\n"
    where = next(n for n, line in enumerate(body.lines) if line.text().strip().replace("\t", " ") == old)
    return Equivalence(body, TOOLS, Deadline(20.0)).holds(where, Body.parse(other))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("movl %eax, %edx", ["movzbl	%al, %edx"]),  # at most 15
        ("movl %eax, %edx", ["movq	%rax, %rdx"]),  # the upper half is clear
        ("andl $15, %eax", ["andq	$15, %rax"]),
        ("jbe .Lfew", ["jle	.Lfew"]),  # never negative
        ("jbe .Lfew", ["jb	.Lfew"]),  # never 20
        ("jb .Lout", ["jl	.Lout"]),  # addresses: the load before them would have faulted otherwise
        ("jb .Lout", ["jbe	.Lout"]),
        ("addl $1, %eax", []),  # and so nothing comes there
        ("leaq 16(%rsi), %rcx", ["leaq	15(%rsi), %rcx", "incq	%rcx"]),
        ("addl $7, %eax", ["addl	$9, %eax"]),  # nothing comes there
    ],
)
def test_what_makes_no_difference_is_shown(old: str, new: list[str]) -> None:
    assert is_same(old, *new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("andl $15, %eax", ["andl	$31, %eax"]),
        ("movl %eax, %edx", []),
        ("jb .Lout", ["jae	.Lout"]),
        ("jb .Lout", []),
        ("movl %eax, 4(%rdi)", ["movl	%eax, 8(%rdi)"]),
        ("movl %eax, 4(%rdi)", ["movl	%ecx, 4(%rdi)"]),
        ("movl %eax, 4(%rdi)", ["movw	%ax, 4(%rdi)"]),
        ("movl %eax, 4(%rdi)", []),
        ("cmpq %rcx, %rsi", ["cmpq	%rsi, %rcx"]),
        ("cmpl $20, %edx", ["testl	%edx, %edx"]),
        ("jbe .Lfew", ["jbe	.Lout"]),
        ("paddd %xmm0, %xmm0", ["paddq	%xmm0, %xmm0"]),  # vectors have no formulas: not shown, whatever they do
        ("paddd %xmm0, %xmm0", []),
        ("movdqu (%rsi), %xmm0", ["movdqu	1(%rsi), %xmm0"]),
        ("movdqu %xmm0, (%rcx)", []),
    ],
)
def test_what_may_make_a_difference_is_not(old: str, new: list[str]) -> None:
    assert not is_same(old, *new)


def test_flags_that_are_read_later_count() -> None:
    text = "\tmovl\t%edi, %eax\n\tandl\t$1, %eax\n\tje\t.Lout\n\taddl\t$3, %eax\n.Lout:\n\tret\n"
    assert not is_same("andl $1, %eax", "andl	$1, %eax", "testl	%edi, %edi", text=text)
    dead = "\tmovl\t%edi, %eax\n\tandl\t$1, %eax\n\tcmpl\t$3, %esi\n\tje\t.Lout\n\taddl\t$3, %eax\n.Lout:\n\tret\n"
    assert is_same("andl $1, %eax", "andl	$1, %eax", "testl	%edi, %edi", text=dead)
    shifted = dead.replace("cmpl\t$3, %esi", "sall\t%cl, %esi")
    assert not is_same("andl $1, %eax", "andl	$1, %eax", "testl	%edi, %edi", text=shifted)
