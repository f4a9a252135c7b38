"""The checked build changes nothing and sees every access; the contract refuses what comparing memory cannot see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gccllm.assembly import Body, BodyError, Module, cfg, slice_text
from gccllm.base.core import ARENA_BASE, Region, RunStatus, Test, arena_address
from gccllm.base.reasons import Reason
from gccllm.sandbox import trace
from gccllm.sandbox.compare import same
from gccllm.sandbox.image import build_image
from gccllm.sandbox.replay import Replayer
from gccllm.verify import contract
from tests.kit.replay import INT, TOOLS, compiled, needs, on_array

SOURCE = """
#include <string.h>
static int total; static const int table[8] = {1, 2, 3};
int sum(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }
int evens(int *p, int n) { int k = 0; for (int i = 0; i < n; i++) if (!(p[i] & 1)) p[k++] = p[i]; return k; }
int tally(int *p, int n) { for (int i = 0; i < n; i++) total += table[p[i] & 7]; return total; }
int fib(int *p, int n) { return n < 2 ? n : fib(p, n - 1) + fib(p, n - 2) + p[0]; }
int text(char *p, int n) { memmove(p + 64, p, n); return (int)strlen(p + 3); }
int pick(int *p, int n) { switch (n) { case 0: return p[1]; case 1: return p[7]; case 2: return 5; case 3: return p[2];
  case 4: return p[3] * 7; case 5: return p[4] + 9; default: return -1; } }
