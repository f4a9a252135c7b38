"""Mutants: deterministic, bounded, spread, each a small change that says what it is; and changes nobody can see."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.assembly import Body, Module
from gccllm.verify.dead import is_dead_change
from gccllm.verify.mutate import OPERATORS, assembling, mutants
from gccllm.verify.mutate_tables import CONDITION_SIBLINGS, SIBLINGS
from gccllm.x86.convention import Convention, Exit
from gccllm.x86.decode import Code, assemble
from tests.kit.bench import SUM
from tests.kit.replay import TOOLS, compiled

BODY = Module.parse(compiled(SUM, "-O3")).functions["target"].body
SMALL = Body.parse(
    """
	movl	.LC0(%rip), %eax
	cmpl	$5, %esi
	jle	.L1
	movzbl	4(%rdi,%rsi,2), %edx
	addl	%edx, %eax
	movl	%eax, (%rdi)
	addq	%rsi, %rdi
.L1:
	ret
	.section .rodata
	.align 4
.LC0:
	.long 7
"""
)


def test_same_seed_same_mutants() -> None:
    assert mutants(BODY, seed=3) == mutants(BODY, seed=3)
    assert mutants(BODY, seed=3) != mutants(BODY, seed=4)


@pytest.mark.parametrize("hostile", [False, True])
def test_limit_is_kept_and_no_mutant_comes_twice_or_is_the_body(hostile: bool) -> None:
    found = mutants(BODY, limit=50, hostile=hostile)
    texts = {m.body.text() for m in found}
    assert len(found) == len(texts) == 50
    assert BODY.text() not in texts


def test_every_instruction_is_mutated_before_any_is_twice() -> None:
    lines = [m.line for m in mutants(BODY, limit=1000) if m.line >= 0]
    different = len(set(lines))
    assert different > 20
    assert len(set(lines[:different])) == different


def test_one_place_changes_and_is_named() -> None:
    for mutant in mutants(SMALL, limit=1000):
        a, b = SMALL.lines, mutant.body.lines
        if mutant.line >= 0:
            assert a[: mutant.line] == b[: mutant.line]
            assert a[mutant.line + 1 :] == b[len(b) - len(a) + mutant.line + 1 :]
        assert mutant.what


def test_every_plain_operator_finds_work_in_a_small_body() -> None:
    plain = {name for name, operator in OPERATORS.items() if not operator.hostile}
    body = Body.parse(SMALL.text().replace("addq\t%rsi, %rdi", "subq\t%rsi, %rdi\n\tjmp\t.L2\n.L2:"))
    assert {m.operator for m in mutants(body, limit=1000)} == plain


def test_every_hostile_operator_finds_work() -> None:
    hostile = {name for name, operator in OPERATORS.items() if operator.hostile}
    body = Body.parse("\tpushq\t%rbx\n\tmovq\t(%rdi), %rbx\n\tmovl\t%ebx, %eax\n\tpopq\t%rbx\n\tret")
    assert {m.operator for m in mutants(body, limit=1000, hostile=True)} == hostile


@pytest.mark.parametrize(
    "what",
    [
        "cmpl $5, %esi -> cmpl $6, %esi", "jle .L1 -> jg .L1", "jle .L1 -> jl .L1", "jle .L1 -> jbe .L1",
        "movzbl 4(%rdi,%rsi,2), %edx -> movsbl 4(%rdi,%rsi,2), %edx", "addl %edx, %eax -> subl %edx, %eax",
        "store dropped: movl %eax, (%rdi)", ".LC0[0]: 7 -> 6", "executed twice: addq %rsi, %rdi",
        "movzbl 4(%rdi,%rsi,2), %edx -> movzbl 4(%rdi,%rsi,4), %edx",
    ],
)  # fmt: skip
def test_expected_mistake_is_among_them(what: str) -> None:
    assert what in {m.what for m in mutants(SMALL, limit=1000)}


def test_those_the_assembler_refuses_are_dropped(tmp_path: Path) -> None:
    found = mutants(SMALL, limit=1000)
    bad = Body.parse("\tmovl\t%rax, %ecx\n\tret")
    spoiled = [found[0], type(found[0])(bad, "bad", "sibling", 0), *found[1:]]
    kept = assembling(spoiled, TOOLS, tmp_path)
    assert bad not in [m.body for m in kept]
    assert len(kept) > 0.8 * len(found)


def test_tables_name_no_mnemonic_as_its_own_sibling() -> None:
    for table in (SIBLINGS, CONDITION_SIBLINGS):
        for name, others in table.items():
            assert name not in others
            assert len(set(others)) == len(others)


def is_dead(old: str, new: str, results: frozenset[str] = frozenset({"RAX"})) -> bool:
    a, b = (Body.parse(text.replace(";", "\n") + "\nret") for text in (old, new))
    codes = [assemble("target", body.text(), TOOLS) for body in (a, b)]
    assert all(isinstance(code, Code) for code in codes)
    return is_dead_change(a, b, codes[0], codes[1], Convention(exits=(Exit(dict.fromkeys(results, 8)),)))


@pytest.mark.parametrize(
    ("old", "new", "dead"),
    [
        ("movl $1,%ecx; movl %edi,%eax", "movl $2,%ecx; movl %edi,%eax", True),
        ("movl $1,%ecx; movl %ecx,%eax", "movl $2,%ecx; movl %ecx,%eax", False),
        ("addl $1,%ecx; movl %edi,%eax", "movl %edi,%eax", True),
        ("movl %edi,%eax; addl $1,%ebx", "movl %edi,%eax", False),
        ("movzbl (%rdi),%edx; cmpb $7,%dl; sete %al", "movsbl (%rdi),%edx; cmpb $7,%dl; sete %al", True),
        ("movzbl (%rdi),%edx; cmpl $7,%edx; sete %al", "movsbl (%rdi),%edx; cmpl $7,%edx; sete %al", False),
        ("movzbl (%rdi),%edx; movb %dl,(%rsi)", "movsbl (%rdi),%edx; movb %dl,(%rsi)", True),
        ("movzbl (%rdi),%edx; shrl %edx; movb %dl,(%rsi)", "movsbl (%rdi),%edx; shrl %edx; movb %dl,(%rsi)", False),
        ("movslq %edi,%rdi; addl %edi,%esi; movl %esi,%eax", "addl %edi,%esi; movl %esi,%eax", True),
        ("movslq %edi,%rdi; addq %rdi,%rsi; movq %rsi,%rax", "addq %rdi,%rsi; movq %rsi,%rax", False),
        ("movslq %edi,%rdi; leal (%rdi,%rsi),%edx; movb %dl,(%r8)", "leal (%rdi,%rsi),%edx; movb %dl,(%r8)", True),
        ("movslq %edi,%rdi; movl (%rdi),%eax", "movl (%rdi),%eax", False),
        ("cmpl %esi,%edi; sete %al", "cmpl %edi,%esi; sete %al", True),
        ("cmpl %esi,%edi; setl %al", "cmpl %edi,%esi; setl %al", False),
        ("movl %ecx,(%rdi)", "movl %edx,(%rdi)", False),
        ("movl (%rdi),%ecx; movl $1,%eax", "movl 4(%rdi),%ecx; movl $1,%eax", False),
        ("movl (%rdi),%ecx; movl $1,%eax", "movl $1,%eax", True),
        ("testl %edi,%edi; je .L1; .L1: movl $1,%eax", "testl %edi,%edi; jne .L1; .L1: movl $1,%eax", False),
        ("movb $1,%cl; movl %edi,%eax; shll %cl,%eax", "movb $2,%cl; movl %edi,%eax; shll %cl,%eax", False),
        ("imull %esi; movb %dl,(%rdi)", "movsbl %al,%eax; imull %esi; movb %dl,(%rdi)", False),
    ],
)  # fmt: skip
def test_dead_change(old: str, new: str, dead: bool) -> None:
    assert is_dead(old, new) is dead
