"""Two bodies behind one test of a length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body
from gccllm.propose import Isa, make_prompt
from gccllm.propose.hybrid import hybrid, length_register
from gccllm.propose.prune import prune
from gccllm.propose.recompile import RecompileProposer
from tests.kit.units import Make


@pytest.mark.parametrize(
    ("signature", "register", "is_wide", "is_unsigned"),
    [
        ("int dot(const int *a, const int *b, int n)", "%edx", False, False),
        ("size_t enc(const uint8_t *in, size_t n, char *out)", "%rsi", True, True),
        ("void saxpy(float a, float *x, unsigned n)", "%esi", False, True),
        ("long f(long x)", "%rdi", True, False),
        ("void fill(char c, char *p, int count)", "%edx", False, False),
        ("uint64_t hash(const uint8_t *in, size_t n, uint64_t k0, uint64_t k1)", "%rsi", True, True),
    ],
)
def test_length_is_found_by_type_place_and_name(
    signature: str, register: str, is_wide: bool, is_unsigned: bool
) -> None:
    assert length_register(signature) == (register, is_wide, is_unsigned)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "int f(void)",
        "int f(const char *s)",
        "int f(struct pair p, int n)",  # the pair may take one register, two, or none
        "int f(int (*g)(int), int n)",
        "int f(int a, int b)",  # neither is named like a length
        "int f(double x, double y)",
        "int f(char *a, char *b, char *c, char *d, char *e, char *g, int n)",  # on the stack
        "int f(int n",
    ],
)
def test_no_length_is_guessed_where_its_register_is_not_sure(signature: str) -> None:
    assert length_register(signature) is None


@given(st.text(alphabet="int n,*()sizet_ []double", max_size=60))
def test_any_signature_is_read_without_an_error(signature: str) -> None:
    length_register(signature)


def test_hybrid_is_a_body_with_both_halves_and_one_test() -> None:
    wide = Body.parse("\tmovl\t.LC0(%rip), %eax\n.L1:\n\tjmp\t.L1\n\t.section\t.rodata\n.LC0:\n\t.long\t1\n")
    own = Body.parse("\tmovl\t.LC0(%rip), %eax\n.L1:\n\tret\n\t.section\t.rodata\n.LC0:\n\t.long\t2\n")
    both = hybrid(wide, own, "int f(const int *a, int n)", 40)
    assert both is not None
    assert Body.parse(both.text()) == both
    assert [constant.directives for constant in both.constants] == [((".long", "2"),), ((".long", "1"),)]
    assert both.text().startswith("\tcmpl\t$40, %esi\n\tjg\t.Lwide_entry\n")


def test_recompile_offers_its_widest_body_for_long_inputs_only_too(unit_of: Make) -> None:
    unit = unit_of("int f(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }")
    assert unit.baseline is not None
    prompt = make_prompt(unit.baseline.functions["f"], unit, Isa(0, 5))
    recipes = [candidate.recipe for candidate in RecompileProposer().propose(prompt, 64, 60)]
    assert any("-or-own:" in recipe for recipe in recipes)


def pruned(text: str, low: int = 113, *, is_signed: bool = True, register: str = "%esi") -> list[str]:
    body = prune(Body.parse(text), register, low, is_signed=is_signed)
    return [line.text().strip().replace("\t", " ") for line in body.lines if not line.is_label]


def test_test_for_short_lengths_goes_with_what_it_guards() -> None:
    text = "\ttestl %esi, %esi\n\tjle .L2\n\tmovl $1, %eax\n\tret\n.L2:\n\txorl %eax, %eax\n\tret\n"
    assert pruned(text) == ["testl %esi, %esi", "movl $1, %eax", "ret"]


def test_branch_that_is_always_taken_becomes_a_jump_or_nothing() -> None:
    text = "\tcmpl $4, %esi\n\tjae .L2\n\tmovl $1, %eax\n\tret\n.L2:\n\txorl %eax, %eax\n\tret\n"
    assert pruned(text) == ["cmpl $4, %esi", "xorl %eax, %eax", "ret"]


def test_bound_follows_copies_subtractions_and_shifts() -> None:
    text = (
        "\tmovl %esi, %ecx\n\tleal -1(%rcx), %edx\n\tshrl $4, %edx\n"
        "\tcmpl ${}, %edx\n\tjbe .L2\n\tret\n.L2:\n\tnop\n\tret\n"
    )
    assert "jbe .L2" not in pruned(text.format(6))  # (113 - 1) >> 4 is 7
    assert "jbe .L2" in pruned(text.format(7))


@pytest.mark.parametrize(
    "between",
    [
        "movl (%rdi), %esi",
        "imull %eax, %esi",
        "call g",
        "andl $-64, %esi",
        "popq %rsi",
        "negl %esi",
        "xchgl %esi, %eax",
    ],
)
def test_bound_is_lost_when_the_register_changes_otherwise(between: str) -> None:
    text = f"\t{between}\n\ttestl %esi, %esi\n\tjle .L2\n\tret\n.L2:\n\tnop\n\tret\n"
    assert "jle .L2" in pruned(text)


def test_loop_counter_that_falls_keeps_its_exit() -> None:
    text = ".L1:\n\taddl (%rdi), %eax\n\tdecl %esi\n\ttestl %esi, %esi\n\tjne .L1\n\tret\n"
    assert "jne .L1" in pruned(text)


def test_meeting_paths_keep_only_what_holds_on_both() -> None:
    text = (
        "\ttestb $1, %dil\n\tje .L1\n\tmovl (%rdi), %esi\n.L1:\n"
        "\ttestl %esi, %esi\n\tjle .L2\n\tret\n.L2:\n\tnop\n\tret\n"
    )
    assert "jle .L2" in pruned(text)


def test_unsigned_bound_says_nothing_of_signed_conditions() -> None:
    text = "\ttestq %rsi, %rsi\n\tj{} .L2\n\tret\n.L2:\n\tnop\n\tret\n"
    assert "jle .L2" in pruned(text.format("le"), is_signed=False, register="%rsi")
    assert "je .L2" not in pruned(text.format("e"), is_signed=False, register="%rsi")


def test_body_with_a_jump_table_is_left_as_it_is() -> None:
    text = "\ttestl %esi, %esi\n\tjle .L2\n\tjmp *%rax\n.L2:\n\tret\n"
    assert "jle .L2" in pruned(text)
