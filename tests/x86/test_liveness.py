"""Which registers a body reads before it writes them, and what nothing looks at any more."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, code_of
from gccllm.x86.convention import INTEGER_ARGUMENTS, VECTOR_ARGUMENTS, Convention, Exit
from gccllm.x86.decode import Code
from gccllm.x86.liveness import FLAG_NAMES, live, low_bytes, read_first
from tests.kit.sources import C_EXAMPLES
from tests.kit.units import TOOLS, module

RESULT = Convention(exits=(Exit({"RAX": 8}),))


def code(text: str) -> Code:
    return code_of(Body.parse(text), TOOLS)


@pytest.mark.parametrize(
    ("text", "register", "width"),
    [("leaq 1(%rdi), %rax", "RDI", 8), ("leal 1(%rdi), %eax", "RDI", 4), ("movzbl %sil, %eax", "RSI", 1),
     ("movslq %edi, %rax", "RDI", 4), ("movswl %di, %eax", "RDI", 2)],
)  # fmt: skip
def test_general_registers_are_live_by_bytes(text: str, register: str, width: int) -> None:
    found = live(code(f"\t{text}\n\tret\n"), 0, RESULT)
    assert {place for place in found if place.startswith(f"{register}:")} == low_bytes(register, width)


def test_a_value_of_which_only_the_low_bytes_are_returned_matters_in_these() -> None:
    found = live(code("\tleaq (%rdi,%rsi), %rcx\n\tmovzbl %cl, %eax\n\tret\n"), 0, RESULT)
    assert "RDI:1" in found
    assert not {"RDI:2", "RDI:8"} & found


def test_one_path_is_enough() -> None:
    text = "\ttestl %edi, %edi\n\tjne .L1\n\tmovl $1, %r9d\n.L1:\n\tmovl %r9d, %eax\n\tret\n"
    assert read_first(code(text)) == {"RDI", "R9"}
    assert "R9:4" in live(code(text), 0, RESULT)


@pytest.mark.parametrize(
    "text",
    ["\txorl %r9d, %r9d\n", "\tpxor %xmm9, %xmm9\n", "\tpcmpeqd %xmm9, %xmm9\n",
     "\tvpternlogd $0xff, %zmm9, %zmm9, %zmm9\n", "\tpushq %r10\n\tpopq %rcx\n", "\tpushq %rbx\n\tpopq %rbx\n",
     "\tvxorps %xmm9, %xmm9, %xmm9\n", "\tvzeroupper\n"],
)  # fmt: skip
def test_idioms_and_pushes_read_nothing_first(text: str) -> None:
    assert read_first(code(text + "\tret\n")) == set()


def test_nothing_that_a_call_overwrites_is_read_first() -> None:
    assert read_first(code("\tcall f\n\taddl %eax, %edx\n\taddl %ecx, %edx\n\tret\n")) == set()


@pytest.mark.parametrize(
    ("text", "read"),
    [("movq %rbx, (%rdi)", {"RBX", "RDI"}), ("movq %rbx, 8(%rbp)", {"RBX", "RBP"}), ("movq %r9, -8(%rsp)", {"R9"}),
     ("movb $1, %al\n\tmovzbl %ah, %eax", {"RAX"}), ("movl $1, %eax\n\taddq %rax, %rdx", {"RDX"}),
     ("addps %xmm9, %xmm0", {"ZMM0", "ZMM9"})],
)  # fmt: skip
def test_a_register_that_is_stored_or_computed_with_is_read_first(text: str, read: set[str]) -> None:
    assert read_first(code(f"\t{text}\n\tret\n")) == read


def test_the_carry_that_an_addition_takes_is_live() -> None:
    assert FLAG_NAMES[4] in live(code("\tadcl %edi, %esi\n\tret\n"), 0, RESULT)


@pytest.mark.parametrize(
    "text",
    ["movss %xmm1, %xmm0", "cvtsi2sd %edi, %xmm0", "pinsrd $1, %edi, %xmm0",
     "vmovss %xmm1, %xmm0, %xmm2\n\tmovaps %xmm2, %xmm0"],
)  # fmt: skip
def test_lanes_that_an_instruction_carries_through_stay_live(text: str) -> None:
    """Whether they are defined is no concern of the instruction; whether they are the same, of the result."""
    assert low_bytes("ZMM0", 16) <= live(code(f"\t{text}\n\tret\n"), 0, Convention(exits=(Exit({"ZMM0": 16}),)))
    assert "ZMM0" not in read_first(code(f"\t{text}\n\tret\n"))


def test_a_narrow_vector_write_leaves_the_upper_lanes_live() -> None:
    found = live(code("\tmovaps %xmm1, %xmm0\n\tvmovaps %ymm0, (%rdi)\n\tret\n"), 0, RESULT)
    assert {place for place in found if place.startswith("ZMM0:")} == {"ZMM0:32"}


def test_a_shift_by_a_register_may_leave_the_flags() -> None:
    text = "\tcmpl %edi, %esi\n\t{}\n\tsetb %al\n\tret\n"
    carry = FLAG_NAMES[4]
    assert carry in live(code(text.format("shll %cl, %edx")), 1, RESULT)
    assert carry not in live(code(text.format("shll $3, %edx")), 1, RESULT)


def test_gccs_own_bodies_read_arguments_only() -> None:
    arguments = {*INTEGER_ARGUMENTS, *VECTOR_ARGUMENTS, "RAX"}
    count = 0
    for source in C_EXAMPLES[:6]:
        for flags in (("-O3",), ("-O2", "-march=x86-64-v4")):
            for function in module(source, *flags, "-fno-ipa-ra").functions.values():
                read = read_first(code_of(function.body, TOOLS))
                assert read <= arguments, function.name
                count += 1
    assert count > 40
