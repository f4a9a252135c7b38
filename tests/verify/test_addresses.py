"""Code that computes with the bits of an address is found, whatever way the bits take; ordinary uses are not."""

from __future__ import annotations

import pytest

from gccllm.assembly import BodyError, Module
from gccllm.base.reasons import Reason
from gccllm.verify.addresses import check_addresses, uses_of
from gccllm.x86.convention import Convention
from gccllm.x86.decode import Code, assemble
from tests.kit.replay import TOOLS, compiled

LOOP = "\txorl %eax, %eax\n.L2:\n\taddl (%rdi), %eax\n\taddq $4, %rdi\n\tcmpq %rsi, %rdi\n\tjne .L2\n"
POINTERS = Convention(pointers=frozenset({"RDI", "RSI"}))


def decoded(text: str) -> Code:
    code = assemble("target", text, TOOLS)
    assert isinstance(code, Code), code
    return code


def is_refused(before: str, after: str = "addl %r10d, %eax") -> bool:
    """`before` the loop something comes into r10, and `after` it that goes into the result."""
    candidate = "".join(f"\t{line}\n" for line in before.split("; ")) + LOOP + f"\t{after}\n\tret\n"
    if "NUMBER" in before:
        candidate += '\t.section .rodata.cst8,"aM",@progbits,8\n.LNUMBER:\n\t.quad 0x600000000000\n'
    try:
        check_addresses(decoded(candidate), uses_of(decoded(LOOP + "\tret\n"), POINTERS), POINTERS)
    except BodyError as error:
        return error.reason is Reason.ADDRESS_BITS
    return False


@pytest.mark.parametrize(
    "before",
    [
        "movq %rdi, %r10; shrq $40, %r10",
        "movq %rsp, %r10; subq %rdi, %r10; shrq $40, %r10",
        "leaq (%rdi,%rsi), %r10; sarq $33, %r10",
        "movl %edi, %r10d; andl $65536, %r10d",
        "movq %rdi, %r10; rolq $20, %r10; andl $15, %r10d",
        "movq %rdi, %r10; bswapq %r10",
        "popcntq %rdi, %r10",
        "movl $1, %r10d; shlxq %rdi, %r10, %r10",
        "leaq target(%rip), %r10; shrq $32, %r10",
        "movabsq $0x600000000000, %r10; cmpq %r10, %rdi; sbbl %r10d, %r10d",
        "cmpq .LNUMBER(%rip), %rdi; sbbl %r10d, %r10d",
        "movq %rdi, %r10; btq $46, %r10; sbbl %r10d, %r10d",
        "testl $0x10000, %edi; setne %r10b; movzbl %r10b, %r10d",
        "movl $0, %r10d; movl $1, %ecx; testl $0x10000, %edi; cmovne %ecx, %r10d",
        "testl $0x10000, %edi; je .L7; movl $1, %r10d; .L7: nop",
        "popq %r10; pushq %r10; shrq $28, %r10",
        "movq (%rsp), %r10; shrq $28, %r10",
        "pushq %rdi; movl 4(%rsp), %r10d; popq %rcx",
        "movq %rdi, -16(%rsp); xorl %ecx, %ecx; andl $8, %edx; movl -12(%rsp,%rdx), %r10d",
        "vmovq %rdi, %xmm0; vpsrlq $40, %xmm0, %xmm0; vmovd %xmm0, %r10d",
        "vmovq %rdi, %xmm0; vpextrd $1, %xmm0, %r10d",
        "negq %rdi; movq %rdi, %r10; negq %rdi; shrq $40, %r10",
        "movq %rdi, %r10; xorq %rsp, %r10; shrq $40, %r10",
        "movzwl %di, %r10d",
    ],
)
def test_bits_of_an_address_are_found(before: str) -> None:
    assert is_refused(before)


@pytest.mark.parametrize(
    "before",
    [
        "movl %edi, %r10d; andl $15, %r10d",
        "movq %rdi, %r10; orq %rsi, %r10; andl $63, %r10d",
        "movq %rdi, %r10; shrq $2, %r10; negl %r10d; andl $3, %r10d",
        "movzbl %dil, %r10d",
        "movq %rsi, %r10; subq %rdi, %r10; shrq $2, %r10",
        "movl %esi, %r10d; subl %edi, %r10d",
        "movq %rdi, %r10; notq %r10; addq %rsi, %r10",
        "cmpq %rsi, %rdi; sbbl %r10d, %r10d",
        "xorl %r10d, %r10d; testq %rdi, %rdi; sete %r10b",
        "movq %rdx, %r10; shrq $40, %r10",
        "pushq %rdi; popq %r10; subq %rdi, %r10",
        "movl (%rdi), %r10d; shrl $4, %r10d",
        "leaq 16(%rdi), %r10; andq $-16, %r10; movl (%r10), %r10d",
    ],
)
def test_ordinary_uses_of_addresses_are_fine(before: str) -> None:
    assert not is_refused(before)


SOURCE = "\n".join(
    f"{kind} f{i}({kind} *p, {kind} *q, long n) {{ {loop} }}"
    for i, (kind, loop) in enumerate(
        (kind, loop)
        for kind in ("int", "unsigned char", "double")
        for loop in (
            "for (long i = 0; i < n; i++) q[i] = p[i] + 3; return q[0];",
            "for (long i = n; i-- > 0;) q[i] += p[n - 1 - i]; return q[0];",
            "while (p < q && *p) p++; return *p;",
            f"{kind} t[64]; for (long i = 0; i < 64; i++) t[i] = p[i]; {kind} s = 0;"
            "for (long i = 0; i < n; i++) s += t[i & 63]; return s;",
            f"{kind} *best = p; for (long i = 1; i < n; i++) if (p[i] > *best) best = p + i;return *best + (best - p);",
        )
    )
)


@pytest.mark.parametrize("flags", ["-O2", "-O3 -march=haswell", "-Os", "-O3 -fPIC -mavx512vl", "-O1"])
def test_what_gcc_makes_of_ordinary_code_passes(flags: str) -> None:
    baselines = Module.parse(compiled(SOURCE, "-O3")).functions
    candidates = Module.parse(compiled(SOURCE, *flags.split())).functions
    for name, baseline in baselines.items():
        code = decoded(candidates[name].body.text())
        check_addresses(code, uses_of(decoded(baseline.body.text()), POINTERS), POINTERS)
