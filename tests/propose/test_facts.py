"""What code says about its answers: registers and stores of functions that gcc compiled."""

from __future__ import annotations

import pytest

from gccllm.base.toolchain import Toolchain
from gccllm.lab.train.text import SCALAR, bodies, compile_text
from gccllm.propose.facts import Facts, facts_of
from gccllm.propose.signature import CSignature

TOOLS = Toolchain.find()


def facts(c: str, *flags: str) -> Facts:
    types = CSignature.parse(c.partition("{")[0])
    assert types is not None
    (body,) = bodies(compile_text(TOOLS, c, [*SCALAR, *flags])).values()
    return facts_of(body, types, TOOLS)


@pytest.mark.parametrize(("c", "reads", "stores"), [
    ("int f(const char *s, int n) { int k = 0; while (*s) k += *s++ == 'a'; return k; }", "a", False),
    ("void f(int n, int *a, int c) { for (int i = 0; i < n; i++) a[i] = c; }", "abc", True),
    ("void f(float x, int n, double y, float *a) { for (int i = 0; i < n; i++) a[i] *= x; }", "abd", True),
    ("long f(long a, long b, long c, long d, long e, long g) { return a + g; }", "af", False),
])  # fmt: skip
@pytest.mark.parametrize("flags", [(), ("-fno-omit-frame-pointer",), ("-O0",)])
def test_code_says_what_it_reads_and_whether_it_stores(c: str, reads: str, stores: bool,
                                                       flags: tuple[str, ...]) -> None:  # fmt: skip
    found = facts(c, *flags)
    if "-O0" not in flags:  # which keeps every parameter in its frame
        assert found.reads == frozenset(reads)
    assert found.stores == stores


@pytest.mark.parametrize(("text", "stores"), [
    ("\tmovq\t%rdi, -8(%rsp)\n\tmovq\t-8(%rsp), %rax\n\tret\n", False),
    ("\tpushq\t%rbx\n\tmovq\t%rdi, %rbx\n\tmovq\t%rbx, %rax\n\tpopq\t%rbx\n\tret\n", False),
    ("\tleaq\t-40(%rsp), %rcx\n\tmovq\t%rdi, (%rcx)\n\tret\n", None),
    ("\tmovq\t%rsp, %rcx\n\tmovq\t%rdi, -40(%rcx)\n\tret\n", None),
    ("\tmovq\t%rdi, (%rdi)\n\tret\n", True),
])  # fmt: skip
def test_frames_are_nobody_elses_memory(text: str, stores: bool | None) -> None:
    assert facts_of(text, CSignature("i64", ("pi64",)), TOOLS).stores is stores


def test_text_that_is_no_code_says_nothing() -> None:
    assert facts_of("\tnonsense\t%eax\n", CSignature("v", ("i32",)), TOOLS) == Facts()
