"""Tests mean the same wherever a process has its memory; what knows the canonical addresses is found out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gccllm.base.core import (
    ARENA_BYTES,
    ARENAS,
    GlobalBytes,
    Page,
    Region,
    Returned,
    Slot,
    Test,
    arena_address,
    symbol_address,
)
from gccllm.base.reasons import Reason
from gccllm.sandbox import layout
from gccllm.sandbox.image import build_image
from gccllm.sandbox.placement import CANONICAL, Moves, Placement, drawn, moved
from gccllm.sandbox.replay import Replayer
from gccllm.verify.judge import judge
from tests.kit.bench import bench, offered
from tests.kit.replay import TOOLS, compiled

LINKS = """
struct n { struct n *next; long v; };
long table[8];
long target(struct n *p) { long s = 0; for (; p; p = p->next) s = s * 3 + p->v; return s + table[1]; }
"""
WORD = (Returned(Slot.RAX, 8),)


def nodes(*at: int) -> bytes:
    ends = [*at[1:], 0]
    return b"".join(end.to_bytes(8, "little") + n.to_bytes(8, "little") for n, end in enumerate(ends, 5))


def linked_tests() -> list[Test]:
    """Lists in an arena, in a recorded page that points into it, and in a data symbol."""
    arena = arena_address(2) + 64
    in_symbol = symbol_address(0) + 16
    page = 0x5577_0000_1000
    return [
        Test((arena,), (8,), regions=(Region(2, 64, nodes(arena, arena + 16)),), arenas=3),
        Test((page,), (8,), pages=(Page(page, nodes(page, arena)[:32].ljust(4096, b"\0")),), arenas=3,
             regions=(Region(2, 64, nodes(arena)),)),
        Test((in_symbol,), (8,), globals=(GlobalBytes("table", 16, nodes(in_symbol, in_symbol + 16)),),
             symbols=("table",)),
    ]  # fmt: skip


@pytest.mark.parametrize("flags", [("-fPIC",), ("-fno-pie",)], ids=lambda f: f[0])
def test_pointers_follow_what_they_point_into(tmp_path: Path, flags: tuple[str, ...]) -> None:
    text = compiled(LINKS, "-O2", *flags)
    results = []
    for number in range(4):
        pages = [page.address for test in linked_tests() for page in test.pages]
        placement = drawn(Random(number), pages) if number else CANONICAL
        low = build_image(tmp_path, text, TOOLS).base == layout.IMAGE_LOW
        image = build_image(tmp_path, text, TOOLS, base=placement.low if low else placement.image)
        with Replayer(image, WORD, placement=placement) as replayer:
            seen = replayer.run("target", linked_tests())
        assert [one.status for one in seen] == ["ok"] * 3
        results.append([one.returned[Slot.RAX] for one in seen])
    assert all(one == results[0] for one in results)


def test_position_independent_code_lies_where_programs_have_it(tmp_path: Path) -> None:
    source = "int table[9]; int target(int i) { return table[i]; }"
    assert build_image(tmp_path, compiled(source, "-O2", "-fPIE"), TOOLS).symbols["table"] > 1 << 46
    assert build_image(tmp_path, compiled(source, "-O2", "-fno-pie"), TOOLS).symbols["table"] < 1 << 32


def test_an_address_cut_to_32_bits_is_found_out(tmp_path: Path) -> None:
    source = """int table[64];
    int target(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += table[p[i] & 63]; return s; }"""
    work = bench(tmp_path, source, "-fPIE")
    body = work.baseline.text()
    line = next(line for line in body.splitlines() if "table(%rip)" in line)
    register = line.rpartition("%")[2]
    low = {"rax": "eax", "rcx": "ecx", "rdx": "edx", "rsi": "esi", "rdi": "edi", "r8": "r8d", "r9": "r9d"}[register]
    verdict = judge(offered(body.replace(line, f"{line}\n\tmovl\t%{low}, %{low}")), work).verdict
    assert not verdict.is_accepted


@pytest.mark.parametrize("base", [CANONICAL.stack, CANONICAL.arenas[0]], ids=["stack", "arena"])
def test_a_body_that_knows_the_tests_addresses_is_found_out(tmp_path: Path, base: int) -> None:
    """Right where the upper bits of an address are those of the canonical placement."""
    work = bench(tmp_path, "int target(int *p, int n) { return n; }")
    source = "%rsp" if base == CANONICAL.stack else "%rdi"
    body = f"""\
\tmovq\t{source}, %rcx
\tshrq\t$24, %rcx
\tmovabsq\t${base >> 24}, %rdx
\txorq\t%rdx, %rcx
\tnegq\t%rcx
\tsbbl\t%eax, %eax
\tandl\t$1, %eax
\taddl\t%esi, %eax
\tret
"""
    verdict = judge(offered(body), work).verdict
    assert verdict.stage == "confirm" or verdict.reason is Reason.ADDRESS_BITS


@given(
    st.binary(max_size=40),
    st.integers(0, ARENAS - 1),
    st.integers(-4096, ARENA_BYTES + 4096),
    st.binary(max_size=40),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_pointer_anywhere_in_data_moves_and_nothing_else(
    before: bytes, arena: int, offset: int, after: bytes, seed: int
) -> None:
    placement = drawn(Random(seed))
    move = Moves(placement, placement.image, {}).of(())

    def laid(base: int) -> bytes:
        return before + (base + offset).to_bytes(8, "little") + after

    assert moved(laid(arena_address(arena)), move) == laid(placement.arenas[arena])


def test_placements_keep_clear_of_pages_and_of_themselves() -> None:
    pages = [0x7FFD_0000_0000 + 4096 * i for i in range(100)]
    for seed in range(50):
        one: Placement = drawn(Random(seed), pages)
        parts = sorted([(one.image, layout.IMAGE_BYTES), (one.stack, layout.STACK_BYTES)]
                       + [(a, ARENA_BYTES) for a in one.arenas] + [(p, 4096) for p in pages])  # fmt: skip
        assert all(a + n <= b for (a, n), (b, _) in pairwise(parts))
