"""What the machine sees of a body, and which registers it needs defined."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, BodyError, Decoded, decode, liveness
from gccllm.base.reasons import Reason
from tests.kit.sources import C_EXAMPLES
from tests.kit.units import TOOLS, module


def decoded(text: str) -> Decoded:
    return decode(Body.parse(text), TOOLS)


def test_every_line_of_gccs_bodies_maps_to_one_instruction() -> None:
    for source in (C_EXAMPLES[0], C_EXAMPLES[2]):
        for function in module(source, "-O3", "-march=x86-64-v4").functions.values():
            body = function.body
            seen = decode(body, TOOLS)
            assert [one.line for one in seen.lines] == [n for n, line in enumerate(body.lines) if not line.is_label]
            assert seen.lines[-1].end == len(seen.code)
            assert all(seen.by_offset[seen.labels[label]].line > at for label, at in body.labels.items())


def test_memory_operands_are_told_with_their_symbol_and_direction() -> None:
    text = (
        "\tmovl table+8(%rip), %eax\n\taddq %rax, -24(%rdi,%rsi,4)\n\tleaq 8(%rsp), %rcx\n"
        "\tvmovdqu32 (%rdx), %zmm1{%k1}\n"
        "\tmulsd .LC0(%rip), %xmm0\n\tpushq %rbx\n\trep movsb\n\tret\n"
        "\t.section .rodata\n\t.align 8\n.LC9:\n\t.quad 3\n"
        ".LC0:\n\t.quad 5\n"
    )
    load, add, lea, masked, constant, push, copy, _ = decoded(text).lines
    (access,) = load.accesses
    assert (load.symbol, access.base, access.displacement, access.size) == ("table", "rip", 8, 4)
    assert (access.is_read, access.is_write) == (True, False)
    (access,) = add.accesses
    assert (access.base, access.index, access.scale, access.displacement) == ("rdi", "rsi", 4, -24)
    assert (access.is_read, access.is_write, access.size) == (True, True, 8)
    assert lea.accesses == ()
    assert masked.accesses[0].size == 64
    assert masked.features == {"AVX512F"}
    assert (constant.symbol, constant.accesses[0].displacement) == (".LC0", 0)
    assert (push.accesses[0].base, push.accesses[0].is_write) == ("rsp", True)
    assert {(a.base, a.is_read, a.is_write, a.is_conditional) for a in copy.accesses} == {
        ("rsi", True, False, True),
        ("rdi", False, True, True),
    }


def test_what_the_assembler_refuses_is_unparsable() -> None:
    for text in ("\tfrobnicate %eax\n", "\tmovl %rax, %eax\n", "\taddl $1, $2\n", "\tmovq $99999999999999, (%rdi)\n"):
        with pytest.raises(BodyError) as caught:
            decoded(text)
        assert caught.value.reason is Reason.UNPARSABLE


def live(text: str) -> tuple[dict[str, int], int]:
    found = liveness(decoded(text))
    return dict(found.entry), found.entry_flags


def test_registers_read_before_written_are_live_at_entry_byte_by_byte() -> None:
    assert live("\tleaq 1(%rdi), %rax\n\tret\n") == ({"rdi": 0xFF}, 0)
    assert live("\tleal 1(%rdi), %eax\n\tret\n") == ({"rdi": 0xF}, 0)
    assert live("\tmovzbl %sil, %eax\n\tret\n") == ({"rsi": 0x1}, 0)
    assert live("\tmovb $1, %al\n\tmovzbl %ah, %eax\n\tret\n") == ({"rax": 0x2}, 0)
    assert live("\tmovl $1, %eax\n\taddq %rax, %rdx\n\tret\n") == ({"rdx": 0xFF}, 0)
    assert live("\taddps %xmm9, %xmm0\n\tret\n") == ({"zmm9": 0xFFFF, "zmm0": 0xFFFF}, 0)
    assert live("\tadcl %edi, %esi\n\tret\n") == ({"rdi": 0xF, "rsi": 0xF}, 1)


def test_one_path_is_enough() -> None:
    assert live("\ttestl %edi, %edi\n\tjne .L1\n\tmovl $1, %r9d\n.L1:\n\tmovl %r9d, %eax\n\tret\n")[0] == {
        "rdi": 0xF,
        "r9": 0xF,
    }


@pytest.mark.parametrize(
    "text",
    ["\txorl %r9d, %r9d\n", "\tpxor %xmm9, %xmm9\n", "\tpcmpeqd %xmm9, %xmm9\n",
     "\tvpternlogd $0xff, %zmm9, %zmm9, %zmm9\n",
     "\tpushq %r10\n\tpopq %rcx\n", "\tpushq %rbx\n\tpopq %rbx\n",
     "\tmovq %rbx, -8(%rsp)\n\tmovq -8(%rsp), %rbx\n", "\tvxorps %xmm9, %xmm9, %xmm9\n", "\tvzeroupper\n"],
)  # fmt: skip
def test_idioms_and_saves_read_nothing(text: str) -> None:
    assert live(text + "\tret\n") == ({}, 0)


def test_a_register_that_is_stored_elsewhere_is_read() -> None:
    """It is no save: what is stored there, a caller sees."""
    assert live("\tmovq %rbx, (%rdi)\n\tret\n")[0] == {"rbx": 0xFF, "rdi": 0xFF}
    assert live("\tmovq %rbx, 8(%rbp)\n\tret\n")[0] == {"rbx": 0xFF, "rbp": 0xFF}
    assert live("\tmovq %r9, -8(%rsp)\n\tret\n")[0] == {"r9": 0xFF}


def test_registers_read_after_a_call_are_told_apart_from_its_result() -> None:
    found = liveness(decoded("\tcall f\n\taddl %eax, %edx\n\taddl %ecx, %edx\n\tret\n"))
    assert dict(found.entry) == {}
    assert dict(found.after_calls) == {"rcx": 0xF}
    assert {"rdx", "rsp"} <= found.written


def test_gccs_own_bodies_read_arguments_only() -> None:
    arguments = {"rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax", *(f"zmm{n}" for n in range(8))}
    count = 0
    for source in C_EXAMPLES[:6]:
        for flags in (("-O3",), ("-O2", "-march=x86-64-v4")):
            for function in module(source, *flags, "-fno-ipa-ra").functions.values():
                found = liveness(decode(function.body, TOOLS))
                assert found.entry.keys() <= arguments, function.name
                assert found.entry_flags == 0, function.name
                assert not found.after_calls, function.name
                count += 1
    assert count > 40
