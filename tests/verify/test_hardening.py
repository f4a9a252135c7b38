"""Hardening that a compiler's option puts into a function is asked of what stands in its place."""

from __future__ import annotations

import pytest

from gccllm.assembly import BodyError, Module
from gccllm.base.reasons import Reason
from gccllm.verify.frame import ALLOWED, check_frame
from gccllm.verify.hardening import check_hardening, is_speculation_trap
from gccllm.x86.abi_flow import Flow, analyse
from gccllm.x86.convention import Convention
from gccllm.x86.decode import Code, assemble
from tests.kit.replay import TOOLS, compiled

SOURCES = (
    "void target(unsigned char *p, const unsigned char *k, long n) { for (long i = 0; i < n; i++) p[i] ^= k[i]; }",
    "int target(const int *p, long n)"
    "{ if (n < 0) return -1; int s = 0; for (long i = 0; i < n; i++) s += p[i]; return s; }",
    "double target(const double *p, long n) { double s = 0; for (long i = 0; i < n; i++) s += p[i]; return s; }",
    "long other(long); long target(const long *p, long n)"
    "{ long s = 0; for (long i = 0; i < n; i++) s += other(p[i]); return s; }",
)  # fmt: skip


def flow_of(code: Code) -> Flow:
    return analyse(code, Convention())


def body(source: str, *flags: str) -> Code:
    text = compiled(source, "-fcf-protection=none", *flags)
    code = assemble("target", Module.parse(text).functions["target"].body.text(), TOOLS)
    assert isinstance(code, Code), code
    return code


def refusal(candidate: Code, baseline: Code) -> str:
    try:
        check_hardening(candidate, baseline)
    except BodyError as error:
        return error.detail if error.reason is Reason.HARDENING else f"{error}"
    return ""


OPTIONS = (
    "-fzero-call-used-regs=used", "-fzero-call-used-regs=used-gpr", "-fzero-call-used-regs=all",
    "-fzero-call-used-regs=all-gpr-arg", "-mharden-sls=all", "-mharden-sls=return",
)  # fmt: skip
FRAMED = ("-fno-omit-frame-pointer", SOURCES[-1])
"""In a leaf gcc sets up no frame."""


@pytest.mark.parametrize(("option", "source"), [*((o, s) for o in OPTIONS for s in SOURCES), FRAMED])
def test_an_option_s_hardening_is_missed_and_found(option: str, source: str) -> None:
    baseline = body(source, "-O2", option)
    assert refusal(body(source, "-O2"), baseline), "it is gone"
    assert not refusal(baseline, baseline)
    assert not refusal(body(source, "-O3", "-fno-tree-vectorize", option), baseline), "gcc's other bodies keep it"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("flags", ["-O1", "-O3", "-O3 -march=haswell", "-O3 -funroll-loops", "-Os"])
def test_nothing_is_asked_where_the_baseline_has_nothing(source: str, flags: str) -> None:
    plain, other = body(source, "-O2"), body(source, *flags.split())
    assert not refusal(other, plain)
    assert not refusal(plain, other)
    check_frame(flow_of(other), flow_of(plain), is_recursive=False)


def test_only_a_trap_that_nothing_leads_to_is_one_of_speculation() -> None:
    behind = body(SOURCES[0], "-O2", "-mharden-sls=all")
    traps = [insn for insn in behind.insns if insn.mnemonic == "INT3"]
    assert traps
    assert all(is_speculation_trap(behind, insn) for insn in traps)
    code = assemble("target", "\ttestl %edi, %edi\n\tje .L1\n\tret\n.L1:\n\tint3\n", TOOLS)
    assert isinstance(code, Code)
    assert not is_speculation_trap(code, code.insns[-1])


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("\tret", 0),
        ("\tpushq %rbx\n\tsubq $24, %rsp\n\taddq $24, %rsp\n\tpopq %rbx\n\tret", 32),
        ("\tpushq %rbp\n\tmovq %rsp, %rbp\n\tandq $-64, %rsp\n\tsubq $128, %rsp\n\tleave\n\tret", 8 + 64 + 128),
        ("\tpushq %rbp\n\tmovq %rsp, %rbp\n\tleaq -8192(%rbp), %rsp\n\tleave\n\tret", 8 + 8192),
        ("\tpushq %rbp\n\tmovq %rsp, %rbp\n\tleaq -96(%rsp), %rax\n\tmovq %rax, %rsp\n\tleave\n\tret", 8 + 96),
        ("\tleaq -40(%rsp), %rsp\n\tleaq 40(%rsp), %rsp\n\tret", 40),
        ("\ttestl %edi, %edi\n\tje .L1\n\tsubq $56, %rsp\n\tcall f\n\taddq $56, %rsp\n.L1:\n\tret", 56),
    ],
)
def test_depth_of_a_frame(text: str, bytes_: int) -> None:
    code = assemble("target", text, TOOLS)
    assert isinstance(code, Code)
    assert flow_of(code).depth == bytes_


def test_a_pointer_that_goes_down_in_a_loop_cannot_be_followed() -> None:
    code = assemble("target", ".L1:\n\tsubq $16, %rsp\n\tdecl %edi\n\tjne .L1\n\tret", TOOLS)
    assert isinstance(code, Code)
    assert Reason.STACK_DEPTH in {problem.reason for problem in flow_of(code).problems}


def test_a_large_frame_stays_allowed_where_the_baseline_has_one_at_once() -> None:
    source = "void use(char *); void target(void) { char a[9000]; use(a); }"
    plain, probed = body(source, "-O2"), body(source, "-O2", "-fstack-clash-protection")
    check_frame(flow_of(plain), flow_of(plain), is_recursive=False)
    with pytest.raises(BodyError) as said:
        check_frame(flow_of(plain), flow_of(probed), is_recursive=False)
    assert said.value.reason is Reason.FRAME
    assert flow_of(plain).depth > ALLOWED
