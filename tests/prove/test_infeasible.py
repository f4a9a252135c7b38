"""Edges that no input takes are shown to be such; none that some input takes ever is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gccllm.assembly import Body, Module, cfg
from gccllm.assembly.cfg import Edge
from gccllm.base.deadline import Deadline
from gccllm.base.toolchain import Toolchain
from gccllm.prove import infeasible

TOOLS = Toolchain.find()


def proved(text: str, *edges: Edge) -> set[Edge]:
    body = Body.parse(text)
    return set(infeasible(body, edges or cfg(body).edges, TOOLS))


CHECKED_TWICE = """
	cmpq	$31, %rsi
	jbe	.Lout
	movl	8(%rdi), %eax
	addq	%rsi, 16(%rdi)
	cmpq	$15, %rsi
	{jump}	.Lout
	movl	$1, %eax
.Lout:
	ret
"""


def test_a_check_that_an_earlier_one_implies() -> None:
    # Blocks: 0 to the first jump, 1 to the second, 2 the move, 3 the end.
    assert proved(CHECKED_TWICE.format(jump="jbe"), (1, 3)) == {(1, 3)}
    assert proved(CHECKED_TWICE.format(jump="ja"), (1, 2)) == {(1, 2)}
    assert proved(CHECKED_TWICE.format(jump="jbe"), (0, 3), (1, 2), (0, 1)) == set()


COUNTED = """
	xorl	%eax, %eax
.Lloop:
	cmpb	$0, (%rdi,%rax)
	je	.Lout
	addq	$1, %rax
	cmpq	$8, %rax
	je	.Lfull
	jmp	.Lloop
.Lout:
	cmpq	${most}, %rax
	ja	.Lfull
	movl	$-1, %eax
.Lfull:
	ret
"""


def test_a_counter_that_the_loop_bounds() -> None:
    blocks = cfg(Body.parse(COUNTED.format(most=7)))
    last = next(n for n, one in enumerate(blocks.blocks) if blocks.body.lines[one.last - 1].mnemonic == "ja")
    full = next(b for a, b in blocks.edges if a == last and b != last + 1)
    assert proved(COUNTED.format(most=7), (last, full)) == {(last, full)}
    assert proved(COUNTED.format(most=6), (last, full)) == set()


MEMORY = """
	movl	(%rdi), %eax
	testl	%eax, %eax
	je	.Lout
	movl	$3, 4({other})
	{between}
	cmpl	$0, (%rdi)
	je	.Lnever
	ret
.Lnever:
	ud2
.Lout:
	ret
"""


@pytest.mark.parametrize(
    ("other", "between", "shown"),
    [
        ("%rdi", "nop", True),
        ("%rsi", "nop", False),  # may be the same place
        ("%rdi", "call f", False),
        ("%rdi", "movups %xmm0, 8(%rdi)", True),
        ("%rdi", "movups %xmm0, -8(%rdi)", False),
        ("%rdi", "rep stosb", False),
    ],
)
def test_what_memory_holds_is_known_until_something_may_store_there(other: str, between: str, shown: bool) -> None:
    text = MEMORY.format(other=other, between=between)
    graph = cfg(Body.parse(text))
    never = next(n for n, one in enumerate(graph.blocks) if graph.body.lines[one.last - 1].mnemonic == "ud2")
    edge = next((a, b) for a, b in graph.edges if b == never)
    assert proved(text, edge) == ({edge} if shown else set())


def test_edges_that_need_one_another_are_shown_together_or_not_at_all() -> None:
    # The second jump cannot be taken unless the first is; and the first can be.
    text = "\ttestl %edi, %edi\n\tje .La\n\tmovl $1, %eax\n.Lb:\n\ttestl %eax, %eax\n\tje .Lc\n\tret\n" + (
        ".La:\n\txorl %eax, %eax\n\tjmp .Lb\n.Lc:\n\tret\n"
    )
    graph = cfg(Body.parse(text))
    first = min(edge for edge in graph.edges if edge[0] == 0 and edge[1] != 1)
    second = max(graph.edges, key=lambda edge: (edge[0] == 2, edge[1]))
    assert proved(text, first, second) == set()
    assert proved(text, second) == set()


FUNCTIONS = {
    "scan": "int f(const int *a, int n) { for (int i = 0; i < n; i++) if (a[i] < 0) return i; return -1; }",
    "sort": "void f(int *a, int n) { for (int i = 1; i < n; i++) { int x = a[i], j = i; "
            "for (; j && a[j - 1] > x; j--) a[j] = a[j - 1]; a[j] = x; } }",
    "gcd": "unsigned f(unsigned a, unsigned b) { while (b) { unsigned t = a % b; a = b; b = t; } return a; }",
    "bits": "int f(unsigned long x) { int n = 0; if (x >> 32) { n += 32; x >>= 32; } if (x >> 16) n += 16, x >>= 16;"
            " while (x > 1) { n++; x >>= 1; } return n; }",
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("level", ["-O1", "-O3"])
def test_no_edge_that_an_input_takes_is_ever_shown_infeasible(name: str, level: str, tmp_path: Path) -> None:
    from gccllm.harvest.dwarf import signature_of
    from gccllm.harvest.harvest import QUICK, harvest
    from gccllm.harvest.target import Builds, HarvestTarget

    (tmp_path / "f.c").write_text(FUNCTIONS[name])
    assert TOOLS.compile([level, "-g", "-c", "-o", str(tmp_path / "f.o"), str(tmp_path / "f.c")]).ok
    assert TOOLS.compile([level, "-S", "-o", str(tmp_path / "f.s"), str(tmp_path / "f.c")]).ok
    module = Module.parse((tmp_path / "f.s").read_text())
    target = HarvestTarget.of(Builds(module, TOOLS), "f", signature_of(tmp_path / "f.o", "f"), tmp_path)
    found = harvest(target, budget=QUICK)
    edges = cfg(target.body).edges
    taken = edges - set(found.missing) - found.infeasible
    assert found.edges_taken == len(taken) > 3
    for edge in sorted(taken):
        assert not infeasible(target.body, [edge], TOOLS, Deadline(3.0))
