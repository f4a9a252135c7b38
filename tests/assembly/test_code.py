"""What the machine sees of a body's lines."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, BodyError, by_line, code_of
from gccllm.base.reasons import Reason
from gccllm.base.toolchain import Toolchain
from gccllm.x86.decode import Insn
from tests.kit.sources import C_EXAMPLES
from tests.kit.units import TOOLS, module


def decoded(text: str) -> list[Insn]:
    return list(by_line(Body.parse(text), TOOLS).values())


def test_every_line_of_gccs_bodies_maps_to_one_instruction() -> None:
    for source in (C_EXAMPLES[0], C_EXAMPLES[2]):
        for function in module(source, "-O3", "-march=x86-64-v4").functions.values():
            body = function.body
            seen = by_line(body, TOOLS)
            assert list(seen) == [n for n, line in enumerate(body.lines) if not line.is_label]
            assert [one.offset for one in seen.values()] == [one.offset for one in code_of(body, TOOLS).insns]
            for at, line in enumerate(body.lines):
                target = seen[at].target if not line.is_label else None
                assert (target is not None) == (not line.is_label and line.target in body.labels)
                if target is not None:
                    label = body.labels[line.target]
                    assert target == next(one.offset for n, one in seen.items() if n > label)


def test_memory_operands_are_told_with_their_symbol_and_direction() -> None:
    text = (
        "\tmovl table+8(%rip), %eax\n\taddq %rax, -24(%rdi,%rsi,4)\n\tleaq 8(%rsp), %rcx\n"
        "\tvmovdqu32 (%rdx), %zmm1{%k1}\n"
        "\tmulsd .LC0(%rip), %xmm0\n\tpushq %rbx\n\trep movsb\n\tret\n"
        "\t.section .rodata\n\t.align 8\n.LC9:\n\t.quad 3\n"
        ".LC0:\n\t.quad 5\n"
    )
    load, add, lea, masked, constant, push, copy, _ = decoded(text)
    (access,) = load.accesses
    assert (load.symbol, load.addend, access.base, access.size) == ("table", 8, "RIP", 4)
    assert (access.is_read, access.is_written) == (True, False)
    (access,) = add.accesses
    assert (access.base, access.index) == ("RDI", "RSI")
    assert (access.is_read, access.is_written, access.size) == (True, True, 8)
    assert lea.accesses == ()
    assert masked.accesses[0].size == 64
    assert masked.features == {"AVX512F"}
    assert (constant.symbol, constant.addend) == (".LC0", 0)
    assert (push.accesses[0].base, push.accesses[0].is_written) == ("RSP", True)
    assert {(a.base, a.is_read, a.is_written, a.is_conditional) for a in copy.accesses} == {
        ("RSI", True, False, True),
        ("RDI", False, True, True),
    }


def test_what_the_assembler_refuses_is_unparsable() -> None:
    for text in ("\tfrobnicate %eax\n", "\tmovl %rax, %eax\n", "\taddl $1, $2\n", "\tmovq $99999999999999, (%rdi)\n"):
        with pytest.raises(BodyError) as caught:
            decoded(text)
        assert caught.value.reason is Reason.UNPARSABLE


def test_a_line_of_two_instructions_maps_to_none() -> None:
    with pytest.raises(BodyError, match="line 2"):
        decoded("\tnop\n\tfstcw -4(%rsp)\n\tret\n")


def test_a_body_that_was_just_assembled_is_not_assembled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = Toolchain.assemble
    monkeypatch.setattr(Toolchain, "assemble", lambda *args, **more: runs.append(1) or real(*args, **more))
    body = Body.parse("\tleal 12345(%rdi), %eax\n\tret\n")
    assert code_of(body, TOOLS, "f") is code_of(body, TOOLS)
    by_line(body, TOOLS)
    assert len(runs) == 1
    recursive = Body.parse("\tleal 12345(%rdi), %edi\n\tcall f\n\tret\n")
    assert code_of(recursive, TOOLS, "f") is not code_of(recursive, TOOLS)
