"""The formulas beside the processor: the same registers, flags and memory go in, what comes out is compared."""

from __future__ import annotations

import ctypes

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.assembly import Body
from gccllm.assembly.code import by_line, code_of
from gccllm.base.toolchain import Toolchain, run
from gccllm.prove.machine import FLAGS, Machine, address_of
from gccllm.prove.steps import step
from gccllm.x86.decode import Insn
from gccllm.x86.registers import GENERAL

TOOLS = Toolchain.find()
BITS = {"cf": 0, "pf": 2, "zf": 6, "sf": 7, "of": 11}
INSTRUCTIONS = [
    *(f"{op}{size}" for op in ("add", "adc", "sub", "sbb", "cmp", "and", "test", "or", "xor")
      for size in ("b %al,%cl", "w %ax,%cx", "l %eax,%ecx", "q %rax,%rcx", "l $-7,%ecx", "b %ah,%dl")),
    *(f"{op}{size}" for op in ("inc", "dec", "not", "neg") for size in ("b %al", "w %ax", "l %eax", "q %rax")),
    *(f"{op}{size}" for op in ("shl", "shr", "sar")
      for size in ("l $1,%eax", "l $5,%eax", "q $33,%rax", "b $7,%al", "l %cl,%eax", "q %cl,%rax", "w $15,%ax")),
    "imull %ecx,%eax", "imulq %rcx,%rax", "imull $-3,%ecx,%eax", "movl %eax,%ecx", "movb %al,%ch", "movw %ax,%cx",
    "movl $-1,%eax", "movq $-1,%rax", "movabsq $0x123456789abcdef0,%rax", "movzbl %ah,%ecx", "movzwl %ax,%ecx",
    "movsbl %al,%ecx", "movsbq %al,%rcx", "movswl %ax,%ecx", "movslq %eax,%rcx", "leal -5(%rax,%rcx,4),%edx",
    "leaq 9(%rax,%rcx,2),%rdx", "cltq", "cwtl", "cltd", "cqto", "endbr64", "nop",
    *(f"cmov{c}l %eax,%ecx" for c in ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge",
                                      "le", "g")),
    *(f"set{c} %dl" for c in ("b", "be", "l", "le", "p", "s", "o")),
    "movl (%rdi),%eax", "movq 3(%rdi,%rbx),%rax", "movb %al,5(%rdi)", "movl %ecx,(%rdi,%rbx,2)", "addl %eax,4(%rdi)",
    "cmpw $3,6(%rdi)", "movzbl 1(%rdi),%ecx", "incq 8(%rdi)", "bsfl %eax,%ecx", "btl $3,%eax", "rolq $7,%rax",
    "mull %ecx", "xchgl %eax,%ecx", "xaddl %eax,4(%rdi)", "bswapl %eax", "movd %eax,%xmm0", "movups %xmm0,16(%rdi)",
    "sahf", "lahf", "popcntl %eax,%ecx",
]  # fmt: skip
"""Those at the end have no formula of their own: what they change must come out unknown."""
HARNESS = """
	.text
	.globl	run{n}
run{n}:
	pushq	%rbx
	pushq	%rbp
	pushq	%rdi
	movq	%rdi, %rbp
	pushq	32(%rbp)
	popfq
	movq	(%rbp), %rax
	movq	8(%rbp), %rcx
	movq	16(%rbp), %rdx
	movq	24(%rbp), %rbx
	movq	40(%rbp), %rdi
	{instruction}
	pushfq
	popq	32(%rbp)
	movq	%rax, (%rbp)
	movq	%rcx, 8(%rbp)
	movq	%rdx, 16(%rbp)
	movq	%rbx, 24(%rbp)
	popq	%rdi
	popq	%rbp
	popq	%rbx
	ret
"""
MEMORY = 40


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    place = tmp_path_factory.mktemp("machine")
    rows = [HARNESS.format(n=n, instruction=one) for n, one in enumerate(INSTRUCTIONS)]
    (place / "run.s").write_text("".join(rows) + '\t.section\t.note.GNU-stack,"",@progbits\n')
    assert run(["gcc", "-shared", "-o", str(place / "run.so"), str(place / "run.s")]).ok
    return ctypes.CDLL(str(place / "run.so"))


def decoded(instruction: str) -> Insn:
    word, _, operands = instruction.partition(" ")
    return code_of(Body.parse(f"\t{word}\t{operands}\n\tret\n"), TOOLS).insns[0]


