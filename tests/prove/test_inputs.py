"""What the solver says makes control go a way, does: registers and memory are put to the conditions by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

from gccllm.assembly import Body, cfg
from gccllm.assembly.code import by_line
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.prove.inputs import Solved, Start, solve, ways

TOOLS = Toolchain.find()
FRAME = 0x6200_0000_0000
S = 20.0


def solved(
    text: str,
    way: Sequence[int],
    arguments: Mapping[str, int] | None = None,
    memory: Mapping[int, int] | None = None,
    constants: Mapping[int, int] | None = None,
    symbols: Mapping[str, int] | None = None,
) -> Solved | None:
    """Start from a state that came near, with these registers and bytes."""
    body = Body.parse(text)
    start = Start({"RSP": FRAME}, symbols or {}, 1 << 16, 1 << 47, (constants or {}).get, (memory or {}).get,
                  arguments or {})  # fmt: skip
    return solve(cfg(body), by_line(body, TOOLS), way, start, Deadline(S))


def number(found: Solved, address: int, size: int) -> int:
    return sum(found.memory[address + n] << 8 * n for n in range(size))


MAGIC = """
	imull	$-1640531535, %edi, %eax
	cmpl	$305419896, %eax
	jne	.Lout
	xorl	%edi, %esi
	cmpl	$162254319, %esi
	jne	.Lout
	movl	$1, %eax
.Lout:
	ret
"""


def test_a_number_that_nobody_would_guess() -> None:
    found = solved(MAGIC, (0, 1, 2, 3))
    assert found is not None
    edi, esi = (found.registers[name] & 0xFFFF_FFFF for name in ("RDI", "RSI"))
    assert edi * 2654435761 % (1 << 32) == 305419896
    assert esi ^ edi == 162254319


CHAIN = """
	movq	8(%rdi), %rax
	movq	8(%rax), %rdx
	cmpl	$77, (%rdx)
	jne	.Lout
	cmpl	(%rax), %esi
	jle	.Lout
	movl	$1, %eax
.Lout:
	ret
"""


def test_pointers_in_memory_are_followed() -> None:
    found = solved(CHAIN, (0, 1, 2, 3))
    assert found is not None
    first = found.registers["RDI"]
    second = number(found, first + 8, 8)
    third = number(found, second + 8, 8)
    assert number(found, third, 4) == 77
    assert {(first + 8, 8), (second + 8, 8), (third, 4), (second, 4)} <= set(found.accessed)


OVERWRITTEN = """
	movl	$1, (%rdi)
	movl	$2, (%rsi)
	cmpl	$2, (%rdi)
	jne	.Lout
	movl	$1, %eax
.Lout:
	ret
"""


def test_a_store_through_one_pointer_is_seen_through_another() -> None:
    alike, apart = solved(OVERWRITTEN, (0, 1, 2)), solved(OVERWRITTEN, (0, 2))
    assert alike is not None
    assert alike.registers["RDI"] == alike.registers["RSI"]
    assert apart is not None
    assert apart.registers["RDI"] != apart.registers["RSI"]


def test_no_answer_where_there_is_none() -> None:
    text = "\ttestl\t$1, %edi\n\tje\t.Lout\n\ttestl\t$1, %edi\n\tjne\t.Lout\n\tmovl\t$1, %eax\n.Lout:\n\tret\n"
    assert solved(text, (0, 1, 2, 3)) is None
    assert solved(text, (0, 1, 3)) is not None


def test_of_a_state_that_came_near_only_what_must_changes() -> None:
    block = 0x7F00_0000_0000
    memory = {block + n: byte for n, byte in enumerate((5).to_bytes(8, "little") + (block + 64).to_bytes(8, "little"))}
    memory |= {block + 64 + n: byte for n, byte in enumerate((9).to_bytes(8, "little") + bytes(8))}
    memory |= {block + 72 + n: byte for n, byte in enumerate((block + 128).to_bytes(8, "little"))}
    memory |= {block + 128 + n: 0 for n in range(8)}
    found = solved(CHAIN, (0, 1, 2, 3), {"RDI": block, "RSI": 3}, memory)
    assert found is not None
    assert found.registers["RDI"] == block
    assert number(found, block + 8, 8) == block + 64
    assert number(found, block + 72, 8) == block + 128
    assert number(found, block + 128, 4) == 77
    # One of two numbers had to change so that the second comparison holds.
    assert (found.registers["RSI"] == 3) != (number(found, block + 64, 4) == 9)


TABLE = """
	leaq	table(%rip), %rax
	movzbl	%dil, %edi
	andl	$3, %edi
	cmpb	$200, (%rax,%rdi)
	jne	.Lout
	movl	$1, %eax
.Lout:
	ret
"""


def test_constants_are_as_they_are() -> None:
    table = 0x2800_0000
    found = solved(TABLE, (0, 1, 2), constants={table: 7, table + 1: 8, table + 2: 200, table + 3: 9},
                   symbols={"table": table})  # fmt: skip
    assert found is not None
    assert found.registers["RDI"] & 3 == 2
    none = {table + n: n for n in range(4)}
    assert solved(TABLE, (0, 1, 2), constants=none, symbols={"table": table}) is None


def test_vectors_lie_where_they_may() -> None:
    text = "\tmovdqa\t(%rdi), %xmm0\n\tmovdqu\t1(%rdi), %xmm1\n\ttestl\t%esi, %esi\n\tje\t.Lout\n.Lout:\n\tret\n"
    found = solved(text, (0, 1))
    assert found is not None
    assert found.registers["RDI"] % 16 == 0


def test_a_slot_of_the_global_offset_table_holds_an_address() -> None:
    text = """
	movq	table@GOTPCREL(%rip), %rax
	cmpl	$31, 4(%rax)
	jne	.Lout
	movl	$1, %eax
.Lout:
	ret
"""
    found = solved(text, (0, 1, 2), symbols={"table": 0x3000_0000})
    assert found is not None
    assert number(found, 0x3000_0004, 4) == 31


def test_ways_go_over_the_edge_and_end_with_a_return() -> None:
    text = """
	xorl	%eax, %eax
.Lloop:
	addl	(%rdi,%rax,4), %edx
	jo	.Lover
	addq	$1, %rax
	cmpq	%rsi, %rax
	jb	.Lloop
	ret
.Lover:
	call	abort
	ret
"""
    graph = cfg(Body.parse(text))
    for edge in graph.edges:
        found = list(ways(graph, edge, 6, Random(1)))
        assert found, edge
        assert len(set(found)) == len(found)
        for way, needed in found:
            steps = list(pairwise(way))
            assert way[0] == 0
            assert steps[needed - 2] == edge
            assert set(steps) <= graph.edges
            assert not graph.successors[way[-1]]