int clear(char *p, int n) { for (int i = 0; i < n; i++) p[i] = 0; return 0; }
__attribute__((noinline)) static int inner(int *p) { return p[5]; }
int outer(int *p, int n) { return inner(p) + n; }
int spins(int *p, int n) { for (;;) ((volatile int *)p)[0] = 1; }
"""
NAMES = ["sum", "evens", "tally", "fib", "text", "pick", "clear", "outer"]
FLAGS = [
    ["-O1"],
    ["-O3"],
    pytest.param(["-O3", "-march=x86-64-v3"], marks=needs(3)),
    pytest.param(["-O3", "-march=x86-64-v4", "-mprefer-vector-width=512"], marks=needs(4)),
    ["-O3", "-fPIC"],
]
DATA = bytes((i * 37 + 11) % 251 + 1 for i in range(300)) + b"\0"


def traced_image(where: Path, module: Module, names: list[str], extra: str = "") -> Replayer:
    texts, callees = [], frozenset()
    for name in names:
        more, found = trace.instrument_callees(module, name)
        texts += [more] if more and not found <= callees else []
        callees |= found
        texts.append(trace.instrument(module.functions[name].body, name, traced=found))
    whole = "".join(slice_text(module, name) for name in names[:1]) if len(names) == 1 else module.text()
    return Replayer(build_image(where, whole + "\t.text\n" + "".join(texts) + extra, TOOLS), INT)


def touched(one: trace.Trace, what: str) -> list[tuple[int, int]]:
    rows = one.reads if what == "reads" else one.writes
    return [(int(a) - ARENA_BASE, int(b) - ARENA_BASE) for a, b in rows if a >= ARENA_BASE]


def written_by_hand(tmp_path: Path, **bodies: str) -> Replayer:
    texts = (trace.instrument(Body.parse(text), name) for name, text in bodies.items())
    return Replayer(build_image(tmp_path, "\t.text\n" + "".join(texts), TOOLS), INT)


@pytest.mark.parametrize("flags", FLAGS, ids=lambda f: "_".join(f))
def test_the_instrumented_copy_does_what_the_function_does(tmp_path: Path, flags: list[str]) -> None:
    module = Module.parse(compiled(SOURCE, *flags, "-fno-ipa-ra"))
    tests = [on_array(n, DATA) for n in (0, 1, 2, 3, 5, 8, 15, 33)]
    with traced_image(tmp_path, module, NAMES) as replayer:
        for name in NAMES:
            if name == "fib":
                tests = tests[:-1]
            plain = replayer.run(name, tests)
            copies = trace.trace_many(replayer, trace.traced_name(name), tests)
            for one, copy in zip(plain, copies, strict=True):
                assert one.status is RunStatus.OK
                assert copy.observation is not None
                assert same(one, copy.observation, INT) is None
                assert contract.check(copy, copy) is None


def test_reads_and_writes_are_exactly_those_of_the_source(tmp_path: Path) -> None:
    module = Module.parse(compiled(SOURCE, "-O1"))
    with traced_image(tmp_path, module, NAMES) as replayer:
        seen = trace.trace(replayer, "sum.traced", on_array(9, DATA))
        assert (touched(seen, "reads"), touched(seen, "writes")) == ([(0, 36)], [])
        seen = trace.trace(replayer, "clear.traced", on_array(70, DATA))
        assert (touched(seen, "reads"), touched(seen, "writes")) == ([], [(0, 70)])
        seen = trace.trace(replayer, "tally.traced", on_array(3, DATA))
        assert touched(seen, "reads") == [(0, 12)]
        assert [tuple(map(int, row)) for row in seen.writes] == [replayer.image.writable]
        seen = trace.trace(replayer, "text.traced", on_array(10, DATA))
        assert (touched(seen, "reads"), touched(seen, "writes")) == ([(0, 301)], [(64, 74)])
        seen = trace.trace(replayer, "outer.traced", on_array(10, DATA))
        assert touched(seen, "reads") == [(20, 24)]


def test_edges_are_those_of_the_graph_and_all_can_be_taken(tmp_path: Path) -> None:
    module = Module.parse(compiled(SOURCE, "-O2"))
    with traced_image(tmp_path, module, ["pick"]) as replayer:
        graph = cfg(module.functions["pick"].body)
        tests = [on_array(n & 0xFFFFFFFF, DATA) for n in range(-1, 8)]
        taken = frozenset().union(*(t.edges for t in trace.trace_many(replayer, "pick.traced", tests)))
        assert taken == graph.edges


def test_recursion_does_not_invent_edges(tmp_path: Path) -> None:
    module = Module.parse(compiled(SOURCE, "-O1"))
    with traced_image(tmp_path, module, ["fib"]) as replayer:
        graph = cfg(module.functions["fib"].body)
        seen = trace.trace(replayer, "fib.traced", on_array(7, DATA))
        assert seen.edges <= graph.edges
        assert len(seen.edges) >= len(graph.edges) - 1


def test_repeated_accesses_count_only_what_they_touch(tmp_path: Path) -> None:
    with written_by_hand(
        tmp_path,
        moved="\tmovq %rdi, %rdx\n\tleaq 8(%rdi), %rsi\n\tleaq 100(%rdi), %rdi\n\tmovl $3, %ecx\n\trep movsq\n"
        "\tstosb\n\txorl %ecx, %ecx\n\trep stosl\n\txorl %eax, %eax\n\tret\n",
    ) as replayer:
        seen = trace.trace(replayer, "moved.traced", on_array(1, DATA))
        assert (touched(seen, "reads"), touched(seen, "writes")) == ([(8, 32)], [(100, 125)])


@needs(3)
def test_masks_in_vectors_count_only_the_lanes_in_use(tmp_path: Path) -> None:
    end = "\tvzeroupper\n\txorl %eax, %eax\n\tret\n"
    with written_by_hand(
        tmp_path,
        signs="\tvpcmpeqd %xmm1, %xmm1, %xmm1\n\tvpsrldq $8, %xmm1, %xmm1\n\tvpmaskmovd (%rdi), %xmm1, %xmm0\n"
        "\tvpmaskmovd %xmm0, %xmm1, 64(%rdi)\n\txorl %eax, %eax\n\tret\n",
        gather="\tvpmovzxbq (%rdi), %ymm1\n\tvpcmpeqd %ymm2, %ymm2, %ymm2\n\tvpxor %xmm0, %xmm0, %xmm0\n"
        "\tmovq %rdi, %rdx\n\tvgatherqpd %ymm2, (%rdx,%ymm1,8), %ymm0\n" + end,
    ) as replayer:
        seen = trace.trace(replayer, "signs.traced", on_array(1, DATA))
        assert (touched(seen, "reads"), touched(seen, "writes")) == ([(0, 8)], [(64, 72)])
        seen = trace.trace(replayer, "gather.traced", on_array(1, bytes([3, 9, 4, 9, 9, 20]) + bytes(300)))
        assert touched(seen, "reads") == [(0, 4), (24, 40), (72, 80)]
        assert seen.status is RunStatus.OK


@needs(4)
def test_masked_and_broadcast_accesses_count_only_what_they_touch(tmp_path: Path) -> None:
    with written_by_hand(
        tmp_path,
        masked="\tmovl $0x15, %eax\n\tkmovw %eax, %k1\n\tvmovdqu32 (%rdi), %zmm0{%k1}{z}\n"
        "\tvpcompressd %zmm0, 256(%rdi){%k1}\n\tvzeroupper\n\txorl %eax, %eax\n\tret\n",
        spread="\tvpaddd 8(%rdi){1to16}, %zmm0, %zmm1\n\tvzeroupper\n\txorl %eax, %eax\n\tret\n",
    ) as replayer:
        one = on_array(1, DATA)
        seen = trace.trace(replayer, "masked.traced", one)
        assert touched(seen, "reads") == [(0, 4), (8, 12), (16, 20)]
        assert touched(seen, "writes") == [(256, 268)]
        assert touched(trace.trace(replayer, "spread.traced", one), "reads") == [(8, 12)]


@needs(4)
def test_gathers_and_scatters_count_the_lanes_in_use(tmp_path: Path) -> None:
    some = "\tmovl $0x25, %eax\n\tkmovw %eax, %k1\n\tvpmovzxbd (%rdi), %zmm1\n\tvpxor %xmm0, %xmm0, %xmm0\n"
    end = "\tvzeroupper\n\txorl %eax, %eax\n\tret\n"
    with written_by_hand(
        tmp_path,
        wide=some + "\tmovq %rdi, %rcx\n\tvpgatherdd 16(%rcx,%zmm1,4), %zmm0{%k1}\n" + end,
        store=some + "\tvpscatterdd %zmm0, 100(%rdi,%zmm1,8){%k1}\n" + end,
    ) as replayer:
        one = on_array(1, bytes([3, 9, 4, 9, 9, 20]) + bytes(300))
        assert touched(trace.trace(replayer, "wide.traced", one), "reads") == [(0, 16), (28, 36), (96, 100)]
        assert touched(trace.trace(replayer, "store.traced", one), "writes") == [(124, 128), (132, 136), (260, 264)]
        for name in ("wide", "store"):
            assert trace.trace(replayer, f"{name}.traced", one).status is RunStatus.OK


@pytest.mark.parametrize(
    "line", ["maskmovdqu %xmm1, %xmm0", "repe cmpsb", "repne scasb", "std", "xlatb", "fxsave (%rdi)"]
)
def test_what_cannot_be_watched_is_refused(line: str) -> None:
    with pytest.raises(BodyError) as refused:
        trace.instrument(Body.parse(f"\t{line}\n\tret\n"), "f")
    assert refused.value.reason is Reason.UNSUPPORTED_INSTRUCTION


def test_the_contract_refuses_invented_stores_and_far_reads(tmp_path: Path) -> None:
    load = "\tmovl (%rdi), %eax\n"
    with written_by_hand(
        tmp_path,
        baseline=load + "\tret\n",
        puts_back=load + "\tmovl %eax, (%rdi)\n\tret\n",
        same_block=load + "\tmovl 60(%rdi), %ecx\n\tret\n",
        next_block=load + "\tmovl 64(%rdi), %ecx\n\tret\n",
        straddles=load + "\tmovq 60(%rdi), %rcx\n\tret\n",
        stores="\tmovb $1, 65(%rdi)\n\tmovl (%rdi), %eax\n\tret\n",
        reads_stored="\tmovb $1, 65(%rdi)\n\tmovl (%rdi), %eax\n\tmovb 65(%rdi), %cl\n\tret\n",
        reads_beside="\tmovb $1, 65(%rdi)\n\tmovl (%rdi), %eax\n\tmovb 66(%rdi), %cl\n\tret\n",
        stack="\tmovq %rax, -8(%rsp)\n\tleaq -64(%rsp), %rcx\n\tmovq %rax, (%rcx)\n\tmovl (%rdi), %eax\n\tret\n",
    ) as replayer:
        seen = {n: trace.trace(replayer, n, on_array(1, DATA)) for n in replayer.image.symbols if n.endswith(".traced")}

        def verdict(candidate: str, baseline: str = "baseline") -> Reason | None:
            found = contract.check(seen[f"{baseline}.traced"], seen[f"{candidate}.traced"])
            return found[0] if found else None

        assert verdict("same_block") is None
        assert verdict("stack") is None
        assert verdict("puts_back") is Reason.STRAY_STORE
        assert verdict("next_block") is Reason.STRAY_READ
        assert verdict("straddles") is Reason.STRAY_READ
        assert verdict("reads_stored", "stores") is None
        assert verdict("reads_beside", "stores") is Reason.STRAY_READ
        found = contract.check(seen["baseline.traced"], seen["next_block.traced"])
        assert found is not None
        assert found[1].startswith(f"reads 4 bytes at {arena_address(0) + 64:#x}")


def test_a_log_that_overflows_is_no_evidence(tmp_path: Path) -> None:
    module = Module.parse(compiled(SOURCE, "-O1"))
    with traced_image(tmp_path, module, ["spins"]) as replayer:
        replayer.deadline_ms = 1000
        seen = trace.trace(replayer, "spins.traced", on_array(1, DATA))
        assert seen.overflow
        found = contract.check(seen, seen)
        assert found is not None
        assert found[0] is Reason.TRACE_LIMIT


def test_many_traces_equal_single_ones(tmp_path: Path) -> None:
    module = Module.parse(compiled(SOURCE, "-O1"))
    tests = [Test(ints=(arena_address(0), 16000 + n), int_bytes=(8, 4), arenas=1) for n in range(70)]
    tests[5] = Test(ints=(arena_address(0), 5), int_bytes=(8, 4), arenas=1, regions=(Region(0, 0, DATA),))
    with traced_image(tmp_path, module, ["evens"]) as replayer:
        many = trace.trace_many(replayer, "evens.traced", tests)
        for at in (0, 5, 33, 69):
            one = trace.trace(replayer, "evens.traced", tests[at])
            assert np.array_equal(one.reads, many[at].reads)
            assert (one.edges, one.steps) == (many[at].edges, many[at].steps)


spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=12)


def bytes_of(rows: trace.Intervals) -> set[int]:
    return {b for first, end in rows.tolist() for b in range(first, end)}


@given(spans, spans)
def test_interval_arithmetic_is_that_of_byte_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    a, b = (trace.merged(np.array([(s, s + n) for s, n in rows], np.uint64).reshape(-1, 2)) for rows in (left, right))
    assert bytes_of(a) == {x for s, n in left for x in range(s, s + n)}
    assert all(e < s for (_, e), (s, _) in zip(a.tolist(), a.tolist()[1:], strict=False))
    assert bytes_of(trace.minus(a, b)) == bytes_of(a) - bytes_of(b)