DECODED = {one: decoded(one) for one in INSTRUCTIONS}
words = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([0, 1, 2, 127, 128, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1]),
)


@pytest.mark.parametrize("number", range(len(INSTRUCTIONS)), ids=INSTRUCTIONS)
@settings(max_examples=20)
@given(
    st.tuples(words, words, words), st.integers(0, 7), st.integers(0, 31), st.binary(min_size=MEMORY, max_size=MEMORY)
)
def test_a_formula_says_what_the_processor_does(
    library: ctypes.CDLL, number: int, values: tuple[int, int, int], rbx: int, flags: int, content: bytes
) -> None:
    memory = ctypes.create_string_buffer(content, MEMORY)
    base = ctypes.addressof(memory)
    before = sum((flags >> n & 1) << bit for n, bit in enumerate(BITS.values())) | 0x202
    state = (ctypes.c_uint64 * 6)(*values, rbx, before, base)
    getattr(library, f"run{number}")(state)

    at = Machine.arbitrary()
    given_values = dict(zip(("RAX", "RCX", "RDX", "RBX", "RDI"), (*values, rbx, base), strict=True))
    for name, value in given_values.items():
        at = at.with_register(name, z3.BitVecVal(value, 64))
    at = at.with_flags(**{f: z3.BoolVal(bool(before >> BITS[f] & 1)) for f in FLAGS})
    for i, byte in enumerate(content):
        at = at.store(z3.BitVecVal(base + i, 64), z3.BitVecVal(byte, 8))
    after = step(at, DECODED[INSTRUCTIONS[number]])

    for name, value in zip(("RAX", "RCX", "RDX", "RBX"), state, strict=False):
        agrees(after.registers[name], value, name)
    for name in FLAGS:
        agrees(z3.If(after.flags[name], z3.BitVecVal(1, 1), z3.BitVecVal(0, 1)), state[4] >> BITS[name] & 1, name)
    for i, byte in enumerate(memory.raw):
        agrees(after.load(z3.BitVecVal(base + i, 64), 1), byte, f"byte {i}")


def agrees(formula: z3.BitVecRef, value: int, what: str) -> None:
    """What is known is right; what is unknown says nothing."""
    known = z3.simplify(formula)
    if z3.is_bv_value(known):
        assert known.as_long() == value, what


def test_a_plain_instruction_leaves_nothing_unknown() -> None:
    at = Machine.arbitrary()
    for name in GENERAL:
        at = at.with_register(name, z3.BitVecVal(77, 64))
    for instruction in ("addl %eax,%ecx", "leaq 9(%rax,%rcx,2),%rdx", "sarl $5,%eax", "movslq %eax,%rcx", "cqto"):
        after = step(at.with_flags(**{f: z3.BoolVal(False) for f in FLAGS}), DECODED[instruction])
        assert all(z3.is_bv_value(z3.simplify(value)) for value in after.registers.values()), instruction


def test_places_at_different_distances_from_a_symbol_are_different() -> None:
    texts = ("movl x(%rip), %eax", "movl x+8(%rip), %eax", "movl $1, x+8(%rip)", "cmpl $1, x(%rip)",
             "movl x+4(,%rdi,4), %eax", "movl x(,%rdi,4), %eax", "movl .LC0+8(%rip), %eax", "movl .LC0(%rip), %eax",
             "movl x@tpoff+4(%rdi), %eax", "movl x@tpoff(%rdi), %eax")  # fmt: skip
    lines = by_line(Body.parse("\n".join((*texts, "ret\n.section .rodata\n.LC0:\n.quad 1, 2"))), TOOLS)
    start = Machine.arbitrary()
    at = [z3.simplify(address_of(start, line)) for line in list(lines.values())[: len(texts)]]

    def distance(a: int, b: int) -> int:
        return int(z3.simplify(at[b] - at[a]).as_signed_long())

    assert [distance(0, 1), distance(1, 2), distance(0, 3)] == [8, 0, 0]
    assert [distance(5, 4), distance(7, 6), distance(9, 8)] == [4, 8, 4]
    # The symbol of an immediate is no part of the address beside it.
    (line, _) = by_line(Body.parse("movq $x, 8(%rdi)\nret"), TOOLS).values()
    assert z3.simplify(address_of(start, line) - start.registers["RDI"]).as_signed_long() == 8
