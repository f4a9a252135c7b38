"""Blocks, edges, dominators and loops."""

from __future__ import annotations

import pytest

from gccllm.assembly import Body, BodyError, Module, cfg
from tests.kit.sources import C_EXAMPLES
from tests.kit.units import compiled, module

NEST = """
	testl %esi, %esi
	jle .Lend
.Louter:
	xorl %eax, %eax
.Linner:
	addl $1, %eax
	cmpl %esi, %eax
	jne .Linner
	subl $1, %edi
	jne .Louter
.Lend:
	ret
"""


def test_blocks_edges_and_loop_depths() -> None:
    graph = cfg(Body.parse(NEST))
    assert [(b.first, b.last) for b in graph.blocks] == [(0, 2), (2, 4), (4, 8), (8, 10), (10, 12)]
    assert graph.edges == {(0, 1), (0, 4), (1, 2), (2, 2), (2, 3), (3, 1), (3, 4)}
    assert graph.dominators == {0: 0, 1: 0, 2: 1, 3: 2, 4: 0}
    assert graph.back_edges == {(2, 2), (3, 1)}
    assert [(loop.header, loop.blocks, loop.depth) for loop in graph.loops] == [
        (1, frozenset({1, 2, 3}), 1),
        (2, frozenset({2}), 2),
    ]
    assert not graph.falls_off


def test_every_exit_is_told_from_falling_off() -> None:
    assert cfg(Body.parse("\tnop\n")).falls_off
    assert cfg(Body.parse("\tjne elsewhere\n")).falls_off
    for last in ("ret", "jmp other", "ud2", "jmp *%rax", "call abort", "call perhaps_noreturn"):
        assert not cfg(Body.parse(f"\t{last}\n")).falls_off, last


def test_a_known_noreturn_call_ends_its_block() -> None:
    graph = cfg(Body.parse("\tjne .L1\n\tcall abort@PLT\n.L1:\n\tcall other\n\tret\n"))
    assert graph.edges == {(0, 1), (0, 2)}


def test_two_tables_are_told_apart() -> None:
    body = Body.parse(
        "\tleaq .LA(%rip), %rdx\n\tmovslq (%rdx,%rdi,4), %rax\n\taddq %rdx, %rax\n\tjmp *%rax\n"
        ".L1:\n\tleaq .LB(%rip), %rcx\n\tmovslq (%rcx,%rdi,4), %rax\n\taddq %rcx, %rax\n\tnotrack jmp *%rax\n"
        ".L2:\n\tret\n.L3:\n\tret\n\t.section .rodata\n"
        ".LA:\n\t.long .L1-.LA\n\t.long .L2-.LA\n.LB:\n\t.long .L3-.LB\n"
    )
    assert cfg(body).edges == {(0, 1), (0, 2), (1, 3)}


def test_an_address_load_far_from_its_jump_is_found() -> None:
    body = Body.parse(
        "\tleaq .LA(%rip), %rdx\n\tleaq .LB(%rip), %rcx\n.L0:\n\tmovslq (%rcx,%rdi,4), %rax\n\taddq %rcx, %rax\n"
        "\tjmp *%rax\n.L1:\n\tjmp .L0\n.L2:\n\tret\n\t.section .rodata\n"
        ".LA:\n\t.long .L1-.LA\n\t.long .L2-.LA\n.LB:\n\t.long .L2-.LB\n"
    )
    assert (1, 2) not in cfg(body).edges
    assert (1, 3) in cfg(body).edges


def test_a_tail_call_through_a_pointer_is_no_jump_table() -> None:
    table = "\t.section .rodata\n.LA:\n\t.quad .L1\n"
    for jump in ("jmp *8(%rdi)", "movq (%rdi), %rax\n\tjmp *%rax", "jmp *(%rax)"):
        body = Body.parse(f"\tjne .L0\n\tjmp *.LA(,%rdi,8)\n.L1:\n\tret\n.L0:\n\t{jump}\n{table}")
        graph = cfg(body)
        assert len(graph.unresolved) == 1, jump
        assert (1, 2) in graph.edges


def test_a_loop_entered_in_two_places_has_no_natural_loop() -> None:
    graph = cfg(Body.parse("\tjne .L2\n.L1:\n\tnop\n.L2:\n\tdecl %edi\n\tjne .L1\n\tret\n"))
    assert not graph.loops


def test_loops_of_c_are_found_in_what_gcc_makes_of_them() -> None:
    functions = module(C_EXAMPLES[2], "-O2").functions
    assert max(loop.depth for loop in cfg(functions["mat2"].body).loops) >= 2
    assert cfg(functions["count2"].body).loops
    assert not cfg(module(C_EXAMPLES[3], "-O2").functions["bits3"].body).loops


def test_a_function_without_an_instruction_has_no_graph() -> None:
    source = "void never(void) { __builtin_unreachable(); }\nint one(void) { return 1; }\n"
    unit = Module.parse(compiled(source, "-O2").replace("\tud2\n", ""))  # gcc 16 prints one
    with pytest.raises(BodyError, match="no instruction"):
        cfg(unit.functions["never"].body)
